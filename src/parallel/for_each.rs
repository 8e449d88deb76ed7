//! [`for_each`], [`map_collect`] and [`map_reduce`]: a loop on all processors.

use super::collect;
use super::source::Source;
use super::source::sealed::Piece;
use super::split::{self, Fold};
use std::marker::PhantomData;
use std::panic::Location;

struct Each<F>(F);

impl<P: Piece, F: Fn(P::Item) + Sync> Fold<P> for Each<F> {
    type Output = ();

    fn begin(&self, _piece: &P) {}

    #[inline]
    fn fold(&self, (): (), piece: P) {
        piece.items().for_each(&self.0);
    }

    fn combine(&self, (): (), (): ()) {}
}

/// Calls `f` for every item, on all processors, and returns when all are done. In no order.
///
/// It happens in the pool of the current worker, or else in the process's default one, while the caller waits:
/// see [`join`](super::join()). How much is done at a time adapts to how long it takes and to who is idle.
///
/// # Panics
///
/// With a panic of `f`. Nothing runs any more by then; of the other items some have been done and some have not.
///
/// # Cost
///
/// A fork for each time that somebody idle takes half of what is left, and a glance or two for an item; worth it from some ten
/// microseconds in all.
///
/// ```
/// use latchwork::parallel;
///
/// let mut numbers: Vec<u32> = (0..1000).collect();
/// parallel::for_each(&mut numbers, |n| *n *= 2);
/// assert_eq!(numbers[999], 1998);
/// ```
#[track_caller]
pub fn for_each<S: Source>(source: S, f: impl Fn(S::Item) + Sync) {
    let least = source.least();
    split::fold(source.into_piece(), least, &Each(f), Location::caller());
}

/// As [`for_each`] for the items of a slice, each of which `f` may change.
#[track_caller]
pub fn for_each_mut<T: Send>(slice: &mut [T], f: impl Fn(&mut T) + Sync) {
    split::fold(slice, 1, &Each(f), Location::caller());
}

/// What `f` makes of the items, in their order.
///
/// As [`for_each`] otherwise.
///
/// # Panics
///
/// With a panic of `f`; what has been made of the others is dropped.
///
/// ```
/// assert_eq!(latchwork::parallel::map_collect(1..5, |n| n * n), [1, 4, 9, 16]);
/// ```
#[track_caller]
pub fn map_collect<S: Source, R: Send>(source: S, f: impl Fn(S::Item) -> R + Sync) -> Vec<R> {
    let least = source.least();
    collect::map_collect(source.into_piece(), least, &f, Location::caller())
}

struct MapReduce<M, I, R, T> {
    map: M,
    identity: I,
    reduce: R,
    _of: PhantomData<fn() -> T>,
}

impl<P, M, I, R, T> Fold<P> for MapReduce<M, I, R, T>
where
    P: Piece,
    M: Fn(P::Item) -> T + Sync,
    I: Fn() -> T + Sync,
    R: Fn(T, T) -> T + Sync,
    T: Send,
{
    type Output = T;

    fn begin(&self, _piece: &P) -> T {
        (self.identity)()
    }

    #[inline]
    fn fold(&self, before: T, piece: P) -> T {
        let reduce = |sum, item| (self.reduce)(sum, (self.map)(item));
        piece.items().fold(before, reduce)
    }

    fn combine(&self, left: T, right: T) -> T {
        (self.reduce)(left, right)
    }
}

/// Reduces what `map` makes of the items to one: `reduce(reduce(identity(), map(first)), map(second))` and so on.
///
/// Neighbours are reduced in their order, but which are reduced first, and how often there is an `identity()` in between, differs from
/// run to run. So `reduce` must be associative, and `identity()` must change nothing; for floating-point numbers, which are
/// not, the last digits of a sum vary.
///
/// As [`for_each`] otherwise.
///
/// # Panics
///
/// With a panic of one of the three.
///
/// ```
/// use latchwork::parallel;
///
/// let words = ["to", "be", "or", "not", "to", "be"];
/// let letters = parallel::map_reduce(&words, |word| word.len(), || 0, |a, b| a + b);
/// assert_eq!(letters, 13);
/// ```
#[track_caller]
pub fn map_reduce<S: Source, T: Send>(
    source: S,
    map: impl Fn(S::Item) -> T + Sync,
    identity: impl Fn() -> T + Sync,
    reduce: impl Fn(T, T) -> T + Sync,
) -> T {
    let least = source.least();
    let fold = MapReduce {
        map,
        identity,
        reduce,
        _of: PhantomData,
    };
    split::fold(source.into_piece(), least, &fold, Location::caller())
}
