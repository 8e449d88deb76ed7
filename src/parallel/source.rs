//! [`Source`]: what can be cut into pieces: ranges of numbers, and slices, shared or exclusive.

use std::ops::Range;

/// Something with a known number of items that can be cut in two, for [`for_each`](super::for_each()),
/// [`map_collect`](super::map_collect) and [`map_reduce`](super::map_reduce).
///
/// These are ranges of integers (`0..n`), and references to slices, arrays and vectors: `&data` gives `&T`, `&mut data` gives `&mut T`.
/// It is implemented here alone.
pub trait Source: Sized + sealed::IntoPieces {
    /// Pieces have at least so many items: for work so cheap that even a look at whether somebody is idle counts. By default 1.
    ///
    /// ```
    /// use latchwork::parallel::{self, Source};
    ///
    /// let sum = parallel::map_reduce((0..1_000_000_u64).min_len(4096), |n| n ^ 1, || 0, |a, b| a + b);
    /// assert_eq!(sum, 499_999_500_000);
    /// ```
    fn min_len(self, min_len: usize) -> MinLen<Self> {
        MinLen {
            source: self,
            min_len: min_len.max(1),
        }
    }
}

impl<S: sealed::IntoPieces> Source for S {}

/// A source that is not cut smaller. From [`Source::min_len`].
#[derive(Clone, Debug)]
pub struct MinLen<S> {
    source: S,
    min_len: usize,
}

pub(super) mod sealed {
    /// What becomes a [`Piece`].
    pub trait IntoPieces {
        type Item;
        type Piece: Piece<Item = Self::Item>;

        fn into_piece(self) -> Self::Piece;

        fn least(&self) -> usize {
            1
        }
    }

    /// Consecutive items.
    pub trait Piece: Send + Sized {
        type Item;

        fn len(&self) -> usize;

        /// The first `at` items, which there are, and the others.
        fn cut(self, at: usize) -> (Self, Self);

        fn items(self) -> impl Iterator<Item = Self::Item>;
    }
}

use sealed::{IntoPieces, Piece};

impl<S: IntoPieces> IntoPieces for MinLen<S> {
    type Item = S::Item;
    type Piece = S::Piece;

    fn into_piece(self) -> S::Piece {
        self.source.into_piece()
    }

    fn least(&self) -> usize {
        self.min_len.max(self.source.least())
    }
}

macro_rules! ranges {
    ($($number:ty as $unsigned:ty),*) => { $(
        impl IntoPieces for Range<$number> {
            type Item = $number;
            type Piece = Range<$number>;

            fn into_piece(self) -> Range<$number> {
                self
            }
        }

        impl Piece for Range<$number> {
            type Item = $number;

            #[inline]
            fn len(&self) -> usize {
                if self.is_empty() {
                    return 0;
                }
                let len = self.end.wrapping_sub(self.start) as $unsigned;
                // Only a 64-bit range on a machine of 32 bits can be longer; it is cut until it is not.
                usize::try_from(len).unwrap_or(usize::MAX)
            }

            #[inline]
            fn cut(self, at: usize) -> (Range<$number>, Range<$number>) {
                // Not more than there are, so it fits; where the type is signed it may wrap, and wraps back.
                let middle = self.start.wrapping_add(at as $number);
                (self.start..middle, middle..self.end)
            }

            #[inline]
            fn items(self) -> impl Iterator<Item = $number> {
                self
            }
        }
    )* };
}

ranges!(u8 as u8, u16 as u16, u32 as u32, u64 as u64, usize as usize);
ranges!(i8 as u8, i16 as u16, i32 as u32, i64 as u64, isize as usize);

impl<'a, T: Sync> Piece for &'a [T] {
    type Item = &'a T;

    #[inline]
    fn len(&self) -> usize {
        <[T]>::len(self)
    }

    #[inline]
    fn cut(self, at: usize) -> (&'a [T], &'a [T]) {
        self.split_at(at)
    }

    #[inline]
    fn items(self) -> impl Iterator<Item = &'a T> {
        self.iter()
    }
}

impl<'a, T: Send> Piece for &'a mut [T] {
    type Item = &'a mut T;

    #[inline]
    fn len(&self) -> usize {
        <[T]>::len(self)
    }

    #[inline]
    fn cut(self, at: usize) -> (&'a mut [T], &'a mut [T]) {
        self.split_at_mut(at)
    }

    #[inline]
    fn items(self) -> impl Iterator<Item = &'a mut T> {
        self.iter_mut()
    }
}

macro_rules! slices {
    ($([$($size:ident)?] $from:ty),*) => { $(
        impl<'a, T: Sync $(, const $size: usize)?> IntoPieces for &'a $from {
            type Item = &'a T;
            type Piece = &'a [T];

            fn into_piece(self) -> &'a [T] {
                self
            }
        }

        impl<'a, T: Send $(, const $size: usize)?> IntoPieces for &'a mut $from {
            type Item = &'a mut T;
            type Piece = &'a mut [T];

            fn into_piece(self) -> &'a mut [T] {
                self
            }
        }
    )* };
}

slices!([] [T], [] Vec<T>, [N] [T; N]);
