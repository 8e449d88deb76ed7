//! `sync::Once` and `sync::Lazy`: one value, made by one, also when others give up, fail or panic.

mod common;

use common::{block_on, poll, until_parked, watchdog};
use latchwork::sync::{Event, Lazy, Once, SetError};
use latchwork::{CancelToken, GaveUp};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs `body` while another thread makes the value of `once`, which it does when `body` does or says so.
fn while_made<T: Send + Sync>(once: &Once<T>, value: T, body: impl FnOnce(&Event)) {
    let (begun, may_end) = (Event::new(), Event::new());
    thread::scope(|s| {
        s.spawn(|| {
            once.get_or_init(|| {
                begun.set();
                may_end.wait();
                value
            });
        });
        begun.wait();
        body(&may_end);
        may_end.set();
    });
}

#[test]
fn one_value_made_by_one() {
    watchdog(LIMIT, "one_value_made_by_one", || {
        for _ in 0..300 {
            let (once, made) = (Once::new(), AtomicUsize::new(0));
            thread::scope(|s| {
                for n in 0..4 {
                    let (once, made) = (&once, &made);
                    s.spawn(move || {
                        let value = once.get_or_init(|| {
                            made.fetch_add(1, Ordering::Relaxed);
                            vec![n; 3]
                        });
                        assert_eq!(*value, vec![value[0]; 3]);
                        assert!(std::ptr::eq(value, once.wait()));
                    });
                }
                s.spawn(|| once.wait().len());
            });
            assert_eq!(made.into_inner(), 1);
        }
    });
}

#[test]
fn set_and_get() {
    let once = Once::new();
    assert_eq!(once.get(), None);
    assert_eq!(once.set(1), Ok(()));
    assert_eq!(once.set(2), Err(SetError::AlreadySet(2)));
    assert_eq!(once.set(2).unwrap_err().into_inner(), 2);
    assert_eq!(once.get(), Some(&1));
    assert_eq!(*once.get_or_init(|| unreachable!()), 1);
    assert_eq!(block_on(once.wait_async()), &1);
    let token = CancelToken::new();
    token.cancel();
    assert_eq!(once.wait_within(&token), Ok(&1), "what can be done is");
}

#[test]
fn a_limit_on_somebody_elses_initialiser() {
    watchdog(LIMIT, "a_limit_on_somebody_elses", || {
        let once = Once::new();
        while_made(&once, 7, |_| {
            let (limit, begin) = (Duration::from_millis(10), Instant::now());
            let mine = once.get_or_init_within(limit, || unreachable!());
            assert_eq!(mine, Err(GaveUp::TimedOut));
            assert_eq!(once.wait_within(limit), Err(GaveUp::TimedOut));
            assert!(begin.elapsed() >= 2 * limit);
            assert_eq!(once.set(8), Err(SetError::Initialising(8)));
            let token = CancelToken::new();
            thread::scope(|s| {
                let waiter = s.spawn(|| once.get_or_init_within(&token, || unreachable!()));
                until_parked("Once", &once, 1);
                token.cancel();
                assert_eq!(waiter.join().unwrap(), Err(GaveUp::Cancelled));
            });
        });
        assert_eq!(once.get_or_init_within(Duration::ZERO, || 8), Ok(&7));
        let empty = Once::new();
        assert_eq!(empty.get_or_init_within(Duration::ZERO, || 8), Ok(&8));
    });
}

#[test]
fn those_who_wait_for_it_get_it() {
    watchdog(LIMIT, "those_who_wait_for_it_get_it", || {
        let once = Once::new();
        thread::scope(|s| {
            s.spawn(|| assert_eq!(once.wait(), "here"));
            s.spawn(|| assert_eq!(block_on(once.wait_async()), "here"));
            until_parked("Once", &once, 2);
            while_made(&once, "here".to_owned(), |_| {
                s.spawn(|| assert_eq!(once.get_or_init(|| unreachable!()), "here"));
                s.spawn(|| {
                    let made = once.get_or_init_async(|| async { unreachable!() });
                    assert_eq!(block_on(made), "here");
                });
                until_parked("Once", &once, 4);
            });
        });
    });
}

/// It follows the owner, for whoever looks for a circle.
#[test]
fn reports_say_who_makes_it() {
    watchdog(LIMIT, "reports_say_who_makes_it", || {
        let once = Once::new();
        let (maker, may_end) = (Mutex::new(None), Event::new());
        thread::scope(|s| {
            let made = s.spawn(|| {
                once.get_or_init(|| {
                    let me = latchwork::debug::current_thread();
                    *maker.lock().unwrap() = Some(me);
                    may_end.wait();
                })
            });
            until_parked("Event", &may_end, 1);
            let waiter = s.spawn(|| once.wait());
            until_parked("Once", &once, 1);
            let address = (&raw const once).addr();
            let waits = latchwork::debug::waits();
            let wait = waits.iter().find(|wait| wait.address == address);
            let owner = maker.lock().unwrap().clone();
            assert_eq!(wait.unwrap().owner, owner);
            assert!(format!("{once:?}").starts_with("Once { initialised_by: "));
            may_end.set();
            made.join().unwrap();
            waiter.join().unwrap();
        });
        assert_eq!(format!("{once:?}"), "Once { value: () }");
        assert_eq!(
            format!("{:?}", Once::<i32>::new()),
            "Once { initialised_by: nobody }"
        );
    });
}

#[test]
fn a_panic_leaves_it_empty_and_the_next_tries() {
    watchdog(LIMIT, "a_panic_leaves_it_empty", || {
        let once = Once::new();
        let (tries, may_panic) = (AtomicUsize::new(0), Event::new());
        thread::scope(|s| {
            let unlucky = s.spawn(|| {
                catch_unwind(AssertUnwindSafe(|| {
                    once.get_or_init(|| {
                        may_panic.wait();
                        resume_unwind(Box::new("on purpose"))
                    });
                }))
            });
            until_parked("Event", &may_panic, 1);
            // In front of those who would make it, one who would not.
            let patient = s.spawn(|| *once.wait());
            until_parked("Once", &once, 1);
            for _ in 0..3 {
                s.spawn(|| {
                    let value = once.get_or_init(|| {
                        tries.fetch_add(1, Ordering::Relaxed);
                        9
                    });
                    assert_eq!(*value, 9);
                });
            }
            until_parked("Once", &once, 4);
            may_panic.set();
            assert!(unlucky.join().unwrap().is_err());
            assert_eq!(patient.join().unwrap(), 9);
        });
        assert_eq!(tries.into_inner(), 1);
    });
}

/// Whoever has the turn to make it has it alone, somebody always gets it, and each value, used or not, is
/// dropped once.
#[test]
fn set_fail_and_make_race() {
    struct Counted<'a> {
        dropped: &'a AtomicUsize,
        by: usize,
    }
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
    watchdog(LIMIT, "set_fail_and_make_race", || {
        const ROUNDS: usize = 1_000;
        let (made, dropped) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let make = |by| {
            made.fetch_add(1, Ordering::Relaxed);
            Counted {
                dropped: &dropped,
                by,
            }
        };
        for round in 0..ROUNDS {
            let once: Once<Counted<'_>> = Once::new();
            thread::scope(|s| {
                let waiter = s.spawn(|| once.wait().by);
                let (once, make) = (&once, &make);
                for n in 0..3 {
                    s.spawn(move || match (round + n) % 3 {
                        0 => {
                            let _ = once.get_or_try_init(|| Err(()));
                        }
                        1 => drop(once.set(make(n))),
                        _ => {
                            let panics = || once.get_or_init(|| resume_unwind(Box::new(()))).by;
                            let _ = catch_unwind(AssertUnwindSafe(panics));
                        }
                    });
                }
                let by = once.get_or_init(|| make(9)).by;
                assert_eq!(waiter.join().unwrap(), by);
            });
            drop(once);
            let made = made.load(Ordering::Relaxed);
            assert!(made > round);
            assert_eq!(dropped.load(Ordering::Relaxed), made);
        }
    });
}

#[test]
fn an_error_leaves_it_empty() {
    let once = Once::new();
    assert_eq!(once.get_or_try_init(|| Err::<i32, _>("no")), Err("no"));
    assert_eq!(once.get(), None);
    let failed = once.get_or_try_init_async(|| async { Err::<i32, _>("no") });
    assert_eq!(block_on(failed), Err("no"));
    assert_eq!(once.get_or_try_init(|| Ok::<_, ()>(3)), Ok(&3));
    let there = once.get_or_try_init_async(|| async { Err("not asked") });
    assert_eq!(block_on(there), Ok(&3));
}

#[test]
fn an_initialiser_that_needs_itself_panics() {
    watchdog(LIMIT, "an_initialiser_that_needs_itself", || {
        fn needs_itself(once: &Once<i32>, again: impl Fn() -> i32) {
            let panicked = catch_unwind(AssertUnwindSafe(|| *once.get_or_init(&again)));
            let payload = panicked.unwrap_err();
            let said = payload.downcast_ref::<&str>().unwrap();
            assert!(said.contains("needs itself"), "{said}");
            assert_eq!(once.get(), None);
        }
        let once = Once::new();
        needs_itself(&once, || *once.get_or_init(|| 1));
        needs_itself(&once, || *once.wait());
        let limit = Duration::from_secs(1);
        needs_itself(&once, || *once.get_or_init_within(limit, || 1).unwrap());
        needs_itself(&once, || *once.wait_within(limit).unwrap());
        assert_eq!(
            *once.get_or_init(|| once.set(1).unwrap_err().into_inner()),
            1
        );
    });
}

#[test]
fn a_future_dropped_in_its_initialiser_leaves_it_to_the_next() {
    watchdog(LIMIT, "a_future_dropped_in_its_initialiser", || {
        let once = Once::new();
        thread::scope(|s| {
            {
                let mut maker = pin!(once.get_or_init_async(pending));
                assert!(poll(maker.as_mut(), Waker::noop()).is_pending());
                assert_eq!(format!("{once:?}"), "Once { initialised_by: a task }");
                s.spawn(|| assert_eq!(*once.get_or_init(|| 5), 5));
                until_parked("Once", &once, 1);
            }
            assert_eq!(once.wait(), &5);
        });
    });
}

#[test]
fn a_future_dropped_when_it_was_told_to_look_tells_the_next() {
    watchdog(LIMIT, "a_future_dropped_when_it_was_told", || {
        let once = Once::new();
        thread::scope(|s| {
            let mut first = Box::pin(once.get_or_init_async(pending));
            assert!(poll(first.as_mut(), Waker::noop()).is_pending());
            let mut told = Box::pin(once.get_or_init_async(|| async { 6 }));
            assert!(poll(told.as_mut(), Waker::noop()).is_pending());
            s.spawn(|| assert_eq!(*once.get_or_init(|| 5), 5));
            until_parked("Once", &once, 2);
            drop(first);
            drop(told);
        });
        assert_eq!(once.get(), Some(&5));
    });
}

#[test]
fn the_value_is_dropped_once_and_can_be_taken() {
    let counted = Arc::new(());
    let mut once = Once::from(Arc::clone(&counted));
    assert!(once.get_mut().is_some());
    assert!(once.take().is_some());
    assert_eq!((once.take(), Arc::strong_count(&counted)), (None, 1));
    assert!(once.set(Arc::clone(&counted)).is_ok());
    assert_eq!(Arc::strong_count(&counted), 2);
    drop(once);
    assert_eq!(Arc::strong_count(&counted), 1);
    let once = Once::from(Arc::clone(&counted));
    assert!(once.into_inner().is_some());
    assert_eq!(Arc::strong_count(&counted), 1);
    assert_eq!(Once::<i32>::default().into_inner(), None);
}

#[test]
fn lazy() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    static LAZY: Lazy<String> = Lazy::new(|| {
        MADE.fetch_add(1, Ordering::Relaxed);
        "made".to_owned()
    });
    assert!(Lazy::get(&LAZY).is_none());
    assert!(!format!("{LAZY:?}").contains("made"));
    assert_eq!(LAZY.len(), 4);
    assert_eq!(Lazy::force(&LAZY), "made");
    assert_eq!(Lazy::force_within(&LAZY, Duration::ZERO).unwrap(), "made");
    assert_eq!(block_on(Lazy::force_async(&LAZY)), "made");
    assert_eq!(MADE.load(Ordering::Relaxed), 1);
    assert!(format!("{LAZY:?}").contains("made"));
}

#[test]
fn a_lazy_value_of_ones_own() {
    let base = 4;
    let mut lazy = Lazy::new(move || base + 1);
    assert_eq!(Lazy::get_mut(&mut lazy), None);
    assert_eq!(block_on(Lazy::force_async(&lazy)), &5);
    *Lazy::get_mut(&mut lazy).unwrap() += 1;
    assert!(matches!(Lazy::into_inner(lazy), Ok(6)));
    let unused = Lazy::new(|| 3);
    assert_eq!(Lazy::into_inner(unused).err().unwrap()(), 3);
}

#[test]
fn a_lazy_value_is_tried_again_after_a_panic() {
    watchdog(LIMIT, "a_lazy_value_is_tried_again", || {
        let tries = AtomicUsize::new(0);
        let lazy = Lazy::new(|| match tries.fetch_add(1, Ordering::Relaxed) {
            0 => resume_unwind(Box::new("on purpose")),
            n => n,
        });
        assert!(catch_unwind(AssertUnwindSafe(|| *lazy)).is_err());
        assert_eq!(*lazy, 1);
    });
}

#[test]
fn a_limit_on_a_lazy_value() {
    watchdog(LIMIT, "a_limit_on_a_lazy_value", || {
        let (begun, may_end) = (Event::new(), Event::new());
        let lazy = Lazy::new(|| {
            begun.set();
            may_end.wait();
        });
        thread::scope(|s| {
            s.spawn(|| Lazy::force(&lazy));
            begun.wait();
            let late = Lazy::force_within(&lazy, Duration::from_millis(5));
            assert_eq!(late, Err(GaveUp::TimedOut));
            may_end.set();
        });
    });
}
