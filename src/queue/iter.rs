//! Getting items by iteration.

use super::{BlockingQueue, Discipline};
use std::fmt;
use std::vec;

/// Gets items until the queue has been shut down and is empty. From [`BlockingQueue::iter`].
pub struct Iter<'q, D: Discipline> {
    queue: &'q BlockingQueue<D>,
}

impl<'q, D: Discipline> Iter<'q, D> {
    pub(super) fn new(queue: &'q BlockingQueue<D>) -> Iter<'q, D> {
        Iter { queue }
    }
}

impl<D: Discipline> Iterator for Iter<'_, D> {
    type Item = D::Item;

    fn next(&mut self) -> Option<D::Item> {
        self.queue.get().ok()
    }
}

/// Gets items as long as there are any. From [`BlockingQueue::try_iter`].
pub struct TryIter<'q, D: Discipline> {
    queue: &'q BlockingQueue<D>,
}

impl<'q, D: Discipline> TryIter<'q, D> {
    pub(super) fn new(queue: &'q BlockingQueue<D>) -> TryIter<'q, D> {
        TryIter { queue }
    }
}

impl<D: Discipline> Iterator for TryIter<'_, D> {
    type Item = D::Item;

    fn next(&mut self) -> Option<D::Item> {
        self.queue.try_get().ok()
    }
}

/// What was in a queue. From [`BlockingQueue::drain`]; all of it has left the queue already.
pub struct Drain<D: Discipline> {
    items: vec::IntoIter<D::Item>,
}

impl<D: Discipline> Drain<D> {
    pub(super) fn new(items: Vec<D::Item>) -> Drain<D> {
        Drain {
            items: items.into_iter(),
        }
    }
}

impl<D: Discipline> Iterator for Drain<D> {
    type Item = D::Item;

    fn next(&mut self) -> Option<D::Item> {
        self.items.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl<D: Discipline> ExactSizeIterator for Drain<D> {}

/// Gets items until the queue has been shut down and is empty; keeps a handle to it.
pub struct IntoIter<D: Discipline> {
    queue: BlockingQueue<D>,
}

impl<D: Discipline> Iterator for IntoIter<D> {
    type Item = D::Item;

    fn next(&mut self) -> Option<D::Item> {
        self.queue.get().ok()
    }
}

impl<'q, D: Discipline> IntoIterator for &'q BlockingQueue<D> {
    type Item = D::Item;
    type IntoIter = Iter<'q, D>;

    fn into_iter(self) -> Iter<'q, D> {
        self.iter()
    }
}

impl<D: Discipline> IntoIterator for BlockingQueue<D> {
    type Item = D::Item;
    type IntoIter = IntoIter<D>;

    fn into_iter(self) -> IntoIter<D> {
        IntoIter { queue: self }
    }
}

impl<D: Discipline> fmt::Debug for Iter<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(self.queue).finish()
    }
}

impl<D: Discipline> fmt::Debug for TryIter<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TryIter").field(self.queue).finish()
    }
}

impl<D: Discipline> fmt::Debug for Drain<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("left", &self.len()).finish()
    }
}

impl<D: Discipline> fmt::Debug for IntoIter<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoIter").field(&self.queue).finish()
    }
}
