//! Runs the example as a program, in a room of its own that shows what it leaves behind.

use crate::example;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Where one test's programs live: their temporary folder is empty when nothing runs.
pub struct Room {
    folder: TempDir,
    shared_memory: BTreeSet<PathBuf>,
}

impl Room {
    pub fn new() -> Room {
        let room = Room {
            folder: TempDir::new().unwrap(),
            shared_memory: shared_memory(),
        };
        fs::create_dir(room.temporary()).unwrap();
        room
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn temporary(&self) -> PathBuf {
        self.path("tmp")
    }

    fn json_path(&self) -> PathBuf {
        self.path("figures.json")
    }

    /// The figures of the program that ended last.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&fs::read(self.json_path()).unwrap()).unwrap()
    }

    /// No temporary file or folder, no half picture, no shared memory with a name.
    pub fn check_nothing_left(&self) {
        let left: Vec<_> = fs::read_dir(self.temporary()).unwrap().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        let everything = files(self.folder.path());
        let half = everything.keys().find(|name| name.contains(".pipeline-"));
        assert_eq!(half, None);
        self.check_shared_memory();
    }

    /// Other programs of this machine come and go there, so it may take until they have gone.
    pub fn check_shared_memory(&self) {
        while !shared_memory().is_subset(&self.shared_memory) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn shared_memory() -> BTreeSet<PathBuf> {
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The files in and below a folder by their names, with their bytes. None if there is no folder.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    let files = entries.filter(|entry| entry.file_type().is_file());
    files
        .map(|entry| {
            let name = entry.path().strip_prefix(folder).unwrap();
            (
                name.to_str().unwrap().to_owned(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

/// A running program.
pub struct Program {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// What has been read of standard error.
    told: String,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// `None` if it was killed.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// Starts it with these arguments and `--json`.
    pub fn start(room: &Room, arguments: &[&str]) -> Program {
        let json = room.json_path();
        let json = ["--json", json.to_str().unwrap()];
        Program::start_bare(room, &[arguments, &json].concat())
    }

    pub fn start_bare(room: &Room, arguments: &[&str]) -> Program {
        let mut child = Command::new(binary())
            .args(arguments)
            .env("TMPDIR", room.temporary())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Program {
            child,
            stderr,
            told: String::new(),
        }
    }

    /// Reads its standard error until a line begins like this.
    pub fn until(&mut self, beginning: &str) {
        loop {
            let start = self.told.len();
            let length = self.stderr.read_line(&mut self.told).unwrap();
            assert!(length > 0, "it ended without `{beginning}`:\n{}", self.told);
            if self.told[start..].starts_with(beginning) {
                return;
            }
        }
    }

    pub fn kill(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its child processes.
    pub fn workers(&self) -> Vec<Process> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let parent = self.child.id().to_string();
        pids.filter_map(Process::find)
            .filter(|process| process.parent == parent)
            .collect()
    }

    /// Waits for its own end alone: those that still have its standard error open are not waited for.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Waits for its end, and for the end of all that it says.
    pub fn end(mut self) -> Ended {
        // Its standard output is short and fits into the pipe.
        self.stderr.read_to_string(&mut self.told).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: self.told,
        }
    }
}

/// Some process, told from a later one with the same id by when it was started.
#[derive(PartialEq)]
pub struct Process {
    pid: i32,
    parent: String,
    started: String,
}

impl Process {
    /// A process that has not ended; one that is only waited for is no more.
    fn find(pid: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may contain anything: state, parent, ..., start time.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        (fields[0] != "Z").then(|| Process {
            pid,
            parent: fields[1].to_owned(),
            started: fields[19].to_owned(),
        })
    }

    pub fn is_alive(&self) -> bool {
        Process::find(self.pid).is_some_and(|now| now.started == self.started)
    }

    pub fn kill(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub fn wait_until_gone(&self) {
        while self.is_alive() {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| example::binary("pipeline"))
}
