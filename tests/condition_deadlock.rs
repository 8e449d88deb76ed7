//! `OnDeadlock::Panic` and a lock that is taken again for a guard that is still there, by a `Condition`
//! or by `unlocked`: whatever closes the circle, nobody is left with a guard and without its lock. Rows
//! T65, T75, T79. In a program of its own, because the choice is the whole program's.
//!
//! The threads of a deadlock stay where they are, so what they use is leaked, and ends with the test
//! program.

mod common;

use common::{until_parked, watchdog};
use latchwork::CancelToken;
use latchwork::debug::{self, OnDeadlock};
use latchwork::sync::{Condition, Event, Lock, LockGuard, RLock, RLockGuard};
use latchwork::thread::{self, JoinHandle};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// What a thread waits for with the lock released.
#[derive(Default)]
struct Told {
    changed: Condition,
    token: CancelToken,
    event: Event,
    is_waiting: Event,
}

/// A lock with one way of letting go of it for a while.
struct Case<L: 'static> {
    lock: fn() -> L,
    /// Takes the lock, lets go of it until told, has it again, and looks at that.
    waits: fn(&L, &Told),
    tell: fn(&Told),
    /// Runs something with the lock held.
    with: fn(&L, &mut dyn FnMut()),
    is_locked: fn(&L) -> bool,
}

/// Somebody who holds `second`, waits, and has to come back to `lock`, where somebody else is by then.
struct Circle<L: 'static> {
    lock: L,
    second: Lock<()>,
    told: Told,
    other_has_lock: Event,
    go_on: Event,
}

impl<L: Send + Sync> Case<L> {
    /// Both threads: the one that comes back, and the one in its way, who wants `second`.
    fn begin(&'static self) -> (&'static Circle<L>, JoinHandle<()>, JoinHandle<()>) {
        let circle: &'static Circle<L> = Box::leak(Box::new(Circle {
            lock: (self.lock)(),
            second: Lock::new(()),
            told: Told::default(),
            other_has_lock: Event::new(),
            go_on: Event::new(),
        }));
        let comes_back = thread::spawn(move || {
            let _second = circle.second.lock();
            (self.waits)(&circle.lock, &circle.told);
        });
        circle.told.is_waiting.wait();
        let in_its_way = thread::spawn(move || {
            // Free only when the other has let go of it.
            (self.with)(&circle.lock, &mut || {
                circle.other_has_lock.set();
                circle.go_on.wait();
                drop(circle.second.lock());
            });
        });
        circle.other_has_lock.wait();
        (circle, comes_back, in_its_way)
    }

    /// The one in the way comes last: it panics, makes way, and the other finds all as it was.
    fn the_other_closes_it(&'static self) {
        let (circle, comes_back, in_its_way) = self.begin();
        (self.tell)(&circle.told);
        until_parked("Lock", &circle.lock, 1);
        circle.go_on.set();
        let panic = in_its_way.join().unwrap_err();
        assert!(
            panic
                .panic()
                .unwrap()
                .message
                .starts_with("deadlock: 2 threads"),
            "{panic}"
        );
        comes_back.join().unwrap();
        assert!(!(self.is_locked)(&circle.lock));
    }

    /// The one with the guard comes last: it must not panic, and cannot go on.
    fn it_closes_it_itself(&'static self) {
        let (circle, comes_back, in_its_way) = self.begin();
        circle.go_on.set();
        until_parked("Lock", &circle.second, 1);
        (self.tell)(&circle.told);
        until_parked("Lock", &circle.lock, 1);
        // Long enough to use up its turns and look for circles.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(20) {
            assert!(!comes_back.is_finished(), "it went on without the lock");
            std::thread::yield_now();
        }
        assert!(!in_its_way.is_finished());
        assert!((self.is_locked)(&circle.lock));
        until_parked("Lock", &circle.lock, 1);
    }

    fn both(&'static self) {
        debug::on_deadlock(OnDeadlock::Panic);
        self.the_other_closes_it();
        self.it_closes_it_itself();
    }
}

static LOCK_NOTIFIED: Case<Lock<u32>> = Case {
    lock: || Lock::new(0),
    waits: |lock, told| {
        let mut guard = lock.lock();
        told.is_waiting.set();
        told.changed.wait(&mut guard);
        assert!(lock.try_lock().is_none(), "held again");
        *guard += 1;
    },
    tell: |told| assert!(told.changed.notify_one()),
    with: |lock, f| {
        let _guard = lock.lock();
        f();
    },
    is_locked: Lock::is_locked,
};

static LOCK_CANCELLED: Case<Lock<u32>> = Case {
    waits: |lock, told| {
        let mut guard = lock.lock();
        told.is_waiting.set();
        assert!(told.changed.wait_within(&mut guard, &told.token).is_err());
        assert!(lock.try_lock().is_none(), "held again");
        *guard += 1;
    },
    tell: |told| {
        told.token.cancel();
    },
    ..LOCK_NOTIFIED
};

static LOCK_UNLOCKED: Case<Lock<u32>> = Case {
    waits: |lock, told| {
        let mut guard = lock.lock();
        told.is_waiting.set();
        LockGuard::unlocked(&mut guard, || told.event.wait());
        assert!(lock.try_lock().is_none(), "held again");
        *guard += 1;
    },
    tell: |told| assert!(told.event.set()),
    ..LOCK_NOTIFIED
};

static RLOCK_NOTIFIED: Case<RLock<AtomicUsize>> = Case {
    lock: || RLock::new(AtomicUsize::new(0)),
    waits: |lock, told| {
        let outer = lock.lock();
        told.is_waiting.set();
        told.changed.wait(&mut lock.lock());
        assert_eq!(lock.depth(), 1, "the guard of the wait is gone by now");
        outer.fetch_add(1, Ordering::Relaxed);
    },
    tell: |told| assert!(told.changed.notify_one()),
    with: |lock, f| {
        let _guard = lock.lock();
        f();
    },
    is_locked: RLock::is_locked,
};

static RLOCK_UNLOCKED: Case<RLock<AtomicUsize>> = Case {
    waits: |lock, told| {
        let mut guard = lock.lock();
        told.is_waiting.set();
        RLockGuard::unlocked(&mut guard, || told.event.wait());
        assert_eq!(lock.depth(), 1);
    },
    tell: |told| assert!(told.event.set()),
    ..RLOCK_NOTIFIED
};

#[test]
fn after_a_notification() {
    watchdog(LIMIT, "after_a_notification", || LOCK_NOTIFIED.both());
}

#[test]
fn after_a_cancellation() {
    watchdog(LIMIT, "after_a_cancellation", || LOCK_CANCELLED.both());
}

#[test]
fn after_running_unlocked() {
    watchdog(LIMIT, "after_running_unlocked", || LOCK_UNLOCKED.both());
}

#[test]
fn after_a_notification_with_all_levels() {
    watchdog(LIMIT, "after_a_notification_with_all", || {
        RLOCK_NOTIFIED.both()
    });
}

#[test]
fn after_running_unlocked_with_an_rlock() {
    watchdog(LIMIT, "after_running_unlocked_with", || {
        RLOCK_UNLOCKED.both()
    });
}
