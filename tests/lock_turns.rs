//! `sync::Lock`: whose turn it is, and how late. The bound that the docs of `Lock` give, limits shorter
//! than the time for which a waiter stays awake, and calls that are not answered.

mod common;

use common::{counting_waker, poll, watchdog};
use latchwork::GaveUp;
use latchwork::sync::Lock;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::task::{RawWaker, RawWakerVTable, Waker};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

/// For how long somebody may be overtaken.
const TURN: Duration = Duration::from_micros(500);

/// Long enough for whoever waits to have waited for too long.
fn let_time_pass() {
    std::thread::sleep(2 * TURN);
}

#[test]
fn the_first_in_line_is_handed_the_lock_after_half_a_millisecond() {
    let lock = Lock::new(());
    let held = lock.lock();
    let mut waiting: Vec<_> = (0..8).map(|_| Box::pin(lock.lock_async())).collect();
    for future in &mut waiting {
        assert!(poll(future.as_mut(), Waker::noop()).is_pending());
    }
    let_time_pass();
    drop(held);
    for mut future in waiting {
        assert!(lock.try_lock().is_none(), "handed over: nobody is quicker");
        let polled = poll(future.as_mut(), Waker::noop());
        assert!(polled.is_ready());
        // Until the last turn is half a millisecond ago as well.
        let_time_pass();
        drop(polled);
    }
    assert!(lock.try_lock().is_some());
}

#[test]
fn turns_come_half_a_millisecond_apart() {
    // What is claimed holds if it all goes quickly; on a busy machine it takes a few tries.
    watchdog(LIMIT, "turns_come_half_a_millisecond_apart", || {
        loop {
            let lock = Lock::new(());
            let held = lock.lock();
            let mut waiting = [(); 2].map(|()| Box::pin(lock.lock_async()));
            for future in &mut waiting {
                assert!(poll(future.as_mut(), Waker::noop()).is_pending());
            }
            let_time_pass();
            let begin = Instant::now();
            drop(held);
            let [mut first, mut second] = waiting;
            drop(poll(first.as_mut(), Waker::noop()));
            let is_open = lock.try_lock().is_some();
            if begin.elapsed() < TURN {
                assert!(is_open, "the second was called, and may be overtaken");
                assert!(poll(second.as_mut(), Waker::noop()).is_ready());
                return;
            }
        }
    });
}

#[test]
fn a_limit_shorter_than_the_spin_is_not_late_by_it() {
    // What a waiter stays awake for before it sleeps.
    const AWAKE: Duration = Duration::from_micros(40);
    // With a single processor nobody stays awake, and a sleep is as late as the system's timers.
    if std::thread::available_parallelism().map_or(1, usize::from) == 1 {
        return;
    }
    watchdog(LIMIT, "a_limit_shorter_than_the_spin", || {
        let lock = Lock::new(());
        let _held = lock.lock();
        let is_soon = |_: &i32| {
            let begin = Instant::now();
            let limit = AWAKE / 2;
            assert_eq!(lock.lock_within(limit).unwrap_err(), GaveUp::TimedOut);
            begin.elapsed() < AWAKE
        };
        // Now and then others want this core; always is something else.
        while (0..500).filter(is_soon).count() < 50 {}
    });
}

#[test]
fn a_call_is_passed_on_if_its_waker_panics_when_it_is_cloned() {
    const VTABLE: RawWakerVTable = RawWakerVTable::new(
        |_| panic!("a bad waker, on purpose"),
        |_| (),
        |_| (),
        |_| (),
    );
    // SAFETY: the data is never looked at.
    let bad = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) };

    let lock = Lock::new(());
    let (good, woken) = counting_waker();
    let held = lock.lock();
    let mut called = Box::pin(lock.lock_async());
    let mut behind = Box::pin(lock.lock_async());
    assert!(poll(called.as_mut(), Waker::noop()).is_pending());
    assert!(poll(behind.as_mut(), &good).is_pending());
    drop(held);
    // Free, and somebody is quicker than the called one, who lines up again.
    let newcomer = lock.try_lock().expect("open to anybody");
    let again = catch_unwind(AssertUnwindSafe(|| {
        drop(poll(called.as_mut(), &bad));
    }));
    assert!(again.is_err());
    drop(called);
    drop(newcomer);
    assert_eq!(woken.load(Ordering::Relaxed), 1, "it is the other's turn");
    assert!(poll(behind.as_mut(), &good).is_ready());
}

#[test]
fn who_is_behind_an_unanswered_call_is_handed_the_lock_all_the_same() {
    watchdog(LIMIT, "who_is_behind_an_unanswered_call", || {
        let lock = Lock::new(());
        let held = lock.lock();
        let mut called = Box::pin(lock.lock_async());
        assert!(poll(called.as_mut(), Waker::noop()).is_pending());
        let mut behind = Box::pin(lock.lock_async());
        assert!(poll(behind.as_mut(), Waker::noop()).is_pending());
        let mut last = Box::pin(lock.lock_async());
        let (waker, woken) = counting_waker();
        assert!(poll(last.as_mut(), &waker).is_pending());
        drop(held);
        // Called just now or, on a slow machine, handed the lock: then it owes an answer first.
        if lock.try_lock().is_some() {
            let_time_pass();
            // Every 64th unlock looks.
            let begin = Instant::now();
            let barged = (0..64).take_while(|_| lock.try_lock().is_some()).count();
            assert!(barged < 64, "overtaken for ever");
            drop(poll(behind.as_mut(), Waker::noop()));
            // Neither its turn, if all that went quickly, nor to be called beside the other.
            assert!(woken.load(Ordering::Relaxed) == 0 || begin.elapsed() >= TURN);
            drop(called);
            assert_eq!(woken.load(Ordering::Relaxed), 1);
        }
    });
}
