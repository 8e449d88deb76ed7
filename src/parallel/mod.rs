//! Work on all processors: fork and join, loops, and joblib's `Parallel`.
//!
//! | you know | take |
//! |---|---|
//! | `rayon::join`, Cilk's `spawn` | [`join()`] |
//! | `par_iter().for_each(..)`, OpenMP's `parallel for` | [`for_each()`], [`for_each_mut`] |
//! | `par_iter().map(..).collect()` | [`map_collect`] |
//! | `par_iter().map(..).reduce(..)` | [`map_reduce`] |
//! | joblib's `Parallel(n_jobs)(delayed(f)(x) for x in data)` | [`parallel`] |
//!
//! All of it runs in the [`ThreadPoolExecutor`](crate::executor::ThreadPoolExecutor) whose worker the caller is, or else in
//! the [process's own](crate::executor::global). So it can be nested at will, and never uses more threads
//! than the pool has.

mod collect;
mod for_each;
mod joblib;
mod join;
mod settings;
mod shared;
mod source;
mod split;
mod stream;

pub use for_each::{for_each, for_each_mut, map_collect, map_reduce};
pub use joblib::{Parallel, ParallelMap, parallel};
pub use join::join;
pub use settings::{Batch, Jobs, ParallelError, Progress};
pub use source::{MinLen, Source};
pub use stream::Stream;
