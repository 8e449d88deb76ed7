//! One waiter: a node on the stack of the thread that waits, or inside the future that does.
//!
//! Its state is decided by exactly one compare-and-swap, whoever makes it:
//!
//! ```text
//!              begin to sleep
//!   WAITING ------------------> ASLEEP
//!      |                          |
//!      +------------+-------------+
//!                   |  one CAS, by a granter (bucket locked), by the waiter itself whose deadline
//!                   |  has passed, or by a cancel token (registry locked)
//!                   v
//!   GRANTED | TIMED_OUT | CANCELLED      final
//! ```
//!
//! Who changes `links` holds the bucket's lock. Who publishes a final state must not touch the node
//! afterwards: the waiter may be gone the next instant. Hence [`Waiter::settle`], which copies what
//! waking needs *before* the CAS and returns it.

use super::{Limit, Spin};
use crate::GaveUp;
use crate::panic::contain;
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::{Moment, Signal, UnsafeCell, WakeHandle};
use std::panic::Location;
use std::ptr;
use std::task::Waker;
use std::time::Instant;

/// Undecided, and the waiter is awake (or is a task).
const WAITING: u32 = 0;
/// Undecided, and the thread sleeps or is about to: whoever decides must wake it.
const ASLEEP: u32 = 1;
/// A granter has given what `links.token` says.
pub(crate) const GRANTED: u32 = 2;
/// The deadline passed first.
pub(crate) const TIMED_OUT: u32 = 3;
/// A cancel token, or the drop of a future, came first.
pub(crate) const CANCELLED: u32 = 4;

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
}

/// The part of a node that belongs to whoever holds the bucket's lock.
pub(crate) struct Links {
    pub(crate) prev: *const Waiter,
    pub(crate) next: *const Waiter,
    pub(crate) linked: bool,
    /// The request's own number: permits still wanted, generation seen.
    pub(crate) tag: usize,
    /// What the granter gave; read by the waiter after it has seen `GRANTED`.
    pub(crate) token: usize,
    pub(crate) waker: Option<Waker>,
}

pub(crate) struct Waiter {
    state: AtomicU32,
    signal: Signal,
    pub(crate) ticket: Ticket,
    pub(crate) links: UnsafeCell<Links>,
}

// SAFETY: `links` is only touched under the bucket's lock, or by the waiter once a final state tells
// it that nobody else will; `state` is atomic; the rest is read-only while the node is shared.
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
    pub(crate) fn new(ticket: Ticket, waker: Option<Waker>) -> Waiter {
        Waiter {
            state: AtomicU32::new(WAITING),
            signal: Signal::new(),
            ticket,
            links: UnsafeCell::new(Links {
                prev: ptr::null(),
                next: ptr::null(),
                linked: false,
                tag: 0,
                token: 0,
                waker,
            }),
        }
    }

    /// The final state, or `None` while the wait is undecided. Acquires what the decider did before.
    pub(crate) fn decided(&self) -> Option<u32> {
        match self.state.load(Ordering::Acquire) {
            WAITING | ASLEEP => None,
            state => Some(state),
        }
    }

    /// The one CAS. `Err` when somebody else has decided; else how to wake the waiter, if it sleeps.
    ///
    /// Release publishes what the decider did (the grant, the token) to the waiter's `decided`, or to
    /// the loser of this CAS, who acquires it.
    pub(crate) fn settle(&self, outcome: u32) -> Result<Option<Wake>, ()> {
        let handle = self.signal.handle(&self.state);
        let mut seen = WAITING;
        loop {
            match self
                .state
                .compare_exchange(seen, outcome, Ordering::Release, Ordering::Acquire)
            {
                Ok(ASLEEP) => return Ok(Some(Wake::Thread(handle))),
                Ok(_) => return Ok(None),
                Err(ASLEEP) if seen == WAITING => seen = ASLEEP,
                Err(_) => return Err(()),
            }
        }
    }

    /// Watches the wait be decided, as long as `spin` has turns left. Called by the waiter.
    pub(crate) fn watch(&self, spin: &mut Spin<'_>) -> Option<u32> {
        loop {
            let state = self.decided();
            if state.is_some() || !spin.turn() {
                return state;
            }
        }
    }

    /// Sleeps until the wait is decided, by somebody else or by the limit. Called by the waiter.
    pub(crate) fn sleep(&self, limit: &Limit<'_>) -> u32 {
        // Dropped, and so taken out of the token's reach, before the node can go away.
        let _registrations = limit.register(self);
        let deadline = limit.deadline();
        let _ = self
            .state
            .compare_exchange(WAITING, ASLEEP, Ordering::Relaxed, Ordering::Relaxed);
        loop {
            if let Some(state) = self.decided() {
                return state;
            }
            if deadline.is_some_and(|at| Instant::now() >= at) && self.settle(TIMED_OUT).is_ok() {
                return TIMED_OUT;
            }
            self.signal.sleep(&self.state, ASLEEP, deadline);
        }
    }

    /// What the granter gave. Called by the waiter, after it has seen `GRANTED`.
    pub(crate) fn token(&self) -> usize {
        debug_assert_eq!(self.state.load(Ordering::Relaxed), GRANTED);
        self.links.with(|links| {
            // SAFETY: the granter unlinked the node and wrote the token before it published
            // GRANTED, and touches the node no more.
            unsafe { (*links).token }
        })
    }
}

/// The reason behind a final state that is not a grant.
pub(crate) fn why(state: u32) -> GaveUp {
    match state {
        CANCELLED => GaveUp::Cancelled,
        _ => GaveUp::TimedOut,
    }
}
