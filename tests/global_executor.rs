//! The process's own pool, `block_on`, and awaiting an executor's job: rows A1-A6, A18, A22 and A23 of the behaviour
//! list.
//!
//! What is set once a process is shown by children: a test starts this program again for its own name alone, and
//! then plays its part in there.

mod common;

use common::{counting_waker, parked, pending, poll, watchdog};
use latchwork::executor::{
    self, Executor, SubmitRefusal, TaskError, ThreadPoolExecutor, block_on, block_on_within,
};
use latchwork::queue::Queue;
use latchwork::sync::Event;
use latchwork::thread::ContextVar;
use latchwork::time::{ManualClock, sleep_async, timeout};
use latchwork::{CancelToken, GaveUp};
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The child's output, in the parent; `None` in the child, which is to go on.
fn in_child(test: &str) -> Option<Output> {
    const CHILD: &str = "LATCHWORK_TEST_GLOBAL";
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "")
        .output();
    Some(output.unwrap())
}

/// Runs the body in a process of its own.
#[track_caller]
fn alone(test: &'static str, body: impl FnOnce() + Send + 'static) {
    match in_child(test) {
        Some(output) => assert!(output.status.success(), "{output:?}"),
        None => watchdog(LIMIT, test, body),
    }
}

/// A pool of one whose worker is busy until the event is set.
fn busy_pool() -> (ThreadPoolExecutor, Arc<Event>) {
    let pool = ThreadPoolExecutor::new(1);
    let (started, release) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (s, r) = (Arc::clone(&started), Arc::clone(&release));
    drop(pool.spawn(move || {
        s.set();
        r.wait();
    }));
    started.wait();
    (pool, release)
}

/// Counts its polls, and is ready at the last of so many; between them it wakes nobody.
struct Counted(Arc<AtomicUsize>, usize);

impl Future for Counted {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        match self.0.fetch_add(1, Ordering::SeqCst) + 1 >= self.1 {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

/// A3: the first use settles which it is, also when many are the first.
#[test]
fn there_is_one_global_pool() {
    alone("there_is_one_global_pool", || {
        let barrier = Barrier::new(4);
        let found: Vec<usize> = thread::scope(|s| {
            let look = || {
                barrier.wait();
                std::ptr::from_ref(executor::global()).addr()
            };
            let threads: Vec<_> = (0..4).map(|_| s.spawn(look)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(found.iter().all(|at| *at == found[0]), "{found:?}");
        let name = || thread::current().name().map(str::to_owned);
        let name = executor::to_thread(name).unwrap().result().unwrap();
        assert!(name.unwrap().starts_with("global_"));
        let other = ThreadPoolExecutor::new(1);
        let refused = executor::set_global(other).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the process has a default pool already"
        );
        assert_eq!(refused.0.spawn(|| 1).unwrap().result(), Ok(1), "given back");
    });
}

/// A3.
#[test]
fn the_global_pool_can_be_set_before_its_first_use() {
    alone("the_global_pool_can_be_set_before_its_first_use", || {
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .thread_name_prefix("ours");
        executor::set_global(pool.build()).unwrap();
        let name = || thread::current().name().map(str::to_owned);
        let told = executor::to_thread(name).unwrap().result().unwrap();
        assert_eq!(told.as_deref(), Some("ours_0"));
        let again = executor::set_global(ThreadPoolExecutor::new(1));
        assert!(again.is_err());
        let told = executor::global().spawn(name).unwrap().result().unwrap();
        assert_eq!(told.as_deref(), Some("ours_0"));
    });
}

/// A4: it waits, gives up in time and can be asked again; what was accepted is done, and then nothing is.
#[test]
fn the_global_pool_can_be_shut_down() {
    alone("the_global_pool_can_be_shut_down", || {
        let (release, released) = mpsc::channel::<()>();
        let slow = executor::to_thread(move || released.recv().is_ok()).unwrap();
        assert_eq!(
            executor::shutdown_global_within(Duration::from_millis(5)),
            Err(GaveUp::TimedOut)
        );
        let refused = executor::to_thread(|| "late").unwrap_err();
        assert_eq!(refused.reason, SubmitRefusal::ShutDown);
        assert_eq!((refused.value)(), "late", "the function comes back");
        release.send(()).unwrap();
        executor::shutdown_global_within(LIMIT).unwrap();
        assert!(slow.is_done());
        assert_eq!(slow.result(), Ok(true));
        executor::shutdown_global_within(Duration::ZERO).unwrap();
    });
}

/// A4: also if it has never been used.
#[test]
fn a_global_pool_that_was_never_used_can_be_shut_down() {
    alone("a_global_pool_that_was_never_used_can_be_shut_down", || {
        executor::shutdown_global_within(Duration::ZERO).unwrap();
        let refused = executor::to_thread(|| ()).unwrap_err();
        assert_eq!(refused.reason, SubmitRefusal::ShutDown);
        assert!(executor::set_global(ThreadPoolExecutor::new(1)).is_err());
    });
}

/// The program's end drains it as any pool; what comes later is refused.
#[test]
fn the_global_pool_is_drained_at_the_programs_end() {
    let Some(output) = in_child("the_global_pool_is_drained_at_the_programs_end") else {
        executor::set_global(ThreadPoolExecutor::new(1)).unwrap();
        let (release, released) = mpsc::channel::<()>();
        drop(executor::to_thread(move || released.recv().is_ok()).unwrap());
        for n in 0..20 {
            drop(executor::to_thread(move || println!("\ntask {n}")).unwrap());
        }
        // Until the end begins none of them gets to run.
        latchwork::exit::at_exit(move || drop(release)).unwrap();
        let at_end = || {
            let refused = executor::to_thread(|| ()).unwrap_err();
            println!("\nend: {}", refused.reason);
        };
        latchwork::exit::at_end(at_end).unwrap();
        latchwork::exit::exit(7);
    };
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let tasks = said
        .lines()
        .filter(|line| line.starts_with("task "))
        .count();
    assert_eq!(tasks, 20, "{said}");
    assert!(
        said.ends_with("end: the executor has been shut down\n"),
        "{said}"
    );
}

/// F38: the parent's threads are not in the child, which makes a pool of its own on first use.
#[cfg(target_os = "linux")]
#[test]
fn a_forked_child_has_a_global_pool_of_its_own() {
    alone("a_forked_child_has_a_global_pool_of_its_own", || {
        executor::to_thread(|| ()).unwrap().result().unwrap();
        let parents = executor::global();
        let stop = CancelToken::new();
        let its = stop.clone();
        // Somebody who is always about to hold its lock.
        let busy = thread::spawn(move || {
            while !its.is_cancelled() {
                executor::global();
            }
        });
        for _ in 0..50 {
            // SAFETY: what the child does then is what this is about.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                // SAFETY: ends a child that hangs.
                unsafe { libc::alarm(20) };
                let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
                    let refused = parents.spawn(|| ()).unwrap_err();
                    assert!(matches!(refused.reason, SubmitRefusal::Broken(_)));
                    assert_eq!(executor::to_thread(|| 6 * 7).unwrap().result(), Ok(42));
                }));
                // SAFETY: ends the child, without running what belongs to its parent.
                unsafe { libc::_exit(i32::from(outcome.is_err())) };
            }
            let mut status = -1;
            // SAFETY: our child.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            assert_eq!(status, 0);
        }
        stop.cancel();
        busy.join().unwrap();
        assert_eq!(executor::to_thread(|| 1).unwrap().result(), Ok(1));
    });
}

/// A2: what is bound where the call is made is bound where it runs.
#[test]
fn to_thread_takes_the_context_along() {
    static LANGUAGE: ContextVar<&str> = ContextVar::with_default("en");
    watchdog(LIMIT, "to_thread_takes_the_context_along", || {
        let here = thread::current().id();
        let (language, thread) = LANGUAGE.with("eo", || {
            let told = executor::to_thread(|| (LANGUAGE.get(), thread::current().id()));
            block_on(async { told.unwrap().await.unwrap() })
        });
        assert_eq!(language, Some("eo"));
        assert_ne!(thread, here);
        // The worker keeps nothing of it.
        for _ in 0..40 {
            let told = executor::to_thread(|| LANGUAGE.get()).unwrap();
            assert_eq!(told.result(), Ok(Some("en")));
        }
        let panicked = executor::to_thread(|| panic!("on purpose")).unwrap();
        assert!(matches!(panicked.result(), Err(TaskError::Panicked(_))));
    });
}

/// A1: an executor's job is awaited on any runtime; here on ours, and polled by hand.
#[test]
fn jobs_are_awaited() {
    watchdog(LIMIT, "jobs_are_awaited", || {
        let (pool, release) = busy_pool();
        let mut job = pin!(Executor::submit(&pool, |n: u32| n + 1, 1).unwrap());
        let (waker, wakes) = counting_waker();
        assert!(poll(job.as_mut(), &waker).is_pending());
        release.set();
        assert_eq!(block_on(job), Ok(2));
        assert!(
            wakes.load(Ordering::SeqCst) <= 1,
            "another waker's, but for an end in between"
        );
        let sum = block_on(async {
            let mut sum = 0;
            for n in 0..10 {
                sum += pool.spawn(move || n).unwrap().await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 45);
    });
}

/// A1: a process pool's, too.
#[cfg(all(feature = "process", target_os = "linux"))]
#[test]
fn jobs_of_processes_are_awaited() {
    watchdog(LIMIT, "jobs_of_processes_are_awaited", || {
        let pool = executor::ProcessPoolExecutor::new(1).unwrap();
        let job = pool.submit(|n: u32| (n, std::process::id()), 5).unwrap();
        let (n, id) = block_on(job).unwrap();
        assert_eq!(n, 5);
        assert_ne!(id, std::process::id());
    });
}

/// A5, A6: an await that is given up cancels a job that waits; one that runs goes on to its end.
#[test]
fn a_dropped_await_cancels() {
    watchdog(LIMIT, "a_dropped_await_cancels", || {
        let (pool, release) = busy_pool();
        let (tell, told) = mpsc::channel();
        let job = |name: &'static str| {
            let tell = tell.clone();
            pool.spawn(move || tell.send(name).unwrap()).unwrap()
        };
        let cancelled = job("cancelled").cancel_on_drop();
        assert!(!cancelled.future().is_done());
        drop(pending(cancelled));
        drop(job("let go"));
        let kept = job("kept").cancel_on_drop().keep();
        release.set();
        assert_eq!(kept.result(), Ok(()));
        drop((tell, pool));
        assert_eq!(told.iter().collect::<Vec<_>>(), ["let go", "kept"]);

        let pool = ThreadPoolExecutor::new(1);
        let (begun, release) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (b, r) = (Arc::clone(&begun), Arc::clone(&release));
        let (tell, told) = mpsc::channel();
        let running = pool.spawn(move || {
            b.set();
            r.wait();
            tell.send("to its end").unwrap();
        });
        begun.wait();
        let running = running.unwrap().cancel_on_drop();
        let gave_up = block_on(timeout(Duration::from_millis(1), running));
        assert_eq!(gave_up, Err(GaveUp::TimedOut));
        release.set();
        assert_eq!(told.recv(), Ok("to its end"));

        let awaited = pool.spawn(|| 5).unwrap().cancel_on_drop();
        assert_eq!(block_on(awaited), Ok(5));
    });
}

/// A5: whoever cancels the job is seen by who awaits it.
#[test]
fn a_cancelled_job_ends_its_await() {
    watchdog(LIMIT, "a_cancelled_job_ends_its_await", || {
        let (pool, release) = busy_pool();
        let job = pool.spawn(|| ()).unwrap().cancel_on_drop();
        assert!(job.future().cancel());
        assert_eq!(block_on(job), Err(TaskError::Cancelled));
        release.set();
    });
}

/// A22: the thread sleeps, and a wake-up is one poll.
#[test]
fn block_on_polls_when_it_is_woken() {
    watchdog(LIMIT, "block_on_polls_when_it_is_woken", || {
        assert_eq!(block_on(async { 1 }), 1);
        let polls = Arc::new(AtomicUsize::new(0));
        let (tell, told) = mpsc::channel::<Waker>();
        let its = Arc::clone(&polls);
        let mut told_waker = Some(tell);
        let mut counted = Counted(its, 4);
        let future = poll_fn(move |cx| {
            if let Some(tell) = told_waker.take() {
                tell.send(cx.waker().clone()).unwrap();
            }
            Pin::new(&mut counted).poll(cx)
        });
        thread::scope(|s| {
            let blocked = parked(s, move || block_on(future));
            let waker = told.recv().unwrap();
            for n in 1..=3 {
                assert_eq!(polls.load(Ordering::SeqCst), n, "nobody has woken it since");
                waker.wake_by_ref();
                while polls.load(Ordering::SeqCst) == n {
                    thread::yield_now();
                }
            }
            blocked.join().unwrap();
            // Late ones reach nobody.
            waker.wake_by_ref();
            waker.wake();
        });
        assert_eq!(polls.load(Ordering::SeqCst), 4);
    });
}

/// A22: one in the other, and one that wakes itself.
#[test]
fn block_on_nests() {
    watchdog(LIMIT, "block_on_nests", || {
        let yielding = || {
            let mut left = 1000;
            poll_fn(move |cx| {
                if left == 0 {
                    return Poll::Ready("done");
                }
                left -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            })
        };
        let queue = Queue::unbounded();
        let told = block_on(async {
            queue.put(block_on(yielding())).unwrap();
            let inner = block_on(async { block_on(queue.get_async()).unwrap() });
            sleep_async(Duration::from_millis(1)).await;
            (inner, yielding().await)
        });
        assert_eq!(told, ("done", "done"));
        let panicked = std::panic::catch_unwind(|| block_on(async { panic!("on purpose") }));
        assert!(panicked.is_err());
    });
}

/// A limit ends it; nothing is lost, and a future that was lent goes on. By a driven clock, so that no time passes.
#[test]
fn block_on_gives_up_in_time() {
    watchdog(LIMIT, "block_on_gives_up_in_time", || {
        let clock = ManualClock::new();
        let queue = Queue::bounded(1);
        thread::scope(|s| {
            let late = s.spawn(|| clock.run(|| block_on_within(queue.get_async(), HOUR)));
            clock.wait_until_armed(1);
            clock.advance(HOUR);
            assert_eq!(late.join().unwrap(), Err(GaveUp::TimedOut));
        });
        queue.put(1).unwrap();
        assert_eq!(
            queue.try_get(),
            Ok(1),
            "the future that gave up has not got it"
        );

        let mut lent = pin!(queue.get_async());
        let polls = Duration::ZERO;
        assert_eq!(block_on_within(&mut lent, polls), Err(GaveUp::TimedOut));
        queue.put(2).unwrap();
        assert_eq!(block_on_within(&mut lent, polls), Ok(Ok(2)));

        let token = CancelToken::new();
        thread::scope(|s| {
            let cancelled = parked(s, || block_on_within(queue.get_async(), &token));
            token.cancel();
            assert_eq!(cancelled.join().unwrap(), Err(GaveUp::Cancelled));
        });
        assert_eq!(block_on_within(async { 3 }, &token), Ok(3), "needs no wait");
        // One that always wakes itself.
        let mut spinning = pin!(poll_fn(|cx| -> Poll<()> {
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        let limit = Duration::from_millis(5);
        assert_eq!(block_on_within(&mut spinning, limit), Err(GaveUp::TimedOut));
    });
}

/// A23.
#[test]
fn sleeps_are_awaited() {
    watchdog(LIMIT, "sleeps_are_awaited", || {
        let clock = ManualClock::new();
        thread::scope(|s| {
            let sleeper = s.spawn(|| clock.run(|| block_on(sleep_async(HOUR))));
            clock.wait_until_armed(1);
            assert!(!sleeper.is_finished());
            clock.advance(HOUR);
            sleeper.join().unwrap();
        });
    });
}
