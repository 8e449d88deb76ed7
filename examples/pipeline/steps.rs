//! What happens to one picture: download, shrink, save. The serial and the parallel run take these
//! same steps, one after the other or side by side.
//!
//! Keeps: a step that cannot do its work returns a [`Failure`] that says why, and leaves nothing
//! behind. `shrink` is the one that runs in worker processes, so what goes in and comes out of it is
//! plain data.

use crate::counters::{Counters, Totals};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, imageops};
use latchwork::executor::{Exit, TaskError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, Permissions};
use std::io::{self, Cursor, Write};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The most that is downloaded for one picture.
const LARGEST: u64 = 512 << 20;

/// Left as they are in a URL's path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-');

/// Why a picture was not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    Http(u16),
    TimedOut(Duration),
    NoAnswer(String),
    NotAPicture(String),
    NotEncoded(String),
    NotWritten(String),
    KilledBySignal(i32),
    /// The task was to kill its worker, but is in a process that must live.
    NoWorkerToKill,
    /// Whatever else an executor reports.
    NoResult(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Http(status) => write!(f, "http {status}"),
            Failure::TimedOut(limit) => write!(f, "timed out after {} ms", limit.as_millis()),
            Failure::NoAnswer(why) => write!(f, "no answer: {why}"),
            Failure::NotAPicture(why) => write!(f, "not a picture: {why}"),
            Failure::NotEncoded(why) => write!(f, "cannot be encoded: {why}"),
            Failure::NotWritten(why) => write!(f, "cannot be written: {why}"),
            Failure::KilledBySignal(signal) => write!(f, "worker killed by signal {signal}"),
            Failure::NoWorkerToKill => f.write_str("spared: there is no worker to kill"),
            Failure::NoResult(why) => f.write_str(why),
        }
    }
}

impl From<TaskError> for Failure {
    fn from(error: TaskError) -> Failure {
        match error {
            TaskError::WorkerDied(death) => match death.exit {
                Exit::Signal(signal) => Failure::KilledBySignal(signal),
                _ => Failure::NoResult(death.to_string()),
            },
            other => Failure::NoResult(other.to_string()),
        }
    }
}

/// Downloads pictures; clones share their connections.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    site: SocketAddr,
    timeout: Duration,
}

impl Client {
    pub fn new(site: SocketAddr, timeout: Duration, connections: usize) -> Client {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            // The server is this program: whatever proxy the environment names cannot reach it.
            .proxy(None)
            .build();
        Client {
            agent: config.into(),
            site,
            timeout,
        }
    }

    pub fn download(&self, name: &Path) -> Result<Vec<u8>, Failure> {
        let path = percent_encode(name.as_os_str().as_bytes(), IN_PATH);
        let url = format!("http://{}/{path}", self.site);
        let body = self.agent.get(&url).call().and_then(|mut response| {
            let body = response.body_mut().with_config().limit(LARGEST);
            body.read_to_vec()
        });
        body.map_err(|error| match error {
            ureq::Error::StatusCode(status) => Failure::Http(status),
            ureq::Error::Timeout(_) => Failure::TimedOut(self.timeout),
            other => Failure::NoAnswer(other.to_string()),
        })
    }
}

/// The argument of [`shrink`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    #[serde(with = "serde_bytes")]
    pub file: Vec<u8>,
    /// The worker is to kill itself when it has decoded the picture.
    pub is_deadly: bool,
    pub counters: Counters,
}

/// The result of [`shrink`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Shrunk {
    #[serde(with = "serde_bytes")]
    pub file: Vec<u8>,
    /// How long it took where it was done.
    pub took: Duration,
}

/// Makes a grey picture of half the size, in the same format.
pub fn shrink(job: Job) -> Result<Shrunk, Failure> {
    let mut clock = Clock::start();

    let (picture, format) = decode(&job.file).map_err(|error| {
        // One line: some decoders end their messages with a new one.
        Failure::NotAPicture(error.to_string().trim_end().replace('\n', " "))
    })?;
    let decode_ns = clock.lap();
    if job.is_deadly {
        die()?;
    }
    let picture = picture.grayscale();
    let grey_ns = clock.lap();
    let pixels = u64::from(picture.width()) * u64::from(picture.height());
    let picture = halve(&picture);
    let halve_ns = clock.lap();
    let mut file = Cursor::new(Vec::new());
    let encoded = picture.write_to(&mut file, format);
    encoded.map_err(|error| Failure::NotEncoded(error.to_string()))?;
    let file = file.into_inner();
    let encode_ns = clock.lap();

    let counted = job.counters.add(&Totals {
        pictures: 1,
        bytes_in: job.file.len() as u64,
        bytes_out: file.len() as u64,
        pixels,
        decode_ns,
        grey_ns,
        halve_ns,
        encode_ns,
    });
    counted.map_err(Failure::NoResult)?;
    let took = clock.total();
    Ok(Shrunk { file, took })
}

/// The picture as it is to be looked at, and its format. The content decides that, not the name.
fn decode(file: &[u8]) -> ImageResult<(DynamicImage, ImageFormat)> {
    let format = image::guess_format(file)?;
    let mut decoder = ImageReader::with_format(Cursor::new(file), format).into_decoder()?;
    // The result has no room for the note that says how the camera was held.
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok((picture, format))
}

fn halve(picture: &DynamicImage) -> DynamicImage {
    let [width, height] = [picture.width(), picture.height()].map(|side| (side / 2).max(1));
    picture.resize_exact(width, height, imageops::FilterType::Triangle)
}

/// Kills this process, as the kernel's out-of-memory killer would, if it is a worker.
fn die() -> Result<(), Failure> {
    if !latchwork::process::is_worker() {
        return Err(Failure::NoWorkerToKill);
    }
    let killed =
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    Err(Failure::NoResult(format!("still alive: {killed:?}")))
}

/// Puts a finished file in its place, all of it or nothing.
pub fn save(output: &Path, name: &Path, file: &[u8]) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        let path = output.join(name);
        let folder = path.parent().unwrap_or(output);
        fs::create_dir_all(folder)?;
        let mut temporary = tempfile::Builder::new()
            .prefix(".pipeline-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        temporary.write_all(file)?;
        temporary.persist(path)?;
        Ok(())
    };
    write().map_err(|error| Failure::NotWritten(error.to_string()))
}

/// Measures steps that follow each other.
struct Clock {
    start: Instant,
    lap: Instant,
}

impl Clock {
    fn start() -> Clock {
        let now = Instant::now();
        Clock {
            start: now,
            lap: now,
        }
    }

    /// Nanoseconds since the last lap.
    fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let lap = now - std::mem::replace(&mut self.lap, now);
        lap.as_nanos() as u64
    }

    fn total(&self) -> Duration {
        self.start.elapsed()
    }
}
