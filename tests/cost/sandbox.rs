//! A thread that may make no system call.
//!
//! The test starts its own program again, for one operation, and says in the environment which. There
//! a thread makes the operation, does it once (a thread's first call may have something to set up),
//! and closes the door behind itself with a seccomp filter that allows `exit` alone. From then on a
//! system call is not made; it raises SIGSYS in the thread, and the handler knows its number.
//!
//! Strict mode would do without a filter, but is refused where one is in force already, as in
//! containers.

use std::env;
use std::mem;
use std::process::{self, Command};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How the thread behind the door ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    NoSystemCall,
    /// Its number.
    SystemCall(i32),
    /// It went on and on without one.
    NoEnd,
    /// This kernel has no filters.
    NoFilter,
}

/// Names the operation, in the child's environment.
const OPERATION: &str = "LATCHWORK_TEST_COST";
/// What the child says before its outcome.
const SAYS: &str = "outcome of the sandbox: ";

/// The operations take microseconds; before the parent's watchdog, whom the child would outlive.
const LONGEST: Duration = Duration::from_secs(20);

const RUNNING: i32 = -1;
const NO_SYSTEM_CALL: i32 = -2;
const NO_FILTER: i32 = -3;
const NO_END: i32 = -4;
/// One of the above, or the number of a system call.
static OUTCOME: AtomicI32 = AtomicI32::new(RUNNING);

/// The operation that this process was started for.
pub fn asked_for() -> Option<String> {
    env::var(OPERATION).ok()
}

/// Starts this program again, for `operation`, in the test called `test`.
pub fn outcome_of(test: &str, operation: &str) -> Outcome {
    let output = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(OPERATION, operation)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let outcome = said.lines().find_map(|line| line.split_once(SAYS));
    let Some((_, outcome)) = outcome else {
        panic!("{operation}: the sandbox said nothing: {output:?}");
    };
    match outcome.trim().parse().unwrap() {
        NO_SYSTEM_CALL => Outcome::NoSystemCall,
        NO_FILTER => Outcome::NoFilter,
        NO_END => Outcome::NoEnd,
        number => Outcome::SystemCall(number),
    }
}

/// In the child: calls `make` in a thread, closes the door, and does what it made. Tells the parent
/// the outcome and ends the process.
pub fn run<F: FnOnce()>(make: impl FnOnce() -> F + Send + 'static) -> ! {
    report_system_calls();
    thread::spawn(move || {
        let operation = make();
        if close_the_door() {
            operation();
            end(NO_SYSTEM_CALL);
        }
        end(NO_FILTER);
    });
    let begun = Instant::now();
    let outcome = loop {
        match OUTCOME.load(Ordering::Acquire) {
            RUNNING if begun.elapsed() >= LONGEST => break NO_END,
            RUNNING => thread::sleep(Duration::from_millis(1)),
            outcome => break outcome,
        }
    };
    println!("\n{SAYS}{outcome}");
    process::exit(0);
}

/// Ends this thread without anything that ending a thread takes otherwise.
fn end(outcome: i32) -> ! {
    OUTCOME.store(outcome, Ordering::Release);
    loop {
        // SAFETY: nobody joins this thread, and what its frames hold is never used again.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

/// From here on this thread can only exit. False where there are no filters.
fn close_the_door() -> bool {
    const NUMBER: u32 = mem::offset_of!(libc::seccomp_data, nr) as u32;
    // What the filter returns becomes SIGSYS with the low half as the signal's errno.
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, NUMBER),
        step(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            libc::SYS_exit as u32,
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        step(
            libc::BPF_ALU | libc::BPF_OR | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_TRAP,
        ),
        step(libc::BPF_RET | BPF_A, 0, 0, 0),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the program is alive during the calls, which change nothing but what this thread may do.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) == 0
    }
}

/// "Return the accumulator", of `<linux/bpf_common.h>`.
const BPF_A: u32 = 0x10;

/// Makes SIGSYS the outcome.
fn report_system_calls() {
    extern "C" fn caught(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the kernel gives a valid one.
        end(unsafe { (*info).si_errno });
    }
    // SAFETY: all zeros is a valid action, and the handler does nothing but atomics and one call.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = caught as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGSYS, &action, ptr::null_mut()), 0);
    }
}
