//! Jobs at their time: after a delay, at a fixed rate, with a fixed delay between, called off; and a whole day of them
//! in a moment, on a clock that is driven by hand.
//!
//! `cargo run --release --example scheduler`. In Python this is `sched.scheduler`, or a `threading.Timer` and its
//! thread for each job.

#[path = "shared/checks.rs"]
mod checks;

use checks::Checks;
use latchwork::executor::ThreadPoolExecutor;
use latchwork::sync::Lock;
use latchwork::time::{Cancel, ManualClock, Misfire, Scheduler, TimerError};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn main() -> ExitCode {
    let mut checks = Checks::default();
    in_real_time(&mut checks);
    rate_and_delay(&mut checks);
    called_off(&mut checks);
    a_day_in_a_moment(&mut checks);
    checks.end()
}

/// Jobs run in a pool, so that a long one holds up nobody, and come back with what they return.
fn in_real_time(checks: &mut Checks) {
    println!("after a delay, in a pool of two:");
    let pool = ThreadPoolExecutor::new(2);
    let scheduler = Scheduler::on(move |call| drop(pool.spawn(call)));
    let start = Instant::now();
    let ran = Arc::new(Lock::new(Vec::new()));
    let timers = [300, 100, 200].map(|after| {
        let ran = Arc::clone(&ran);
        scheduler.after(after * MS, move || {
            ran.lock().push(after);
            start.elapsed()
        })
    });
    let late: Vec<Duration> = (timers.into_iter().zip([300, 100, 200]))
        .filter_map(|(timer, after)| timer.join().ok()?.checked_sub(after * MS))
        .collect();
    checks.claim(
        format!(
            "each ran at its time or {:.0?} later at most",
            late.iter().max()
        ),
        late.len() == 3,
    );
    checks.claim(
        "in the order of their times",
        *ran.lock() == [100, 200, 300],
    );
    let broken = scheduler.after(MS, || panic!("on purpose"));
    let outcome: Result<(), TimerError> = broken.join();
    checks.claim(
        "a job that panics ends alone, and says so",
        matches!(outcome, Err(TimerError::Panicked(_))),
    );
    let timer = scheduler.after(MS, || 7);
    checks.claim("and the next one runs", timer.join().ok() == Some(7));
}

/// The same job, which takes a third of its period, in both ways; by a clock that makes it exact.
fn rate_and_delay(checks: &mut Checks) {
    println!("\nevery 60 s, where the job takes 20 s:");
    for has_fixed_delay in [false, true] {
        let clock = ManualClock::new();
        let begun = Arc::new(Lock::new(Vec::new()));
        let (log, job) = (Arc::clone(&begun), clock.clone());
        let start = clock.now();
        let scheduler = Scheduler::new();
        clock.run(|| {
            let every = scheduler.every(MINUTE).times(4);
            let every = match has_fixed_delay {
                true => every.fixed_delay(),
                false => every,
            };
            every.run(move |_| {
                log.lock().push((job.now() - start).as_secs());
                // The job's work: time passes while it runs.
                job.advance(MINUTE / 3);
            })
        });
        clock.advance(HOUR);
        let seconds = begun.lock().clone();
        println!("  {seconds:?}");
        let (name, expected) = match has_fixed_delay {
            true => (
                "a fixed delay counts from end to begin",
                [60, 140, 220, 300],
            ),
            false => (
                "a fixed rate counts from begin to begin",
                [60, 120, 180, 240],
            ),
        };
        checks.claim(name, seconds == expected);
    }
}

/// Called off before, while, and after it ran.
fn called_off(checks: &mut Checks) {
    println!("\ncalled off:");
    let clock = ManualClock::new();
    let scheduler = Scheduler::new();
    let count = Arc::new(AtomicU32::new(0));
    let timers = clock.run(|| {
        [1, 2, 3].map(|hours| {
            let count = Arc::clone(&count);
            scheduler.after(hours * HOUR, move || count.fetch_add(1, Ordering::Relaxed))
        })
    });
    clock.advance(HOUR);
    let [first, second, third] = timers;
    checks.claim(
        "too late for the first, in time for the second",
        first.cancel() == Cancel::Finished && second.cancel() == Cancel::Prevented,
    );
    checks.claim(
        "the second says that it was called off",
        matches!(second.join(), Err(TimerError::Cancelled)),
    );
    checks.claim(
        "the third is left, and goes with the rest",
        scheduler.cancel_all() == 1,
    );
    clock.advance(24 * HOUR);
    checks.claim(
        "nothing ran but the first",
        count.load(Ordering::Relaxed) == 1 && third.is_finished() && clock.armed() == 0,
    );
}

/// The jobs of an office, from midnight to midnight, on a clock that stands still but for `advance`.
fn a_day_in_a_moment(checks: &mut Checks) {
    println!("\na day on a clock that is driven by hand:");
    let clock = ManualClock::new();
    let midnight = clock.now();
    let office = Scheduler::new();
    let log = Arc::new(Lock::new(Vec::new()));
    let heartbeats = Arc::new(AtomicU32::new(0));
    let note = |what: &'static str| {
        let (log, clock) = (Arc::clone(&log), clock.clone());
        move || {
            let minutes = (clock.now() - midnight).as_secs() / 60;
            log.lock().push((minutes, what));
        }
    };
    clock.run(|| {
        let beat = Arc::clone(&heartbeats);
        office.every(MINUTE / 2).run(move |_| {
            beat.fetch_add(1, Ordering::Relaxed);
        });
        for (hour, what) in [(9, "opened"), (18, "closed")] {
            office.at(midnight + hour * HOUR, note(what));
        }
        let (lunch, coffee) = (note("lunch"), note("coffee"));
        office.after(12 * HOUR + 30 * MINUTE, lunch);
        let breaks = office.every(3 * HOUR).first_at(midnight + 10 * HOUR);
        breaks.times(3).run(move |_| coffee());
        // The night watch would come every two hours, and goes home at six.
        let rounds = note("night watch");
        let watch = office
            .every(2 * HOUR)
            .misfire(Misfire::Skip)
            .run(move |_| rounds());
        office.at(midnight + 6 * HOUR + MINUTE, move || {
            watch.cancel();
        });
    });
    let start = Instant::now();
    clock.advance(24 * HOUR);
    let took = start.elapsed();
    let log = log.lock();
    for (minutes, what) in log.iter() {
        println!("  {:02}:{:02}  {what}", minutes / 60, minutes % 60);
    }
    let expected = [
        (2, 0, "night watch"),
        (4, 0, "night watch"),
        (6, 0, "night watch"),
        (9, 0, "opened"),
        (10, 0, "coffee"),
        (12, 30, "lunch"),
        (13, 0, "coffee"),
        (16, 0, "coffee"),
        (18, 0, "closed"),
    ];
    let expected = expected.map(|(hour, minute, what)| (hour * 60 + minute, what));
    checks.claim("each at its minute, in order", *log == expected);
    let beats = heartbeats.load(Ordering::Relaxed);
    checks.claim(
        format!("{beats} heartbeats of half a minute, in {took:.1?}"),
        beats == 2 * 60 * 24 && took < Duration::from_secs(10),
    );
    checks.claim(
        "tomorrow goes on with the heartbeat alone",
        office.pending() == 1 && clock.next() == Some(midnight + 24 * HOUR + MINUTE / 2),
    );
}
