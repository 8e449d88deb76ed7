//! [`Scoped`]: a task of a scope, in one allocation: what lies in the pool's queue.
//!
//! Invariant: whoever sets `is_claimed` takes the work out, runs or drops it, and then tells the ledger, once. Nobody else
//! follows the pointer to the ledger, which is good until then.

use super::ledger::Ledger;
use crate::executor::TaskError;
use crate::executor::task::{Job, TaskId, run_as};
use crate::executor::thread_pool::note_ran;
use crate::panic::{catch_all, report};
use crate::platform::UnsafeCell;
use crate::platform::atomic::{AtomicBool, Ordering};
use std::ptr::NonNull;

/// What a scoped task does.
pub(super) trait ScopedWork: Send {
    /// Runs it. What it returns says whether it has succeeded.
    fn run(self, ledger: &Ledger) -> bool;

    /// Nobody runs it.
    fn give_up(self, why: &TaskError, ledger: &Ledger);
}

/// A closure whose end nobody waits for but the scope.
pub(super) struct Plain<F>(pub(super) F);

impl<F: FnOnce() + Send> ScopedWork for Plain<F> {
    fn run(self, ledger: &Ledger) -> bool {
        match catch_all(self.0) {
            Ok(()) => true,
            Err(caught) => {
                ledger.panicked(caught);
                false
            }
        }
    }

    fn give_up(self, why: &TaskError, ledger: &Ledger) {
        ledger.not_run(why);
        report("what a task that never ran had captured", || drop(self.0));
    }
}

/// See the head of this file.
pub(super) struct Scoped<W> {
    ledger: NonNull<Ledger>,
    home: usize,
    is_claimed: AtomicBool,
    work: UnsafeCell<Option<W>>,
}

// SAFETY: the work is taken by whoever has the claim alone, and is `Send`; a ledger is `Sync`, and good as long as
// somebody has the claim or can make it.
unsafe impl<W: Send> Sync for Scoped<W> {}
// SAFETY: as above.
unsafe impl<W: Send> Send for Scoped<W> {}

impl<W: ScopedWork> Scoped<W> {
    /// A task that has been opened in the ledger.
    pub(super) fn new(work: W, ledger: &Ledger, home: usize) -> Scoped<W> {
        Scoped {
            ledger: NonNull::from(ledger),
            home,
            is_claimed: AtomicBool::new(false),
            work: UnsafeCell::new(Some(work)),
        }
    }

    /// Calls `f` with the work, if nobody has claimed it, and then tells the ledger.
    fn claim(&self, f: impl FnOnce(W, &Ledger)) -> bool {
        // A plain look first: shells are looked at more than once.
        if self.is_claimed.load(Ordering::Relaxed) || self.is_claimed.swap(true, Ordering::Acquire)
        {
            return false;
        }
        // SAFETY: the claim has just been made here, and is made once.
        let work = self.work.with_mut(|work| unsafe { (*work).take() });
        // SAFETY: the scope does not end before the ledger has been told, which only the claimant does.
        let ledger = unsafe { self.ledger.as_ref() };
        let _told = Ending(ledger);
        f(work.expect("one claim, one call"), ledger);
        true
    }
}

/// Tells the ledger, also when what a task had captured panics as it is dropped.
struct Ending<'l>(&'l Ledger);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.ends();
    }
}

impl<W: ScopedWork> Job for Scoped<W> {
    fn run(&self) -> bool {
        self.claim(|work, ledger| {
            let (is_good, _) = run_as(TaskId::next(), self.home, || work.run(ledger));
            note_ran(self.home, is_good);
        })
    }

    fn drop_with(&self, error: TaskError) -> bool {
        // The scope waits for it: it is not given up for the sake of another.
        error != TaskError::Discarded
            && self.claim(|work, ledger| {
                work.give_up(&error, ledger);
                if let (TaskError::WouldDeadlock, Some(own)) = (&error, ledger.own()) {
                    // Whoever waits for this one waits for all of them.
                    while let Some(other) = own.pop() {
                        other.drop_with(error.clone());
                    }
                }
            })
    }

    fn is_claimed(&self) -> bool {
        self.is_claimed.load(Ordering::Relaxed)
    }

    fn home(&self) -> usize {
        self.home
    }
}
