//! Counts by single-stepping a forked process with ptrace: exact on any Linux, without valgrind and without
//! the processor's counters, which virtual machines seldom have. For operations that need few steps: one
//! takes microseconds.

use crate::shared::Fork;
use std::io;

/// How many instructions one more of what `times` does so often takes: the difference of two runs, in which
/// everything falls out that is not repeated. What the kernel executes is not counted.
pub fn each(times: impl Fn(u32)) -> f64 {
    const FEW: u32 = 20;
    times(FEW); // What the first call does extra is done before the forks.
    let [once, twice] = [FEW, 2 * FEW].map(|count| executed(|| times(count)));
    (twice as f64 - once as f64) / f64::from(FEW)
}

/// How many steps a forked process takes from the beginning of `work` to its end.
fn executed(work: impl Fn()) -> u64 {
    let mut traced = Fork::new(|| {
        work(); // And what the first call in a new process does.
        // SAFETY: plain system calls; the stop hands this process over to the tracer.
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        work();
    });
    assert!(libc::WIFSTOPPED(traced.wait()), "the process did not stop");
    let mut steps = 0;
    loop {
        // SAFETY: our own child, stopped.
        let result = unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, traced.pid(), 0, 0) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        let status = traced.wait();
        if !libc::WIFSTOPPED(status) {
            assert_eq!(status, 0, "the process failed");
            return steps;
        }
        steps += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn two_of_a_thing_take_twice_the_steps_of_one() {
        let counter = black_box(&AtomicU64::new(0)) as *const AtomicU64;
        let add = |times: u32, adds: u32| {
            for _ in 0..times {
                for _ in 0..adds {
                    // SAFETY: it is there.
                    unsafe { (*black_box(counter)).fetch_add(1, Ordering::Relaxed) };
                }
            }
        };
        let [one, eight, fifteen] = [1, 8, 15].map(|adds| each(|times| add(times, adds)));
        assert!(one >= 1.0, "{one}");
        assert_eq!(fifteen - eight, eight - one, "{one} {eight} {fifteen}");
    }
}
