//! Tasks that borrow: [`Scope`], which ends when all that were spawned in it have.
//!
//! # Why the borrows are sound
//!
//! A task's closure may borrow from outside of the scope (`'env`) and from the scope itself (`'scope`); in the pool's queue,
//! which lives longer, it lies as if it borrowed nothing. What makes that right:
//!
//! 1. [`ThreadPoolExecutor::scope`] does not return or unwind before the [`Ledger`] says that every task has ended.
//! 2. A task ends in the ledger after its closure, with all it had captured, has been run and is gone, or has been dropped
//!    ([`job.rs`](job)). What may be left in a queue is a claimed shell: no closure, and a pointer to the
//!    ledger that nobody follows.
//! 3. A result that borrows is never in the shell. A [`ScopedFuture`] and the closure share it, and neither
//!    can leave the scope: `'scope` is invariant, and `for<'scope>` keeps it out of everything outside.
//! 4. The last task's last act completes the ledger, and touches nothing of it after that but its address.

mod error;
mod future;
mod group;
mod job;
mod ledger;

pub use error::GroupError;
pub use future::ScopedFuture;
pub use group::{Group, GroupBuilder};

use self::job::{Plain, Scoped};
use self::ledger::Ledger;
use super::pool::Pool;
use super::{ThreadPoolExecutor, worker};
use crate::executor::task::Job;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;

pub(super) use self::ledger::is_awaited_by;

/// Where tasks are spawned that borrow from outside; from [`ThreadPoolExecutor::scope`].
pub struct Scope<'scope, 'env: 'scope> {
    pool: Arc<Pool>,
    ledger: Ledger,
    /// Invariant in both, so that neither can be taken for a longer or a shorter one.
    _scope: PhantomData<&'scope mut &'scope ()>,
    _env: PhantomData<&'env mut &'env ()>,
}

impl ThreadPoolExecutor {
    /// Runs `f`, which may spawn tasks that borrow what is around this call; returns what `f` returns, when all of them
    /// have ended. It waits for them too when `f` panics.
    ///
    /// Called by a worker of the same pool, it runs tasks of the scope itself while it waits, and sleeps, and is
    /// replaced, for those that run elsewhere. The bound of a [bounded](super::Builder::queue_capacity) queue does
    /// not apply to them.
    ///
    /// # Panics
    ///
    /// With the panic of `f`; else with the first panic of a task whose result nobody has asked for; else, if a task
    /// could not be run because the pool was shut down with [`Immediate`](crate::Shutdown::Immediate) or broke meanwhile.
    ///
    /// # Cost
    ///
    /// One allocation a task, and one count; the caller sleeps once.
    ///
    /// # Source
    ///
    /// std's `thread::scope`, and rayon's.
    ///
    /// ```
    /// use latchwork::executor::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2);
    /// let mut squares = vec![1, 2, 3, 4];
    /// let longest = pool.scope(|s| {
    ///     let longest = s.submit(|| ["a", "scope"].iter().map(|word| word.len()).max());
    ///     for n in &mut squares {
    ///         s.spawn(move || *n *= *n);
    ///     }
    ///     longest.result().unwrap()
    /// });
    /// assert_eq!((longest, squares), (Some(5), vec![1, 4, 9, 16]));
    /// ```
    #[track_caller]
    pub fn scope<'env, F, R>(&self, f: F) -> R
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    {
        let place = Location::caller();
        let scope = Scope {
            pool: Arc::clone(&self.pool),
            ledger: Ledger::new(self.pool.is_mine()),
            _scope: PhantomData,
            _env: PhantomData,
        };
        let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
        scope.wait(place);
        match result {
            Err(payload) => resume_unwind(payload),
            Ok(result) => {
                scope.ledger.tell();
                result
            }
        }
    }

    /// A scope for tasks of one kind that belong together: how many run at a time, how long they may take, and what
    /// becomes of the others when one fails or succeeds. See [`GroupBuilder`].
    #[doc(alias = "TaskGroup")]
    #[doc(alias = "errgroup")]
    #[doc(alias = "JoinSet")]
    pub fn group(&self) -> GroupBuilder<'_> {
        GroupBuilder::new(self)
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Has a worker run `f`. Of its end nobody hears but the scope: [`submit`](Scope::submit) has a future.
    ///
    /// It may spawn itself: it can capture the scope. If the pool accepts nothing any more, or has no
    /// thread, `f` runs here, before this returns.
    pub fn spawn<F>(&'scope self, f: F)
    where
        F: FnOnce() + Send + 'scope,
    {
        self.enter(Plain(f));
    }

    /// As [`spawn`](Scope::spawn), with a future for what `f` returns.
    pub fn submit<F, R>(&'scope self, f: F) -> ScopedFuture<'scope, R>
    where
        F: FnOnce() -> R + Send + 'scope,
        R: Send + 'scope,
    {
        ScopedFuture::submit(self, f)
    }

    fn enter<W: job::ScopedWork + 'scope>(&'scope self, work: W) -> Arc<Scoped<W>> {
        self.ledger.opens();
        let job = Arc::new(Scoped::new(work, &self.ledger, self.pool.address()));
        let shell: Arc<dyn Job + '_> = Arc::clone(&job) as _;
        // SAFETY: only the lifetime changes. What borrows in there is gone when the scope ends: see the head of this
        // file, which has every path to that.
        let shell =
            unsafe { std::mem::transmute::<Arc<dyn Job + '_>, Arc<dyn Job + 'static>>(shell) };
        if let Some(own) = self.ledger.own() {
            own.push(Arc::clone(&shell));
        }
        let entered = match self.pool.check() {
            Ok(()) => self.pool.push(shell),
            Err(why) => Err(why),
        };
        if let Err(why) = entered {
            job.run();
            self.pool.tidy(&why);
        }
        job
    }

    /// Blocks until all tasks have ended, but for the body's own part; does not unwind. Whoever spawns another task is one
    /// of them, or the body, so when none is left none will come.
    fn wait(&self, place: &'static Location<'static>) {
        self.ledger.closes();
        if self.pool.is_left_behind() {
            // In the child of a fork no other thread is there that could run one or have a borrow, and nobody
            // looks into the queue: what lies there is leaked.
            self.ledger.is_left_behind();
            return;
        }
        let _expecting = self.help();
        self.ledger.wait(place);
    }

    /// A worker of the pool runs what has not started; if it may not, it says that it waits for that.
    fn help(&self) -> Option<worker::Expecting> {
        let own = self.ledger.own()?;
        while !self.ledger.is_done() {
            let job = own.pop()?;
            if let Some(expecting) = worker::help(&job) {
                // It waits for each of them, until none of them can be run here.
                if !job.is_claimed() {
                    own.push(job);
                    return Some(expecting);
                }
            }
        }
        None
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
