//! [`ConditionGuard`]: how the lock of a guard is given up and taken again, and what a predicate sees.
//!
//! The trait is sealed, and what its hidden half gives out can be used by the condition only.

use crate::Limit;
use crate::ipc::rlock::AllLevels;
use crate::ipc::{
    ArrayGuard, LockError, LockGuard, RLockGuard, SynchronizedGuard, ValueGuard, lock, value,
};
use crate::shm::handle::Handle;
use bytemuck::Pod;

/// A guard whose lock a [`Condition`](super::Condition) gives up while it waits, and takes again.
///
/// | guard | a predicate sees |
/// |---|---|
/// | [`LockGuard`] | nothing: `&mut ()` |
/// | [`ValueGuard`] | the value: `&mut T` |
/// | [`ArrayGuard`] | the elements: `&mut [T]` |
/// | [`SynchronizedGuard`] | the object: `&mut &R` |
///
/// | [`RLockGuard`], with all levels of the thread; as many come back | nothing: `&mut ()` |
///
/// Nobody else can implement it.
pub trait ConditionGuard: Sized + sealed::Sealed {
    /// What the lock protects.
    type Value: ?Sized;
    #[doc(hidden)]
    type Released;

    #[doc(hidden)]
    fn release(self) -> Self::Released;

    #[doc(hidden)]
    fn lock_again(released: Self::Released) -> Result<Self, LockError<Self>>;

    #[doc(hidden)]
    fn value(&mut self) -> &mut Self::Value;
}

/// A [`ConditionGuard`] that a task may hold while it waits: of a lock that belongs to a process and not
/// to one of its threads.
pub trait TaskGuard: ConditionGuard {
    #[doc(hidden)]
    fn lock_again_async(
        released: Self::Released,
    ) -> impl Future<Output = Result<Self, LockError<Self>>> + Send;
}

mod sealed {
    use super::{ArrayGuard, LockGuard, Pod, RLockGuard, SynchronizedGuard, ValueGuard};

    pub trait Sealed {}

    impl Sealed for LockGuard<'_> {}
    impl<T: Pod> Sealed for ValueGuard<'_, T> {}
    impl<T: Pod> Sealed for ArrayGuard<'_, T> {}
    impl<R> Sealed for SynchronizedGuard<'_, R> {}
    impl Sealed for RLockGuard<'_> {}
}

/// Takes no memory, so none is lost.
fn nothing() -> &'static mut () {
    Box::leak(Box::new(()))
}

/// A lock that was given up.
#[must_use = "the lock has to be taken again"]
pub struct Released<'a>(&'a Handle);

impl<'a> ConditionGuard for LockGuard<'a> {
    type Value = ();
    type Released = Released<'a>;

    fn release(self) -> Released<'a> {
        Released(self.0.handle())
    }

    fn lock_again(released: Released<'a>) -> Result<Self, LockError<Self>> {
        lock::granted(released.0.lock(Limit::none())?)
    }

    fn value(&mut self) -> &mut () {
        nothing()
    }
}

impl<'a, T: Pod> ConditionGuard for ValueGuard<'a, T> {
    type Value = T;
    type Released = Released<'a>;

    fn release(self) -> Released<'a> {
        Released(self.held.handle())
    }

    fn lock_again(released: Released<'a>) -> Result<Self, LockError<Self>> {
        value::granted(released.0.lock(Limit::none())?)
    }

    fn value(&mut self) -> &mut T {
        self
    }
}

impl<'a, T: Pod> ConditionGuard for ArrayGuard<'a, T> {
    type Value = [T];
    type Released = (Released<'a>, usize);

    fn release(self) -> Self::Released {
        (Released(self.held.handle()), self.len)
    }

    fn lock_again((released, len): Self::Released) -> Result<Self, LockError<Self>> {
        ArrayGuard::granted(released.0.lock(Limit::none())?, len)
    }

    fn value(&mut self) -> &mut [T] {
        self
    }
}

impl<'a, R> ConditionGuard for SynchronizedGuard<'a, R> {
    type Value = &'a R;
    type Released = (Released<'a>, &'a R);

    fn release(self) -> Self::Released {
        (self.held.release(), self.object)
    }

    fn lock_again((released, object): Self::Released) -> Result<Self, LockError<Self>> {
        let guard = |held| SynchronizedGuard { object, held };
        match LockGuard::lock_again(released) {
            Ok(held) => Ok(guard(held)),
            Err(error) => Err(error.map(guard)),
        }
    }

    fn value(&mut self) -> &mut &'a R {
        &mut self.object
    }
}

/// All levels of a lock that were given up.
#[must_use = "the lock has to be taken again"]
pub struct ReleasedLevels<'a>(AllLevels<'a>);

impl<'a> ConditionGuard for RLockGuard<'a> {
    type Value = ();
    type Released = ReleasedLevels<'a>;

    fn release(self) -> ReleasedLevels<'a> {
        let levels = self.release_all();
        ReleasedLevels(levels.expect("the lock of this guard was released by hand"))
    }

    fn lock_again(released: ReleasedLevels<'a>) -> Result<Self, LockError<Self>> {
        released.0.restore(Limit::none())
    }

    fn value(&mut self) -> &mut () {
        nothing()
    }
}

impl<'a> TaskGuard for LockGuard<'a> {
    async fn lock_again_async(released: Released<'a>) -> Result<Self, LockError<Self>> {
        lock::granted(released.0.lock_async().await?)
    }
}

impl<'a, T: Pod + Send> TaskGuard for ValueGuard<'a, T> {
    async fn lock_again_async(released: Released<'a>) -> Result<Self, LockError<Self>> {
        value::granted(released.0.lock_async().await?)
    }
}

impl<'a, T: Pod + Send> TaskGuard for ArrayGuard<'a, T> {
    async fn lock_again_async((released, len): Self::Released) -> Result<Self, LockError<Self>> {
        ArrayGuard::granted(released.0.lock_async().await?, len)
    }
}

impl<'a, R: Sync> TaskGuard for SynchronizedGuard<'a, R> {
    async fn lock_again_async((released, object): Self::Released) -> Result<Self, LockError<Self>> {
        let guard = |held| SynchronizedGuard { object, held };
        match LockGuard::lock_again_async(released).await {
            Ok(held) => Ok(guard(held)),
            Err(error) => Err(error.map(guard)),
        }
    }
}
