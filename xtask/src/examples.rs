//! Runs every example once: an example that is never run is an example that does not work.

use crate::parts::{Profile, targets_in};
use crate::report::Outcome;
use crate::run::{cargo, check, root};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Arguments that make an example short. One that is not named here runs without arguments.
const QUICKLY: &[(&str, &[&str])] = &[
    ("claims", &["--quick"]),
    ("pipeline", &["--quick", "--compare"]),
];

/// How long one example may take before it counts as hung.
const LIMIT: Duration = Duration::from_secs(120);

pub fn run(profile: Profile) -> Outcome {
    let names = targets_in(&root().join("examples"));
    if names.is_empty() {
        return Outcome::default();
    }
    // Built by the same selection of packages as the tests, and started without cargo: `cargo run`
    // would select one package, and build its dependencies again with other features.
    let command = [&["build", "--workspace", "--examples"][..], profile.flags()].concat();
    let built = check("cargo build", cargo(&command));
    if built.count.failed > 0 {
        return built;
    }
    names
        .iter()
        .fold(Outcome::default(), |sum, name| sum.and(once(name, profile)))
}

fn once(name: &str, profile: Profile) -> Outcome {
    let arguments = QUICKLY
        .iter()
        .find(|(example, _)| *example == name)
        .map_or(&[][..], |e| e.1);
    let start = Instant::now();
    println!("$ {name} {}", arguments.join(" "));
    let log = target().join(format!("example-{name}.log"));
    let verdict = match run_logged(&binary(name, profile), arguments, &log) {
        Ok(()) => "ok".to_owned(),
        Err(problem) => {
            print!("{}", fs::read_to_string(&log).unwrap_or_default());
            problem.to_string()
        }
    };
    println!(
        "{name}: {verdict} after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    Outcome::check(name, verdict == "ok")
}

/// Runs a program, its output in `log`; an error unless it exits with 0 within the limit.
fn run_logged(program: &Path, arguments: &[&str], log: &Path) -> io::Result<()> {
    let output = File::create(log)?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    let deadline = Instant::now() + LIMIT;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(io::Error::other(status.to_string())),
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            None => {
                child.kill()?;
                child.wait()?;
                return Err(io::Error::other(format!(
                    "killed, it did not end in {LIMIT:?}"
                )));
            }
        }
    }
}

/// The target folder: this program lies in one of its folders.
fn target() -> PathBuf {
    let own = std::env::current_exe().expect("a program has a path");
    own.ancestors()
        .nth(2)
        .expect("cargo builds into target/PROFILE/")
        .to_owned()
}

fn binary(name: &str, profile: Profile) -> PathBuf {
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    };
    target().join(folder).join("examples").join(name)
}
