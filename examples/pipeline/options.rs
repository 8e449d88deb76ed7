//! The command line: what can be asked for, and what is refused before anything is done.
//!
//! Keeps: whoever holds [`Options`] holds values in their ranges and folders that may be written.
//! Used by `main` alone.

use lexopt::prelude::*;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub const HELP: &str = "\
Serves a folder of pictures over HTTP on a loopback port, downloads them with a pool of threads,
and turns them into grey ones of half the size with a pool of processes.

    pipeline [OPTION]...

Pictures:
  --input DIR        the folder with .png, .jpg and .jpeg files, sub-folders included;
                     without it, 60 pictures are drawn into a temporary folder
  --quick            12 small pictures instead of the 60 (not with --input)
  --output DIR       where results go, under their own names [a new temporary folder, which stays]

Work:
  --threads N        threads that download [8]
  --workers N        processes that compute [one for each CPU]
  --queue N          downloaded pictures that may wait for a worker [16]
  --serial           everything one after another in one thread, for comparison
  --compare          first serially, then in parallel, and check that the results are the same

Trouble, on purpose:
  --latency MS       the server thinks so long before each answer [0]
  --timeout MS       a download takes at most so long [2000]
  --fault-rate P     share of pictures with a fault, 0 to 1 [0]: HTTP 500, a stall longer than the
                     time-out, a broken picture, or a worker that kills itself
  --seed N           which pictures have which fault [1]

Report:
  --json FILE        the figures of the final table, as JSON
  --progress WHEN    auto: a bar on a terminal, else a few lines; never [auto]
  --help             this text

Exit code: 0 all pictures done, 1 nothing or not everything could be tried, 2 some pictures failed,
130 stopped by Ctrl-C or SIGTERM.
";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Parallel,
    Serial,
    /// Serial, then parallel.
    Compare,
}

#[derive(Debug)]
pub struct Options {
    pub input: Option<PathBuf>,
    pub output: Option<PathBuf>,
    pub threads: usize,
    pub workers: usize,
    pub queue: usize,
    pub latency: Duration,
    pub timeout: Duration,
    pub fault_rate: f64,
    pub seed: u64,
    pub mode: Mode,
    pub json: Option<PathBuf>,
    pub quick: bool,
    pub progress: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            input: None,
            output: None,
            threads: 8,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            queue: 16,
            latency: Duration::ZERO,
            timeout: Duration::from_secs(2),
            fault_rate: 0.0,
            seed: 1,
            mode: Mode::Parallel,
            json: None,
            quick: false,
            progress: true,
        }
    }
}

/// What the command line says; `None` if it asks for help.
pub fn parse(mut arguments: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options::default();
    let mut modes = Vec::new();
    while let Some(argument) = arguments.next()? {
        let Long(name) = argument else {
            return Err(argument.unexpected());
        };
        // Owned, because reading an option's value needs the parser again.
        let name = name.to_owned();
        let mut value = || arguments.value();
        match name.as_str() {
            "help" => return Ok(None),
            "input" => options.input = Some(value()?.into()),
            "output" => options.output = Some(value()?.into()),
            "json" => options.json = Some(value()?.into()),
            "threads" => options.threads = number(&name, value()?, 1..=1000)?,
            "workers" => options.workers = number(&name, value()?, 1..=250)?,
            "queue" => options.queue = number(&name, value()?, 1..=100_000)?,
            "latency" => options.latency = milliseconds(&name, value()?, 0)?,
            "timeout" => options.timeout = milliseconds(&name, value()?, 1)?,
            "fault-rate" => options.fault_rate = number(&name, value()?, 0.0..=1.0)?,
            "seed" => options.seed = number(&name, value()?, 0..=u64::MAX)?,
            "quick" => options.quick = true,
            "serial" => modes.push(Mode::Serial),
            "compare" => modes.push(Mode::Compare),
            "progress" => options.progress = progress(&value()?)?,
            _ => return Err(Long(&name).unexpected()),
        }
    }
    match modes[..] {
        [] => {}
        [mode] => options.mode = mode,
        _ => return Err("--serial and --compare: one of them, once".into()),
    }
    if options.quick && options.input.is_some() {
        return Err(
            "--quick is about the pictures drawn here, so it cannot be with --input".into(),
        );
    }
    if options.latency >= options.timeout {
        return Err("--latency must be below --timeout, or every download times out".into());
    }
    Ok(Some(options))
}

fn number<N>(option: &str, value: OsString, range: RangeInclusive<N>) -> Result<N, lexopt::Error>
where
    N: FromStr + PartialOrd + Display,
{
    let text = value.to_string_lossy();
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => {
            let (least, most) = range.into_inner();
            Err(format!("--{option} is {text:?}, not a number from {least} to {most}").into())
        }
    }
}

fn milliseconds(option: &str, value: OsString, least: u64) -> Result<Duration, lexopt::Error> {
    number(option, value, least..=600_000).map(Duration::from_millis)
}

fn progress(value: &OsString) -> Result<bool, lexopt::Error> {
    match value.to_str() {
        Some("auto") => Ok(true),
        Some("never") => Ok(false),
        _ => Err(format!("--progress is {value:?}, not auto or never").into()),
    }
}

impl Options {
    /// Refuses folders that cannot be used, while nothing has been written yet.
    pub fn check_folders(&self) -> Result<(), String> {
        if let Some(file) = &self.json {
            let folder = file.parent().unwrap_or(Path::new("/"));
            if file.is_dir() || !Path::new(".").join(folder).is_dir() {
                return Err(format!(
                    "--json {}: not a file in a folder that exists",
                    file.display()
                ));
            }
        }
        let Some(input) = &self.input else {
            return Ok(());
        };
        let input = (input.canonicalize())
            .map_err(|error| format!("--input {}: {error}", input.display()))?;
        if !input.is_dir() {
            return Err(format!("--input {}: not a folder", input.display()));
        }
        for (option, path) in [("--output", &self.output), ("--json", &self.json)] {
            let Some(path) = path else { continue };
            let place = resolve(path).map_err(|error| format!("{option}: {error}"))?;
            // An output above the input could meet it again under a picture's own name.
            if place.starts_with(&input) || (option == "--output" && input.starts_with(&place)) {
                let path = path.display();
                return Err(format!(
                    "{option} {path}: one folder holds the other, and --input is never written to"
                ));
            }
        }
        Ok(())
    }
}

/// Where a path leads although its last parts may not exist yet.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let existing = path.ancestors().find(|ancestor| ancestor.exists());
    let existing = existing.unwrap_or(Path::new("/"));
    let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
    Ok(existing.canonicalize()?.join(rest))
}
