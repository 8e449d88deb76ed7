//! The groups: what is measured, and with whom. A group is one file here and one line below; a
//! contender is a small impl of the group's trait and a line where the workloads are built.

mod barrier;
pub mod lock;
mod pool;
pub mod process;
pub mod queue;

use crate::run::Workload;
use std::time::Duration;

pub struct Group {
    pub name: &'static str,
    pub what: &'static str,
    /// Builds the workloads; each contender is to run for about the given time when it is called.
    pub workloads: fn(Duration) -> Vec<Workload>,
}

pub const GROUPS: &[Group] = &[
    Group {
        name: "lock",
        what: "mutual exclusion between threads",
        workloads: lock::workloads,
    },
    Group {
        name: "barrier",
        what: "threads that wait for each other",
        workloads: barrier::workloads,
    },
    Group {
        name: "queue",
        what: "bounded FIFO queues",
        workloads: queue::workloads,
    },
    Group {
        name: "pool",
        what: "thread pools that return results",
        workloads: pool::workloads,
    },
    Group {
        name: "process",
        what: "process pools",
        workloads: process::workloads,
    },
];
