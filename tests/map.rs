//! Maps: rows F7-F19, F25. What holds for any executor is written for one, and run on threads and on processes.

mod common;

use common::watchdog;
use latchwork::executor::{
    Executor, SubmitRefusal, TaskError, TaskState, ThreadPoolExecutor, promise,
};
use latchwork::time::ManualClock;
use latchwork::{GaveUp, Limit, Shutdown};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

fn square(n: u64) -> u64 {
    assert!(n != 13, "unlucky");
    n * n
}

fn until_there(path: String) {
    while !Path::new(&path).exists() {
        thread::yield_now();
    }
}

/// A pool of one whose worker is at work until the result is released.
struct Busy {
    folder: tempfile::TempDir,
    path: String,
}

impl Busy {
    fn new(pool: &impl Executor) -> Busy {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("go").to_str().unwrap().to_owned();
        let future = pool.submit(until_there, path.clone()).unwrap();
        while !future.is_running() {
            thread::yield_now();
        }
        Busy { folder, path }
    }

    fn release(self) {
        std::fs::write(&self.path, "").unwrap();
        // The task may not have seen it yet.
        std::mem::forget(self.folder);
    }
}

/// F7, F8, F12, F16, F25: all of them, in order, each with its own end.
fn every_item_has_its_result(pool: &impl Executor) {
    for mapped in [
        pool.map(square, 10..16).unwrap(),
        pool.map_with(square).chunk(4).over(10..16).unwrap(),
        pool.map_with(square).chunk_auto().over(10..16).unwrap(),
    ] {
        assert_eq!(mapped.size_hint(), (1, Some(6)));
        check(mapped, 10..16);
    }
    check(pool.map_with(square).buffer(2).over(10..16), 10..16);
    check(
        pool.map_with(square).chunk(3).buffer(4).over(10..16),
        10..16,
    );
    assert_eq!(pool.map(square, []).unwrap().next(), None);
    assert_eq!(
        pool.map_with(square).chunk(3).over([]).unwrap().next(),
        None
    );
}

fn check(mapped: impl Iterator<Item = Result<u64, TaskError>>, items: impl Iterator<Item = u64>) {
    let mut items = items;
    for result in mapped {
        let n = items.next().expect("no more results than items");
        match result {
            Err(TaskError::Panicked(panic)) => {
                assert_eq!((n, panic.message.as_str()), (13, "unlucky"));
                assert!(panic.location.unwrap().contains("map.rs"));
                assert!(panic.thread.is_some());
            }
            other => assert_eq!(other, Ok(n * n)),
        }
    }
    assert_eq!(items.next(), None);
}

/// F8, F14: submitted at once, before anybody asks; cancelled when nobody asks any more.
fn eager_and_cancelled(pool: &impl Executor) {
    let busy = Busy::new(pool);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fn touch(path: String) {
        std::fs::write(path, "").unwrap();
    }
    let kept = pool.map(touch, [path("kept")]).unwrap();
    drop(pool.map(touch, [path("a"), path("b")]).unwrap());
    drop(
        pool.map_with(touch)
            .chunk(2)
            .over([path("c"), path("d")])
            .unwrap(),
    );
    drop(pool.map_with(touch).buffer(2).over([path("e")]));
    drop(pool.map_unordered(touch, [path("f")]).unwrap());
    busy.release();
    pool.shutdown_within(LIMIT).unwrap();
    let there: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(kept.all_ok(), Ok(()));
}

/// F10, F13: one deadline, from the call, over everything; the rest is cancelled, what is waited for included.
fn late(pool: &impl Executor) {
    let busy = Busy::new(pool);
    let clock = ManualClock::new();
    clock.run(|| {
        let mut whole = pool
            .map(square, 1..4)
            .unwrap()
            .within(Duration::from_secs(5));
        let builder = pool.map_with(square).within(Duration::from_secs(5));
        clock.advance(Duration::from_secs(5));
        assert_eq!(whole.next(), Some(Err(TaskError::GaveUp(GaveUp::TimedOut))));
        assert_eq!(whole.next(), None);
        let mut built = builder.chunk(2).over(1..4).unwrap();
        assert_eq!(built.next(), Some(Err(TaskError::GaveUp(GaveUp::TimedOut))));
        assert_eq!(built.next(), None);
        let buffered = pool.map_with(square).within(Duration::ZERO).buffer(2);
        let mut buffered = buffered.over(1..);
        assert_eq!(
            buffered.next(),
            Some(Err(TaskError::GaveUp(GaveUp::TimedOut)))
        );
        assert_eq!(buffered.next(), None);
        let mut any = pool
            .map_unordered(square, 1..4)
            .unwrap()
            .within(Duration::ZERO);
        assert_eq!(
            any.next(),
            Some((0, Err(TaskError::GaveUp(GaveUp::TimedOut))))
        );
        assert_eq!(any.next(), None);
        assert_eq!(any.size_hint(), (0, Some(0)));
    });
    busy.release();
}

/// F12, F15: the first error ends it, and nothing is overlooked.
fn errors_end_it_if_they_are_to(pool: &impl Executor) {
    let fast = pool.map(square, 12..1000).unwrap().fail_fast();
    let (fine, broken): (Vec<_>, Vec<_>) = fast.partition(Result::is_ok);
    assert_eq!((fine, broken.len()), (vec![Ok(144)], 1));
    let fast = pool.map_with(square).fail_fast().chunk(5).over(12..100);
    assert_eq!(fast.unwrap().count(), 2);
    assert_eq!(
        pool.map_with(square)
            .fail_fast()
            .buffer(3)
            .over(12..)
            .count(),
        2
    );
    let unordered = pool.map_unordered(square, 12..100).unwrap().fail_fast();
    assert!(unordered.filter(|(_, result)| result.is_err()).count() == 1);
    assert_eq!(pool.map(square, 0..13).unwrap().all_ok(), Ok(()));
    let error = pool.map(square, 0..20).unwrap().all_ok().unwrap_err();
    assert!(matches!(error, TaskError::Panicked(_)));
}

/// F18: no more than a bufferful is taken from the source, which is endless; in the caller's thread.
fn a_buffer_bounds_what_is_submitted(pool: &impl Executor) {
    for (most, chunk) in [(1, 1), (4, 1), (7, 3), (2, 100)] {
        let taken = Cell::new(0_u64);
        // Not `Send`: it is never taken to another thread.
        let source = std::iter::repeat_with(|| {
            taken.set(taken.get() + 1);
            20 + taken.get()
        });
        let mut mapped = pool.map_with(square).chunk(chunk).buffer(most).over(source);
        for given in 1..50 {
            assert_eq!(mapped.next(), Some(Ok((20 + given) * (20 + given))));
            assert!(taken.get() > given - 1 && taken.get() <= given + most as u64);
        }
    }
}

/// F18, F19: nothing is accepted any more: at the call, or in the middle of an endless source.
fn an_executor_that_is_gone(pool: &impl Executor) {
    let mut mapped = pool.map_with(square).buffer(2).over(20..);
    assert_eq!(mapped.next(), Some(Ok(400)));
    pool.shutdown(Shutdown::Drain);
    let mut ends: Vec<_> = mapped.by_ref().collect();
    assert!(
        matches!(ends.pop(), Some(Err(TaskError::Broken(_)))),
        "it is said"
    );
    assert_eq!(ends, [Ok(441), Ok(484)]);
    let refused = mapped.refused().unwrap();
    assert_eq!(
        (refused.value, &refused.reason),
        (23, &SubmitRefusal::ShutDown)
    );
    let refused = pool.map(square, [7, 8]).unwrap_err();
    assert_eq!(
        (refused.value, refused.reason),
        (7, SubmitRefusal::ShutDown)
    );
    let refused = pool.map_with(square).chunk(2).over([7, 8]).unwrap_err();
    assert_eq!(refused.value, 7);
    let refused = pool.starmap(|a: u8, b: u8| a + b, [(1, 2)]).unwrap_err();
    assert_eq!(refused.value, (1, 2));
}

/// F8, F9: several arguments, the shorter one ends it.
fn several_arguments(pool: &impl Executor) {
    let sums = pool.starmap(|a: u32, b: String| format!("{a}{b}"), [(1, "x".into())]);
    assert_eq!(sums.unwrap().next().unwrap().unwrap(), "1x");
    let powers = pool.map2(u64::pow, [2, 3, 4], [3, 2]).unwrap();
    assert_eq!(powers.map(Result::unwrap).collect::<Vec<_>>(), [8, 9]);
    let tuples = pool
        .map(|(a, b, c): (u8, u8, u8)| a + b + c, [(1, 2, 3)])
        .unwrap();
    assert_eq!(tuples.map(Result::unwrap).collect::<Vec<_>>(), [6]);
}

/// As they come, each with the position of its item.
fn unordered(pool: &impl Executor) {
    let mut all: Vec<_> = pool.map_unordered(square, 20..30).unwrap().collect();
    all.sort_by_key(|(position, _)| *position);
    let expected: Vec<_> = (20..30).map(|n| Ok(n * n)).enumerate().collect();
    assert_eq!(all, expected);
}

macro_rules! on_both {
    ($($check:ident,)*) => {
        mod on_threads {
            use super::*;
            $(#[test]
            fn $check() {
                watchdog(LIMIT, stringify!($check), || super::$check(&ThreadPoolExecutor::new(1)));
            })*
        }

        #[cfg(all(feature = "process", target_os = "linux"))]
        mod on_processes {
            use super::*;
            use latchwork::executor::ProcessPoolExecutor;
            $(#[test]
            fn $check() {
                watchdog(LIMIT, stringify!($check), || {
                    super::$check(&ProcessPoolExecutor::new(1).unwrap());
                });
            })*
        }
    };
}

on_both! {
    every_item_has_its_result,
    eager_and_cancelled,
    late,
    errors_end_it_if_they_are_to,
    a_buffer_bounds_what_is_submitted,
    an_executor_that_is_gone,
    several_arguments,
    unordered,
}

/// The results come in the order of their ends.
#[test]
fn unordered_is_in_the_order_of_ends() {
    watchdog(LIMIT, "unordered_is_in_the_order_of_ends", || {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let pool = ThreadPoolExecutor::new(2);
        let names = [path("slow"), path("fast")];
        let mut all = pool.map_unordered(until_there, names.clone()).unwrap();
        std::fs::write(&names[1], "").unwrap();
        assert_eq!(all.next(), Some((1, Ok(()))));
        std::fs::write(&names[0], "").unwrap();
        assert_eq!(all.next(), Some((0, Ok(()))));
        assert_eq!(all.next(), None);
    });
}

/// F17: the death of a worker costs its chunk, and no other.
#[cfg(all(feature = "process", target_os = "linux"))]
#[test]
fn a_death_costs_the_chunk() {
    watchdog(LIMIT, "a_death_costs_the_chunk", || {
        let pool = latchwork::executor::ProcessPoolExecutor::new(1).unwrap();
        let deadly = pool.map_with(|n: u8| if n == 3 { std::process::abort() } else { n });
        let ends: Vec<_> = deadly.chunk(2).over(0..6).unwrap().collect();
        assert_eq!(
            (&ends[..2], &ends[4..]),
            (&[Ok(0), Ok(1)][..], &[Ok(4), Ok(5)][..])
        );
        for end in &ends[2..4] {
            assert!(matches!(end, Err(TaskError::WorkerDied(_))), "{end:?}");
        }
    });
}

/// F17: a chunk is one message: all of its items are worked on by one process, one after the other.
#[cfg(all(feature = "process", target_os = "linux"))]
#[test]
fn a_chunk_is_one_task() {
    watchdog(LIMIT, "a_chunk_is_one_task", || {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        fn number(_: u8) -> (u32, usize) {
            (std::process::id(), CALLS.fetch_add(1, Ordering::SeqCst))
        }
        let pool = latchwork::executor::ProcessPoolExecutor::new(2).unwrap();
        let all = pool.map_with(number).chunk(5).over(0..10).unwrap();
        let all: Vec<_> = all.map(Result::unwrap).collect();
        for chunk in all.chunks(5) {
            let numbers = chunk.iter().map(|(_, number)| *number);
            assert!(chunk.iter().all(|(pid, _)| *pid == chunk[0].0));
            assert!(numbers.eq(chunk[0].1..chunk[0].1 + 5));
        }
    });
}

/// F16: what has been given out is kept nowhere, not even in the chunk it came with.
#[test]
fn nothing_is_kept() {
    let value = Arc::new(());
    let pool = ThreadPoolExecutor::new(1);
    let give = Arc::clone(&value);
    let mut mapped = pool.spawn_map(0..3, move |_| Arc::clone(&give)).unwrap();
    for left in [2, 1, 0] {
        drop(mapped.next());
        pool.spawn(|| ()).unwrap().wait();
        let of_results = Arc::strong_count(&value) - 1;
        // The closure's own one goes with the last task.
        assert!(of_results <= left + 1, "{of_results} of {left}");
    }
    drop(mapped);
    drop(pool);
    assert_eq!(Arc::strong_count(&value), 1);
}

/// A closure that has captured something is for threads.
#[test]
fn closures_with_captures() {
    watchdog(LIMIT, "closures_with_captures", || {
        let pool = ThreadPoolExecutor::new(2);
        let offset = 10;
        let mapped = pool.spawn_map(vec![1, 2, 3], move |n| n + offset).unwrap();
        assert_eq!(mapped.map(Result::unwrap).collect::<Vec<_>>(), [11, 12, 13]);
        pool.shutdown(Shutdown::Drain);
        let refused = pool
            .spawn_map(["a"], move |s: &str| s.len() + offset)
            .unwrap_err();
        assert_eq!(refused.value, "a");
    });
}

/// F39: a pool of one whose task maps over others of it.
#[test]
fn a_pool_of_one_maps_over_its_own_tasks() {
    watchdog(LIMIT, "a_pool_of_one_maps", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .spare_workers(0)
            .build();
        let pool = Arc::new(pool);
        let inside = Arc::clone(&pool);
        let task = pool.spawn(move || {
            let sum = |results: &mut dyn Iterator<Item = Result<u64, TaskError>>| {
                results.map(Result::unwrap).sum::<u64>()
            };
            let all = [
                sum(&mut inside.map(square, 1..4).unwrap()),
                sum(&mut inside.map_with(square).chunk(2).over(1..4).unwrap()),
                sum(&mut inside.map_with(square).buffer(1).over(1..4)),
                sum(&mut inside
                    .map_unordered(square, 1..4)
                    .unwrap()
                    .map(|(_, result)| result)),
            ];
            assert_eq!(all, [14; 4]);
        });
        assert_eq!(task.unwrap().result(), Ok(()));
    });
}

/// F7: a task and its future are there at once, and what it had captured goes with it.
#[test]
fn submit_returns_at_once() {
    watchdog(LIMIT, "submit_returns_at_once", || {
        let pool = ThreadPoolExecutor::new(1);
        let (release, until) = promise::<()>();
        let until = until.share();
        let held = until.clone();
        let future = pool.spawn(move || held.get().is_ok()).unwrap();
        assert_ne!(future.state(), TaskState::Finished);
        assert_eq!(pool.shutdown_within(Duration::ZERO), Err(GaveUp::TimedOut));
        release.complete(()).unwrap();
        assert_eq!(pool.shutdown_within(Limit::none()), Ok(()));
        assert_eq!(future.result(), Ok(true));
        assert!(until.unshare().is_ok());
    });
}

#[test]
#[should_panic(expected = "a chunk has an item at least")]
fn a_chunk_of_none() {
    let _ = ThreadPoolExecutor::new(1).map_with(square).chunk(0);
}

#[test]
#[should_panic(expected = "a buffer has room for an item at least")]
fn a_buffer_of_none() {
    let _ = ThreadPoolExecutor::new(1).map_with(square).buffer(0);
}
