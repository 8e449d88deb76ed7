//! The groups: what is measured, and with whom. A group is one file here and one line below; a
//! contender is a small impl of the group's trait and a line where the workloads are built.

mod barrier;
mod condition;
mod event;
mod future;
mod ipc;
pub mod lock;
mod parallel;
mod pool;
pub mod priority;
pub mod process;
pub mod queue;
mod rlock;
mod rwlock;
mod semaphore;
mod thread;
mod timer;

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
        name: "semaphore",
        what: "semaphores between threads",
        workloads: semaphore::workloads,
    },
    Group {
        name: "event",
        what: "flags that a thread waits for",
        workloads: event::workloads,
    },
    Group {
        name: "rlock",
        what: "mutual exclusion that its owner may enter again",
        workloads: rlock::workloads,
    },
    Group {
        name: "condition",
        what: "condition variables",
        workloads: condition::workloads,
    },
    Group {
        name: "rwlock",
        what: "reader-writer locks between threads",
        workloads: rwlock::workloads,
    },
    Group {
        name: "barrier",
        what: "threads that wait for each other",
        workloads: barrier::workloads,
    },
    Group {
        name: "queue",
        what: "FIFO queues between threads",
        workloads: queue::workloads,
    },
    Group {
        name: "priority",
        what: "priority queues between threads",
        workloads: priority::workloads,
    },
    Group {
        name: "timer",
        what: "functions to be called later",
        workloads: timer::workloads,
    },
    Group {
        name: "thread",
        what: "threads, and values that each has for itself",
        workloads: thread::workloads,
    },
    Group {
        name: "pool",
        what: "thread pools that return results",
        workloads: pool::workloads,
    },
    Group {
        name: "future",
        what: "results that are there later, and many of them",
        workloads: future::workloads,
    },
    Group {
        name: "parallel",
        what: "loops and recursions over borrowed data",
        workloads: parallel::workloads,
    },
    Group {
        name: "process",
        what: "process pools",
        workloads: process::workloads,
    },
    Group {
        name: "ipc-lock",
        what: "mutual exclusion between processes",
        workloads: ipc::lock::workloads,
    },
    Group {
        name: "ipc-value",
        what: "numbers and bytes in shared memory, under a lock",
        workloads: ipc::value::workloads,
    },
];
