//! What is done with a queue under its lock: get, get many, put, put many.

use super::core::{Shared, Side, Sight, State, is_before};
use super::placing::Place;
use super::request::Operation;
use super::{Discipline, GetError, PutError};
use crate::GaveUp;
use crate::platform::atomic::Ordering;
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

fn get_looks_possible(sight: &Sight) -> bool {
    sight.len.load(Ordering::Relaxed) > 0 || sight.is_shut.load(Ordering::Relaxed)
}

fn put_looks_possible(sight: &Sight, offered: &Offered) -> bool {
    let room = match offered.0 {
        None => sight.len.load(Ordering::Relaxed) < sight.capacity.load(Ordering::Relaxed),
        Some(number) => is_before(number, sight.taken.load(Ordering::Relaxed)),
    };
    room || sight.is_shut.load(Ordering::Relaxed)
}

fn put_is_possible<D: Discipline>(state: &State<D>, offered: &Offered) -> bool {
    let room = match offered.0 {
        None => state.has_room(),
        Some(number) => state.has_taken(number),
    };
    room || state.is_shut
}

/// Takes the next item.
pub(super) struct Get;

impl<D: Discipline> Operation<D> for Get {
    type Output = Result<D::Item, GetError>;
    const KIND: &'static Kind = &GET;
    const SIDE: Side = Side::Getters;

    #[inline]
    fn run(&mut self, state: &mut State<D>) -> Option<Self::Output> {
        match state.pop() {
            Some(item) => Some(Ok(item)),
            None if state.is_shut && state.items.is_empty() => Some(Err(GetError::ShutDown)),
            None => None,
        }
    }

    fn is_possible(&self, state: &State<D>) -> bool {
        state.is_ready() || state.is_shut && state.items.is_empty()
    }

    fn looks_possible(&self, sight: &Sight) -> bool {
        get_looks_possible(sight)
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
    pub(super) fn new(max: usize, sight: &Sight) -> GetMany<D> {
        assert!(max > 0, "to get no items at all");
        let likely = sight.len.load(Ordering::Relaxed).min(max);
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

    fn run(&mut self, state: &mut State<D>) -> Option<Self::Output> {
        if !state.is_ready() {
            return (state.is_shut && state.items.is_empty()).then_some(Err(GetError::ShutDown));
        }
        self.items
            .extend(std::iter::from_fn(|| state.pop()).take(self.max));
        Some(Ok(std::mem::take(&mut self.items)))
    }

    fn is_possible(&self, state: &State<D>) -> bool {
        Get.is_possible(state)
    }

    fn looks_possible(&self, sight: &Sight) -> bool {
        get_looks_possible(sight)
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
    fn make<D: Discipline>(&mut self, state: &mut State<D>, item: D::Item) {
        self.0 = state.offers.as_mut().map(|offers| offers.make(item));
    }

    /// Has the item been taken? Said once.
    fn is_taken<D: Discipline>(&mut self, state: &State<D>) -> bool {
        self.0.take_if(|number| state.has_taken(*number)).is_some()
    }

    /// Takes the item back. `None` if it has been taken, or there was none.
    fn withdraw<D: Discipline>(&mut self, state: &mut State<D>) -> Option<D::Item> {
        state.offers.as_mut()?.withdraw(self.0.take()?)
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
    fn offer(&mut self, state: &mut State<D>) {
        if let Some(item) = self.item.take() {
            self.offered.make(state, item);
        }
    }

    /// ... and has been put once it has been taken.
    #[cold]
    fn run_offered(&mut self, state: &mut State<D>) -> Option<<Self as Operation<D>>::Output> {
        if self.offered.is_taken(state) {
            return Some(Ok(P::Receipt::default()));
        }
        if state.is_shut {
            return self
                .offered
                .withdraw(state)
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
    fn run(&mut self, state: &mut State<D>) -> Option<Self::Output> {
        if self.offered.0.is_some() {
            return self.run_offered(state);
        }
        if state.is_shut {
            return self.item.take().map(PutError::ShutDown).map(Err);
        }
        if !state.has_room() {
            if state.capacity == 0 {
                self.offer(state);
            }
            return None;
        }
        let receipt = self.place.place(&mut state.items, self.item.take()?);
        state.count_put(1);
        Some(Ok(receipt))
    }

    fn is_possible(&self, state: &State<D>) -> bool {
        put_is_possible(state, &self.offered)
    }

    fn looks_possible(&self, sight: &Sight) -> bool {
        put_looks_possible(sight, &self.offered)
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
}

impl<D: Discipline> PutMany<D> {
    pub(super) fn new(items: impl IntoIterator<Item = D::Item>) -> PutMany<D> {
        // The iterator is the caller's code: it is run to its end before the lock is taken.
        let items: Vec<_> = items.into_iter().collect();
        PutMany {
            items: items.into_iter(),
            offered: Offered(None),
        }
    }

    /// What has not been put.
    fn left(&mut self, state: &mut State<D>) -> Vec<D::Item> {
        let offered = self.offered.withdraw(state);
        offered.into_iter().chain(self.items.by_ref()).collect()
    }
}

impl<D: Discipline> Operation<D> for PutMany<D> {
    type Output = Result<(), PutError<Vec<D::Item>>>;
    const KIND: &'static Kind = &PUT;
    const SIDE: Side = Side::Putters;

    fn run(&mut self, state: &mut State<D>) -> Option<Self::Output> {
        self.offered.is_taken(state);
        if self.offered.0.is_none() && self.items.as_slice().is_empty() {
            return Some(Ok(()));
        }
        if state.is_shut {
            return Some(Err(PutError::ShutDown(self.left(state))));
        }
        let room = state.capacity.saturating_sub(state.items.len());
        for item in self.items.by_ref().take(room) {
            state.items.push(item);
            state.count_put(1);
        }
        if self.items.as_slice().is_empty() && self.offered.0.is_none() {
            return Some(Ok(()));
        }
        if state.capacity == 0
            && self.offered.0.is_none()
            && let Some(item) = self.items.next()
        {
            self.offered.make(state, item);
        }
        None
    }

    fn is_possible(&self, state: &State<D>) -> bool {
        put_is_possible(state, &self.offered)
    }

    fn looks_possible(&self, sight: &Sight) -> bool {
        put_looks_possible(sight, &self.offered)
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
