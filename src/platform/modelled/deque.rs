//! What stands in for crossbeam's deque in a model, which sees loom's objects only.
//!
//! Whether there is an item is told by two relaxed counters, so that who finds none has synchronised with nobody.
//! What models do not prove, therefore: crossbeam's deque itself, and that its owner's pop and a thief's steal of the last
//! item are ordered by the deque alone.

use super::Mutex;
use super::atomic::{AtomicUsize, Ordering};
use loom::sync::Arc;
use std::collections::VecDeque;

struct Shared<T> {
    items: Mutex<VecDeque<T>>,
    /// They change with `items` locked.
    pushed: AtomicUsize,
    taken: AtomicUsize,
}

impl<T> Shared<T> {
    fn is_empty(&self) -> bool {
        self.taken.load(Ordering::Relaxed) == self.pushed.load(Ordering::Relaxed)
    }

    fn take(&self, from: impl FnOnce(&mut VecDeque<T>) -> Option<T>) -> Option<T> {
        let mut items = self.items.lock();
        let item = from(&mut items)?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Some(item)
    }
}

/// The owner's end.
pub(crate) struct Deque<T>(Arc<Shared<T>>);

/// A thief's end.
pub(crate) struct Stealer<T>(Arc<Shared<T>>);

pub(crate) enum Steal<T> {
    Empty,
    Success(T),
    #[expect(dead_code, reason = "a mutex has no second try")]
    Retry,
}

impl<T> Deque<T> {
    pub(crate) fn new_lifo() -> Deque<T> {
        Deque(Arc::new(Shared {
            items: Mutex::new(VecDeque::new()),
            pushed: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn stealer(&self) -> Stealer<T> {
        Stealer(self.0.clone())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&self, item: T) {
        let mut items = self.0.items.lock();
        items.push_back(item);
        self.0.pushed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.take(VecDeque::pop_back)
    }
}

impl<T> Stealer<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn steal(&self) -> Steal<T> {
        if self.0.is_empty() {
            return Steal::Empty;
        }
        match self.0.take(VecDeque::pop_front) {
            Some(item) => Steal::Success(item),
            None => Steal::Empty,
        }
    }
}
