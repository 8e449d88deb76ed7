//! What a [`LocalExecutor`](super::LocalExecutor) shares with its handles and with the wakers of what it runs.
//!
//! Invariant: what is counted as accepted is in the queue, or somebody is about to put it there, or it is waiting and
//! has its waker in the list. Once it is closed nothing is accepted any more, and the wakers have been called. So the
//! executor's drop, which takes out of the queue until the count is zero, takes out everything.

use crate::panic::report;
use crate::platform::atomic::{AtomicBool, Ordering};
use crate::platform::{Mutex, forked, thread_id, thread_local};
use crate::queue::SimpleQueue;
use async_task::Runnable;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Wake, Waker};

pub(super) type Call = Box<dyn FnOnce() + Send>;

/// A turn to be taken.
pub(super) enum Item {
    /// Polls a coroutine; or drops it, if that has been cancelled.
    Poll(Runnable),
    Call(Call),
    /// Whoever takes this looks after itself.
    Nudge,
}

pub(super) struct Shared {
    pub(super) queue: SimpleQueue<Item>,
    account: Mutex<Account>,
    /// The executor's.
    thread: u32,
    generation: u8,
}

struct Account {
    is_closed: bool,
    next: u64,
    /// Coroutines and calls that have not ended.
    accepted: usize,
    /// Of coroutines that have not ended, in the order of their numbers.
    wakers: BTreeMap<u64, Waker>,
}

thread_local! {
    /// What this thread is running, the innermost.
    static RUNNING: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

impl Shared {
    pub(super) fn new() -> Shared {
        Shared {
            queue: SimpleQueue::new(),
            account: Mutex::new(Account {
                is_closed: false,
                next: 0,
                accepted: 0,
                wakers: BTreeMap::new(),
            }),
            thread: thread_id(),
            generation: forked::generation(),
        }
    }

    /// Counts something in that will be put into the queue, and gives it a number; `None` if it is too late.
    pub(super) fn accept(&self) -> Option<u64> {
        let mut account = self.account.lock();
        if account.is_closed {
            return None;
        }
        account.accepted += 1;
        account.next += 1;
        Some(account.next)
    }

    /// The coroutine of this number is to be woken when the executor ends.
    pub(super) fn enter_waker(&self, number: u64, waker: Waker) {
        let mut account = self.account.lock();
        // Else it is about to be put into the queue, from where the executor's drop will have it.
        if !account.is_closed {
            account.wakers.insert(number, waker);
        }
    }

    /// What has got this number has ended.
    pub(super) fn leave(&self, number: u64) {
        let mut account = self.account.lock();
        account.accepted -= 1;
        let waker = account.wakers.remove(&number);
        drop(account);
        // With nothing locked.
        drop(waker);
    }

    pub(super) fn accepted(&self) -> usize {
        self.account.lock().accepted
    }

    /// Accepts nothing any more, and has all that waits put into the queue.
    pub(super) fn close(&self) {
        let wakers = {
            let mut account = self.account.lock();
            account.is_closed = true;
            std::mem::take(&mut account.wakers)
        };
        wakers.into_values().for_each(Waker::wake);
    }

    /// Does this thread belong to the executor?
    pub(super) fn is_at_home(&self) -> bool {
        self.thread == thread_id()
    }

    /// Has this process been forked from the one that made it?
    pub(super) fn is_left_behind(&self) -> bool {
        self.generation != forked::generation()
    }

    /// Called in the executor's thread.
    pub(super) fn take_turn(&self, item: Item) {
        match item {
            // It does not panic: a coroutine keeps that to itself.
            Item::Poll(runnable) => drop(runnable.run()),
            Item::Call(call) => {
                report("a call to a local executor", call);
                self.account.lock().accepted -= 1;
            }
            Item::Nudge => {}
        }
    }

    /// A call that is not made.
    pub(super) fn lose(&self, call: Call) {
        report("what a call had captured", || drop(call));
        self.account.lock().accepted -= 1;
    }

    /// From now on this is what the calling thread runs, until the result is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Running {
        let this = Some(Arc::clone(self));
        // In a destructor at the thread's end there may be no place for it any more.
        let before = RUNNING.try_with(|running| running.replace(this));
        Running(before.unwrap_or_default())
    }

    pub(super) fn running() -> Option<Arc<Shared>> {
        let running = RUNNING.try_with(|running| running.borrow().clone());
        running.unwrap_or_default()
    }
}

/// What ran before, and goes on when this is dropped.
pub(super) struct Running(Option<Arc<Shared>>);

impl Drop for Running {
    fn drop(&mut self) {
        let before = self.0.take();
        // Ours is dropped with nothing borrowed.
        drop(RUNNING.try_with(|running| running.replace(before)));
    }
}

/// Whether the future that `run` was given is to be polled.
pub(super) struct MainTurn {
    shared: Arc<Shared>,
    has_come: AtomicBool,
}

impl MainTurn {
    /// It begins with one.
    pub(super) fn new(shared: &Arc<Shared>) -> Arc<MainTurn> {
        Arc::new(MainTurn {
            shared: Arc::clone(shared),
            has_come: AtomicBool::new(true),
        })
    }

    /// Takes it. Acquires what was done before the wake-up, and all that were made of one with it.
    pub(super) fn has_come(&self) -> bool {
        self.has_come.swap(false, Ordering::AcqRel)
    }
}

impl Wake for MainTurn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release pairs with the swap that takes it. While the flag is up a nudge is in the queue, or on its way, or
        // has been taken: by the run whose turn this is, or by one within it, after which that looks.
        if !self.has_come.swap(true, Ordering::AcqRel) {
            self.shared.queue.put(Item::Nudge);
        }
    }
}
