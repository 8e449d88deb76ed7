//! Items that flow from some threads to others: how many a second, and what they cost.

use crate::run::Metric;
use crate::usage::Usage;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Items a second is what is judged; the rest tells what they cost, and would count it twice.
pub const METRICS: [Metric; 3] = [
    Metric::rate("items/s"),
    Metric::time("CPU ns/item").shown(),
    Metric::time("sleeps/1k items").shown(),
];

/// All putters and getters together, from the first put to the last get.
pub struct Flowed {
    pub items: u64,
    pub time: Duration,
    pub usage: Usage,
}

impl Flowed {
    /// A figure for each of [`METRICS`].
    pub fn figures(&self) -> [f64; 3] {
        let items = self.items.max(1) as f64;
        [
            items / self.time.as_secs_f64(),
            self.usage.cpu.as_secs_f64() * 1e9 / items,
            // One at least, as there is no ratio to nothing.
            self.usage.sleeps.max(1) as f64 * 1e3 / items,
        ]
    }
}

/// Runs each putter and each getter in a thread of its own. A putter is called until `sample` is
/// over; then `end` is, which tells the getters in whatever way they know. A getter is called until
/// it returns `None` instead of the number of items it got. They are dropped when all are through.
pub fn flow<P, G>(sample: Duration, putters: Vec<P>, getters: Vec<G>, end: impl FnOnce()) -> Flowed
where
    P: FnMut() + Send,
    G: FnMut() -> Option<u64> + Send,
{
    let stop = AtomicBool::new(false);
    let begin = Barrier::new(putters.len() + getters.len() + 1);
    let (stop, begin) = (&stop, &begin);
    let turns: Vec<Turn> = thread::scope(|scope| {
        let getting: Vec<_> = getters
            .into_iter()
            .map(|get| {
                scope.spawn(move || {
                    Turn::of(get, begin, |get| {
                        let mut items = 0;
                        while let Some(got) = get() {
                            items += got;
                        }
                        items
                    })
                })
            })
            .collect();
        let putting: Vec<_> = putters
            .into_iter()
            .map(|put| {
                scope.spawn(move || {
                    Turn::of(put, begin, |put| {
                        while !stop.load(Ordering::Relaxed) {
                            put();
                        }
                        0 // What counts is what arrives.
                    })
                })
            })
            .collect();
        begin.wait();
        thread::sleep(sample);
        stop.store(true, Ordering::Relaxed);
        let (mut turns, _putters) = joined(putting);
        end();
        let (got, _getters) = joined(getting);
        turns.extend(got);
        turns
    });
    // The threads' own clocks: this one may have got a processor long after they began.
    let begun = turns.iter().map(|turn| turn.begun).min();
    let ended = turns.iter().map(|turn| turn.ended).max();
    let (begun, ended) = begun.zip(ended).expect("there are threads");
    Flowed {
        items: turns.iter().map(|turn| turn.items).sum(),
        time: ended - begun,
        usage: turns
            .iter()
            .fold(Usage::default(), |sum, turn| sum.and(turn.usage)),
    }
}

/// What one thread did.
struct Turn {
    items: u64,
    begun: Instant,
    ended: Instant,
    usage: Usage,
}

impl Turn {
    /// `who` comes back alive: an end that closes early would fail the others. Until then it is on
    /// this thread's stack, where what it counts is in no cache line of another thread.
    fn of<F>(mut who: F, begin: &Barrier, work: impl FnOnce(&mut F) -> u64) -> (Turn, F) {
        begin.wait();
        let begun = Instant::now();
        let (items, usage) = Usage::of(|| work(&mut who));
        let turn = Turn {
            items,
            begun,
            ended: Instant::now(),
            usage,
        };
        (turn, who)
    }
}

fn joined<F>(threads: Vec<thread::ScopedJoinHandle<'_, (Turn, F)>>) -> (Vec<Turn>, Vec<F>) {
    let ended = threads.into_iter().map(|thread| thread.join());
    ended.map(|turn| turn.expect("it ends")).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn everything_that_was_put_is_counted_and_so_is_what_it_took() {
        let (sender, receiver) = mpsc::sync_channel(1);
        let put = mpsc::SyncSender::clone(&sender);
        let mut sent = 0;
        let flowed = flow(
            Duration::from_millis(20),
            vec![|| {
                put.send(true).expect("it is received");
                sent += 1;
                thread::sleep(Duration::from_micros(100));
            }],
            vec![move || receiver.recv().expect("an end comes first").then_some(1)],
            || sender.send(false).expect("it is received"),
        );
        assert!(sent > 0 && flowed.items == sent);
        assert!(flowed.time >= Duration::from_millis(20));
        assert!(
            flowed.usage.sleeps >= sent,
            "the putter alone sleeps that often"
        );
        let [rate, cpu, sleeps] = flowed.figures();
        assert!(rate > 0.0 && cpu > 0.0 && sleeps >= 1.0);
    }
}
