//! Values between processes: a number that several count up, and bytes that are copied in and out.
//!
//! Python measures itself: `value.py` starts its own processes.

use super::{bytes, counters};
use crate::python::{self, Script};
use crate::run::{Metric, Workload};
use crate::shared::{WARM_UP, calls};
use counters::{Atomic, Counter, Guarded};
use latchwork::ipc::Value;
use std::time::Duration;

pub const PYTHON: Script = Script("groups/ipc/value.py");

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let counted = [Metric::rate("increments/s")];
    let mut workloads = Vec::new();
    for processes in [1, 2, 4] {
        let mut workload = Workload::new(format!("count p={processes}"), &counted)
            .ours(move || count::<Value<u64>>(sample, processes))
            .peer("pthread", move || {
                count::<Guarded<false>>(sample, processes)
            })
            .peer("pthread robust", move || {
                count::<Guarded<true>>(sample, processes)
            })
            .limit("fetch_add", move || count::<Atomic>(sample, processes));
        if python::is_there() {
            let what = format!("count-{processes}");
            workload = workload.peer("Python Value", move || PYTHON.sample::<1>(&what, sample));
        }
        workloads.push(workload);
    }
    workloads.extend(bytes::workloads(sample));
    workloads
}

fn count<C: Counter>(sample: Duration, processes: usize) -> f64 {
    let counter = C::new();
    let counted = calls(sample, processes, |_| || counter.increment());
    let all = counted.all() + WARM_UP * processes as u64;
    assert_eq!(counter.get(), all, "increments are lost");
    counted.a_second()
}
