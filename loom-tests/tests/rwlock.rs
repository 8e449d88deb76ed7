//! Models of `RwLock`: who is inside with whom, and nobody left asleep whoever else gives up.
//!
//! The lock's value watches itself: a writer beside anybody, or one that does not see what the last one
//! did, fails the model.

use latchwork::model::Deadline;
use latchwork::sync::{Policy, RwLock, UpgradableGuard, WriteGuard};
use latchwork::{CancelToken, GaveUp};
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A number that loom watches.
struct Watched(UnsafeCell<i32>);

// SAFETY: the lock around it is what is being tested; loom reports every race.
unsafe impl Send for Watched {}
// SAFETY: as above.
unsafe impl Sync for Watched {}

impl Watched {
    fn get(&self) -> i32 {
        // SAFETY: called by readers. loom checks.
        self.0.with(|value| unsafe { *value })
    }

    fn add(&mut self, n: i32) {
        // SAFETY: called by the writer. loom checks.
        self.0.with_mut(|value| unsafe { *value += n });
    }
}

type Watch = Arc<RwLock<Watched>>;

fn watched() -> Watch {
    preferring(Policy::Balanced)
}

fn preferring(policy: Policy) -> Watch {
    let value = Watched(UnsafeCell::new(0));
    Arc::new(RwLock::with_policy(value, policy))
}

/// A modelled thread with a share of the lock.
fn spawn(lock: &Watch, f: impl FnOnce(Watch) + 'static) -> thread::JoinHandle<()> {
    let lock = lock.clone();
    thread::spawn(move || f(lock))
}

fn write_one(lock: Watch) {
    lock.write().add(1);
}

fn read_one(lock: Watch) {
    lock.read().get();
}

/// Nobody is inside, and `n` has been written.
fn is_free_with(lock: &Watch, n: i32) {
    assert!(!lock.is_locked());
    assert_eq!(lock.try_write().expect("free").0.with(|v| unsafe { *v }), n);
}

#[test]
fn writer_against_writer() {
    model("rwlock: two writers at once, or one left asleep", || {
        let lock = watched();
        let others = [spawn(&lock, write_one), spawn(&lock, write_one)];
        write_one(lock.clone());
        others.into_iter().for_each(|t| t.join().unwrap());
        is_free_with(&lock, 3);
    });
}

#[test]
fn reader_against_writer() {
    model(
        "rwlock: a reader beside a writer, or one left asleep",
        || {
            let lock = watched();
            let others = [spawn(&lock, write_one), spawn(&lock, read_one)];
            read_one(lock.clone());
            others.into_iter().for_each(|t| t.join().unwrap());
            is_free_with(&lock, 1);
        },
    );
}

#[test]
fn readers_in_vain() {
    model(
        "rwlock: a writer that finds a reader who came in vain, and sleeps",
        || {
            let lock = watched();
            let held = loom::future::block_on(lock.write_async());
            let others = [spawn(&lock, read_one), spawn(&lock, write_one)];
            drop(held);
            others.into_iter().for_each(|t| t.join().unwrap());
            is_free_with(&lock, 1);
        },
    );
}

#[test]
fn overtaken_writer() {
    model(
        "rwlock: a writer overtaken by readers again and again is handed the lock",
        || {
            let lock = watched();
            let other = spawn(&lock, write_one);
            for _ in 0..3 {
                read_one(lock.clone());
            }
            other.join().unwrap();
            is_free_with(&lock, 1);
        },
    );
}

#[test]
fn overtaken_reader() {
    model(
        "rwlock: a reader overtaken by writers again and again is handed the lock",
        || {
            let lock = watched();
            let other = spawn(&lock, read_one);
            for _ in 0..3 {
                write_one(lock.clone());
            }
            other.join().unwrap();
            is_free_with(&lock, 3);
        },
    );
}

#[test]
fn overtaken_upgradable() {
    model(
        "rwlock: an upgradable reader overtaken by writers is handed the lock",
        || {
            let lock = watched();
            let other = spawn(&lock, |lock| {
                lock.upgradable_read().get();
            });
            for _ in 0..3 {
                write_one(lock.clone());
            }
            other.join().unwrap();
            is_free_with(&lock, 3);
        },
    );
}

#[test]
fn preferred_readers() {
    model("rwlock: by PreferReaders, somebody is left asleep", || {
        let lock = preferring(Policy::PreferReaders);
        let held = lock.write();
        let others = [spawn(&lock, write_one), spawn(&lock, read_one)];
        drop(held);
        others.into_iter().for_each(|t| t.join().unwrap());
        is_free_with(&lock, 1);
    });
}

#[test]
fn preferred_writers() {
    model("rwlock: by PreferWriters, somebody is left asleep", || {
        let lock = preferring(Policy::PreferWriters);
        let held = lock.write();
        let others = [spawn(&lock, read_one), spawn(&lock, write_one)];
        drop(held);
        others.into_iter().for_each(|t| t.join().unwrap());
        is_free_with(&lock, 1);
    });
}

#[test]
fn preferred_writer_times_out() {
    model(
        "rwlock: by PreferWriters, readers behind a writer that times out",
        || {
            let lock = preferring(Policy::PreferWriters);
            let deadline = Deadline::new();
            let held = lock.read();
            let hasty = {
                let deadline = deadline.clone();
                spawn(&lock, move |lock| drop(lock.write_within(&deadline)))
            };
            let reader = spawn(&lock, read_one);
            deadline.pass();
            reader.join().unwrap();
            drop(held);
            hasty.join().unwrap();
            is_free_with(&lock, 0);
        },
    );
}

#[test]
fn upgrade_against_readers() {
    model("rwlock: an upgrade beside readers that come and go", || {
        let lock = watched();
        let others = [spawn(&lock, read_one), spawn(&lock, read_one)];
        let guard = lock.upgradable_read();
        let before = guard.get();
        UpgradableGuard::upgrade(guard).add(1);
        assert_eq!(before, 0);
        others.into_iter().for_each(|t| t.join().unwrap());
        is_free_with(&lock, 1);
    });
}

#[test]
fn upgrade_against_writer() {
    model(
        "rwlock: a writer in between, while a reader upgrades",
        || {
            let lock = watched();
            let others = [spawn(&lock, write_one), spawn(&lock, read_one)];
            let guard = lock.upgradable_read();
            let before = guard.get();
            let mut guard = UpgradableGuard::upgrade(guard);
            assert_eq!(guard.0.with(|value| unsafe { *value }), before);
            guard.add(1);
            drop(guard);
            others.into_iter().for_each(|t| t.join().unwrap());
            is_free_with(&lock, 2);
        },
    );
}

#[test]
fn two_upgraders() {
    model(
        "rwlock: two upgradable readers, both of whom upgrade",
        || {
            let lock = watched();
            let upgrade = |lock: Watch| {
                let guard = lock.upgradable_read();
                let before = guard.get();
                let mut guard = UpgradableGuard::upgrade(guard);
                guard.add(1);
                assert_eq!(guard.0.with(|value| unsafe { *value }), before + 1);
            };
            let other = spawn(&lock, upgrade);
            upgrade(lock.clone());
            other.join().unwrap();
            is_free_with(&lock, 2);
        },
    );
}

#[test]
fn downgrade_with_parked_readers() {
    model(
        "rwlock: readers parked behind a writer that goes on as a reader",
        || {
            let lock = watched();
            let mut guard = lock.write();
            let readers = [spawn(&lock, read_one), spawn(&lock, read_one)];
            guard.add(1);
            let guard = WriteGuard::downgrade(guard);
            // They must be let in beside us.
            readers.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(guard.get(), 1);
            drop(guard);
            is_free_with(&lock, 1);
        },
    );
}

#[test]
fn downgrade_with_parked_writer() {
    model(
        "rwlock: a writer gets in between, or is forgotten, when another goes on as a reader",
        || {
            let lock = watched();
            let mut guard = lock.write();
            let others = [spawn(&lock, write_one), spawn(&lock, read_one)];
            guard.add(1);
            let guard = WriteGuard::downgrade_to_upgradable(guard);
            assert_eq!(guard.get(), 1);
            let guard = UpgradableGuard::downgrade(guard);
            assert_eq!(guard.get(), 1);
            drop(guard);
            others.into_iter().for_each(|t| t.join().unwrap());
            is_free_with(&lock, 2);
        },
    );
}

#[test]
fn upgradable_goes_on_as_reader() {
    model(
        "rwlock: an upgradable reader parked behind one that goes on as a plain one",
        || {
            let lock = watched();
            let guard = lock.upgradable_read();
            let other = spawn(&lock, |lock| {
                let guard = lock.upgradable_read();
                UpgradableGuard::upgrade(guard).add(1);
            });
            let guard = UpgradableGuard::downgrade(guard);
            let reader = spawn(&lock, read_one);
            drop(guard);
            other.join().unwrap();
            reader.join().unwrap();
            is_free_with(&lock, 1);
        },
    );
}

#[test]
fn recursive_read() {
    model(
        "rwlock: a second read in the same thread waits for a writer that waits for the first",
        || {
            let lock = watched();
            let first = lock.read();
            let writer = spawn(&lock, write_one);
            let second = lock.read_recursive();
            assert_eq!(first.get() + second.get(), 0);
            drop((first, second));
            writer.join().unwrap();
            is_free_with(&lock, 1);
        },
    );
}

#[test]
fn reader_times_out() {
    model(
        "rwlock: a reader times out while it is let in, with a writer behind it",
        || {
            let lock = watched();
            let deadline = Deadline::new();
            let held = lock.write();
            let hasty = {
                let deadline = deadline.clone();
                spawn(&lock, move |lock| match lock.read_within(&deadline) {
                    Ok(guard) => drop(guard.get()),
                    Err(why) => assert_eq!(why, GaveUp::TimedOut),
                })
            };
            let patient = spawn(&lock, write_one);
            deadline.pass();
            drop(held);
            hasty.join().unwrap();
            patient.join().unwrap();
            is_free_with(&lock, 1);
        },
    );
}

#[test]
fn writer_times_out_before_readers() {
    model(
        "rwlock: readers kept out by a writer that times out, while somebody reads",
        || {
            let lock = watched();
            let deadline = Deadline::new();
            let held = lock.read();
            let hasty = {
                let deadline = deadline.clone();
                spawn(&lock, move |lock| drop(lock.write_within(&deadline)))
            };
            let reader = spawn(&lock, read_one);
            deadline.pass();
            // `held` stays: only the writer's leaving can let the reader in.
            reader.join().unwrap();
            drop(held);
            hasty.join().unwrap();
            is_free_with(&lock, 0);
        },
    );
}

#[test]
fn writer_times_out_before_writer() {
    model(
        "rwlock: a wake-up spent on a writer that times out, with another behind it",
        || {
            let lock = watched();
            let deadline = Deadline::new();
            let held = lock.read();
            let hasty = {
                let deadline = deadline.clone();
                spawn(&lock, move |lock| drop(lock.write_within(&deadline)))
            };
            let patient = spawn(&lock, write_one);
            deadline.pass();
            drop(held);
            hasty.join().unwrap();
            patient.join().unwrap();
            is_free_with(&lock, 1);
        },
    );
}

#[test]
fn handed_writer_times_out() {
    model(
        "rwlock: handed to an overtaken writer that has just timed out",
        || {
            let lock = watched();
            let deadline = Deadline::new();
            let hasty = {
                let deadline = deadline.clone();
                spawn(&lock, move |lock| {
                    if let Ok(mut guard) = lock.write_within(&deadline) {
                        guard.add(1);
                    }
                })
            };
            write_one(lock.clone());
            let held = lock.write();
            deadline.pass();
            drop(held);
            hasty.join().unwrap();
            assert!(lock.try_write().is_some());
        },
    );
}

#[test]
fn writer_cancelled() {
    model(
        "rwlock: a cancellation races a grant, with readers behind the writer",
        || {
            let lock = watched();
            let token = CancelToken::new();
            let held = lock.read();
            let writer = {
                let token = token.clone();
                spawn(&lock, move |lock| drop(lock.write_within(&token)))
            };
            let reader = spawn(&lock, read_one);
            drop(held);
            token.cancel();
            writer.join().unwrap();
            reader.join().unwrap();
            is_free_with(&lock, 0);
        },
    );
}

#[test]
fn upgrader_times_out() {
    model(
        "rwlock: readers kept out by an upgrade that times out, while somebody reads",
        || {
            let lock = watched();
            let deadline = Deadline::new();
            let held = lock.read();
            let hasty = {
                let deadline = deadline.clone();
                spawn(&lock, move |lock| {
                    let guard = lock.upgradable_read();
                    match UpgradableGuard::upgrade_within(guard, &deadline) {
                        Ok(_) => panic!("somebody reads"),
                        Err(error) => assert_eq!(error.guard.get(), 0),
                    }
                })
            };
            let reader = spawn(&lock, read_one);
            deadline.pass();
            reader.join().unwrap();
            hasty.join().unwrap();
            drop(held);
            is_free_with(&lock, 0);
        },
    );
}

#[test]
fn handed_upgrader_times_out() {
    model(
        "rwlock: an upgrade granted while it times out, with a writer behind it",
        || {
            let lock = watched();
            let deadline = Deadline::new();
            let held = lock.read();
            let hasty = {
                let deadline = deadline.clone();
                spawn(&lock, move |lock| {
                    let guard = lock.upgradable_read();
                    match UpgradableGuard::upgrade_within(guard, &deadline) {
                        Ok(mut guard) => guard.add(1),
                        Err(error) => drop(error.guard.get()),
                    }
                })
            };
            let timer = thread::spawn(move || deadline.pass());
            drop(held);
            timer.join().unwrap();
            write_one(lock.clone());
            hasty.join().unwrap();
            assert!(lock.try_write().is_some());
        },
    );
}

#[test]
fn upgrader_cancelled() {
    model(
        "rwlock: an upgrade granted while it is cancelled: no last attempt mends what was handed",
        || {
            let lock = watched();
            let token = CancelToken::new();
            let held = lock.read();
            let hasty = {
                let token = token.clone();
                spawn(&lock, move |lock| {
                    let guard = lock.upgradable_read();
                    match UpgradableGuard::upgrade_within(guard, &token) {
                        Ok(mut guard) => guard.add(1),
                        Err(error) => assert!(error.guard.get() >= 0),
                    }
                })
            };
            let reader = spawn(&lock, read_one);
            drop(held);
            token.cancel();
            hasty.join().unwrap();
            reader.join().unwrap();
            assert!(lock.try_write().is_some());
        },
    );
}

/// Polls once and drops, granted or not in between.
fn poll_and_drop<F: Future>(future: F) {
    drop(poll_once(pin!(future)));
}

#[test]
fn dropped_read() {
    model(
        "rwlock: a read dropped while it is granted, with a writer behind it",
        || {
            let lock = watched();
            let held = lock.write();
            let dropper = spawn(&lock, |lock| poll_and_drop(lock.read_async()));
            let patient = spawn(&lock, write_one);
            drop(held);
            dropper.join().unwrap();
            patient.join().unwrap();
            is_free_with(&lock, 1);
        },
    );
}

#[test]
fn dropped_write() {
    model(
        "rwlock: a write dropped while it is granted, with a reader behind it",
        || {
            let lock = watched();
            let held = lock.read();
            let dropper = spawn(&lock, |lock| poll_and_drop(lock.write_async()));
            let patient = spawn(&lock, read_one);
            drop(held);
            dropper.join().unwrap();
            patient.join().unwrap();
            is_free_with(&lock, 0);
        },
    );
}

#[test]
fn dropped_upgrade() {
    model(
        "rwlock: an upgrade dropped while it is granted, with a reader kept out",
        || {
            let lock = watched();
            let held = lock.read();
            let dropper = spawn(&lock, |lock| {
                poll_and_drop(UpgradableGuard::upgrade_async(lock.upgradable_read()));
            });
            let patient = spawn(&lock, read_one);
            drop(held);
            dropper.join().unwrap();
            patient.join().unwrap();
            is_free_with(&lock, 0);
        },
    );
}

#[test]
fn dropped_upgrade_while_somebody_reads() {
    model(
        "rwlock: a reader kept out by an upgrade that is dropped, while somebody reads",
        || {
            let lock = watched();
            let held = lock.read();
            let dropper = spawn(&lock, |lock| {
                poll_and_drop(UpgradableGuard::upgrade_async(lock.upgradable_read()));
            });
            let patient = spawn(&lock, read_one);
            patient.join().unwrap();
            dropper.join().unwrap();
            drop(held);
            is_free_with(&lock, 0);
        },
    );
}

#[test]
fn tasks_and_threads() {
    model(
        "rwlock: tasks and threads take turns, and the tasks are woken",
        || {
            let lock = watched();
            let task = spawn(&lock, |lock| {
                loom::future::block_on(async {
                    lock.write_async().await.add(1);
                    let guard = lock.upgradable_read_async().await;
                    UpgradableGuard::upgrade_async(guard).await.add(1);
                });
            });
            read_one(lock.clone());
            write_one(lock.clone());
            task.join().unwrap();
            is_free_with(&lock, 3);
        },
    );
}

#[test]
fn called_writer_gives_up() {
    model(
        "rwlock: a writer called and overtaken by a reader gives up before another writer",
        || {
            let lock = watched();
            let deadline = Deadline::new();
            let held = lock.write();
            let hasty = {
                let deadline = deadline.clone();
                spawn(&lock, move |lock| drop(lock.write_within(&deadline)))
            };
            drop(held);
            let reading = lock.read();
            deadline.pass();
            let patient = spawn(&lock, write_one);
            drop(reading);
            hasty.join().unwrap();
            patient.join().unwrap();
            is_free_with(&lock, 1);
        },
    );
}

#[test]
fn preferred_writer_times_out_before_upgradable() {
    model(
        "rwlock: by PreferWriters, an upgradable reader behind a writer that times out",
        || {
            let lock = preferring(Policy::PreferWriters);
            let deadline = Deadline::new();
            let held = lock.write();
            let hasty = {
                let deadline = deadline.clone();
                spawn(&lock, move |lock| drop(lock.write_within(&deadline)))
            };
            let upgradable = spawn(&lock, |lock| drop(lock.upgradable_read()));
            drop(held);
            deadline.pass();
            upgradable.join().unwrap();
            hasty.join().unwrap();
            is_free_with(&lock, 0);
        },
    );
}

#[test]
fn preferred_readers_and_an_upgradable_one() {
    model(
        "rwlock: by PreferReaders, an upgradable reader behind a writer whom readers keep out",
        || {
            let lock = preferring(Policy::PreferReaders);
            let held = lock.write();
            let writer = spawn(&lock, write_one);
            let upgradable = spawn(&lock, |lock| drop(lock.upgradable_read()));
            drop(held);
            let reading = lock.read();
            // It may have come to stand behind the writer, who cannot come in yet.
            upgradable.join().unwrap();
            drop(reading);
            writer.join().unwrap();
            is_free_with(&lock, 1);
        },
    );
}

#[test]
fn given_claim_times_out() {
    model(
        "rwlock: the claim is given to an overtaken writer that times out, while somebody reads",
        || {
            let lock = watched();
            let deadline = Deadline::new();
            let hasty = {
                let deadline = deadline.clone();
                spawn(&lock, move |lock| {
                    if let Ok(mut guard) = lock.write_within(&deadline) {
                        guard.add(1);
                    }
                })
            };
            write_one(lock.clone());
            let held = WriteGuard::downgrade(lock.write());
            deadline.pass();
            read_one(lock.clone());
            drop(held);
            hasty.join().unwrap();
            assert!(lock.try_write().is_some());
        },
    );
}

#[test]
fn claim_dropped_while_given() {
    model(
        "rwlock: a future is dropped while the last reader gives it the lock it has claimed",
        || {
            let lock = watched();
            let held = lock.read();
            let dropper = spawn(&lock, |lock| poll_and_drop(lock.write_async()));
            let others = [spawn(&lock, read_one), spawn(&lock, write_one)];
            drop(held);
            dropper.join().unwrap();
            others.into_iter().for_each(|t| t.join().unwrap());
            is_free_with(&lock, 1);
        },
    );
}
