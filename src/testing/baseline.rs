//! What this process holds of the system, to be compared before and after.
//!
//! Invariant: only what this process or its dead children can have left counts as a leak, so that
//! others on the machine may come and go meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long the system gets to clear away what was let go.
const PATIENCE: Duration = Duration::from_secs(2);

/// What this process holds at one moment: names in `/dev/shm`, descriptors, children, and the size of
/// the anonymous shared memory it maps.
///
/// Meant for tests that kill: whatever died in between must have left nothing. Nothing else in the
/// process should open or fork between [`take`](Baseline::take) and [`check`](Baseline::check).
#[derive(Clone, Debug)]
pub struct Baseline {
    names: BTreeSet<OsString>,
    descriptors: BTreeMap<OsString, PathBuf>,
    children: BTreeSet<u32>,
    shared: u64,
    slack: u64,
}

/// Something that was not there before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leak {
    /// A name in `/dev/shm` that no living process has open or maps.
    Name(PathBuf),
    /// An open descriptor, and what it refers to.
    Descriptor(PathBuf),
    /// A child process, perhaps a zombie.
    Child(u32),
    /// So many bytes more of anonymous shared memory are in use than before.
    SharedMemory(u64),
}

/// All that was left behind.
#[derive(Clone, Debug)]
pub struct Leaks(pub Vec<Leak>);

impl Baseline {
    /// Looks at what is there now.
    ///
    /// # Errors
    ///
    /// What the system says if `/proc` cannot be read.
    pub fn take() -> io::Result<Baseline> {
        Ok(Baseline {
            names: entries(Path::new("/dev/shm"))?,
            descriptors: descriptors()?,
            children: children()?,
            shared: shared_memory()?,
            slack: 0,
        })
    }

    /// Lets shared memory grow by so many bytes: an arena may keep what it once needed.
    #[must_use]
    pub fn with_slack(mut self, bytes: u64) -> Baseline {
        self.slack = bytes;
        self
    }

    /// Compares with what is there now. What is on its way out is given two seconds to go.
    ///
    /// # Errors
    ///
    /// One with the [`Leaks`] in it, or what the system says if `/proc` cannot be read.
    pub fn check(&self) -> io::Result<()> {
        let began = Instant::now();
        loop {
            let leaks = self.leaks()?;
            if leaks.is_empty() {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other(Leaks(leaks)));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What is there at this moment that was not there before.
    ///
    /// # Errors
    ///
    /// What the system says if `/proc` cannot be read.
    pub fn leaks(&self) -> io::Result<Vec<Leak>> {
        let now = Baseline::take()?;
        let mut leaks = Vec::new();
        let new = now.names.difference(&self.names);
        let new: Vec<PathBuf> = new.map(|name| Path::new("/dev/shm").join(name)).collect();
        if !new.is_empty() {
            let used = used_by_anybody(&new);
            leaks.extend(
                new.into_iter()
                    .filter(|name| !used.contains(name))
                    .map(Leak::Name),
            );
        }
        for (number, target) in &now.descriptors {
            if self.descriptors.get(number) != Some(target) {
                leaks.push(Leak::Descriptor(target.clone()));
            }
        }
        let new = now.children.difference(&self.children);
        leaks.extend(new.map(|&pid| Leak::Child(pid)));
        let grown = now.shared.saturating_sub(self.shared);
        if grown > self.slack {
            leaks.push(Leak::SharedMemory(grown));
        }
        Ok(leaks)
    }
}

fn entries(folder: &Path) -> io::Result<BTreeSet<OsString>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.file_name()).collect()),
        // There need not be one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// Number and target of each descriptor; the one that reads the folder is gone when it is looked at.
fn descriptors() -> io::Result<BTreeMap<OsString, PathBuf>> {
    let numbers = entries(Path::new("/proc/self/fd"))?;
    let target = |number: OsString| {
        let target = fs::read_link(Path::new("/proc/self/fd").join(&number)).ok()?;
        Some((number, target))
    };
    Ok(numbers.into_iter().filter_map(target).collect())
}

/// All processes whose parent this one is.
fn children() -> io::Result<BTreeSet<u32>> {
    let me = std::process::id();
    let child = |name: OsString| {
        let pid: u32 = name.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may contain anything; behind it are the state and the parent.
        let fields = &stat[stat.rfind(')')? + 1..];
        let parent: u32 = fields.split_ascii_whitespace().nth(1)?.parse().ok()?;
        (parent == me).then_some(pid)
    };
    Ok(entries(Path::new("/proc"))?
        .into_iter()
        .filter_map(child)
        .collect())
}

/// Bytes behind the memfds that this process maps or has open, each counted once.
fn shared_memory() -> io::Result<u64> {
    let mut files = BTreeMap::new();
    let folders = ["/proc/self/fd", "/proc/self/map_files"];
    for path in folders.iter().flat_map(|folder| {
        // Reading what is mapped needs a privilege on old kernels; descriptors are seen anyway.
        let names = entries(Path::new(folder)).unwrap_or_default();
        names.into_iter().map(|name| Path::new(folder).join(name))
    }) {
        let is_memory = fs::read_link(&path).is_ok_and(|target| {
            target
                .as_os_str()
                .as_encoded_bytes()
                .starts_with(b"/memfd:")
        });
        if is_memory && let Ok(file) = fs::metadata(&path) {
            files.insert((file.dev(), file.ino()), file.blocks() * 512);
        }
    }
    Ok(files.values().sum())
}

/// Those of `paths` that some process has open or maps, as far as it may be asked.
fn used_by_anybody(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut used = BTreeSet::new();
    for pid in entries(Path::new("/proc")).unwrap_or_default() {
        let process = Path::new("/proc").join(pid);
        let maps = fs::read_to_string(process.join("maps")).unwrap_or_default();
        let opened: Vec<PathBuf> = entries(&process.join("fd"))
            .unwrap_or_default()
            .into_iter()
            .filter_map(|number| fs::read_link(process.join("fd").join(number)).ok())
            .collect();
        let uses = |path: &&PathBuf| {
            opened.contains(path) || path.to_str().is_some_and(|path| maps.contains(path))
        };
        used.extend(paths.iter().filter(uses).cloned());
    }
    used
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leak::Name(path) => write!(f, "{} is left and nobody uses it", path.display()),
            Leak::Descriptor(target) => write!(f, "a descriptor of {} is open", target.display()),
            Leak::Child(pid) => write!(f, "the child {pid} was not reaped"),
            Leak::SharedMemory(bytes) => {
                write!(f, "{bytes} bytes more of shared memory are in use")
            }
        }
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, leak) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "; " };
            write!(f, "{comma}{leak}")?;
        }
        Ok(())
    }
}

impl Error for Leaks {}
