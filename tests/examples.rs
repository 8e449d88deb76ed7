//! The examples, run as people run them, with little to do: what they say, and how they end.
//!
//! Each checks what it promises itself, and says so; here it is looked at that it looked. (The pipeline has a test
//! file of its own.)

mod common;

use common::watchdog;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

const LIMIT: Duration = Duration::from_secs(100);
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const NAMES: &[&str] = &[
    "bounded_queue",
    "connection_pool",
    "crawler",
    "deadlock",
    "scheduler",
    #[cfg(all(feature = "process", target_os = "linux"))]
    "sweep",
];

/// The folder of the examples of the same build as this test. `cargo test` builds them first, `cargo test --test` does
/// not; so they are built here if a source is newer.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let folder = profile.join("examples");
        let oldest = NAMES.iter().map(|name| modified(&folder.join(name)));
        if oldest.min().unwrap() < newest_source() {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--workspace"]);
            build.args(NAMES.iter().flat_map(|name| ["--example", name]));
            if profile.ends_with("release") {
                build.arg("--release");
            }
            build.arg("--target-dir").arg(profile.parent().unwrap());
            assert!(build.current_dir(ROOT).status().unwrap().success());
        }
        folder
    })
}

/// `None`, and so older than anything, if there is no such file.
fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|file| file.modified()).ok()
}

fn newest_source() -> Option<SystemTime> {
    let folders = ["src", "examples"].map(|folder| Path::new(ROOT).join(folder));
    let entries = folders.iter().flat_map(walkdir::WalkDir::new).flatten();
    entries.map(|entry| modified(entry.path())).max().flatten()
}

fn start(name: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(folder().join(name));
    // Panics on purpose are short without their stacks.
    command.args(arguments).env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// What a program has printed; it must have ended well, and each of these lines must be there.
#[track_caller]
fn ends_well(output: &Output, claims: &[&str]) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    for claim in claims {
        let mut lines = text.lines().filter(|line| line.contains(claim));
        let line = lines.next();
        let line = line.unwrap_or_else(|| panic!("`{claim}` is not in\n{text}"));
        assert!(line.starts_with("  ok  "), "{line}");
    }
    assert!(text.ends_with("claims hold\n"), "{text}");
    text
}

/// Runs it under the watchdog, built before the clock starts.
#[track_caller]
fn check(name: &'static str, arguments: &'static [&str], claims: &'static [&str]) -> String {
    folder();
    watchdog(LIMIT, name, move || {
        let output = start(name, arguments).wait_with_output().unwrap();
        ends_well(&output, claims)
    })
}

/// The number before a word.
#[track_caller]
fn number_before(text: &str, word: &str) -> f64 {
    let before = text.split(word).next().unwrap();
    assert!(before.len() < text.len(), "`{word}` is not in\n{text}");
    let number = before.split_whitespace().last().unwrap();
    number.parse().unwrap()
}

/// N25: never more in the queue than it has places for, nothing lost by either shutdown.
#[test]
fn bounded_queue() {
    let text = check(
        "bounded_queue",
        &["2000"],
        &[
            "all ten came through, in order",
            "with 3 items, and never fuller",
            "the slower side sets the pace",
            "the producer has its item back",
            "each item came through once",
            "at most 3 were in it",
        ],
    );
    let got = text.lines().filter(|line| line.contains("a consumer's"));
    let got = got.map(|line| number_before(line, " are in"));
    assert_eq!(got.sum::<f64>(), 2000.0, "{text}");
}

#[test]
fn a_bad_argument_is_refused() {
    folder();
    watchdog(LIMIT, "a_bad_argument_is_refused", || {
        for (name, arguments) in [
            ("bounded_queue", &["many"][..]),
            ("crawler", &["--workers", "0"]),
            ("crawler", &["--sideways"]),
        ] {
            let output = start(name, arguments).wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{name} {arguments:?}");
            let errors = String::from_utf8(output.stderr).unwrap();
            assert!(errors.starts_with(&format!("{name}: ")), "{errors}");
            assert!(output.stdout.is_empty());
        }
    });
}

/// N33, Z8: at most three open, replaced when broken, returned by a panic, lent in order; how long they waited.
#[test]
fn connection_pool() {
    let text = check(
        "connection_pool",
        &[],
        &[
            "all 64 orders are there",
            "at most 3 connections were open at once",
            "it says: not authorized",
            "one was opened in its place",
            "its connection is back",
            "what it had deleted is there",
            "it has waited",
            "nothing is lost by it",
            "served as they came: [0, 1, 2, 3, 4, 5]",
            "every wait is in the histogram",
            "nothing is left open",
        ],
    );
    for part in ["at once", "below", "median", "p99", "1 found broken"] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}

/// N5, Z1, scaled down: near its lower bound when all is well, and what a crawl with faults comes to is known before.
#[test]
fn crawler() {
    let text = check(
        "crawler",
        &[
            "--pages",
            "40",
            "--workers",
            "8",
            "--latency",
            "30",
            "--seed",
            "3",
        ],
        &[
            "every page was fetched",
            "is not much more than 5 rounds, 150ms",
            "requests at a time",
            "nobody was asked for the same page twice",
            "as many as can be reached",
            "which always fail",
            "faults to get over",
            "after it was told to",
        ],
    );
    let calm = text.split("\nthe same").next().unwrap();
    let speed_up = calm
        .lines()
        .find_map(|line| line.trim().strip_prefix("speed-up"));
    let speed_up: f64 = speed_up.unwrap().trim().parse().unwrap();
    assert!(speed_up > 4.0 && speed_up <= 8.1, "{text}");
}

/// A Ctrl-C ends a crawl within the limit of one request, and the exit code tells.
#[cfg(unix)]
#[test]
fn a_crawl_is_interrupted() {
    use std::io::{BufRead, BufReader};
    folder();
    watchdog(LIMIT, "a_crawl_is_interrupted", || {
        // It would take 25 minutes.
        let arguments = ["--pages", "10000", "--workers", "1", "--latency", "150"];
        let mut child = start("crawler", &arguments);
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert!(line.starts_with("10000 pages"), "{line}");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut output, &mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
        assert!(text.contains("not tried"), "{text}");
    });
}

/// The circle is reported when it forms, broken in three ways, and cannot form with `lock_all`.
#[test]
fn deadlock() {
    let text = check(
        "deadlock",
        &[],
        &[
            "it is reported",
            "each waits for what the other one holds",
            "both are named, with the line they wait in",
            "one of the two has panicked",
            "no money is lost",
            "was called off, and had changed nothing",
            "who gives up after 50ms",
            "transfers each way",
            "no deadlock",
        ],
    );
    assert!(
        text.contains("deadlock: 2 threads wait for each other"),
        "{text}"
    );
}

#[test]
fn scheduler() {
    check(
        "scheduler",
        &[],
        &[
            "in the order of their times",
            "a job that panics ends alone",
            "a fixed rate counts from begin to begin",
            "a fixed delay counts from end to begin",
            "the second says that it was called off",
            "each at its minute, in order",
            "2880 heartbeats",
            "tomorrow goes on with the heartbeat alone",
        ],
    );
}

/// M36, M47: what a killed process leaves in shared memory, and what a sweep makes of it.
#[cfg(all(feature = "process", target_os = "linux"))]
#[test]
fn sweep() {
    check(
        "sweep",
        &[],
        &[
            "nothing that a living process has open is removed",
            "what was to end with it cannot be opened",
            "what it had done can be carried on from",
            "is kept while somebody does",
            "what is left is removed",
            "but for what is to outlive its users",
            "there is nothing",
        ],
    );
}
