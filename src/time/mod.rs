//! What happens at an instant: timers, sleeps, time-outs of futures; and a clock that tests can drive.
//!
//! * [`Timer`]: a function that is called after a while, at an instant, or [every so often](Timer::every).
//! * [`Scheduler`]: timers that belong together, called in a pool if one says so.
//! * [`sleep_async`] and [`timeout`]: for futures, on any runtime or none.
//! * [`ManualClock`]: time passes when the test says so.
//!
//! One thread and one hierarchical wheel ring for the whole process. Nothing runs while nothing is due.

mod error;
mod manual;
mod place;
mod repeat;
mod scheduler;
mod sleep;
mod task;
mod timer;

pub use error::TimerError;
pub use manual::{ManualClock, OnClock};
pub use repeat::{Every, Misfire, Tick};
pub use scheduler::Scheduler;
pub use sleep::{sleep, sleep_async, sleep_until, sleep_until_async, timeout};
pub use timer::{Cancel, NotRung, Timer};

use place::Place;
use std::time::{Duration, Instant};

/// What a delay comes to that is too long for the clock: nobody will live to see its end.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What time it is, by the clock that the calling thread is on: the machine's monotonic one, or a [`ManualClock`].
///
/// For deadlines that a test can let pass: `time::now() + duration` where one would have written `Instant::now() + duration`.
pub fn now() -> Instant {
    crate::wait::time::now()
}
