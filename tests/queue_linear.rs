//! Recorded histories of the queues are linearizable: to whoever looks from outside, each operation
//! happens at one instant between its call and its return. [`proof`] shows that the checker that says so
//! can be believed.
//!
//! A failure prints its seed; `LINEAR_SEED=<that>` runs these programs first.

mod common;
mod linear;
#[path = "linear/proof.rs"]
mod proof;

use common::watchdog;
use fastrand::Rng;
use latchwork::Shutdown;
use latchwork::queue::{Queue, SimpleQueue};
use linear::assert_linearizable;
use linear::model::{How, Item, Model, Op, Order, Seen};
use linear::record::{Subject, record};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

/// So many histories of each kind of queue.
const ROUNDS: u64 = 300;

/// What a program may consist of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Menu {
    Everything,
    NoShutdown,
}

fn how(rng: &mut Rng) -> How {
    match rng.u8(..8) {
        0..4 => How::Try,
        4..7 => How::Within(rng.choice([0, 20, 200]).unwrap()),
        _ => How::Poll,
    }
}

fn programs(menu: Menu, rng: &mut Rng) -> Vec<Vec<Op>> {
    // Some rounds have one. Nothing much happens afterwards.
    let has_shutdown = menu == Menu::Everything && rng.u8(..4) == 0;
    let mut shutdown_in = has_shutdown.then(|| rng.usize(..20));
    let casts: [&[u8]; 4] = [&[8, 2, 5], &[5, 5, 5], &[7, 3, 5, 4], &[3, 3, 8, 8]];
    let (threads, length) = (rng.choice(casts).unwrap(), rng.usize(6..=10));
    let mut number = 0;
    let mut operation = |puts: u8| {
        if let Some(left) = shutdown_in.take() {
            if left == 0 {
                let kinds = [Shutdown::Drain, Shutdown::Immediate];
                return Op::Shutdown(rng.choice(kinds).unwrap());
            }
            shutdown_in = Some(left - 1);
        }
        match rng.u8(..11) {
            10 => rng.choice([Op::Len, Op::IsFull]).unwrap(),
            kind if kind < puts => {
                number += 1;
                let rank = rng.u8(..3);
                Op::Put(how(rng), Item { rank, number })
            }
            _ => Op::Get(how(rng)),
        }
    };
    // Some threads rather put, and some rather get: of ten operations, so many puts.
    threads
        .iter()
        .map(|&puts| (0..length).map(|_| operation(puts)).collect())
        .collect()
}

/// A history of one round's programs on `subject`, and what is left in it afterwards.
fn history_of(subject: &impl Subject<Model>, menu: Menu, seed: u64) -> Vec<Seen> {
    let programs = programs(menu, &mut Rng::with_seed(seed));
    record(subject, seed, &programs, &[Op::Len, Op::Rest])
}

/// The seeds of many rounds.
fn seeds() -> impl Iterator<Item = u64> {
    let given = std::env::var("LINEAR_SEED").map(|seed| seed.parse().expect("a number"));
    let first = given.unwrap_or_else(|_| fastrand::u64(..));
    (0..ROUNDS).map(move |n| first.wrapping_add(n))
}

/// Many rounds, each on a queue of its own.
fn all_linearizable<Q: Subject<Model>>(
    kind: &'static str,
    menu: Menu,
    start: Model,
    queue: impl Fn() -> Q + Send + 'static,
) {
    watchdog(LIMIT, kind, move || {
        for seed in seeds() {
            let history = history_of(&queue(), menu, seed);
            assert_linearizable(&format_args!("{kind}, seed {seed}"), &start, &history);
        }
    });
}

#[test]
fn queue() {
    for capacity in [1, 2, 3] {
        let start = Model::new(Order::Fifo, Some(capacity));
        all_linearizable("Queue, bounded", Menu::Everything, start, move || {
            Queue::bounded(capacity)
        });
    }
    let start = Model::new(Order::Fifo, None);
    all_linearizable("Queue", Menu::Everything, start, Queue::unbounded);
}

#[test]
fn simple_queue() {
    let start = Model::new(Order::Fifo, None);
    all_linearizable("SimpleQueue", Menu::NoShutdown, start, SimpleQueue::new);
}
