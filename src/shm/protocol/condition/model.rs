//! What the loom models need of a bell: a lock that waiters give up, and participants who can be killed.
//!
//! Used by loom-tests/tests/ipc_condition.rs only.

use super::{Bell, Waiter};
use crate::platform::shared_futex;
use crate::shm::monitor::model::{Model, Seat, Sleeps};
use crate::shm::monitor::{self, Home, enter};
use crate::shm::wait::{Look, Operation, Step};
use crate::shm::word::model::{Outcome, Tree};
use std::mem;
use std::time::Duration;

/// A condition, the lock that belongs to it, and their users, named 0 to 3.
pub struct ConditionModel {
    bell: Model<Bell>,
    lock: Tree,
}

impl ConditionModel {
    #[allow(clippy::new_without_default)]
    pub fn new() -> ConditionModel {
        ConditionModel {
            bell: Model::new(Bell::new()),
            lock: Tree::new(),
        }
    }

    pub fn lock(&self, who: u32) -> Outcome {
        self.lock.lock(who)
    }

    pub fn unlock(&self) {
        self.lock.unlock(true);
    }

    /// Gives the lock up, sleeps at most `sleeps` times, and takes the lock again. Says whether it was
    /// notified.
    pub fn wait(&self, who: u32, sleeps: u32) -> bool {
        let seat = self.bell.seat(who);
        let mut waiter = join(&seat);
        self.lock.unlock(true);
        let is_notified = match monitor::wait(&mut waiter, &mut Sleeps(sleeps)) {
            Ok(()) => true,
            Err(_) => waiter.leave().unwrap(),
        };
        assert_eq!(self.lock.lock(who), Outcome::Consistent);
        is_notified
    }

    /// Begins to wait, and is killed asleep or just woken, or with what it was notified of in its hands.
    pub fn wait_and_die(&self, who: u32) {
        let seat = self.bell.seat(who);
        let mut waiter = join(&seat);
        self.lock.unlock(true);
        if let Step::Sleep { word, expected, .. } = waiter.attempt(Look::ANNOUNCE) {
            shared_futex::wait(word, expected, Duration::MAX);
            let _ = waiter.attempt(Look::ANNOUNCE);
        }
        mem::forget(waiter);
        self.die(who);
    }

    /// Begins to wait and is dropped: a future that nobody wants any more.
    pub fn wait_and_drop(&self, who: u32) {
        let seat = self.bell.seat(who);
        let mut waiter = join(&seat);
        self.lock.unlock(true);
        if let Step::Done(done) = waiter.attempt(Look::ANNOUNCE) {
            // It was not dropped then.
            done.unwrap();
            self.notify(who, 1);
        }
    }

    /// All slices end.
    pub fn time_passes(&self) {
        shared_futex::somebody_died();
    }

    pub fn notify(&self, who: u32, n: u32) {
        Bell::ring(&self.bell.seat(who), n).unwrap();
    }

    /// Killed after the notification and before the wake-up.
    pub fn notify_and_die(&self, who: u32, n: u32) {
        let seat = self.bell.seat(who);
        let mut inside = enter(&seat).unwrap();
        Bell::ring_inside(&mut inside, n);
        mem::forget(inside);
        seat.word().unlock(true);
        self.die(who);
    }

    /// Killed inside, between two of the changes that make a notification.
    pub fn half_notify_and_die(&self, who: u32) {
        self.bell.die_inside(who, |bell| super::put(&bell.owed, 1));
        self.lock.die(who);
    }

    pub fn waiters(&self) -> u32 {
        self.bell.state().waiters()
    }

    pub fn die(&self, who: u32) {
        self.bell.die(who);
        self.lock.die(who);
    }
}

fn join<'h, 'm>(seat: &'h Seat<'m, Bell>) -> Waiter<'h, Seat<'m, Bell>> {
    monitor::wait(Waiter::join(seat), &mut Sleeps(u32::MAX)).unwrap()
}
