//! The guards: permits that go back when they are dropped, borrowed or owned.

use super::{AnySemaphore, Semaphore};
use std::fmt;
use std::ptr;
use std::sync::Arc;

/// The two guards differ in how they hold on to their semaphore, and in nothing else.
macro_rules! permit {
    ($(#[$meta:meta])* $name:ident<$($life:lifetime,)? S>, $handle:ty) => {
        $(#[$meta])*
        #[must_use = "the permits are given back at once if this is not kept"]
        pub struct $name<$($life,)? S: AnySemaphore = Semaphore> {
            of: $handle,
            n: usize,
        }

        impl<$($life,)? S: AnySemaphore> $name<$($life,)? S> {
            /// `n` permits that have just been taken.
            #[inline]
            pub(super) fn new(of: $handle, n: usize) -> Self {
                Self { of, n }
            }

            /// How many.
            pub fn count(&self) -> usize {
                self.n
            }

            /// Keeps the permits for good: the semaphore has so many fewer from now on, until
            /// somebody calls `release`.
            ///
            /// With that `release` this is how permits cross a boundary that no guard can cross:
            /// `acquire()?.forget()` here, `release(1)` there.
            pub fn forget(mut self) {
                self.n = 0;
            }

            /// Adds the permits of `other` to these.
            ///
            /// # Errors
            ///
            /// `other`, unchanged, if it is of another semaphore.
            pub fn merge(&mut self, mut other: Self) -> Result<(), Self> {
                if !ptr::eq(&*self.of, &*other.of) {
                    return Err(other);
                }
                match self.n.checked_add(other.n) {
                    Some(n) => self.n = n,
                    None => return Err(other),
                }
                other.n = 0;
                Ok(())
            }

            /// Takes `n` of these permits out into a guard of their own; `None`, and nothing has
            /// changed, if there are fewer.
            pub fn split(&mut self, n: usize) -> Option<Self> {
                self.n = self.n.checked_sub(n)?;
                Some(Self { of: self.of.clone(), n })
            }

            /// The semaphore they are of.
            pub fn semaphore(&self) -> &S {
                &self.of
            }
        }

        impl<$($life,)? S: AnySemaphore> Drop for $name<$($life,)? S> {
            #[inline]
            fn drop(&mut self) {
                if self.n > 0 {
                    self.of.raw().give_back(self.n);
                }
            }
        }

        impl<$($life,)? S: AnySemaphore> fmt::Debug for $name<$($life,)? S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("count", &self.n)
                    .finish_non_exhaustive()
            }
        }
    };
}

permit! {
    /// Permits taken from a [`Semaphore`] or a [`BoundedSemaphore`](super::BoundedSemaphore); dropping
    /// it gives them back.
    ///
    /// It may be dropped in another thread than the one that took it.
    ///
    /// ```
    /// use latchwork::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(5);
    /// let mut most = semaphore.acquire_many(4)?;
    /// let two = most.split(2).expect("there are four");
    /// assert_eq!((most.count(), two.count()), (2, 2));
    /// drop(most);
    /// assert_eq!(semaphore.available(), 3);
    /// # drop(two);
    /// # Ok::<(), latchwork::sync::AcquireError>(())
    /// ```
    Permit<'a, S>, &'a S
}

permit! {
    /// As [`Permit`], with the semaphore kept alive: for threads and tasks that outlive the scope.
    ///
    /// ```
    /// use latchwork::sync::Semaphore;
    /// use std::{sync::Arc, thread};
    ///
    /// let semaphore = Arc::new(Semaphore::new(1));
    /// let permit = semaphore.acquire_owned()?;
    /// let worker = thread::spawn(move || drop(permit));
    /// semaphore.acquire()?;
    /// # worker.join().unwrap();
    /// # Ok::<(), latchwork::sync::AcquireError>(())
    /// ```
    OwnedPermit<S>, Arc<S>
}
