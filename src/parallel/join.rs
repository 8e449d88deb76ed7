//! [`join`]: two closures at once, if there is somebody for the second.

use crate::executor::fork_join_here;
use crate::executor::global;
use std::panic::Location;

/// Runs both closures and returns both results: `a` here, and `b` meanwhile in another worker, if one comes to it before `a` has
/// ended; else here, after `a`. They may run one after the other, so neither must wait for the other.
///
/// In a worker of a [`ThreadPoolExecutor`](crate::executor::ThreadPoolExecutor) it uses that pool, else the process's default one, in
/// a worker of which both then run, while the caller waits.
/// [`ThreadPoolExecutor::fork_join`](crate::executor::ThreadPoolExecutor::fork_join) and
/// [`install`](crate::executor::ThreadPoolExecutor::install) name a pool.
///
/// # Locks
///
/// A worker that waits for a `b` that another one has taken runs parts of that same `b` and nothing else. So a lock that is held around
/// a `join` is never wanted by something foreign that happens to run on top: if it deadlocks, it would also have done so if `a` and
/// `b` had been called one after the other.
///
/// # Panics
///
/// With the panic of `a`, if it panics: `b` has ended by then, or it has been dropped without having begun, and a panic of its own
/// is discarded. Else with the panic of `b`.
///
/// # Cost
///
/// No allocation. A `b` that nobody has come to costs about as much as two calls that are not inlined; one that somebody takes costs
/// an exchange between two cores, and perhaps a wake-up: worth it from some microseconds on.
///
/// A recursion takes as much stack as the same recursion without `join`, and some hundred bytes a level.
///
/// # Source
///
/// Cilk's `spawn` and `sync`; Java's `ForkJoinPool`; the waiting is Wagner and Calder's leapfrogging.
///
/// ```
/// use latchwork::parallel;
///
/// fn fibonacci(n: u32) -> u64 {
///     if n < 2 {
///         return u64::from(n);
///     }
///     let (a, b) = parallel::join(|| fibonacci(n - 1), || fibonacci(n - 2));
///     a + b
/// }
///
/// assert_eq!(fibonacci(20), 6765);
/// ```
#[inline]
#[track_caller]
pub fn join<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    fork_join_here(a, b, global, Location::caller())
}
