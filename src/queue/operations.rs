//! What is done with a queue under its lock: get, get many, put, put many.

use super::core::{Held, Shared, Side};
use super::placing::{Exchange, Place};
use super::request::Operation;
use super::{Discipline, GetError, PutError};
use crate::GaveUp;
use crate::wait::Kind;
use std::vec;

static GET: Kind = Kind {
    name: "Queue::get",
    owner: None,
};

static PUT: Kind = Kind {
    name: "Queue::put",
    owner: None,
};

/// Takes the next item.
pub(super) struct Get;

impl<D: Discipline> Operation<D> for Get {
    type Output = Result<D::Item, GetError>;
    const KIND: &'static Kind = &GET;
    const SIDE: Side = Side::Getters;

    #[inline]
    fn run(&mut self, queue: &mut Held<'_, D>) -> Option<Self::Output> {
        match queue.pop() {
            Some(item) => Some(Ok(item)),
            None if queue.is_shut() && queue.items.is_empty() => Some(Err(GetError::ShutDown)),
            None => None,
        }
    }

    fn is_possible(&self, queue: &Held<'_, D>) -> bool {
        queue.is_ready() || queue.is_shut() && queue.items.is_empty()
    }

    fn things_in_sight(&self, queue: &Shared<D>) -> usize {
        queue.items_in_sight()
    }

    fn refuse(&mut self) -> Self::Output {
        Err(GetError::Empty)
    }

    fn give_up(&mut self, _shared: &Shared<D>, why: GaveUp) -> Self::Output {
        Err(GetError::from(why))
    }
}

/// Takes as many items as there are, one at least and so many at most.
pub(super) struct GetMany<D: Discipline> {
    max: usize,
    /// With memory for as many as there seem to be: none is asked for under the lock, as a rule.
    items: Vec<D::Item>,
}

impl<D: Discipline> GetMany<D> {
    pub(super) fn new(max: usize, queue: &Shared<D>) -> GetMany<D> {
        assert!(max > 0, "to get no items at all");
        let likely = queue.likely_len().min(max);
        GetMany {
            max,
            items: Vec::with_capacity(likely),
        }
    }
}

impl<D: Discipline> Operation<D> for GetMany<D> {
    type Output = Result<Vec<D::Item>, GetError>;
    const KIND: &'static Kind = &GET;
    const SIDE: Side = Side::Getters;

    fn run(&mut self, queue: &mut Held<'_, D>) -> Option<Self::Output> {
        if !queue.is_ready() {
            return (queue.is_shut() && queue.items.is_empty()).then_some(Err(GetError::ShutDown));
        }
        self.items
            .extend(std::iter::from_fn(|| queue.pop()).take(self.max));
        Some(Ok(std::mem::take(&mut self.items)))
    }

    fn is_possible(&self, queue: &Held<'_, D>) -> bool {
        Get.is_possible(queue)
    }

    fn things_in_sight(&self, queue: &Shared<D>) -> usize {
        queue.items_in_sight()
    }

    fn refuse(&mut self) -> Self::Output {
        Err(GetError::Empty)
    }

    fn give_up(&mut self, _shared: &Shared<D>, why: GaveUp) -> Self::Output {
        Err(GetError::from(why))
    }
}

/// The number under which the queue holds an item out for a getter, if it does. The state has the item
/// as long as it has not been taken or withdrawn.
#[derive(Default)]
struct Offered(Option<usize>);

impl Offered {
    /// Holds `item` out.
    fn make<D: Discipline>(&mut self, queue: &mut Held<'_, D>, item: D::Item) {
        self.0 = queue.offers.as_mut().map(|offers| offers.make(item));
    }

    /// Is there a reason to look whether the put can be done?
    fn is_possible<D: Discipline>(&self, queue: &Held<'_, D>) -> bool {
        queue.is_shut()
            || match self.0 {
                // At a rendezvous, what has not been offered yet is to be offered.
                None => queue.room() > 0 || queue.capacity() == 0,
                Some(number) => queue.has_taken(number),
            }
    }

    fn things_in_sight<D: Discipline>(&self, queue: &Shared<D>) -> usize {
        match self.0 {
            None if queue.capacity() == 0 => 1,
            None => queue.room_in_sight(),
            Some(number) => usize::from(queue.looks_taken(number)),
        }
    }

    /// Has the item been taken? Said once.
    fn is_taken<D: Discipline>(&mut self, queue: &Held<'_, D>) -> bool {
        self.0.take_if(|number| queue.has_taken(*number)).is_some()
    }

    /// Takes the item back. `None` if it has been taken, or there was none.
    fn withdraw<D: Discipline>(&mut self, queue: &mut Held<'_, D>) -> Option<D::Item> {
        queue.offers.as_mut()?.withdraw(self.0.take()?)
    }
}

/// Puts an item where `place` says.
pub(super) struct Put<D: Discipline, P> {
    /// Gone once it has been put, offered or given back.
    item: Option<D::Item>,
    place: P,
    offered: Offered,
}

impl<D: Discipline, P: Place<D>> Put<D, P> {
    #[inline]
    pub(super) fn new(item: D::Item, place: P) -> Put<D, P> {
        Put {
            item: Some(item),
            place,
            offered: Offered(None),
        }
    }

    /// The item, if it is still here.
    pub(super) fn take_item(&mut self) -> Option<D::Item> {
        self.item.take()
    }

    /// At a rendezvous the item is held out, ...
    #[cold]
    fn offer(&mut self, queue: &mut Held<'_, D>) {
        if let Some(item) = self.item.take() {
            self.offered.make(queue, item);
        }
    }

    /// ... and has been put once it has been taken.
    #[cold]
    fn run_offered(&mut self, queue: &mut Held<'_, D>) -> Option<<Self as Operation<D>>::Output> {
        if self.offered.is_taken(queue) {
            return Some(Ok(P::Receipt::default()));
        }
        if queue.is_shut() {
            return self
                .offered
                .withdraw(queue)
                .map(PutError::ShutDown)
                .map(Err);
        }
        None
    }
}

impl<D: Discipline, P: Place<D>> Operation<D> for Put<D, P> {
    type Output = Result<P::Receipt, PutError<D::Item>>;
    const KIND: &'static Kind = &PUT;
    const SIDE: Side = Side::Putters;

    #[inline]
    fn run(&mut self, queue: &mut Held<'_, D>) -> Option<Self::Output> {
        if self.offered.0.is_some() {
            return self.run_offered(queue);
        }
        if queue.is_shut() {
            return self.item.take().map(PutError::ShutDown).map(Err);
        }
        if queue.room() == 0 {
            if queue.capacity() == 0 {
                self.offer(queue);
                return None;
            }
            return match self.place.exchange(&mut queue.items, self.item.take()?) {
                Exchange::Wait(item) => {
                    self.item = Some(item);
                    None
                }
                Exchange::Done(receipt) => {
                    queue.count_put(1);
                    queue.count_finished(1);
                    Some(Ok(receipt))
                }
                Exchange::Refused(item) => Some(Err(PutError::Full(item))),
            };
        }
        let receipt = self.place.place(&mut queue.items, self.item.take()?);
        queue.count_put(1);
        Some(Ok(receipt))
    }

    fn is_possible(&self, queue: &Held<'_, D>) -> bool {
        !P::WAITS || self.offered.is_possible(queue)
    }

    fn things_in_sight(&self, queue: &Shared<D>) -> usize {
        if P::WAITS {
            self.offered.things_in_sight(queue)
        } else {
            usize::MAX
        }
    }

    fn tag(&self) -> usize {
        self.offered.0.unwrap_or(0)
    }

    fn refuse(&mut self) -> Self::Output {
        Err(PutError::Full(
            self.item.take().expect("only what waits is offered"),
        ))
    }

    fn give_up(&mut self, shared: &Shared<D>, why: GaveUp) -> Self::Output {
        let item = match self.item.take() {
            None => self.offered.withdraw(&mut shared.lock()),
            item => item,
        };
        match item {
            Some(item) => Err(PutError::gave_up(why, item)),
            // Taken in the last moment.
            None => Ok(P::Receipt::default()),
        }
    }

    #[inline]
    fn withdraw(&mut self, shared: &Shared<D>) {
        if self.offered.0.is_some() {
            let item = self.offered.withdraw(&mut shared.lock());
            drop(item);
        }
    }
}

/// Puts items in their order; done when all are in.
pub(super) struct PutMany<D: Discipline> {
    items: vec::IntoIter<D::Item>,
    offered: Offered,
    /// Whether somebody stays with an item that is held out.
    may_offer: bool,
}

impl<D: Discipline> PutMany<D> {
    pub(super) fn new(items: impl IntoIterator<Item = D::Item>) -> PutMany<D> {
        // The iterator is the caller's code: it is run to its end before the lock is taken.
        let items: Vec<_> = items.into_iter().collect();
        PutMany {
            items: items.into_iter(),
            offered: Offered(None),
            may_offer: true,
        }
    }

    /// For one attempt.
    pub(super) fn at_once(self) -> PutMany<D> {
        PutMany {
            may_offer: false,
            ..self
        }
    }

    /// What has not been put.
    fn left(&mut self, queue: &mut Held<'_, D>) -> Vec<D::Item> {
        let offered = self.offered.withdraw(queue);
        offered.into_iter().chain(self.items.by_ref()).collect()
    }
}

impl<D: Discipline> Operation<D> for PutMany<D> {
    type Output = Result<(), PutError<Vec<D::Item>>>;
    const KIND: &'static Kind = &PUT;
    const SIDE: Side = Side::Putters;

    fn run(&mut self, queue: &mut Held<'_, D>) -> Option<Self::Output> {
        self.offered.is_taken(queue);
        if self.offered.0.is_none() && self.items.as_slice().is_empty() {
            return Some(Ok(()));
        }
        if queue.is_shut() {
            return Some(Err(PutError::ShutDown(self.left(queue))));
        }
        let room = queue.room();
        for item in self.items.by_ref().take(room) {
            queue.items.push(item);
            queue.count_put(1);
        }
        if self.items.as_slice().is_empty() && self.offered.0.is_none() {
            return Some(Ok(()));
        }
        if queue.capacity() == 0
            && self.may_offer
            && self.offered.0.is_none()
            && let Some(item) = self.items.next()
        {
            self.offered.make(queue, item);
        }
        None
    }

    fn is_possible(&self, queue: &Held<'_, D>) -> bool {
        self.offered.is_possible(queue)
    }

    fn things_in_sight(&self, queue: &Shared<D>) -> usize {
        self.offered.things_in_sight(queue)
    }

    fn tag(&self) -> usize {
        self.offered.0.unwrap_or(0)
    }

    fn refuse(&mut self) -> Self::Output {
        Err(PutError::Full(self.items.by_ref().collect()))
    }

    fn give_up(&mut self, shared: &Shared<D>, why: GaveUp) -> Self::Output {
        let left = self.left(&mut shared.lock());
        if left.is_empty() {
            Ok(())
        } else {
            Err(PutError::gave_up(why, left))
        }
    }

    fn withdraw(&mut self, shared: &Shared<D>) {
        if self.offered.0.is_some() {
            let item = self.offered.withdraw(&mut shared.lock());
            drop(item);
        }
    }
}
