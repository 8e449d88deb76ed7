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
use latchwork::queue::{BlockingQueue, LifoQueue, PriorityQueue, Queue, SimpleQueue};
use linear::assert_linearizable;
use linear::model::{How, Item, Model, Op, Order, Ret, Seen, Why};
use linear::record::{Subject, record};
use linear::subjects::ByRank;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

/// So many histories of each kind of queue.
const ROUNDS: u64 = 300;

/// What a program may consist of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Menu {
    /// Put and get.
    HandToHand,
    /// Put, get and len.
    Simple,
    /// What every blocking queue can do at one instant.
    Blocking,
    /// That, and puts at the front.
    Fifo,
}

/// Makes up programs.
struct Author {
    menu: Menu,
    rng: Rng,
    /// The number of the next item.
    number: u32,
    /// If there is to be a shutdown, after so many operations.
    shutdown_in: Option<usize>,
}

impl Author {
    fn new(menu: Menu, seed: u64) -> Author {
        let mut rng = Rng::with_seed(seed);
        // Some rounds have one. Nothing much happens afterwards.
        let may_shut = matches!(menu, Menu::Blocking | Menu::Fifo);
        let has_shutdown = may_shut && rng.u8(..4) == 0;
        Author {
            menu,
            shutdown_in: has_shutdown.then(|| rng.usize(..20)),
            rng,
            number: 0,
        }
    }

    fn choice<T: Clone, const N: usize>(&mut self, of: [T; N]) -> T {
        of[self.rng.usize(..N)].clone()
    }

    fn how(&mut self) -> How {
        match self.rng.u8(..8) {
            0..4 => How::Try,
            4..7 => How::Within(self.choice([0, 20, 200])),
            _ => How::Poll,
        }
    }

    fn item(&mut self) -> Item {
        self.number += 1;
        Item {
            rank: self.rng.u8(..3),
            number: self.number,
        }
    }

    fn is_shutdown_due(&mut self) -> bool {
        let left = self.shutdown_in.take();
        self.shutdown_in = left.and_then(|left| left.checked_sub(1));
        left == Some(0)
    }

    /// Of ten that are puts or gets, so many are puts.
    fn operation(&mut self, puts: u8) -> Op {
        if self.is_shutdown_due() {
            return Op::Shutdown(self.choice([Shutdown::Drain, Shutdown::Immediate]));
        }
        let kind = self.rng.u8(..20);
        if self.menu == Menu::Simple && kind == 19 {
            return Op::Len;
        }
        if matches!(self.menu, Menu::HandToHand | Menu::Simple) || kind < 12 {
            return match self.rng.u8(..10) < puts {
                true => Op::Put(self.how(), self.item()),
                false => Op::Get(self.how()),
            };
        }
        match kind {
            // By the other faces it may put some now and some later.
            12 => {
                let n = self.rng.usize(1..=3);
                Op::PutMany(How::Try, (0..n).map(|_| self.item()).collect())
            }
            13 => Op::GetMany(self.how(), self.rng.usize(1..=3)),
            14 if self.menu == Menu::Fifo => Op::AtFront(self.how(), self.item()),
            14 | 15 => self.choice([Op::Len, Op::IsFull]),
            16 => self.choice([Op::Peek, Op::HighWater, Op::Unfinished]),
            17 => self.choice([Op::Drain, Op::Rotate]),
            18 => Op::SetCapacity(self.choice([Some(1), Some(2), Some(4), None])),
            _ => match self.rng.u8(..3) {
                0 => Op::Join(self.how()),
                _ => Op::TaskDone,
            },
        }
    }

    fn programs(mut self) -> Vec<Vec<Op>> {
        // Some threads rather put, and some rather get.
        const CASTS: [&[u8]; 4] = [&[8, 2, 5], &[5, 5, 5], &[7, 3, 5, 4], &[3, 3, 8, 8]];
        let (cast, length) = (self.choice(CASTS), self.rng.usize(6..=10));
        let mut program = |puts| (0..length).map(|_| self.operation(puts)).collect();
        cast.iter().map(|&puts| program(puts)).collect()
    }
}

/// A history of one round's programs on `subject`, and of what is left in it afterwards.
fn history_of(subject: &impl Subject<Model>, menu: Menu, seed: u64) -> Vec<Seen> {
    let programs = Author::new(menu, seed).programs();
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
        all_linearizable("Queue, bounded", Menu::Fifo, start, move || {
            Queue::bounded(capacity)
        });
    }
    let start = Model::new(Order::Fifo, None);
    all_linearizable("Queue", Menu::Fifo, start, Queue::unbounded);
}

#[test]
fn lifo_queue() {
    for capacity in [1, 2, 3] {
        let start = Model::new(Order::Lifo, Some(capacity));
        all_linearizable("LifoQueue, bounded", Menu::Blocking, start, move || {
            LifoQueue::bounded(capacity)
        });
    }
    let start = Model::new(Order::Lifo, None);
    all_linearizable("LifoQueue", Menu::Blocking, start, LifoQueue::unbounded);
}

#[test]
fn priority_queue() {
    for capacity in [1, 2, 3] {
        let start = Model::new(Order::Priority, Some(capacity));
        all_linearizable("PriorityQueue, bounded", Menu::Blocking, start, move || {
            PriorityQueue::bounded(capacity)
        });
    }
    let start = Model::new(Order::Priority, None);
    all_linearizable("PriorityQueue", Menu::Blocking, start, || {
        PriorityQueue::unbounded()
    });
}

#[test]
fn discipline_of_ones_own() {
    for capacity in [Some(1), Some(3), None] {
        let start = Model::new(Order::Priority, capacity);
        all_linearizable("BlockingQueue", Menu::Blocking, start, move || {
            BlockingQueue::with_discipline(ByRank::default(), capacity)
        });
    }
}

#[test]
fn simple_queue() {
    let start = Model::new(Order::Fifo, None);
    all_linearizable("SimpleQueue", Menu::Simple, start, SimpleQueue::new);
}

/// At a rendezvous a put is over when its item has been taken, so a history is right if each item that was put
/// was got once, and by somebody who was there at the same time.
#[test]
fn rendezvous() {
    watchdog(LIMIT, "rendezvous", || {
        let mut meetings = 0;
        for seed in seeds() {
            let history = history_of(&Queue::bounded(0), Menu::HandToHand, seed);
            let got = |item| {
                history
                    .iter()
                    .filter(move |seen| seen.ret == Ret::Got(item))
            };
            let Some(Ret::All(left)) = history.last().map(|last| last.ret.clone()) else {
                unreachable!("the last operation takes what is left")
            };
            let mut gets = 0;
            for put in &history {
                let Op::Put(how, item) = put.op else { continue };
                let takers: Vec<_> = got(item).collect();
                let expected = match put.ret {
                    // What is left was left by one who did not wait, for a getter who did not either.
                    Ret::Done if how == How::Try && left.contains(&item) => 0..=0,
                    Ret::Done => 1..=1,
                    // Taken or not, before the future was dropped.
                    Ret::No(Why::Pending) => 0..=1,
                    _ => 0..=0,
                };
                let n = takers.len();
                assert!(expected.contains(&n), "seed {seed}: {put:?} and {takers:?}");
                gets += takers.len();
                let met = |get: &&Seen| put.called < get.returned && get.called < put.returned;
                assert!(
                    how == How::Try || takers.iter().all(met),
                    "seed {seed}: {put:?} and {takers:?} never met"
                );
            }
            let all = history
                .iter()
                .filter(|seen| matches!(seen.ret, Ret::Got(_)));
            assert_eq!(all.count(), gets, "seed {seed}: nothing comes from nowhere");
            meetings += gets;
        }
        assert!(meetings as u64 > ROUNDS, "{meetings} meetings show little");
    });
}
