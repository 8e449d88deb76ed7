//! `ipc::Event`: a flag that processes wait for.

use super::AccessError;
use crate::Limit;
use crate::shm::object::{Object, Shared};
use crate::shm::protocol::event::Flag;
use crate::shm::{Tree, tree};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;

// SAFETY: a flag is one atomic, and all zero it is down.
unsafe impl Shared for Flag {}

/// A flag that the processes of a tree wait for.
///
/// `set` releases everybody who waits, and everybody who comes until `clear`. A waiter is released
/// by any `set` that happens while it waits, even if a `clear` follows before it has run. What
/// happened before `set` is visible after `wait`.
///
/// * **Death.** A killed waiter costs nothing and is never waited for. A process that is killed in the
///   middle of `set` has set the flag or has not; if it has, nobody waits longer than 50 ms for it.
/// * **Cost.** `is_set`, and a wait that finds the flag up: one load. `set` and `clear`: a
///   compare-and-swap and a swap, and a system call if somebody sleeps.
///
/// Python: `multiprocessing.Event`, whose `set` waits for every sleeper to wake, also for the dead,
/// and whose `wait` returns `False` after a `set` that was followed by `clear`.
///
/// ```
/// use latchwork::ipc::Event;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ready = Event::new()?;
/// assert!(!ready.try_wait()?);
/// assert!(ready.wait_within(Duration::from_millis(1)).is_err());
/// assert!(ready.set()?);
/// ready.wait()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[doc(alias = "multiprocessing.Event")]
pub struct Event(Object<Flag>);

impl Event {
    /// Makes an event that is not set, in the shared memory of this process's tree.
    ///
    /// # Errors
    ///
    /// As for [`Lock::new`](super::Lock::new).
    pub fn new() -> io::Result<Event> {
        Event::create(tree()?)
    }

    pub(crate) fn create(tree: &'static Tree) -> io::Result<Event> {
        Object::new(tree, |_| {}).map(Event)
    }

    /// Is the flag up? The answer may be outdated when it arrives.
    ///
    /// # Errors
    ///
    /// [`Gone`](AccessError::Gone) if the process that made the event has dropped it.
    #[doc(alias = "isSet")]
    pub fn is_set(&self) -> Result<bool, AccessError> {
        Ok(self.0.hint(Flag::is_up)?)
    }

    /// Puts the flag up and releases everybody who waits. Returns whether it was down.
    ///
    /// # Errors
    ///
    /// The [error](AccessError) says why the event is of no use any more; never
    /// [`GaveUp`](AccessError::GaveUp).
    pub fn set(&self) -> Result<bool, AccessError> {
        Ok(Flag::set(self.0.enter()?))
    }

    /// Takes the flag down. Returns whether it was up.
    ///
    /// # Errors
    ///
    /// As for [`set`](Event::set).
    #[doc(alias = "reset")]
    pub fn clear(&self) -> Result<bool, AccessError> {
        Ok(Flag::clear(self.0.enter()?))
    }

    /// Waits until the flag is up, or goes up.
    ///
    /// # Errors
    ///
    /// As for [`set`](Event::set).
    pub fn wait(&self) -> Result<(), AccessError> {
        self.wait_within(Limit::none())
    }

    /// Is the flag up? As [`is_set`](Event::is_set).
    ///
    /// # Errors
    ///
    /// As for [`is_set`](Event::is_set).
    pub fn try_wait(&self) -> Result<bool, AccessError> {
        self.is_set()
    }

    /// Waits as long as `limit` says. A cancellation is noticed within 50 ms.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](AccessError::GaveUp) when the limit is reached, else as for [`set`](Event::set).
    #[doc(alias = "wait_timeout")]
    pub fn wait_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<(), AccessError> {
        if self.is_set()? {
            return Ok(());
        }
        Ok(self.0.wait(Flag::wait(&self.0), limit.into())?)
    }

    /// As [`wait`](Event::wait), for any runtime. It waits from the first poll on. Dropping the future gives
    /// up.
    ///
    /// # Errors
    ///
    /// As for [`set`](Event::set).
    pub async fn wait_async(&self) -> Result<(), AccessError> {
        if self.is_set()? {
            return Ok(());
        }
        Ok(self.0.wait_async(Flag::wait(&self.0)).await?)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.is_set() {
            Ok(true) => "set",
            Ok(false) => "not set",
            Err(_) => "gone",
        };
        write!(f, "Event({state})")
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::deserialize(deserializer).map(Event)
    }
}
