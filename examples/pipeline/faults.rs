//! Faults on purpose, decided by a picture's name and a seed, so that a run can be predicted.
//!
//! Keeps: nothing but name, rate and seed decides; no clock, no order, no state. The server asks for
//! those of the network, the compute stage for the deadly one, and the report for all of them, which
//! makes its list a prediction and not a record.

use serde::Serialize;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The server answers with status 500.
    Http500,
    /// The server answers later than the client waits.
    Stall,
    /// The server sends the beginning of the file as if that were all.
    Broken,
    /// The worker process that has the picture kills itself in the middle.
    Killed,
}

impl Fault {
    const ALL: [Fault; 4] = [Fault::Http500, Fault::Stall, Fault::Broken, Fault::Killed];
}

#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub rate: f64,
    pub seed: u64,
}

/// A fault that will happen to a picture, and how a report must begin to tell it.
#[derive(Serialize, Debug)]
pub struct Injected {
    pub name: String,
    pub kind: &'static str,
    pub reason: String,
}

impl Faults {
    pub fn of(&self, name: &Path) -> Option<Fault> {
        let mut hasher = DefaultHasher::new();
        (self.seed, name).hash(&mut hasher);
        let mut dice = fastrand::Rng::with_seed(hasher.finish());
        (dice.f64() < self.rate).then(|| Fault::ALL[dice.usize(..Fault::ALL.len())])
    }

    /// What a parallel run with this client time-out must report, as far as these faults go.
    pub fn predict<'a>(
        &self,
        names: impl IntoIterator<Item = &'a Path>,
        timeout: Duration,
    ) -> Vec<Injected> {
        let injected = |name: &Path| {
            let (kind, reason) = match self.of(name)? {
                Fault::Http500 => ("http-500", "http 500".to_owned()),
                Fault::Stall => (
                    "stall",
                    format!("timed out after {} ms", timeout.as_millis()),
                ),
                Fault::Broken => ("broken", "not a picture: ".to_owned()),
                Fault::Killed => ("killed", "worker killed by signal 9".to_owned()),
            };
            let name = name.display().to_string();
            Some(Injected { name, kind, reason })
        };
        names.into_iter().filter_map(injected).collect()
    }
}
