//! A victim that is killed after a chosen number of instructions.

use crate::victim::Victim;

/// What became of a victim that was allowed a number of instructions.
pub enum Stepped {
    /// Killed before its work was done.
    Killed,
    /// The work was done before the steps ran out.
    Finished,
}

/// Runs `prepare` and then `work` in a child and kills it `steps` instructions into `work`.
///
/// The child is traced by the calling thread, on one processor with it: a step is two switches
/// between them, which is several times cheaper so.
pub fn killed_after(steps: usize, prepare: impl FnOnce(), work: impl FnOnce()) -> Stepped {
    let victim = Victim::new(|| {
        prepare();
        // SAFETY: plain system calls; the stop hands this process over to the tracer.
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        work();
    });
    let stopped = victim.wait();
    assert!(
        libc::WIFSTOPPED(stopped),
        "the victim did not stop: {stopped:#x}"
    );
    for _ in 0..steps {
        // SAFETY: the victim is our stopped tracee.
        let result = unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, victim.pid, 0, 0) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        let status = victim.wait();
        if libc::WIFEXITED(status) {
            assert_eq!(libc::WEXITSTATUS(status), 0, "the victim failed");
            victim.reaped();
            return Stepped::Finished;
        }
        assert!(
            libc::WIFSTOPPED(status),
            "the victim ended early: {status:#x}"
        );
    }
    victim.kill();
    Stepped::Killed
}

/// Keeps the calling thread, and the children it makes from now on, on one processor.
pub fn stay_on_one_processor() {
    // SAFETY: `set` is plain bits, written for the calling thread only.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu().max(0) as usize, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}
