//! A value that is made once, when it is first needed: [`Once`]. [`Lazy`](super::Lazy) knows how.

mod error;
mod raw;

pub use error::SetError;

use crate::platform::{UnsafeCell, const_fn, thread_id};
use crate::wait::TASK;
use crate::{GaveUp, Limit};
use raw::{RawOnce, Turn};
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::mem::MaybeUninit;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};

/// A place for a value that is made once, by whoever needs it first.
///
/// std's `OnceLock` with a limit, cancellation and an async face: who comes while another thread makes
/// the value waits for it, at most as long as it wants to.
///
/// An initialiser that panics, returns an error, or is a dropped future leaves the place empty, and the
/// first of those who wait and brought an initialiser runs its own. Those who only [`wait`](Once::wait)
/// go on waiting. There is no poison.
///
/// What was done to make the value is visible to everybody who gets it.
///
/// # Panics
///
/// A thread whose initialiser waits for the value it is making would wait for ever; it panics instead,
/// and the place is empty again. An asynchronous initialiser cannot be recognised and does wait, and so
/// does a thread that runs a future in its initialiser which waits for the value.
///
/// Threads whose initialisers wait for each other's values are a deadlock, which is reported:
/// [`debug::on_deadlock`](crate::debug::on_deadlock).
///
/// # Cost
///
/// The value is there: one load. Making it: two read-modify-writes. Size: four bytes and the value.
///
/// # Source
///
/// std's `OnceLock`, tokio's `OnceCell`; Go's `sync.Once`. Python has none.
///
/// ```
/// use latchwork::sync::Once;
/// use std::time::Duration;
///
/// static GREETING: Once<String> = Once::new();
///
/// assert!(GREETING.wait_within(Duration::from_millis(1)).is_err());
/// std::thread::scope(|s| {
///     s.spawn(|| assert_eq!(GREETING.wait(), "hello"));
///     let made = GREETING.get_or_init_within(Duration::from_secs(1), || "hello".to_owned());
///     assert_eq!(made.unwrap(), "hello");
/// });
/// assert!(GREETING.set("too late".to_owned()).is_err());
/// ```
#[doc(alias = "OnceLock")]
#[doc(alias = "OnceCell")]
pub struct Once<T> {
    raw: RawOnce,
    /// Written by the one who has its turn, before `complete`; from then on only read, until `&mut`.
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value moves with its place.
unsafe impl<T: Send> Send for Once<T> {}
// SAFETY: sharing the place shares `&T`, hence `Sync`, and lets one thread put a value there that
// another takes out or drops, hence `Send`.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

/// Who sees the place after a panic sees it empty, or a whole value; and may take that out, hence
/// `UnwindSafe`, as with std's `OnceLock`.
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for Once<T> {}

impl<T> Once<T> {
    const_fn! {
        /// An empty place.
        pub fn new() -> Once<T> {
            Once { raw: RawOnce::new(), value: UnsafeCell::new(MaybeUninit::uninit()) }
        }
    }

    /// The value, if it is there; never blocks.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: it is set.
        self.raw.is_set().then(|| unsafe { self.value() })
    }

    /// The value, without asking anybody: `&mut self` proves that nobody else is here.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        if !self.raw.is_set() {
            return None;
        }
        // SAFETY: it is set, hence initialised, and `&mut self` is unique.
        Some(
            self.value
                .with_mut(|value| unsafe { (*value).assume_init_mut() }),
        )
    }

    /// Takes the value out; the place is empty again.
    pub fn take(&mut self) -> Option<T> {
        if !self.raw.is_set() {
            return None;
        }
        self.raw.clear();
        // SAFETY: it was set, hence initialised; it is not any more, so nobody reads or drops it again.
        Some(
            self.value
                .with_mut(|value| unsafe { (*value).assume_init_read() }),
        )
    }

    /// The value; the place is gone.
    pub fn into_inner(mut self) -> Option<T> {
        self.take()
    }

    /// Puts the value there; never blocks.
    ///
    /// # Errors
    ///
    /// The value comes back when there is one, or when somebody is making one.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        let owner = thread_id();
        match self.raw.try_begin(owner) {
            Some(Turn::Mine) => {
                Initialising { once: self, owner }.complete(value);
                Ok(())
            }
            Some(Turn::Set) => Err(SetError::AlreadySet(value)),
            None => Err(SetError::Initialising(value)),
        }
    }

    /// The value; if it is not there, made by `f`. Blocks while somebody else makes it.
    ///
    /// # Panics
    ///
    /// If `f` does, and if this is called from inside the initialiser of the same value.
    #[inline]
    #[track_caller]
    #[doc(alias = "call_once")]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        match self.get_or_try_init(|| Ok::<T, Infallible>(f())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The value; if it is not there, made by `f`, which may fail. Blocks while somebody else makes it.
    ///
    /// # Errors
    ///
    /// What `f` says. The place is empty then, and the next to need the value tries again.
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Once::get_or_init).
    #[inline]
    #[track_caller]
    pub fn get_or_try_init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        match self.begin(&Limit::none(), Location::caller()) {
            Ok(Begun::Set(value)) => Ok(value),
            Ok(Begun::Mine(place)) => Ok(place.complete(f()?)),
            Err(_) => unreachable!("a wait without a limit gave up"),
        }
    }

    /// The value; if it is not there, made by `f`. Blocks at most as long as `limit` says while somebody
    /// else makes it. How long `f` itself takes is its own affair.
    ///
    /// # Errors
    ///
    /// Why it gave up; `f` has not run then.
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Once::get_or_init).
    #[track_caller]
    pub fn get_or_init_within<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
        f: impl FnOnce() -> T,
    ) -> Result<&T, GaveUp> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        match self.begin(&limit.into(), Location::caller())? {
            Begun::Set(value) => Ok(value),
            Begun::Mine(place) => Ok(place.complete(f())),
        }
    }

    /// The value; if it is not there, made by the future of `f`, for any runtime. While somebody else
    /// makes it, thread or task, it waits. A future that is dropped while it makes the value leaves the
    /// place empty.
    #[track_caller]
    pub fn get_or_init_async<F>(&self, f: impl FnOnce() -> F) -> impl Future<Output = &T>
    where
        F: Future<Output = T>,
    {
        let beginning = self.raw.begin_async();
        async move {
            match beginning.await {
                // SAFETY: it is set.
                Turn::Set => unsafe { self.value() },
                Turn::Mine => {
                    let place = Initialising {
                        once: self,
                        owner: TASK,
                    };
                    let value = f().await;
                    place.complete(value)
                }
            }
        }
    }

    /// As [`get_or_init_async`](Once::get_or_init_async), with a future that may fail.
    ///
    /// # Errors
    ///
    /// What the future of `f` says. The place is empty then, and the next to need the value tries again.
    #[track_caller]
    pub fn get_or_try_init_async<E, F>(
        &self,
        f: impl FnOnce() -> F,
    ) -> impl Future<Output = Result<&T, E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let beginning = self.raw.begin_async();
        async move {
            match beginning.await {
                // SAFETY: it is set.
                Turn::Set => Ok(unsafe { self.value() }),
                Turn::Mine => {
                    let place = Initialising {
                        once: self,
                        owner: TASK,
                    };
                    let value = f().await?;
                    Ok(place.complete(value))
                }
            }
        }
    }

    /// Blocks until the value is there, whoever makes it.
    ///
    /// # Panics
    ///
    /// If this is called from inside the initialiser.
    #[inline]
    #[track_caller]
    pub fn wait(&self) -> &T {
        match self.wait_within(Limit::none()) {
            Ok(value) => value,
            Err(_) => unreachable!("a wait without a limit gave up"),
        }
    }

    /// Blocks until the value is there, at most as long as `limit` says. [`get`](Once::get) is the face
    /// that never blocks.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    ///
    /// # Panics
    ///
    /// If this is called from inside the initialiser.
    #[inline]
    #[track_caller]
    pub fn wait_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Result<&T, GaveUp> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        self.raw.wait(&limit.into(), Location::caller())?;
        // SAFETY: it is set.
        Ok(unsafe { self.value() })
    }

    /// Resolves when the value is there; for any runtime.
    #[track_caller]
    pub fn wait_async(&self) -> impl Future<Output = &T> {
        let waiting = self.raw.wait_async();
        async move {
            waiting.await;
            // SAFETY: it is set.
            unsafe { self.value() }
        }
    }

    fn begin(
        &self,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<Begun<'_, T>, GaveUp> {
        Ok(match self.raw.begin(limit, place)? {
            // SAFETY: it is set.
            Turn::Set => Begun::Set(unsafe { self.value() }),
            Turn::Mine => Begun::Mine(Initialising {
                once: self,
                owner: thread_id(),
            }),
        })
    }

    /// Safety: the caller has learnt from the word that the value is set.
    #[inline]
    unsafe fn value(&self) -> &T {
        // SAFETY: set, hence initialised, and only read as long as `self` is shared.
        self.value
            .with(|value| unsafe { (*value).assume_init_ref() })
    }
}

enum Begun<'a, T> {
    Set(&'a T),
    Mine(Initialising<'a, T>),
}

/// The turn to make the value. Dropped without one, by a panic, an error or the drop of a future, it
/// leaves the place empty and tells the next.
struct Initialising<'a, T> {
    once: &'a Once<T>,
    owner: u32,
}

impl<'a, T> Initialising<'a, T> {
    fn complete(self, value: T) -> &'a T {
        let once = self.once;
        // SAFETY: it is our turn and nobody else's, and as nothing is set, nobody reads.
        once.value
            .with_mut(|place| unsafe { (*place).write(value) });
        once.raw.complete(self.owner);
        std::mem::forget(self);
        // SAFETY: it is set.
        unsafe { once.value() }
    }
}

impl<T> Drop for Initialising<'_, T> {
    fn drop(&mut self) {
        self.once.raw.fail(self.owner);
    }
}

impl<T> Drop for Once<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<T> Default for Once<T> {
    fn default() -> Once<T> {
        Once::new()
    }
}

impl<T> From<T> for Once<T> {
    fn from(value: T) -> Once<T> {
        let once = Once::new();
        // Nobody else is here, so nothing is in the way.
        let _ = once.set(value);
        once
    }
}

impl<T: fmt::Debug> fmt::Debug for Once<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Once");
        match self.get() {
            Some(value) => out.field("value", value),
            None => out.field("initialised_by", &crate::debug::Owner(self.raw.owner())),
        };
        out.finish()
    }
}
