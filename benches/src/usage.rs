//! What a thread has used: time of a processor, and how often it went to sleep; and a process.

use rustix::time::{ClockId, clock_gettime};
use std::mem;
use std::time::Duration;

/// Of one thread, up to some moment or between two of them.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    pub cpu: Duration,
    /// Voluntary switches: it had nothing to do. One that yields stays ready, and does not count.
    pub sleeps: u64,
}

impl Usage {
    /// The current thread's up to now.
    pub fn so_far() -> Usage {
        // The times in `rusage` lag by up to a tick behind this clock.
        let time = clock_gettime(ClockId::ThreadCPUTime);
        // SAFETY: all zeros is a valid value of this struct of integers.
        let mut used: libc::rusage = unsafe { mem::zeroed() };
        // SAFETY: it writes one `rusage` there.
        let result = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut used) };
        assert_eq!(result, 0, "a thread may ask about itself");
        Usage {
            cpu: Duration::new(time.tv_sec as u64, time.tv_nsec as u32),
            sleeps: used.ru_nvcsw as u64,
        }
    }

    /// What came after `before`.
    pub fn since(self, before: Usage) -> Usage {
        Usage {
            cpu: self.cpu - before.cpu,
            sleeps: self.sleeps - before.sleeps,
        }
    }

    /// What the current thread uses for `work`.
    pub fn of<R>(work: impl FnOnce() -> R) -> (R, Usage) {
        let before = Usage::so_far();
        let result = work();
        (result, Usage::so_far().since(before))
    }

    pub fn and(self, other: Usage) -> Usage {
        Usage {
            cpu: self.cpu + other.cpu,
            sleeps: self.sleeps + other.sleeps,
        }
    }
}

/// Of all threads of this process, so far.
pub fn cpu_of_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{spin, steps};
    use std::thread;

    #[test]
    fn sleeping_is_counted_and_takes_no_time_of_a_processor() {
        let pause = Duration::from_millis(20);
        let ((), asleep) = Usage::of(|| (0..3).for_each(|_| thread::sleep(pause)));
        assert!(asleep.sleeps >= 3 && asleep.cpu < pause);
        let (_, awake) = Usage::of(|| spin(1, steps(pause)));
        assert!(awake.cpu > pause / 4, "{:?}", awake.cpu);
        let both = asleep.and(awake);
        assert_eq!(both.cpu, asleep.cpu + awake.cpu);
    }
}
