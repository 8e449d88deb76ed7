//! [`Tasks`]: what has been submitted to a pool and not been taken by a worker.
//!
//! In the order in which it came, in a queue without a lock; or by priority, in a heap under a short one. `crew.rs`
//! asks both for the same: whoever looks after a fence sees what was pushed before one.

use crate::executor::task::Job;
use crate::platform::{Mutex, SegQueue};
use crate::queue::{Heap, Prioritized};
use std::sync::Arc;

type Ranked = Heap<Prioritized<i32, Arc<dyn Job>>>;

/// See the head of this file.
pub(super) enum Tasks {
    Fifo(SegQueue<Arc<dyn Job>>),
    ByPriority(Mutex<Ranked>),
}

impl Tasks {
    pub(super) fn new(by_priority: bool) -> Tasks {
        match by_priority {
            true => Tasks::ByPriority(Mutex::new(Heap::new())),
            false => Tasks::Fifo(SegQueue::new()),
        }
    }

    /// With priority 0.
    #[inline]
    pub(super) fn push(&self, job: Arc<dyn Job>) {
        self.push_with_priority(0, job);
    }

    /// Without an order by priority it is the same for all.
    #[inline]
    pub(super) fn push_with_priority(&self, priority: i32, job: Arc<dyn Job>) {
        match self {
            Tasks::Fifo(queue) => queue.push(job),
            Tasks::ByPriority(heap) => heap.lock().push(Prioritized::new(priority, job)),
        }
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<Arc<dyn Job>> {
        match self {
            Tasks::Fifo(queue) => queue.pop(),
            Tasks::ByPriority(heap) => heap.lock().pop().map(|first| first.item),
        }
    }

    /// The oldest, or of those by priority the one that would be the last.
    pub(super) fn pop_least(&self) -> Option<Arc<dyn Job>> {
        match self {
            Tasks::Fifo(queue) => queue.pop(),
            Tasks::ByPriority(heap) => heap.lock().pop_worst().map(|worst| worst.item),
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Tasks::Fifo(queue) => queue.is_empty(),
            Tasks::ByPriority(heap) => heap.lock().is_empty(),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Tasks::Fifo(queue) => queue.len(),
            Tasks::ByPriority(heap) => heap.lock().len(),
        }
    }
}
