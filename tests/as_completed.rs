//! `as_completed`: rows F91-F95, A11, cases X4, X5.

mod common;

use common::{parked, pending, poll, ready, watchdog};
use latchwork::executor::{
    Executor, Promise, SharedFuture, TaskError, TaskFuture, ThreadPoolExecutor, Waitable,
    as_completed, promise,
};
use latchwork::time::ManualClock;
use latchwork::{CancelToken, GaveUp, Limit};
use proptest::prelude::*;
use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

fn promises(n: usize) -> (Vec<Option<Promise<usize>>>, Vec<TaskFuture<usize>>) {
    (0..n)
        .map(|_| promise())
        .map(|(promise, future)| (Some(promise), future))
        .unzip()
}

/// F91, F95: those that have ended come in the order in which they are given, the others in that of their ends.
#[test]
fn the_order() {
    watchdog(LIMIT, "the_order", || {
        let (mut promises, futures) = promises(6);
        let mut complete = |n: usize| promises[n].take().unwrap().complete(n).unwrap();
        complete(4);
        complete(1);
        let mut ended = as_completed(futures, Limit::none());
        for n in [3, 5, 0, 2] {
            complete(n);
        }
        let order: Vec<_> = ended
            .by_ref()
            .map(|future| future.unwrap().result().unwrap())
            .collect();
        assert_eq!(order, [1, 4, 3, 5, 0, 2]);
        assert!(ended.next().is_none());
    });
}

/// F91: it sleeps until the next end; a cancelled one is one (X4).
#[test]
fn it_waits_for_the_next_end() {
    watchdog(LIMIT, "it_waits_for_the_next_end", || {
        let (_promises, futures) = promises(2);
        let futures: Vec<_> = futures.into_iter().map(TaskFuture::share).collect();
        let mut ended = as_completed(futures.clone(), Limit::none());
        for future in futures.iter().rev() {
            thread::scope(|s| {
                let waiter = parked(s, || ended.next().unwrap().unwrap());
                assert!(future.cancel());
                assert_eq!(waiter.join().unwrap(), *future);
            });
        }
        assert!(ended.next().is_none());
    });
}

/// F91, F87: each task once, with the position at which it was given first; of any types.
#[test]
fn duplicates_come_once() {
    let ((one, first), (_two, second)) = (promise::<u8>(), promise::<&str>());
    let first = first.share();
    let clone = first.clone();
    let mixed: [&dyn Waitable; 4] = [&second, &first, &clone, &second];
    let mut ended = as_completed(mixed, Limit::none()).indexed();
    one.complete(1).unwrap();
    let (position, future) = ended.next().unwrap().unwrap();
    assert_eq!((position, future.is_done()), (1, true));
    assert_eq!(ended.size_hint(), (1, Some(1)));
}

/// F92: says how many have not ended, of how many; and they are still there.
#[test]
fn a_limit_tells_how_many_are_left() {
    let (mut promises, futures) = promises(3);
    promises[1].take().unwrap().complete(1).unwrap();
    let mut ended = as_completed(futures, Duration::from_millis(2));
    assert_eq!(ended.next().unwrap().unwrap().result(), Ok(1));
    let late = ended.next().unwrap().unwrap_err();
    assert_eq!(
        (late.why, late.unfinished, late.total),
        (GaveUp::TimedOut, 2, 3)
    );
    assert_eq!(
        late.to_string(),
        "2 of 3 tasks have not ended: the deadline passed before the wait was over"
    );
    assert!(ended.next().is_none());
    let left = ended.remaining();
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|future| !future.is_done()));

    let (_promises, futures) = self::promises(1);
    let token = CancelToken::new();
    token.cancel();
    let late = as_completed(futures, &token).next().unwrap().unwrap_err();
    assert_eq!(late.why, GaveUp::Cancelled);
}

/// X5: the limit counts from the call, on any executor; nothing is waited for by the real clock.
fn the_deadline_counts_from_the_call(pool: &impl Executor) {
    let clock = ManualClock::new();
    clock.run(|| {
        let fine = pool.submit(|n: u8| n, 1).unwrap();
        fine.wait();
        let (_promise, never) = promise::<u8>();
        let mut ended = as_completed([fine, never], Duration::from_secs(10));
        clock.advance(Duration::from_secs(11));
        assert_eq!(ended.next().unwrap().unwrap().result(), Ok(1));
        let late = ended.next().unwrap().unwrap_err();
        assert_eq!((late.unfinished, late.total), (1, 2));
    });
}

#[test]
fn the_deadline_counts_from_the_call_on_threads() {
    watchdog(LIMIT, "the_deadline_counts_on_threads", || {
        the_deadline_counts_from_the_call(&ThreadPoolExecutor::new(1));
    });
}

#[cfg(all(feature = "process", target_os = "linux"))]
#[test]
fn the_deadline_counts_from_the_call_on_processes() {
    watchdog(LIMIT, "the_deadline_counts_on_processes", || {
        let pool = latchwork::executor::ProcessPoolExecutor::new(1).unwrap();
        the_deadline_counts_from_the_call(&pool);
    });
}

/// F93: what has been given out is kept nowhere.
#[test]
fn nothing_is_kept() {
    let value = Arc::new(());
    let (promise, future) = promise::<Arc<()>>();
    promise.complete(Arc::clone(&value)).unwrap();
    let mut ended = as_completed([future], Limit::none());
    drop(ended.next());
    assert_eq!(Arc::strong_count(&value), 1);
    let ((give, future), (_never, other)) = (
        latchwork::executor::promise(),
        latchwork::executor::promise(),
    );
    ended.extend([future, other]);
    give.complete(Arc::clone(&value)).unwrap();
    drop(ended.next());
    assert_eq!(Arc::strong_count(&value), 1);
}

/// F94: an iterator that is dropped leaves nothing with the tasks, and is told nothing.
#[test]
fn an_early_end_takes_everything_back() {
    let (_promises, futures) = promises(3);
    let shared: Vec<_> = futures.into_iter().map(TaskFuture::share).collect();
    for _ in 0..10 {
        let mut ended = as_completed(&shared, Duration::ZERO);
        assert!(ended.next().unwrap().is_err());
        drop(ended);
        let waited = latchwork::executor::wait(
            &shared,
            latchwork::executor::ReturnWhen::AllCompleted,
            Duration::ZERO,
        );
        assert_eq!(waited.not_done, [0, 1, 2]);
    }
    for future in &shared {
        assert!(future.cancel());
    }
    let ended = as_completed(&shared, Limit::none());
    assert_eq!(ended.count(), 3);
}

/// F91: more futures while it goes on, by whoever has it.
#[test]
fn more_can_be_pushed() {
    watchdog(LIMIT, "more_can_be_pushed", || {
        let pool = ThreadPoolExecutor::new(2);
        let spawn = |n: u32| pool.spawn(move || n).unwrap();
        let mut ended = as_completed([spawn(0)], Limit::none());
        let mut seen = Vec::new();
        while let Some(future) = ended.next() {
            let n = future.unwrap().result().unwrap();
            seen.push(n);
            if n < 50 {
                ended.push(spawn(n + 100));
                ended.extend([spawn(n + 1)]);
            }
        }
        seen.sort();
        assert_eq!(seen, (0..=50).chain(100..150).collect::<Vec<_>>());
        ended.push(spawn(7));
        assert_eq!(ended.next().unwrap().unwrap().result(), Ok(7));
    });
}

/// A11: the same for tasks; one that is dropped in the middle loses nothing.
#[test]
fn awaited() {
    let (mut promises, futures) = promises(3);
    let mut ended = as_completed(futures, Limit::none());
    drop(pending(ended.next_async()));
    let next = pending(ended.next_async());
    promises[2].take().unwrap().complete(2).unwrap();
    promises[0].take().unwrap().complete(0).unwrap();
    // It has been woken, and has not looked.
    drop(next);
    for n in [2, 0] {
        assert_eq!(ready(ended.next_async()).unwrap().unwrap().result(), Ok(n));
    }
    let next = pending(ended.next_async());
    drop(promises);
    assert_eq!(ready(next).unwrap().unwrap().result(), Err(TaskError::Lost));
    assert!(ready(ended.next_async()).is_none());
}

/// A11, F92: a deadline ends it for tasks, too.
#[test]
fn awaited_within_a_limit() {
    let clock = ManualClock::new();
    clock.run(|| {
        let (_promises, futures) = promises(1);
        let mut ended = as_completed(futures, Duration::from_secs(1));
        let mut next = pending(ended.next_async());
        clock.advance(Duration::from_secs(1));
        let late = match poll(next.as_mut(), Waker::noop()) {
            std::task::Poll::Ready(Some(Err(late))) => late,
            other => panic!("{other:?}"),
        };
        assert_eq!((late.why, late.unfinished), (GaveUp::TimedOut, 1));
    });
}

/// F39: a pool of one whose task iterates over others of it, with and without a limit.
#[test]
fn a_pool_of_one_iterates_over_its_own_tasks() {
    watchdog(LIMIT, "a_pool_of_one_iterates", || {
        for (spare, limit) in [
            (256, Limit::none()),
            (0, Limit::none()),
            (1, Limit::from(Instant::now() + LIMIT)),
        ] {
            let pool = ThreadPoolExecutor::builder()
                .max_workers(1)
                .spare_workers(spare)
                .build();
            let pool = Arc::new(pool);
            let inside = Arc::clone(&pool);
            let task = pool.spawn(move || {
                let futures: Vec<_> = (0..4).map(|n| inside.spawn(move || n).unwrap()).collect();
                as_completed(futures, limit)
                    .map(|future| future.unwrap().result().unwrap())
                    .sum::<i32>()
            });
            assert_eq!(task.unwrap().result(), Ok(6));
        }
    });
}

/// What happens to an iterator.
#[derive(Clone, Copy, Debug)]
enum Step {
    Push,
    PushAgain(prop::sample::Index),
    Complete(prop::sample::Index),
    Cancel(prop::sample::Index),
    Lose(prop::sample::Index),
    Next,
}

fn any_step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => Just(Step::Push),
        1 => index().prop_map(Step::PushAgain),
        3 => index().prop_map(Step::Complete),
        1 => index().prop_map(Step::Cancel),
        1 => index().prop_map(Step::Lose),
        3 => Just(Step::Next),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// F91-F95 against a plain list of ends, with any order of pushes, ends and looks.
    #[test]
    fn agrees_with_a_list(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut ended = as_completed::<SharedFuture<usize>>([], Duration::from_secs(60));
        let mut tasks: Vec<(Option<Promise<usize>>, SharedFuture<usize>)> = Vec::new();
        // What is in it, and of that what has ended, in order.
        let (mut inside, mut order) = (Vec::<usize>::new(), Vec::<usize>::new());
        for step in steps {
            let chosen = |index: prop::sample::Index| index.index(tasks.len());
            let end = match step {
                Step::Push => {
                    let (promise, future) = promise();
                    let future = future.share();
                    inside.push(tasks.len());
                    ended.push(future.clone());
                    tasks.push((Some(promise), future));
                    None
                }
                Step::Next => {
                    if !order.is_empty() {
                        let expected = order.remove(0);
                        let next = ended.next().unwrap().unwrap();
                        prop_assert_eq!(next.id(), tasks[expected].1.id());
                        inside.retain(|n| *n != expected);
                    }
                    None
                }
                _ if tasks.is_empty() => None,
                Step::PushAgain(index) => {
                    let n = chosen(index);
                    ended.push(tasks[n].1.clone());
                    if !inside.contains(&n) {
                        inside.push(n);
                        if tasks[n].1.is_done() {
                            order.push(n);
                        }
                    }
                    None
                }
                Step::Complete(index) => Some((chosen(index), 0)),
                Step::Cancel(index) => Some((chosen(index), 1)),
                Step::Lose(index) => Some((chosen(index), 2)),
            };
            if let Some((n, how)) = end
                && let Some(promise) = tasks[n].0.take()
            {
                match how {
                    0 => promise.complete(n).unwrap(),
                    1 => prop_assert!(tasks[n].1.cancel()),
                    _ => drop(promise),
                }
                if inside.contains(&n) {
                    order.push(n);
                }
            }
            prop_assert_eq!(ended.unfinished(), inside.len());
        }
        let left: Vec<_> = inside.iter().map(|n| tasks[*n].1.id()).collect();
        let mut remaining: Vec<_> = ended.remaining().iter().map(|future| future.id()).collect();
        remaining.sort();
        let mut left = left;
        left.sort();
        prop_assert_eq!(remaining, left);
    }
}

/// One that is pushed into the place of another is run by the worker that iterates, as all of them.
#[test]
fn what_is_pushed_later_is_run_here() {
    watchdog(LIMIT, "what_is_pushed_later", || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let inside = Arc::clone(&pool);
        let task = pool.spawn(move || {
            let spawn = || inside.spawn(|| thread::current().id()).unwrap();
            let mut completed = as_completed([spawn(), spawn()], Limit::none());
            let mut threads = Vec::new();
            while let Some(future) = completed.next() {
                threads.push(future.unwrap().result().unwrap());
                if threads.len() == 2 {
                    completed.extend([spawn(), spawn()]);
                }
            }
            let here = thread::current().id();
            threads.iter().filter(|id| **id == here).count()
        });
        assert_eq!(task.unwrap().result(), Ok(4));
    });
}
