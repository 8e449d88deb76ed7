//! One waiter: a node on the stack of the thread that waits, or inside the future that does.
//!
//! It stands in one line, and refers to the [`Decision`] that ends the wait; a wait for one of several
//! things has several nodes and one decision.
//!
//! Who changes `links` holds the bucket's lock. The decision lives as long as a node that refers to it
//! may be linked, and a node is never touched after the grant that it has got: see [`Waiter::grant`].

use super::decision::{Decision, GRANTED};
use crate::panic::contain;
use crate::platform::{Moment, UnsafeCell, WakeHandle};
use std::marker::PhantomPinned;
use std::panic::Location;
use std::ptr;
use std::task::Waker;

/// Reads who holds a thing from the word at this address: a thread's id, [`super::TASK`], or 0 for
/// nobody.
///
/// Safety: the address is that of a live word of the kind that has this function.
pub(crate) type ReadOwner = unsafe fn(usize) -> u32;

/// What kind of thing a waiter waits on, and how to tell who holds it.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// For what has an owner, how to read it.
    pub(crate) owner: Option<ReadOwner>,
}

/// Who waits, for what, and since when: fixed before the node is linked, read by reports.
#[derive(Clone, Copy)]
pub(crate) struct Ticket {
    /// Address of the primitive's word; the lot's key.
    pub(crate) address: usize,
    pub(crate) kind: &'static Kind,
    /// The waiting thread's id, or [`super::TASK`] for a future.
    pub(crate) thread: u32,
    pub(crate) place: &'static Location<'static>,
    pub(crate) since: Moment,
    /// This waiter was woken before and found the thing taken.
    pub(crate) again: bool,
    /// Which of the nodes of its wait; 0 if there is one.
    pub(crate) arm: u16,
}

/// The part of a node that belongs to whoever holds the bucket's lock.
pub(crate) struct Links {
    pub(crate) prev: *const Waiter,
    pub(crate) next: *const Waiter,
    pub(crate) linked: bool,
    /// The request's own number: permits still wanted, generation seen.
    pub(crate) tag: usize,
    /// What the granter gave; read by the waiter after it has seen that this node was granted.
    pub(crate) token: usize,
    pub(crate) waker: Option<Waker>,
}

pub(crate) struct Waiter {
    decision: *const Decision,
    pub(crate) ticket: Ticket,
    pub(crate) links: UnsafeCell<Links>,
    /// Others point at it while it is linked, so nobody may take a `&mut` of what it lies in for the only
    /// way to it.
    _pinned: PhantomPinned,
}

// SAFETY: `links` is only touched under the bucket's lock, or by the waiter once a final state tells
// it that nobody else will; the decision is atomic; the rest is read-only while the node is shared.
unsafe impl Send for Waiter {}
// SAFETY: as above.
unsafe impl Sync for Waiter {}

/// How to wake somebody whose wait has been decided. Fired after every lock has been released.
pub(crate) enum Wake {
    Thread(WakeHandle),
    Task(Waker),
}

impl Wake {
    /// Never unwinds: a waker is the user's code, and behind it others wait to be woken, and a frame
    /// that may have a node in the lot.
    pub(crate) fn fire(self) {
        match self {
            Wake::Thread(handle) => handle.wake(),
            Wake::Task(waker) => contain(|| waker.wake()),
        }
    }
}

impl Waiter {
    /// A node that is in no line yet.
    ///
    /// Whoever links it keeps the decision alive and in place until the node has been granted or
    /// withdrawn.
    pub(crate) fn new(ticket: Ticket, waker: Option<Waker>, decision: &Decision) -> Waiter {
        Waiter {
            decision,
            ticket,
            links: UnsafeCell::new(Links {
                prev: ptr::null(),
                next: ptr::null(),
                linked: false,
                tag: 0,
                token: 0,
                waker,
            }),
            _pinned: PhantomPinned,
        }
    }

    /// What ends this node's wait. For the waiter, and for who has found the node linked, under the
    /// bucket's lock.
    pub(crate) fn decision(&self) -> &Decision {
        // SAFETY: it lives until the node has been granted, after which nobody but the waiter, who
        // keeps it, asks; or withdrawn, for which the waiter takes the bucket's lock.
        unsafe { &*self.decision }
    }

    /// Decides the wait in favour of this node. `Err` when it has been decided; else how to wake the
    /// waiter, if it sleeps. After an `Ok` the node and its decision may be gone.
    pub(crate) fn grant(&self) -> Result<Option<Wake>, ()> {
        self.decision().settle(GRANTED + u32::from(self.ticket.arm))
    }

    /// What the granter gave. Called by the waiter, after it has seen that this node was granted.
    pub(crate) fn token(&self) -> usize {
        debug_assert_eq!(
            self.decision().decided(),
            Some(GRANTED + u32::from(self.ticket.arm))
        );
        self.links.with(|links| {
            // SAFETY: the granter unlinked the node and wrote the token before it published
            // GRANTED, and touches the node no more.
            unsafe { (*links).token }
        })
    }
}
