//! [`Placing`]: the four faces of a put that does something else than join the queue in its turn.

use super::core::Shared;
use super::operations::Put;
use super::request::QueueRequest;
use super::{Discipline, Fifo, PutError};
use crate::Limit;
use crate::wait::WaitFuture;
use std::fmt;
use std::future::Future;
use std::panic::Location;

/// Where an item goes, and what its putter gets for it.
pub trait Place<D: Discipline>: Copy {
    /// The default is for an item that has gone from hand to hand.
    type Receipt: Default;
    /// Whether `exchange` may let an item wait.
    const WAITS: bool = true;

    fn place(&self, items: &mut D, item: D::Item) -> Self::Receipt;

    /// What becomes of an item for which there is no room.
    #[inline]
    fn exchange(&self, _items: &mut D, item: D::Item) -> Exchange<Self::Receipt, D::Item> {
        Exchange::Wait(item)
    }
}

/// What has become of an item for which there was no room.
pub enum Exchange<R, T> {
    /// It waits until there is.
    Wait(T),
    /// It is in, and another had to go.
    Done(R),
    /// It is not to be put at all.
    Refused(T),
}

/// Where the discipline puts it.
#[derive(Clone, Copy, Debug)]
pub struct InTurn;

impl<D: Discipline> Place<D> for InTurn {
    type Receipt = ();

    #[inline]
    fn place(&self, items: &mut D, item: D::Item) {
        items.push(item);
    }
}

/// Before all others. From [`Queue::at_front`](super::Queue::at_front).
#[derive(Clone, Copy, Debug)]
pub struct AtFront;

impl<T> Place<Fifo<T>> for AtFront {
    type Receipt = ();

    fn place(&self, items: &mut Fifo<T>, item: T) {
        items.0.push_front(item);
    }
}

/// Puts items in another place than their turn, with the faces of a queue's own put.
///
/// From [`Queue::at_front`](super::Queue::at_front) and its like.
#[must_use = "it puts nothing by itself"]
pub struct Placing<'q, D: Discipline, P> {
    queue: &'q super::BlockingQueue<D>,
    place: P,
}

impl<D: Discipline, P: fmt::Debug> fmt::Debug for Placing<'_, D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placing")
            .field("queue", self.queue)
            .field("place", &self.place)
            .finish()
    }
}

impl<'q, D: Discipline, P: Place<D>> Placing<'q, D, P> {
    #[inline]
    pub(super) fn new(queue: &'q super::BlockingQueue<D>, place: P) -> Placing<'q, D, P> {
        Placing { queue, place }
    }

    fn shared(&self) -> &'q Shared<D> {
        self.queue.shared()
    }

    #[inline]
    fn request(&self, item: D::Item) -> QueueRequest<'q, D, Put<D, P>> {
        QueueRequest::new(self.shared(), Put::new(item, self.place))
    }

    /// Puts an item; blocks while there is no room.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`] with the item.
    #[inline]
    #[track_caller]
    pub fn put(&self, item: D::Item) -> Result<P::Receipt, PutError<D::Item>> {
        match self.shared().put_now(item, self.place) {
            Ok(receipt) => Ok(receipt),
            Err(item) if !P::WAITS => self.request(item).try_to(),
            Err(item) => self.request(item).run(Location::caller()),
        }
    }

    /// Puts an item if there is room; never blocks. At a rendezvous, if a getter waits for it.
    ///
    /// # Errors
    ///
    /// `Full` or `ShutDown`, with the item.
    #[inline]
    pub fn try_put(&self, item: D::Item) -> Result<P::Receipt, PutError<D::Item>> {
        if self.queue.is_rendezvous() {
            return self
                .shared()
                .hand_over(item)
                .map(|()| P::Receipt::default());
        }
        self.request(item).try_to()
    }

    /// Puts an item; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// `TimedOut`, `Cancelled` or `ShutDown`, with the item.
    #[track_caller]
    pub fn put_within<'l>(
        &self,
        item: D::Item,
        limit: impl Into<Limit<'l>>,
    ) -> Result<P::Receipt, PutError<D::Item>> {
        self.request(item)
            .run_within(&limit.into(), Location::caller())
    }

    /// Puts an item without blocking a thread.
    ///
    /// Dropping the future before it resolves drops the item: it has not been put.
    #[track_caller]
    pub fn put_async(
        &self,
        item: D::Item,
    ) -> impl Future<Output = Result<P::Receipt, PutError<D::Item>>> + use<'q, D, P> {
        WaitFuture::new(self.request(item))
    }
}
