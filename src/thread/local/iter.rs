//! The values of all threads: looked at, changed, or taken.
//!
//! A thread may end while another goes through the values. So each comes with a share of its own, and the
//! thread's end only takes it out of its place.

use super::place::{Share, Value};
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::vec;

/// Some thread's value, shared with it. From [`Local::iter`](super::Local::iter).
pub struct LocalValue<'a, T> {
    value: Share<Value<T>>,
    _of: PhantomData<&'a T>,
}

impl<T> Deref for LocalValue<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the `Local` is borrowed, so nobody has a `&mut`. That `T` is `Sync`, `iter` has asked.
        unsafe { self.value.shared() }
    }
}

impl<T: fmt::Debug> fmt::Debug for LocalValue<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Some thread's value, to be changed. From [`Local::iter_mut`](super::Local::iter_mut).
pub struct LocalMut<'a, T> {
    value: Share<Value<T>>,
    _of: PhantomData<&'a mut T>,
}

impl<T> Deref for LocalMut<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the `Local` is borrowed mutably, so the others are only there to drop it, and each value
        // comes once.
        unsafe { self.value.shared() }
    }
}

impl<T> DerefMut for LocalMut<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { self.value.unique() }
    }
}

impl<T: fmt::Debug> fmt::Debug for LocalMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// An iterator over what was there when it was made.
macro_rules! iterator {
    ($(#[$meta:meta])* $name:ident<$($a:lifetime,)? T>, $item:ty, $of:ty, |$value:ident| $make:expr) => {
        $(#[$meta])*
        pub struct $name<$($a,)? T> {
            values: vec::IntoIter<Share<Value<T>>>,
            _of: PhantomData<$of>,
        }

        impl<$($a,)? T> $name<$($a,)? T> {
            pub(super) fn new(values: Vec<Share<Value<T>>>) -> Self {
                $name { values: values.into_iter(), _of: PhantomData }
            }
        }

        impl<$($a,)? T> Iterator for $name<$($a,)? T> {
            type Item = $item;

            fn next(&mut self) -> Option<$item> {
                self.values.find_map(|$value| $make)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                (0, Some(self.values.len()))
            }
        }

        impl<$($a,)? T> FusedIterator for $name<$($a,)? T> {}

        impl<$($a,)? T> fmt::Debug for $name<$($a,)? T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("left", &self.values.len()).finish()
            }
        }
    };
}

iterator! {
    /// The values of all threads. From [`Local::iter`](super::Local::iter).
    LocalIter<'a, T>, LocalValue<'a, T>, &'a T, |value| Some(LocalValue { value, _of: PhantomData })
}
iterator! {
    /// The values of all threads, to be changed. From [`Local::iter_mut`](super::Local::iter_mut).
    LocalIterMut<'a, T>, LocalMut<'a, T>, &'a mut T, |value| Some(LocalMut { value, _of: PhantomData })
}
iterator! {
    /// The values of all threads, taken. From `Local::into_iter`.
    LocalIntoIter<T>, T, T, |value| Share::try_unwrap(value).ok().map(Value::into_inner)
}
