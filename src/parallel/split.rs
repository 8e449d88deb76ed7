//! How work is split: a worker keeps half of what is left where others can take it, and does the other half in blocks.
//!
//! After each block it looks whether that half has been taken, and if so, cuts what is left in two again. So a piece is cut as often
//! as somebody has come for one, and log2 times if nobody comes, whatever the items cost. A look is two loads. Blocks grow as long
//! as they are quick, and are at most an eighth of what is left, so that a worker is not found with much that nobody can take.

use super::pool::default_pool;
use super::source::sealed::Piece;
use crate::executor::{fork_join_here, is_worker, keeps_nothing_for_others};
use std::panic::Location;
use std::time::{Duration, Instant};

/// A block of fewer items is not timed.
const TIMED: usize = 16;
/// A block that takes longer is not followed by a larger one.
const QUICK: Duration = Duration::from_micros(50);
/// At most this part of what is left is a block.
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
    if is_worker() || piece.len() <= least {
        return go_on(fold.begin(&piece), piece, least, fold, place);
    }
    default_pool().install(|| go_on(fold.begin(&piece), piece, least, fold, place))
}

fn go_on<P: Piece, F: Fold<P>>(
    mut done: F::Output,
    mut piece: P,
    least: usize,
    fold: &F,
    place: &'static Location<'static>,
) -> F::Output {
    let mut block = least;
    loop {
        let len = piece.len();
        if len / 2 < least {
            return fold.fold(done, piece);
        }
        if keeps_nothing_for_others() {
            let (left, right) = piece.cut(len / 2);
            let begun = fold.begin(&right);
            let (left, right) = fork_join_here(
                || go_on(done, left, least, fold, place),
                || go_on(begun, right, least, fold, place),
                default_pool,
                place,
            );
            return fold.combine(left, right);
        }
        let size = block.min(len / PART).max(least);
        let (now, rest) = piece.cut(size);
        let is_timed = size >= TIMED;
        let start = is_timed.then(Instant::now);
        done = fold.fold(done, now);
        piece = rest;
        if start.is_none_or(|start| start.elapsed() < QUICK) {
            block = size.saturating_mul(2);
        } else {
            block = (size / 2).max(least);
        }
    }
}
