//! What a select can get from and put to, and the arm that puts.

use super::arm::{Arm, On, Standing};
use super::arms::{Arms, Refs, Sealed};
use crate::queue::{
    BlockingQueue, Discipline, GetError, Giving, PutError, Receiver, Sender, SimpleQueue,
};
use crate::wait::{Awaited, Mapped, Request};
use std::task::{Context, Waker};

/// What a select can get items from: each kind of queue, and the receiving end of one. Nobody else can
/// implement it.
pub trait Gets: sealed::Gets {}

/// What a select can put items to: a [`BlockingQueue`] of any kind, and the sending end of one. Nobody else
/// can implement it. A put to a [`SimpleQueue`] waits for nothing.
pub trait Puts: sealed::Puts {}

pub(super) mod sealed {
    use crate::queue::{GetError, PutError};
    use crate::select::Arms;

    pub trait Gets {
        type Item;

        fn get_arm<R>(
            &self,
            then: impl FnOnce(Result<Self::Item, GetError>) -> R,
        ) -> impl Arms<Output = R>;
    }

    pub trait Puts {
        type Item;

        fn put_arm<R>(
            &self,
            slot: &mut Option<Self::Item>,
            then: impl FnOnce(Result<(), PutError<Self::Item>>) -> R,
        ) -> impl Arms<Output = R>;
    }
}

impl<D: Discipline> Gets for BlockingQueue<D> {}

impl<D: Discipline> sealed::Gets for BlockingQueue<D> {
    type Item = D::Item;

    fn get_arm<R>(
        &self,
        then: impl FnOnce(Result<D::Item, GetError>) -> R,
    ) -> impl Arms<Output = R> {
        On::new(self.get_request(), then)
    }
}

impl<D: Discipline> Gets for Receiver<D> {}

impl<D: Discipline> sealed::Gets for Receiver<D> {
    type Item = D::Item;

    fn get_arm<R>(
        &self,
        then: impl FnOnce(Result<D::Item, GetError>) -> R,
    ) -> impl Arms<Output = R> {
        self.queue().get_arm(then)
    }
}

impl<T> Gets for SimpleQueue<T> {}

impl<T> sealed::Gets for SimpleQueue<T> {
    type Item = T;

    /// Never an error: it cannot be shut down.
    fn get_arm<R>(&self, then: impl FnOnce(Result<T, GetError>) -> R) -> impl Arms<Output = R> {
        On::new(Mapped::new(self.request(), Ok), then)
    }
}

impl<D: Discipline> Puts for Sender<D> {}

impl<D: Discipline> sealed::Puts for Sender<D> {
    type Item = D::Item;

    fn put_arm<R>(
        &self,
        slot: &mut Option<D::Item>,
        then: impl FnOnce(Result<(), PutError<D::Item>>) -> R,
    ) -> impl Arms<Output = R> {
        self.queue().put_arm(slot, then)
    }
}

impl<D: Discipline> Puts for BlockingQueue<D> {}

impl<D: Discipline> sealed::Puts for BlockingQueue<D> {
    type Item = D::Item;

    fn put_arm<R>(
        &self,
        slot: &mut Option<D::Item>,
        then: impl FnOnce(Result<(), PutError<D::Item>>) -> R,
    ) -> impl Arms<Output = R> {
        assert!(
            !self.is_rendezvous(),
            "a select cannot put at a rendezvous, where the item would be held out before it is decided"
        );
        OnPut::new(slot, |item| self.put_request(item), then)
    }
}

/// Puts what is in a slot, or nothing if nothing is. Unless it is chosen the item goes back there,
/// however the select ends.
pub struct OnPut<'s, T, Q: Request + Giving<T>, F> {
    /// `None` if the slot was empty.
    on: Option<On<Q, F>>,
    slot: &'s mut Option<T>,
}

impl<'s, T, Q: Request + Giving<T>, F> OnPut<'s, T, Q, F> {
    pub(super) fn new(
        slot: &'s mut Option<T>,
        request: impl FnOnce(T) -> Q,
        then: F,
    ) -> OnPut<'s, T, Q, F> {
        let on = slot.take().map(|item| On::new(request(item), then));
        OnPut { on, slot }
    }
}

impl<T, Q: Request + Giving<T>, F> Drop for OnPut<'_, T, Q, F> {
    fn drop(&mut self) {
        if let Some(on) = &mut self.on {
            *self.slot = on.request.take_item();
        }
    }
}

impl<T, Q: Request + Giving<T>, F> Arm for OnPut<'_, T, Q, F> {
    fn is_dormant(&self) -> bool {
        self.on.is_none()
    }

    fn attempt(&mut self, cx: &mut Context<'_>) -> bool {
        self.on.as_mut().is_some_and(|on| on.attempt(cx))
    }

    fn crowded(&self) -> bool {
        self.on.as_ref().is_none_or(Arm::crowded)
    }

    fn looks_good(&mut self) -> bool {
        self.on.as_mut().is_some_and(Arm::looks_good)
    }

    fn awaited(&self) -> Awaited {
        self.on.as_ref().map_or(Awaited::News, Arm::awaited)
    }

    fn enlist(&mut self, standing: &Standing<'_>, arm: u16) -> bool {
        self.on.as_mut().is_none_or(|on| on.enlist(standing, arm))
    }

    fn stands(&self) -> bool {
        self.on.as_ref().is_some_and(Arm::stands)
    }

    fn set_waker(&self, waker: &Waker) {
        if let Some(on) = &self.on {
            on.set_waker(waker);
        }
    }

    fn withdraw(&mut self) {
        if let Some(on) = &mut self.on {
            on.withdraw();
        }
    }

    fn take_grant(&mut self) -> bool {
        self.on.as_mut().is_some_and(Arm::take_grant)
    }

    fn decline(&mut self) {
        if let Some(on) = &mut self.on {
            on.decline();
        }
    }

    fn resign(&mut self) {
        if let Some(on) = &mut self.on {
            on.resign();
        }
    }
}

impl<T, Q: Request + Giving<T>, F: FnOnce(Q::Output) -> R, R> Arms for OnPut<'_, T, Q, F> {
    type Output = R;
}

impl<T, Q: Request + Giving<T>, F: FnOnce(Q::Output) -> R, R> Sealed for OnPut<'_, T, Q, F> {
    type Out = R;

    fn count(&self) -> usize {
        1
    }

    fn has_future(&self) -> bool {
        self.is_future()
    }

    fn collect<'s>(&'s mut self, into: &mut Refs<'s>) {
        into.push(self);
    }

    fn finish(mut self, chosen: usize) -> R {
        let on = self.on.take();
        drop(self);
        on.expect("nothing is put from an empty slot")
            .finish(chosen)
    }
}
