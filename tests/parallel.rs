//! Loops on all processors: what they visit, in which order results come, and what a panic does.

mod common;

use common::watchdog;
use latchwork::executor::ThreadPoolExecutor;
use latchwork::parallel::{self, Source};
use latchwork::sync::Barrier;
use proptest::prelude::*;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

/// Each item once, in every kind of source.
#[test]
fn every_item_once() {
    watchdog(LIMIT, "every_item_once", || {
        let seen: Vec<AtomicUsize> = (0..10_000).map(|_| AtomicUsize::new(0)).collect();
        let see = |n: usize| {
            seen[n].fetch_add(1, Ordering::Relaxed);
        };
        parallel::for_each(0..10_000_usize, see);
        parallel::for_each(0..10_000_u64, |n| see(n as usize));
        parallel::for_each(-5000..5000_i32, |n| see((n + 5000) as usize));
        let numbers: Vec<usize> = (0..10_000).collect();
        parallel::for_each(&numbers, |&n| see(n));
        parallel::for_each(&numbers[..], |&n| see(n));
        parallel::for_each((0..10_000_usize).min_len(300), see);
        assert!(seen.iter().all(|seen| seen.load(Ordering::Relaxed) == 6));
    });
}

/// Ranges of the narrow types, from end to end.
#[test]
fn whole_ranges() {
    watchdog(LIMIT, "whole_ranges", || {
        let sum = |bytes: &[i64]| bytes.iter().sum::<i64>();
        let bytes = parallel::map_collect(i8::MIN..i8::MAX, i64::from);
        assert_eq!((bytes.len(), sum(&bytes)), (255, -255));
        let bytes = parallel::map_collect(0..u8::MAX, i64::from);
        assert_eq!((bytes.len(), sum(&bytes)), (255, 254 * 255 / 2));
        let far = parallel::map_collect(i64::MAX - 3..i64::MAX, |n| n);
        assert_eq!(far, [i64::MAX - 3, i64::MAX - 2, i64::MAX - 1]);
        // Too many to visit: it is cut, and gives up by a panic.
        let panicked = catch_unwind(|| {
            parallel::for_each(i64::MIN..i64::MAX, |n| assert!(n < i64::MIN + 1000, "far"));
        });
        assert!(panicked.is_err());
    });
}

#[test]
fn nothing_to_do() {
    watchdog(LIMIT, "nothing_to_do", || {
        parallel::for_each(0..0_usize, |_| panic!("there is none"));
        #[expect(clippy::reversed_empty_ranges, reason = "it is empty")]
        parallel::for_each(5..3_i64, |_| panic!("there is none"));
        parallel::for_each(&[] as &[u8], |_| panic!("there is none"));
        assert_eq!(parallel::map_collect(&[0_u8; 0], |n| *n), []);
        assert_eq!(parallel::map_reduce(0..0_u8, |n| n, || 7, |a, b| a + b), 7);
    });
}

/// Items and results without a size.
#[test]
fn items_without_a_size() {
    watchdog(LIMIT, "items_without_a_size", || {
        let nothings = vec![(); 100_000];
        let count = AtomicUsize::new(0);
        let results = parallel::map_collect(&nothings, |()| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!((results.len(), count.into_inner()), (100_000, 100_000));
    });
}

#[test]
fn a_slice_is_changed_in_place() {
    watchdog(LIMIT, "a_slice_is_changed", || {
        let mut words: Vec<String> = (0..3000).map(|n| n.to_string()).collect();
        parallel::for_each_mut(&mut words, |word| word.push('!'));
        parallel::for_each(&mut words, |word| word.insert(0, '<'));
        let as_expected = words
            .iter()
            .enumerate()
            .all(|(n, word)| *word == format!("<{n}!"));
        assert!(as_expected);
    });
}

/// More than one thread takes part: two items meet.
#[test]
fn more_than_one_at_a_time() {
    watchdog(LIMIT, "more_than_one_at_a_time", || {
        let pool = ThreadPoolExecutor::new(4);
        let meet = Barrier::new(4);
        for _ in 0..20 {
            let threads = Mutex::new(HashSet::new());
            pool.install(|| {
                parallel::for_each(0..4, |_| {
                    meet.wait().unwrap();
                    threads.lock().unwrap().insert(thread::current().id());
                });
            });
            assert_eq!(threads.into_inner().unwrap().len(), 4);
        }
    });
}

/// A few heavy items among many light ones are left to others while somebody is at one of them: the light ones all come
/// to their end although the first never would without them.
#[test]
fn who_is_stuck_keeps_nobody_from_the_rest() {
    watchdog(LIMIT, "who_is_stuck", || {
        let pool = ThreadPoolExecutor::new(2);
        for _ in 0..20 {
            let done = AtomicUsize::new(0);
            pool.install(|| {
                parallel::for_each(0..1000_usize, |n| {
                    // Half of what is left when it begins is there for others; an eighth may be in its block.
                    while n == 0 && done.load(Ordering::SeqCst) < 400 {
                        thread::yield_now();
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                });
            });
            assert_eq!(done.into_inner(), 1000);
        }
    });
}

/// Neighbours are reduced in their order.
#[test]
fn a_reduction_keeps_the_order() {
    watchdog(LIMIT, "a_reduction_keeps_the_order", || {
        let pool = ThreadPoolExecutor::new(3);
        let join = |mut a: Vec<u32>, b: Vec<u32>| {
            a.extend(b);
            a
        };
        let all = pool.install(|| parallel::map_reduce(0..5000_u32, |n| vec![n], Vec::new, join));
        assert!(all.into_iter().eq(0..5000));
    });
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Counted {
        alive.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A panic comes back when nothing runs any more, and what was made is dropped, once.
#[test]
fn a_panic_leaves_nothing_behind() {
    watchdog(LIMIT, "a_panic_leaves_nothing_behind", || {
        let pool = ThreadPoolExecutor::new(3);
        let alive = Arc::new(AtomicUsize::new(0));
        for bad in [0, 1, 17, 500, 999] {
            let running = AtomicUsize::new(0);
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                pool.install(|| {
                    parallel::map_collect(0..1000, |n| {
                        running.fetch_add(1, Ordering::SeqCst);
                        let made = Counted::new(&alive);
                        thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                        assert!(n != bad, "number {n}");
                        made
                    })
                })
            }));
            assert_eq!(running.into_inner(), 0);
            let said = panicked.map(drop).unwrap_err();
            assert_eq!(said.downcast_ref(), Some(&format!("number {bad}")));
            assert_eq!(alive.load(Ordering::Relaxed), 0);
        }
        let all = pool.install(|| parallel::map_collect(0..1000, |_| Counted::new(&alive)));
        assert_eq!(alive.load(Ordering::Relaxed), 1000);
        drop(all);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

/// J15: nested, it stays within the pool.
#[test]
fn nested_loops_use_no_more_threads() {
    watchdog(LIMIT, "nested_loops", || {
        let pool = ThreadPoolExecutor::new(2);
        let (now, most, sum) = (
            AtomicUsize::new(0),
            AtomicUsize::new(0),
            AtomicUsize::new(0),
        );
        pool.install(|| {
            parallel::for_each(0..20_usize, |a| {
                parallel::for_each(0..20_usize, |b| {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    sum.fetch_add(a * b, Ordering::Relaxed);
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            });
        });
        assert_eq!(sum.into_inner(), 190 * 190);
        // One more may come for a worker that sleeps in a join, and is there for a moment after that has woken up.
        assert!(most.into_inner() <= 4);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same as the plain loop, whatever the length, the least piece, and the number of workers.
    #[test]
    fn as_the_plain_loop(
        numbers in proptest::collection::vec(any::<u32>(), 0..2000),
        least in 1..300_usize,
        workers in 1..5_usize,
    ) {
        let pool = ThreadPoolExecutor::new(workers);
        let strings = pool.install(|| {
            parallel::map_collect((&numbers).min_len(least), |n| n.to_string())
        });
        let expected: Vec<_> = numbers.iter().map(u32::to_string).collect();
        prop_assert_eq!(strings, expected);
        let most = pool.install(|| {
            parallel::map_reduce((&numbers).min_len(least), |n| *n, || 0, u32::max)
        });
        prop_assert_eq!(most, numbers.iter().copied().max().unwrap_or(0));
    }
}
