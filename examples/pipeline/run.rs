//! What every way of running shares: the plan, the tally, and the serial run itself.
//!
//! Keeps: each picture of the plan ends exactly once, as done, failed or not tried. Used by `main`;
//! [`parallel`](crate::parallel) is the other way of running.

use crate::counters::{Counters, Totals};
use crate::faults::{Fault, Faults};
use crate::pictures::Name;
use crate::progress::Progress;
use crate::steps::{Client, Failure, Job, save, shrink};
use latchwork::CancelToken;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is to be done.
pub struct Plan {
    pub names: Vec<Name>,
    pub client: Client,
    pub faults: Faults,
    pub output: PathBuf,
    pub progress: bool,
    pub stop: CancelToken,
}

impl Plan {
    pub fn job(&self, name: &Path, file: Vec<u8>, counters: &Counters) -> Job {
        Job {
            file,
            is_deadly: self.faults.of(name) == Some(Fault::Killed),
            counters: counters.clone(),
        }
    }
}

/// Time spent outside `shrink`, summed over all pictures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    pub download: Duration,
    /// From the end of the download until there was room in the compute stage.
    pub queue: Duration,
    /// In the compute stage, without the computing: on the way, and waiting for a worker.
    pub transit: Duration,
    pub write: Duration,
}

/// What became of the pictures so far.
pub struct Tally {
    pub done: usize,
    pub failures: Vec<(Name, Failure)>,
    pub not_tried: usize,
    pub spent: Spent,
    progress: Progress,
    start: Instant,
}

impl Tally {
    pub fn start(title: &'static str, plan: &Plan) -> Tally {
        Tally {
            done: 0,
            failures: Vec::new(),
            not_tried: 0,
            spent: Spent::default(),
            progress: Progress::new(title, plan.names.len(), plan.progress),
            start: Instant::now(),
        }
    }

    /// Saves a shrunk picture, and with that it is done.
    pub fn save(&mut self, output: &Path, name: Name, file: &[u8]) {
        let start = Instant::now();
        let saved = save(output, &name, file);
        self.spent.write += start.elapsed();
        match saved {
            Ok(()) => {
                self.done += 1;
                self.step();
            }
            Err(failure) => self.fail(name, failure),
        }
    }

    pub fn fail(&mut self, name: Name, failure: Failure) {
        self.failures.push((name, failure));
        self.step();
    }

    fn step(&self) {
        let failed = self.failures.len();
        self.progress.step(self.done + failed, failed);
    }

    pub fn finish(mut self, counters: &Counters) -> Result<Run, String> {
        let wall = self.start.elapsed();
        self.progress.finish();
        self.failures.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(Run {
            done: self.done,
            failures: self.failures,
            not_tried: self.not_tried,
            spent: self.spent,
            totals: counters.read()?,
            wall,
        })
    }
}

/// A run that has ended.
pub struct Run {
    pub done: usize,
    /// In order of their names.
    pub failures: Vec<(Name, Failure)>,
    /// Not begun, or dropped half-way, because the program was to stop.
    pub not_tried: usize,
    pub spent: Spent,
    pub totals: Totals,
    pub wall: Duration,
}

/// Everything one after another, in this thread.
pub fn serial(plan: &Plan) -> Result<Run, Box<dyn Error>> {
    let counters = Counters::new()?;
    let mut tally = Tally::start("serial", plan);
    for (index, name) in plan.names.iter().enumerate() {
        if plan.stop.is_cancelled() {
            tally.not_tried = plan.names.len() - index;
            break;
        }
        let start = Instant::now();
        let file = plan.client.download(name);
        tally.spent.download += start.elapsed();
        let shrunk = file.and_then(|file| shrink(plan.job(name, file, &counters)));
        match shrunk {
            Ok(shrunk) => tally.save(&plan.output, name.clone(), &shrunk.file),
            Err(failure) => tally.fail(name.clone(), failure),
        }
    }
    Ok(tally.finish(&counters)?)
}
