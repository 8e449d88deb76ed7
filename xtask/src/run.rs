//! Starts cargo and counts what the tests it runs report.
//!
//! Nothing here knows which checks exist (`parts` does) or how they are summed up (`report` does).

use crate::report::{Count, Outcome};
use std::io::{self, BufRead as _, BufReader};
use std::mem;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The workspace's root: xtask is one folder below it.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask has a parent")
        .to_owned()
}

/// The cargo that started us, in the workspace's root.
pub fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Cargo in `loom-tests/`, where its own configuration sets `--cfg loom` and the target folder.
///
/// Both can be overruled from the environment, which would silently build the models without loom
/// or throw away the workspace's build; and loom itself can be told there to stop early and call
/// that success. So the environment is cleared of all of these.
pub fn cargo_in_loom_tests(arguments: &[&str]) -> Command {
    let mut command = cargo(arguments);
    command.current_dir(root().join("loom-tests"));
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
    ] {
        command.env_remove(name);
    }
    for name in [
        "LOOM_MAX_DURATION",
        "LOOM_MAX_PERMUTATIONS",
        "LOOM_CHECKPOINT_FILE",
    ] {
        command.env_remove(name);
    }
    if let Some(folder) = std::env::var_os("CARGO_TARGET_DIR") {
        command.env("CARGO_TARGET_DIR", root().join(folder).join("loom"));
    }
    command
}

/// Whether the toolchain has the component behind `cargo NAME`.
pub fn has_component(name: &str) -> bool {
    let quiet = cargo(&[name, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

/// Runs a command that passes or fails as a whole.
pub fn check(name: &str, mut command: Command) -> Outcome {
    announce(&command);
    let passed = command.status().is_ok_and(|status| status.success());
    Outcome::check(name, passed)
}

/// How long the output may stay open once cargo has ended: forever, if a test left a process.
const OUTPUT_STAYS_OPEN: Duration = Duration::from_secs(5);

/// Runs a `cargo test` command, shows its output, and counts the tests.
pub fn tests(command: Command) -> (Outcome, Explored) {
    announce(&command);
    let counter = Arc::new(Mutex::new(Counter::default()));
    let result = watch(command, &counter);
    let mut counter = mem::take(&mut *counter.lock().unwrap_or_else(PoisonError::into_inner));
    if let Err(problem) = &result {
        counter.count.failed += 1;
        counter.failures.push(problem.to_string());
    }
    counter.conclude(result.unwrap_or(false))
}

/// Runs the command to its end while `counter` reads what it prints.
fn watch(mut command: Command, counter: &Arc<Mutex<Counter>>) -> io::Result<bool> {
    // One pipe for both, so that cargo's "Running ..." stays above the tests it is about.
    let (output, input) = io::pipe()?;
    let mut child = command.stdout(input.try_clone()?).stderr(input).spawn()?;
    drop(command); // It holds the pipe's other end, and the reader waits for its closing.

    let (closed, at_end) = mpsc::channel();
    let counter = Arc::clone(counter);
    thread::spawn(move || {
        // Not `lines`: a test may print anything, and one wrong byte must not end the counting.
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if counter
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .read(&line)
            {
                println!("{line}");
            }
        }
        let _ = closed.send(());
    });
    let succeeded = child.wait()?.success();
    match at_end.recv_timeout(OUTPUT_STAYS_OPEN) {
        Ok(()) => Ok(succeeded),
        Err(_) => Err(io::Error::other(
            "a test left a process behind, which holds the output",
        )),
    }
}

/// Prints the command as one would type it.
fn announce(command: &Command) {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let (Some(name), Some(value)) = (name.to_str(), value.and_then(|value| value.to_str())) {
            words.push(format!("{name}={value:?}"));
        }
    }
    words.push("cargo".to_owned());
    words.extend(
        command
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned()),
    );
    let place = match command.get_current_dir() {
        Some(folder) if folder != root() => folder.file_name().unwrap_or_default(),
        _ => "".as_ref(),
    };
    println!("{}$ {}", place.to_string_lossy(), words.join(" "));
}

/// What loom did, from the lines that `latchwork_loom_tests::model` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Explored {
    pub models: usize,
    pub interleavings: usize,
}

/// Reads what cargo and libtest print, line by line.
#[derive(Default)]
struct Counter {
    count: Count,
    failures: Vec<String>,
    explored: Explored,
    /// The test program that cargo started last, as cargo calls it.
    program: String,
    /// Whether that has said how many tests it runs, and not yet how they went.
    running: bool,
    in_successes: bool,
    /// What cargo could not build.
    unbuilt: Option<String>,
}

impl Counter {
    /// Takes one line in; says whether it is worth showing.
    fn read(&mut self, line: &str) -> bool {
        if let Some(program) = line.trim_start().strip_prefix("Running ") {
            self.next_program(program.split(" (").next().unwrap_or(program));
        } else if let Some(package) = line.trim_start().strip_prefix("Doc-tests ") {
            self.next_program(package);
        } else if line.starts_with("running ") {
            self.running = true;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.running = false;
            self.in_successes = false;
            self.count = self.count + count(result);
        } else if let Some(test) = line.strip_prefix("test ")
            && let Some(name) = test.strip_suffix(" ... FAILED")
        {
            self.failures.push(format!("{}: {name}", self.program));
        } else if let Some(target) = line.strip_prefix("error: could not compile ") {
            self.unbuilt = Some(format!("could not compile {target}"));
        } else if let Some(interleavings) = interleavings(line) {
            self.explored.models += 1;
            self.explored.interleavings += interleavings;
            return true;
        }
        // What passing tests printed and who they were is said once already.
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ => {}
        }
        !self.in_successes
    }

    /// A program that began its tests and gave no result has died (the watchdog aborts): nobody
    /// knows how many of its tests passed, so it is one failure.
    fn next_program(&mut self, name: &str) {
        if mem::take(&mut self.running) {
            self.count.failed += 1;
            self.failures.push(format!(
                "{}: ended without a result, see above",
                self.program
            ));
        }
        self.program = name.to_owned();
        self.in_successes = false;
    }

    /// A command that failed without any test failing did not build: that is a failure, too.
    fn conclude(mut self, succeeded: bool) -> (Outcome, Explored) {
        self.next_program("");
        if !succeeded && self.count.failed == 0 {
            self.count.failed = 1;
            let why = self
                .unbuilt
                .unwrap_or_else(|| "cargo failed, see above".to_owned());
            self.failures.push(why);
        }
        let outcome = Outcome {
            count: self.count,
            failures: self.failures,
            remark: String::new(),
        };
        (outcome, self.explored)
    }
}

/// Counts `ok. 3 passed; 0 failed; 1 ignored; ...`.
fn count(result: &str) -> Count {
    let number = |what: &str| {
        let words: Vec<&str> = result.split([' ', ';']).collect();
        let at = words.iter().position(|word| *word == what);
        at.and_then(|at| words[..at].last()?.parse().ok())
            .unwrap_or(0)
    };
    Count {
        passed: number("passed"),
        failed: number("failed"),
        skipped: number("ignored"),
    }
}

/// The N of `model NAME: N interleavings at preemption bound B in T s`; the name may hold anything.
fn interleavings(line: &str) -> Option<usize> {
    let (_, rest) = line.strip_prefix("model ")?.rsplit_once(": ")?;
    rest.split_once(" interleavings at ")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str, succeeded: bool) -> (Outcome, Explored, Vec<&str>) {
        let mut counter = Counter::default();
        let shown = output.lines().filter(|line| counter.read(line)).collect();
        let (outcome, explored) = counter.conclude(succeeded);
        (outcome, explored, shown)
    }

    #[test]
    fn results_of_several_programs_are_summed() {
        let (outcome, ..) = read(
            "     Running unittests src/lib.rs (target/debug/deps/x-0)\n\
             running 2 tests\ntest a ... ok\ntest b ... ok\n\
             test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
             \x20    Running tests/lock.rs (target/debug/deps/lock-0)\n\
             running 3 tests\ntest m::c ... FAILED\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n",
            false,
        );
        assert_eq!(
            outcome.count,
            Count {
                passed: 3,
                failed: 1,
                skipped: 1
            }
        );
        assert_eq!(outcome.failures, ["tests/lock.rs: m::c"]);
    }

    #[test]
    fn a_program_that_dies_is_a_failure_by_name() {
        let (outcome, ..) = read(
            "Running tests/a.rs (x)\nrunning 2 tests\ntest a ... ok\n\
             Running tests/b.rs (x)\nrunning 1 test\ntest b ... ok\n\
             test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
             Running tests/c.rs (x)\nrunning 2 tests\n",
            false,
        );
        assert_eq!(
            outcome.count,
            Count {
                passed: 1,
                failed: 2,
                skipped: 0
            }
        );
        let died = |name| format!("tests/{name}.rs: ended without a result, see above");
        assert_eq!(outcome.failures, [died("a"), died("c")]);
    }

    #[test]
    fn a_build_that_fails_is_a_failure() {
        let (outcome, ..) = read("", false);
        assert_eq!(
            outcome.count,
            Count {
                passed: 0,
                failed: 1,
                skipped: 0
            }
        );
        assert_eq!(read("", true).0.count, Count::default());
    }

    #[test]
    fn models_are_counted_and_their_lines_shown() {
        let (outcome, explored, shown) = read(
            "running 1 test\ntest race ... ok\n\nsuccesses:\n\n---- race stdout ----\n\
             model grant: the time-out: 905 interleavings at preemption bound 2 in 0.1 s\n\n\
             model other: 5 interleavings at preemption bound 2\n\nsuccesses:\n    race\n\n\
             test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
            true,
        );
        assert_eq!(
            explored,
            Explored {
                models: 2,
                interleavings: 910
            }
        );
        assert_eq!(
            outcome.count,
            Count {
                passed: 1,
                failed: 0,
                skipped: 0
            }
        );
        assert_eq!(shown.len(), 6, "{shown:?}");
        assert!(!shown.contains(&"    race"));
    }

    #[test]
    fn what_a_failing_model_printed_is_shown() {
        let (outcome, explored, shown) = read(
            "running 1 test\ntest race ... FAILED\n\nsuccesses:\n\nsuccesses:\n\nfailures:\n\n\
             ---- race stdout ----\nmodel lost: failed in interleaving 4\n\
             test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n",
            false,
        );
        assert_eq!((explored.models, outcome.count.failed), (0, 1));
        assert!(shown.contains(&"model lost: failed in interleaving 4"));
    }
}
