//! What stands in for crossbeam's queue in a model, which sees loom's objects only.
//!
//! It promises no more than the protocol asks for: whether there is an item is told by two relaxed
//! counters, so a getter that finds none has synchronised with nobody, and may be told what is
//! out of date unless the protocol forbids it. What models do not prove, therefore: crossbeam's queue
//! itself, that a look at it is not older than a push that happened before, and that x86 needs no fence of
//! ours after a push.

use super::Mutex;
use super::atomic::{AtomicUsize, Ordering};
use std::collections::VecDeque;

pub(crate) struct SegQueue<T> {
    items: Mutex<VecDeque<T>>,
    /// How many have come and gone. They change with `items` locked, so that whoever was told in error
    /// that there is something knows better after having looked.
    pushed: AtomicUsize,
    popped: AtomicUsize,
}

impl<T> SegQueue<T> {
    pub(crate) fn new() -> SegQueue<T> {
        SegQueue {
            items: Mutex::new(VecDeque::new()),
            pushed: AtomicUsize::new(0),
            popped: AtomicUsize::new(0),
        }
    }

    pub(crate) fn push(&self, item: T) {
        let mut items = self.items.lock();
        items.push_back(item);
        self.pushed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let mut items = self.items.lock();
        let item = items.pop_front()?;
        self.popped.fetch_add(1, Ordering::Relaxed);
        Some(item)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.popped.load(Ordering::Relaxed) == self.pushed.load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.lock().len()
    }
}
