//! Timers: T117 to T121 of `threading.Timer`, and what it has not: resets, repeats, results.
//!
//! Where a test is about time it runs on a [`ManualClock`], so nothing here sleeps; a few tests at the end show that the
//! machine's clock does the same.

mod common;

use common::{block_on, pending, poll, watchdog};
use latchwork::sync::{Event, Lock};
use latchwork::time::{Cancel, ManualClock, Misfire, Timer, TimerError};
use latchwork::{CancelToken, GaveUp, debug};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What rings says its name and when, by the clock.
fn log(
    clock: &ManualClock,
) -> (
    impl Fn(&'static str) + Clone + Send + use<>,
    Receiver<(&'static str, u64)>,
) {
    let (send, received): (Sender<(&str, u64)>, _) = mpsc::channel();
    let begin = clock.now();
    let say = move |name| {
        let at = latchwork::time::now() - begin;
        assert_eq!(at.subsec_nanos(), 0, "exactly");
        send.send((name, at.as_secs())).unwrap();
    };
    (say, received)
}

/// T117.
#[test]
fn a_function_is_called_once_after_its_delay_and_not_before() {
    let clock = ManualClock::new();
    let (say, heard) = log(&clock);
    let timer = clock.run(|| Timer::after(seconds(5), move || say("rung")));
    clock.advance(seconds(5) - Duration::from_nanos(1));
    assert!(heard.try_recv().is_err() && !timer.is_finished());
    clock.advance(Duration::from_nanos(1));
    assert_eq!(heard.try_recv(), Ok(("rung", 5)));
    clock.advance(seconds(500));
    assert!(heard.recv().is_err(), "the function is gone");
    assert!(timer.is_finished());
}

#[test]
fn timers_ring_at_their_instants_and_in_their_order() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let (say, heard) = log(&clock);
    let at = |n, name| {
        let say = say.clone();
        drop(Timer::at(clock.now() + seconds(n), move || say(name)));
    };
    at(100_000, "last");
    at(3, "b");
    at(3, "c");
    at(1, "a");
    at(70, "d");
    assert_eq!(clock.armed(), 5);
    assert_eq!(clock.next(), Some(clock.now() + seconds(1)));
    clock.advance(seconds(1_000_000));
    let expected = [("a", 1), ("b", 3), ("c", 3), ("d", 70), ("last", 100_000)];
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), expected);
    assert_eq!((clock.armed(), clock.next()), (0, None));
}

/// An instant that has passed is now; a delay that the clock cannot tell is never.
#[test]
fn the_past_is_now_and_the_longest_delay_is_never() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let past = Timer::at(clock.now() - seconds(1), || 1);
    assert_eq!(clock.next(), Some(clock.now()));
    let zero = Timer::after(Duration::ZERO, || 2);
    let never = Timer::after(Duration::MAX, || 3);
    clock.advance(Duration::ZERO);
    assert_eq!((past.join().unwrap(), zero.join().unwrap()), (1, 2));
    clock.advance(seconds(90 * 365 * 86_400));
    assert!(!never.is_finished());
    assert_eq!(never.cancel(), Cancel::Prevented);
}

/// T118: in time, in vain, twice.
#[test]
fn a_cancellation_says_what_it_has_come_to() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let captured = Arc::new(());
    let its = Arc::clone(&captured);
    let timer = Timer::after(seconds(1), move || drop(its));
    assert_eq!(timer.cancel(), Cancel::Prevented);
    assert!(Cancel::Prevented.is_prevented() && !Cancel::Running.is_prevented());
    assert_eq!(
        Arc::strong_count(&captured),
        1,
        "gone with the cancellation"
    );
    assert_eq!(clock.armed(), 0);
    assert_eq!(timer.cancel(), Cancel::Prevented, "idempotent");
    assert!(timer.is_finished(), "T119: set by a cancellation, too");
    clock.advance(seconds(2));
    assert!(matches!(timer.join(), Err(TimerError::Cancelled)));

    let timer = Timer::after(seconds(1), || "rung");
    clock.advance(seconds(1));
    assert_eq!(timer.cancel(), Cancel::Finished, "too late is no error");
    assert_eq!(timer.join().unwrap(), "rung");
}

/// T118: a function may cancel its own timer, which is too late for it, and set others.
#[test]
fn a_function_cancels_its_own_timer_and_sets_others() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let itself: Arc<OnceLock<Timer<Cancel>>> = Arc::default();
    let its = Arc::clone(&itself);
    let (say, heard) = log(&clock);
    let timer = Timer::after(seconds(1), move || {
        drop(Timer::after(seconds(1), move || say("other")));
        its.get().unwrap().cancel()
    });
    assert!(itself.set(timer).is_ok());
    clock.advance(seconds(1));
    assert!(heard.try_recv().is_err());
    clock.advance(seconds(1));
    assert_eq!(heard.try_recv(), Ok(("other", 2)));
    let timer = Arc::into_inner(itself).unwrap().into_inner().unwrap();
    assert_eq!(timer.join().unwrap(), Cancel::Running);
}

/// T119: a function that panics has ended like any other, the panic is data, and the wheel goes on.
#[test]
fn a_panic_ends_its_timer_alone() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let broken = Timer::after(seconds(1), || -> u8 { panic!("on purpose") });
    let next = Timer::after(seconds(1), || 7);
    let repeated =
        Timer::every(seconds(1)).run(|tick| assert!(tick.number() < 2, "on purpose, too"));
    clock.advance(seconds(10));
    assert!(broken.is_finished());
    match broken.join() {
        Err(TimerError::Panicked(panic)) => {
            assert_eq!(panic.message, "on purpose");
            assert!(panic.location.unwrap().contains("timer.rs"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(next.join().unwrap(), 7);
    assert!(matches!(repeated.join(), Err(TimerError::Panicked(_))));
}

/// Until so many threads of this test wait for a timer.
fn until_waiting(count: usize) {
    let is_ours = |wait: &&debug::Wait| wait.kind == "Timer";
    while debug::waits().iter().filter(is_ours).count() < count {
        thread::yield_now();
    }
}

/// T120: all ways to wait for its end.
#[test]
fn joins() {
    watchdog(LIMIT, "joins", || {
        let clock = ManualClock::new();
        let timer = clock.run(|| Timer::after(seconds(1), || String::from("rung")));
        let timer = timer.try_join().unwrap_err();
        let late = timer.join_within(Duration::from_millis(1)).unwrap_err();
        assert_eq!(late.why, GaveUp::TimedOut);
        let token = CancelToken::new();
        let timer = late.timer;
        thread::scope(|s| {
            let waiter = s.spawn(|| timer.wait_within(&token));
            until_waiting(1);
            token.cancel();
            assert_eq!(waiter.join().unwrap(), Err(GaveUp::Cancelled));
        });
        thread::scope(|s| {
            let waiters = [(); 2].map(|()| s.spawn(|| timer.wait()));
            until_waiting(2);
            clock.advance(seconds(1));
            waiters
                .into_iter()
                .for_each(|waiter| waiter.join().unwrap());
        });
        block_on(timer.wait_async());
        assert_eq!(block_on(timer.join_async()).unwrap(), "rung");
        let timer = clock.run(|| Timer::after(seconds(1), || 2));
        clock.advance(seconds(1));
        assert_eq!(timer.try_join().unwrap().unwrap(), 2);
    });
}

/// A timer whose handle was dropped goes on; its result is dropped, once.
#[test]
fn a_dropped_handle_lets_it_go_on() {
    let clock = ManualClock::new();
    let returned = Arc::new(());
    let its = Arc::clone(&returned);
    drop(clock.run(|| Timer::after(seconds(1), move || its)));
    assert_eq!(Arc::strong_count(&returned), 2);
    clock.advance(seconds(1));
    assert_eq!(Arc::strong_count(&returned), 1);
}

#[test]
fn a_reset_moves_it_both_ways_and_is_refused_afterwards() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let (say, heard) = log(&clock);
    let timer = Timer::after(seconds(10), move || say("rung"));
    assert!(timer.reset(seconds(100)));
    assert_eq!(timer.due(), Some(clock.now() + seconds(100)));
    clock.advance(seconds(50));
    assert!(heard.try_recv().is_err());
    assert!(timer.reset_to(clock.now() + seconds(1)));
    assert_eq!(clock.armed(), 1);
    clock.advance(seconds(5));
    assert_eq!(heard.try_recv(), Ok(("rung", 51)));
    assert!(!timer.reset(seconds(1)), "it has been called");
    assert_eq!(timer.due(), None);
    let cancelled = Timer::after(seconds(1), || ());
    assert!(cancelled.reset(Duration::MAX));
    cancelled.cancel();
    assert!(!cancelled.reset(seconds(1)));
    assert_eq!(clock.armed(), 0);
}

/// T121: instants of a fixed rate do not move, however long a call takes; those of a fixed delay do.
#[test]
fn a_fixed_rate_does_not_drift_and_a_fixed_delay_does() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let (say, heard) = log(&clock);
    // A call takes three seconds: it lets them pass.
    let slow = {
        let (clock, say) = (clock.clone(), say.clone());
        move |_: &latchwork::time::Tick| {
            say("slow");
            clock.advance(seconds(3));
        }
    };
    let begin = clock.now();
    let rate = Timer::every(seconds(10)).run(slow.clone());
    clock.advance_to(begin + seconds(40));
    assert_eq!(rate.cancel(), Cancel::Prevented);
    assert_eq!(
        heard.try_iter().map(|(_, at)| at).collect::<Vec<_>>(),
        [10, 20, 30, 40]
    );

    let begin = clock.now();
    let delay = Timer::every(seconds(10))
        .fixed_delay()
        .first_after(Duration::ZERO)
        .run(slow);
    clock.advance_to(begin + seconds(40));
    assert_eq!(delay.cancel(), Cancel::Prevented);
    let offset = 43;
    let at: Vec<u64> = heard.try_iter().map(|(_, at)| at - offset).collect();
    assert_eq!(at, [0, 13, 26, 39]);
}

#[test]
fn what_is_late_is_left_out_or_made_up_for_or_moves_the_rest() {
    for (misfire, expected) in [
        // Second, how many were left out: the call at 10 lasts until 45.
        (Misfire::Skip, vec![(10, 0), (50, 3), (60, 0)]),
        (
            Misfire::CatchUp,
            vec![(10, 0), (20, 0), (30, 0), (40, 0), (50, 0), (60, 0)],
        ),
        (Misfire::Shift, vec![(10, 0), (45, 0), (55, 0)]),
    ] {
        let clock = ManualClock::new();
        let _on_it = clock.enter();
        let begin = clock.now();
        let (send, heard) = mpsc::channel();
        let its = clock.clone();
        let timer = Timer::every(seconds(10)).misfire(misfire).run(move |tick| {
            let scheduled = tick.scheduled() - begin;
            send.send((scheduled.as_secs(), tick.missed())).unwrap();
            if tick.number() == 0 {
                its.advance(seconds(35));
            }
        });
        clock.advance_to(begin + seconds(60));
        timer.cancel();
        assert_eq!(heard.iter().collect::<Vec<_>>(), expected, "{misfire:?}");
    }
}

#[test]
fn it_ends_after_so_many_or_when_a_call_says_so() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = || {
        let calls = Arc::clone(&calls);
        move || calls.fetch_add(1, Ordering::Relaxed)
    };
    let three = Timer::every(seconds(1)).times(3).run({
        let count = count();
        move |_| {
            count();
        }
    });
    let once = Timer::every(seconds(1000)).times(1).first_after(seconds(1));
    let once = once.run(|tick| assert_eq!(tick.number(), 0));
    let first_at = clock.now() + seconds(7);
    let until_told = Timer::every(seconds(1)).first_at(first_at).run({
        let count = count();
        move |tick| {
            count();
            if tick.number() == 1 {
                tick.stop();
            }
        }
    });
    clock.advance(seconds(6));
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    assert!(three.join().is_ok() && once.is_finished());
    clock.advance(seconds(100));
    assert_eq!(calls.load(Ordering::Relaxed), 5);
    assert!(until_told.join().is_ok());
    assert_eq!(Arc::strong_count(&calls), 1);
}

#[test]
#[should_panic = "a period of zero"]
fn a_period_of_zero_is_refused() {
    drop(Timer::every(Duration::ZERO));
}

#[test]
#[should_panic = "no times at all"]
fn no_times_are_refused() {
    drop(Timer::every(seconds(1)).times(0));
}

/// One that repeats is cancelled from within: that call is its last.
#[test]
fn one_that_repeats_is_cancelled_from_within() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let itself: Arc<OnceLock<Timer>> = Arc::default();
    let its = Arc::downgrade(&itself);
    let (send, heard) = mpsc::channel();
    let timer = Timer::every(seconds(1)).run(move |tick| {
        if tick.number() == 1 {
            let itself: Arc<OnceLock<Timer>> = Weak::upgrade(&its).unwrap();
            send.send(itself.get().unwrap().cancel()).unwrap();
        }
    });
    assert!(itself.set(timer).is_ok());
    clock.advance(seconds(10));
    assert_eq!(heard.iter().collect::<Vec<_>>(), [Cancel::Running]);
    let timer = Arc::into_inner(itself).unwrap().into_inner().unwrap();
    assert_eq!(timer.cancel(), Cancel::Prevented, "of all further calls");
    assert!(matches!(timer.join(), Err(TimerError::Cancelled)));
    assert_eq!(clock.armed(), 0);
}

/// Panics as it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a bomb, on purpose");
    }
}

/// What was captured and what is returned may panic as it is dropped; that is nobody else's trouble.
#[test]
fn bombs_do_no_harm() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let captured = Bomb;
    let cancelled = Timer::after(seconds(1), move || drop(captured));
    assert_eq!(cancelled.cancel(), Cancel::Prevented);
    let captured = Bomb;
    let called = Timer::after(seconds(1), move || drop(captured));
    // Nobody takes what it returns, so it is dropped where it was called.
    drop(Timer::after(seconds(1), || Bomb));
    let next = Timer::after(seconds(1), || 1);
    clock.advance(seconds(1));
    assert!(matches!(called.join(), Err(TimerError::Panicked(_))));
    assert_eq!(next.join().unwrap(), 1);
}

/// Time comes to its end: nobody waits for ever.
#[test]
fn with_its_clock_gone_a_timer_is_lost() {
    let clock = ManualClock::new();
    let on_it = clock.enter();
    let lost = Timer::after(seconds(1), || ());
    let repeated = Timer::every(seconds(1)).run(|_| ());
    drop(on_it);
    drop(clock);
    assert!(matches!(lost.join(), Err(TimerError::Lost)));
    assert!(matches!(repeated.join(), Err(TimerError::Lost)));
}

#[test]
fn its_state_can_be_read() {
    let clock = ManualClock::new();
    let timer = clock.run(|| Timer::after(seconds(3), || ()));
    assert_eq!(
        format!("{timer:?}"),
        "Timer { due_in: Some(3s), is_finished: false }"
    );
    clock.advance(seconds(3));
    assert_eq!(
        format!("{timer:?}"),
        "Timer { due_in: None, is_finished: true }"
    );
}

/// On the machine's clock: not early, and in order; one set for earlier than what the thread sleeps for is in time.
#[test]
fn by_the_machines_clock() {
    watchdog(LIMIT, "by_the_machines_clock", || {
        let begin = Instant::now();
        let (send, heard) = mpsc::channel();
        let set = |n| {
            let (send, at) = (send.clone(), begin + Duration::from_millis(n));
            drop(Timer::at(at, move || {
                send.send((n, Instant::now() >= at)).unwrap()
            }));
        };
        [60, 30, 31, 45].into_iter().for_each(set);
        for n in [30, 31, 45, 60] {
            assert_eq!(heard.recv(), Ok((n, true)));
        }
        // While it sleeps for an hour.
        let hour = Timer::after(seconds(3600), || ());
        assert_eq!(
            Timer::after(Duration::from_millis(1), || 1).join().unwrap(),
            1
        );
        assert_eq!(hour.cancel(), Cancel::Prevented);
        let repeated = Timer::every(Duration::from_millis(1)).times(20).run(|_| ());
        assert!(repeated.join().is_ok());
        assert!(begin.elapsed() >= Duration::from_millis(80));
    });
}

/// A cancellation while the function runs in the other thread says so, and a join then waits for its end.
#[test]
fn cancelled_while_it_runs() {
    watchdog(LIMIT, "cancelled_while_it_runs", || {
        let (begun, go_on) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let its = (Arc::clone(&begun), Arc::clone(&go_on));
        let timer = Timer::after(Duration::ZERO, move || {
            its.0.set();
            its.1.wait();
            5
        });
        begun.wait();
        assert_eq!(timer.cancel(), Cancel::Running);
        assert!(!timer.reset(seconds(1)));
        go_on.set();
        assert_eq!(timer.join().unwrap(), 5);
    });
}

/// A function that joins its own timer waits for itself, which is reported; within a limit it gives up.
#[test]
fn a_function_that_joins_its_own_timer_gives_up() {
    watchdog(LIMIT, "joins_its_own_timer", || {
        let itself: Arc<Lock<Option<Timer<GaveUp>>>> = Arc::default();
        let its = Arc::clone(&itself);
        let (send, gave_up) = mpsc::channel();
        let timer = {
            let mut place = itself.lock();
            let timer = Timer::after(Duration::ZERO, move || {
                let itself = its.lock().take().unwrap();
                let late = itself.join_within(Duration::from_millis(1)).unwrap_err();
                send.send(late.why).unwrap();
                late.why
            });
            *place = Some(timer);
            drop(place);
            itself
        };
        assert_eq!(gave_up.recv(), Ok(GaveUp::TimedOut));
        assert!(timer.lock().is_none());
    });
}

/// Set, reset and cancelled from many threads while they ring: each is called once or prevented, never both.
#[test]
fn called_or_prevented_never_both() {
    watchdog(LIMIT, "called_or_prevented", || {
        const THREADS: usize = 4;
        const EACH: usize = 5_000;
        let called = Arc::new(AtomicUsize::new(0));
        let prevented = AtomicUsize::new(0);
        thread::scope(|s| {
            for n in 0..THREADS {
                let (called, prevented) = (&called, &prevented);
                s.spawn(move || {
                    for i in 0..EACH {
                        let calls = Arc::clone(called);
                        let delay = Duration::from_micros((i * 7 + n * 13) as u64 % 120);
                        let timer =
                            Timer::after(delay, move || calls.fetch_add(1, Ordering::Relaxed));
                        if i % 3 == 0 {
                            timer.reset(delay / 2);
                        }
                        if i % 2 == 0 {
                            (0..i % 50).for_each(|_| thread::yield_now());
                        }
                        if timer.cancel().is_prevented() {
                            prevented.fetch_add(1, Ordering::Relaxed);
                            assert!(matches!(timer.join(), Err(TimerError::Cancelled)));
                        } else {
                            timer.join().unwrap();
                        }
                    }
                });
            }
        });
        let (called, prevented) = (called.load(Ordering::Relaxed), prevented.into_inner());
        assert_eq!(called + prevented, THREADS * EACH);
        assert!(called > 0 && prevented > 0, "{called} {prevented}");
    });
}

/// A future that joins, and is dropped, leaves the timer alone.
#[test]
fn a_dropped_join_lets_it_go_on() {
    let clock = ManualClock::new();
    let (send, heard) = mpsc::channel();
    let timer = clock.run(|| Timer::after(seconds(1), move || send.send(()).unwrap()));
    let waiting = pending(timer.join_async());
    drop(waiting);
    clock.advance(seconds(1));
    assert_eq!(heard.try_recv(), Ok(()));
    let timer = clock.run(|| Timer::after(seconds(1), || 3));
    let mut waiting = pending(timer.join_async());
    clock.advance(seconds(1));
    assert!(poll(waiting.as_mut(), Waker::noop()).is_ready());
}

/// One that repeats goes on from where it was moved to.
#[test]
fn a_reset_moves_all_that_is_to_come() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let begin = clock.now();
    let (send, heard) = mpsc::channel();
    let timer = Timer::every(seconds(10)).run(move |tick| {
        let now = latchwork::time::now();
        assert_eq!(tick.scheduled(), now);
        send.send(((now - begin).as_secs(), tick.missed())).unwrap();
    });
    clock.advance(seconds(5));
    assert!(timer.reset(seconds(20)));
    clock.advance(seconds(35));
    assert!(timer.reset(seconds(1)), "earlier, too");
    clock.advance(seconds(15));
    timer.cancel();
    let expected = [(25, 0), (35, 0), (41, 0), (51, 0)];
    assert_eq!(heard.iter().collect::<Vec<_>>(), expected);
}

/// Whatever a function leaves behind in the thread that rings, and however late it sets others: the rest ring.
#[test]
fn a_function_holds_up_nobody() {
    watchdog(LIMIT, "a_function_holds_up_nobody", || {
        let others_ring = || {
            let other = Timer::after(Duration::from_millis(20), || 1);
            assert_eq!(other.join_within(seconds(10)).unwrap().unwrap(), 1);
        };
        drop(Timer::after(Duration::ZERO, || Bomb));
        others_ring();
        let clock = ManualClock::new();
        let its = clock.clone();
        let forgets = move || std::mem::forget(its.enter());
        Timer::after(Duration::ZERO, forgets).join().unwrap();
        others_ring();
        // Each sets the next for an instant that has passed.
        fn again(goes_on: Arc<Event>, at: Instant) {
            if !goes_on.is_set() {
                drop(Timer::at(at, move || again(goes_on, at)));
            }
        }
        let enough = Arc::new(Event::new());
        again(Arc::clone(&enough), Instant::now());
        others_ring();
        enough.set();
        let late = Timer::every(Duration::from_millis(1))
            .misfire(Misfire::CatchUp)
            .run(|_| thread::sleep(Duration::from_millis(2)));
        others_ring();
        late.cancel();
    });
}

/// An alarm between two ticks rings with the later one, moved to or set.
#[test]
fn never_early_by_the_machines_clock() {
    watchdog(LIMIT, "never_early", || {
        for n in 0..400_u64 {
            let at = Instant::now() + Duration::from_nanos(20_000 + n * 97);
            let timer = match n % 2 {
                0 => Timer::at(at, Instant::now),
                _ => {
                    let timer = Timer::after(seconds(3600), Instant::now);
                    assert!(timer.reset_to(at));
                    timer
                }
            };
            assert!(timer.join().unwrap() >= at);
        }
    });
}

/// What a timer had, and it itself, are gone once it has ended and its handle is.
#[test]
fn nothing_of_it_is_left() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    for is_cancelled in [false, true] {
        let returned = Arc::new(());
        let its = Arc::clone(&returned);
        let timer = Timer::after(seconds(1), move || its);
        if is_cancelled {
            assert_eq!(timer.cancel(), Cancel::Prevented);
        }
        clock.advance(seconds(1));
        drop(timer);
        assert_eq!(Arc::strong_count(&returned), 1);
    }
}

/// The worker of a timer is known while it is called: waiting for it is an edge in the wait graph.
#[test]
fn who_is_at_work_is_known() {
    watchdog(LIMIT, "who_is_at_work", || {
        let (begun, go_on) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let its = (Arc::clone(&begun), Arc::clone(&go_on));
        let timer = Timer::after(Duration::ZERO, move || {
            its.0.set();
            its.1.wait();
        });
        begun.wait();
        thread::scope(|s| {
            s.spawn(|| timer.wait());
            // No assertion in between: the thread that rings waits for us.
            let ours = |wait: &debug::Wait| wait.kind == "Timer" && wait.owner.is_some();
            while !debug::waits().iter().any(ours) {
                thread::yield_now();
            }
            go_on.set();
        });
    });
}
