//! Python as a peer: scripts that time themselves, started anew for each sample.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

/// A script by its path in `src/`, not through standard input: Python's worker processes import it by its name.
#[derive(Clone, Copy)]
pub struct Script(pub &'static str);

pub fn is_there() -> bool {
    static IS_THERE: LazyLock<bool> = LazyLock::new(|| {
        let version = Command::new("python3")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        version.is_ok_and(|status| status.success())
    });
    *IS_THERE
}

impl Script {
    /// The figures the script prints for a workload.
    pub fn sample<const N: usize>(self, workload: &str, sample: Duration) -> [f64; N] {
        let sources = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
        let output = Command::new("python3")
            .arg(sources.join(self.0))
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
}
