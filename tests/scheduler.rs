//! Schedulers: timers that belong together, called where one says.

mod common;

use common::{block_on, pending, poll, watchdog};
use latchwork::executor::{Executor, ThreadPoolExecutor};
use latchwork::sync::Event;
use latchwork::time::{Cancel, ManualClock, Scheduler, TimerError};
use latchwork::{GaveUp, Shutdown};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Waker;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

type Calls = Arc<Mutex<Vec<Box<dyn FnOnce() + Send>>>>;

/// Keeps what it is given, for the test to call.
fn kept() -> (Scheduler, Calls) {
    let calls = Calls::default();
    let its = Arc::clone(&calls);
    (
        Scheduler::on(move |call| its.lock().unwrap().push(call)),
        calls,
    )
}

#[test]
fn functions_are_called_where_it_says() {
    watchdog(LIMIT, "called_where_it_says", || {
        let pool = Arc::new(
            ThreadPoolExecutor::builder()
                .thread_name_prefix("own")
                .build(),
        );
        let its = Arc::clone(&pool);
        let scheduler = Scheduler::on(move |call| drop(its.spawn(call)));
        let name = || thread::current().name().map(str::to_owned);
        let once = scheduler.after(Duration::ZERO, name);
        assert_eq!(once.join().unwrap().as_deref(), Some("own_0"));
        let (send, heard) = mpsc::channel();
        let again = scheduler
            .every(Duration::from_millis(1))
            .times(2)
            .run(move |_| send.send(name()).unwrap());
        assert!(again.join().is_ok());
        assert!(
            heard
                .iter()
                .all(|name| name.is_some_and(|name| name.starts_with("own")))
        );
        let here = Scheduler::new().after(Duration::from_secs(3600), name);
        assert!(
            matches!(here.join(), Err(TimerError::Cancelled)),
            "dropped at once"
        );
        let scheduler = Scheduler::default();
        let here = scheduler.after(Duration::ZERO, name);
        assert_eq!(here.join().unwrap().as_deref(), Some("latchwork-timer"));
    });
}

/// What takes long holds up nobody if it is called elsewhere.
#[test]
fn long_calls_delay_nobody() {
    watchdog(LIMIT, "long_calls_delay_nobody", || {
        let go_on = Arc::new(Event::new());
        let its = Arc::clone(&go_on);
        let scheduler = Scheduler::on(|call| drop(thread::spawn(call)));
        let long = scheduler.after(Duration::ZERO, move || its.wait());
        for n in 0..3 {
            assert_eq!(
                scheduler.after(Duration::ZERO, move || n).join().unwrap(),
                n
            );
        }
        assert!(!long.is_finished());
        go_on.set();
        long.join().unwrap();
    });
}

#[test]
fn all_are_cancelled_together_or_with_the_last_handle() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = || {
        let calls = Arc::clone(&calls);
        move || calls.fetch_add(1, Ordering::Relaxed)
    };
    let scheduler = Scheduler::new();
    let set = || {
        let again = count();
        (
            scheduler.after(SECOND, count()),
            scheduler.at(clock.now() + 2 * SECOND, count()),
            scheduler.every(SECOND).run(move |_| {
                again();
            }),
        )
    };
    let (first, second, third) = set();
    clock.advance(SECOND);
    assert_eq!((calls.load(Ordering::Relaxed), scheduler.pending()), (2, 2));
    assert_eq!(scheduler.cancel_all(), 2);
    assert_eq!((scheduler.pending(), clock.armed()), (0, 0));
    assert!(first.join().is_ok());
    assert_eq!(second.cancel(), Cancel::Prevented);
    assert!(matches!(third.join(), Err(TimerError::Cancelled)));
    // And it goes on.
    let (first, _, _) = set();
    let clone = scheduler.clone();
    drop(scheduler);
    assert_eq!(clone.pending(), 3);
    drop(clone);
    assert!(matches!(first.join(), Err(TimerError::Cancelled)));
    assert_eq!(clock.armed(), 0);
    assert_eq!(Arc::strong_count(&calls), 1);
}

/// Between its instant and its call, in the pool's queue, a timer can still be cancelled.
#[test]
fn what_waits_in_the_pool_can_be_cancelled() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let (scheduler, calls) = kept();
    let timer = scheduler.after(SECOND, || 1);
    let other = scheduler.after(SECOND, || 2);
    let again = scheduler
        .every(SECOND)
        .run(|_| unreachable!("cancelled before"));
    clock.advance(SECOND);
    let due = std::mem::take(&mut *calls.lock().unwrap());
    assert_eq!(due.len(), 3);
    assert_eq!(timer.cancel(), Cancel::Prevented);
    assert_eq!(again.cancel(), Cancel::Prevented);
    due.into_iter().for_each(|call| call());
    assert!(matches!(timer.join(), Err(TimerError::Cancelled)));
    assert_eq!(other.join().unwrap(), 2);
    assert_eq!((clock.armed(), scheduler.pending()), (0, 0));
}

/// One that repeats is never called twice at a time, and its instants stay where they were.
#[test]
fn a_call_that_waits_in_the_pool_is_not_overtaken_by_the_next() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let begin = clock.now();
    let (scheduler, calls) = kept();
    let (send, heard) = mpsc::channel();
    let again = scheduler.every(SECOND).run(move |tick| {
        send.send(((tick.scheduled() - begin).as_secs(), tick.missed()))
            .unwrap();
    });
    let call_one = || {
        let call = calls.lock().unwrap().pop().unwrap();
        assert!(calls.lock().unwrap().is_empty());
        call();
    };
    clock.advance(SECOND);
    clock.advance(2 * SECOND + SECOND / 2);
    call_one();
    clock.advance(SECOND);
    call_one();
    again.cancel();
    assert_eq!(heard.iter().collect::<Vec<_>>(), [(1, 0), (4, 2)]);
}

/// A pool that drops what it is given, or panics, loses those calls and no others.
#[test]
fn what_the_pool_refuses_is_lost() {
    watchdog(LIMIT, "what_the_pool_refuses", || {
        let pool = ThreadPoolExecutor::new(1);
        pool.shutdown(Shutdown::Immediate);
        let scheduler = Scheduler::on(move |call| drop(pool.spawn(call)));
        let lost = scheduler.after(Duration::ZERO, || ());
        assert!(matches!(lost.join(), Err(TimerError::Lost)));
        let scheduler = Scheduler::on(|_| panic!("a pool, on purpose"));
        let lost = scheduler.every(Duration::from_millis(1)).run(|_| ());
        assert!(matches!(lost.join(), Err(TimerError::Lost)));
        assert!(scheduler.try_join());
    });
}

#[test]
fn its_end_can_be_waited_for() {
    watchdog(LIMIT, "its_end_can_be_waited_for", || {
        let clock = ManualClock::new();
        let _on_it = clock.enter();
        let scheduler = Scheduler::new();
        scheduler.join();
        drop(scheduler.after(SECOND, || ()));
        drop(scheduler.every(SECOND).times(3).run(|_| ()));
        assert!(!scheduler.try_join());
        let late = scheduler.join_within(Duration::ZERO);
        assert_eq!(late, Err(GaveUp::TimedOut));
        let mut joining = pending(scheduler.join_async());
        clock.advance(3 * SECOND);
        assert!(poll(joining.as_mut(), Waker::noop()).is_ready());
        drop(joining);
        block_on(scheduler.join_async());
        scheduler.join();
        assert_eq!(format!("{scheduler:?}"), "Scheduler { pending: 0, .. }");
    });
}

/// A scheduler whose last handle is in one of its own functions goes away in that.
#[test]
fn a_scheduler_may_end_in_its_own_function() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let scheduler = Scheduler::new();
    let its = scheduler.clone();
    let last = scheduler.after(SECOND, move || drop(its));
    let other = scheduler.after(2 * SECOND, || ());
    drop(scheduler);
    clock.advance(SECOND);
    assert!(last.join().is_ok());
    assert!(matches!(other.join(), Err(TimerError::Cancelled)));
}

/// Set, called and cancelled by many at once.
#[test]
fn under_load() {
    watchdog(LIMIT, "under_load", || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let its = Arc::clone(&pool);
        let scheduler = Scheduler::on(move |call| drop(its.spawn(call)));
        let called = Arc::new(AtomicUsize::new(0));
        let prevented = AtomicUsize::new(0);
        const EACH: usize = 2_000;
        thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    for n in 0..EACH {
                        let calls = Arc::clone(&called);
                        let delay = Duration::from_micros(n as u64 % 200);
                        drop(scheduler.after(delay, move || calls.fetch_add(1, Ordering::Relaxed)));
                    }
                });
            }
            s.spawn(|| {
                for _ in 0..50 {
                    prevented.fetch_add(scheduler.cancel_all(), Ordering::Relaxed);
                    thread::yield_now();
                }
            });
        });
        scheduler.join();
        let all = called.load(Ordering::Relaxed) + prevented.into_inner();
        assert_eq!((all, scheduler.pending()), (2 * EACH, 0));
    });
}

/// What calls the functions may go away in the thread that rings, and panic or wait for a timer as it does.
#[test]
fn the_end_of_what_calls_them_holds_up_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            let other = Scheduler::new();
            let timer = other.after(Duration::from_millis(1), || ());
            timer.join().unwrap();
            panic!("a bomb, on purpose");
        }
    }
    watchdog(LIMIT, "what_calls_them_ends", || {
        let bomb = Bomb;
        let (called, go_on) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let its = (Arc::clone(&called), Arc::clone(&go_on));
        let scheduler = Scheduler::on(move |call| {
            let _its_own = &bomb;
            call();
            its.0.set();
            its.1.wait();
        });
        drop(scheduler.after(Duration::ZERO, || ()));
        called.wait();
        drop(scheduler);
        go_on.set();
        let other = Scheduler::new();
        let timer = other.after(Duration::from_millis(1), || 1);
        assert_eq!(timer.join_within(10 * SECOND).unwrap().unwrap(), 1);
    });
}
