//! Forked children, and what the kernel says about threads.

use std::any::Any;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::Duration;

/// Runs `body` and ends the program, with a name, if that takes longer than `limit`.
pub(super) fn within(limit: Duration, name: &str, body: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(body));
        let _ = done.send(());
        outcome
    });
    if is_done.recv_timeout(limit).is_err() {
        say(&format!("`{name}` is still running after {limit:?}"));
        std::process::abort();
    }
    if let Err(panic) = thread.join().unwrap() {
        std::panic::resume_unwind(panic);
    }
}

/// Past libtest's capture, which goes with the child.
fn say(line: &str) {
    let line = format!("{line}\n");
    // SAFETY: reads the line.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
}

/// A forked child; killed if it is dropped, and when its parent ends.
pub(super) struct Child {
    pid: libc::pid_t,
    tell: io::PipeWriter,
}

thread_local! {
    /// In a child: where its parent tells it to begin.
    static TOLD: std::cell::RefCell<Option<io::PipeReader>> = const { std::cell::RefCell::new(None) };
}

impl Child {
    pub(super) fn new(work: impl FnOnce()) -> Child {
        let (told, tell) = io::pipe().unwrap();
        // SAFETY: what the child may use then is what these tests are about.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", io::Error::last_os_error()),
            0 => {
                // SAFETY: a plain system call.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                drop(tell);
                TOLD.set(Some(told));
                let outcome = catch_unwind(AssertUnwindSafe(work));
                if let Err(panic) = &outcome {
                    say(&format!("a child panicked: {}", message(panic.as_ref())));
                }
                // SAFETY: ends the child, without running what belongs to its parent.
                unsafe { libc::_exit(i32::from(outcome.is_err())) }
            }
            pid => Child { pid, tell },
        }
    }

    /// Lets it go on behind `until_told`.
    pub(super) fn tell(&self) {
        io::Write::write_all(&mut &self.tell, &[1]).unwrap();
    }

    /// Waits until it has ended well.
    pub(super) fn join(mut self) {
        assert_eq!(self.wait(), 0, "a child has failed");
    }

    pub(super) fn kill(self) {
        drop(self);
    }

    fn wait(&mut self) -> libc::c_int {
        let mut status = 0;
        // SAFETY: a child of ours, for which nobody else waits.
        let pid = unsafe { libc::waitpid(self.pid, &mut status, 0) };
        assert_eq!(pid, std::mem::take(&mut self.pid));
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.pid != 0 {
            // SAFETY: it has not been waited for, so the number is still its.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            self.wait();
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(|&said| said.to_owned());
    let made = || panic.downcast_ref::<String>().cloned();
    literal.or_else(made).unwrap_or_default()
}

/// Runs `body` in a process of its own, which has none of this one's threads.
pub(super) fn in_child(body: impl FnOnce()) {
    Child::new(body).join();
}

/// In a child: waits for its parent's `tell`.
pub(super) fn until_told() {
    let told = TOLD.take().expect("once, in a child");
    io::Read::read_exact(&mut &told, &mut [0]).unwrap();
}

pub(super) fn sleep_for_ever() -> ! {
    loop {
        // SAFETY: a plain system call.
        unsafe { libc::pause() };
    }
}

/// The folders of this process's threads of this name.
fn threads(name: &str) -> Vec<std::path::PathBuf> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let paths = tasks.map(|task| task.unwrap().path());
    let is_called = |path: &std::path::PathBuf| {
        fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    paths.filter(is_called).collect()
}

fn status(name: &str, field: &str) -> Option<String> {
    let threads = threads(name);
    let status = fs::read_to_string(threads.first()?.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.map(|value| value.trim_start_matches(':').trim().to_owned())
}

pub(super) fn is_thread_asleep(name: &str) -> bool {
    status(name, "State").is_some_and(|state| state.starts_with('S'))
}

/// How often the thread has gone to sleep.
pub(super) fn switches(name: &str) -> u64 {
    let switches = status(name, "voluntary_ctxt_switches");
    switches.expect("the thread is there").parse().unwrap()
}

/// What this process has used of the processors.
pub(super) fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// From now on these system calls fail with `errno` in this thread and in those that it starts. False where
/// there are no filters.
pub(super) fn sandbox(calls: &[i64], errno: i32) -> bool {
    const NUMBER: u32 = std::mem::offset_of!(libc::seccomp_data, nr) as u32;
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, NUMBER);
    let is = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let refusal = libc::SECCOMP_RET_ERRNO | errno as u32;
    let refuse = |&call: &i64| {
        let refuse = step(libc::BPF_RET | libc::BPF_K, 0, 0, refusal);
        [step(is, 0, 1, call as u32), refuse]
    };
    let allow = step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW);
    let mut steps = vec![load];
    steps.extend(calls.iter().flat_map(refuse));
    steps.push(allow);
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
