//! A real job through every layer: pictures are downloaded by threads and made smaller and grey by
//! processes, while later downloads are still running.
//!
//! `cargo run --release --example pipeline -- --help` says what can be asked for, docs/pipeline.md
//! what comes out. Where to read on:
//!
//! - `parallel`: the pipeline itself, the part this library is for. Begin here.
//! - `steps`: what happens to one picture. `run`: the same steps without any concurrency.
//! - `counters`: the numbers that worker processes share.
//! - `server`, `faults`: the other end of the wire, and what goes wrong there on purpose.
//! - `pictures`, `gallery`: which files are pictures, and some of our own.
//! - `options`, `progress`, `report`: what a command-line program needs.

mod counters;
mod faults;
mod gallery;
mod options;
mod parallel;
mod pictures;
mod progress;
mod report;
mod run;
mod server;
mod steps;

use faults::Faults;
use latchwork::CancelToken;
use latchwork::executor::ProcessPoolExecutor;
use options::{Mode, Options};
use parallel::Sizes;
use progress::say;
use report::{Crew, Report};
use run::{Plan, Run};
use server::{Offer, Server};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use tempfile::TempDir;

const DONE: u8 = 0;
const IMPOSSIBLE: u8 = 1;
const SOME_FAILED: u8 = 2;
const INTERRUPTED: u8 = 130;

/// The serial run takes one step at a time.
const ALONE: Crew = Crew {
    threads: 1,
    workers: 1,
};

fn main() -> ExitCode {
    let options = match options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            // To a closed pipe, too.
            let _ = io::stdout().write_all(options::HELP.as_bytes());
            return DONE.into();
        }
        Err(error) => {
            say(&format!("pipeline: {error} (--help lists the options)"));
            return IMPOSSIBLE.into();
        }
    };
    match work(&options) {
        Ok(code) => code.into(),
        Err(error) => {
            say(&format!("pipeline: {error}"));
            IMPOSSIBLE.into()
        }
    }
}

/// Everything from the checks to the report; returns the exit code.
fn work(options: &Options) -> Result<u8, Box<dyn Error>> {
    options.check_folders()?;
    let stop = CancelToken::new();
    stop_on_signals(stop.clone())?;

    // Removed when this function returns.
    let drawn;
    let input = match &options.input {
        Some(input) => input.as_path(),
        None => {
            drawn = temporary("pictures")?;
            gallery::draw(drawn.path(), options.quick, &stop)?;
            drawn.path()
        }
    };
    let names = pictures::find(input)?;
    if names.is_empty() && !stop.is_cancelled() {
        return Err(format!("no pictures in {}", input.display()).into());
    }
    let faults = Faults {
        rate: options.fault_rate,
        seed: options.seed,
    };
    let offer = Offer {
        folder: input.to_owned(),
        names: names.iter().cloned().collect(),
        latency: options.latency,
        faults,
    };
    let server = Server::start(offer, options.threads, &stop)?;
    let output = match &options.output {
        Some(output) => {
            fs::create_dir_all(output).map_err(at(output))?;
            output.to_owned()
        }
        None => temporary("output")?.keep(),
    };
    let plan = Plan {
        names,
        client: steps::Client::new(server.address(), options.timeout, options.threads),
        faults,
        output,
        progress: options.progress,
        stop,
    };
    let result = run_and_compare(options, &plan);
    if options.output.is_none() && (result.is_err() || plan.stop.is_cancelled()) {
        // Goes only if nothing is in it.
        let _ = fs::remove_dir(&plan.output);
    }
    let mut report = result?;
    report.output.clone_from(&plan.output);

    // A reader who has seen enough is no reason to fail.
    let _ = write!(io::stdout(), "{report}");
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(file, text).map_err(at(file))?;
    }
    Ok(verdict(&report, &plan))
}

fn verdict(report: &Report, plan: &Plan) -> u8 {
    if plan.stop.is_cancelled() {
        let (done, of) = (report.done, report.pictures);
        say(&format!("interrupted: {done} of {of} pictures are done"));
        INTERRUPTED
    } else if report.identical == Some(false) {
        IMPOSSIBLE
    } else if !report.failures.is_empty() {
        SOME_FAILED
    } else {
        DONE
    }
}

fn run_and_compare(options: &Options, plan: &Plan) -> Result<Report, Box<dyn Error>> {
    let names = plan.names.iter().map(|name| &**name);
    let injected = plan.faults.predict(names, options.timeout);
    match options.mode {
        Mode::Serial => Ok(Report::new("serial", &run::serial(plan)?, ALONE, injected)),
        Mode::Parallel => {
            let (run, crew) = in_parallel(options, plan)?;
            Ok(Report::new("pipeline", &run, crew, injected))
        }
        Mode::Compare => {
            let folder = temporary("serial")?;
            let serial = run::serial(&Plan {
                names: plan.names.clone(),
                client: plan.client.clone(),
                output: folder.path().to_owned(),
                stop: plan.stop.clone(),
                ..*plan
            })?;
            let (run, crew) = in_parallel(options, plan)?;
            let mut report = Report::new("pipeline, after serial", &run, crew, injected);
            if !plan.stop.is_cancelled() {
                report.compare(&serial, is_identical(folder.path(), plan)?);
            }
            Ok(report)
        }
    }
}

fn in_parallel(options: &Options, plan: &Plan) -> Result<(Run, Crew), Box<dyn Error>> {
    let sizes = Sizes {
        threads: options.threads,
        workers: options.workers,
        queue: options.queue,
    };
    let workers = ProcessPoolExecutor::new(options.workers)?;
    let run = parallel::run(plan, &sizes, &workers)?;
    let crew = Crew {
        threads: options.threads,
        workers: options.workers,
    };
    Ok((run, crew))
}

/// The same pictures were made, and with the same bytes.
fn is_identical(folder: &Path, plan: &Plan) -> io::Result<bool> {
    let differences = pictures::differences(&plan.names, folder, &plan.output)?;
    for name in &differences {
        say(&format!("differs from serial: {}", name.display()));
    }
    Ok(differences.is_empty())
}

/// Says with which file something went wrong.
fn at(path: &Path) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn temporary(what: &str) -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(&format!("pipeline-{what}-"))
        .tempdir()
}

/// The first SIGINT or SIGTERM cancels `stop`, the second one ends the process at once.
fn stop_on_signals(stop: CancelToken) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let watch = move || {
        for _ in &mut signals {
            if !stop.cancel() {
                // No clean-up: worker processes end by themselves when their parent is gone.
                signal_hook::low_level::exit(INTERRUPTED.into());
            }
            say("stopping: pictures that were begun are finished, once more stops at once");
        }
    };
    thread::Builder::new().name("signals".into()).spawn(watch)?;
    Ok(())
}
