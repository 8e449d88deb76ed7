//! [`Branch`]: the half of a fork that others may take, in the frame of who forks.
//!
//! Whoever has taken it out of the deque, and nobody else, either runs it or gives it back, and touches it no more after its
//! end. The frame stands until then, or until its owner has taken it out itself: see `mod.rs`, 1.

use crate::panic::{Caught, catch_all};
use crate::platform::{UnsafeCell, thread_id};
use crate::sync::completion::{Completion, Ending, worker_at};
use crate::wait::Kind;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

pub(super) struct BranchEnding;

/// A static, because it is known by its address.
static KIND: Kind = Kind {
    name: "join",
    owner: Some(worker_at),
};

impl Ending for BranchEnding {
    const KIND: &'static Kind = &KIND;
}

/// Is this a wait for the end of a branch?
pub(in super::super) fn is_awaited_by(kind: &'static Kind) -> bool {
    ptr::eq(kind, &KIND)
}

/// What all branches have.
pub(super) struct Head {
    /// Who has taken it is at work on it; done when it has ended, or been given back.
    pub(super) end: Completion<BranchEnding>,
    /// The one that its owner pushed before, if that is still there. The owner's alone.
    pub(super) older: Cell<*const Head>,
    run: unsafe fn(NonNull<Head>),
}

/// A branch whose types are forgotten; whoever holds this has the right and the duty to bring it to its end.
pub(in super::super) struct Branch(NonNull<Head>);

// SAFETY: it is made of what is `Send`, and the pointer stays good until the branch has ended.
unsafe impl Send for Branch {}

impl Branch {
    /// Of the owner, for the deque.
    pub(super) fn shown(head: *const Head) -> Branch {
        Branch(NonNull::new(head.cast_mut()).expect("it is in the list"))
    }

    pub(super) fn is(&self, head: *const Head) -> bool {
        ptr::eq(self.0.as_ptr(), head)
    }

    /// Runs it in this thread. Does not unwind.
    pub(super) fn run(self) {
        // SAFETY: it has not ended, so its owner waits for it.
        unsafe {
            self.0.as_ref().end.is_up_to(thread_id());
            (self.0.as_ref().run)(self.0);
        }
    }

    /// Its owner is to run it.
    pub(super) fn give_back(self) {
        // SAFETY: as above.
        unsafe { self.0.as_ref() }.end.complete();
    }
}

/// The whole of it.
#[repr(C)]
pub(super) struct Fork<F, R> {
    pub(super) head: Head,
    /// For whoever runs it.
    work: UnsafeCell<ManuallyDrop<F>>,
    /// There at the end, if it has run elsewhere.
    result: UnsafeCell<Option<Result<R, Caught>>>,
}

impl<F: FnOnce() -> R + Send, R: Send> Fork<F, R> {
    #[inline]
    pub(super) fn new(work: F) -> Fork<F, R> {
        Fork {
            head: Head {
                end: Completion::new(),
                older: Cell::new(ptr::null()),
                run: Fork::<F, R>::run,
            },
            work: UnsafeCell::new(ManuallyDrop::new(work)),
            result: UnsafeCell::new(None),
        }
    }

    /// # Safety
    ///
    /// The caller is the one who runs it or drops it, and has not called this before.
    #[inline]
    pub(super) unsafe fn take(&self) -> F {
        // SAFETY: by the caller's promise.
        self.work
            .with_mut(|work| unsafe { ManuallyDrop::take(&mut *work) })
    }

    /// What has become of it; nothing if it was given back.
    ///
    /// # Safety
    ///
    /// It has ended, and the caller is its owner.
    pub(super) unsafe fn result(&self) -> Option<Result<R, Caught>> {
        // SAFETY: by the caller's promise nobody else touches it.
        self.result.with_mut(|result| unsafe { (*result).take() })
    }

    /// # Safety
    ///
    /// `head` is that of a `Fork<F, R>` that has not ended, and that the caller has taken.
    unsafe fn run(head: NonNull<Head>) {
        // SAFETY: by the caller's promise; the head comes first.
        let this = unsafe { head.cast::<Fork<F, R>>().as_ref() };
        // SAFETY: whoever has taken it runs it, once.
        let work = unsafe { this.take() };
        let result = catch_all(work);
        // SAFETY: nobody else touches it before the end.
        this.result
            .with_mut(|place| unsafe { *place = Some(result) });
        this.head.end.complete();
    }
}
