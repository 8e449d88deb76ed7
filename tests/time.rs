//! Clocks that a test drives; sleeps and time-outs of threads and of futures.

mod common;

use common::{block_on, counting_waker, pending, poll, ready, until_parked, watchdog};
use latchwork::queue::{DelayQueue, Delayed, GetError, Queue};
use latchwork::select::Select;
use latchwork::sync::{Barrier, Condition, Event, Lock, RLock, RwLock, Semaphore};
use latchwork::time::{self, ManualClock, Timer, sleep_async, sleep_until_async, timeout};
use latchwork::{CancelToken, GaveUp, Limit};
use std::future::pending as never;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_clock_stands_still_until_it_is_advanced() {
    let clock = ManualClock::new();
    let begin = clock.now();
    let outside = time::now();
    {
        let _on_it = clock.enter();
        assert_eq!(time::now(), begin);
        let other = ManualClock::new();
        other.advance(HOUR);
        other.run(|| assert_eq!(time::now(), other.now()));
        assert_eq!(time::now(), begin, "back on the one before");
        clock.advance(HOUR);
        assert_eq!(time::now(), begin + HOUR);
        // Backwards is not a direction.
        clock.advance_to(begin);
        assert_eq!(clock.now(), begin + HOUR);
        assert_eq!(clock.clone().now(), begin + HOUR);
    }
    assert!(time::now() >= outside && time::now() < begin + HOUR);
    assert_eq!(clock.advance_to_next(), None);
    clock.run(|| drop(Timer::after(HOUR, || ())));
    assert_eq!(clock.advance_to_next(), Some(begin + 2 * HOUR));
}

/// Every kind of wait that takes a limit goes by the clock: it ends when that says so, and not before.
#[test]
fn deadlines_of_every_wait_pass_as_the_clock_is_advanced() {
    type Wait = fn(Limit<'_>) -> bool;
    let waits: [(&str, Wait); 14] = [
        ("Lock", |limit| {
            let lock = Lock::new(());
            std::mem::forget(lock.lock());
            lock.lock_within(limit).is_err()
        }),
        ("RLock", |limit| {
            let lock = RLock::new(());
            // So that the other thread's id is not this one's.
            latchwork::debug::current_thread();
            thread::scope(|s| drop(s.spawn(|| std::mem::forget(lock.lock())).join()));
            lock.lock_within(limit).is_err()
        }),
        ("RwLock", |limit| {
            let lock = RwLock::new(());
            let _held = lock.read();
            lock.write_within(limit).is_err()
        }),
        ("Semaphore", |limit| {
            Semaphore::new(0).acquire_within(limit).is_err()
        }),
        ("Event", |limit| {
            Event::new().wait_within(limit) == Err(GaveUp::TimedOut)
        }),
        ("Condition", |limit| {
            let lock = Lock::new(());
            Condition::new()
                .wait_within(&mut lock.lock(), limit)
                .is_err()
        }),
        ("Barrier", |limit| {
            Barrier::new(2).wait_within(limit).is_err()
        }),
        ("Queue::get", |limit| {
            Queue::<u8>::unbounded().get_within(limit) == Err(GetError::TimedOut)
        }),
        ("Queue::put", |limit| {
            Queue::bounded(0).put_within(1, limit).is_err()
        }),
        ("DelayQueue", |limit| {
            DelayQueue::<u8>::unbounded().get_within(limit).is_err()
        }),
        ("Select", |limit| {
            Select::new()
                .event(&Event::new(), || ())
                .wait_within(limit)
                .is_err()
        }),
        ("CancelToken", |limit| {
            CancelToken::new().wait_within(limit).is_err()
        }),
        ("Timer", |limit| {
            let timer = Timer::after(2 * HOUR, || ());
            let gave_up = timer.wait_within(limit).is_err();
            timer.cancel();
            gave_up
        }),
        ("sleep", |_| {
            time::sleep(HOUR);
            true
        }),
    ];
    watchdog(LIMIT, "deadlines_of_every_wait", move || {
        for (name, wait) in waits {
            let clock = ManualClock::new();
            let its = clock.clone();
            let waiter = thread::spawn(move || its.run(|| (wait(Limit::from(HOUR)), time::now())));
            let armed = if name == "Timer" { 2 } else { 1 };
            clock.wait_until_armed(armed);
            let begin = clock.now();
            clock.advance(HOUR - Duration::from_nanos(1));
            assert_eq!(clock.armed(), armed, "{name} waits on");
            clock.advance(Duration::from_nanos(1));
            assert_eq!(waiter.join().unwrap(), (true, begin + HOUR), "{name}");
            assert_eq!(clock.armed(), 0, "{name} leaves nothing");
        }
    });
}

/// A clock that is advanced past a deadline before the sleep has begun: the wait ends all the same.
#[test]
fn a_deadline_that_passes_before_the_sleep() {
    watchdog(LIMIT, "a_deadline_that_passes", || {
        for _ in 0..2_000 {
            let clock = ManualClock::new();
            let event = Event::new();
            thread::scope(|s| {
                let deadline = clock.now() + HOUR;
                s.spawn({
                    let (clock, event) = (&clock, &event);
                    move || clock.run(|| event.wait_within(deadline).unwrap_err())
                });
                clock.advance(HOUR);
            });
            assert_eq!(clock.armed(), 0);
        }
    });
}

/// A grant and a deadline of the clock: one of them decides, and nothing is lost.
#[test]
fn a_grant_races_the_clock() {
    watchdog(LIMIT, "a_grant_races_the_clock", || {
        let mut outcomes = [0; 2];
        for round in 0..3_000 {
            let clock = ManualClock::new();
            let queue = Queue::bounded(1);
            let got = thread::scope(|s| {
                let getter = s.spawn(|| clock.run(|| queue.get_within(HOUR)));
                if round % 2 == 0 {
                    clock.wait_until_armed(1);
                }
                s.spawn(|| queue.put(7).unwrap());
                clock.advance(HOUR);
                getter.join().unwrap()
            });
            match got {
                Ok(item) => assert_eq!(item, 7),
                Err(why) => {
                    assert_eq!(why, GetError::TimedOut);
                    assert_eq!(queue.try_get(), Ok(7), "not lost");
                }
            }
            outcomes[usize::from(got.is_ok())] += 1;
        }
        assert!(outcomes[1] > 0, "{outcomes:?}");
    });
}

/// With the last of its handles a clock comes to its end, and so do the deadlines on it.
#[test]
fn nobody_waits_for_a_clock_that_is_gone() {
    watchdog(LIMIT, "a_clock_that_is_gone", || {
        let clock = ManualClock::new();
        let event = Event::new();
        thread::scope(|s| {
            let deadline = clock.now() + HOUR;
            // It is on the clock, and has no handle.
            let (tell, told) = std::sync::mpsc::channel();
            let its = clock.clone();
            let event = &event;
            let waiter = s.spawn(move || {
                let on_it = its.enter();
                tell.send(()).unwrap();
                let outcome = event.wait_within(deadline);
                drop(on_it);
                outcome
            });
            told.recv().unwrap();
            clock.wait_until_armed(1);
            // The waiter's own handle keeps it: advancing is what ends this.
            clock.advance(HOUR);
            assert_eq!(waiter.join().unwrap(), Err(GaveUp::TimedOut));
        });
        let sleeping = clock.run(|| sleep_async(HOUR));
        let mut sleeping = pending(sleeping);
        drop(clock);
        assert!(poll(sleeping.as_mut(), Waker::noop()).is_ready());
    });
}

#[test]
fn waiting_for_others_to_wait() {
    watchdog(LIMIT, "waiting_for_others", || {
        let clock = ManualClock::new();
        clock.wait_until_armed(0);
        let late = clock.wait_until_armed_within(1, Duration::from_millis(1));
        assert_eq!(late, Err(GaveUp::TimedOut));
        thread::scope(|s| {
            let waiter = s.spawn(|| clock.wait_until_armed(2));
            let first = clock.run(|| Timer::after(HOUR, || ()));
            let second = clock.run(|| Timer::after(HOUR, || ()));
            waiter.join().unwrap();
            assert_eq!(clock.armed(), 2);
            assert!(first.cancel().is_prevented() && second.cancel().is_prevented());
            assert_eq!(clock.armed(), 0);
        });
        assert!(format!("{clock:?}").ends_with("armed: 0 }"));
    });
}

/// Items become due by the clock, for a getter that sleeps and for a task.
#[test]
fn a_delay_queue_goes_by_the_clock() {
    watchdog(LIMIT, "a_delay_queue", || {
        let clock = ManualClock::new();
        let _on_it = clock.enter();
        let queue = DelayQueue::unbounded();
        queue.put(Delayed::after(HOUR, "late")).unwrap();
        assert!(queue.try_get().is_err());
        let mut task = pending(queue.get_async());
        thread::scope(|s| {
            let getter = s.spawn(|| clock.run(|| queue.get().unwrap().item));
            until_parked_getters(2);
            queue.put(Delayed::after(HOUR / 2, "soon")).unwrap();
            clock.advance(HOUR);
            // The task was first in line, and called first.
            let Poll::Ready(first) = poll(task.as_mut(), Waker::noop()) else {
                panic!("it was due");
            };
            let both = [first.unwrap().item, getter.join().unwrap()];
            assert_eq!(both, ["soon", "late"]);
        });
        queue.put(Delayed::after(HOUR, "never")).unwrap();
        drop(task);
        let waiting = pending(queue.get_async());
        assert_eq!(clock.armed(), 1, "for who waits");
        drop(waiting);
        drop(queue);
        assert_eq!(clock.armed(), 0, "nothing rings for a queue that is gone");
    });
}

fn until_parked_getters(count: usize) {
    let is_one = |wait: &&latchwork::debug::Wait| wait.kind == "Queue::get";
    while latchwork::debug::waits().iter().filter(is_one).count() < count {
        thread::yield_now();
    }
}

#[test]
fn a_sleeping_task_is_woken_at_its_instant() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let mut sleeping = Box::pin(sleep_async(HOUR));
    // Counted from the call, not from the first poll.
    clock.advance(HOUR / 2);
    let (waker, wakes) = counting_waker();
    assert!(poll(sleeping.as_mut(), &waker).is_pending());
    let (other, others) = counting_waker();
    assert!(poll(sleeping.as_mut(), &other).is_pending());
    clock.advance(HOUR / 2 - Duration::from_nanos(1));
    assert_eq!(others.load(Ordering::SeqCst), 0);
    clock.advance(Duration::from_nanos(1));
    let woken = [wakes, others].map(|wakes| wakes.load(Ordering::SeqCst));
    assert_eq!(woken, [0, 1], "the last one that polled");
    assert!(poll(sleeping.as_mut(), &other).is_ready());
    // What has passed is not waited for.
    ready(sleep_until_async(clock.now()));
    ready(sleep_async(Duration::ZERO));
    let dropped = pending(sleep_async(HOUR));
    assert_eq!(clock.armed(), 1);
    drop(dropped);
    assert_eq!(clock.armed(), 0);
    let unset = pending(sleep_async(Duration::MAX));
    assert_eq!(clock.armed(), 0);
    drop(unset);
}

#[test]
fn a_time_out_ends_a_future_by_deadline_or_token() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let token = CancelToken::new();
    // Ready before the limit is looked at.
    assert_eq!(ready(timeout(Duration::ZERO, async { 1 })), Ok(1));
    assert_eq!(
        ready(timeout(Duration::ZERO, never::<()>())),
        Err(GaveUp::TimedOut)
    );

    let mut late = pending(timeout(token.within(HOUR), never::<()>()));
    clock.advance(HOUR);
    assert_eq!(
        poll(late.as_mut(), Waker::noop()),
        Poll::Ready(Err(GaveUp::TimedOut))
    );

    let (waker, wakes) = counting_waker();
    let mut cancelled = Box::pin(timeout(token.within(HOUR), never::<()>()));
    assert!(poll(cancelled.as_mut(), &waker).is_pending());
    let other = pending(timeout(&token, never::<()>()));
    drop(other);
    token.cancel();
    assert_eq!(wakes.load(Ordering::SeqCst), 1);
    let outcome = poll(cancelled.as_mut(), &waker);
    assert_eq!(outcome, Poll::Ready(Err(GaveUp::Cancelled)));
    drop(cancelled);
    assert_eq!(clock.armed(), 0);
    assert_eq!(
        ready(timeout(&token, never::<()>())),
        Err(GaveUp::Cancelled)
    );
    assert_eq!(ready(timeout(&token, async { 2 })), Ok(2));
}

/// What a future has been granted when its time is up goes to the next in line.
#[test]
fn a_time_out_loses_nothing() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let semaphore = Semaphore::fair(1);
    let held = semaphore.acquire().unwrap();
    let first = pending(timeout(HOUR, semaphore.acquire_async()));
    let mut second = pending(semaphore.acquire_async());
    drop(held);
    // Granted to the first, which is not polled any more.
    drop(first);
    assert!(poll(second.as_mut(), Waker::noop()).is_ready());
    assert_eq!(clock.armed(), 0);
}

#[test]
fn a_token_can_be_awaited() {
    watchdog(LIMIT, "a_token_can_be_awaited", || {
        let token = CancelToken::new();
        let child = token.child();
        thread::scope(|s| {
            let waiter = s.spawn(|| block_on(child.wait_async()));
            token.cancel();
            waiter.join().unwrap();
        });
        ready(token.wait_async());
        ready(child.wait_async());
    });
}

/// A thread takes over the clock of the one that starts it, scoped or not; one of std's does not.
#[test]
fn a_started_thread_is_on_the_same_clock() {
    watchdog(LIMIT, "on_the_same_clock", || {
        let clock = ManualClock::new();
        let _on_it = clock.enter();
        clock.advance(HOUR);
        let its = clock.clone();
        let started = latchwork::thread::spawn(move || {
            assert_eq!(time::now(), its.now());
            latchwork::thread::spawn(time::now).join().unwrap()
        });
        assert_eq!(started.join().unwrap(), clock.now());
        latchwork::thread::scope(|s| {
            drop(s.spawn(|| assert_eq!(time::now(), clock.now())));
        });
        thread::scope(|s| {
            s.spawn(|| assert!(time::now() < clock.now()));
        });
    });
}

/// By the machine's clock, on a thread and as a task.
#[test]
fn by_the_machines_clock() {
    watchdog(LIMIT, "by_the_machines_clock", || {
        let begin = Instant::now();
        let short = Duration::from_millis(5);
        time::sleep(short);
        assert!(begin.elapsed() >= short);
        time::sleep_until(begin);
        let begin = Instant::now();
        block_on(sleep_async(short));
        assert!(begin.elapsed() >= short);
        let begin = Instant::now();
        assert_eq!(
            block_on(timeout(short, never::<()>())),
            Err(GaveUp::TimedOut)
        );
        assert!(begin.elapsed() >= short);
        assert_eq!(block_on(timeout(HOUR, async { 3 })), Ok(3));
    });
}

/// A thread that is on a clock waits for one that is not; an event has no clock.
#[test]
fn threads_on_different_clocks_meet() {
    watchdog(LIMIT, "threads_on_different_clocks", || {
        let clock = ManualClock::new();
        let event = Event::new();
        thread::scope(|s| {
            let waiter = s.spawn(|| clock.run(|| event.wait_within(HOUR)));
            until_parked("Event", &event, 1);
            event.set();
            assert_eq!(waiter.join().unwrap(), Ok(()));
        });
        assert_eq!(clock.armed(), 0);
    });
}

/// Guards that are dropped in another order: the thread is on the last of those that are left.
#[test]
fn clocks_are_left_in_any_order() {
    let clocks = [1, 2, 3].map(|n| {
        let clock = ManualClock::new();
        clock.advance(n * HOUR);
        clock
    });
    let [a, b, c] = &clocks;
    let (on_a, on_b, on_c) = (a.enter(), b.enter(), c.enter());
    drop(on_b);
    assert_eq!(time::now(), c.now());
    drop(on_c);
    assert_eq!(time::now(), a.now());
    let on_b = b.enter();
    drop(on_a);
    assert_eq!(time::now(), b.now());
    // Somebody is on a clock, so that this thread has to look at its own.
    thread::scope(|s| {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        s.spawn(move || {
            c.run(|| {
                tell.send(()).unwrap();
                let _ = ended.recv();
            });
        });
        told.recv().unwrap();
        drop(on_b);
        assert!(clocks.iter().all(|clock| time::now() < clock.now()));
        drop(end);
    });
}

#[test]
fn a_thread_begins_on_the_clock_of_who_starts_it() {
    let clock = ManualClock::new();
    clock.advance(HOUR);
    let there = clock.run(|| latchwork::thread::spawn(time::now));
    assert_eq!(there.join().unwrap(), clock.now());
    let there = latchwork::thread::spawn(time::now).join().unwrap();
    assert!(there < clock.now());
}

/// Destructors of thread-locals may advance clocks, be on one, and set timers.
#[test]
fn clocks_in_a_thread_on_its_way_out() {
    struct Late(ManualClock);
    impl Drop for Late {
        fn drop(&mut self) {
            let timer = Timer::after(Duration::ZERO, || 1);
            self.0.advance(HOUR);
            self.0.run(|| drop(sleep_async(HOUR)));
            assert_eq!(timer.join().unwrap(), 1);
        }
    }
    thread_local! {
        static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) };
    }
    watchdog(LIMIT, "on_its_way_out", || {
        let clock = ManualClock::new();
        let begin = clock.now();
        for entered_first in [true, false] {
            let its = clock.clone();
            let thread = thread::spawn(move || {
                let early = entered_first.then(|| its.run(time::now));
                LATE.set(Some(Late(its.clone())));
                early.unwrap_or_else(|| its.run(time::now))
            });
            thread.join().unwrap();
        }
        assert_eq!(clock.now(), begin + 2 * HOUR);
    });
}

/// What the clock will never tell never comes.
#[test]
fn a_clock_has_an_end() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let year = HOUR * 24 * 365;
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let its = std::sync::Arc::clone(&calls);
    let timer = Timer::every(100 * year).run(move |_| {
        its.fetch_add(1, Ordering::Relaxed);
    });
    clock.advance(580 * year);
    assert_eq!(calls.load(Ordering::Relaxed), 5);
    assert_eq!((clock.armed(), clock.next()), (1, None));
    let late = std::panic::AssertUnwindSafe(|| clock.advance(10 * year));
    assert!(std::panic::catch_unwind(late).is_err());
    assert!(timer.cancel().is_prevented());
}

/// What has been woken, or set, for a deadline is gone with a task that has ended.
#[test]
fn a_token_keeps_no_waker() {
    let token = CancelToken::new();
    let (waker, wakes) = counting_waker();
    let mut waiting = Box::pin(token.wait_async());
    for _ in 0..3 {
        assert!(poll(waiting.as_mut(), &waker).is_pending());
    }
    let mut left = Box::pin(token.wait_async());
    assert!(poll(left.as_mut(), &waker).is_pending());
    drop(left);
    token.cancel();
    assert_eq!(
        wakes.load(Ordering::SeqCst),
        1,
        "once, and not for who has left"
    );
}

/// A deadline on a clock that comes to its end while somebody sleeps under it.
#[test]
fn the_end_of_a_clock_ends_a_sleep() {
    watchdog(LIMIT, "the_end_of_a_clock", || {
        let clock = ManualClock::new();
        let its = clock.clone();
        let (tell, told) = std::sync::mpsc::channel();
        let waiter = thread::spawn(move || {
            // Without a handle of its own.
            std::mem::forget(its.enter());
            drop(its);
            tell.send(()).unwrap();
            Event::new().wait_within(HOUR)
        });
        told.recv().unwrap();
        clock.wait_until_armed(1);
        drop(clock);
        assert_eq!(waiter.join().unwrap(), Err(GaveUp::TimedOut));
    });
}
