//! Many futures, dropped futures, and dead owners.

use super::mutex::{Mutex, lock};
use super::*;
use crate::shm::wait::{Look, Operation, Step};
use crate::shm::waiting::Waiting;

#[test]
fn a_thousand_futures_on_four_words_take_turns_with_another_process() {
    within(LIMIT, "a thousand", || {
        in_child(|| {
            const TURNS: u32 = 1_000;
            let locks = words(8);
            let (locks, counts) = locks.split_at(4);
            let take_a_turn = |n: usize| {
                // Not one step, so that two at a time would be noticed.
                let count = counts[n].load(Ordering::Relaxed);
                counts[n].store(count + 1, Ordering::Relaxed);
                Mutex::unlock(&locks[n]);
            };
            let other = Child::new(|| {
                for n in 0..TURNS as usize {
                    Mutex::lock(&locks[n % 4]);
                    take_a_turn(n % 4);
                }
            });
            let executor = LocalExecutor::new();
            for n in 0..TURNS as usize {
                drop(executor.spawn(async move {
                    lock(&locks[n % 4]).await;
                    take_a_turn(n % 4);
                }));
            }
            executor.join();
            other.join();
            let counted = counts.iter().map(|count| count.load(Ordering::SeqCst));
            assert_eq!(counted.sum::<u32>(), 2 * TURNS);
        });
    });
}

#[test]
fn futures_that_are_dropped_take_nothing_with_them() {
    within(LIMIT, "dropped in between", || {
        in_child(|| {
            let door = word();
            let random = || fastrand::Rng::with_seed(7);
            let other = Child::new(|| {
                let mut random = random();
                for _ in 0..2_000 {
                    Mutex::lock(door);
                    (0..random.u32(..50)).for_each(|_| std::hint::spin_loop());
                    Mutex::unlock(door);
                }
            });
            let mut random = random();
            let mut waiting = Vec::new();
            let mut got = 0;
            while got < 500 {
                if waiting.len() < 20 {
                    waiting.push(lock(door));
                }
                let at = random.usize(..waiting.len());
                if random.u32(..4) == 0 {
                    drop(waiting.swap_remove(at));
                } else if poll(&mut waiting[at], Waker::noop()).is_ready() {
                    got += 1;
                    drop(waiting.swap_remove(at));
                    Mutex::unlock(door);
                }
            }
            waiting.clear();
            block_on(lock(door));
            Mutex::unlock(door);
            other.join();
            assert_eq!(door.load(Ordering::SeqCst), 0);
        });
    });
}

#[test]
fn a_killed_owner_is_noticed_by_looking() {
    within(LIMIT, "killed", || {
        in_child(|| {
            let door = word();
            let owner = Child::new(|| {
                Mutex::lock(door);
                child::sleep_for_ever();
            });
            until(|| door.load(Ordering::SeqCst) != 0);
            // SAFETY: `words` are never unmapped.
            let inherits = unsafe { Waiting::new(Heir(Mutex::new(door), Some(owner))) };
            assert!(block_on(inherits), "the lock was given back by nobody");
        });
    });
}

/// Takes the lock, or inherits it and says so.
struct Heir(Mutex, Option<Child>);

impl Operation<'static> for Heir {
    type Output = bool;

    fn attempt(&mut self, look: Look) -> Step<'static, bool> {
        match self.1.take() {
            // It dies while somebody is on the way to sleep, and wakes nobody.
            Some(owner) => owner.kill(),
            None if look.suspicious => return Step::Done(true),
            None => {}
        }
        match self.0.attempt(look) {
            Step::Done(()) => Step::Done(false),
            Step::Sleep {
                word,
                expected,
                is_brief,
            } => Step::Sleep {
                word,
                expected,
                is_brief,
            },
        }
    }
}
