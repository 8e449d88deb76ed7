//! Producers and consumers with a bounded queue between them: what is full makes producers wait, what is empty makes
//! consumers wait, and a shutdown ends both without losing anything.
//!
//! `cargo run --release --example bounded_queue -- [ITEMS]`. In Python this is `queue.Queue(3)`, or a class of one's own
//! around `threading.Condition`, of which one condition is too few: with several producers *and* consumers, a
//! notification meant for one side can wake the other. Here the two sides have a line each.

#[path = "shared/checks.rs"]
mod checks;

use checks::Checks;
use latchwork::Shutdown;
use latchwork::queue::{GetError, PutError, Queue};
use latchwork::sync::Lock;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

const PRODUCING: Duration = Duration::from_millis(30);
const CONSUMING: Duration = Duration::from_millis(80);

fn main() -> ExitCode {
    let items = std::env::args().nth(1).map(|items| items.parse());
    let items: u32 = match items.transpose() {
        Ok(items) => items.unwrap_or(20_000),
        Err(error) => {
            eprintln!("bounded_queue: the number of items: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut checks = Checks::default();
    quick_producer(&mut checks);
    stop_at_once(&mut checks);
    crowd(&mut checks, items);
    checks.end()
}

/// One producer that is quicker than its consumer: the queue fills up and holds it back.
fn quick_producer(checks: &mut Checks) {
    println!(
        "a producer of {PRODUCING:?} and a consumer of {CONSUMING:?} with three places between them:"
    );
    let queue = Queue::bounded(3);
    let start = Instant::now();
    let log = Lock::new(Vec::new());
    let note = |what: String| {
        let at = start.elapsed().as_millis();
        log.lock().push(format!("  {at:>4} ms  {what}"));
    };
    let consumed = thread::scope(|s| {
        let (queue, note) = (&queue, &note);
        s.spawn(move || {
            for item in 1..=10 {
                thread::sleep(PRODUCING);
                if queue.is_full() {
                    note(format!("{item} has to wait, the queue is full"));
                }
                queue.put(item).expect("nobody shuts it down before this");
                note(format!("{item} put, {} in the queue", queue.len()));
            }
            // What is in it is still served.
            let left = queue.shutdown(Shutdown::Drain);
            assert!(left.is_empty());
        });
        let consumer = s.spawn(move || {
            let mut consumed = Vec::new();
            for item in queue.iter() {
                thread::sleep(CONSUMING);
                note(format!("      {item} consumed"));
                consumed.push(item);
            }
            consumed
        });
        consumer.join().expect("the consumer does not panic")
    });
    let took = start.elapsed();
    println!("{}", log.into_inner().join("\n"));
    checks.claim(
        "all ten came through, in order",
        consumed == (1..=10).collect::<Vec<_>>(),
    );
    let most = queue.stats().high_water;
    checks.claim(
        format!("it was full once, with {most} items, and never fuller"),
        most == 3,
    );
    let least = PRODUCING + CONSUMING * 10;
    checks.claim(
        format!("the slower side sets the pace: {took:.0?} where {least:?} is the least"),
        took >= least && took < least * 3,
    );
    checks.claim(
        "a put after the shutdown gives the item back",
        queue.put(11) == Err(PutError::ShutDown(11)),
    );
}

/// `Shutdown::Immediate`: everybody is woken, and what nobody has got comes back.
fn stop_at_once(checks: &mut Checks) {
    println!("\nstopped in the middle, with a producer and a consumer waiting:");
    let (full, empty) = (Queue::bounded(3), Queue::<u8>::bounded(3));
    full.put_many([1, 2, 3]).expect("there is room for three");
    let (refused, heard, left) = thread::scope(|s| {
        let producer = s.spawn(|| full.put(4));
        let consumer = s.spawn(|| empty.get());
        while latchwork::debug::waits().len() < 2 {
            thread::yield_now();
        }
        let left = full.shutdown(Shutdown::Immediate);
        assert!(empty.shutdown(Shutdown::Immediate).is_empty());
        let ended = "they do not panic";
        (
            producer.join().expect(ended),
            consumer.join().expect(ended),
            left,
        )
    });
    checks.claim(
        "the producer has its item back",
        refused == Err(PutError::ShutDown(4)),
    );
    checks.claim("the consumer hears of it", heard == Err(GetError::ShutDown));
    checks.claim(
        "whoever shut it down has the rest",
        left == [1, 2, 3] && full.is_empty(),
    );
}

/// Four of each, as fast as they can, and none of them is ever woken for the other side.
fn crowd(checks: &mut Checks, items: u32) {
    println!("\nfour producers and four consumers, {items} items, three places:");
    let queue = Queue::bounded(3);
    let start = Instant::now();
    let got = thread::scope(|s| {
        let consumers = [(); 4].map(|()| {
            s.spawn(|| {
                let mut got = Vec::new();
                while let Ok(item) = queue.get_task() {
                    got.push(*item);
                }
                got
            })
        });
        thread::scope(|s| {
            for producer in 0..4 {
                let queue = &queue;
                s.spawn(move || {
                    for item in (producer..items).step_by(4) {
                        queue.put(item).expect("shut down only when all is put");
                    }
                });
            }
        });
        let _ = queue.shutdown(Shutdown::Drain);
        // Until each item has been acknowledged, and not only been got.
        queue.join();
        consumers.map(|consumer| consumer.join().expect("a consumer does not panic"))
    });
    let took = start.elapsed();
    let all: Vec<u32> = got.iter().flatten().copied().collect();
    let distinct: BTreeSet<u32> = all.iter().copied().collect();
    checks.claim(
        format!("each item came through once, after {took:.0?}"),
        all.len() == items as usize && distinct.len() == all.len(),
    );
    let most = queue.stats().high_water;
    checks.claim(format!("at most {most} were in it"), most <= 3);
    for got in &got {
        let by_producer = |producer| got.iter().filter(move |item| *item % 4 == producer);
        let in_order = (0..4).all(|producer| by_producer(producer).is_sorted());
        checks.claim(
            format!("a consumer's {} are in each producer's order", got.len()),
            in_order,
        );
    }
}
