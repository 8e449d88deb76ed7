//! What `cargo xtask test` checks, cheapest first.
//!
//! Every cargo command names `--workspace`: with one selection of packages there is one selection
//! of features, and nothing is built twice.

use crate::examples;
use crate::report::Outcome;
use crate::run::{cargo, cargo_in_loom_tests, check, has_component, root, tests};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Preemptions a model explores on each change, and in the long run.
pub const BOUND: u32 = 2;
pub const DEEP_BOUND: u32 = 3;

/// The integration test that runs programs which must not compile; a part of its own.
const COMPILE_FAIL: &str = "compile_fail";

/// The integration test that kills; a part of its own, too.
const KILLS: &str = "kill";
pub const KILL: &str = "processes killed and stopped at each instruction";

/// How often it does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Short,
    Full,
}

/// How tests and examples are built. The models are always optimised: loom runs each of them
/// thousands of times.
///
/// `Dev` is the default because it builds fastest and checks assertions and overflows; `Release`
/// moves the races to where users meet them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Dev,
    Release,
}

impl Profile {
    pub fn flags(self) -> &'static [&'static str] {
        match self {
            Profile::Dev => &[],
            Profile::Release => &["--release"],
        }
    }
}

pub struct Part {
    pub name: &'static str,
    pub what: &'static str,
    pub run: fn(Profile) -> Outcome,
}

pub const PARTS: &[Part] = &[
    Part {
        name: "format",
        what: "rustfmt changes nothing",
        run: |_| format(),
    },
    Part {
        name: "clippy",
        what: "clippy, with warnings denied",
        run: |_| clippy(),
    },
    Part {
        name: "docs",
        what: "documentation builds, links lead somewhere",
        run: |_| docs(),
    },
    Part {
        name: "unit",
        what: "tests inside the sources",
        run: unit,
    },
    Part {
        name: "integration",
        what: "tests through the public API",
        run: integration,
    },
    Part {
        name: "kill",
        what: KILL,
        run: |profile| kill(profile, Extent::Short, None),
    },
    Part {
        name: "compile-fail",
        what: "programs that must not compile",
        run: compile_fail,
    },
    Part {
        name: "doc-tests",
        what: "the examples of the documentation",
        run: doc_tests,
    },
    Part {
        name: "models",
        what: "loom models at preemption bound 2",
        run: |_| models(BOUND, None),
    },
    Part {
        name: "examples",
        what: "each example once, quickly",
        run: examples::run,
    },
];

fn format() -> Outcome {
    if !has_component("fmt") {
        return Outcome::skipped("rustfmt is not installed");
    }
    let check_only = ["fmt", "--all", "--check"];
    check("workspace", cargo(&check_only))
        .and(check("loom-tests", cargo_in_loom_tests(&check_only)))
}

fn clippy() -> Outcome {
    if !has_component("clippy") {
        return Outcome::skipped("clippy is not installed");
    }
    let deny = ["--", "-D", "warnings"];
    let everything = [&["clippy", "--workspace", "--all-targets"][..], &deny].concat();
    let bare = [
        &["clippy", "--package", "latchwork", "--no-default-features"][..],
        &deny,
    ]
    .concat();
    let models = [&["clippy", "--release", "--all-targets"][..], &deny].concat();
    check("workspace", cargo(&everything))
        .and(check("without default features", cargo(&bare)))
        .and(check("loom-tests", cargo_in_loom_tests(&models)))
}

fn docs() -> Outcome {
    let mut command = cargo(&["doc", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    check("cargo doc", command)
}

fn unit(profile: Profile) -> Outcome {
    cargo_test(profile, &["--lib", "--bins"])
}

fn integration(profile: Profile) -> Outcome {
    let mut targets = Vec::new();
    for member in ["", "benches", "xtask"] {
        targets.extend(targets_in(&root().join(member).join("tests")));
    }
    targets.retain(|target| target != COMPILE_FAIL && target != KILLS);
    let targets: Vec<&str> = targets
        .iter()
        .flat_map(|target| ["--test", target])
        .collect();
    cargo_test(profile, &targets)
}

/// Runs the cases whose names contain `case`. `tests/kill.rs` prints their table, and fails by them.
pub fn kill(profile: Profile, extent: Extent, case: Option<&str>) -> Outcome {
    let target = ["--test", KILLS];
    let mut command = cargo_test_command(profile, &target);
    command.env(
        "LATCHWORK_KILL",
        match extent {
            Extent::Short => "short",
            Extent::Full => "full",
        },
    );
    if let Some(case) = case {
        command.env("LATCHWORK_KILL_CASE", case);
        command.args(["--", "instruction", "random"]);
    }
    tests(command).0
}

fn compile_fail(profile: Profile) -> Outcome {
    if !root()
        .join("tests")
        .join(COMPILE_FAIL)
        .with_extension("rs")
        .exists()
    {
        return Outcome::skipped("there is no tests/compile_fail.rs");
    }
    cargo_test(profile, &["--test", COMPILE_FAIL])
}

fn doc_tests(profile: Profile) -> Outcome {
    cargo_test(profile, &["--doc"])
}

fn cargo_test(profile: Profile, targets: &[&str]) -> Outcome {
    tests(cargo_test_command(profile, targets)).0
}

fn cargo_test_command(profile: Profile, targets: &[&str]) -> Command {
    let command = [
        &["test", "--workspace", "--no-fail-fast"][..],
        profile.flags(),
        targets,
    ];
    cargo(&command.concat())
}

/// Explores the models that `filter` selects, all of them without one: those in the file of that
/// name, or else those whose test's name contains it.
pub fn models(bound: u32, filter: Option<&str>) -> Outcome {
    let files = targets_in(&root().join("loom-tests").join("tests"));
    let mut command = cargo_in_loom_tests(&["test", "--release", "--no-fail-fast"]);
    let (file, name) = match filter {
        Some(filter) if files.iter().any(|file| file == filter) => (Some(filter), None),
        name => (None, name),
    };
    command.args(file.map(|file| ["--test", file]).into_iter().flatten());
    command.args(["--", "--show-output"]).args(name);
    command.env("LOOM_MAX_PREEMPTIONS", bound.to_string());
    let (mut outcome, explored) = tests(command);
    if explored.models == 0 && outcome.count.failed == 0 {
        // Nothing explored is nothing proved.
        outcome = outcome.and(Outcome::check("no model ran", false));
    }
    outcome.remark = format!(
        "{} models completed, {} interleavings at preemption bound {bound}",
        explored.models, explored.interleavings
    );
    outcome
}

/// The names of the targets that cargo finds in a folder of tests or examples.
pub fn targets_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "rs")
                || path.join("main.rs").exists()
        })
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_and_modules_are_not() {
        let found = targets_in(&root().join("tests"));
        assert!(found.contains(&"watchdog".to_owned()));
        assert!(!found.contains(&"common".to_owned()));
    }

    #[test]
    fn part_names_are_distinct() {
        let mut names: Vec<_> = PARTS.iter().map(|part| part.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PARTS.len());
    }
}
