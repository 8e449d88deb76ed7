//! How long something took, without the time that the machine kept its thread waiting for a processor.

use std::time::{Duration, Instant};

/// Runs `work` and says how long it took, less the time that this thread was ready to run and did not.
///
/// On a busy machine this is what the code under test is answerable for: a thread that another program
/// kept off the processor for a second has not waited for a second. Where the system does not tell
/// (`/proc/thread-self/schedstat`), it is the whole time.
pub fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let queued_before = time_in_queue();
    let began = Instant::now();
    let result = work();
    let took = began.elapsed();
    let queued = time_in_queue().saturating_sub(queued_before);
    (result, took.saturating_sub(queued))
}

/// How long this thread has been ready to run without running: the second field of the file.
fn time_in_queue() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let field = text.split_ascii_whitespace().nth(1);
    Duration::from_nanos(field.and_then(|text| text.parse().ok()).unwrap_or(0))
}
