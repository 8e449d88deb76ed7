//! What the loom models need of the lock word: a tree of participants who can be killed.
//!
//! Used by loom-tests/tests/ipc_word.rs only. A modelled process is a modelled thread that ends with
//! [`Tree::die`]; its record lock is a flag here, which the kernel would drop for it.

use super::{Liveness, Owner, Refused, State, Taken, Verdict, Word, decode};
use crate::platform::atomic::{AtomicBool, Ordering};
use crate::platform::shared_futex;
use crate::shm::monitor::model::Sleeps;
use std::time::Duration;

const PARTICIPANTS: usize = 4;

/// One lock and those who use it, named 0 to 3.
pub struct Tree {
    word: Word,
    dead: [AtomicBool; PARTICIPANTS],
}

/// How an attempt to lock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Held, and the previous owner had unlocked it.
    Consistent,
    /// Held, and an owner had died with it.
    OwnerDied,
    /// Not held.
    GaveUp,
}

impl Tree {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Tree {
        Tree {
            word: Word::new(),
            dead: std::array::from_fn(|_| AtomicBool::new(false)),
        }
    }

    /// Waits without limit.
    pub fn lock(&self, who: u32) -> Outcome {
        self.lock_for(who, u32::MAX)
    }

    /// Sleeps at most `sleeps` times.
    pub fn lock_for(&self, who: u32, sleeps: u32) -> Outcome {
        let result = self.word.lock(Tree::name(who), self, &mut Sleeps(sleeps));
        self.outcome(result.map(Some))
    }

    /// Never sleeps.
    pub fn try_lock(&self, who: u32) -> Outcome {
        self.outcome(self.word.try_lock(Tree::name(who), self))
    }

    pub(crate) fn outcome(&self, result: Result<Option<Taken>, Refused>) -> Outcome {
        match result {
            Ok(Some(Taken::Consistent)) => Outcome::Consistent,
            Ok(Some(Taken::OwnerDied)) => Outcome::OwnerDied,
            Ok(None) | Err(Refused::GaveUp(_)) => Outcome::GaveUp,
            Err(Refused::Corrupt) => panic!("corrupt word: {:?}", self.word),
        }
    }

    pub fn mark_consistent(&self) {
        self.word.mark_consistent();
    }

    pub fn unlock(&self, consistent: bool) {
        self.word.unlock(consistent);
    }

    /// The first half of unlock: what a process has done that is killed before the second.
    pub fn release_and_wake_nobody(&self) {
        self.word.release(true);
    }

    /// What a waiter does up to the moment it is woken, for one that is killed then.
    pub fn sleep_once(&self) {
        let seen = self.word.look();
        if decode(seen).owner().is_some()
            && let Ok(announced) = self.word.announce(seen)
        {
            shared_futex::wait(&self.word.0, announced, Duration::MAX);
        }
    }

    /// The kernel drops the record lock of `who`, and time passes for everybody else.
    pub fn die(&self, who: u32) {
        self.dead[who as usize].store(true, Ordering::Release);
        shared_futex::somebody_died();
    }

    pub(crate) fn word(&self) -> &Word {
        &self.word
    }

    pub(crate) fn name(who: u32) -> Owner {
        Owner::new(who, 1).expect("the first claim of a slot is a name")
    }

    pub fn is_free(&self) -> bool {
        self.word.state()
            == State::Free {
                inconsistent: false,
            }
    }
}

impl Liveness for Tree {
    fn verdict(&self, owner: Owner) -> Verdict {
        match self.dead.get(owner.slot() as usize) {
            Some(dead) if dead.load(Ordering::Acquire) => Verdict::Dead,
            Some(_) => Verdict::Alive,
            None => Verdict::NeverIssued,
        }
    }
}
