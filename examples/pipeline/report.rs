//! What a run comes to: one set of figures, as a table for people and as JSON for programs.
//!
//! Keeps: both show the same figures. `injected` is what the fault injector predicts and `failures`
//! what happened; nothing here makes one from the other. Used by `main` at the end.

use crate::faults::Injected;
use crate::run::Run;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Serialize)]
pub struct Report {
    pub mode: &'static str,
    pub pictures: usize,
    pub done: usize,
    pub not_tried: usize,
    pub failures: Vec<Failed>,
    pub injected: Vec<Injected>,
    pub stages: Vec<Stage>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub pixels: u64,
    pub threads: usize,
    pub workers: usize,
    /// Share of the run in which a thread was downloading, a worker computing.
    pub threads_busy: f64,
    pub workers_busy: f64,
    pub wall_seconds: f64,
    pub serial_seconds: Option<f64>,
    pub speed_up: Option<f64>,
    /// Whether a serial run made the same files, byte for byte.
    pub identical: Option<bool>,
    pub output: PathBuf,
}

#[derive(Serialize)]
pub struct Failed {
    pub name: String,
    pub reason: String,
}

#[derive(Serialize)]
pub struct Stage {
    pub stage: &'static str,
    pub seconds: f64,
    pub milliseconds_per_picture: f64,
}

/// Who worked: how many threads downloaded and how many processes computed. One of each, the same
/// one, in a serial run.
#[derive(Clone, Copy)]
pub struct Crew {
    pub threads: usize,
    pub workers: usize,
}

impl Report {
    pub fn new(mode: &'static str, run: &Run, crew: Crew, injected: Vec<Injected>) -> Report {
        let ended = run.done + run.failures.len();
        let totals = &run.totals;
        let stage = |stage, spent: Duration, pictures: usize| Stage {
            stage,
            seconds: spent.as_secs_f64(),
            milliseconds_per_picture: spent.as_secs_f64() * 1e3 / pictures.max(1) as f64,
        };
        let computed = totals.pictures as usize;
        let compute = |name, ns| stage(name, Duration::from_nanos(ns), computed);
        let wall = run.wall.as_secs_f64();
        let compute_seconds = totals.compute_ns() as f64 / 1e9;
        Report {
            mode,
            pictures: ended + run.not_tried,
            done: run.done,
            not_tried: run.not_tried,
            failures: failed(run),
            injected,
            stages: vec![
                stage("download", run.spent.download, ended),
                stage("wait in queue", run.spent.queue, ended),
                stage("to worker and back", run.spent.transit, ended),
                compute("decode", totals.decode_ns),
                compute("grey", totals.grey_ns),
                compute("halve", totals.halve_ns),
                compute("encode", totals.encode_ns),
                stage("write", run.spent.write, run.done),
            ],
            bytes_in: totals.bytes_in,
            bytes_out: totals.bytes_out,
            pixels: totals.pixels,
            threads: crew.threads,
            workers: crew.workers,
            threads_busy: run.spent.download.as_secs_f64() / (wall * crew.threads as f64),
            workers_busy: compute_seconds / (wall * crew.workers as f64),
            wall_seconds: wall,
            serial_seconds: None,
            speed_up: None,
            identical: None,
            output: PathBuf::new(),
        }
    }

    /// Puts a serial run of the same plan beside this one.
    pub fn compare(&mut self, serial: &Run, identical: bool) {
        let seconds = serial.wall.as_secs_f64();
        self.serial_seconds = Some(seconds);
        self.speed_up = Some(seconds / self.wall_seconds);
        self.identical = Some(identical);
    }
}

fn failed(run: &Run) -> Vec<Failed> {
    let failed = run.failures.iter().map(|(name, failure)| Failed {
        name: name.display().to_string(),
        reason: failure.to_string(),
    });
    failed.collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:>12} {:>14}",
            "stage", "total s", "ms a picture"
        )?;
        for stage in &self.stages {
            let (name, total, each) = (stage.stage, stage.seconds, stage.milliseconds_per_picture);
            writeln!(f, "{name:<20} {total:>12.3} {each:>14.2}")?;
        }
        writeln!(f)?;
        let mut row = |name: &str, value: String| writeln!(f, "{name:<20} {value}");
        row("run", self.mode.to_owned())?;
        row("pictures", self.counts())?;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let volume = format!(
            "{:.1} megapixels, {:.1} MB in, {:.1} MB out",
            self.pixels as f64 / 1e6,
            megabytes(self.bytes_in),
            megabytes(self.bytes_out)
        );
        row("volume", volume)?;
        let busy = |count: usize, share: f64| format!("{count}, {:.0} % busy", share * 100.0);
        row("download threads", busy(self.threads, self.threads_busy))?;
        row("worker processes", busy(self.workers, self.workers_busy))?;
        row("wall time", format!("{:.3} s", self.wall_seconds))?;
        if let (Some(serial), Some(speed_up)) = (self.serial_seconds, self.speed_up) {
            row(
                "speed-up",
                format!("{speed_up:.2}, serial took {serial:.3} s"),
            )?;
        }
        if let Some(identical) = self.identical {
            let verdict = if identical { "yes" } else { "NO" };
            row("same bytes as serial", verdict.to_owned())?;
        }
        row("output", self.output.display().to_string())?;
        if !self.failures.is_empty() {
            writeln!(f, "\nfailed:")?;
        }
        for failed in &self.failures {
            writeln!(f, "  {}: {}", failed.name, failed.reason)?;
        }
        Ok(())
    }
}

impl Report {
    fn counts(&self) -> String {
        let mut counts = format!("{}, {} done", self.pictures, self.done);
        counts += &format!(", {} failed", self.failures.len());
        if self.not_tried > 0 {
            counts += &format!(", {} not tried", self.not_tried);
        }
        counts
    }
}
