//! Many futures on one thread: rows A7, A8, A19 and N14 of the behaviour list.

mod common;

use common::{pending, poll, watchdog};
use latchwork::executor::{
    LocalExecutor, LocalHandle, SubmitRefusal, TaskError, block_on, to_thread,
};
use latchwork::queue::Queue;
use latchwork::sync::{Event, Lock};
use latchwork::thread::ContextVar;
use latchwork::time::{ManualClock, sleep_async};
use latchwork::{CancelToken, GaveUp};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Gives others their turn.
fn yield_now() -> impl Future<Output = ()> {
    let mut has_yielded = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// Tells the thread in which it is dropped.
struct Told(mpsc::Sender<ThreadId>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

/// An executor in a thread of its own that runs until this is dropped.
struct Server {
    handle: LocalHandle,
    stop: CancelToken,
    thread: Option<thread::JoinHandle<usize>>,
}

impl Server {
    fn start() -> Server {
        let stop = CancelToken::new();
        let its = stop.clone();
        let (send, handles) = mpsc::channel();
        let thread = thread::spawn(move || {
            let executor = LocalExecutor::new();
            send.send(executor.handle()).unwrap();
            executor.run(its.wait_async());
            executor.len()
        });
        Server {
            handle: handles.recv().unwrap(),
            stop,
            thread: Some(thread),
        }
    }

    fn id(&self) -> ThreadId {
        self.thread.as_ref().unwrap().thread().id()
    }

    /// Returns how many tasks were left when it stopped.
    fn stop(mut self) -> usize {
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A7: what need not be sent is run by the thread that has it, in the order in which it was spawned and woken.
#[test]
fn futures_that_are_not_send_run_in_turns() {
    watchdog(LIMIT, "futures_run_in_turns", || {
        let executor = LocalExecutor::new();
        let steps = Rc::new(RefCell::new(Vec::new()));
        let task = |name: char| {
            let steps = Rc::clone(&steps);
            executor.spawn(async move {
                for n in 0..3 {
                    steps.borrow_mut().push((name, n));
                    yield_now().await;
                }
                name
            })
        };
        let (a, b) = (task('a'), task('b'));
        assert_eq!(executor.len(), 2);
        assert!(steps.borrow().is_empty(), "not before its turn");
        assert!(!a.is_running() && !a.is_done());
        let both = executor.run(async { (a.await.unwrap(), b.await.unwrap()) });
        assert_eq!(both, ('a', 'b'));
        let turns = [('a', 0), ('b', 0), ('a', 1), ('b', 1), ('a', 2), ('b', 2)];
        assert_eq!(*steps.borrow(), turns);
        assert!(executor.is_empty());
    });
}

/// The main future borrows, tasks outlast it, and `join` goes on with them.
#[test]
fn main_borrows_and_the_rest_goes_on() {
    watchdog(LIMIT, "main_borrows", || {
        let executor = LocalExecutor::new();
        let mut count = 0;
        let queue = Rc::new(Queue::unbounded());
        let its = Rc::clone(&queue);
        let echo = executor.spawn(async move {
            let mut sum = 0;
            while let Ok(n) = its.get_async().await {
                sum += n;
            }
            sum
        });
        executor.run(async {
            count += 1;
            queue.put(count).unwrap();
            yield_now().await;
        });
        assert_eq!(executor.run_until_idle(), 1);
        assert!(queue.is_empty() && !echo.is_done());
        queue.put(4).unwrap();
        let _ = queue.shutdown(latchwork::Shutdown::Drain);
        executor.join();
        assert_eq!(echo.result(), Ok(5));
        assert_eq!(executor.run_until_idle(), 0);
    });
}

/// A7: a result from another thread, its panic, and its error when the executor goes away.
#[test]
fn futures_are_handed_in_from_other_threads() {
    watchdog(LIMIT, "handed_in_from_other_threads", || {
        let server = Server::start();
        let id = server.id();
        let handle = &server.handle;
        thread::scope(|s| {
            for n in 0..4_usize {
                s.spawn(move || {
                    for m in 0..200 {
                        let task = handle.spawn(async move {
                            yield_now().await;
                            (thread::current().id(), n + m)
                        });
                        assert_eq!(task.unwrap().result(), Ok((id, n + m)));
                    }
                });
            }
        });
        let panicked = handle.spawn(async {
            yield_now().await;
            panic!("on purpose")
        });
        match panicked.unwrap().result() {
            Err(TaskError::Panicked(panic)) => assert_eq!(panic.message, "on purpose"),
            other => panic!("{other:?}"),
        }
        let made = handle.spawn_with(|| async {
            let count = Rc::new(Cell::new(1));
            yield_now().await;
            count.set(count.get() + 1);
            (count.get(), thread::current().id())
        });
        assert_eq!(block_on(made.unwrap()), Ok((2, id)), "and it goes on");
        let unmade = handle.spawn_with(|| -> std::future::Ready<()> { panic!("on purpose") });
        assert!(matches!(
            unmade.unwrap().result(),
            Err(TaskError::Panicked(_))
        ));
        assert_eq!(server.stop(), 0);
    });
}

/// A8: the loop wakes up for a function, takes the caller's context, and survives its panic.
#[test]
fn functions_are_called_soon() {
    static WHO: ContextVar<u8> = ContextVar::with_default(0);
    watchdog(LIMIT, "functions_are_called_soon", || {
        let server = Server::start();
        let (tell, told) = mpsc::channel();
        for n in 0..100 {
            let tell = tell.clone();
            let call = move || {
                tell.send((n, WHO.get(), thread::current().id())).unwrap();
                assert_ne!(n, 50, "on purpose");
            };
            WHO.with(n, || server.handle.call_soon(call)).unwrap();
        }
        drop(tell);
        let calls: Vec<_> = told.iter().collect();
        let expected: Vec<_> = (0..100).map(|n| (n, Some(n), server.id())).collect();
        assert_eq!(calls, expected);
        assert_eq!(server.stop(), 0);
    });
}

/// A7: cancelled where it waits, it is dropped in its thread, and leaves the line that it waited in.
#[test]
fn a_suspended_future_is_cancelled() {
    watchdog(LIMIT, "a_suspended_future_is_cancelled", || {
        let server = Server::start();
        let lock = Arc::new(Lock::new(0));
        let held = lock.lock();
        let (tell, told) = mpsc::channel();
        let captured = Told(tell);
        let its = Arc::clone(&lock);
        let (at, waits) = mpsc::channel();
        let task = server.handle.spawn(async move {
            let _captured = captured;
            let mut locking = Box::pin(its.lock_async());
            poll_fn(|cx| {
                let polled = locking.as_mut().poll(cx).map(|mut n| *n += 1);
                let _ = at.send(());
                polled
            })
            .await;
        });
        let task = task.unwrap();
        waits.recv().unwrap();
        let (ended, end) = mpsc::channel();
        task.on_done(move |end| ended.send(end.error().cloned()).unwrap());
        assert!(task.cancel());
        assert!(task.is_cancelled() && task.cancel(), "it is done at once");
        assert_eq!(end.recv(), Ok(Some(TaskError::Cancelled)));
        assert_eq!(task.result(), Err(TaskError::Cancelled));
        assert_eq!(told.recv(), Ok(server.id()));
        drop(held);
        assert_eq!(*lock.lock(), 0, "nobody was given the lock in vain");
        assert_eq!(server.stop(), 0, "it has been counted out");
    });
}

/// A cancellation before the first turn, in the middle of one, and after the end.
#[test]
fn cancelled_before_during_and_after() {
    watchdog(LIMIT, "cancelled_before_during_and_after", || {
        let executor = LocalExecutor::new();
        let polled = Rc::new(Cell::new(0));
        let its = Rc::clone(&polled);
        let before = executor.spawn(async move { its.set(1) });
        assert!(before.cancel());
        assert_eq!(executor.run_until_idle(), 0);
        assert_eq!((polled.get(), Rc::strong_count(&polled)), (0, 1));

        let server = Server::start();
        let (begun, begins) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let captured = Told(tell);
        let during = server.handle.spawn(async move {
            begun.send(()).unwrap();
            goes_on.recv().unwrap();
            drop(captured);
            "too late"
        });
        let during = during.unwrap();
        begins.recv().unwrap();
        assert!(during.cancel());
        go_on.send(()).unwrap();
        assert_eq!(during.result(), Err(TaskError::Cancelled));
        assert_eq!(told.recv(), Ok(server.id()));

        let after = executor.spawn(async { 1 });
        executor.join();
        assert!(!after.cancel());
        assert_eq!(after.result(), Ok(1));

        let dropped = executor.spawn(std::future::pending::<()>());
        executor.run_until_idle();
        drop(dropped.cancel_on_drop());
        assert_eq!(executor.run_until_idle(), 0);
    });
}

/// Without the executor nothing is left: what waited is dropped in its thread, also while others are waking it, and what
/// comes is refused.
#[test]
fn a_dropped_executor_loses_its_tasks() {
    watchdog(LIMIT, "a_dropped_executor_loses_its_tasks", || {
        for _ in 0..200 {
            let executor = LocalExecutor::new();
            let handle = executor.handle();
            let event = Arc::new(Event::new());
            let alive = Rc::new(());
            let tasks: Vec<_> = (0..8)
                .map(|_| {
                    let (event, alive) = (Arc::clone(&event), Rc::clone(&alive));
                    executor.spawn(async move {
                        event.wait_async().await;
                        drop(alive);
                    })
                })
                .collect();
            executor.run_until_idle();
            thread::scope(|s| {
                s.spawn(|| event.set());
                let spawner = s.spawn(|| {
                    let mut tasks = Vec::new();
                    while let Ok(task) = handle.spawn(std::future::pending::<()>()) {
                        tasks.push(task);
                        let called = handle.call_soon(|| unreachable!("it does not run"));
                        if called.is_err() {
                            break;
                        }
                    }
                    tasks
                });
                while executor.len() < 10 {
                    thread::yield_now();
                }
                drop(executor);
                assert_eq!(Rc::strong_count(&alive), 1);
                for task in spawner.join().unwrap() {
                    assert_eq!(task.result(), Err(TaskError::Lost));
                }
            });
            for task in tasks {
                assert_eq!(task.result(), Err(TaskError::Lost));
            }
            let refused = handle.spawn(std::future::ready(7)).unwrap_err();
            assert_eq!(refused.reason, SubmitRefusal::ShutDown);
            assert_eq!(block_on(refused.value), 7, "the future comes back");
            let refused = handle.call_soon(|| ()).unwrap_err();
            assert_eq!(refused.reason, SubmitRefusal::ShutDown);
        }
    });
}

/// Destructors of what is dropped may panic, spawn, and wake.
#[test]
fn destructors_do_no_harm() {
    struct Bomb(LocalHandle, Arc<Event>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.1.set();
            let _ = self.0.spawn_local(async {});
            panic!("on purpose");
        }
    }
    watchdog(LIMIT, "destructors_do_no_harm", || {
        let executor = LocalExecutor::new();
        let event = Arc::new(Event::new());
        let bomb = || Bomb(executor.handle(), Arc::clone(&event));
        let waiting = |bomb: Bomb| {
            executor.spawn(async move {
                let _bomb = bomb;
                std::future::pending::<()>().await;
            })
        };
        let its = Arc::clone(&event);
        let other = executor.spawn(async move { its.wait_async().await });
        let cancelled = waiting(bomb());
        executor.run_until_idle();
        assert!(cancelled.cancel());
        assert_eq!(executor.run(other), Ok(()));
        // A result that goes off where it was to be handed over.
        let captured = bomb();
        let unwanted = executor.spawn(async move {
            yield_now().await;
            captured
        });
        assert_eq!(executor.run_until_idle(), 0);
        let gone = std::panic::catch_unwind(AssertUnwindSafe(|| drop(unwanted)));
        assert!(gone.is_err(), "its owner's");
        let ended = bomb();
        let ended = executor.spawn(async move {
            let _ended = ended;
            yield_now().await;
            1
        });
        assert!(matches!(
            executor.run(ended),
            Err(TaskError::Panicked(panic)) if panic.message == "on purpose"
        ));
        let lost = [waiting(bomb()), waiting(bomb())];
        executor.run_until_idle();
        drop(executor);
        for task in lost {
            assert_eq!(task.result(), Err(TaskError::Lost));
        }
    });
}

/// One that is always woken does not keep the others, nor the main future, from their turn.
#[test]
fn nobody_starves() {
    watchdog(LIMIT, "nobody_starves", || {
        let executor = LocalExecutor::new();
        let turns = Rc::new(Cell::new(0_u32));
        let its = Rc::clone(&turns);
        let greedy = executor.spawn(async move {
            loop {
                its.set(its.get() + 1);
                yield_now().await;
            }
        });
        let steps = executor.spawn(async {
            for _ in 0..100 {
                yield_now().await;
            }
        });
        executor.run(async {
            for _ in 0..100 {
                yield_now().await;
            }
            steps.await.unwrap();
        });
        assert!((100..1000).contains(&turns.get()), "{}", turns.get());
        // And a main future that is always woken leaves them theirs.
        let before = turns.get();
        let mut left = 100;
        executor.run(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            left -= 1;
            if left == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        assert!(turns.get() >= before + 40, "{} turns", turns.get() - before);
        // The limit is looked at, too.
        let gave_up = executor.run_within(std::future::pending::<()>(), Duration::from_millis(5));
        assert_eq!(gave_up, Err(GaveUp::TimedOut));
        assert!(greedy.cancel());
        executor.join();
    });
}

/// The thread sleeps until its limit, a token, or a wake-up; `main` can be lent and gone on with.
#[test]
fn runs_end_in_time() {
    watchdog(LIMIT, "runs_end_in_time", || {
        let clock = ManualClock::new();
        let (tell, told) = mpsc::channel();
        thread::scope(|s| {
            let clock = &clock;
            let late = s.spawn(move || {
                let _on_it = clock.enter();
                let executor = LocalExecutor::new();
                let nap = executor.spawn(sleep_async(3 * HOUR));
                assert_eq!(executor.join_within(HOUR), Err(GaveUp::TimedOut));
                let mut main = Box::pin(nap);
                let gave_up = executor.run_within(&mut main, HOUR);
                assert_eq!(gave_up, Err(GaveUp::TimedOut));
                tell.send(()).unwrap();
                executor.run(main)
            });
            // The nap and the limit.
            for _ in 0..2 {
                clock.wait_until_armed(2);
                clock.advance(HOUR);
            }
            told.recv().unwrap();
            clock.advance(HOUR);
            assert_eq!(late.join().unwrap(), Ok(()));
        });
        let executor = LocalExecutor::new();
        let token = CancelToken::new();
        assert_eq!(
            executor.run_within(async { token.cancel() }, &token),
            Ok(true)
        );
        let pending = executor.run_within(std::future::pending::<()>(), &token);
        assert_eq!(pending, Err(GaveUp::Cancelled));
        assert_eq!(executor.run_within(async { 1 }, Duration::ZERO), Ok(1));
    });
}

/// A panic of the main future is its caller's, and the executor goes on.
#[test]
fn main_panics() {
    watchdog(LIMIT, "main_panics", || {
        let executor = LocalExecutor::new();
        let task = executor.spawn(async {
            yield_now().await;
            1
        });
        let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
            executor.run(async { panic!("on purpose") })
        }));
        assert!(panicked.is_err());
        assert!(LocalHandle::current().is_none(), "nothing runs any more");
        assert_eq!(executor.run(task), Ok(1));
    });
}

/// A run within a task's turn goes on with the others; neither's wake-ups are lost to the other.
#[test]
fn runs_nest() {
    watchdog(LIMIT, "runs_nest", || {
        let executor = Rc::new(LocalExecutor::new());
        let queue = Rc::new(Queue::unbounded());
        let (inner, its) = (Rc::clone(&executor), Rc::clone(&queue));
        let other = executor.spawn(async move {
            yield_now().await;
            its.put(1).unwrap();
            2
        });
        let its = Rc::clone(&queue);
        let nested = executor.spawn(async move {
            let other = inner.run(other);
            drop(inner);
            yield_now().await;
            (other, its.get_async().await)
        });
        let told = executor.run(async {
            let (other, item) = nested.await.unwrap();
            (other.unwrap(), item.unwrap())
        });
        assert_eq!(told, (2, 1));
        // The outer one's nudge comes while the inner one runs, which takes it, and there is no other.
        let (inner, its) = (Rc::clone(&executor), Rc::clone(&queue));
        let nested = executor.spawn(async move {
            inner.run(async {
                its.put(3).unwrap();
                let other = LocalHandle::current().unwrap().spawn_local(async {
                    yield_now().await;
                    yield_now().await;
                });
                other.unwrap().await.unwrap();
            });
            drop(inner);
            std::future::pending::<()>().await;
        });
        assert_eq!(executor.run(queue.get_async()), Ok(3));
        assert!(nested.cancel());
        let executor = Rc::into_inner(executor).unwrap();
        executor.join();
    });
}

/// Whoever runs has its executor at hand, and a context of its own.
#[test]
fn tasks_spawn_tasks_and_have_contexts() {
    static DEPTH: ContextVar<u32> = ContextVar::with_default(0);
    watchdog(LIMIT, "tasks_spawn_tasks", || {
        let executor = LocalExecutor::new();
        fn descend(depth: u32) -> std::pin::Pin<Box<dyn Future<Output = u32>>> {
            Box::pin(async move {
                let _bound = DEPTH.bind(depth);
                yield_now().await;
                assert_eq!(DEPTH.get(), Some(depth), "kept over the others' turns");
                if depth == 5 {
                    return DEPTH.get().unwrap();
                }
                let handle = LocalHandle::current().unwrap();
                let (a, b) = (descend(depth + 1), descend(depth + 1));
                let (a, b) = (handle.spawn_local(a), handle.spawn_local(b));
                a.unwrap().await.unwrap() + b.unwrap().await.unwrap()
            })
        }
        let top = DEPTH.with(9, || executor.spawn(async { DEPTH.get() }));
        let sum = executor.spawn(descend(1));
        assert_eq!(executor.run(sum), Ok(5 * 16));
        assert_eq!(executor.run(top), Ok(Some(9)));
        assert_eq!(DEPTH.get(), Some(0));
        let handle = executor.handle();
        let elsewhere = thread::spawn(move || drop(handle.spawn_local(async {})));
        assert!(elsewhere.join().is_err(), "not from another thread");
        assert!(executor.is_empty());
    });
}

/// A18: what blocks goes to a thread, and the loop goes on meanwhile.
#[test]
fn what_blocks_is_done_elsewhere() {
    watchdog(LIMIT, "what_blocks_is_done_elsewhere", || {
        let executor = LocalExecutor::new();
        let (release, released) = mpsc::channel::<u8>();
        let blocking = executor.spawn(async move {
            let call = to_thread(move || released.recv().unwrap());
            call.unwrap().await.unwrap()
        });
        let release = executor.spawn(async move {
            yield_now().await;
            release.send(7).unwrap();
        });
        assert_eq!(executor.run(blocking), Ok(7));
        assert_eq!(release.result(), Ok(()));
    });
}

/// Wakers may be called by anybody, whenever, and as often as they like.
#[test]
fn stray_wake_ups_are_harmless() {
    watchdog(LIMIT, "stray_wake_ups", || {
        let executor = LocalExecutor::new();
        let polls = Arc::new(AtomicUsize::new(0));
        let wakers = Arc::new(Lock::new(Vec::<Waker>::new()));
        let is_ready = Arc::new(AtomicBool::new(false));
        let count = Arc::clone(&polls);
        let (its, ready) = (Arc::clone(&wakers), Arc::clone(&is_ready));
        let future = move || {
            let (count, its, ready) = (Arc::clone(&count), Arc::clone(&its), Arc::clone(&ready));
            poll_fn(move |cx| {
                count.fetch_add(1, Ordering::SeqCst);
                its.lock().push(cx.waker().clone());
                match ready.load(Ordering::SeqCst) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
        };
        let task = executor.spawn(future());
        executor.run_until_idle();
        let waker = wakers.lock()[0].clone();
        (0..10).for_each(|_| waker.wake_by_ref());
        assert_eq!(executor.run_until_idle(), 1);
        assert_eq!(
            polls.load(Ordering::SeqCst),
            2,
            "woken before it is polled is woken once"
        );
        is_ready.store(true, Ordering::SeqCst);
        waker.wake_by_ref();
        assert_eq!(executor.run_until_idle(), 0);
        assert_eq!(task.result(), Ok(()));
        executor.run(future());
        let all = std::mem::take(&mut *wakers.lock());
        let woken = all.clone();
        thread::spawn(move || woken.into_iter().for_each(Waker::wake))
            .join()
            .unwrap();
        assert_eq!(executor.run_until_idle(), 0);
        drop(executor);
        all.into_iter().for_each(Waker::wake);
        assert_eq!(polls.load(Ordering::SeqCst), 4);
    });
}

/// A TaskFuture of it is awaited, waited for and polled like any other.
#[test]
fn tasks_are_futures_like_any_other() {
    watchdog(LIMIT, "tasks_are_futures", || {
        let server = Server::start();
        let queue = Arc::new(Queue::bounded(1));
        let its = Arc::clone(&queue);
        let task = server.handle.spawn(async move { its.get_async().await });
        let mut task = pending(task.unwrap());
        let late = server.handle.spawn(std::future::pending::<()>()).unwrap();
        let late = late.result_within(Duration::from_millis(1)).unwrap_err();
        assert_eq!(late.why, GaveUp::TimedOut);
        assert!(poll(task.as_mut(), Waker::noop()).is_pending());
        queue.put(5).unwrap();
        assert_eq!(block_on(task), Ok(Ok(5)));
        assert_eq!(server.stop(), 1);
        assert_eq!(late.future.result(), Err(TaskError::Lost));
    });
}

/// A child that was forked by its thread goes on with what nobody waits for; what is waited for is lost. Nothing hangs.
#[cfg(target_os = "linux")]
#[test]
fn a_forked_child_goes_on_or_is_told() {
    watchdog(LIMIT, "a_forked_child", || {
        let executor = LocalExecutor::new();
        let event = Arc::new(Event::new());
        let done = Rc::new(Cell::new(0));
        let waiting = || {
            let (event, done) = (Arc::clone(&event), Rc::clone(&done));
            executor.spawn(async move {
                event.wait_async().await;
                done.set(done.get() + 1);
            })
        };
        let (first, second) = (waiting(), waiting());
        executor.run_until_idle();
        // SAFETY: what the child does then is what this is about.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: ends a child that hangs.
            unsafe { libc::alarm(20) };
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
                assert_eq!(first.result(), Err(TaskError::Lost));
                assert_eq!(executor.run_until_idle(), 1);
                event.set();
                executor.join();
                assert_eq!(done.get(), 1);
                let own = executor.spawn(async { 1 });
                executor.join();
                assert_eq!(own.result(), Ok(1));
                drop(executor.spawn(std::future::pending::<()>()));
                drop(executor);
            }));
            // SAFETY: ends the child, without running what belongs to its parent.
            unsafe { libc::_exit(i32::from(outcome.is_err())) };
        }
        let mut status = -1;
        // SAFETY: our child.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert_eq!(status, 0);
        event.set();
        executor.join();
        assert_eq!(
            (first.result(), second.result(), done.get()),
            (Ok(()), Ok(()), 2)
        );
    });
}

/// How much memory this process has in use: what is resident, in kB.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let digits = line.unwrap().trim().trim_end_matches(" kB");
    digits.parse().unwrap()
}

/// A19, N14: very many that sleep, on one thread. By a driven clock: they are all asleep at once, and
/// then all awake.
fn many_sleep(count: usize) {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let executor = LocalExecutor::new();
    let awake = Rc::new(Cell::new(0));
    let tasks: Vec<_> = (0..count)
        .map(|n| {
            let awake = Rc::clone(&awake);
            executor.spawn(async move {
                sleep_async(Duration::from_secs(1 + n as u64 % 100)).await;
                awake.set(awake.get() + 1);
                n
            })
        })
        .collect();
    assert_eq!(executor.run_until_idle(), count);
    assert_eq!(clock.armed(), count);
    clock.advance(Duration::from_secs(50));
    assert_eq!(executor.run_until_idle(), count / 2);
    assert_eq!(awake.get(), count / 2);
    clock.advance(Duration::from_secs(50));
    assert_eq!(executor.run_until_idle(), 0);
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.result(), Ok(n));
    }
}

#[test]
fn ten_thousand_sleep_on_one_thread() {
    watchdog(LIMIT, "ten_thousand_sleep", || many_sleep(10_000));
}

/// N14's figures: the memory is less than 100 MB, and what it takes beyond the sleep is printed. Alone in a process, since
/// it counts what that has in use.
#[cfg(target_os = "linux")]
#[test]
fn a_hundred_thousand_sleepers_take_little_memory() {
    const CHILD: &str = "LATCHWORK_TEST_SLEEPERS";
    let name = "a_hundred_thousand_sleepers_take_little_memory";
    if std::env::var_os(CHILD).is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let figures = said.lines().find(|line| line.contains("sleepers"));
        println!("{}", figures.unwrap_or_default());
        assert!(output.status.success(), "{output:?}");
        return;
    }
    watchdog(LIMIT, name, || {
        const COUNT: usize = 100_000;
        let clock = ManualClock::new();
        let _on_it = clock.enter();
        let before = resident();
        let start = std::time::Instant::now();
        let executor = LocalExecutor::new();
        let tasks: Vec<_> = (0..COUNT)
            .map(|_| executor.spawn(sleep_async(HOUR)))
            .collect();
        assert_eq!(executor.run_until_idle(), COUNT, "they sleep at once");
        let megabytes = (resident() - before) / 1024;
        clock.advance(HOUR);
        assert_eq!(executor.run_until_idle(), 0);
        let took = start.elapsed();
        assert!(tasks.into_iter().all(|task| task.result().is_ok()));
        println!("\n{COUNT} sleepers: {megabytes} MB, {took:?} beyond the sleep");
        assert!(megabytes < 100, "{megabytes} MB");
    });
}
