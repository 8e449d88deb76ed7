//! A lock for the tests, that is waited for by being polled and by sleeping.

use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::shared_futex;
use crate::shm::wait::{LONGEST_SLICE, Look, Operation, Step};
use crate::shm::waiting::Waiting;

/// A lock of the simplest kind: 0 is free, 1 is held, 2 is held and slept on.
pub(super) struct Mutex {
    word: &'static AtomicU32,
    /// What it becomes: 2 for whoever has slept.
    mark: u32,
}

impl Mutex {
    pub(super) fn new(word: &'static AtomicU32) -> Mutex {
        Mutex { word, mark: 1 }
    }

    pub(super) fn unlock(word: &AtomicU32) {
        if word.swap(0, Ordering::Release) == 2 {
            shared_futex::wake(word, 1);
        }
    }

    /// As a process without futures does it.
    pub(super) fn lock(word: &'static AtomicU32) {
        let mut lock = Mutex::new(word);
        while let Step::Sleep { word, expected, .. } = lock.attempt(Look::ANNOUNCE) {
            shared_futex::wait(word, expected, LONGEST_SLICE);
        }
    }
}

impl Operation<'static> for Mutex {
    type Output = ();

    fn attempt(&mut self, _: Look) -> Step<'static, ()> {
        let (word, mark) = (self.word, self.mark);
        let is_free = word.compare_exchange(0, mark, Ordering::Acquire, Ordering::Relaxed);
        if is_free.is_ok() {
            return Step::Done(());
        }
        self.mark = 2;
        match word.swap(2, Ordering::Acquire) {
            0 => Step::Done(()),
            _ => Step::Sleep {
                word,
                expected: 2,
                is_brief: false,
            },
        }
    }
}

/// As a process with futures does it.
pub(super) fn lock(word: &'static AtomicU32) -> Waiting<'static, Mutex> {
    // SAFETY: `words` are never unmapped.
    unsafe { Waiting::new(Mutex::new(word)) }
}
