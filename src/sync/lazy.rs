//! [`Lazy`]: a value that makes itself when it is first looked at.

use super::Once;
use crate::platform::const_fn;
use crate::{GaveUp, Limit};
use std::fmt;
use std::future::{self, Future};
use std::ops::Deref;

/// A value that makes itself when it is first looked at, by its own function.
///
/// A [`Once`] with its initialiser beside it, and otherwise the same: who comes while another thread makes
/// the value waits, with [`force_within`](Lazy::force_within) at most so long. The function is `Fn`
/// because a panic in it leaves the place empty, and the next look tries again.
///
/// What is not a look at the value is an associated function, `Lazy::force(&lazy)`, so that it hides no
/// method of the value.
///
/// # Panics
///
/// A look panics if the function does, and if the function looks at the value it is making.
///
/// # Cost
///
/// As [`Once`]. Size: a `Once` and the function.
///
/// # Source
///
/// std's `LazyLock`, with a limit and without poison.
///
/// ```
/// use latchwork::sync::Lazy;
///
/// static PRIMES: Lazy<Vec<u32>> = Lazy::new(|| vec![2, 3, 5, 7]);
///
/// assert!(Lazy::get(&PRIMES).is_none());
/// assert_eq!(PRIMES.len(), 4);
/// assert!(Lazy::get(&PRIMES).is_some());
/// ```
#[doc(alias = "LazyLock")]
#[doc(alias = "lazy_static")]
pub struct Lazy<T, F = fn() -> T> {
    once: Once<T>,
    make: F,
}

impl<T, F: Fn() -> T> Lazy<T, F> {
    const_fn! {
        /// A value that `make` will make.
        pub fn new(make: F) -> Lazy<T, F> {
            Lazy { once: Once::new(), make }
        }
    }

    /// The value, made now if need be. Blocks while somebody else makes it.
    #[inline]
    #[track_caller]
    pub fn force(this: &Lazy<T, F>) -> &T {
        this.once.get_or_init(&this.make)
    }

    /// The value, made now if need be. Blocks at most as long as `limit` says while somebody else makes it.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    #[track_caller]
    pub fn force_within<'l>(this: &Lazy<T, F>, limit: impl Into<Limit<'l>>) -> Result<&T, GaveUp> {
        this.once.get_or_init_within(limit, &this.make)
    }

    /// The value, made by the task if need be. While somebody else makes it, the task waits.
    #[track_caller]
    pub fn force_async(this: &Lazy<T, F>) -> impl Future<Output = &T> {
        this.once.get_or_init_async(|| future::ready((this.make)()))
    }
}

impl<T, F> Lazy<T, F> {
    /// The value, if it has been made; never blocks.
    #[inline]
    pub fn get(this: &Lazy<T, F>) -> Option<&T> {
        this.once.get()
    }

    /// The value, if it has been made, to be changed.
    pub fn get_mut(this: &mut Lazy<T, F>) -> Option<&mut T> {
        this.once.get_mut()
    }

    /// The value, if it has been made; otherwise what would have made it.
    ///
    /// # Errors
    ///
    /// The function, if there is no value.
    pub fn into_inner(this: Lazy<T, F>) -> Result<T, F> {
        let Lazy { once, make } = this;
        once.into_inner().ok_or(make)
    }
}

impl<T, F: Fn() -> T> Deref for Lazy<T, F> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        Lazy::force(self)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for Lazy<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lazy").field(&self.once).finish()
    }
}
