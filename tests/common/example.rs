//! Where an example lies that a test runs as a program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The example of the same build as this test. `cargo test` builds it first, `cargo test --test` does
/// not; so it is built here if its sources are newer. It may take long: call it before a clock starts.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let binary = profile.join("examples").join(name);
    if modified(&binary) < newest_source(name) {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--workspace", "--example", name]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        build.arg("--target-dir").arg(profile.parent().unwrap());
        assert!(build.current_dir(ROOT).status().unwrap().success());
    }
    binary
}

/// `None`, and so older than anything, if there is no such file.
fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|file| file.modified()).ok()
}

fn newest_source(name: &str) -> Option<SystemTime> {
    let root = Path::new(ROOT);
    let folders = [root.join("src"), root.join("examples").join(name)];
    let entries = folders.iter().flat_map(walkdir::WalkDir::new).flatten();
    entries.map(|entry| modified(entry.path())).max().flatten()
}
