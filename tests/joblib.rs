//! `parallel(..)`: joblib's `Parallel`, rows J1 to J13, J15, J17, J19, and case N48.

mod common;

use common::watchdog;
use latchwork::executor::{Executor, ThreadPoolExecutor};
use latchwork::parallel::{Batch, Jobs, ParallelError, parallel};
use latchwork::sync::{Barrier, Event};
use latchwork::{CancelToken, GaveUp, Shutdown};
use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);

/// J1, J2: results in the order of the items, whatever the jobs and batches; what is captured may be borrowed.
#[test]
fn results_in_order() {
    watchdog(LIMIT, "results_in_order", || {
        let pool = ThreadPoolExecutor::new(4);
        let words: Vec<String> = (0..500).map(|n| format!("word {n}")).collect();
        let suffix = String::from("!");
        let expected: Vec<String> = words.iter().map(|word| format!("{word}{suffix}")).collect();
        for jobs in [
            Jobs::N(1),
            Jobs::N(3),
            Jobs::N(9),
            Jobs::All,
            Jobs::AllBut(1),
        ] {
            for batch in [Batch::AUTO, Batch::N(0), Batch::N(7), Batch::N(1000)] {
                let loud = parallel(&words)
                    .on(&pool)
                    .jobs(jobs)
                    .batch(batch)
                    .map(|word| format!("{word}{suffix}"))
                    .collect();
                assert_eq!(loud.unwrap(), expected);
            }
        }
        assert_eq!(parallel(0..0).map(|n: u8| n).collect(), Ok(vec![]));
    });
}

/// J1, J18, J19: what the numbers mean.
#[test]
fn jobs_resolve() {
    let cpus = thread::available_parallelism().unwrap().get();
    assert_eq!(Jobs::N(3).resolve(), 3);
    assert_eq!(Jobs::All.resolve(), cpus);
    assert_eq!(Jobs::AllBut(1).resolve(), (cpus - 1).max(1));
    assert_eq!(Jobs::AllBut(usize::MAX).resolve(), 1);
}

#[test]
#[should_panic(expected = "no job does nothing")]
fn no_job_is_refused() {
    let _ = parallel(0..3).jobs(Jobs::N(0));
}

/// J1, J3: one job is a plain loop in the calling thread, which begins an item when its result is asked for.
#[test]
fn one_job_is_a_plain_loop() {
    watchdog(LIMIT, "one_job_is_a_plain_loop", || {
        let here = thread::current().id();
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let mut stream = parallel(0..)
            .jobs(Jobs::N(1))
            .map(move |n: usize| {
                assert_eq!(thread::current().id(), here);
                count.fetch_add(1, Ordering::SeqCst);
                n
            })
            .into_iter();
        for n in 0..5 {
            assert_eq!(stream.next(), Some(Ok(n)));
            assert_eq!(begun.load(Ordering::SeqCst), n + 1);
        }
    });
}

/// As many at a time as there are jobs, and no more.
#[test]
fn as_many_as_there_are_jobs() {
    watchdog(LIMIT, "as_many_as_there_are_jobs", || {
        let pool = ThreadPoolExecutor::new(8);
        let meet = Barrier::new(3);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |n: usize| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Nobody gets on unless three are here.
            meet.wait().unwrap();
            now.fetch_sub(1, Ordering::SeqCst);
            n
        };
        let done = parallel(0..60)
            .on(&pool)
            .jobs(Jobs::N(3))
            .batch(Batch::N(1))
            .map(work)
            .collect();
        assert!(done.unwrap().into_iter().eq(0..60));
        assert_eq!(most.into_inner(), 3);
    });
}

/// J9: the input is taken no further than the buffer, and stays in the calling thread.
#[test]
fn the_input_is_taken_bit_by_bit() {
    watchdog(LIMIT, "the_input_is_taken", || {
        let pool = ThreadPoolExecutor::new(2);
        for (buffer, most) in [(None, 4), (Some(10), 10), (Some(0), 1)] {
            let taken = Rc::new(Cell::new(0));
            let count = Rc::clone(&taken);
            let endless = (0..).inspect(move |_| count.set(count.get() + 1));
            let job = parallel(endless)
                .on(&pool)
                .jobs(Jobs::N(2))
                .batch(Batch::N(1));
            let job = match buffer {
                Some(buffer) => job.buffer(buffer),
                None => job,
            };
            let mut stream = job.map(|n: usize| n * 2).into_iter();
            for n in 0..50 {
                assert_eq!(stream.next(), Some(Ok(2 * n)));
                assert!(taken.get() <= n + most, "{} after {n}", taken.get());
            }
        }
    });
}

/// J12: unordered results come as they are done, though the first item is not.
#[test]
fn unordered_results_do_not_wait_for_the_first() {
    watchdog(LIMIT, "unordered_results", || {
        let pool = ThreadPoolExecutor::new(2);
        let others = Arc::new(Event::new());
        let done = Arc::clone(&others);
        let mut stream = parallel(0..10)
            .on(&pool)
            .jobs(Jobs::N(2))
            .batch(Batch::N(1))
            .buffer(10)
            .map(move |n: usize| {
                if n == 0 {
                    others.wait();
                }
                n
            })
            .unordered();
        let early: HashSet<_> = stream.by_ref().take(9).map(Result::unwrap).collect();
        assert_eq!(early, (1..10).collect());
        done.set();
        assert_eq!(stream.next(), Some(Ok(0)));
        assert_eq!(stream.next(), None);
    });
}

/// J12: whoever drops the iterator has the rest not begun, and what was captured is dropped.
#[test]
fn a_dropped_iterator_begins_nothing_more() {
    watchdog(LIMIT, "a_dropped_iterator", || {
        let pool = ThreadPoolExecutor::new(2);
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let mut stream = parallel(0..100_000)
            .on(&pool)
            .jobs(Jobs::N(2))
            .batch(Batch::N(1))
            .buffer(100_000)
            .map(move |_: usize| {
                count.fetch_add(1, Ordering::SeqCst);
                thread::yield_now();
            })
            .into_iter();
        assert_eq!(stream.next(), Some(Ok(())));
        drop(stream);
        pool.shutdown(Shutdown::Drain);
        pool.join();
        assert!(begun.load(Ordering::SeqCst) < 100_000);
        assert_eq!(Arc::strong_count(&begun), 1);
    });
}

/// J17: the first panic ends it: what has not begun is not begun.
#[test]
fn the_first_panic_ends_it() {
    watchdog(LIMIT, "the_first_panic_ends_it", || {
        let pool = ThreadPoolExecutor::new(2);
        let begun = AtomicUsize::new(0);
        let error = parallel(0..1_000_000)
            .on(&pool)
            .jobs(Jobs::N(2))
            .batch(Batch::N(1))
            .map(|n: usize| {
                begun.fetch_add(1, Ordering::SeqCst);
                assert!(n != 20, "twenty");
            })
            .collect()
            .unwrap_err();
        match error {
            ParallelError::Panicked { index: 20, panic } => assert_eq!(panic.message, "twenty"),
            other => panic!("{other:?}"),
        }
        assert!(begun.into_inner() < 1000);
        // As an iterator: what comes before it, and then the error, and nothing.
        let job = parallel(0..1000)
            .on(&pool)
            .jobs(Jobs::N(2))
            .batch(Batch::N(1));
        let results: Vec<_> = job
            .map(|n: usize| assert!(n != 7, "seven"))
            .into_iter()
            .collect();
        let (error, before) = results.split_last().unwrap();
        assert!(before.len() <= 7 && before.iter().all(Result::is_ok));
        assert!(matches!(
            error,
            Err(ParallelError::Panicked { index: 7, .. })
        ));
    });
}

/// Without `fail_fast` every item is done.
#[test]
fn every_other_item_is_done() {
    watchdog(LIMIT, "every_other_item_is_done", || {
        let pool = ThreadPoolExecutor::new(3);
        let work = |n: usize| {
            assert!(!n.is_multiple_of(10), "tens");
            n
        };
        let results = parallel(0..100)
            .on(&pool)
            .jobs(Jobs::N(3))
            .map(work)
            .results();
        assert_eq!(results.len(), 100);
        for (n, result) in results.into_iter().enumerate() {
            match result {
                Ok(number) => assert!(number == n && !n.is_multiple_of(10)),
                Err(ParallelError::Panicked { index, .. }) => {
                    assert!(index == n && n.is_multiple_of(10))
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        let slow = parallel(1..100).on(&pool).fail_fast(false).map(work);
        let error = slow.collect().unwrap_err();
        assert!(
            matches!(error, ParallelError::Panicked { index: 9, .. }),
            "{error}"
        );
    });
}

/// J8: one item that takes too long ends it.
#[test]
fn an_item_may_not_take_for_ever() {
    watchdog(LIMIT, "an_item_may_not_take_for_ever", || {
        let pool = ThreadPoolExecutor::new(2);
        let released = Arc::new(Event::new());
        let wait = Arc::clone(&released);
        let results: Vec<_> = parallel(0..100)
            .on(&pool)
            .jobs(Jobs::N(2))
            .item_limit(Duration::from_millis(50))
            .map(move |n: usize| {
                if n == 5 {
                    wait.wait();
                }
            })
            .unordered()
            .collect();
        assert_eq!(
            results.last(),
            Some(&Err(ParallelError::TooLong { index: 5 }))
        );
        assert!(results[..results.len() - 1].iter().all(Result::is_ok));
        released.set();
    });
}

/// J8: a limit over all of it, and a cancellation; `collect` returns when nothing runs any more.
#[test]
fn all_of_it_within_a_limit() {
    watchdog(LIMIT, "all_of_it_within_a_limit", || {
        let pool = ThreadPoolExecutor::new(2);
        let token = CancelToken::new();
        let running = AtomicUsize::new(0);
        let work = |n: usize| {
            running.fetch_add(1, Ordering::SeqCst);
            if n == 30 {
                token.cancel();
            }
            thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
        };
        let job = parallel(0..).on(&pool).jobs(Jobs::N(2)).batch(Batch::N(1));
        let error = job.within(&token).map(work).collect().unwrap_err();
        assert!(
            matches!(
                error,
                ParallelError::GaveUp {
                    why: GaveUp::Cancelled,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(running.load(Ordering::SeqCst), 0);

        let stuck = Arc::new(Event::new());
        let wait = Arc::clone(&stuck);
        let job = parallel(0..2)
            .on(&pool)
            .jobs(Jobs::N(2))
            .within(Duration::from_millis(30));
        let mut stream = job.map(move |_: u8| wait.wait()).into_iter();
        let error = stream.next().unwrap().unwrap_err();
        assert_eq!(
            error,
            ParallelError::GaveUp {
                index: 0,
                why: GaveUp::TimedOut
            }
        );
        assert_eq!(stream.next(), None);
        stuck.set();
    });
}

/// J6, J7: progress is told of what is done, in the calling thread, and ends with everything.
#[test]
fn progress_counts_what_is_done() {
    watchdog(LIMIT, "progress_counts", || {
        let pool = ThreadPoolExecutor::new(2);
        let here = thread::current().id();
        let finished = AtomicUsize::new(0);
        let mut seen = Vec::new();
        let job = parallel(0..100)
            .on(&pool)
            .jobs(Jobs::N(2))
            .batch(Batch::N(5));
        let results = job
            .progress(|progress| {
                assert_eq!(thread::current().id(), here);
                assert!(progress.done <= finished.load(Ordering::SeqCst));
                assert_eq!(progress.total, Some(100));
                seen.push((progress.done, progress.batches));
            })
            .map(|_| finished.fetch_add(1, Ordering::SeqCst))
            .collect();
        assert_eq!(results.unwrap().len(), 100);
        assert!(seen.is_sorted());
        assert_eq!(seen.last(), Some(&(100, 20)));
    });
}

/// J13: one pool for several calls: its threads are the same.
#[test]
fn a_pool_is_used_again() {
    watchdog(LIMIT, "a_pool_is_used_again", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(2)
            .thread_name_prefix("mine")
            .build();
        let names = Mutex::new(HashSet::new());
        for _ in 0..10 {
            let job = parallel(0..50).on(&pool).jobs(Jobs::N(2));
            let note = |_| {
                let name = thread::current().name().map(str::to_owned);
                names.lock().unwrap().extend(name);
            };
            job.map(note).into_unit();
        }
        let names = names.into_inner().unwrap();
        assert!(
            names
                .iter()
                .filter(|name| name.starts_with("mine_"))
                .count()
                <= 2
        );
    });
}

trait IntoUnit {
    fn into_unit(self);
}

impl<'p, I, F> IntoUnit for latchwork::parallel::ParallelMap<'p, I, F>
where
    I: Iterator<Item: Send>,
    F: Fn(I::Item) + Send + Sync,
{
    fn into_unit(self) {
        self.collect().unwrap();
    }
}

/// J15: nested in the same pool, in a pool of one, too; it ends, and uses no other threads.
#[test]
fn nested_calls_use_the_same_pool() {
    watchdog(LIMIT, "nested_calls", || {
        for workers in [1, 2, 4] {
            let pool = ThreadPoolExecutor::new(workers);
            let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let inner = |a: usize| {
                let leaf = |b: usize| {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    a * b
                };
                let products = parallel(0..20)
                    .jobs(Jobs::N(4))
                    .batch(Batch::N(2))
                    .map(leaf);
                products.collect().unwrap().into_iter().sum::<usize>()
            };
            let sums = pool.install(|| {
                let job = parallel(0..20).jobs(Jobs::N(4)).batch(Batch::N(1));
                job.map(inner).collect().unwrap()
            });
            assert_eq!(sums.into_iter().sum::<usize>(), 190 * 190);
            assert!(most.into_inner() <= workers);
        }
    });
}

/// J32: a pool that takes no tasks leaves the work to the caller.
#[test]
fn without_a_pool_the_caller_does_it() {
    watchdog(LIMIT, "without_a_pool", || {
        let pool = ThreadPoolExecutor::new(2);
        pool.shutdown(Shutdown::Drain);
        let here = thread::current().id();
        let threads = parallel(0..30)
            .on(&pool)
            .jobs(Jobs::N(4))
            .map(|_| thread::current().id());
        assert!(threads.collect().unwrap().into_iter().all(|id| id == here));
    });
}

/// A pool that is shut down in the middle, and cancels what it has not begun, loses nothing of it.
#[test]
fn a_shutdown_in_the_middle_loses_nothing() {
    watchdog(LIMIT, "a_shutdown_in_the_middle", || {
        for round in 0..50 {
            let pool = ThreadPoolExecutor::new(2);
            let busy = Arc::new(Event::new());
            let wait = Arc::clone(&busy);
            let blocked = pool.spawn(move || wait.wait()).unwrap();
            let work = |n: usize| {
                if n == round {
                    pool.shutdown(Shutdown::Immediate);
                    busy.set();
                }
                n
            };
            let job = parallel(0..100)
                .on(&pool)
                .jobs(Jobs::N(4))
                .batch(Batch::N(1));
            assert!(job.map(work).collect().unwrap().into_iter().eq(0..100));
            let _ = blocked.result();
        }
    });
}

/// J10, J33, N48: work that is not worth a thread is done in a few batches, and hardly slower than a plain loop.
#[test]
fn little_work_is_not_spread() {
    watchdog(LIMIT, "little_work_is_not_spread", || {
        let pool = ThreadPoolExecutor::new(4);
        let arrays: Vec<Vec<f64>> = (0..100).map(|n| vec![f64::from(n); 1000]).collect();
        let sum = |array: &Vec<f64>| array.iter().map(|x| x * x).sum::<f64>();
        let mut ratios = Vec::new();
        let mut fewest = usize::MAX;
        for _ in 0..40 {
            let start = Instant::now();
            let alone: Vec<f64> = arrays.iter().map(sum).collect();
            let serial = start.elapsed();
            let mut batches = 0;
            let start = Instant::now();
            let together = parallel(&arrays)
                .on(&pool)
                .jobs(Jobs::N(4))
                .progress(|progress| batches = progress.batches)
                .map(sum)
                .collect()
                .unwrap();
            ratios.push(start.elapsed().as_secs_f64() / serial.as_secs_f64());
            assert_eq!(together, alone);
            fewest = fewest.min(batches);
        }
        ratios.sort_by(f64::total_cmp);
        println!("median {:.2} of serial, {fewest} batches", ratios[20]);
        // Unoptimised, the work takes some thirty times as long, and is worth a few batches more. The first item is one.
        assert!(fewest <= if cfg!(debug_assertions) { 16 } else { 4 });
        assert!(ratios[20] < 2.0, "{:.2} of serial", ratios[20]);
    });
}

/// J10: batches grow until one takes as long as it should.
#[test]
fn batches_adapt() {
    watchdog(LIMIT, "batches_adapt", || {
        let pool = ThreadPoolExecutor::new(2);
        let mut batches = 0;
        let job = parallel(0..200_000).on(&pool).jobs(Jobs::N(2));
        let done = job
            .progress(|progress| batches = progress.batches)
            .map(|n: u64| n ^ 1)
            .collect();
        assert_eq!(done.unwrap().len(), 200_000);
        assert!(
            batches < 2000,
            "{batches} batches of two hundred thousand items"
        );
    });
}
