//! `sync::Latch` and `sync::WaitGroup`: counts that go down, by calls and by tokens.

mod common;

use common::{block_on, poll, until_parked, watchdog};
use latchwork::sync::{CountTooSmall, Latch, WaitGroup};
use latchwork::{CancelToken, GaveUp};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_latch_opens_once_and_for_good() {
    let latch = Latch::new(2);
    assert!(!latch.try_wait());
    assert!(!latch.count_down());
    assert!(latch.count_down(), "the one that opens it");
    assert!(!latch.count_down(), "it stays as it is");
    assert!(latch.try_wait());
    latch.wait();
    latch.arrive_and_wait();
    assert_eq!(latch.wait_within(Duration::ZERO), Ok(()));
    assert_eq!(latch.count(), 0);
    assert!(Latch::new(0).try_wait());
}

#[test]
fn a_count_that_is_too_big_changes_nothing() {
    let latch = Latch::new(3);
    assert_eq!(latch.count_down_by(4), Err(CountTooSmall));
    assert_eq!(latch.count_down_by(usize::MAX), Err(CountTooSmall));
    assert_eq!(latch.count(), 3);
    assert_eq!(latch.count_down_by(0), Ok(false));
    assert_eq!(latch.count_down_by(2), Ok(false));
    assert_eq!(latch.count_down_by(1), Ok(true));
    assert_eq!(latch.count_down_by(0), Ok(false));
    assert_eq!(latch.count_down_by(1), Err(CountTooSmall));
    assert_eq!(Latch::new(Latch::MAX_COUNT).count(), Latch::MAX_COUNT);
}

#[test]
#[should_panic(expected = "more than can be counted")]
fn a_latch_that_is_too_big() {
    let _ = Latch::new(Latch::MAX_COUNT + 1);
}

#[test]
fn everybody_who_waits_at_a_latch_is_released() {
    watchdog(LIMIT, "everybody_who_waits_at_a_latch", || {
        let latch = Latch::new(3);
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| latch.wait());
            }
            s.spawn(|| block_on(latch.wait_async()));
            s.spawn(|| latch.arrive_and_wait());
            until_parked("Latch", &latch, 6);
            assert_eq!(format!("{latch:?}"), "Latch { count: 2, waited_for: true }");
            latch.count_down_by(2).unwrap();
        });
        assert_eq!(
            format!("{latch:?}"),
            "Latch { count: 0, waited_for: false }"
        );
    });
}

#[test]
fn a_thousand_latches() {
    watchdog(LIMIT, "a_thousand_latches", || {
        let done = AtomicUsize::new(0);
        let latches: Vec<_> = (0..1_000).map(|_| Latch::new(4)).collect();
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for (n, latch) in latches.iter().enumerate() {
                        done.fetch_add(1, Ordering::Relaxed);
                        latch.arrive_and_wait();
                        assert!(done.load(Ordering::Relaxed) >= 4 * (n + 1));
                    }
                });
            }
        });
    });
}

#[test]
fn limits() {
    watchdog(LIMIT, "limits", || {
        let (latch, group) = (Latch::new(1), WaitGroup::new());
        let token = group.add();
        let begin = Instant::now();
        let limit = Duration::from_millis(10);
        assert_eq!(latch.wait_within(limit), Err(GaveUp::TimedOut));
        assert_eq!(group.wait_within(limit), Err(GaveUp::TimedOut));
        assert!(begin.elapsed() >= 2 * limit);
        let cancel = CancelToken::new();
        thread::scope(|s| {
            let waiters = [
                s.spawn(|| latch.wait_within(&cancel)),
                s.spawn(|| group.wait_within(&cancel)),
            ];
            until_parked("Latch", &latch, 1);
            until_parked("WaitGroup", &group, 1);
            cancel.cancel();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Err(GaveUp::Cancelled));
            }
        });
        assert!(format!("{latch:?}").contains("waited_for: false"));
        assert_eq!(
            format!("{group:?}"),
            "WaitGroup { count: 1, waited_for: false }"
        );
        drop(token);
        assert_eq!(group.wait_within(&cancel), Ok(()), "what can be done is");
    });
}

#[test]
fn a_group_waits_for_every_token() {
    watchdog(LIMIT, "a_group_waits_for_every_token", || {
        let group = Arc::new(WaitGroup::new());
        group.wait();
        let ended = Arc::new(AtomicUsize::new(0));
        for round in 1..=50 {
            for _ in 0..3 {
                let token = group.add_owned();
                let ended = Arc::clone(&ended);
                thread::spawn(move || {
                    // A worker that brings another along.
                    let second = token.clone();
                    let also = Arc::clone(&ended);
                    thread::spawn(move || {
                        also.fetch_add(1, Ordering::Relaxed);
                        drop(second);
                    });
                    ended.fetch_add(1, Ordering::Relaxed);
                    drop(token);
                });
            }
            group.wait();
            assert_eq!(ended.load(Ordering::Relaxed), 6 * round);
            assert!(group.try_wait());
        }
    });
}

#[test]
fn a_panic_ends_a_token() {
    let group = WaitGroup::new();
    let token = group.add();
    let second = token.clone();
    assert_eq!(group.count(), 2);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _token = token;
        resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err());
    assert_eq!(group.count(), 1);
    drop(second);
    group.wait();
}

#[test]
fn an_owned_token_keeps_its_group() {
    let group = Arc::new(WaitGroup::default());
    let token = group.add_owned();
    drop(group);
    drop(token);
}

/// Go calls this misuse: a group that is used again before those who waited have looked.
#[test]
fn who_waited_for_nothing_under_way_is_released_though_something_begins() {
    watchdog(LIMIT, "who_waited_for_nothing", || {
        let group = WaitGroup::new();
        for _ in 0..200 {
            let first = group.add();
            thread::scope(|s| {
                s.spawn(|| group.wait());
                s.spawn(|| block_on(group.wait_async()));
                until_parked("WaitGroup", &group, 2);
                drop(first);
                let _second = group.add();
                // Both go with a token out.
                until_parked("WaitGroup", &group, 0);
                assert_eq!(group.wait_within(Duration::ZERO), Err(GaveUp::TimedOut));
            });
        }
    });
}

#[test]
fn a_future_is_released_by_a_zero_it_did_not_see() {
    let group = WaitGroup::new();
    let first = group.add();
    let mut future = pin!(group.wait_async());
    drop(first);
    let _second = group.add();
    assert!(poll(future.as_mut(), Waker::noop()).is_ready());
}

proptest! {
    #[test]
    fn a_latch_behaves_like_a_number(
        start in 0usize..20,
        steps in proptest::collection::vec(0usize..5, 0..20),
    ) {
        let latch = Latch::new(start);
        let mut count = start;
        for n in steps {
            let mut future = pin!(latch.wait_async());
            prop_assert_eq!(poll(future.as_mut(), Waker::noop()).is_ready(), count == 0);
            let expected = match count.checked_sub(n) {
                Some(left) => {
                    count = left;
                    Ok(n > 0 && left == 0)
                }
                None => Err(CountTooSmall),
            };
            prop_assert_eq!(latch.count_down_by(n), expected);
            prop_assert_eq!(latch.count(), count);
            if expected == Ok(true) {
                prop_assert!(poll(future.as_mut(), Waker::noop()).is_ready());
            }
        }
    }

    #[test]
    fn a_group_behaves_like_a_list(steps in proptest::collection::vec(0u8..3, 0..40)) {
        let group = WaitGroup::new();
        let mut tokens = Vec::new();
        for step in steps {
            match step {
                0 => tokens.push(group.add()),
                1 => drop(tokens.pop()),
                _ => tokens.extend(tokens.last().cloned()),
            }
            prop_assert_eq!(group.count(), tokens.len());
            prop_assert_eq!(group.try_wait(), tokens.is_empty());
        }
    }
}
