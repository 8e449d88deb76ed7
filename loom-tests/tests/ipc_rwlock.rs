//! Models of the lock of readers and writers that processes share, each named after the hazard it
//! explores.
//!
//! A modelled process is a thread; slices end, and claims lapse, only when somebody dies, so in the
//! models without a death a lost wake-up leaves somebody asleep and loom reports it.

#![cfg(loom)]

use latchwork::shm_models::RwLockModel;
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

const FOR_EVER: u32 = u32::MAX;

struct Shared {
    lock: RwLockModel,
    /// What the lock protects; loom reports a writer beside anybody.
    count: UnsafeCell<u32>,
}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            lock: RwLockModel::new(),
            count: UnsafeCell::new(0),
        })
    }

    fn look(&self) -> u32 {
        self.count.with(|count| unsafe { *count })
    }

    fn add_one(&self) {
        self.count.with_mut(|count| unsafe { *count += 1 });
    }

    fn read(&self, who: u32) -> bool {
        let consistent = self.lock.read(who, FOR_EVER).unwrap();
        self.look();
        self.lock.leave_reading(who);
        consistent
    }

    fn write(&self, who: u32) {
        self.lock.write(who, FOR_EVER).unwrap();
        self.add_one();
        self.lock.leave_writing(who, false);
    }
}

fn spawn(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) + Send + 'static,
) -> thread::JoinHandle<()> {
    let shared = shared.clone();
    thread::spawn(move || work(&shared))
}

#[test]
fn a_writer_meets_readers_and_neither_sleeps_on() {
    model(
        "ipc rwlock: a writer meets readers and neither sleeps on",
        || {
            let shared = Shared::new();
            let readers = [1, 2].map(|who| spawn(&shared, move |shared| assert!(shared.read(who))));
            shared.write(0);
            for reader in readers {
                reader.join().unwrap();
            }
            assert_eq!(shared.look(), 1);
        },
    );
}

#[test]
fn two_writers_exclude_each_other_and_a_reader() {
    model(
        "ipc rwlock: two writers exclude each other and a reader",
        || {
            let shared = Shared::new();
            let writer = spawn(&shared, |shared| shared.write(1));
            let reader = spawn(&shared, |shared| assert!(shared.read(2)));
            shared.write(0);
            writer.join().unwrap();
            reader.join().unwrap();
            assert_eq!(shared.look(), 2);
        },
    );
}

#[test]
fn a_writer_that_gives_up_lets_the_readers_in() {
    model(
        "ipc rwlock: a writer that gives up lets the readers in",
        || {
            let shared = Shared::new();
            shared.lock.try_read(0).unwrap();
            let hasty = spawn(&shared, |shared| {
                if shared.lock.write_or_give_up(1).is_some() {
                    shared.add_one();
                    shared.lock.leave_writing(1, false);
                }
            });
            // Kept out by the claim, perhaps, and nobody leaves who would wake it.
            let reader = spawn(&shared, |shared| assert!(shared.read(2)));
            reader.join().unwrap();
            shared.lock.leave_reading(0);
            hasty.join().unwrap();
            assert!(shared.lock.try_write(3).is_some());
        },
    );
}

#[test]
fn a_writer_that_is_killed_while_it_waits_lets_the_readers_in() {
    model(
        "ipc rwlock: a writer that is killed while it waits lets the readers in",
        || {
            let shared = Shared::new();
            shared.lock.try_read(0).unwrap();
            let victim = spawn(&shared, |shared| {
                shared.lock.claim(1);
                shared.lock.die(1);
            });
            let reader = spawn(&shared, |shared| assert!(shared.read(2)));
            reader.join().unwrap();
            victim.join().unwrap();
            shared.lock.leave_reading(0);
            assert!(shared.lock.try_write(3).is_some());
        },
    );
}

#[test]
fn the_death_of_a_reader_frees_the_writer() {
    model("ipc rwlock: the death of a reader frees the writer", || {
        let shared = Shared::new();
        let victim = spawn(&shared, |shared| {
            shared.lock.read(1, FOR_EVER).unwrap();
            shared.lock.die(1);
        });
        let reader = spawn(&shared, |shared| assert!(shared.read(2)));
        shared.write(0);
        victim.join().unwrap();
        reader.join().unwrap();
        assert!(shared.lock.try_write(3).is_some());
    });
}

#[test]
fn the_death_of_a_writer_is_told_until_a_writer_vouches() {
    model(
        "ipc rwlock: the death of a writer is told until a writer vouches",
        || {
            let shared = Shared::new();
            shared.lock.try_write(3).unwrap();
            let reader = spawn(&shared, |shared| {
                // Before the other has vouched, or after.
                shared.read(1);
            });
            shared.lock.die(3);
            assert_eq!(shared.lock.write(0, FOR_EVER), Some(false));
            shared.lock.leave_writing(0, false);
            assert_eq!(shared.lock.write(0, FOR_EVER), Some(false));
            shared.lock.leave_writing(0, true);
            reader.join().unwrap();
            assert_eq!(shared.lock.try_read(2), Some(true));
        },
    );
}

#[test]
fn a_writer_is_killed_inside_on_its_way_in() {
    for steps in 0..4 {
        model(
            &format!("ipc rwlock: a writer is killed on its way in after {steps} steps"),
            move || {
                let shared = Shared::new();
                let reader = spawn(&shared, |shared| {
                    shared.read(1);
                });
                // Only an empty room is entered to write.
                if shared.lock.try_write(0).is_some() {
                    shared.lock.leave_writing(0, false);
                    reader.join().unwrap();
                    let reader = spawn(&shared, |shared| {
                        shared.read(2);
                    });
                    shared.lock.die_coming_in(3, steps);
                    reader.join().unwrap();
                } else {
                    reader.join().unwrap();
                }
                let told = shared.lock.write(0, FOR_EVER).unwrap();
                assert!(told || steps == 3, "a death before its name was there");
            },
        );
    }
}

#[test]
fn a_writer_is_killed_inside_on_its_way_out() {
    for steps in 0..3 {
        model(
            &format!("ipc rwlock: a writer is killed on its way out after {steps} steps"),
            move || {
                let shared = Shared::new();
                shared.lock.try_write(3).unwrap();
                let reader = spawn(&shared, move |shared| {
                    assert_eq!(shared.read(1), steps > 0);
                });
                shared.lock.die_leaving(3, steps);
                assert_eq!(shared.lock.write(2, FOR_EVER), Some(steps > 0));
                shared.lock.leave_writing(2, false);
                reader.join().unwrap();
                assert_eq!(shared.lock.try_write(0), Some(steps > 0));
            },
        );
    }
}

#[test]
fn who_takes_over_from_a_dead_writer_is_killed_too() {
    for steps in 0..4 {
        model(
            &format!("ipc rwlock: who takes over is killed after {steps} steps"),
            move || {
                let shared = Shared::new();
                shared.lock.try_write(3).unwrap();
                let reader = spawn(&shared, |shared| {
                    assert!(!shared.read(1), "nobody has vouched");
                });
                shared.lock.die(3);
                shared.lock.die_taking_over(2, steps);
                assert_eq!(shared.lock.write(0, FOR_EVER), Some(false));
                shared.lock.leave_writing(0, false);
                reader.join().unwrap();
                assert_eq!(shared.lock.try_write(0), Some(false));
            },
        );
    }
}

#[test]
fn nobody_writes_between_writing_and_reading_on() {
    model(
        "ipc rwlock: nobody writes between writing and reading on",
        || {
            let shared = Shared::new();
            let writer = spawn(&shared, |shared| shared.write(1));
            shared.lock.write(0, FOR_EVER).unwrap();
            shared.add_one();
            let mine = shared.look();
            shared.lock.downgrade(0);
            assert_eq!(shared.look(), mine);
            shared.lock.leave_reading(0);
            writer.join().unwrap();
            assert_eq!(shared.look(), 2);
        },
    );
}

#[test]
fn a_reader_is_killed_whose_turn_it_is() {
    model("ipc rwlock: a reader is killed whose turn it is", || {
        let shared = Shared::new();
        shared.lock.try_write(0).unwrap();
        let writer = spawn(&shared, |shared| shared.write(2));
        shared.lock.want_to_read(1);
        shared.lock.leave_writing(0, false);
        shared.lock.die(1);
        writer.join().unwrap();
        assert_eq!(shared.look(), 1);
        assert!(shared.lock.try_write(3).is_some());
    });
}
