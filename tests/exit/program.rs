//! Starts this program again as a scenario, and runs tests without libtest.

use std::env;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The environment's variable that names the scenario to be played.
pub const SCENARIO: &str = "LATCHWORK_TEST_SCENARIO";

const LIMIT: Duration = Duration::from_secs(20);

/// How a scenario ended.
#[derive(Debug)]
pub struct Ended {
    /// `None` if it was killed.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// With this status, having printed that, and nothing on standard error that matters.
pub fn ended(status: i32, stdout: &str) -> Ended {
    Ended {
        status: Some(status),
        stdout: stdout.to_owned(),
        stderr: String::new(),
    }
}

impl PartialEq for Ended {
    fn eq(&self, other: &Ended) -> bool {
        (self.status, &self.stdout) == (other.status, &other.stdout)
    }
}

impl Ended {
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }
}

/// Plays a scenario to its end; one that takes too long is killed.
pub fn run(scenario: &str) -> Ended {
    let mut child = Command::new(env::current_exe().unwrap())
        .env(SCENARIO, scenario)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = read(child.stdout.take().unwrap());
    let stderr = read(child.stderr.take().unwrap());
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > LIMIT => {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            None => std::thread::sleep(Duration::from_micros(500)),
        }
    };
    Ended {
        status: status.code(),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

/// Reads to the end, in a thread: a full pipe would hold the scenario up.
fn read(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    })
}

/// Runs the tests that the arguments name, by parts of their names; all if there are none.
pub fn run_all(tests: &[(&str, fn())], run: impl Fn(&str, fn())) -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(*f));
    let wanted: Vec<_> = tests.iter().filter(|(name, _)| is_wanted(name)).collect();
    println!("\nrunning {} tests", wanted.len());
    let mut failed = 0;
    for (name, test) in &wanted {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(name, *test)));
        failed += usize::from(outcome.is_err());
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {word}");
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out\n",
        wanted.len() - failed,
        tests.len() - wanted.len(),
    );
    ExitCode::from(u8::from(failed > 0))
}
