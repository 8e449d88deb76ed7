//! An object of the arena whose state only this crate changes: where most primitives of `ipc` live.
//!
//! Invariant: a state is made of atomics, so any bytes that a peer writes into it are a value of it;
//! it is changed by whoever is inside (see `shm::monitor`), and read without that only for hints.

use super::Tree;
use super::arena::Request;
use super::handle::{Handle, Slices};
use super::monitor::{self, Home, Inside, State};
use super::refusal::Refusal;
use super::roster::Roster;
use super::wait::Operation;
use super::waiting::Waiting;
use super::word::{Owner, Word};
use crate::Limit;
use serde::{Deserializer, Serializer};
use std::fmt;
use std::io;
use std::marker::PhantomData;

/// A state that may lie in shared memory.
///
/// # Safety
///
/// It is made of atomics (and of padding that nobody reads), so that any bytes are a valid value
/// and concurrent changes are no data race; and all-zero bytes are its first value.
pub(crate) unsafe trait Shared: State + Send + Sync + 'static {}

/// A handle to an object with state `S`.
pub(crate) struct Object<S> {
    handle: Handle,
    _state: PhantomData<fn() -> S>,
}

impl<S: Shared> Object<S> {
    /// Makes an object in `tree`; `begin` may change the zeros before anybody else sees them.
    pub(crate) fn new(tree: &'static Tree, begin: impl FnOnce(&S)) -> io::Result<Object<S>> {
        let request = Request::new(size_of::<S>(), align_of::<S>());
        let handle = Handle::new(tree, request, |payload| {
            // SAFETY: room and alignment are those of an `S`, made of atomics, all zero.
            begin(unsafe { payload.cast().as_ref() });
        })?;
        Ok(Object::from_handle(handle))
    }

    fn from_handle(handle: Handle) -> Object<S> {
        Object {
            handle,
            _state: PhantomData,
        }
    }

    /// Goes in, waiting for whoever is inside.
    pub(crate) fn enter(&self) -> Result<Inside<'_, Self>, Refusal> {
        monitor::enter(self)
    }

    /// Waits until `operation` is done, as long as `limit` says.
    pub(crate) fn wait<'h, T>(
        &'h self,
        operation: impl Operation<'h, Output = Result<T, Refusal>>,
        limit: Limit<'_>,
    ) -> Result<T, Refusal> {
        monitor::wait(operation, &mut Slices(limit))
    }

    /// As [`wait`](Object::wait), without blocking a thread.
    pub(crate) fn wait_async<'h, T>(
        &'h self,
        operation: impl Operation<'h, Output = Result<T, Refusal>>,
    ) -> impl Future<Output = Result<T, Refusal>> {
        // SAFETY: an operation of this object sleeps on words of its block, in the arena, which stays mapped.
        unsafe { Waiting::new(operation) }
    }

    /// What `look` reads of the state without being inside: a hint.
    pub(crate) fn hint<T>(&self, look: impl FnOnce(&S) -> T) -> Result<T, Refusal> {
        self.handle()
            .peek(|_| look(self.state()))
            .ok_or(Refusal::Gone)
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn serialize<R: Serializer>(&self, serializer: R) -> Result<R::Ok, R::Error> {
        self.handle.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Object<S>, D::Error> {
        Handle::deserialize(deserializer, size_of::<S>(), align_of::<S>()).map(Object::from_handle)
    }
}

impl<S: Shared> Home for Object<S> {
    type State = S;
    type Roster = Roster;

    fn word(&self) -> &Word {
        self.handle.word()
    }

    fn state(&self) -> &S {
        // SAFETY: a handle with room for an `S`, aligned for it, to memory that is never unmapped.
        // `S` is made of atomics (promise of `Shared`), so any bytes are one, whoever writes them.
        unsafe { self.handle.payload().cast().as_ref() }
    }

    fn roster(&self) -> &Roster {
        &self.handle.tree().roster
    }

    fn me(&self) -> Result<Owner, Refusal> {
        self.roster().me().map_err(Refusal::Unlisted)
    }

    fn is_current(&self) -> bool {
        self.handle.is_current()
    }
}

impl<S> Clone for Object<S> {
    fn clone(&self) -> Self {
        Object {
            handle: self.handle.clone(),
            _state: PhantomData,
        }
    }
}

/// Says whether the object is there at all.
impl<S> fmt::Debug for Object<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.handle.is_current() {
            "there"
        } else {
            "gone"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::protocol::event::Flag;
    use crate::shm::tree;
    use std::time::{Duration, Instant};

    /// As if by a process that was stopped inside.
    #[test]
    fn a_limit_is_kept_though_nobody_gets_in() {
        let object = Object::<Flag>::new(tree().unwrap(), |_| {}).unwrap();
        let me = object.me().unwrap();
        assert!(object.word().grab(me));
        let limits = [1, 20, 70, 160].map(Duration::from_millis);
        for limit in limits {
            // The best of some: others may keep this one off the processor.
            let late = (0..5).map(|_| {
                let began = Instant::now();
                let outcome = object.wait(Flag::wait(&object), Limit::from(limit));
                assert!(matches!(outcome, Err(Refusal::GaveUp(_))));
                began.elapsed().checked_sub(limit).expect("not before it")
            });
            let late = late.min().unwrap();
            assert!(late < Duration::from_millis(75), "{limit:?}: {late:?}");
        }
        object.word().unlock(true);
    }

    #[test]
    fn who_gets_in_after_the_end_leaves_everything_as_it_is() {
        let object = Object::<Flag>::new(tree().unwrap(), |_| {}).unwrap();
        let late = Object::<Flag>::from_handle(object.handle().without_creation());
        let me = object.me().unwrap();
        let word = late.word();
        assert!(word.grab(me));
        std::thread::scope(|scope| {
            let enters = scope.spawn(|| matches!(late.enter(), Err(Refusal::Gone)));
            while !word.state().has_waiters() {
                std::thread::yield_now();
            }
            drop(object);
            late.word().unlock(true);
            assert!(enters.join().unwrap());
        });
    }

    #[test]
    fn what_is_seen_while_the_object_ends_is_thrown_away() {
        let object = Object::<Flag>::new(tree().unwrap(), |_| {}).unwrap();
        let late = Object::<Flag>::from_handle(object.handle().without_creation());
        assert!(matches!(late.hint(|_| drop(object)), Err(Refusal::Gone)));
    }
}
