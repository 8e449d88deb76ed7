//! [`Stats`]: what has happened to a queue.

/// What has happened to a queue since it was made. From [`BlockingQueue::stats`](super::BlockingQueue::stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// So many items were put in.
    pub put: u64,
    /// So many items were in it at most at the same time. A bound that is never reached may be too large, one
    /// that always is too small.
    pub high_water: usize,
}
