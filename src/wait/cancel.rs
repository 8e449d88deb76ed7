//! Cancel tokens: a way out of any wait, from outside.
//!
//! A token keeps a registry of the waits that sleep under it. Firing it settles the decision of each as
//! cancelled with the same CAS that a grant uses, so a waiter that was granted first keeps its
//! grant. A waiter takes its decision out of the registry before that goes away, and firing holds the
//! registry's lock while it touches decisions, so none is touched after its end.

use super::decision::{CANCELLED, Decision, why};
use super::waiter::Wake;
use super::{Limit, time};
use crate::GaveUp;
use crate::platform::Mutex;
use crate::platform::atomic::{AtomicBool, Ordering};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Something that can end waits from outside. Fires once and stays fired.
pub(crate) struct Canceller {
    /// What the waits it ends have come to.
    outcome: u32,
    fired: AtomicBool,
    registry: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
    next: u64,
    /// Ordered, so that who is woken first does not depend on addresses.
    entries: BTreeMap<u64, Entry>,
}

enum Entry {
    Wait(*const Decision),
    /// A task that awaits the cancellation itself.
    Task(Waker),
    Child(Weak<Inner>),
}

// SAFETY: the pointers are followed only under the registry's lock, and a registered decision
// is alive: `Registration` takes it out, under the same lock, before it can go away.
unsafe impl Send for Registry {}

impl Canceller {
    fn new(outcome: u32) -> Canceller {
        Canceller {
            outcome,
            fired: AtomicBool::new(false),
            registry: Mutex::new(Registry::default()),
        }
    }

    /// One that stands for a deadline: the waits it ends have timed out.
    pub(crate) fn timer() -> Canceller {
        Canceller::new(super::decision::TIMED_OUT)
    }

    pub(crate) fn has_fired(&self) -> bool {
        // Acquire pairs with the Release in `fire`: who sees it sees what the canceller did before.
        self.fired.load(Ordering::Acquire)
    }

    /// Ends every wait under it, now and later. False when it had fired before.
    pub(crate) fn fire(&self) -> bool {
        // Generation by generation and not by recursion: families may be deeper than a stack.
        let mut descendants = Vec::new();
        let did_it = self.fire_alone(&mut descendants);
        while let Some(child) = descendants.pop() {
            child.canceller.fire_alone(&mut descendants);
        }
        did_it
    }

    fn fire_alone(&self, children: &mut Vec<Arc<Inner>>) -> bool {
        let mut wakes = SmallVec::<[Wake; 4]>::new();
        {
            let mut registry = self.registry.lock();
            if self.has_fired() {
                return false;
            }
            self.fired.store(true, Ordering::Release);
            for entry in std::mem::take(&mut registry.entries).into_values() {
                match entry {
                    // SAFETY: registered, so alive as long as we hold the registry's lock.
                    Entry::Wait(decision) => {
                        if let Ok(wake) = unsafe { &*decision }.settle(self.outcome) {
                            wakes.extend(wake);
                        }
                    }
                    Entry::Task(waker) => wakes.push(Wake::Task(waker)),
                    Entry::Child(child) => children.extend(child.upgrade()),
                }
            }
        }
        wakes.into_iter().for_each(Wake::fire);
        true
    }

    /// Adds an entry; `None` when it is too late, because the canceller has fired.
    fn add(&self, entry: Entry) -> Option<u64> {
        let mut registry = self.registry.lock();
        if self.has_fired() {
            return None;
        }
        let key = registry.next;
        registry.next += 1;
        registry.entries.insert(key, entry);
        Some(key)
    }

    fn remove(&self, key: u64) {
        let entry = self.registry.lock().entries.remove(&key);
        // Outside the lock: a child's last reference may end here, and it locks us again.
        drop(entry);
    }

    pub(crate) fn register<'w>(&'w self, decision: &'w Decision) -> Registration<'w> {
        let key = self.add(Entry::Wait(ptr::from_ref(decision)));
        if key.is_none() {
            // Too late to be found by `fire`; the waiter is awake, so there is nobody to wake.
            let _ = decision.settle(self.outcome);
        }
        Registration {
            canceller: self,
            key,
        }
    }
}

/// A waiter's place in a registry; leaves it when dropped.
pub(crate) struct Registration<'w> {
    canceller: &'w Canceller,
    key: Option<u64>,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.canceller.remove(key);
        }
    }
}

/// A task that awaits the cancellation. Its entry is gone when this is.
struct Cancelled<'t> {
    canceller: &'t Canceller,
    key: Option<u64>,
}

impl Cancelled<'_> {
    fn leave(&mut self) {
        if let Some(key) = self.key.take() {
            self.canceller.remove(key);
        }
    }
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.canceller.has_fired() {
            return Poll::Ready(());
        }
        // The new one first: if its clone panics the old one is still there.
        let waker = cx.waker().clone();
        self.leave();
        self.key = self.canceller.add(Entry::Task(waker));
        match self.key {
            Some(_) => Poll::Pending,
            // It has fired meanwhile.
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

struct Inner {
    canceller: Canceller,
    /// The parent and our key in its registry.
    parent: Option<(CancelToken, u64)>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some((parent, key)) = next {
            parent.canceller().remove(key);
            // If that was the parent's last reference, it goes here and not by recursion.
            next = Arc::into_inner(parent.inner).and_then(|mut inner| inner.parent.take());
        }
    }
}

/// A way out of any wait: whoever holds a clone can cancel, and every call that waits under the
/// token returns with [`GaveUp::Cancelled`].
///
/// Pass `&token`, or [`token.within(duration)`](CancelToken::within), to any `*_within` call.
/// Cancelling is final and idempotent. A call that was granted what it wanted before the
/// cancellation reached it returns the grant: nothing is lost in between.
///
/// Tokens form a tree: cancelling one cancels its [children](CancelToken::child), not its parent.
///
/// # Cost
///
/// A token is one allocation. A wait under it adds one lock and one tree insertion, and the same
/// again when it ends; a call that needn't wait pays nothing.
///
/// # Source
///
/// .NET's `CancellationToken`, Go's `context`, C++20's `stop_token`; Python has none.
///
/// ```
/// use latchwork::{CancelToken, GaveUp, sync::Semaphore};
///
/// let token = CancelToken::new();
/// let empty = Semaphore::new(0);
/// std::thread::scope(|s| {
///     let waiter = s.spawn(|| empty.acquire_within(&token).map(drop));
///     token.cancel();
///     assert!(waiter.join().unwrap().unwrap_err().is_cancelled());
/// });
/// assert_eq!(token.check(), Err(GaveUp::Cancelled));
/// ```
#[derive(Clone)]
#[doc(alias = "CancellationToken")]
#[doc(alias = "stop_token")]
pub struct CancelToken {
    inner: Arc<Inner>,
}

impl CancelToken {
    /// A token that has not been cancelled.
    pub fn new() -> CancelToken {
        CancelToken {
            inner: Arc::new(Inner {
                canceller: Canceller::new(CANCELLED),
                parent: None,
            }),
        }
    }

    /// A token that is cancelled when this one is, and can be cancelled alone.
    pub fn child(&self) -> CancelToken {
        let inner = Arc::new_cyclic(|child| {
            let key = self.canceller().add(Entry::Child(Weak::clone(child)));
            Inner {
                canceller: Canceller::new(CANCELLED),
                parent: key.map(|key| (self.clone(), key)),
            }
        });
        // Fired before the child could be entered, or between that and the child's first reference.
        // Asked under the lock that firing holds: either it has seen the child, or we see it.
        let is_too_late = {
            let _registry = self.canceller().registry.lock();
            self.is_cancelled()
        };
        if is_too_late {
            inner.canceller.fire();
        }
        CancelToken { inner }
    }

    /// Ends every wait under this token and its children, now and later.
    ///
    /// Returns whether this call did it; false when it had been done before.
    pub fn cancel(&self) -> bool {
        self.canceller().fire()
    }

    /// Has the token been cancelled? While another thread's `cancel` is on its way through the family,
    /// it may be true of a parent and not yet of a child.
    pub fn is_cancelled(&self) -> bool {
        self.canceller().has_fired()
    }

    /// For loops that want to stop with `?`.
    ///
    /// # Errors
    ///
    /// [`GaveUp::Cancelled`] when the token has been cancelled.
    pub fn check(&self) -> Result<(), GaveUp> {
        if self.is_cancelled() {
            return Err(GaveUp::Cancelled);
        }
        Ok(())
    }

    /// Blocks until the token is cancelled.
    pub fn wait(&self) {
        let _ = self.sleep(&Limit::none());
    }

    /// Blocks until the token is cancelled, at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// Why it gave up; `Cancelled` means that the *limit's* token was cancelled.
    pub fn wait_within<'a>(&self, limit: impl Into<Limit<'a>>) -> Result<(), GaveUp> {
        self.sleep(&limit.into())
    }

    /// Resolves when the token is cancelled.
    pub fn wait_async(&self) -> impl Future<Output = ()> + '_ {
        Cancelled {
            canceller: self.canceller(),
            key: None,
        }
    }

    /// Nobody grants this wait: it is the cancellation itself that is waited for.
    fn sleep(&self, limit: &Limit<'_>) -> Result<(), GaveUp> {
        if self.is_cancelled() {
            return Ok(());
        }
        limit.check()?;
        let decision = Decision::new();
        let registration = self.canceller().register(&decision);
        let state = decision.sleep(limit);
        drop(registration);
        // Both tokens settle with the same word, so ask ours who it was.
        if self.is_cancelled() {
            return Ok(());
        }
        Err(why(state))
    }

    /// This token with a deadline of `duration` from now, as a limit.
    pub fn within(&self, duration: Duration) -> Limit<'_> {
        Limit::until(self, time::now().checked_add(duration))
    }

    /// This token with a deadline, as a limit.
    pub fn until(&self, deadline: Instant) -> Limit<'_> {
        Limit::until(self, Some(deadline))
    }

    pub(crate) fn canceller(&self) -> &Canceller {
        &self.inner.canceller
    }
}

impl Default for CancelToken {
    fn default() -> CancelToken {
        CancelToken::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}

#[cfg(loom)]
impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").finish_non_exhaustive()
    }
}
