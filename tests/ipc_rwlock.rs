//! `ipc::RwLock` between threads and between processes (row S29).

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
mod victim;

use common::{block_on, pending, watchdog};
use latchwork::executor::{Executor, ProcessPoolExecutor};
use latchwork::ipc::{AccessError, LockError, ReadGuard, RwLock, Value};
use latchwork::{CancelToken, GaveUp};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
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

fn timed_out<G>(outcome: Result<G, LockError<G>>) -> bool {
    matches!(outcome, Err(LockError::GaveUp(GaveUp::TimedOut)))
}

/// S17, S29.
#[test]
fn readers_share_and_a_writer_excludes() {
    watchdog(LIMIT, "shared and excluded", || {
        let lock = RwLock::new([1_u64, 2]).unwrap();
        assert_eq!(format!("{lock:?}"), "RwLock(free)");
        let one = lock.read().unwrap();
        let two = lock.try_read().unwrap().unwrap();
        assert_eq!((*one, *two), ([1, 2], [1, 2]));
        assert_eq!(lock.reader_count().unwrap(), 2);
        assert_eq!(format!("{lock:?}"), "RwLock(2 reading)");
        assert!(lock.is_locked().unwrap() && !lock.is_write_locked().unwrap());
        assert!(lock.try_write().unwrap().is_none());
        for wait in [0, 1, 70] {
            let wait = Duration::from_millis(wait);
            let (outcome, took) = timed(|| timed_out(lock.write_within(wait)));
            assert!(outcome && took >= wait);
        }
        drop((one, two));
        let mut writer = lock.write_within(Duration::ZERO).unwrap();
        writer[1] = 7;
        assert!(lock.is_write_locked().unwrap());
        assert_eq!(lock.reader_count().unwrap(), 0);
        let written = format!("RwLock(written by process {})", std::process::id());
        assert_eq!(format!("{lock:?}"), written);
        assert!(lock.try_read().unwrap().is_none());
        assert!(lock.try_read_recursive().unwrap().is_none());
        assert!(lock.try_write().unwrap().is_none());
        assert!(timed_out(lock.read_within(Duration::from_millis(1))));
        let token = CancelToken::new();
        token.cancel();
        let error = lock.read_within(&token).unwrap_err();
        assert_eq!(error.gave_up(), Some(GaveUp::Cancelled));
        drop(writer);
        assert_eq!(*lock.read().unwrap(), [1, 7]);
        assert!(!lock.is_locked().unwrap());
    });
}

/// S29: a lock without a value.
#[test]
fn it_may_protect_what_is_elsewhere() {
    let lock = RwLock::new(()).unwrap();
    let reader: ReadGuard = lock.read().unwrap();
    assert!(lock.try_write().unwrap().is_none());
    drop(reader);
    drop(lock.write().unwrap());
}

/// S29: many readers come and go all the time, and each write takes place nevertheless, and whole.
#[test]
fn writers_get_through_a_stream_of_readers() {
    watchdog(LIMIT, "stream of readers", || {
        let lock = RwLock::new([0_u64; 8]).unwrap();
        let [is_over, reads, ..] = scratch();
        let read = || {
            while is_over.load(Ordering::SeqCst) == 0 {
                let seen = *lock.read().unwrap();
                assert_eq!(seen, [seen[0]; 8]);
                reads.fetch_add(1, Ordering::SeqCst);
            }
        };
        let others = [Victim::new(read), Victim::new(read)];
        thread::scope(|scope| {
            scope.spawn(read);
            wait_until(|| reads.load(Ordering::SeqCst) > 0);
            for round in 1..=200 {
                let mut guard = lock.write().unwrap();
                for number in guard.iter_mut() {
                    *black_box(number) = round;
                }
            }
            is_over.store(1, Ordering::SeqCst);
        });
        others.into_iter().for_each(Victim::join);
        assert_eq!(*lock.read().unwrap(), [200; 8]);
        assert!(!lock.is_locked().unwrap());
    });
}

/// S31: each time a writer leaves, readers who sleep come in before the next.
#[test]
fn readers_get_through_a_stream_of_writers() {
    watchdog(LIMIT, "stream of writers", || {
        let lock = RwLock::new(0_u64).unwrap();
        let is_over = &scratch()[0];
        let write = || {
            while is_over.load(Ordering::SeqCst) == 0 {
                let mut guard = lock.write().unwrap();
                *guard += 1;
                thread::sleep(Duration::from_millis(1));
            }
        };
        let others = [Victim::new(write), Victim::new(write)];
        for _ in 0..20 {
            wait_until(|| lock.is_write_locked().unwrap());
            let before = *lock.read().unwrap();
            wait_until(|| *lock.read().unwrap() > before);
        }
        is_over.store(1, Ordering::SeqCst);
        others.into_iter().for_each(Victim::join);
    });
}

/// S31: what the policy says of those who wait, and what becomes of it when they give up.
#[test]
fn a_writer_that_waits_keeps_new_readers_out() {
    watchdog(LIMIT, "policy", || {
        let lock = RwLock::new(0_u64).unwrap();
        let first = lock.read().unwrap();
        thread::scope(|scope| {
            let writer = scope.spawn(|| *lock.write().unwrap() = 1);
            wait_until(|| lock.try_read().unwrap().is_none());
            // Who reads already is not kept from reading on.
            let second = lock.read_recursive().unwrap();
            let third = lock.try_read_recursive().unwrap().unwrap();
            assert_eq!(*second + *third, 0);
            drop((first, second, third));
            writer.join().unwrap();
        });
        let reader = lock.read().unwrap();
        assert_eq!(*reader, 1);
        thread::scope(|scope| {
            let token = CancelToken::new();
            let writer = scope.spawn({
                let (lock, token) = (&lock, token.clone());
                move || lock.write_within(&token).unwrap_err().gave_up()
            });
            wait_until(|| lock.try_read().unwrap().is_none());
            token.cancel();
            assert_eq!(writer.join().unwrap(), Some(GaveUp::Cancelled));
            // At once: what it claimed is gone with it.
            assert!(lock.try_read().unwrap().is_some());
        });
    });
}

/// S22: a writer that is killed while it waits, and one that is stopped, do not keep readers out for long.
#[test]
fn the_claim_of_a_dead_or_stopped_writer_lapses() {
    watchdog(LIMIT, "claims", || {
        let lock = RwLock::new(0_u64).unwrap();
        for signal in [libc::SIGKILL, libc::SIGSTOP] {
            let reader = lock.read().unwrap();
            let writer = Victim::new(|| drop(lock.write().unwrap()));
            wait_until(|| lock.try_read().unwrap().is_none());
            writer.signal(signal);
            drop(lock.read_within(SOON).unwrap());
            drop(reader);
            writer.kill();
            // It may have come in, but not while the lock was read.
            match lock.write_within(SOON) {
                Ok(_) => {}
                Err(LockError::OwnerDied(mut guard)) => guard.mark_consistent(),
                Err(other) => panic!("{other}"),
            }
        }
    });
}

/// S29.
#[test]
fn a_writer_becomes_a_reader_and_nobody_writes_in_between() {
    watchdog(LIMIT, "downgrade", || {
        let lock = RwLock::new([0_u64; 2]).unwrap();
        let work = || {
            for _ in 0..200 {
                let mut writer = lock.write().unwrap();
                let mine = writer[0] + 1;
                *writer = [mine; 2];
                let reader = writer.downgrade().unwrap();
                assert_eq!(*reader, [mine; 2]);
            }
        };
        let other = Victim::new(work);
        thread::scope(|scope| {
            scope.spawn(work);
            scope.spawn(work);
        });
        other.join();
        assert_eq!(*lock.read().unwrap(), [600; 2]);
        let writer = lock.write().unwrap();
        let reader = writer.downgrade().unwrap();
        // Others read beside it.
        drop(lock.try_read().unwrap().unwrap());
        assert!(lock.try_write().unwrap().is_none());
        drop(reader);
        assert!(lock.try_write().unwrap().is_some());
    });
}

fn add(lock: RwLock<[u64; 2]>) -> u64 {
    let mut writer = lock.write().unwrap();
    writer[0] += 1;
    writer[1] += 1;
    let reader = writer.downgrade().unwrap();
    reader[0]
}

fn die_writing(lock: RwLock<[u64; 2]>) {
    let mut writer = lock.write().unwrap();
    writer[0] += 1;
    // SAFETY: it ends this process, which is a worker.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    sleep_for_ever()
}

/// S18, S22: workers that were started from scratch.
#[test]
fn it_is_the_same_lock_in_a_worker() {
    watchdog(LIMIT, "workers", || {
        let lock = RwLock::new([0_u64; 2]).unwrap();
        let pool = ProcessPoolExecutor::new(2).unwrap();
        let tasks: Vec<_> = (0..4)
            .map(|_| pool.submit(add, lock.clone()).unwrap())
            .collect();
        assert!(tasks.into_iter().all(|task| task.result().unwrap() > 0));
        assert_eq!(*lock.read().unwrap(), [4; 2]);
        let task = pool.submit(die_writing, lock.clone()).unwrap();
        assert!(task.result().is_err());
        match lock.write() {
            Err(LockError::OwnerDied(guard)) => assert_eq!(*guard, [5, 4]),
            other => panic!("{other:?}"),
        }
    });
}

/// S22: a writer waits for a reader that is killed.
#[test]
fn the_death_of_a_reader_frees_the_writer() {
    watchdog(LIMIT, "reader killed", || {
        let lock = RwLock::new(0_u64).unwrap();
        let told = &scratch()[0];
        let reader = || {
            let told = &told;
            Victim::new(|| {
                let guards = [lock.read().unwrap(), lock.read_recursive().unwrap()];
                told.fetch_add(1, Ordering::SeqCst);
                black_box(&guards);
                sleep_for_ever()
            })
        };
        // While the writer sleeps.
        let victim = reader();
        wait_until(|| told.load(Ordering::SeqCst) == 1);
        thread::scope(|scope| {
            let writer = scope.spawn(|| lock.write_within(SOON).map(drop).is_ok());
            wait_until(|| lock.try_read().unwrap().is_none());
            victim.kill();
            assert!(writer.join().unwrap());
        });
        // Before somebody tries; and not all who read are dead.
        let mine = lock.read().unwrap();
        let victim = reader();
        wait_until(|| told.load(Ordering::SeqCst) == 2);
        victim.kill();
        assert!(lock.try_write().unwrap().is_none());
        drop(mine);
        assert!(lock.try_write().unwrap().is_some());
    });
}

/// S22: readers and writers are told of a writer's death until a writer vouches.
#[test]
fn the_death_of_a_writer_is_told() {
    watchdog(LIMIT, "writer killed", || {
        let lock = RwLock::new([0_u64; 2]).unwrap();
        let writer = Victim::new(|| {
            let mut guard = lock.write().unwrap();
            guard[0] = 1;
            sleep_for_ever()
        });
        wait_until(|| lock.is_write_locked().unwrap());
        thread::scope(|scope| {
            let asleep = scope.spawn(|| matches!(lock.read(), Err(LockError::OwnerDied(_))));
            thread::sleep(Duration::from_millis(10));
            writer.kill();
            assert!(asleep.join().unwrap());
        });
        for _ in 0..2 {
            match lock.read() {
                Err(LockError::OwnerDied(guard)) => {
                    assert!(!guard.is_consistent());
                    assert_eq!(guard[1], 0);
                    // Readers share it nevertheless.
                    assert!(matches!(lock.try_read(), Err(LockError::OwnerDied(_))));
                }
                other => panic!("{other:?}"),
            }
            // A writer that does not vouch leaves it to the next.
            assert!(matches!(lock.try_write(), Err(LockError::OwnerDied(_))));
        }
        let Err(LockError::OwnerDied(mut guard)) = lock.write() else {
            panic!("nobody has vouched");
        };
        let Err(LockError::OwnerDied(reader)) = guard.downgrade() else {
            panic!("nobody has vouched");
        };
        drop(reader);
        guard = lock.write().unwrap_err().into_guard().unwrap();
        *guard = [2; 2];
        guard.mark_consistent();
        assert!(guard.is_consistent());
        let reader = guard.downgrade().unwrap();
        assert!(reader.is_consistent());
        drop(reader);
        assert_eq!(*lock.read().unwrap(), [2; 2]);
        // Killed before it has told what it vouched for.
        let writer = Victim::new(|| {
            lock.write().unwrap().mark_consistent();
            let mut guard = lock.write().unwrap();
            guard.mark_consistent();
            sleep_for_ever()
        });
        wait_until(|| lock.is_write_locked().unwrap());
        wait_until(|| {
            // Past the first of its two turns.
            thread::sleep(Duration::from_millis(5));
            lock.is_write_locked().unwrap()
        });
        writer.kill();
        assert!(matches!(
            lock.read_within(SOON),
            Err(LockError::OwnerDied(_))
        ));
    });
}

/// Readers and writers as futures; a writer that is dropped while it waits does not keep readers out for long.
#[test]
fn turns_are_awaited() {
    watchdog(LIMIT, "futures", || {
        let lock = RwLock::new([0_u64; 2]).unwrap();
        let reader = block_on(lock.read_async()).unwrap();
        let writing = pending(lock.write_async());
        let reading = pending(lock.read_async());
        drop(writing);
        assert_eq!(*block_on(reading).unwrap(), [0; 2]);
        let writing = pending(lock.write_async());
        drop(reader);
        block_on(writing).unwrap()[1] = 1;
        let other = Victim::new(|| {
            let mut guard = lock.write().unwrap();
            guard[0] = 1;
            sleep_for_ever()
        });
        wait_until(|| lock.is_write_locked().unwrap());
        let reading = pending(lock.read_async());
        other.kill();
        match block_on(reading) {
            Err(LockError::OwnerDied(guard)) => assert_eq!(*guard, [1; 2]),
            other => panic!("{other:?}"),
        }
        let mut guard = block_on(lock.write_async())
            .unwrap_err()
            .into_guard()
            .unwrap();
        guard.mark_consistent();
    });
}

/// A stopped process keeps what it holds.
#[test]
fn a_stopped_process_keeps_what_it_holds() {
    watchdog(LIMIT, "stopped", || {
        let lock = RwLock::new(0_u64).unwrap();
        let told = &scratch()[0];
        let reader = Victim::new(|| {
            let _guard = lock.read().unwrap();
            told.store(1, Ordering::SeqCst);
            sleep_for_ever()
        });
        wait_until(|| told.load(Ordering::SeqCst) == 1);
        reader.signal(libc::SIGSTOP);
        assert!(timed_out(lock.write_within(Duration::from_millis(120))));
        drop(lock.read().unwrap());
        reader.kill();
        let writer = Victim::new(|| {
            let _guard = lock.write().unwrap();
            sleep_for_ever()
        });
        wait_until(|| lock.is_write_locked().unwrap());
        writer.signal(libc::SIGSTOP);
        assert!(timed_out(lock.read_within(Duration::from_millis(120))));
        assert!(lock.try_write().unwrap().is_none());
        writer.kill();
    });
}

/// S32.
#[test]
fn the_child_of_a_fork_is_not_inside() {
    watchdog(LIMIT, "fork", || {
        let lock = RwLock::new(7_u64).unwrap();
        let reader = lock.read().unwrap();
        Victim::new(|| {
            // SAFETY: the guard is the parent's; the child's copy is dropped once.
            let copy = unsafe { std::ptr::read(&raw const reader) };
            let own = lock.read().unwrap();
            drop(copy);
            assert_eq!(
                lock.reader_count().unwrap(),
                2,
                "its own has not gone for it"
            );
            drop(own);
            assert_eq!(lock.reader_count().unwrap(), 1);
            assert!(lock.try_write().unwrap().is_none());
        })
        .join();
        drop(reader);
        let writer = lock.write().unwrap();
        Victim::new(|| {
            // SAFETY: as above.
            let copies = [(); 2].map(|()| unsafe { std::ptr::read(&raw const writer) });
            let [dropped, downgraded] = copies;
            drop(dropped);
            drop(downgraded.downgrade().unwrap());
            assert!(lock.is_write_locked().unwrap());
            assert!(lock.try_read().unwrap().is_none());
        })
        .join();
        assert!(lock.is_write_locked().unwrap());
        drop(writer);
        assert!(!lock.is_locked().unwrap());
    });
}

#[test]
fn a_lock_that_was_dropped_is_gone() {
    let lock = RwLock::new([3_u64; 4]).unwrap();
    let sent = serde_json::to_string(&lock).unwrap();
    assert!(serde_json::from_str::<RwLock<u64>>(&sent).is_err());
    assert!(serde_json::from_str::<Value<[u64; 4]>>(&sent).is_err());
    let received: RwLock<[u64; 4]> = serde_json::from_str(&sent).unwrap();
    let reader = received.read().unwrap();
    drop(lock);
    // Who is inside stays there, in memory that nobody else is given.
    let others: Vec<_> = (0..32).map(|_| RwLock::new([9_u64; 4]).unwrap()).collect();
    assert_eq!(*reader, [3; 4]);
    drop(reader);
    for other in &others {
        *other.write().unwrap() = [8; 4];
    }
    drop(others);
    assert!(matches!(received.read(), Err(LockError::Gone)));
    assert!(matches!(received.try_write(), Err(LockError::Gone)));
    assert!(matches!(received.is_locked(), Err(AccessError::Gone)));
    assert_eq!(format!("{received:?}"), "RwLock(gone)");
}

/// S22, S27: readers and writers are killed at random; what a writer leaves half-done is told, and in the
/// end nobody is inside.
#[test]
fn random_kills_leave_it_usable() {
    watchdog(LIMIT, "random kills", || {
        let lock = RwLock::new([0_u64; 2]).unwrap();
        let turns = &scratch()[0];
        let repaired = |outcome: Result<_, LockError<_>>| match outcome {
            Ok(guard) => guard,
            Err(LockError::OwnerDied(guard)) => {
                let mut guard: latchwork::ipc::WriteGuard<[u64; 2]> = guard;
                guard[1] = guard[0];
                guard.mark_consistent();
                guard
            }
            Err(other) => panic!("{other}"),
        };
        let worker = |seed: u64| {
            let (lock, repaired) = (&lock, &repaired);
            Victim::new(move || {
                let mut random = seed;
                loop {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    if random >> 62 != 0 {
                        match lock.read() {
                            Ok(guard) => assert_eq!(guard[0], guard[1]),
                            Err(LockError::OwnerDied(guard)) => assert!(guard[0] - guard[1] <= 1),
                            Err(other) => panic!("{other}"),
                        }
                    } else {
                        let mut guard = repaired(lock.write());
                        assert_eq!(guard[0], guard[1]);
                        guard[0] += 1;
                        black_box(&mut *guard);
                        guard[1] += 1;
                        if random >> 61 & 1 == 0 {
                            drop(guard.downgrade());
                        }
                    }
                    turns.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let mut workers: Vec<_> = (1..5).map(worker).collect();
        for kills in 1..=24_u64 {
            thread::sleep(Duration::from_micros(kills * 7919 % 4000));
            std::mem::replace(&mut workers[kills as usize % 4], worker(kills * 77)).kill();
            let before = turns.load(Ordering::SeqCst);
            let ((), took) = timed(|| wait_until(|| turns.load(Ordering::SeqCst) > before));
            assert!(took < SOON, "no progress for {took:?}");
            if kills % 8 == 0 {
                workers.drain(..).for_each(Victim::kill);
                let guard = repaired(lock.write_within(SOON));
                assert_eq!(guard[0], guard[1]);
                drop(guard);
                assert!(!lock.is_locked().unwrap(), "after {kills} kills");
                workers.extend((0..4).map(|n| worker(kills ^ n)));
            }
        }
    });
}
