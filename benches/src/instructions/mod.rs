//! Counts the instructions of one operation: `latchwork-benches instructions [--only TEXT]`.
//!
//! Unlike a time, a count is the same on every run and on a busy machine. It is taken under
//! valgrind's callgrind, which counts whatever this program executes when it is started as a child
//! that does the operation N times, and once more as one that does it 2N times. The difference is
//! N operations: start-up and the first call's extras fall out of it. The loop around them does not:
//! its counter is two instructions of each count, for everybody alike.
//!
//! An instruction is not a nanosecond: an atomic one costs as much as twenty others. Counts tell what
//! a change of the code has added where the times' noise would hide it.

mod operations;
pub mod stepped;

use crate::groups::{lock, priority, queue};
use crate::run::picks;
use std::env;
use std::hint::black_box;
use std::io;
use std::process::{Command, ExitCode};

/// What is counted. A group has its table beside its contenders, and a line here.
const TABLES: &[&[Operation]] = &[
    lock::OPERATIONS,
    operations::ALONE,
    queue::OPERATIONS,
    priority::OPERATIONS,
];

/// One thing that somebody can do over and over with nobody in the way.
pub struct Operation {
    /// As in "mutex lock+unlock".
    pub name: &'static str,
    pub contender: &'static str,
    /// Does it so many times, after whatever has to be there.
    pub times: fn(u64),
}

/// Does `operation` so many times with `thing`, which might be anywhere.
#[inline(always)]
pub fn repeat<T>(times: u64, thing: T, mut operation: impl FnMut(&T)) {
    let thing = black_box(&thing);
    for _ in 0..times {
        operation(thing);
    }
}

/// Says in the environment that this process is a child, and of what: index and times.
const CHILD: &str = "LATCHWORK_BENCHES_OPERATION";

/// The difference between the two children; enough to drown what one start differs from another.
const TIMES: u64 = 100_000;

/// Does an operation if that is what this process was started for.
pub fn child() -> Option<ExitCode> {
    let what = env::var(CHILD).ok()?;
    let parsed = what.split_once(' ').and_then(|(index, times)| {
        let operation = all().nth(index.parse().ok()?)?;
        Some((operation, times.parse().ok()?))
    });
    let Some((operation, times)) = parsed else {
        panic!("no operation is called {what}");
    };
    (operation.times)(times);
    Some(ExitCode::SUCCESS)
}

fn all() -> impl Iterator<Item = &'static Operation> {
    TABLES.iter().copied().flatten()
}

/// Prints a line for each operation: ours, then everybody else's.
pub fn count(only: &str) -> io::Result<()> {
    if !valgrind_is_there() {
        println!("skipped: instructions are counted by valgrind, which is not installed");
        return Ok(());
    }
    println!("\ninstructions an operation");
    let mut names: Vec<&str> = all().map(|operation| operation.name).collect();
    names.dedup();
    for name in names.into_iter().filter(|name| picks(only, name)) {
        let mut counts = Vec::new();
        for (index, operation) in all().enumerate().filter(|(_, o)| o.name == name) {
            let [once, twice] = [TIMES, 2 * TIMES].map(|times| executed(index, times));
            let each = twice?.saturating_sub(once?) as f64 / TIMES as f64;
            counts.push(format!("{} {}", operation.contender, short(each)));
        }
        println!("  {name:<38} {}", counts.join(", "));
    }
    Ok(())
}

fn valgrind_is_there() -> bool {
    let version = Command::new("valgrind").arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// How many instructions a child executes that does the operation so many times.
fn executed(index: usize, times: u64) -> io::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .env(CHILD, format!("{index} {times}"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    collected(&said)
        .filter(|_| output.status.success())
        .ok_or_else(|| io::Error::other(format!("valgrind counted nothing:\n{said}")))
}

/// The number in callgrind's line `==PID== Collected : N`.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Without what is left of the noise of two starts.
fn short(instructions: f64) -> String {
    let whole = instructions.round();
    if (instructions - whole).abs() < 0.05 {
        format!("{whole}")
    } else {
        format!("{instructions:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_among_what_callgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n";
        assert_eq!(collected(said), Some(123_456));
        assert_eq!(collected("==7== bash: not found"), None);
    }

    #[test]
    fn noise_is_not_a_fraction() {
        assert_eq!([9.98, 10.04, 331.13].map(short), ["10", "10", "331.1"]);
    }

    #[test]
    fn every_operation_can_be_done_by_all_who_claim_it_and_stands_with_its_kin() {
        let mut names = Vec::new();
        for operation in all() {
            (operation.times)(3);
            if names.last() != Some(&operation.name) {
                assert!(!names.contains(&operation.name), "{}", operation.name);
                names.push(operation.name);
            }
        }
    }
}
