//! Python's ProcessPoolExecutor: a script that times itself, started anew for each sample.

use std::process::{Command, Stdio};
use std::time::Duration;

pub const NAME: &str = "Python ProcessPoolExecutor";

/// By its path, not through standard input: Python's workers import the script by its name.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/groups/process_pool.py");

pub fn is_there() -> bool {
    let version = Command::new("python3")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// The figures the script prints for a workload.
pub fn sample<const N: usize>(workload: &str, sample: Duration) -> [f64; N] {
    let output = Command::new("python3")
        .arg(SCRIPT)
        .args([workload, &sample.as_secs_f64().to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("python3 starts, it did before");
    let figures = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = figures
        .split_whitespace()
        .map(|figure| figure.parse().expect("a number"))
        .collect();
    figures.try_into().expect("a figure for each metric")
}
