//! The arms of a select as one type, so that they need no allocation and keep their auto traits.
//!
//! [`NoArms`] is the empty list, [`With`] adds to one, a `Vec` is as many as a program finds out when it runs.

use super::arm::Arm;
use smallvec::SmallVec;
use std::marker::PhantomData;

/// The arms of a [`Select`](super::Select), which all come to the same type. Nobody else can implement it.
///
/// It is public so that a function can return a select that it has begun:
/// `fn base(..) -> Select<impl Arms<Output = R>>`.
pub trait Arms: Sealed<Out = Self::Output> {
    /// What every arm comes to.
    type Output;
}

/// The arms, each at its number.
pub type Refs<'s> = SmallVec<[&'s mut dyn Arm; 8]>;

pub trait Sealed {
    type Out;

    fn count(&self) -> usize;

    /// Is there a future among them?
    fn has_future(&self) -> bool;

    /// Appends the arms in the order of their numbers.
    fn collect<'s>(&'s mut self, into: &mut Refs<'s>);

    /// What the arm number `chosen` comes to. The others are dropped before the user's function runs, so
    /// that it has free hands.
    fn finish(self, chosen: usize) -> Self::Out;
}

/// No arms yet.
#[derive(Debug)]
pub struct NoArms<R>(PhantomData<fn() -> R>);

impl<R> NoArms<R> {
    pub(super) fn new() -> NoArms<R> {
        NoArms(PhantomData)
    }
}

impl<R> Arms for NoArms<R> {
    type Output = R;
}

impl<R> Sealed for NoArms<R> {
    type Out = R;

    fn count(&self) -> usize {
        0
    }

    fn has_future(&self) -> bool {
        false
    }

    fn collect<'s>(&'s mut self, _into: &mut Refs<'s>) {}

    fn finish(self, _chosen: usize) -> R {
        unreachable!("nothing can be chosen from no arms")
    }
}

/// The arms of both, those of `A` first.
#[derive(Debug)]
pub struct With<A, B>(pub(super) A, pub(super) B);

impl<A: Arms, B: Arms<Output = A::Output>> Arms for With<A, B> {
    type Output = A::Output;
}

impl<A: Arms, B: Arms<Output = A::Output>> Sealed for With<A, B> {
    type Out = A::Output;

    fn count(&self) -> usize {
        self.0.count() + self.1.count()
    }

    fn has_future(&self) -> bool {
        self.0.has_future() || self.1.has_future()
    }

    fn collect<'s>(&'s mut self, into: &mut Refs<'s>) {
        self.0.collect(into);
        self.1.collect(into);
    }

    fn finish(self, chosen: usize) -> A::Output {
        let With(first, second) = self;
        match chosen.checked_sub(first.count()) {
            None => {
                drop(second);
                first.finish(chosen)
            }
            Some(chosen) => {
                drop(first);
                second.finish(chosen)
            }
        }
    }
}

impl<A: Arms> Arms for Vec<A> {
    type Output = A::Output;
}

impl<A: Arms> Sealed for Vec<A> {
    type Out = A::Output;

    fn count(&self) -> usize {
        self.iter().map(Sealed::count).sum()
    }

    fn has_future(&self) -> bool {
        self.iter().any(Sealed::has_future)
    }

    fn collect<'s>(&'s mut self, into: &mut Refs<'s>) {
        self.iter_mut().for_each(|arms| arms.collect(into));
    }

    fn finish(mut self, mut chosen: usize) -> A::Output {
        let mut at = 0;
        while chosen >= self[at].count() {
            chosen -= self[at].count();
            at += 1;
        }
        let one = self.swap_remove(at);
        drop(self);
        one.finish(chosen)
    }
}
