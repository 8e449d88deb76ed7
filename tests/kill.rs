//! What a killed or stopped process does to the others: nothing they cannot carry on from.
//!
//! Each operation of `kill/cases` is stepped, and its victim killed, or stopped, at instructions all
//! along it; processes under load are killed and stopped at random; `kill/deaths.rs` has what needs a
//! story of its own. `cargo xtask kill` runs the drivers in full, for minutes, and prints their table.

#![cfg(all(feature = "process", target_os = "linux"))]

#[path = "kill/case.rs"]
mod case;
#[path = "kill/cases/mod.rs"]
mod cases;
mod common;
#[path = "kill/deaths.rs"]
mod deaths;
#[path = "kill/drive.rs"]
mod drive;
#[path = "kill/scratch.rs"]
mod scratch;
#[path = "kill/storm.rs"]
mod storm;
#[path = "kill/victim.rs"]
mod victim;

use case::Case;
use common::watchdog;
use drive::{HEADING, Points, Row};
use latchwork::testing::Baseline;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storm::Storm;

/// How much is done, as `cargo xtask kill` says in the environment: unset in ordinary test runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Few points of each case, and no table unless something fails.
    Quiet,
    Short,
    Full,
}

impl Extent {
    fn wanted() -> Extent {
        match std::env::var("LATCHWORK_KILL").as_deref() {
            Ok("full") => Extent::Full,
            Ok("short") => Extent::Short,
            _ => Extent::Quiet,
        }
    }

    fn limit(self) -> Duration {
        Duration::from_secs(if self == Extent::Full { 3600 } else { 120 })
    }

    fn points(self, points: usize) -> Points {
        match self {
            Extent::Full => Points::All,
            _ => Points::About(points),
        }
    }

    fn storm(self) -> Duration {
        Duration::from_secs(if self == Extent::Full { 60 } else { 2 })
    }
}

/// What the dead had made is used again only when there is no other room.
const ARENA_MAY_KEEP: u64 = 8 << 20;

/// The tests here count the processes and descriptors of the whole program: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a driver over the cases, prints its rows, and fails on whatever was stuck, lost or left behind.
fn drive(name: &'static str, drive: impl Fn(Extent) -> Vec<Row> + Send + 'static) {
    let _alone = alone();
    let extent = Extent::wanted();
    watchdog(extent.limit(), name, move || {
        cases::be_listed();
        let before = Baseline::take().unwrap().with_slack(ARENA_MAY_KEEP);
        say(extent, HEADING);
        let rows = drive(extent);
        before.check().expect("something was left behind");
        assert!(rows.iter().all(|row| row.points > 0));
        let faults: Vec<String> = rows.into_iter().flat_map(|row| row.faults).collect();
        assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    });
}

/// Past libtest's capture if it was asked for: a run of minutes should show that it gets on.
fn say(extent: Extent, line: &str) {
    println!("{line}");
    if extent != Extent::Quiet {
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    }
}

/// Runs the cases that were asked for: all of them, unless the environment has part of a name.
fn each<T>(extent: Extent, all: &[T], name: fn(&T) -> &str, run: impl Fn(&T) -> Row) -> Vec<Row> {
    let only = std::env::var("LATCHWORK_KILL_CASE").unwrap_or_default();
    let chosen = all.iter().filter(|case| name(case).contains(&only));
    let rows = chosen.map(|case| {
        let row = run(case);
        say(extent, &row.to_string());
        row
    });
    rows.collect()
}

fn each_case(extent: Extent, run: impl Fn(&Case) -> Row) -> Vec<Row> {
    let rows = each(extent, &cases::cases(), |case| case.name, run);
    assert!(!rows.is_empty(), "there is no such case");
    rows
}

/// Rows X7, X8, C15: killed at any instruction, it costs nobody else anything.
#[test]
fn killed_at_each_instruction() {
    drive("killed at each instruction", |extent| {
        each_case(extent, |case| drive::kills(case, extent.points(40)))
    });
}

/// Stopped at any instruction, it keeps what it has, and nobody waits beyond a limit.
#[test]
fn stopped_at_each_instruction() {
    drive("stopped at each instruction", |extent| {
        each_case(extent, |case| drive::stops(case, extent.points(8)))
    });
}

/// Rows X7, X8: so do many at once, at moments that nobody chose.
#[test]
fn killed_and_stopped_at_random() {
    drive("killed and stopped at random", |extent| {
        let rage = |storm: &Storm| (storm.rage)(extent.storm());
        each(extent, &cases::storms(), |storm| storm.name, rage)
    });
}
