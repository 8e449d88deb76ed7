//! What the tests of processes share: places to meet, and processes of their own.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::common::watchdog;

/// Long enough for a loaded machine; only a hang takes it.
pub const LIMIT: Duration = Duration::from_secs(90);

/// Runs a test's body under the watchdog.
#[track_caller]
pub fn guarded(body: fn()) {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    watchdog(LIMIT, &name, body);
}

/// Where a test meets a task that runs in a worker.
pub struct Meeting {
    folder: tempfile::TempDir,
    listener: UnixListener,
}

/// A task that has arrived and waits.
pub struct Arrived {
    pub pid: u32,
    stream: UnixStream,
}

impl Meeting {
    pub fn new() -> Meeting {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        Meeting { folder, listener }
    }

    /// What a task needs to find this place.
    pub fn place(&self) -> String {
        let path = self.folder.path().join("socket");
        path.into_os_string().into_string().unwrap()
    }

    /// Waits until a task is there, in the middle of its work.
    pub fn wait(&self) -> Arrived {
        let (mut stream, _) = self.listener.accept().unwrap();
        let mut pid = [0; 4];
        stream.read_exact(&mut pid).unwrap();
        let pid = u32::from_ne_bytes(pid);
        Arrived { pid, stream }
    }
}

impl Arrived {
    /// Lets the task go on.
    pub fn release(mut self) {
        self.stream.write_all(&[1]).unwrap();
    }

    pub fn kill(self) {
        signal(self.pid, libc::SIGKILL);
    }
}

/// In a task: arrive there, and wait to be released. Returns the worker's pid.
pub fn meet(place: String) -> u32 {
    let mut stream = UnixStream::connect(place).unwrap();
    let pid = std::process::id();
    stream.write_all(&pid.to_ne_bytes()).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    pid
}

pub fn signal(pid: u32, signal: i32) {
    // SAFETY: `kill` touches no memory of this process.
    let result = unsafe { libc::kill(pid.try_into().unwrap(), signal) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Stops a child of this process, and returns when all of its threads stand still.
pub fn stop(pid: u32) {
    signal(pid, libc::SIGSTOP);
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let options = rustix::process::WaitIdOptions::STOPPED;
    let status = rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
    assert!(status.unwrap().stopped());
}

/// Names the test that a process of [`in_own_process`] is for.
const ALONE: &str = "LATCHWORK_TEST_ALONE";

/// Runs the body of the current test in a process where no other test runs, so that it may count
/// descriptors and children. `prepare` may change how that process is started.
#[track_caller]
pub fn in_own_process(prepare: fn(&mut Command) -> &mut Command, body: fn()) {
    let name = std::thread::current().name().unwrap().to_owned();
    if std::env::var_os(ALONE).is_some_and(|test| *test == *name) {
        return watchdog(LIMIT, &name, body);
    }
    let status = rerun(&name, prepare);
    assert!(
        status.success(),
        "{name} failed in its own process: {status}"
    );
}

/// Runs one test of this binary in a process of its own and waits for its end.
fn rerun(name: &str, prepare: fn(&mut Command) -> &mut Command) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    prepare(command.env(ALONE, name)).status().unwrap()
}

/// A pid that stays valid: readable when the process has ended.
pub struct Watched(rustix::fd::OwnedFd);

impl Watched {
    pub fn new(pid: u32) -> Watched {
        let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
        let flags = rustix::process::PidfdFlags::empty();
        Watched(rustix::process::pidfd_open(pid, flags).unwrap())
    }

    /// Waits until the process has ended. The watchdog ends a wait for one that does not.
    pub fn wait_for_end(&self) {
        let mut fds = [rustix::event::PollFd::new(
            &self.0,
            rustix::event::PollFlags::IN,
        )];
        while rustix::event::poll(&mut fds, None) == Err(rustix::io::Errno::INTR) {}
    }
}
