use crate::run::Workload;
use std::time::Duration;

pub fn workloads(_: Duration) -> Vec<Workload> {
    Vec::new()
}
