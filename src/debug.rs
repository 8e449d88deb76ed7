//! Who waits for what, right now.

use crate::wait::{TASK, lot};
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// One waiter, as [`waits`] saw it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wait {
    /// What it waits on: `Lock`, `Semaphore`, ...
    pub kind: &'static str,
    /// Where that primitive is in memory, to tell two of a kind apart.
    pub address: usize,
    /// The waiting thread, by latchwork's number; `None` for a task.
    pub thread: Option<u32>,
    /// The thread that holds it, if the primitive has an owner and that is a thread.
    pub owner: Option<u32>,
    /// The call that waits.
    pub place: &'static Location<'static>,
    /// For how long it has been waiting.
    pub waited: Duration,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.thread {
            Some(thread) => write!(f, "thread {thread}")?,
            None => f.write_str("a task")?,
        }
        write!(
            f,
            " has waited {:?} for {} {:#x} at {}",
            self.waited, self.kind, self.address, self.place
        )?;
        match self.owner {
            Some(owner) => write!(f, ", held by thread {owner}"),
            None => Ok(()),
        }
    }
}

/// Everybody who waits in this process on a primitive of [`sync`](crate::sync) or
/// [`queue`](crate::queue), while the program runs.
///
/// The lot is read bucket by bucket, so the list as a whole may mix moments that are some
/// microseconds apart. It costs nothing until it is called.
///
/// ```
/// use latchwork::{debug, sync::Event};
/// use std::time::Duration;
///
/// let event = Event::new();
/// std::thread::scope(|s| {
///     s.spawn(|| event.wait());
///     while debug::waits().iter().all(|wait| wait.kind != "Event") {
///         std::thread::yield_now();
///     }
///     event.set();
/// });
/// ```
#[doc(alias = "dump_threads")]
pub fn waits() -> Vec<Wait> {
    let mut waits = Vec::new();
    lot::survey(|ticket, owner| {
        waits.push(Wait {
            kind: ticket.kind.name,
            address: ticket.address,
            thread: as_thread(ticket.thread),
            owner: as_thread(owner),
            place: ticket.place,
            waited: ticket.since.elapsed(),
        });
    });
    waits
}

/// The calling thread's number, as it appears in [`waits`] and in the `Debug` form of a lock.
pub fn current_thread() -> u32 {
    crate::platform::thread_id()
}

fn as_thread(id: u32) -> Option<u32> {
    (id > TASK).then_some(id)
}

/// A lock's owner in words.
pub(crate) struct Owner(pub(crate) u32);

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("nobody"),
            TASK => f.write_str("a task"),
            thread => write!(f, "thread {thread}"),
        }
    }
}
