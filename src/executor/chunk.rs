//! Several calls as one task, each with its own end.
//!
//! To a process the calls travel as one message. Invariant: a chunk gives as many ends as it has items, in their order.

use super::callable::Callable;
use super::{Panicked, Portable, TaskError};
use crate::panic::catch;

/// The argument of a task that is a chunk: what to call, and with what.
pub(super) type ChunkCall<A, R> = (Callable<fn(A) -> R>, Vec<A>);

/// How one of its calls ended; a panic in parts that can be written down.
pub(super) type CallEnd<R> = Result<R, (String, Option<String>, Option<String>, Option<String>)>;

/// The task.
pub(super) fn run_chunk<A: Portable, R: Portable>(
    (function, items): ChunkCall<A, R>,
) -> Vec<CallEnd<R>> {
    items
        .into_iter()
        .map(|item| {
            catch(|| (function.0)(item)).map_err(|panic| {
                let backtrace = panic.backtrace.map(|text| text.to_string());
                let thread = worker_name().or(panic.thread);
                (panic.message, panic.location, thread, backtrace)
            })
        })
        .collect()
}

/// What this process is called, if it is a worker, whose tasks run on a thread without a name.
fn worker_name() -> Option<String> {
    #[cfg(all(feature = "process", target_os = "linux", not(loom)))]
    let name = crate::process::name().map(str::to_owned);
    #[cfg(not(all(feature = "process", target_os = "linux", not(loom))))]
    let name = None;
    name
}

/// What came of an item.
pub(super) fn result_of<R>(end: CallEnd<R>) -> Result<R, TaskError> {
    end.map_err(|(message, location, thread, backtrace)| {
        TaskError::Panicked(Panicked {
            message,
            location,
            thread,
            task: None,
            backtrace: backtrace.map(Into::into),
        })
    })
}

/// The argument of a task that is a call with two arguments.
pub(super) type PairCall<A, B, R> = (Callable<fn(A, B) -> R>, A, B);

/// The task.
pub(super) fn run_pair<A: Portable, B: Portable, R: Portable>(
    (function, one, two): PairCall<A, B, R>,
) -> R {
    (function.0)(one, two)
}

/// So many items a task, if there are `items`: four tasks for each that can run at once, so that the last ones are not
/// waited for for long.
pub(super) fn fitting(items: usize) -> usize {
    items.div_ceil(4 * crate::platform::cpus()).max(1)
}
