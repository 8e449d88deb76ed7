//! What a killed or stopped process does to the others: nothing they cannot carry on from.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/step.rs"]
mod step;
#[path = "kill/victim.rs"]
mod victim;

use common::watchdog;
use latchwork::GaveUp;
use latchwork::ipc::{Lock, LockError, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use step::{Stepped, killed_after, stay_on_one_processor};
use victim::{Victim, open_descriptors, sleep_for_ever, timed, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// Plain memory that forked children share, for what they tell the test.
fn scratch() -> &'static [AtomicU64; 8] {
    // SAFETY: a fresh anonymous mapping of a page, never unmapped; zero is a valid atomic.
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast()
    }
}

/// How long a thread of this process has been ready to run without running.
fn time_in_queue(thread: libc::pid_t) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap();
    Duration::from_nanos(text.split(' ').nth(1).unwrap().parse().unwrap())
}

#[test]
fn a_survivor_inherits_from_an_owner_killed_with_the_lock() {
    watchdog(LIMIT, "owner killed", || {
        let lock = Lock::new().unwrap();
        let mut slowest = Duration::ZERO;
        for round in 0..20 {
            let owner = Victim::new(|| {
                let _held = lock.lock().unwrap();
                sleep_for_ever()
            });
            wait_until(|| lock.is_locked());
            let pid = owner.pid.to_string();
            assert!(format!("{lock:?}").contains(&pid), "{lock:?}");
            let (waiting, waiter_began) = std::sync::mpsc::channel();
            let noticed = std::thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    // SAFETY: a plain system call.
                    waiting.send(unsafe { libc::gettid() }).unwrap();
                    let Err(LockError::OwnerDied(mut guard)) = lock.lock() else {
                        panic!("the owner's death went unnoticed");
                    };
                    guard.mark_consistent();
                    // SAFETY: as above.
                    (Instant::now(), time_in_queue(unsafe { libc::gettid() }))
                });
                let waiter_thread = waiter_began.recv().unwrap();
                // Some die while the waiter still spins, some when it has slept for long.
                std::thread::sleep(Duration::from_millis(round * 3));
                let queued_before = time_in_queue(waiter_thread);
                owner.kill();
                let dead = Instant::now();
                let (noticed, queued) = waiter.join().unwrap();
                // What the lock is answerable for: not the time that a busy machine takes to let
                // the victim die, nor the time that the waiter was ready to run and did not.
                noticed
                    .saturating_duration_since(dead)
                    .saturating_sub(queued - queued_before)
            });
            slowest = slowest.max(noticed);
            drop(lock.lock().unwrap());
        }
        assert!(
            slowest < Duration::from_millis(100),
            "noticed after {slowest:?}"
        );
    });
}

#[test]
fn the_death_is_told_until_somebody_vouches() {
    watchdog(LIMIT, "told until vouched", || {
        let value = Value::new([1_u64; 16]).unwrap();
        let owner = Victim::new(|| {
            let mut guard = value.lock().unwrap();
            guard[0] = 2;
            sleep_for_ever()
        });
        wait_until(|| value.is_locked());
        owner.kill();
        for _ in 0..3 {
            assert!(matches!(value.get(), Err(LockError::OwnerDied(_))));
            assert!(matches!(value.update(|_| ()), Err(LockError::OwnerDied(_))));
            assert!(matches!(value.try_lock(), Err(LockError::OwnerDied(_))));
        }
        value.set([3; 16]).unwrap();
        assert_eq!(value.get().unwrap(), [3; 16]);
    });
}

#[test]
fn a_killed_waiter_is_not_missed() {
    watchdog(LIMIT, "waiter killed", || {
        let lock = Lock::new().unwrap();
        let told = scratch();
        for round in 1..=20 {
            let guard = lock.lock().unwrap();
            let waiters: Vec<_> = (0..3)
                .map(|_| {
                    Victim::new(|| {
                        told[0].fetch_add(1, Ordering::SeqCst);
                        let _held = lock.lock().unwrap();
                        told[1].fetch_add(1, Ordering::SeqCst);
                    })
                })
                .collect();
            wait_until(|| told[0].load(Ordering::SeqCst) == 3 * round);
            std::thread::sleep(Duration::from_millis(5));
            let mut waiters = waiters.into_iter();
            // One goes before the unlock, one around it.
            waiters.next().unwrap().kill();
            let second = waiters.next().unwrap();
            drop(guard);
            second.kill();
            let ((), took) = timed(|| waiters.next().unwrap().join());
            assert!(took < Duration::from_secs(1), "left waiting for {took:?}");
            match lock.lock() {
                Ok(_) => {}
                // The second waiter may have been killed with the lock in its hands.
                Err(LockError::OwnerDied(mut guard)) => guard.mark_consistent(),
                Err(other) => panic!("{other}"),
            };
        }
    });
}

#[test]
fn a_stopped_owner_is_not_dead() {
    watchdog(LIMIT, "owner stopped", || {
        let lock = Lock::new().unwrap();
        let told = scratch();
        let owner = Victim::new(|| {
            let held = lock.lock().unwrap();
            wait_until(|| told[0].load(Ordering::SeqCst) == 1);
            drop(held);
        });
        wait_until(|| lock.is_locked());
        owner.signal(libc::SIGSTOP);
        let (outcome, took) = timed(|| lock.lock_within(Duration::from_millis(300)));
        assert_eq!(outcome.unwrap_err().gave_up(), Some(GaveUp::TimedOut));
        assert!(took >= Duration::from_millis(300));
        assert!(lock.try_lock().unwrap().is_none());
        told[0].store(1, Ordering::SeqCst);
        owner.signal(libc::SIGCONT);
        drop(lock.lock().unwrap());
        owner.join();
    });
}

#[test]
fn an_owner_that_replaces_itself_is_dead() {
    watchdog(LIMIT, "owner execs", || {
        let lock = Lock::new().unwrap();
        let owner = Victim::new(|| {
            std::mem::forget(lock.lock().unwrap());
            // SAFETY: plain strings; on success it does not return.
            unsafe {
                libc::execl(
                    c"/bin/sleep".as_ptr(),
                    c"sleep".as_ptr(),
                    c"60".as_ptr(),
                    std::ptr::null::<libc::c_char>(),
                )
            };
        });
        wait_until(|| lock.is_locked());
        let (outcome, took) = timed(|| lock.lock_within(Duration::from_secs(10)));
        assert!(
            matches!(outcome, Err(LockError::OwnerDied(_))),
            "{outcome:?}"
        );
        assert!(took < Duration::from_secs(1), "{took:?}");
        drop(outcome);
        owner.kill();
    });
}

#[test]
fn the_child_of_a_fork_holds_nothing() {
    watchdog(LIMIT, "fork", || {
        let value = Value::new(7_u64).unwrap();
        let guard = value.lock().unwrap();
        let child = Victim::new(|| {
            assert!(value.try_lock().unwrap().is_none());
            // SAFETY: the guard is the parent's; the child's copy is dropped once.
            drop(unsafe { std::ptr::read(&raw const guard) });
            assert!(value.is_locked());
            // SAFETY: as above, and the parent's value is not used through this copy again.
            drop(unsafe { std::ptr::read(&raw const value) });
        });
        child.join();
        assert!(value.is_locked());
        drop(guard);
        assert_eq!(value.get().unwrap(), 7);
    });
}

/// Four processes count under one lock and are killed at random; the dead are replaced.
#[test]
fn random_kills_under_load_lose_nothing() {
    watchdog(LIMIT, "random kills", || {
        let value = Value::new([0_u64; 2]).unwrap();
        let told = scratch();
        let worker = |place: usize| {
            let (value, told) = (&value, told);
            Victim::new(move || {
                loop {
                    let mut guard = match value.lock() {
                        Ok(guard) => guard,
                        Err(LockError::OwnerDied(mut guard)) => {
                            // Killed between the two increments: the first is the one that counts.
                            guard[1] = guard[0];
                            guard.mark_consistent();
                            guard
                        }
                        Err(other) => panic!("{other}"),
                    };
                    assert_eq!(guard[0], guard[1]);
                    guard[0] += 1;
                    std::hint::black_box(&mut *guard);
                    guard[1] += 1;
                    drop(guard);
                    told[place].fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let descriptors = open_descriptors();
        let mut workers: Vec<_> = (0..4).map(worker).collect();
        let began = Instant::now();
        let mut kills: u64 = 0;
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let tally = || {
            told[..4]
                .iter()
                .map(|n| n.load(Ordering::SeqCst))
                .sum::<u64>()
        };
        while began.elapsed() < Duration::from_secs(2) {
            let before = tally();
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            std::thread::sleep(Duration::from_micros(random % 5000));
            let place = (random >> 32) as usize % 4;
            std::mem::replace(&mut workers[place], worker(place)).kill();
            kills += 1;
            let (_, took) = timed(|| wait_until(|| tally() > before));
            assert!(took < Duration::from_secs(1), "no progress for {took:?}");
        }
        workers.into_iter().for_each(Victim::kill);
        let [first, second] = match value.get() {
            Ok(both) => both,
            Err(LockError::OwnerDied(guard)) => *guard,
            Err(other) => panic!("{other}"),
        };
        assert!(first - second <= 1, "{first} {second}");
        // A victim can be killed between its increment and its tally, once.
        let unaccounted = first - tally();
        assert!(
            unaccounted <= kills + 4,
            "{first} counted, {} told",
            tally()
        );
        println!("{kills} kills, {first} increments");
        assert!(kills > 20 && first > 1000);
        assert_eq!(open_descriptors(), descriptors);
    });
}

/// Kills a victim after every `stride`-th instruction of lock, add one, unlock.
fn kill_at_each_instruction(stride: usize, operation: impl Fn(&Value<u64>)) {
    stay_on_one_processor();
    let value = Value::new(0_u64).unwrap();
    // Locked once by each victim beforehand, so that it has its place in the roster.
    let bystander = Lock::new().unwrap();
    let (mut steps, mut count, mut deaths) = (0, 0, 0);
    loop {
        let fate = killed_after(steps, || drop(bystander.try_lock()), || operation(&value));
        let (outcome, took) = timed(|| value.lock_within(Duration::from_secs(1)));
        let now = match outcome {
            Ok(guard) => *guard,
            Err(LockError::OwnerDied(mut guard)) => {
                deaths += 1;
                guard.mark_consistent();
                *guard
            }
            Err(other) => panic!("{other} after {steps} steps"),
        };
        assert!(took < Duration::from_secs(1));
        assert!(
            now == count || now == count + 1,
            "{count}, then {now} after {steps} steps"
        );
        count = now;
        if matches!(fate, Stepped::Finished) {
            break;
        }
        steps += stride;
    }
    println!(
        "{} kill points, {deaths} with the lock held",
        steps / stride
    );
    assert!(count > 0 && deaths > 0 || stride > 1, "{count} {deaths}");
    drop(value);
}

/// Kills a victim after every `stride`-th instruction of making and dropping a value.
fn kill_while_making(stride: usize) {
    stay_on_one_processor();
    let bystander = Lock::new().unwrap();
    let kept = Value::new([7_u64; 16]).unwrap();
    let mut steps = 0;
    loop {
        let make = || drop(Value::new([1_u64; 16]).unwrap());
        let fate = killed_after(steps, || drop(bystander.try_lock()), make);
        let (made, took) = timed(|| Value::new([2_u64; 16]).unwrap());
        assert!(took < Duration::from_secs(1));
        assert_eq!(made.get().unwrap(), [2; 16], "after {steps} steps");
        assert_eq!(kept.get().unwrap(), [7; 16], "after {steps} steps");
        if matches!(fate, Stepped::Finished) {
            break;
        }
        steps += stride;
    }
    println!("{} kill points", steps / stride);
    assert!(steps > 0);
}

#[test]
fn a_kill_while_an_object_is_made() {
    watchdog(LIMIT, "single steps, making", || kill_while_making(149));
}

#[test]
#[ignore = "exhaustive: every instruction, not every 149th"]
fn a_kill_at_every_instruction_of_making_an_object() {
    watchdog(LIMIT * 20, "single steps, making, all", || {
        kill_while_making(1)
    });
}

#[test]
fn a_kill_at_every_seventh_instruction_of_an_update() {
    watchdog(LIMIT, "single steps", || {
        kill_at_each_instruction(7, |value| value.update(|n| *n += 1).unwrap());
    });
}

/// `cargo test --release --test kill -- --ignored` runs this and the other exhaustive one.
#[test]
#[ignore = "exhaustive: every instruction, not every seventh"]
fn a_kill_at_every_instruction_of_an_update() {
    watchdog(LIMIT * 20, "single steps, all", || {
        kill_at_each_instruction(1, |value| value.update(|n| *n += 1).unwrap());
    });
}
