//! The async way to wait for what lies in shared memory: an [`Operation`] that is run by being polled.
//!
//! Invariant: between two polls it holds nothing but its place among the sleepers. Dropping it gives
//! up: an attempt takes what is wanted or leaves everything as it was, and a wake-up that had come for
//! this future goes to another sleeper. Made by the primitives of `ipc`; `shm::wait` is its blocking
//! sibling, with the same looks and slices.

use super::sleepers::{self, Registration, Slice};
use super::wait::{Look, Operation, Step};
use crate::platform::atomic::AtomicU32;
use crate::platform::shared_futex::Ended;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How often a poll tries while the word keeps changing, before others have a turn.
const TRIES: u32 = 8;

/// An operation on the way to its output, on any runtime.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Waiting<'w, O> {
    operation: O,
    /// While it sleeps.
    registration: Option<Registration>,
    slice: Slice,
    look: Look,
    _words: PhantomData<&'w AtomicU32>,
}

/// Nothing is pinned in it: an operation is called by plain reference.
impl<O> Unpin for Waiting<'_, O> {}

impl<'w, O: Operation<'w>> Waiting<'w, O> {
    /// Begins with the first poll.
    ///
    /// # Safety
    ///
    /// The words on which the operation wants to sleep lie in memory that stays mapped until the process
    /// ends: a future may be forgotten, and is slept for nevertheless.
    pub(crate) unsafe fn new(operation: O) -> Waiting<'w, O> {
        Waiting {
            operation,
            registration: None,
            slice: Slice::FIRST,
            look: Look::ANNOUNCE,
            _words: PhantomData,
        }
    }
}

impl<'w, O: Operation<'w>> Future for Waiting<'w, O> {
    type Output = O::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O::Output> {
        let this = self.get_mut();
        if let Some(registration) = &mut this.registration {
            let Some(ended) = registration.ended(cx.waker()) else {
                return Poll::Pending;
            };
            this.registration = None;
            this.note(ended);
        }
        for _ in 0..TRIES {
            let (word, expected) = match this.operation.attempt(this.look) {
                Step::Done(output) => return Poll::Ready(output),
                Step::Sleep { word, expected, .. } => (word, expected),
            };
            // SAFETY: it stays mapped, by the promise that was made to `new`.
            let word: &'static AtomicU32 = unsafe { &*std::ptr::from_ref(word) };
            match sleepers::register(word, expected, this.slice, cx.waker()) {
                Ok(registration) => {
                    this.registration = Some(registration);
                    return Poll::Pending;
                }
                Err(Ended::Expired) => {
                    this.note(Ended::Expired);
                    break;
                }
                Err(ended) => this.note(ended),
            }
        }
        // Somebody changes the word all the time, or there is no thread that would sleep.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<O> Waiting<'_, O> {
    fn note(&mut self, ended: Ended) {
        if ended == Ended::Expired {
            self.slice = self.slice.longer();
        }
        self.look = Look::after(ended);
    }
}
