//! [`Ledger`]: how many tasks of a scope have not ended, and what became of them.
//!
//! It lies in the frame of the scope. The body counts what it spawns for itself, and adds it when it closes; so what the
//! others count down never comes to zero before that.

use crate::executor::TaskError;
use crate::executor::task::Job;
use crate::panic::Caught;
use crate::platform::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::platform::{Mutex, SegQueue, thread_id};
use crate::sync::completion::{Completion, Ending};
use crate::wait::Kind;
use std::any::Any;
use std::panic::{Location, resume_unwind};
use std::sync::Arc;

pub(super) struct ScopeEnding;

/// A static, because it is known by its address.
static KIND: Kind = Kind {
    name: "Scope",
    owner: None,
};

impl Ending for ScopeEnding {
    const KIND: &'static Kind = &KIND;
}

/// Is this a wait for the end of a scope?
pub(in crate::executor::thread_pool) fn is_awaited_by(kind: &'static Kind) -> bool {
    std::ptr::eq(kind, &KIND)
}

/// More than there can be tasks.
const OPEN: usize = usize::MAX / 2;

/// See the head of this file.
pub(super) struct Ledger {
    /// The thread of the body, until that has closed; only it compares and changes it.
    body: AtomicU32,
    /// Tasks that the body has spawned, by itself; only it writes here.
    spawned: AtomicUsize,
    /// `OPEN`, until the body closes; plus the tasks that others have spawned, minus those that have ended.
    open: AtomicUsize,
    end: Completion<ScopeEnding>,
    /// For a worker of the pool: what it can run while it waits.
    own: Option<SegQueue<Arc<dyn Job>>>,
    /// Panics that nobody has been told of yet.
    panics: AtomicUsize,
    first: Mutex<First>,
}

#[derive(Default)]
struct First {
    panic: Option<Box<dyn Any + Send>>,
    /// Why a task was not run.
    not_run: Option<TaskError>,
}

impl Ledger {
    pub(super) fn new(is_worker: bool) -> Ledger {
        Ledger {
            body: AtomicU32::new(thread_id()),
            spawned: AtomicUsize::new(0),
            open: AtomicUsize::new(OPEN),
            end: Completion::new(),
            own: is_worker.then(SegQueue::new),
            panics: AtomicUsize::new(0),
            first: Mutex::new(First::default()),
        }
    }

    /// A task is about to be spawned.
    #[inline]
    pub(super) fn opens(&self) {
        if thread_id() == self.body.load(Ordering::Relaxed) {
            let before = self.spawned.load(Ordering::Relaxed);
            self.spawned.store(before + 1, Ordering::Relaxed);
        } else {
            // Whoever does this has not ended, so it is not zero.
            self.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task has ended. Nothing of the ledger may be touched after this.
    #[inline]
    pub(super) fn ends(&self) {
        // Release pairs with the Acquire of the last one, which passes all on by completing.
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.end.complete();
        }
    }

    /// The body has ended.
    pub(super) fn closes(&self) {
        // What is spawned in its thread from now on is spawned by tasks that run there.
        self.body.store(0, Ordering::Relaxed);
        let taken = OPEN - self.spawned.load(Ordering::Relaxed);
        if self.open.fetch_sub(taken, Ordering::AcqRel) == taken {
            self.end.complete();
        }
    }

    pub(super) fn own(&self) -> Option<&SegQueue<Arc<dyn Job>>> {
        self.own.as_ref()
    }

    pub(super) fn is_done(&self) -> bool {
        self.end.is_done()
    }

    /// Blocks until all have ended.
    pub(super) fn wait(&self, place: &'static Location<'static>) {
        while !self.end.is_done() {
            self.end.wait_in_any_case(place);
        }
    }

    /// The first panic goes on in the caller of the scope.
    pub(super) fn panicked(&self, caught: Caught) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first.lock();
        if first.panic.is_none() {
            first.panic = Some(caught.into_payload());
            return;
        }
        drop(first);
        caught.discard();
    }

    /// A panic that is in a future.
    pub(super) fn panicked_unseen(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody has been told of it.
    pub(super) fn is_seen(&self) {
        self.panics.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn not_run(&self, why: &TaskError) {
        self.first.lock().not_run.get_or_insert_with(|| why.clone());
    }

    /// The process is a child of a fork, and the pool's threads did not come along.
    pub(super) fn is_left_behind(&self) {
        if !self.is_done() {
            self.not_run(&TaskError::Lost);
        }
    }

    /// Panics, if a task did or was not run. Called when all have ended.
    pub(super) fn tell(&self) {
        let First { panic, not_run } = std::mem::take(&mut *self.first.lock());
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        if self.panics.load(Ordering::Relaxed) > 0 {
            panic!("a scoped task panicked");
        }
        if let Some(why) = not_run {
            panic!("a scoped task was not run: {why}");
        }
    }
}
