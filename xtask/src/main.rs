//! `cargo xtask`: the project's commands, so that a clone and a Rust toolchain are all one needs.
//!
//! `parts` says what is checked and in which order, `run` starts cargo and counts what it reports,
//! `examples` runs the examples, `report` prints the verdict. Only `std` is used: these commands
//! are the first thing compiled in a fresh clone.

mod examples;
mod parts;
mod report;
mod run;

use parts::{Extent, PARTS, Profile};
use report::Report;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask test [--release] [PART...]   everything that must hold before a change is merged
cargo xtask models [--deep] [FILTER]     the loom models alone
cargo xtask kill [--short] [CASE]         processes killed and stopped at each instruction
cargo xtask --help                       this text

test    runs all parts, or those named, goes on after a failure, and ends with a table and the line
        `N passed, N failed, N skipped`. --release builds tests and examples optimised.
models  explores each model at preemption bound 2, with --deep at bound 3; FILTER is a file of
        loom-tests/tests or part of a test's name.
kill    kills and stops a process at every instruction of each operation on shared memory, and at
        random for a minute, and prints for each how often, and how often a survivor was stuck or
        something lost, which must be never. CASE is part of a case's name. This takes minutes;
        --short, which is what `test` does, takes some points of each in half a minute.

Parts:
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.split_first() {
        Some((&"test", rest)) => test(rest),
        Some((&"models", rest)) => models(rest),
        Some((&"kill", rest)) => kill(rest),
        Some((&("--help" | "-h" | "help"), [])) => {
            println!("{}", help());
            ExitCode::SUCCESS
        }
        Some((unknown, _)) => misused(&format!("no command `{unknown}`")),
        None => misused("which command?"),
    }
}

fn test(arguments: &[&str]) -> ExitCode {
    let mut profile = Profile::Dev;
    let mut wanted = Vec::new();
    for &argument in arguments {
        match argument {
            "--release" => profile = Profile::Release,
            name if PARTS.iter().any(|part| part.name == name) => wanted.push(name),
            other => return misused(&format!("no part or option `{other}`")),
        }
    }
    let mut report = Report::default();
    for part in PARTS {
        if wanted.is_empty() || wanted.contains(&part.name) {
            report.part(part.name, part.what, || (part.run)(profile));
        }
    }
    report.conclude()
}

fn models(arguments: &[&str]) -> ExitCode {
    let mut bound = parts::BOUND;
    let mut filter = None;
    for &argument in arguments {
        match argument {
            "--deep" => bound = parts::DEEP_BOUND,
            name if !name.starts_with('-') && filter.is_none() => filter = Some(name),
            other => return misused(&format!("no option `{other}` (one FILTER at most)")),
        }
    }
    let mut report = Report::default();
    report.part("models", "loom models", || parts::models(bound, filter));
    report.conclude()
}

fn kill(arguments: &[&str]) -> ExitCode {
    let mut extent = Extent::Full;
    let mut case = None;
    for &argument in arguments {
        match argument {
            "--short" => extent = Extent::Short,
            name if !name.starts_with('-') && case.is_none() => case = Some(name),
            other => return misused(&format!("no option `{other}` (one CASE at most)")),
        }
    }
    let mut report = Report::default();
    report.part("kill", parts::KILL, || {
        parts::kill(Profile::Release, extent, case)
    });
    report.conclude()
}

fn help() -> String {
    let mut text = HELP.to_owned();
    for part in PARTS {
        text += &format!("  {:<13} {}\n", part.name, part.what);
    }
    text
}

/// Wrong arguments are exit code 2: nothing was tested, so it is no test result.
fn misused(problem: &str) -> ExitCode {
    eprintln!("cargo xtask: {problem}\n\n{}", help());
    ExitCode::from(2)
}
