//! `ipc::Semaphore` and `ipc::BoundedSemaphore` between threads and between processes.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
mod victim;

use common::{block_on, pending, watchdog};
use latchwork::executor::{Executor, LocalExecutor, ProcessPoolExecutor};
use latchwork::ipc::{
    AccessError, AcquireError, BoundedSemaphore, Permit, ReleaseError, Semaphore, Value,
};
use latchwork::{CancelToken, GaveUp};
use proptest::prelude::*;
use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use victim::{Victim, sleep_for_ever, timed, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// Within this a death has to be noticed on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// Plain memory that forked children share, for what they tell the test.
fn scratch() -> &'static [AtomicU64; 8] {
    // SAFETY: a fresh anonymous mapping of a page, never unmapped; zero is a valid atomic.
    unsafe {
        let (read_write, shared) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
        );
        let page = libc::mmap(std::ptr::null_mut(), 4096, read_write, shared, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast()
    }
}

/// S4, S6, S7, S17.
#[test]
fn permits_are_taken_and_given_back() {
    watchdog(LIMIT, "taken and given back", || {
        let semaphore = Semaphore::new(3).unwrap();
        let two = semaphore.acquire_many(2).unwrap();
        assert_eq!((two.count(), semaphore.available().unwrap()), (2, 1));
        assert!(semaphore.try_acquire_many(2).unwrap().is_none());
        let none = semaphore.acquire_many(0).unwrap();
        let last = semaphore.try_acquire().unwrap().unwrap();
        assert_eq!(semaphore.available().unwrap(), 0);
        assert_eq!(
            format!("{semaphore:?}"),
            "Semaphore { available: 0, total: 3 }"
        );
        for wait in [0, 1, 70] {
            let wait = Duration::from_millis(wait);
            let (outcome, took) = timed(|| semaphore.acquire_within(wait));
            assert_eq!(outcome.unwrap_err().gave_up(), Some(GaveUp::TimedOut));
            assert!(took >= wait);
        }
        let token = CancelToken::new();
        token.cancel();
        let error = semaphore.acquire_within(&token).unwrap_err();
        assert_eq!(error.gave_up(), Some(GaveUp::Cancelled));
        drop(two);
        // What can be had at once is had, whatever the limit says.
        drop(semaphore.acquire_many_within(2, Duration::ZERO).unwrap());
        drop((last, none));
        assert_eq!(semaphore.available().unwrap(), 3);
        // None that nobody had before.
        semaphore.release(0).unwrap();
        semaphore.release(2).unwrap();
        assert_eq!(semaphore.available().unwrap(), 5);
    });
}

/// S4.
#[test]
fn a_count_has_bounds() {
    let most = Semaphore::MAX_PERMITS;
    let error = Semaphore::new(most + 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(BoundedSemaphore::new(u32::MAX).is_err());
    let semaphore = Semaphore::new(most).unwrap();
    assert!(matches!(
        semaphore.acquire_many(most + 1),
        Err(AcquireError::OverCapacity)
    ));
    assert!(matches!(semaphore.release(1), Err(ReleaseError::TooMany)));
    assert!(matches!(
        semaphore.release(u32::MAX),
        Err(ReleaseError::TooMany)
    ));
    let all = semaphore.acquire_many(most).unwrap();
    assert!(matches!(semaphore.release(1), Err(ReleaseError::TooMany)));
    drop(all);
    assert_eq!(semaphore.available().unwrap(), most);
    let empty = Semaphore::new(0).unwrap();
    assert!(empty.try_acquire().unwrap().is_none());
}

/// S5.
#[test]
fn a_bound_is_kept_whoever_holds_the_permits() {
    let semaphore = BoundedSemaphore::new(2).unwrap();
    assert_eq!(semaphore.capacity().unwrap(), 2);
    assert!(matches!(semaphore.release(1), Err(ReleaseError::TooMany)));
    let one = semaphore.acquire().unwrap();
    assert!(matches!(semaphore.release(1), Err(ReleaseError::TooMany)));
    one.forget().unwrap();
    assert_eq!(semaphore.available().unwrap(), 1);
    assert!(matches!(semaphore.release(2), Err(ReleaseError::TooMany)));
    semaphore.release(1).unwrap();
    assert_eq!(semaphore.available().unwrap(), 2);
    assert!(matches!(
        semaphore.try_acquire_many(3),
        Err(AcquireError::OverCapacity)
    ));
    assert!(matches!(
        BoundedSemaphore::new(0).unwrap().acquire(),
        Err(AcquireError::OverCapacity)
    ));
}

/// S17.
#[test]
fn permits_are_split_and_merged() {
    let (semaphore, other) = (Semaphore::new(5).unwrap(), Semaphore::new(5).unwrap());
    let clone = semaphore.clone();
    let mut four = semaphore.acquire_many(4).unwrap();
    assert!(four.split(5).is_none());
    let mut one = four.split(1).unwrap();
    assert_eq!((four.count(), one.count()), (3, 1));
    one.merge(clone.acquire().unwrap()).unwrap();
    assert_eq!(one.count(), 2);
    let foreign = one.merge(other.acquire().unwrap()).unwrap_err();
    drop(four);
    assert_eq!(semaphore.available().unwrap(), 3);
    assert_eq!(other.available().unwrap(), 4);
    drop((foreign, one));
    assert_eq!(semaphore.available().unwrap(), 5);
    assert_eq!(other.available().unwrap(), 5);
}

/// One that wants several is served though those that want one are before and behind it.
#[test]
fn a_release_wakes_whom_it_can_serve() {
    watchdog(LIMIT, "wake-ups", || {
        for _ in 0..20 {
            let semaphore = Semaphore::new(0).unwrap();
            thread::scope(|scope| {
                for n in [3, 1, 1, 2] {
                    let semaphore = &semaphore;
                    scope.spawn(move || semaphore.acquire_many(n).unwrap().forget().unwrap());
                }
                for _ in 0..7 {
                    semaphore.release(1).unwrap();
                }
            });
            assert_eq!(semaphore.available().unwrap(), 0);
        }
    });
}

/// S18: threads of this process and others, which are forked.
#[test]
fn threads_and_processes_share_permits() {
    watchdog(LIMIT, "mixed", || {
        let semaphore = Semaphore::new(2).unwrap();
        let [inside, most, turns, ..] = scratch();
        let work = || {
            for round in 0..300 {
                let permit = semaphore.acquire().unwrap();
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                if round % 16 == 0 {
                    thread::yield_now();
                }
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(permit);
                turns.fetch_add(1, Ordering::SeqCst);
            }
        };
        let others = [Victim::new(work), Victim::new(work)];
        thread::scope(|scope| {
            scope.spawn(work);
            scope.spawn(work);
        });
        others.into_iter().for_each(Victim::join);
        assert_eq!(turns.load(Ordering::SeqCst), 1200);
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(semaphore.available().unwrap(), 2);
    });
}

fn take_two_and_die(semaphore: Semaphore) {
    let _both = semaphore.acquire_many(2).unwrap();
    // SAFETY: it ends this process, which is a worker.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    sleep_for_ever()
}

fn count_available(semaphore: Semaphore) -> u32 {
    let _one = semaphore.acquire().unwrap();
    semaphore.available().unwrap()
}

/// S18, S22: workers that were started from scratch, one of them killed.
#[test]
fn the_permits_of_a_killed_worker_come_back() {
    watchdog(LIMIT, "worker", || {
        let semaphore = Semaphore::new(3).unwrap();
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let task = pool.submit(count_available, semaphore.clone()).unwrap();
        assert_eq!(task.result().unwrap(), 2);
        let task = pool.submit(take_two_and_die, semaphore.clone()).unwrap();
        assert!(task.result().is_err());
        let all = semaphore.acquire_many_within(3, SOON).unwrap();
        assert_eq!(all.count(), 3);
    });
}

/// S22: noticed by who waits, who tries and who asks.
#[test]
fn the_permits_of_the_dead_come_back() {
    watchdog(LIMIT, "dead holders", || {
        let notices: [fn(&Semaphore) -> bool; 4] = [
            |s| s.acquire_many_within(2, SOON).is_ok(),
            |s| s.try_acquire_many(2).unwrap().is_some(),
            |s| s.available().unwrap() == 2,
            // Who wants one only leaves the other to the next.
            |s| {
                thread::scope(|scope| {
                    let waits = [(); 2].map(|()| scope.spawn(|| s.acquire_within(SOON)));
                    let permits = waits.map(|wait| wait.join().unwrap().is_ok());
                    permits == [true; 2]
                })
            },
        ];
        for notices in notices {
            let semaphore = Semaphore::new(2).unwrap();
            let holder = Victim::new(|| {
                let _both = semaphore.acquire_many(2).unwrap();
                sleep_for_ever()
            });
            wait_until(|| semaphore.available().unwrap() == 0);
            holder.kill();
            assert!(notices(&semaphore));
            assert_eq!(semaphore.available().unwrap(), 2);
        }
    });
}

/// S22: the waiter is asleep when the holder is killed.
#[test]
fn a_waiter_notices_a_death_while_it_sleeps() {
    watchdog(LIMIT, "asleep", || {
        let semaphore = Semaphore::new(1).unwrap();
        for _ in 0..5 {
            let holder = Victim::new(|| {
                let _permit = semaphore.acquire().unwrap();
                sleep_for_ever()
            });
            wait_until(|| semaphore.available().unwrap() == 0);
            thread::scope(|scope| {
                let waiter = scope.spawn(|| timed(|| drop(semaphore.acquire().unwrap())).1);
                thread::sleep(Duration::from_millis(20));
                holder.kill();
                assert!(waiter.join().unwrap() < SOON);
            });
            assert_eq!(semaphore.available().unwrap(), 1);
        }
    });
}

/// A permit that was forgotten is nobody's, and does not come back with its taker.
#[test]
fn what_is_forgotten_is_nobodys() {
    watchdog(LIMIT, "forgotten", || {
        let semaphore = Semaphore::new(3).unwrap();
        let told = &scratch()[0];
        let taker = Victim::new(|| {
            let mut three = semaphore.acquire_many(3).unwrap();
            three.split(2).unwrap().forget().unwrap();
            told.store(1, Ordering::SeqCst);
            sleep_for_ever()
        });
        wait_until(|| told.load(Ordering::SeqCst) == 1);
        taker.kill();
        assert_eq!(semaphore.available().unwrap(), 1);
        semaphore.release(2).unwrap();
        assert_eq!(semaphore.available().unwrap(), 3);
    });
}

/// S32.
#[test]
fn the_child_of_a_fork_holds_no_permits() {
    watchdog(LIMIT, "fork", || {
        let semaphore = Semaphore::new(2).unwrap();
        let permit = semaphore.acquire().unwrap();
        let child = Victim::new(|| {
            // SAFETY: the permits are the parent's; each copy of the child's is dropped once.
            let copies = [(); 2].map(|()| unsafe { std::ptr::read(&raw const permit) });
            let [dropped, forgotten] = copies;
            // One of its own, which goes with it, and with nothing else.
            std::mem::forget(semaphore.acquire().unwrap());
            drop(dropped);
            forgotten.forget().unwrap();
            assert_eq!(semaphore.available().unwrap(), 0);
        });
        child.join();
        assert_eq!(semaphore.available().unwrap(), 1);
        drop(permit);
        assert_eq!(semaphore.available().unwrap(), 2);
    });
}

/// Futures of two processes take turns, and one that is dropped takes no permit along.
#[test]
fn permits_are_awaited() {
    watchdog(LIMIT, "futures", || {
        let semaphore = Semaphore::new(2).unwrap();
        let work = || {
            let executor = LocalExecutor::new();
            let handles: Vec<_> = (0..20)
                .map(|n| {
                    let semaphore = semaphore.clone();
                    executor.spawn(async move {
                        for _ in 0..5 {
                            let permit = semaphore.acquire_many_async(n % 2 + 1).await.unwrap();
                            latchwork::time::sleep_async(Duration::ZERO).await;
                            drop(permit);
                        }
                    })
                })
                .collect();
            executor.run(async {
                for handle in handles {
                    handle.await.unwrap();
                }
            });
        };
        let other = Victim::new(work);
        work();
        other.join();
        assert_eq!(semaphore.available().unwrap(), 2);
        for _ in 0..20 {
            let both = semaphore.acquire_many(2).unwrap();
            let dropped = pending(semaphore.acquire_async());
            let waiter = Victim::new(|| drop(semaphore.acquire_many(2).unwrap()));
            drop(both);
            drop(dropped);
            waiter.join();
            assert_eq!(semaphore.available().unwrap(), 2);
        }
        let holder = Victim::new(|| {
            let _both = semaphore.acquire_many(2).unwrap();
            sleep_for_ever()
        });
        wait_until(|| semaphore.available().unwrap() == 0);
        let waiting = pending(semaphore.acquire_async());
        holder.kill();
        drop(block_on(waiting).unwrap());
        assert_eq!(semaphore.available().unwrap(), 2);
    });
}

/// A stopped process keeps what it holds.
#[test]
fn the_permits_of_a_stopped_process_are_not_taken() {
    watchdog(LIMIT, "stopped", || {
        let semaphore = Semaphore::new(1).unwrap();
        let holder = Victim::new(|| {
            let _permit = semaphore.acquire().unwrap();
            sleep_for_ever()
        });
        wait_until(|| semaphore.available().unwrap() == 0);
        holder.signal(libc::SIGSTOP);
        let outcome = semaphore.acquire_within(Duration::from_millis(150));
        assert_eq!(outcome.unwrap_err().gave_up(), Some(GaveUp::TimedOut));
        assert!(semaphore.try_acquire().unwrap().is_none());
        holder.kill();
        assert!(semaphore.try_acquire().unwrap().is_some());
    });
}

#[test]
fn a_semaphore_that_was_dropped_is_gone() {
    let semaphore = Semaphore::new(1).unwrap();
    let sent = serde_json::to_string(&semaphore).unwrap();
    let received: Semaphore = serde_json::from_str(&sent).unwrap();
    assert!(serde_json::from_str::<Value<u64>>(&sent).is_err());
    let permit = received.acquire().unwrap();
    assert_eq!(semaphore.available().unwrap(), 0);
    drop(semaphore);
    let gone = |error: &AccessError| matches!(error, AccessError::Gone);
    assert!(received.available().is_err_and(|error| gone(&error)));
    assert!(matches!(
        received.acquire(),
        Err(AcquireError::Access(AccessError::Gone))
    ));
    assert!(matches!(
        received.release(1),
        Err(ReleaseError::Access(AccessError::Gone))
    ));
    assert_eq!(format!("{received:?}"), "Semaphore(gone)");
    // Another may be in its block by now, which has to keep its permits.
    let next = Semaphore::new(1).unwrap();
    drop(permit);
    assert_eq!(next.available().unwrap(), 1);
}

extern "C" fn ignore(_signal: libc::c_int) {}

/// S28: interrupted all the time, a limit is neither cut short nor stretched, and nothing is lost.
#[test]
fn signals_do_not_end_a_wait() {
    watchdog(LIMIT, "signals", || {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            // SAFETY: all zeros is an empty mask and no flags; the handler does nothing.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as usize;
                let installed = libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut());
                assert_eq!(installed, 0);
            }
        });
        let semaphore = Semaphore::new(0).unwrap();
        let is_over = AtomicBool::new(false);
        // SAFETY: it only says who we are.
        let target = unsafe { libc::pthread_self() };
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // SAFETY: the thread lives, since it waits for this one.
                    assert_eq!(unsafe { libc::pthread_kill(target, libc::SIGUSR2) }, 0);
                    thread::sleep(Duration::from_micros(100));
                }
            });
            let wait = Duration::from_millis(150);
            let (outcome, took) = timed(|| semaphore.acquire_within(wait));
            assert_eq!(outcome.unwrap_err().gave_up(), Some(GaveUp::TimedOut));
            assert!(took >= wait && took < SOON, "{took:?}");
            scope.spawn(|| semaphore.release(1).unwrap());
            drop(semaphore.acquire().unwrap());
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(semaphore.available().unwrap(), 1);
    });
}

/// S27: processes that take, wait, give up and give back, and are killed at random. Whenever nobody is
/// left, everything is there again, once.
#[test]
fn random_kills_lose_no_permit() {
    watchdog(LIMIT, "random kills", || {
        let semaphore = BoundedSemaphore::new(4).unwrap();
        let turns = &scratch()[0];
        let worker = |seed: u64| {
            let semaphore = &semaphore;
            Victim::new(move || {
                let mut random = seed;
                loop {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let n = (random >> 60) as u32 % 4 + 1;
                    let wait = Duration::from_micros(random >> 40 & 1023);
                    match semaphore.acquire_many_within(n, wait) {
                        Ok(mut permit) => {
                            drop(permit.split(1));
                            turns.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => assert_eq!(error.gave_up(), Some(GaveUp::TimedOut)),
                    }
                }
            })
        };
        let mut workers: Vec<_> = (1..5).map(worker).collect();
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for kills in 1..=24 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            thread::sleep(Duration::from_micros(random % 4000));
            let place = (random >> 32) as usize % 4;
            std::mem::replace(&mut workers[place], worker(random)).kill();
            let before = turns.load(Ordering::SeqCst);
            let ((), took) = timed(|| wait_until(|| turns.load(Ordering::SeqCst) > before));
            assert!(took < SOON, "no progress for {took:?}");
            if kills % 8 == 0 {
                workers.drain(..).for_each(Victim::kill);
                assert_eq!(semaphore.available().unwrap(), 4, "after {kills} kills");
                workers.extend((0..4).map(|n| worker(random ^ n)));
            }
        }
        workers.into_iter().for_each(Victim::kill);
        assert_eq!(semaphore.available().unwrap(), 4);
        assert!(matches!(semaphore.release(1), Err(ReleaseError::TooMany)));
    });
}

#[derive(Clone, Debug)]
enum Step {
    Acquire(u32),
    TimeOut(u32),
    Drop(usize),
    Forget(usize),
    Split(usize, u32),
    Merge(usize, usize),
    Release(u32),
    /// Another process takes so many, if there are as many, and dies with them.
    Die(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u32).prop_map(Step::Acquire),
        1 => (0..4_u32).prop_map(Step::TimeOut),
        3 => (0..8_usize).prop_map(Step::Drop),
        1 => (0..8_usize).prop_map(Step::Forget),
        1 => (0..8_usize, 0..3_u32).prop_map(|(at, n)| Step::Split(at, n)),
        1 => (0..8_usize, 0..8_usize).prop_map(|(at, other)| Step::Merge(at, other)),
        1 => (0..4_u32).prop_map(Step::Release),
        1 => (0..4_u32).prop_map(Step::Die),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// S27: against plain counters.
    #[test]
    fn it_is_a_counter(bound in 0..6_u32, steps in proptest::collection::vec(step(), 1..40)) {
        let semaphore = BoundedSemaphore::new(bound).unwrap();
        let (mut total, mut available) = (bound, bound);
        let mut permits: Vec<Permit> = Vec::new();
        for step in steps {
            match step {
                Step::Acquire(n) | Step::TimeOut(n) => {
                    let outcome = match step {
                        Step::Acquire(_) => semaphore.try_acquire_many(n),
                        _ => match semaphore.acquire_many_within(n, Duration::from_micros(200)) {
                            Err(error) if error.gave_up().is_some() => Ok(None),
                            other => other.map(Some),
                        },
                    };
                    match outcome {
                        Ok(Some(permit)) => {
                            prop_assert!(n <= available);
                            available -= n;
                            permits.push(permit);
                        }
                        Ok(None) => prop_assert!(n > available && n <= bound),
                        Err(error) => {
                            prop_assert!(matches!(error, AcquireError::OverCapacity));
                            prop_assert!(n > bound);
                        }
                    }
                }
                Step::Drop(at) | Step::Forget(at) if at < permits.len() => {
                    let permit = permits.swap_remove(at);
                    if matches!(step, Step::Drop(_)) {
                        available += permit.count();
                    } else {
                        total -= permit.count();
                        permit.forget().unwrap();
                    }
                }
                Step::Split(at, n) if at < permits.len() => {
                    let has = permits[at].count();
                    let part = permits[at].split(n);
                    prop_assert_eq!(part.is_some(), n <= has);
                    permits.extend(part);
                }
                Step::Merge(at, other) if at < permits.len() && other < permits.len() && at != other => {
                    let other = permits.swap_remove(other);
                    let at = at.min(permits.len() - 1);
                    prop_assert!(permits[at].merge(other).is_ok());
                }
                Step::Release(n) => {
                    let released = semaphore.release(n);
                    prop_assert_eq!(released.is_ok(), total + n <= bound);
                    if released.is_ok() {
                        total += n;
                        available += n;
                    }
                }
                Step::Die(n) => {
                    Victim::new(|| {
                        std::mem::forget(semaphore.try_acquire_many(n));
                    })
                    .join();
                }
                _ => {}
            }
            prop_assert_eq!(semaphore.available().unwrap(), available);
        }
        drop(permits);
        prop_assert_eq!(semaphore.available().unwrap(), total);
    }
}
