//! Finds deadlocks when they form: follows who waits for what, held by whom.
//!
//! A thread that is about to sleep without a limit, on something that has an owner, enters its wait in
//! a table by thread and then follows the owners: its own wait, the wait of the thread that holds that,
//! and so on. If this comes back to itself, the loop is closed, and whoever closes it says so.
//!
//! * **Every loop is found**: it closes when the last of its threads begins to wait, and that thread
//!   finds the others in the table. Nobody becomes an owner while it waits for something else; of what
//!   it waits for, it does when that is handed to it, in one step with the end of its wait as far as
//!   the bucket's lock goes, which is therefore taken to read a link for good.
//! * **Only loops are reported.** What was read on the way may have changed, so a closed loop is read
//!   again, backwards. The looker holds what the last thread waits for and does not let go of it while
//!   it looks: that wait lasts. So the last thread lets go of nothing either, and the wait for it
//!   lasts; and so on to the front. Waits with a limit end by themselves and are not entered; nor are
//!   those of tasks, which no thread stands for.
//! * **Behind a fork**: in a forked child, what another thread of the parent held has an owner who never lets
//!   go. Whoever is about to sleep for that says so, too.
//! * **Once**: a wait belongs to at most one loop, and is marked when that has been reported; until a
//!   panic has broken that loop, if that is how it was reported.
//!
//! It costs three short mutexes a sleep, and nothing to whoever need not sleep.

use super::report::{self, Deadlock, Wait};
use super::waiter::{Ticket, Waiter};
use super::{Limit, TASK, lot};
use crate::platform::{Mutex, forked, is_vanished};
use smallvec::SmallVec;
use std::ptr;

/// By thread, and split so that sleepers rarely meet at a mutex.
#[cfg(not(loom))]
static TABLE: [Mutex<Shard>; 64] = [const { Mutex::new(Shard::new_const()) }; 64];
/// Held by whoever reads a loop again and marks it, so that only one of several lookers reports.
#[cfg(not(loom))]
static VERDICT: Mutex<()> = Mutex::new(());
#[cfg(loom)]
loom::lazy_static! {
    static ref TABLE: [Mutex<Shard>; 1] = [Mutex::new(Shard::new())];
    static ref VERDICT: Mutex<()> = Mutex::new(());
}

type Shard = SmallVec<[Entry; 2]>;

struct Entry {
    thread: u32,
    waiter: *const Waiter,
    is_reported: bool,
}

// SAFETY: the pointer is followed only under the shard's mutex, and an entered waiter is alive:
// `Entered` takes it out, under the same mutex, before it can go away.
unsafe impl Send for Entry {}

/// One thread: what it waits for, and who has that.
struct Link {
    ticket: Ticket,
    owner: u32,
}

type Loop = SmallVec<[Link; 4]>;

/// A wait's place in the table; leaves it when dropped.
pub(super) struct Entered<'w> {
    waiter: &'w Waiter,
}

/// Makes it known that a thread is about to sleep, and reports the loop that this closes, if it does.
///
/// # Errors
///
/// The loop, if the program wants such waits to end in a panic and the caller `may_panic`. It gives up,
/// and panics.
pub(super) fn enter<'w>(
    waiter: &'w Waiter,
    limit: &Limit<'_>,
    may_panic: bool,
) -> Result<Option<Entered<'w>>, Deadlock> {
    let Ticket { kind, thread, .. } = waiter.ticket;
    if kind.owner.is_none() || thread == TASK || !limit.is_none() || !is_watched() {
        return Ok(None);
    }
    let entered = Entered::new(waiter, false);
    let (links, deadlock) = if let Some(link) = entered.waits_behind_a_fork() {
        let deadlock = Deadlock::behind_a_fork(link.to_wait());
        (Loop::new(), deadlock)
    } else if let Some(links) = entered.closes() {
        let waits = links.iter().map(Link::to_wait).collect();
        (links, Deadlock::new(waits))
    } else {
        return Ok(Some(entered));
    };
    // What is done about it is the user's code, which may wait for something else.
    drop(entered);
    if let Err(deadlock) = report::act(deadlock, may_panic) {
        // The panic breaks the loop. Should it be caught and the same be waited for again, then the
        // others are part of another one.
        mark(&links, false);
        return Err(deadlock);
    }
    Ok(Some(Entered::new(waiter, true)))
}

impl<'w> Entered<'w> {
    fn new(waiter: &'w Waiter, is_reported: bool) -> Entered<'w> {
        let thread = waiter.ticket.thread;
        shard(thread).lock().push(Entry {
            thread,
            waiter: ptr::from_ref(waiter),
            is_reported,
        });
        Entered { waiter }
    }

    /// This wait, if it is for somebody who did not come along when the process was forked.
    fn waits_behind_a_fork(&self) -> Option<Link> {
        if !forked::is_child() {
            return None;
        }
        let link = with_entry(self.waiter.ticket.thread, |entry| entry.link())?;
        is_vanished(link.owner).then_some(link)
    }

    /// The loop that this wait has closed, if nobody has reported it yet.
    fn closes(&self) -> Option<Loop> {
        let mut links = self.follow()?;
        let _one_at_a_time = VERDICT.lock();
        for link in links.iter_mut().rev() {
            // With the bucket locked, so that nobody is just being handed what it waits for.
            let (now, is_reported) = lot::line(link.ticket.address, |_line| {
                with_entry(link.ticket.thread, |entry| {
                    Some((entry.link()?, entry.is_reported))
                })
            })?;
            if now.owner != link.owner || is_reported {
                return None;
            }
            *link = now;
        }
        mark(&links, true);
        Some(links)
    }

    /// From thread to thread, until one does not wait or is here again.
    fn follow(&self) -> Option<Loop> {
        let this = self.waiter.ticket.thread;
        let mut links = Loop::new();
        let mut thread = this;
        loop {
            let link = with_entry(thread, |entry| entry.link())?;
            thread = link.owner;
            links.push(link);
            if thread == this {
                return Some(links);
            }
            // Somebody else's loop, that this thread only waits for.
            if links.iter().any(|link| link.ticket.thread == thread) {
                return None;
            }
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut shard = shard(self.waiter.ticket.thread).lock();
        shard.retain(|entry| !ptr::eq(entry.waiter, self.waiter));
    }
}

impl Entry {
    /// Called with the shard's mutex held. `None` if the wait is over already.
    fn link(&self) -> Option<Link> {
        // SAFETY: entered, so alive as long as the shard's mutex is held.
        let waiter = unsafe { &*self.waiter };
        if waiter.decision().decided().is_some() {
            return None;
        }
        let ticket = waiter.ticket;
        let owner = match ticket.kind.owner {
            // SAFETY: as it waits, it borrows what it waits for, which has a word of this kind.
            Some(read) => unsafe { read(ticket.address) },
            None => 0,
        };
        Some(Link { ticket, owner })
    }
}

/// Notes in the table whether these waits belong to a loop that has been reported.
fn mark(links: &[Link], is_reported: bool) {
    for link in links {
        with_entry(link.ticket.thread, |entry| {
            entry.is_reported = is_reported;
            Some(())
        });
    }
}

impl Link {
    fn to_wait(&self) -> Wait {
        Wait::new(&self.ticket, self.owner)
    }
}

fn shard(thread: u32) -> &'static Mutex<Shard> {
    &TABLE[thread as usize % TABLE.len()]
}

fn with_entry<R>(thread: u32, f: impl FnOnce(&mut Entry) -> Option<R>) -> Option<R> {
    let mut shard = shard(thread).lock();
    let entry = shard.iter_mut().find(|entry| entry.thread == thread)?;
    f(entry)
}

/// Reading the words of others multiplies the interleavings, so a model asks for it.
fn is_watched() -> bool {
    #[cfg(loom)]
    return WATCHED.load(std::sync::atomic::Ordering::Relaxed);
    #[cfg(not(loom))]
    true
}

/// What a fork does to the table: it is held while that happens, and the child's is empty but for its thread.
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork {
    use super::*;

    /// Before the lot: whoever has the verdict locks buckets, and with these shards.
    pub(crate) fn hold_verdict() {
        VERDICT.hold();
    }

    pub(crate) fn hold() {
        TABLE.iter().for_each(Mutex::hold);
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe {
            TABLE.iter().for_each(|shard| shard.let_go());
            VERDICT.let_go();
        }
    }

    pub(crate) fn forget_others(this: u32) {
        for shard in &TABLE {
            // SAFETY: held by this thread, by `hold`.
            unsafe { &mut *shard.get() }.retain(|entry| entry.thread == this);
        }
    }
}

#[cfg(loom)]
loom::lazy_static! {
    static ref WATCHED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
}

/// From now on, in this execution of a model, loops are looked for.
#[cfg(loom)]
pub(crate) fn watch() {
    WATCHED.store(true, std::sync::atomic::Ordering::Relaxed);
}
