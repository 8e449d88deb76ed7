//! Who holds a lock between processes, for people who look.

use super::roster::Roster;
use super::word::Owner;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The process that holds a lock, as it was when it was asked about.
///
/// ```
/// let lock = latchwork::ipc::Lock::new()?;
/// let guard = lock.lock().unwrap();
/// let holder = lock.holder().expect("it is held");
/// assert_eq!(holder.pid(), std::process::id());
/// drop(guard);
/// assert!(lock.holder().is_none());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    pid: u32,
    name: String,
    waited_for: Option<Duration>,
}

impl Holder {
    /// `since`: when it began to be waited for, in nanoseconds of the monotonic clock.
    pub(crate) fn new(roster: &Roster, owner: Owner, since: Option<u64>) -> Option<Holder> {
        let ago = |since| monotonic_nanoseconds().saturating_sub(since);
        Some(Holder {
            pid: roster.pid_of(owner)?,
            name: roster.name_of(owner)?,
            waited_for: since.map(ago).map(Duration::from_nanos),
        })
    }

    /// Its process id, in the pid namespace that it lives in.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What `ps` called it when it first used shared memory: at most 15 bytes, empty without /proc.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For how long it has held the lock at least: since it took it, if it had to wait for it, and else
    /// since somebody began to wait.
    ///
    /// `None` if nobody waits: who takes a free lock does not look at a clock, which would cost more
    /// than the lock.
    pub fn held_for(&self) -> Option<Duration> {
        self.waited_for
    }
}

/// The clock of all processes of the machine.
pub(crate) fn monotonic_nanoseconds() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither is negative, and 584 years are enough.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
