//! A pool's tasks, at an instant or again and again. Time is a driven clock's, so nobody sleeps.
//!
//! Java's `ScheduledThreadPoolExecutor`; Python has only `sched`.

mod common;

use common::{block_on, watchdog};
use latchwork::executor::{
    self, Executor, ScheduledExecutor, ScheduledTask, SubmitRefusal, TaskError, ThreadPoolExecutor,
};
use latchwork::sync::Event;
use latchwork::time::{Cancel, ManualClock, Misfire, Tick};
use latchwork::{CancelToken, GaveUp, Shutdown};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A function that is called again and again, and says so; each call lasts until it is told to go on.
struct Steps {
    begun: Receiver<(u64, u64, Duration)>,
    go_on: Sender<()>,
}

impl Steps {
    /// `start` is when the instants begin to count.
    fn new(start: Instant) -> (Steps, impl FnMut(&Tick) + Send + 'static) {
        let (tell, begun) = mpsc::channel();
        let (go_on, told) = mpsc::channel::<()>();
        let step = move |tick: &Tick| {
            let meant_for = tick.scheduled() - start;
            tell.send((tick.number(), tick.missed(), meant_for))
                .unwrap();
            told.recv().unwrap();
        };
        (Steps { begun, go_on }, step)
    }

    /// The next call: its number, how many were left out, the second that it was meant for.
    fn next(&self) -> (u64, u64, u64) {
        let (number, missed, meant_for) = self.begun.recv().unwrap();
        (number, missed, meant_for.as_secs_f64().round() as u64)
    }
}

/// The child's output, in the parent; `None` in the child, which is to go on.
fn in_child(test: &str) -> Option<Output> {
    const CHILD: &str = "LATCHWORK_TEST_SCHEDULED";
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "")
        .output();
    Some(output.unwrap())
}

/// Once, by the pool, when the time has come; with its result in every way.
#[test]
fn functions_are_called_after_their_delay() {
    watchdog(LIMIT, "called_after_their_delay", || {
        let clock = ManualClock::new();
        let _on_it = clock.enter();
        let pool = ThreadPoolExecutor::builder().thread_name_prefix("own");
        let scheduled = ScheduledExecutor::from(pool.build());
        let name = || thread::current().name().map(str::to_owned);
        let task = scheduled.after(2 * SECOND, name).unwrap();
        let due = task.due().unwrap() - clock.now();
        assert!((SECOND..3 * SECOND).contains(&due), "{due:?}");
        clock.advance(SECOND);
        assert_eq!(scheduled.pending(), 1);
        let task = task.try_result().unwrap_err();
        let late = task.result_within(Duration::ZERO).unwrap_err();
        assert_eq!(late.why, GaveUp::TimedOut);
        assert_eq!(late.task.wait_within(Duration::ZERO), Err(GaveUp::TimedOut));
        clock.advance(SECOND);
        assert_eq!(late.task.result().unwrap().as_deref(), Some("own_0"));
        let task = scheduled.after(SECOND, || 6 * 7).unwrap();
        clock.advance(SECOND);
        task.wait();
        block_on(task.wait_async());
        assert!(task.is_done() && task.due().is_none());
        assert_eq!(task.cancel(), Cancel::Finished);
        assert_eq!(block_on(async { task.await }), Ok(42));
        let panicked = scheduled.after(SECOND, || panic!("on purpose")).unwrap();
        clock.advance(SECOND);
        match block_on(panicked.result_async()) {
            Err(TaskError::Panicked(panic)) => assert_eq!(panic.message, "on purpose"),
            other => panic!("{other:?}"),
        }
        let moved = scheduled.after(HOUR, || 1).unwrap();
        assert!(moved.reset(SECOND));
        clock.advance(SECOND);
        assert_eq!(moved.result(), Ok(1));
        let never = scheduled.after(Duration::MAX, || ()).unwrap();
        clock.advance(24 * HOUR);
        assert_eq!(never.cancel(), Cancel::Prevented);
        assert_eq!(scheduled.pool().spawn(|| 1).unwrap().result(), Ok(1));
    });
}

/// A cancellation says what has come of it: before the time, while it waits for a thread, while it runs, after it.
#[test]
fn cancelling_says_what_it_has_prevented() {
    watchdog(LIMIT, "cancelling_says", || {
        let clock = ManualClock::new();
        let _on_it = clock.enter();
        let scheduled = ScheduledExecutor::new(1);
        let captured = Arc::new(());
        let its = Arc::clone(&captured);
        let early = scheduled.after(SECOND, move || drop(its)).unwrap();
        assert_eq!(early.cancel(), Cancel::Prevented);
        assert_eq!(Arc::strong_count(&captured), 1);
        assert_eq!(early.cancel(), Cancel::Prevented);
        assert_eq!(early.result(), Err(TaskError::Cancelled));
        assert_eq!(clock.armed(), 0, "nothing is left of it");

        let (started, release) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (s, r) = (Arc::clone(&started), Arc::clone(&release));
        let running = scheduled.after(SECOND, move || {
            s.set();
            r.wait();
            7
        });
        let running = running.unwrap();
        let queued = scheduled
            .after(SECOND, || unreachable!("prevented"))
            .unwrap();
        clock.advance(SECOND);
        started.wait();
        assert_eq!(running.cancel(), Cancel::Running);
        assert_eq!(queued.cancel(), Cancel::Prevented);
        assert_eq!(queued.result(), Err::<(), _>(TaskError::Cancelled));
        release.set();
        running.wait();
        assert_eq!(running.cancel(), Cancel::Finished);
        assert_eq!(running.result(), Ok(7));

        let (steps, step) = Steps::new(clock.now());
        let again = scheduled.at_fixed_rate(SECOND, SECOND, step).unwrap();
        clock.advance(SECOND);
        assert_eq!(steps.next(), (0, 0, 1));
        assert_eq!(again.cancel(), Cancel::Running);
        steps.go_on.send(()).unwrap();
        assert_eq!(again.result(), Err(TaskError::Cancelled));
        clock.advance(HOUR);
        assert!(steps.begun.recv().is_err(), "not again");
        let between = scheduled.with_fixed_delay(SECOND, SECOND, |_| ()).unwrap();
        clock.advance(SECOND);
        clock.wait_until_armed(1);
        assert_eq!(between.cancel(), Cancel::Prevented);
        assert_eq!(between.result(), Err(TaskError::Cancelled));
    });
}

/// A fixed rate does not drift, and what its own calls make late is left out.
#[test]
fn a_fixed_rate_keeps_to_its_grid() {
    watchdog(LIMIT, "a_fixed_rate", || {
        let clock = ManualClock::new();
        let _on_it = clock.enter();
        let scheduled = ScheduledExecutor::new(3);
        let (steps, step) = Steps::new(clock.now());
        let task = scheduled
            .at_fixed_rate(5 * SECOND, 10 * SECOND, step)
            .unwrap();
        clock.advance(5 * SECOND);
        assert_eq!(steps.next(), (0, 0, 5));
        clock.advance(3 * SECOND);
        steps.go_on.send(()).unwrap();
        clock.wait_until_armed(1);
        clock.advance(7 * SECOND);
        assert_eq!(steps.next(), (1, 0, 15), "by the grid, not by its end");
        // 25, 35 and 45 pass while it runs, with threads to spare: it is never beside itself.
        clock.advance(32 * SECOND);
        assert_eq!(clock.armed(), 0);
        steps.go_on.send(()).unwrap();
        clock.wait_until_armed(1);
        clock.advance(8 * SECOND);
        assert_eq!(steps.next(), (2, 3, 55));
        steps.go_on.send(()).unwrap();
        clock.wait_until_armed(1);
        task.cancel();
        assert_eq!(task.result(), Err(TaskError::Cancelled));
    });
}

/// The other policies for what is late.
#[test]
fn late_calls_are_made_up_for_or_shifted() {
    watchdog(LIMIT, "late_calls", || {
        let overrun = |misfire: Misfire| {
            let clock = ManualClock::new();
            let _on_it = clock.enter();
            let scheduled = ScheduledExecutor::new(2);
            let (steps, step) = Steps::new(clock.now());
            let every = 10 * SECOND;
            let task = scheduled.at_fixed_rate_or(misfire, every, every, step);
            let task = task.unwrap();
            clock.advance(every);
            assert_eq!(steps.next(), (0, 0, 10));
            clock.advance(25 * SECOND);
            let mut meant_for = Vec::new();
            for number in 1..4 {
                steps.go_on.send(()).unwrap();
                // What is late is due at once, and rung as the clock is next looked at; what is not, at its instant.
                clock.wait_until_armed(1);
                clock.advance_to_next();
                let (n, missed, second) = steps.next();
                assert_eq!((n, missed), (number, 0));
                meant_for.push(second);
            }
            task.cancel();
            steps.go_on.send(()).unwrap();
            assert_eq!(task.result(), Err(TaskError::Cancelled));
            meant_for
        };
        assert_eq!(overrun(Misfire::CatchUp), [20, 30, 40]);
        assert_eq!(overrun(Misfire::Shift), [35, 45, 55]);
    });
}

/// A fixed delay counts from the end of each call.
#[test]
fn a_fixed_delay_counts_from_the_end() {
    watchdog(LIMIT, "a_fixed_delay", || {
        let clock = ManualClock::new();
        let _on_it = clock.enter();
        let scheduled = ScheduledExecutor::new(1);
        let (steps, step) = Steps::new(clock.now());
        let task = scheduled.with_fixed_delay(Duration::ZERO, 10 * SECOND, step);
        let task = task.unwrap();
        clock.advance(Duration::ZERO);
        assert_eq!(steps.next(), (0, 0, 0));
        clock.advance(25 * SECOND);
        steps.go_on.send(()).unwrap();
        clock.wait_until_armed(1);
        clock.advance(9 * SECOND);
        assert!(steps.begun.try_recv().is_err());
        clock.advance(SECOND);
        assert_eq!(steps.next(), (1, 0, 35));
        steps.go_on.send(()).unwrap();
        clock.wait_until_armed(1);
        task.cancel();
    });
}

/// A panic ends the task that it is in, with its message; and a task may end itself.
#[test]
fn a_panic_ends_its_task_alone() {
    watchdog(LIMIT, "a_panic_ends_its_task_alone", || {
        let clock = ManualClock::new();
        let _on_it = clock.enter();
        let scheduled = ScheduledExecutor::new(1);
        let calls = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&calls);
        let unlucky = scheduled.at_fixed_rate(SECOND, SECOND, move |tick| {
            its.fetch_add(1, Ordering::SeqCst);
            assert_ne!(tick.number(), 1, "the second");
        });
        let unlucky = unlucky.unwrap();
        let stops = scheduled.with_fixed_delay(SECOND, SECOND, |tick| {
            if tick.number() == 2 {
                tick.stop();
            }
        });
        let stops = stops.unwrap();
        // Both, then one of them or both, then none that is missed.
        for _ in 0..3 {
            clock.advance(SECOND);
            let has_settled = |task: &ScheduledTask| task.is_done() || task.due().is_some();
            while !(has_settled(&unlucky) && has_settled(&stops)) {
                thread::yield_now();
            }
        }
        match unlucky.result() {
            Err(TaskError::Panicked(panic)) => assert!(panic.message.contains("the second")),
            other => panic!("{other:?}"),
        }
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        assert_eq!(stops.result(), Ok(()));
        let after = scheduled.after(SECOND, || "goes on").unwrap();
        clock.advance(SECOND);
        assert_eq!(after.result(), Ok("goes on"));
    });
}

/// It is called by many threads, one after the other, and what one call did the next one sees.
#[test]
fn a_task_is_never_beside_itself() {
    watchdog(LIMIT, "never_beside_itself", || {
        let scheduled = ScheduledExecutor::new(4);
        let inside = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = [Misfire::Skip, Misfire::CatchUp, Misfire::Shift]
            .into_iter()
            .map(|misfire| {
                let inside = Arc::new(AtomicUsize::new(0));
                let period = Duration::from_micros(50);
                let mut calls = 0;
                let call = move |tick: &Tick| {
                    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
                    assert_eq!(tick.number(), calls);
                    calls += 1;
                    thread::yield_now();
                    inside.fetch_sub(1, Ordering::Relaxed);
                    if calls == 300 {
                        tick.stop();
                    }
                };
                let task = scheduled.at_fixed_rate_or(misfire, Duration::ZERO, period, call);
                task.unwrap()
            })
            .collect();
        for task in tasks {
            assert_eq!(task.result(), Ok(()));
        }
        assert_eq!(inside.load(Ordering::Relaxed), 0);
    });
}

/// `Drain`: what repeats ends, what is to come once is called, and nothing else is accepted.
#[test]
fn shutdown_that_drains() {
    watchdog(LIMIT, "shutdown_that_drains", || {
        let clock = ManualClock::new();
        let scheduled = ScheduledExecutor::new(2);
        let (delayed, repeated, running, steps) = clock.run(|| {
            let (steps, step) = Steps::new(clock.now());
            (
                scheduled.after(HOUR, || 1).unwrap(),
                scheduled.at_fixed_rate(HOUR, SECOND, |_| ()).unwrap(),
                scheduled.at_fixed_rate(SECOND, SECOND, step).unwrap(),
                steps,
            )
        });
        clock.advance(SECOND);
        assert_eq!(steps.next(), (0, 0, 1));
        assert_eq!(
            scheduled.join_within(Duration::from_millis(1)),
            Err(GaveUp::TimedOut)
        );
        assert!(!scheduled.is_shutdown());
        scheduled.shutdown(Shutdown::Drain);
        assert!(scheduled.is_shutdown());
        assert_eq!(repeated.result(), Err(TaskError::Cancelled));
        assert!(!running.is_done(), "its call goes on");
        let captured = Arc::new(5);
        let its = Arc::clone(&captured);
        let refused = scheduled.after(SECOND, move || *its).unwrap_err();
        assert_eq!(refused.reason, SubmitRefusal::ShutDown);
        assert_eq!((refused.value)(), 5, "the function comes back");
        let refused = scheduled.at_fixed_rate(SECOND, SECOND, |_| ()).unwrap_err();
        assert_eq!(refused.reason, SubmitRefusal::ShutDown);
        steps.go_on.send(()).unwrap();
        assert_eq!(running.result(), Err(TaskError::Cancelled));
        assert_eq!(
            scheduled.join_within(Duration::from_millis(1)),
            Err(GaveUp::TimedOut)
        );
        clock.advance(HOUR);
        scheduled.join();
        assert!(delayed.is_done());
        assert_eq!(delayed.result(), Ok(1));
        assert!(
            scheduled.pool().spawn(|| ()).is_err(),
            "its pool has ended, too"
        );
    });
}

/// `Immediate`, after `Drain` or at once, and a drop: what has not begun is cancelled, what runs is waited for.
#[test]
fn shutdown_at_once_and_drop() {
    watchdog(LIMIT, "shutdown_at_once_and_drop", || {
        for is_dropped in [false, true] {
            let scheduled = ScheduledExecutor::new(1);
            let (started, release) = (Arc::new(Event::new()), Arc::new(Event::new()));
            let (s, r) = (Arc::clone(&started), Arc::clone(&release));
            let running = scheduled.after(Duration::ZERO, move || {
                s.set();
                r.wait();
                1
            });
            let running = running.unwrap();
            started.wait();
            let queued = scheduled.after(Duration::ZERO, || ()).unwrap();
            let delayed = scheduled.after(HOUR, || ()).unwrap();
            let repeated = scheduled.with_fixed_delay(HOUR, HOUR, |_| ()).unwrap();
            let ender = thread::spawn(move || {
                if is_dropped {
                    drop(scheduled);
                } else {
                    scheduled.shutdown(Shutdown::Drain);
                    scheduled.shutdown(Shutdown::Immediate);
                    scheduled.join();
                }
            });
            assert_eq!(queued.result(), Err(TaskError::Cancelled));
            assert_eq!(delayed.result(), Err(TaskError::Cancelled));
            assert_eq!(repeated.result(), Err(TaskError::Cancelled));
            assert!(!ender.is_finished());
            release.set();
            ender.join().unwrap();
            assert!(running.is_done(), "it was waited for");
            assert_eq!(running.result(), Ok(1));
        }
    });
}

/// A pool that others use is left alone, and one of its tasks may drop the executor.
#[test]
fn on_a_pool_of_others() {
    watchdog(LIMIT, "on_a_pool_of_others", || {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        let scheduled = ScheduledExecutor::on(Arc::clone(&pool));
        assert_eq!(
            scheduled.after(Duration::ZERO, || 1).unwrap().result(),
            Ok(1)
        );
        let late = scheduled.after(HOUR, || ()).unwrap();
        drop(scheduled);
        assert_eq!(late.result(), Err(TaskError::Cancelled));
        assert_eq!(pool.spawn(|| 2).unwrap().result(), Ok(2));

        let own = ScheduledExecutor::new(1);
        let cell = Arc::new(Mutex::new(None::<ScheduledExecutor>));
        let its = Arc::clone(&cell);
        let go = Arc::new(Event::new());
        let goes = Arc::clone(&go);
        let drops = own.after(Duration::ZERO, move || {
            goes.wait();
            drop(its.lock().unwrap().take());
            3
        });
        *cell.lock().unwrap() = Some(own);
        go.set();
        assert_eq!(drops.unwrap().result(), Ok(3));

        let scheduled = ScheduledExecutor::on(Arc::clone(&pool));
        pool.shutdown(Shutdown::Drain);
        let lost = scheduled.after(Duration::ZERO, || ()).unwrap();
        assert_eq!(lost.result(), Err(TaskError::Lost));
        let on_the_global_one = ScheduledExecutor::on(executor::global());
        let task = on_the_global_one.after(Duration::ZERO, || 4).unwrap();
        assert_eq!(task.result(), Ok(4));
    });
}

/// What is accepted while it is shut down is either refused or comes to an end; none is left.
#[test]
fn shutdown_against_submissions() {
    watchdog(LIMIT, "shutdown_against_submissions", || {
        for pending in [Shutdown::Drain, Shutdown::Immediate] {
            for _ in 0..50 {
                let scheduled = ScheduledExecutor::new(2);
                let tasks = thread::scope(|s| {
                    let submitter = s.spawn(|| {
                        let mut tasks = Vec::new();
                        let soon = Duration::from_micros(50);
                        loop {
                            let Ok(once) = scheduled.after(soon, || ()) else {
                                return tasks;
                            };
                            let again = scheduled.at_fixed_rate(soon, HOUR, |_| ());
                            tasks.push((once, again.ok()));
                            thread::yield_now();
                        }
                    });
                    while scheduled.pending() == 0 {
                        thread::yield_now();
                    }
                    scheduled.shutdown(pending);
                    scheduled.join();
                    submitter.join().unwrap()
                });
                for (once, again) in tasks {
                    let once = once.try_result().expect("joined");
                    match pending {
                        Shutdown::Drain => assert_eq!(once, Ok(())),
                        Shutdown::Immediate => {
                            assert!(matches!(once, Ok(()) | Err(TaskError::Cancelled)));
                        }
                    }
                    let again = again.map(|again| again.try_result().expect("joined"));
                    assert!(matches!(again, None | Some(Err(TaskError::Cancelled))));
                }
            }
        }
    });
}

/// The program's end waits for calls that run, and for no delay.
#[test]
fn the_programs_end_waits_for_no_delay() {
    let Some(output) = in_child("the_programs_end_waits_for_no_delay") else {
        let scheduled = ScheduledExecutor::new(2);
        let stop = CancelToken::new();
        let (begun, begins) = mpsc::channel();
        let its = stop.clone();
        let running = scheduled.after(Duration::ZERO, move || {
            begun.send(()).unwrap();
            its.wait();
            println!("\nrunning: to its end");
        });
        let late = scheduled.after(HOUR, || println!("\nnever")).unwrap();
        let often = scheduled
            .at_fixed_rate(Duration::ZERO, Duration::from_micros(100), |_| ())
            .unwrap();
        begins.recv().unwrap();
        drop(running);
        latchwork::exit::at_exit(move || assert!(stop.cancel())).unwrap();
        let at_end = move || {
            println!("late: {}", late.result().unwrap_err());
            println!("often: {}", often.result().unwrap_err());
        };
        latchwork::exit::at_end(at_end).unwrap();
        latchwork::exit::exit(7);
    };
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let lost = "the task was dropped by its executor";
    let end = format!("running: to its end\nlate: {lost}\noften: {lost}\n");
    assert!(said.ends_with(&end), "{said}");
}

/// A child has none of it.
#[cfg(target_os = "linux")]
#[test]
fn a_forked_child_has_nothing_scheduled() {
    watchdog(LIMIT, "a_forked_child", || {
        let scheduled = ScheduledExecutor::new(1);
        let task = scheduled.after(HOUR, || 1).unwrap();
        // SAFETY: what the child does then is what this is about.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: ends a child that hangs.
            unsafe { libc::alarm(20) };
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let refused = scheduled.after(SECOND, || 2).unwrap_err();
                assert!(matches!(refused.reason, SubmitRefusal::Broken(_)));
                scheduled.shutdown(Shutdown::Drain);
                scheduled.join();
                assert_eq!(task.result(), Err(TaskError::Lost));
                drop(scheduled);
            }));
            // SAFETY: ends the child, without running what belongs to its parent.
            unsafe { libc::_exit(i32::from(outcome.is_err())) };
        }
        let mut status = -1;
        // SAFETY: our child.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert_eq!(status, 0);
        assert!(task.reset(Duration::ZERO));
        assert_eq!(task.result(), Ok(1));
    });
}
