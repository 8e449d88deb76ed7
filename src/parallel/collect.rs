//! Results straight into their places in a `Vec`.
//!
//! Each piece has its part of the vector's spare room. What has been written in a part is a [`Run`], which drops it unless it
//! is joined to its left neighbour, and at last handed to the vector: so a panic anywhere leaves nothing behind.

use super::source::sealed::Piece;
use super::split::{self, Fold};
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::panic::Location;
use std::ptr;

/// A pointer into the vector's room.
struct Place<R>(*mut R);

// SAFETY: whoever has it may write `R`s there, which are `Send`; nobody reads through it.
unsafe impl<R: Send> Send for Place<R> {}

/// A piece, and where its results go: room for as many.
struct Placed<P, R> {
    piece: P,
    place: Place<R>,
}

impl<P: Piece, R: Send> Piece for Placed<P, R> {
    type Item = P::Item;

    fn len(&self) -> usize {
        self.piece.len()
    }

    fn cut(self, at: usize) -> (Self, Self) {
        let (left, right) = self.piece.cut(at);
        // SAFETY: there is room for as many as the piece has items, which are at least `at`.
        let place = Place(unsafe { self.place.0.add(at) });
        (
            Placed {
                piece: left,
                place: self.place,
            },
            Placed {
                piece: right,
                place,
            },
        )
    }

    fn items(self) -> impl Iterator<Item = P::Item> {
        self.piece.items()
    }
}

/// So many results, from there on.
struct Run<R> {
    start: *mut R,
    len: usize,
    _of: PhantomData<R>,
}

// SAFETY: it owns the results.
unsafe impl<R: Send> Send for Run<R> {}

impl<R> Drop for Run<R> {
    fn drop(&mut self) {
        // SAFETY: they have been written, and are nobody else's.
        unsafe { ptr::drop_in_place(ptr::slice_from_raw_parts_mut(self.start, self.len)) };
    }
}

struct Collect<'f, F>(&'f F);

impl<P: Piece, R: Send, F: Fn(P::Item) -> R + Sync> Fold<Placed<P, R>> for Collect<'_, F> {
    type Output = Run<R>;

    fn begin(&self, piece: &Placed<P, R>) -> Run<R> {
        Run {
            start: piece.place.0,
            len: 0,
            _of: PhantomData,
        }
    }

    #[inline]
    fn fold(&self, mut run: Run<R>, placed: Placed<P, R>) -> Run<R> {
        let most = placed.piece.len();
        let start = placed.place.0;
        debug_assert!(ptr::eq(start, run.start.wrapping_add(run.len)));
        for (at, item) in placed.piece.items().take(most).enumerate() {
            let result = (self.0)(item);
            // SAFETY: there is room for as many as the piece has items, and nobody else writes there.
            unsafe { start.add(at).write(result) };
            run.len += 1;
        }
        run
    }

    fn combine(&self, left: Run<R>, right: Run<R>) -> Run<R> {
        // The left one is whole: it has not panicked.
        assert!(ptr::eq(right.start, left.start.wrapping_add(left.len)));
        let (left, right) = (ManuallyDrop::new(left), ManuallyDrop::new(right));
        Run {
            start: left.start,
            len: left.len + right.len,
            _of: PhantomData,
        }
    }
}

pub(super) fn map_collect<P: Piece, R: Send, F: Fn(P::Item) -> R + Sync>(
    piece: P,
    least: usize,
    f: &F,
    place: &'static Location<'static>,
) -> Vec<R> {
    let len = piece.len();
    let mut results: Vec<R> = Vec::with_capacity(len);
    let placed = Placed {
        piece,
        place: Place(results.as_mut_ptr()),
    };
    let run = split::fold(placed, least, &Collect(f), place);
    assert_eq!(run.len, len, "a result for each item");
    mem::forget(run);
    // SAFETY: as many have been written, from the first place on.
    unsafe { results.set_len(len) };
    results
}
