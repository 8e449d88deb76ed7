//! Futures, and what is made of them: rows F68-F78, F83-F86, F97, A9; what runs on threads is a pool's, the rest a promise's.

mod common;

use common::{block_on, parked, pending, ready, watchdog};
use latchwork::executor::{
    Failure, ReturnWhen, SharedFuture, TaskError, TaskFuture, TaskState, ThreadPoolExecutor,
    as_completed, join_all, promise, race, race_ok, try_join_all, wait,
};
use latchwork::sync::{Event, Latch, Lock};
use latchwork::{GaveUp, Limit};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// F68, F70: what each state says.
#[test]
fn states() {
    let (promise, future) = promise::<u8>();
    assert_eq!(future.state(), TaskState::Pending);
    assert!(!future.is_running() && !future.is_done() && !future.is_cancelled());
    let running = promise.start().unwrap();
    assert!(future.is_running() && !future.state().is_done());
    running.complete(1);
    assert!(future.is_done() && future.state() == TaskState::Finished);
    assert!(!future.cancel(), "too late");
    let (_promise, future) = latchwork::executor::promise::<u8>();
    assert!(future.cancel() && future.cancel(), "F69: cancelled already");
    assert!(future.state() == TaskState::Cancelled && future.is_done());
}

/// F71: lent as often as one likes, to as many threads as one likes, and taken in the end.
#[test]
fn a_result_is_lent_and_then_taken() {
    watchdog(LIMIT, "a_result_is_lent", || {
        let (promise, future) = promise::<String>();
        assert!(future.try_get().is_none());
        assert_eq!(
            future.get_within(Duration::ZERO).unwrap_err(),
            GaveUp::TimedOut
        );
        thread::scope(|s| {
            let waiters = [0, 1].map(|_| parked(s, || future.get().unwrap().as_ptr().addr()));
            promise.complete("shared".into()).unwrap();
            let [one, two] = waiters.map(|waiter| waiter.join().unwrap());
            assert_eq!(one, two, "the same object");
        });
        assert_eq!(future.try_get().unwrap().unwrap(), "shared");
        assert_eq!(block_on(future.get_async()).unwrap(), "shared");
        assert_eq!(
            future.get_within(Duration::ZERO).unwrap().unwrap(),
            "shared"
        );
        assert_eq!(future.result().unwrap(), "shared");
    });
}

/// F72: `exception` waits, `error` does not.
#[test]
fn exception_waits_and_error_does_not() {
    watchdog(LIMIT, "exception_waits", || {
        let (promise, future) = promise::<u8>();
        assert_eq!(future.error(), None);
        assert_eq!(
            future.exception_within(Duration::ZERO),
            Err(GaveUp::TimedOut)
        );
        thread::scope(|s| {
            let waiter = parked(s, || future.exception().cloned());
            drop(promise);
            assert_eq!(waiter.join().unwrap(), Some(TaskError::Lost));
        });
        assert_eq!(future.error(), Some(&TaskError::Lost));
        let fine = ThreadPoolExecutor::new(1).spawn(|| 1).unwrap();
        assert_eq!(fine.exception(), None);
    });
}

/// F69: who cancels runs the callbacks, and whoever waits hears of it.
#[test]
fn cancelling_tells_everybody() {
    watchdog(LIMIT, "cancelling_tells_everybody", || {
        let (_promise, future) = promise::<u8>();
        let (tell, told) = mpsc::channel();
        future.on_done(move |end| {
            tell.send((end.error().cloned(), thread::current().id()))
                .unwrap();
        });
        thread::scope(|s| {
            let waiter = parked(s, || future.get().cloned().map_err(TaskError::clone));
            assert!(future.cancel());
            assert_eq!(waiter.join().unwrap(), Err(TaskError::Cancelled));
        });
        let here = thread::current().id();
        assert_eq!(told.try_recv(), Ok((Some(TaskError::Cancelled), here)));
    });
}

/// F73: who gives up waiting cancels nothing, and a task that runs cannot be cancelled.
#[test]
fn giving_up_does_not_cancel() {
    let (promise, future) = promise::<u8>();
    let running = promise.start().unwrap();
    let late = future.result_within(Duration::from_millis(1)).unwrap_err();
    assert_eq!(late.why, GaveUp::TimedOut);
    assert!(late.future.is_running() && !running.is_cancel_requested());
    assert!(!late.future.cancel() && running.is_cancel_requested());
    running.complete(1);
    assert_eq!(late.future.result(), Ok(1));
}

/// F78: whoever waits is told before callbacks run, in whichever way it waits.
#[test]
fn callbacks_come_last() {
    watchdog(LIMIT, "callbacks_come_last", || {
        let (promise, mut future) = promise::<u8>();
        let (waker, woken) = common::counting_waker();
        assert!(common::poll(Pin::new(&mut future), &waker).is_pending());
        let future = future.share();
        let returned = Arc::new(Latch::new(3));
        let after = Arc::clone(&returned);
        future.on_done(move |_| {
            assert_eq!(woken.load(Ordering::SeqCst), 1, "who awaits");
            // Would wait for ever if one of those who wait were told after it.
            after.wait();
        });
        thread::scope(|s| {
            let _blocked = parked(s, || {
                future.wait();
                returned.count_down();
            });
            let _iterates = parked(s, || {
                assert_eq!(as_completed([&future], Limit::none()).count(), 1);
                returned.count_down();
            });
            let _waits = parked(s, || {
                wait([&future], ReturnWhen::FirstCompleted, Limit::none());
                returned.count_down();
            });
            promise.complete(1).unwrap();
        });
        assert!(returned.try_wait());
    });
}

/// F77: a callback that adds one, and one that cancels.
#[test]
fn callbacks_use_the_future() {
    watchdog(LIMIT, "callbacks_use_the_future", || {
        let (promise, future) = promise::<u8>();
        let future = future.share();
        let calls = Arc::new(Lock::new(Vec::new()));
        let (again, log) = (future.clone(), Arc::clone(&calls));
        future.on_done(move |_| {
            log.lock().push("first");
            assert!(!again.cancel());
            assert_eq!(again.get(), Ok(&1), "F76: it is done");
            let log = Arc::clone(&log);
            again.on_done(move |_| log.lock().push("added"));
        });
        promise.complete(1).unwrap();
        assert_eq!(*calls.lock(), ["first", "added"]);
    });
}

/// F83: what `Debug` says.
#[test]
fn debug_tells_the_state_and_the_error() {
    let (promise, future) = promise::<u8>();
    assert!(format!("{future:?}").contains("Pending"));
    drop(promise);
    let lost = format!("{future:?}");
    assert!(lost.contains("Finished") && lost.contains("Lost"), "{lost}");
    let (_promise, future) = latchwork::executor::promise::<u8>();
    future.cancel();
    assert!(format!("{future:?}").contains("Cancelled"));
}

/// F97: what a future is for, by the future.
#[test]
fn futures_are_keys() {
    let pool = ThreadPoolExecutor::new(2);
    let urls: HashMap<TaskFuture<usize>, &str> = ["a", "bb"]
        .map(|url| (pool.spawn(move || url.len()).unwrap(), url))
        .into();
    for (future, url) in urls {
        assert_eq!(future.result(), Ok(url.len()));
    }
}

/// F71, F84: clones share one result, which comes out when there is one left.
#[test]
fn shared_futures() {
    watchdog(LIMIT, "shared_futures", || {
        let (promise, future) = promise::<Vec<u8>>();
        let shared = future.share();
        let clone: SharedFuture<_> = shared.clone();
        assert_eq!(shared, clone);
        thread::scope(|s| {
            let blocked = parked(s, || shared.result());
            let awaiting = pending(clone.result_async());
            promise.complete(vec![1]).unwrap();
            assert_eq!(blocked.join().unwrap(), Ok(vec![1]));
            assert_eq!(ready(awaiting), Ok(vec![1]));
        });
        let shared = shared.unshare().unwrap_err();
        drop(clone);
        assert_eq!(shared.unshare().unwrap().result(), Ok(vec![1]));
    });
}

/// F11, F86: an error that a task returned is told from all others.
#[test]
fn flatten_makes_the_error_the_futures() {
    #[derive(Debug)]
    struct Timeout(u8);
    impl std::fmt::Display for Timeout {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "time-out {}", self.0)
        }
    }
    impl std::error::Error for Timeout {}

    let pool = ThreadPoolExecutor::new(1);
    let failed = pool.spawn(|| Err::<u8, _>(Timeout(7))).unwrap().flatten();
    let Err(TaskError::Failed(failure)) = failed.result() else {
        panic!("it has not failed")
    };
    assert_eq!(failure.downcast_ref::<Timeout>().unwrap().0, 7);
    assert_eq!(failure.to_string(), "time-out 7");
    assert!(failure.downcast_ref::<std::fmt::Error>().is_none());
    let fine = pool.spawn(|| Ok::<_, Timeout>(1)).unwrap().flatten();
    assert_eq!(fine.result(), Ok(1));
}

/// F86: the closure runs where the task ends, or at once; a panic in it is the derived future's.
#[test]
fn map_runs_where_the_task_ends() {
    watchdog(LIMIT, "map_runs_where_the_task_ends", || {
        let here = || thread::current().id();
        let (promise, future) = promise::<u8>();
        let mapped = future.map(move |n| (n + 1, here()));
        assert_eq!(mapped.state(), TaskState::Pending);
        let completer = thread::spawn(move || {
            promise.complete(1).unwrap();
            here()
        });
        let there = completer.join().unwrap();
        assert_eq!(ready(mapped), Ok((2, there)));
        let (promise, future) = latchwork::executor::promise::<u8>();
        promise.complete(1).unwrap();
        assert_eq!(future.map(move |n| (n, here())).result(), Ok((1, here())));

        let (promise, future) = latchwork::executor::promise::<u8>();
        let broken = future.map(|_| -> u8 { panic!("in the closure") });
        promise.complete(1).unwrap();
        match broken.result() {
            Err(TaskError::Panicked(panic)) => assert_eq!(panic.message, "in the closure"),
            other => panic!("{other:?}"),
        }
    });
}

/// F86: errors pass by, closures are not called, and `map_result` sees them.
#[test]
fn errors_pass_by() {
    let (lost, future) = promise::<u8>();
    let derived = future.map(|_| -> u8 { unreachable!() });
    let derived = derived.and_then(|_| -> TaskFuture<u8> { unreachable!() });
    let seen = derived.map_result(|result| {
        assert_eq!(result, Err(TaskError::Lost));
        Ok(3)
    });
    drop(lost);
    assert_eq!(seen.result(), Ok(3));
}

/// F86: cancelling what is made of a future cancels that one, at whichever stage; and its end is told at once.
#[test]
fn cancelling_goes_to_the_source() {
    let (promise, future) = promise::<u8>();
    let mapped = future.map(|n| n).map(|n| n);
    assert!(mapped.cancel());
    assert_eq!(mapped.result(), Err(TaskError::Cancelled));
    assert_eq!(promise.complete(1), Err(1), "the source is cancelled, too");

    let ((first, future), (second, inner)) = (
        latchwork::executor::promise::<u8>(),
        latchwork::executor::promise::<u8>(),
    );
    let chained = future.and_then(move |_| inner);
    first.complete(1).unwrap();
    assert!(!chained.is_done());
    assert!(chained.cancel());
    assert_eq!(second.complete(2), Err(2));
    assert_eq!(chained.result(), Err(TaskError::Cancelled));

    let (running, future) = latchwork::executor::promise::<u8>();
    let running = running.start().unwrap();
    let mapped = future.map(|n| n);
    assert!(mapped.cancel(), "the derived one has not started");
    assert!(running.is_cancel_requested());
    running.complete(1);
    assert_eq!(mapped.result(), Err(TaskError::Cancelled));
}

/// F86: a source that is cancelled is an error that passes by.
#[test]
fn a_cancelled_source_cancels() {
    let (_promise, future) = promise::<u8>();
    let future = future.share();
    assert!(future.cancel());
    let Ok(future) = future.unshare() else {
        panic!()
    };
    let mapped = future.map(|n| n);
    assert_eq!(mapped.state(), TaskState::Cancelled);
}

/// F86: the second task's result, and what is captured is gone by then.
#[test]
fn and_then_waits_for_the_second() {
    watchdog(LIMIT, "and_then_waits_for_the_second", || {
        let pool = Arc::new(ThreadPoolExecutor::new(2));
        let next = Arc::clone(&pool);
        let captured = Arc::new(());
        let held = Arc::clone(&captured);
        let sum = pool
            .spawn(|| vec![1, 2, 3])
            .unwrap()
            .and_then(move |numbers| {
                drop(held);
                next.spawn(move || numbers.iter().sum::<i32>()).unwrap()
            });
        assert_eq!(sum.result(), Ok(6));
        assert_eq!(Arc::strong_count(&captured), 1);
    });
}

/// F86: both, or the first error.
#[test]
fn zip_of_two() {
    let ((one, first), (two, second)) = (promise::<u8>(), promise::<&str>());
    let both = first.zip(second);
    two.complete("two").unwrap();
    assert!(!both.is_done());
    one.complete(1).unwrap();
    assert_eq!(both.result(), Ok((1, "two")));
    let ((one, first), (two, second)) = (promise::<u8>(), promise::<&str>());
    let both = first.zip(second);
    drop(two);
    assert_eq!(both.result(), Err(TaskError::Lost));
    assert_eq!(one.complete(1), Err(1), "the other one is cancelled");
}

/// A9: each with its own end, in order; and of none at once.
#[test]
fn join_all_keeps_the_order_and_every_error() {
    let (promises, futures): (Vec<_>, Vec<_>) = (0..4).map(|_| promise::<usize>()).unzip();
    let all = join_all(futures);
    for (n, promise) in promises.into_iter().enumerate().rev() {
        assert!(!all.is_done());
        match n {
            2 => drop(promise),
            n => promise.complete(n).unwrap(),
        }
    }
    assert_eq!(
        all.result().unwrap(),
        [Ok(0), Ok(1), Err(TaskError::Lost), Ok(3)]
    );
    assert_eq!(ready(join_all::<u8>([])), Ok(vec![]));
    assert_eq!(ready(try_join_all::<u8>([])), Ok(vec![]));
}

/// A9: the first error in time ends it, cancels what has not started, and lets the rest go on.
#[test]
fn try_join_all_ends_with_the_first_error() {
    let (mut promises, futures): (Vec<_>, Vec<_>) = (0..4).map(|_| promise::<usize>()).unzip();
    let all = try_join_all(futures);
    let running = promises.remove(0).start().unwrap();
    let failure = Failure::new("the second");
    promises.remove(0).fail(failure.clone()).unwrap();
    assert_eq!(all.result(), Err(TaskError::Failed(failure)));
    assert!(running.is_cancel_requested());
    running.complete(1);
    assert!(promises.iter().all(|promise| promise.is_cancelled()));
    let (promises, futures): (Vec<_>, Vec<_>) = (0..3).map(|_| promise::<usize>()).unzip();
    let all = try_join_all(futures);
    for (n, promise) in promises.into_iter().enumerate() {
        promise.complete(n).unwrap();
    }
    assert_eq!(all.result(), Ok(vec![0, 1, 2]));
}

/// F86: the first end, or the first result; losers are cancelled.
#[test]
fn races() {
    let (mut promises, futures): (Vec<_>, Vec<_>) = (0..3).map(|_| promise::<usize>()).unzip();
    let first = race(futures);
    promises.remove(1).complete(1).unwrap();
    assert_eq!(first.result(), Ok(1));
    assert!(promises.iter().all(|promise| promise.is_cancelled()));

    let (promises, futures): (Vec<_>, Vec<_>) = (0..3).map(|_| promise::<usize>()).unzip();
    let first = race(futures);
    let mut promises = promises.into_iter();
    drop(promises.next());
    assert_eq!(first.result(), Err(TaskError::Lost), "an end as any");

    let (mut promises, futures): (Vec<_>, Vec<_>) = (0..3).map(|_| promise::<usize>()).unzip();
    let first = race_ok(futures);
    drop(promises.remove(0));
    assert!(!first.is_done());
    promises.remove(0).complete(1).unwrap();
    assert_eq!(first.result(), Ok(1));
    assert!(promises[0].is_cancelled());

    let (promises, futures): (Vec<_>, Vec<_>) = (0..2).map(|_| promise::<usize>()).unzip();
    let none = race_ok(futures);
    drop(promises);
    assert_eq!(none.result(), Err(TaskError::Lost));
    assert_eq!(race::<u8>([]).result(), Err(TaskError::Lost));

    let (promises, futures): (Vec<_>, Vec<_>) = (0..2).map(|_| promise::<usize>()).unzip();
    assert!(race(futures).cancel());
    assert!(promises.iter().all(|promise| promise.is_cancelled()));
}

/// F85, F86: what is made of futures is awaited like any, and dropping it stops nothing.
#[test]
fn derived_futures_are_awaited() {
    watchdog(LIMIT, "derived_futures_are_awaited", || {
        let (promise, future) = promise::<u8>();
        let mut mapped = pending(future.map(|n| n + 1));
        promise.complete(1).unwrap();
        assert_eq!(ready(mapped.as_mut()), Ok(2));
        let ran = Arc::new(Event::new());
        let told = Arc::clone(&ran);
        let (promise, future) = latchwork::executor::promise::<u8>();
        drop(future.map(move |_| told.set()));
        promise.complete(1).unwrap();
        assert!(ran.is_set());
    });
}

/// F39, F86: a pool of one that waits, in a task, for what is made of its own tasks.
#[test]
fn a_pool_of_one_waits_for_derived_futures() {
    watchdog(LIMIT, "a_pool_of_one_waits", || {
        for spare in [256, 0] {
            let pool = ThreadPoolExecutor::builder()
                .max_workers(1)
                .spare_workers(spare)
                .build();
            let pool = Arc::new(pool);
            let inside = Arc::clone(&pool);
            let task = pool.spawn(move || {
                let spawn = |n: u32| inside.spawn(move || n).unwrap();
                assert_eq!(spawn(1).map(|n| n + 1).map(|n| n + 1).result(), Ok(3));
                let next = Arc::clone(&inside);
                let chained = spawn(1).and_then(move |n| next.spawn(move || n + 1).unwrap());
                assert_eq!(chained.result(), Ok(2));
                assert_eq!(join_all([spawn(1), spawn(2)]).result().unwrap().len(), 2);
                assert_eq!(try_join_all([spawn(1), spawn(2)]).result(), Ok(vec![1, 2]));
                assert_eq!(spawn(1).zip(spawn(2).map(|n| n * 2)).result(), Ok((1, 4)));
                if spare > 0 {
                    assert!(race([spawn(1), spawn(2)]).result().is_ok());
                } else {
                    let stuck = race([spawn(1), spawn(2)]).result();
                    assert_eq!(stuck, Err(TaskError::WouldDeadlock));
                }
            });
            assert_eq!(task.unwrap().result(), Ok(()));
        }
    });
}

/// F86: a long chain ends, is cancelled, and goes away unended, on a usual stack; in a worker, too.
#[test]
fn a_long_chain() {
    watchdog(LIMIT, "a_long_chain", || {
        let chain = |future: TaskFuture<u32>| (0..20_000).fold(future, |f, _| f.map(|n| n + 1));
        let (promise, future) = promise();
        let mapped = chain(future);
        promise.complete(0).unwrap();
        assert_eq!(mapped.result(), Ok(20_000));
        let (promise, future) = latchwork::executor::promise();
        let cancelled = chain(future);
        assert!(cancelled.cancel());
        assert_eq!(promise.complete(0), Err(0));
        let (promise, future) = latchwork::executor::promise();
        drop(chain(future));
        drop(promise);
        let (promise, future) = latchwork::executor::promise();
        let chained = (0..20_000).fold(future, |f, _| {
            f.and_then(|n| {
                let (promise, future) = latchwork::executor::promise();
                promise.complete(n + 1).unwrap();
                future
            })
        });
        promise.complete(0).unwrap();
        assert_eq!(chained.result(), Ok(20_000));
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&pool);
        let nested = pool.spawn(move || chain(inside.spawn(|| 0).unwrap()).result());
        assert_eq!(nested.unwrap().result(), Ok(Ok(20_000)));
    });
}

/// F86: what a closure brings to an end has followed by the time it goes on, so it can wait for that.
#[test]
fn a_closure_waits_for_what_it_brings_about() {
    watchdog(LIMIT, "a_closure_waits_for_what", || {
        let ((one, first), (two, second)) = (promise::<u8>(), promise::<u8>());
        let derived = second.map(|n| n + 1);
        let outer = first.map(move |n| {
            two.complete(n).unwrap();
            derived.result().unwrap()
        });
        // The second of a chain, so that there is somebody beneath who goes through it.
        let outer = outer.map(|n| n + 1);
        one.complete(1).unwrap();
        assert_eq!(outer.result(), Ok(3));
    });
}

/// F86: of a future that was awaited before, nothing can be made; that is an error, not a wait without end.
#[test]
fn what_was_awaited_before_ends_what_is_made_of_it() {
    watchdog(LIMIT, "what_was_awaited_before", || {
        let taken = || {
            let (promise, mut future) = promise::<u8>();
            promise.complete(1).unwrap();
            assert_eq!(block_on(&mut future), Ok(1));
            future
        };
        let (promise, future) = promise::<u8>();
        let second = future.and_then(move |_| taken());
        promise.complete(1).unwrap();
        let ends = [
            taken().map(drop),
            second.map(drop),
            taken().zip(taken()).map(drop),
            join_all([taken()]).map(drop),
            try_join_all([taken()]).map(drop),
            race([taken()]).map(drop),
            race_ok([taken()]).map(drop),
        ];
        for end in ends {
            let end = end.result();
            assert!(matches!(end, Err(TaskError::Panicked(_))), "{end:?}");
        }
    });
}

/// F86: what nobody needs any more is cancelled from the end, so that none starts because one before it was cancelled.
#[test]
fn the_last_is_cancelled_first() {
    let order = Arc::new(Lock::new(Vec::new()));
    let (_promises, futures): (Vec<_>, Vec<_>) = (0..3).map(|_| promise::<u8>()).unzip();
    for (number, future) in futures.iter().enumerate() {
        let log = Arc::clone(&order);
        future.on_done(move |_| log.lock().push(number));
    }
    assert!(join_all(futures).cancel());
    assert_eq!(*order.lock(), [2, 1, 0]);
}

/// F86: cancelled by its own closure, it cancels what that has brought about.
#[test]
fn a_closure_that_cancels_what_it_is_part_of() {
    let ((first, future), (second, inner)) = (promise::<u8>(), promise::<u8>());
    let whole = Arc::new(Lock::new(None::<SharedFuture<u8>>));
    let inside = Arc::clone(&whole);
    let chained = future.and_then(move |_| {
        assert!(inside.lock().take().unwrap().cancel());
        inner
    });
    let chained = chained.share();
    *whole.lock() = Some(chained.clone());
    first.complete(1).unwrap();
    assert_eq!(chained.result(), Err(TaskError::Cancelled));
    assert_eq!(second.complete(2), Err(2));
}
