//! The example `claims`, run as people run it; and when a claim counts as broken.

#[allow(dead_code, reason = "the example uses the rest")]
#[path = "../examples/claims/claim.rs"]
mod claim;
mod common;
#[path = "common/example.rs"]
mod example;
#[allow(dead_code, reason = "the example uses the rest")]
#[path = "../examples/claims/machine.rs"]
mod machine;

use claim::{Claim, Line, Scale, Table, Unit};
use common::watchdog;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(110);

/// Every claim there is to be, in the order of their numbers.
const NUMBERS: [u32; 25] = [
    1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22, 34, 35, 36, 44, 45, 46, 47, 48,
];

fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| example::binary("claims"))
}

fn run(arguments: &[&str]) -> Output {
    let mut program = Command::new(binary());
    program.args(arguments).stdin(Stdio::null());
    program.output().unwrap()
}

/// What it prints, when it ends with `code` and reports nothing.
#[track_caller]
fn told(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), &*stderr),
        (Some(code), ""),
        "{stdout}"
    );
    stdout
}

/// The claims that a table has a head for, each with its lines.
fn claims(table: &str) -> Vec<(&str, Vec<&str>)> {
    let mut claims: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in table.lines() {
        if line.starts_with('N') {
            claims.push((line.split(' ').next().unwrap(), Vec::new()));
        } else if let Some((_, lines)) = claims.last_mut()
            && line.starts_with("      ")
        {
            lines.push(line);
        }
    }
    claims
}

#[track_caller]
fn checked(name: &str, body: fn()) {
    // Built before the clock starts.
    binary();
    watchdog(LIMIT, name, body);
}

/// N1, N5 to N17, N20 to N22, N34 to N36, N44 to N48, at the size and with the bounds of a quick run.
#[test]
fn every_claim_holds_in_a_quick_run() {
    checked("quick", || {
        let table = told(&["--quick"], 0);
        let claims = claims(&table);
        let names: Vec<_> = claims.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, NUMBERS.map(|number| format!("N{number}")));
        for (name, lines) in &claims {
            let says = |verdict| lines.iter().any(|line: &&str| line.contains(verdict));
            assert!(says("holds") || says("not here"), "{name}: {table}");
        }
        assert!(!table.contains("BROKEN"), "{table}");
        assert!(table.contains("25 claims, no bound is broken"), "{table}");
    });
}

#[test]
fn only_those_that_are_named_are_checked() {
    checked("only", || {
        let table = told(&["--quick", "--only", "n47, N46"], 0);
        let names: Vec<_> = claims(&table).iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["N46", "N47"]);
    });
}

#[test]
fn help_names_every_claim() {
    checked("help", || {
        let help = told(&["--help"], 0);
        let named: BTreeSet<_> = help.split_whitespace().collect();
        for number in NUMBERS {
            assert!(named.contains(&*format!("N{number}")), "{number}: {help}");
        }
    });
}

#[test]
fn what_is_not_known_is_refused_before_anything_is_measured() {
    checked("refused", || {
        for (arguments, named) in [(&["--only", "N2"][..], "N2"), (&["--quack"], "--quack")] {
            let output = run(arguments);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{stderr}");
            assert!(stderr.contains(named), "{stderr}");
            assert_eq!(output.stdout, b"");
        }
    });
}

/// Held up nearly all the time, two waves of a tenth of a second take much longer than is claimed.
#[test]
fn a_broken_bound_is_told_and_ends_the_program_with_1() {
    checked("broken", || {
        let mut child = Command::new(binary())
            .args(["--quick", "--only", "N47"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        while child.try_wait().unwrap().is_none() {
            // It is not reaped in between, so it is this process that gets the signals.
            kill_process(pid, Signal::STOP).unwrap();
            thread::sleep(Duration::from_millis(700));
            kill_process(pid, Signal::CONT).unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output().unwrap();
        let table = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{table}");
        assert!(table.contains("broken in each of 3 tries: N47"), "{table}");
    });
}

static TRIES: AtomicUsize = AtomicUsize::new(0);

fn holds_at_the_second_try(_: &Scale) -> Vec<Line> {
    let tries = TRIES.fetch_add(1, Ordering::Relaxed) + 1;
    vec![Line::at_least("tries", 2.0, tries as f64, Unit::Count)]
}

#[test]
fn a_claim_that_holds_once_is_not_tried_again() {
    let scale = Scale::new(true);
    let mut table = Table::begin(&scale);
    let claim = Claim {
        number: 1,
        what: "the second try holds",
        check: holds_at_the_second_try,
    };
    table.add(&claim, &scale);
    assert_eq!(TRIES.load(Ordering::Relaxed), 2);
    assert!(table.end());
}

/// One line that is broken breaks the claim, whatever the others say; each kind of bound at its edge.
#[test]
fn each_bound_is_kept_to() {
    let verdict = |check| {
        let scale = Scale::new(false);
        let mut table = Table::begin(&scale);
        let claim = Claim {
            number: 1,
            what: "an edge",
            check,
        };
        table.add(&claim, &scale);
        table.end()
    };
    assert!(verdict(|_| vec![
        Line::at_most("at most", 2.0, 2.0, Unit::Times),
        Line::at_least("at least", 2.0, 2.0, Unit::Times),
        Line::time(
            "between",
            Duration::from_secs(1),
            2.0,
            Duration::from_secs(1)
        ),
        Line::time(
            "between",
            Duration::from_secs(1),
            2.0,
            Duration::from_secs(2)
        ),
        Line::exactly("exactly", 3, 3),
        Line::holds("holds", true),
        Line::shown("shown", f64::MAX, Unit::Times),
        Line::absent("absent", "it is not there"),
    ]));
    let broken: [fn(&Scale) -> Vec<Line>; 7] = [
        |_| vec![Line::at_most("above", 2.0, 2.1, Unit::Times)],
        |_| vec![Line::at_least("below", 2.0, 1.9, Unit::Times)],
        |_| {
            vec![Line::time(
                "too long",
                Duration::from_secs(1),
                2.0,
                Duration::from_millis(2_001),
            )]
        },
        |_| {
            vec![Line::time(
                "too short",
                Duration::from_secs(1),
                2.0,
                Duration::from_millis(999),
            )]
        },
        |_| vec![Line::exactly("another", 3, 4)],
        |_| vec![Line::holds("does not hold", false)],
        |_| vec![Line::at_most("no number", 2.0, f64::NAN, Unit::Times)],
    ];
    for check in broken {
        assert!(!verdict(check));
    }
}
