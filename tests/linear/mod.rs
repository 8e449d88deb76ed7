//! Is a recorded history of concurrent operations linearizable?
//!
//! It is, if the operations have one order in which the sequential specification answers each of them as
//! it was answered, and in which an operation that had returned before another was called comes before
//! it. The search is Wing and Gong's: try each operation that may be the next, that is, which was called
//! before any of the remaining ones returned. Lowe's memory is added: the same operations done, leading
//! to the same state, need not be tried twice, and that makes it fast.
//!
//! [`record`] makes histories of real threads. Its clock is one atomic that everybody changes, so the
//! recorded threads are a little more orderly than those of a program: this finds wrong answers and lost
//! items; missing orderings of memory are the models' to find.

pub mod model;
pub mod record;
pub mod subjects;

use std::collections::HashSet;
use std::fmt::{self, Debug};
use std::hash::Hash;

/// What is right, as a program without concurrency: its value is the state.
pub trait Spec: Clone + Eq + Hash {
    type Op: Debug;
    type Ret: Debug + PartialEq;

    /// Does it and answers. An operation that cannot be done answers so and changes nothing.
    fn apply(&mut self, op: &Self::Op) -> Self::Ret;
}

/// One operation, as it was seen from outside.
#[derive(Clone, Debug)]
pub struct Operation<Op, Ret> {
    pub thread: usize,
    pub op: Op,
    pub ret: Ret,
    /// When it was called and when it returned. No two instants of a history are equal.
    pub called: u64,
    pub returned: u64,
}

pub type History<S> = [Operation<<S as Spec>::Op, <S as Spec>::Ret>];

/// The most operations of one history.
pub const MOST: usize = 128;

/// A set of operations of a history.
type Done = u128;

/// An order that explains the history, as indices into it; or the longest that was found to explain a part.
///
/// # Panics
///
/// If there are more than [`MOST`] operations.
pub fn linearize<S: Spec>(start: &S, history: &History<S>) -> Result<Vec<usize>, Vec<usize>> {
    assert!(history.len() <= MOST, "too long a history");
    let mut search = Search {
        history,
        seen: HashSet::new(),
        order: Vec::new(),
        best: Vec::new(),
    };
    match search.go_on(0, start.clone()) {
        true => Ok(search.order),
        false => Err(search.best),
    }
}

struct Search<'a, S: Spec> {
    history: &'a History<S>,
    /// What has been reached, and has not led to an end.
    seen: HashSet<(Done, S)>,
    order: Vec<usize>,
    best: Vec<usize>,
}

impl<S: Spec> Search<'_, S> {
    fn go_on(&mut self, done: Done, state: S) -> bool {
        if self.order.len() > self.best.len() {
            self.best.clone_from(&self.order);
        }
        let remaining = |n: &usize| done & (1 << n) == 0;
        let left = (0..self.history.len()).filter(remaining);
        let Some(end) = left.clone().map(|n| self.history[n].returned).min() else {
            return true;
        };
        for n in left {
            let Operation {
                op, ret, called, ..
            } = &self.history[n];
            if *called > end {
                continue;
            }
            let mut next = state.clone();
            if next.apply(op) != *ret {
                continue;
            }
            let done = done | 1 << n;
            if !self.seen.insert((done, next.clone())) {
                continue;
            }
            self.order.push(n);
            if self.go_on(done, next) {
                return true;
            }
            self.order.pop();
        }
        false
    }
}

/// Fails with the whole story if the history is not linearizable.
#[track_caller]
pub fn assert_linearizable<S: Spec + Debug>(
    about: &dyn fmt::Display,
    start: &S,
    history: &History<S>,
) {
    if let Err(best) = linearize(start, history) {
        panic!("{about}: not linearizable\n{}", Story(start, history, best));
    }
}

/// A history to be read: each operation with its interval, and the part that can be explained.
struct Story<'a, S: Spec>(&'a S, &'a History<S>, Vec<usize>);

impl<S: Spec + Debug> fmt::Display for Story<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Story(start, history, best) = self;
        let mut by_call: Vec<_> = (0..history.len()).collect();
        by_call.sort_by_key(|&n| history[n].called);
        for n in by_call {
            let Operation {
                thread,
                op,
                ret,
                called,
                returned,
            } = &history[n];
            let place = best.iter().position(|&b| b == n);
            let place = place.map_or("-".to_owned(), |place| place.to_string());
            writeln!(
                f,
                "  {place:>3}  [{called:>3}, {returned:>3}]  thread {thread}: {op:?} -> {ret:?}"
            )?;
        }
        let mut state = (*start).clone();
        for &n in best {
            state.apply(&history[n].op);
        }
        write!(f, "the numbered ones lead to {state:?}; none can follow")
    }
}
