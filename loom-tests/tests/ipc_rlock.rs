//! Models of the lock between processes that its owner may take again, each named after the hazard it
//! explores.
//!
//! A modelled process is one or several threads; being killed is `die`.

#![cfg(loom)]

use latchwork::shm_models::{Outcome, RLockModel};
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Shared {
    lock: RLockModel,
    /// What the lock protects; loom reports two holders at once.
    count: UnsafeCell<u32>,
}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            lock: RLockModel::new(),
            count: UnsafeCell::new(0),
        })
    }

    fn add_one(&self) {
        self.count.with_mut(|count| unsafe { *count += 1 });
    }

    /// Two levels, as a thread of process `who`.
    fn nested(&self, who: u32) {
        assert_eq!(self.lock.depth(who), 0);
        if self.lock.lock(who) == Outcome::OwnerDied {
            assert_eq!(self.lock.lock(who), Outcome::OwnerDied, "nobody vouched");
            self.lock.unlock(who);
            self.lock.mark_consistent();
        }
        assert_eq!(self.lock.lock(who), Outcome::Consistent);
        self.add_one();
        assert_eq!(self.lock.unlock(who), 2);
        self.add_one();
        assert_eq!(self.lock.unlock(who), 1);
        assert_eq!(self.lock.unlock(who), 0, "it is not held any more");
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
fn two_threads_of_one_process_take_each_other_for_the_owner() {
    model(
        "ipc rlock: two threads of one process take each other for the owner",
        || {
            let shared = Shared::new();
            let other = spawn(&shared, |shared| shared.nested(0));
            shared.nested(0);
            other.join().unwrap();
            assert!(shared.lock.is_free());
        },
    );
}

#[test]
fn two_processes_take_each_other_for_the_owner() {
    model(
        "ipc rlock: two processes take each other for the owner",
        || {
            let shared = Shared::new();
            let other = spawn(&shared, |shared| shared.nested(1));
            shared.nested(0);
            other.join().unwrap();
            assert!(shared.lock.is_free());
        },
    );
}

#[test]
fn a_survivor_inherits_the_depth_of_the_dead() {
    model(
        "ipc rlock: a survivor inherits the depth of the dead",
        || {
            let shared = Shared::new();
            let victim = spawn(&shared, |shared| {
                let _ = shared.lock.lock(1);
                let _ = shared.lock.lock(1);
                shared.lock.die(1);
            });
            shared.nested(0);
            victim.join().unwrap();
        },
    );
}

#[test]
fn a_thread_finds_itself_in_the_note_of_a_dead_process() {
    model(
        "ipc rlock: a thread finds itself in the note of a dead process",
        || {
            let shared = Shared::new();
            // This thread, as another process: the same number of a thread.
            let _ = shared.lock.lock(1);
            shared.lock.die(1);
            let other = spawn(&shared, |shared| shared.nested(0));
            shared.nested(0);
            other.join().unwrap();
            assert!(shared.lock.is_free());
        },
    );
}
