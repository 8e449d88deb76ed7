//! How work is split: in halves, one of which others can take, down to grains.
//!
//! A grain is so many items as are done in some ten microseconds; it begins with one (or the least that was asked for), and is measured as
//! work goes on. As long as it is that small, or unknown, everything is cut down to it, as by a recursion that forks: all
//! that is not being worked on lies where others can take it, which for long items is what counts. Once items are known to
//! be quick, a worker cuts what it has in two only when it has nothing left that others could take, and works on in
//! grains in between: so there are as many cuts as somebody comes for work, and log2 if nobody comes.
//!
//! A grain is at most an eighth of what is left, so that one that turns out to be heavy does not hold much back.

use super::source::sealed::Piece;
use crate::executor::global;
use crate::executor::{fork_join_here, is_worker, keeps_nothing_for_others};
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A grain that takes longer than this is too large.
const QUICK: Duration = Duration::from_micros(40);
/// What is less than this part of a grain has nothing to teach.
const KNOWN: usize = 4;
/// At most this part of what is left is a grain.
const PART: usize = 8;

/// What is done with pieces.
pub(super) trait Fold<P: Piece>: Sync {
    type Output: Send;

    /// Of nothing, in front of that piece.
    fn begin(&self, piece: &P) -> Self::Output;

    /// What came before, and the piece after it.
    fn fold(&self, before: Self::Output, piece: P) -> Self::Output;

    /// Two neighbours.
    fn combine(&self, left: Self::Output, right: Self::Output) -> Self::Output;
}

/// All of it, in the pool of the current worker or else in the default one.
pub(super) fn fold<P: Piece, F: Fold<P>>(
    piece: P,
    least: usize,
    fold: &F,
    place: &'static Location<'static>,
) -> F::Output {
    let loop_ = Loop {
        fold,
        least,
        grain: AtomicUsize::new(least),
        place,
    };
    if is_worker() || piece.len() <= least {
        return loop_.go_on(fold.begin(&piece), piece);
    }
    global().install(|| loop_.go_on(fold.begin(&piece), piece))
}

struct Loop<'f, F> {
    fold: &'f F,
    least: usize,
    /// See the head of this file. A guess that all who work on it share.
    grain: AtomicUsize,
    place: &'static Location<'static>,
}

impl<F> Loop<'_, F> {
    /// As `fold`, and learns from how long it takes.
    fn grain<P: Piece>(&self, before: F::Output, piece: P) -> F::Output
    where
        F: Fold<P>,
    {
        let size = piece.len();
        let grain = self.grain.load(Ordering::Relaxed);
        if size < grain / KNOWN {
            return self.fold.fold(before, piece);
        }
        let start = Instant::now();
        let done = self.fold.fold(before, piece);
        let took = start.elapsed();
        let new = if took > QUICK {
            grain.min((size / 2).max(self.least))
        } else if took < QUICK / 16 {
            grain.max(size.saturating_mul(8))
        } else if took < QUICK / 2 {
            grain.max(size.saturating_mul(2))
        } else {
            grain
        };
        if new != grain {
            self.grain.store(new, Ordering::Relaxed);
        }
        done
    }

    fn go_on<P: Piece>(&self, mut done: F::Output, mut piece: P) -> F::Output
    where
        F: Fold<P>,
    {
        loop {
            let len = piece.len();
            let grain = self.grain.load(Ordering::Relaxed);
            if len / 2 < self.least || len <= grain && grain > self.least {
                return self.grain(done, piece);
            }
            if grain == self.least || keeps_nothing_for_others() {
                return self.fork(done, piece);
            }
            let size = grain.min(len / PART).max(self.least);
            let (now, rest) = piece.cut(size);
            done = self.grain(done, now);
            piece = rest;
        }
    }

    fn fork<P: Piece>(&self, done: F::Output, piece: P) -> F::Output
    where
        F: Fold<P>,
    {
        let middle = piece.len() / 2;
        let (left, right) = piece.cut(middle);
        let begun = self.fold.begin(&right);
        let (left, right) = fork_join_here(
            || self.go_on(done, left),
            || self.go_on(begun, right),
            global,
            self.place,
        );
        self.fold.combine(left, right)
    }
}
