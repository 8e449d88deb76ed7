//! Measures latchwork beside its peers: `cargo run --release -p latchwork-benches -- GROUP...`
//!
//! `groups/` says what is measured and with whom, `run` takes the contenders in turn and makes
//! ratios of their figures, `report` prints and writes them. `instructions` counts instead.

mod allocated;
mod flow;
mod groups;
mod instructions;
mod place;
mod python;
mod report;
mod run;
mod shared;
mod usage;
mod work;

use groups::GROUPS;
use lexopt::prelude::*;
use report::Report;
use run::{Effort, picks};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: allocated::Counting = allocated::Counting;

const HELP: &str = "\
latchwork-benches GROUP... [--rounds N] [--sample MS] [--quick] [--only TEXT] [--json FILE]

    --rounds N    rounds counted, after one that is not (default 7)
    --sample MS   milliseconds that one contender runs for in a round (default 60)
    --quick       two short rounds: whether everything runs, not how fast
    --only TEXT   only workloads whose name contains TEXT (its numbers whole: cap=1 is not cap=1024)
    --json FILE   write the rows to FILE, too

latchwork-benches instructions [--only TEXT]
    counts instructions with valgrind instead, of operations whose name contains TEXT

Groups (or `all`):";

/// Not a group: it has no rounds and no rows, and `all` leaves it out.
const INSTRUCTIONS: &str = "instructions";

struct Arguments {
    groups: Vec<String>,
    effort: Effort,
    only: String,
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    if let Some(code) = groups::process::child() {
        return code;
    }
    if cfg!(debug_assertions) {
        eprintln!("built without optimisation: these figures mean nothing (use --release)");
    }
    not_alone();
    if let Some(code) = instructions::child() {
        return code;
    }
    match arguments().and_then(measure) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("latchwork-benches: {problem}");
            ExitCode::from(2)
        }
    }
}

/// Makes this a program of several threads. In one that has a single thread the C library's mutexes
/// and semaphores leave their atomic instructions out, as long as that lasts: a fourth of the time,
/// for something that is no lock.
fn not_alone() {
    thread::spawn(|| {
        loop {
            thread::park();
        }
    });
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    let mut arguments = Arguments {
        groups: Vec::new(),
        effort: Effort {
            rounds: 7,
            sample: Duration::from_millis(60),
        },
        only: String::new(),
        json: None,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rounds") => arguments.effort.rounds = parser.value()?.parse()?,
            Long("sample") => {
                arguments.effort.sample = Duration::from_millis(parser.value()?.parse()?);
            }
            Long("quick") => {
                arguments.effort = Effort {
                    rounds: 2,
                    sample: Duration::from_millis(5),
                };
            }
            Long("only") => arguments.only = parser.value()?.string()?,
            Long("json") => arguments.json = Some(parser.value()?.into()),
            Short('h') | Long("help") => {
                arguments.groups.clear(); // Without a group it says what there is.
                return Ok(arguments);
            }
            Value(group) => arguments.groups.push(group.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let known = |name: &String| {
        name == INSTRUCTIONS || name == "all" || GROUPS.iter().any(|group| group.name == name)
    };
    if let Some(unknown) = arguments.groups.iter().find(|name| !known(name)) {
        return Err(format!("no group `{unknown}`").into());
    }
    if arguments.effort.rounds == 0 || arguments.effort.sample.is_zero() {
        return Err("no figures without a round, nor without a sample".into());
    }
    Ok(arguments)
}

fn measure(arguments: Arguments) -> Result<(), lexopt::Error> {
    let Arguments {
        groups,
        effort,
        only,
        json,
    } = arguments;
    if groups.is_empty() {
        println!("{HELP}");
        for group in GROUPS {
            println!("    {:<10} {}", group.name, group.what);
        }
        return Ok(());
    }
    let mut report = Report::default();
    for group in GROUPS {
        if !groups
            .iter()
            .any(|name| name == group.name || name == "all")
        {
            continue;
        }
        report.open(group.name);
        for workload in (group.workloads)(effort.sample) {
            if picks(&only, &workload.name) {
                report.rows(workload.run(effort.rounds));
            }
        }
        report.close();
    }
    if groups.iter().any(|name| name == INSTRUCTIONS) {
        instructions::count(&only).map_err(|problem| problem.to_string())?;
    }
    match json {
        Some(file) => report.write_json(&file).map_err(|problem| {
            lexopt::Error::Custom(format!("{}: {problem}", file.display()).into())
        }),
        None => Ok(()),
    }
}
