//! Process pools: from start to first results, one task at a time, a map of small items.
//!
//! Python's executor is the peer, when there is a python3. A bare socketpair and a bare futex in
//! shared memory show what the kernel charges for two wake-ups between processes; they run no
//! tasks, so they are limits. Their other end is this program again, started with [`CHILD`].

mod futex;
mod ours;
mod socket;

use crate::python::{self, Script};
use crate::run::{Metric, Workload};
use std::env;
use std::process::{Command, ExitCode};
use std::time::Duration;

const WORKERS: usize = 2;

const PYTHON: &str = "Python ProcessPoolExecutor";
const SCRIPT: Script = Script("groups/process_pool.py");

/// Says in the environment that this process is the other end, and of what.
const CHILD: &str = "LATCHWORK_BENCHES_CHILD";

/// Runs the other end if that is what this process was started for.
pub fn child() -> Option<ExitCode> {
    let ended = match env::var(CHILD).ok()?.as_str() {
        "socketpair" => socket::echo(),
        "futex" => futex::echo(),
        other => panic!("no child is called {other}"),
    };
    Some(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

/// This program as the other end called `name`.
fn myself(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env(CHILD, name);
    command
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let latency = [Metric::time("us/round trip"), Metric::time("p50 us")];
    let mut start = Workload::new("start of a pool of 2", &[Metric::time("ms to 2 results")])
        .ours(ours::start)
        .limit("socketpair", socket::start)
        .limit("futex", futex::start);
    let mut round_trip = Workload::new("submit->result one at a time", &latency)
        .ours(move || ours::round_trips(sample))
        .limit("socketpair", move || socket::round_trips(sample))
        .limit("futex", move || futex::round_trips(sample));
    let mut map = Workload::new("map of small items", &[Metric::rate("items/s")])
        .ours(move || ours::items_a_second(sample))
        .limit("thread+socketpair each", move || {
            socket::items_a_second(sample)
        });
    if python::is_there() {
        start = start.peer(PYTHON, move || SCRIPT.sample::<1>("start", sample));
        round_trip = round_trip.peer(PYTHON, move || SCRIPT.sample::<2>("round-trip", sample));
        map = map.peer(PYTHON, move || SCRIPT.sample::<1>("map", sample));
    }
    vec![start, round_trip, map]
}
