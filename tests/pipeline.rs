//! The example `pipeline`, run as people run it: what it makes, what it says, what it leaves behind.

mod common;
#[path = "common/example.rs"]
mod example;
#[path = "pipeline/program.rs"]
mod program;

use common::watchdog;
use program::{Program, Room, files};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(50);

/// One picture at a time and a slow server, so that there is a middle to interfere in.
const SLOW: [&str; 5] = ["--quick", "--threads", "1", "--latency", "150"];

/// By then two of twelve pictures are done, and workers exist.
const IN_THE_MIDDLE: &str = "pipeline: 2 of 12";

/// Runs a test's body under the watchdog, with the program built before the clock starts.
#[track_caller]
fn checked(name: &str, body: fn()) {
    program::binary();
    watchdog(LIMIT, name, body);
}

/// Failed pictures and why.
fn failures(json: &Value) -> BTreeMap<String, String> {
    reasons(&json["failures"])
}

fn reasons(list: &Value) -> BTreeMap<String, String> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|entry| {
            let [name, reason] = ["name", "reason"].map(|key| entry[key].as_str().unwrap());
            (name.to_owned(), reason.to_owned())
        })
        .collect()
}

fn draw(folder: &Path, name: &str, width: u32, height: u32) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixel = |x: u32, y: u32| image::Rgb([x * 3, y * 3, x + y].map(|level| level as u8));
    image::RgbImage::from_fn(width, height, pixel)
        .save(path)
        .unwrap();
}

#[test]
fn every_kind_of_name_is_kept_and_threads_and_processes_change_no_byte() {
    checked("names", || {
        let names = [
            ("a.png", 9, 6),
            ("B.PNG", 1, 1),
            ("sub folder/c.JpEg", 40, 1),
            ("sub folder/deeper/ü%41?#.jpg", 1, 40),
            ("sub folder/deeper/D.JPG", 64, 48),
        ];
        let room = Room::new();
        let input = room.path("input");
        for (name, width, height) in names {
            draw(&input, name, width, height);
        }
        fs::write(input.join("notes.txt"), "no picture").unwrap();

        let run = |output: &str, mode: &[&str]| {
            let output = room.path(output);
            let folders = [
                "--input",
                input.to_str().unwrap(),
                "--output",
                output.to_str().unwrap(),
            ];
            let ended = Program::start(&room, &[&folders, mode].concat()).end();
            assert_eq!(ended.code, Some(0), "{ended:?}");
            files(&output)
        };
        let serial = run("serial", &["--serial"]);
        let parallel = run(
            "parallel",
            &["--threads", "3", "--workers", "2", "--queue", "1"],
        );

        let mut expected = names.map(|(name, ..)| name.to_owned());
        expected.sort();
        assert_eq!(serial.keys().cloned().collect::<Vec<_>>(), expected);
        assert!(serial == parallel, "the bytes differ");
        for (name, width, height) in names {
            let picture = image::load_from_memory(&parallel[name]).unwrap();
            let half = ((width / 2).max(1), (height / 2).max(1));
            assert_eq!((picture.width(), picture.height()), half, "{name}");
            assert!(!picture.color().has_color(), "{name} is not grey");
        }
        room.check_nothing_left();
    });
}

#[test]
fn comparing_says_that_the_results_are_the_same() {
    checked("compare", || {
        let room = Room::new();
        let output = room.path("output");
        let output = output.to_str().unwrap();
        let ended = Program::start(&room, &["--quick", "--compare", "--output", output]).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let json = room.json();
        assert_eq!(json["identical"], true);
        assert_eq!(json["done"], 12);
        assert!(json["speed_up"].as_f64().unwrap() > 0.0);
        assert_eq!(files(&room.path("output")).len(), 12);
        // The shared counters have heard of each picture from whichever process had it.
        assert!(json["pixels"].as_u64().unwrap() > 50_000);
        for stage in ["same bytes as serial yes", "wait in queue", "encode"] {
            assert!(ended.stdout.contains(stage), "{stage}: {ended:?}");
        }
        assert!(ended.stderr.lines().count() <= 22, "{ended:?}");
        room.check_nothing_left();
    });
}

#[test]
fn without_an_output_folder_it_makes_one_and_names_it() {
    checked("default output", || {
        let room = Room::new();
        let ended = Program::start(&room, &["--quick", "--progress", "never"]).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.stderr, "");
        let json = room.json();
        let output = Path::new(json["output"].as_str().unwrap());
        assert!(ended.stdout.contains(output.to_str().unwrap()), "{ended:?}");
        assert_eq!(files(output).len(), 12);
        fs::remove_dir_all(output).unwrap();
        room.check_nothing_left();
    });
}

#[test]
fn exactly_the_predicted_pictures_fail_for_the_predicted_reasons() {
    checked("faults", || {
        let room = Room::new();
        let input = room.path("input");
        for number in 0..60 {
            let extension = ["png", "jpg"][number % 2];
            draw(
                &input,
                &format!("{}/{number}.{extension}", number % 3),
                16,
                16,
            );
        }
        let mut kinds = Vec::new();
        for rate in ["0.1", "0.3"] {
            let output = room.path(rate);
            let arguments = [
                ["--input", input.to_str().unwrap()],
                ["--output", output.to_str().unwrap()],
                ["--fault-rate", rate],
                ["--seed", "7"],
            ];
            let ended = Program::start(&room, &arguments.concat()).end();
            assert_eq!(ended.code, Some(2), "{ended:?}");
            let json = room.json();
            let (predicted, happened) = (reasons(&json["injected"]), failures(&json));
            let names: Vec<_> = predicted.keys().collect();
            assert_eq!(names, happened.keys().collect::<Vec<_>>());
            for (name, reason) in &predicted {
                let told = &happened[name];
                assert!(told.starts_with(reason), "{name}: {told}, not {reason}");
                assert!(
                    ended.stdout.contains(&format!("{name}: {told}")),
                    "{ended:?}"
                );
            }
            let made = files(&output);
            assert_eq!(made.len() + predicted.len(), 60);
            assert!(predicted.keys().all(|name| !made.contains_key(name)));
            let injected = json["injected"].as_array().unwrap();
            kinds.extend(injected.iter().map(|fault| fault["kind"].to_string()));
        }
        kinds.sort();
        kinds.dedup();
        assert_eq!(kinds.len(), 4, "choose another seed: only {kinds:?}");
        room.check_nothing_left();
    });
}

#[test]
fn a_serial_run_survives_the_picture_that_kills_workers() {
    checked("serial faults", || {
        let room = Room::new();
        let output = room.path("output");
        let output = output.to_str().unwrap();
        let arguments = [
            "--quick",
            "--serial",
            "--fault-rate",
            "1",
            "--timeout",
            "300",
        ];
        let arguments = [&arguments[..], &["--output", output]].concat();
        let ended = Program::start(&room, &arguments).end();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let json = room.json();
        let failed = failures(&json);
        assert_eq!(failed.len(), 12);
        for fault in json["injected"].as_array().unwrap() {
            let spared = failed[fault["name"].as_str().unwrap()].contains("no worker to kill");
            assert_eq!(spared, fault["kind"] == "killed", "{fault}: {failed:?}");
        }
        room.check_nothing_left();
    });
}

#[test]
fn what_cannot_be_read_costs_itself_alone() {
    checked("unreadable", || {
        let room = Room::new();
        let input = room.path("input");
        draw(&input, "good.png", 8, 8);
        fs::write(input.join("empty.jpg"), "").unwrap();
        fs::write(input.join("text.PNG"), "no picture at all").unwrap();
        std::os::unix::fs::symlink("nowhere", input.join("link.jpeg")).unwrap();
        let output = room.path("output");
        let folders = [
            "--input",
            input.to_str().unwrap(),
            "--output",
            output.to_str().unwrap(),
        ];
        let ended = Program::start(&room, &folders).end();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let failed = failures(&room.json());
        assert_eq!(failed.len(), 3, "{failed:?}");
        assert!(
            failed["empty.jpg"].starts_with("not a picture: "),
            "{failed:?}"
        );
        assert!(
            failed["text.PNG"].starts_with("not a picture: "),
            "{failed:?}"
        );
        assert_eq!(failed["link.jpeg"], "http 404");
        assert!(files(&output).keys().eq(["good.png"]));
        room.check_nothing_left();
    });
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_written() {
    checked("refusals", || {
        let room = Room::new();
        let (input, empty) = (room.path("input"), room.path("empty"));
        draw(&input, "a.png", 4, 4);
        fs::create_dir(&empty).unwrap();
        let [input, empty] = [&input, &empty].map(|path| path.to_str().unwrap());
        let inside = format!("{input}/new/output");
        let above = room.path("");
        let cases: &[(&[&str], &str)] = &[
            (&["--threads", "0"], "--threads"),
            (&["--workers", "many"], "--workers"),
            (&["--queue", "-1"], "--queue"),
            (&["--fault-rate", "1.5"], "--fault-rate"),
            (&["--fault-rate", "NaN"], "--fault-rate"),
            (&["--latency", "2000"], "--latency"),
            (&["--progress", "always"], "--progress"),
            (&["--serial", "--compare"], "--serial and --compare"),
            (&["--input", input, "--quick"], "--quick"),
            (&["--input", "/nowhere/at/all"], "--input"),
            (&["--input", input, "--output", input], "--output"),
            (&["--input", input, "--output", &inside], "--output"),
            (
                &["--input", input, "--output", above.to_str().unwrap()],
                "--output",
            ),
            (&["--input", empty], "no pictures"),
            (&["--no-such-option"], "--no-such-option"),
            (&["stray"], "stray"),
        ];
        for (arguments, named) in cases {
            let ended = Program::start_bare(&room, arguments).end();
            assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
            assert!(ended.stderr.contains(named), "{arguments:?}: {ended:?}");
            assert_eq!(ended.stdout, "", "{arguments:?}");
        }
        let inside_json = format!("{input}/figures.json");
        let ended = Program::start_bare(&room, &["--input", input, "--json", &inside_json]).end();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!(files(Path::new(input)).len(), 1);
        assert_eq!(files(Path::new(empty)).len(), 0);
        room.check_nothing_left();
    });
}

#[test]
fn ctrl_c_and_sigterm_keep_what_is_done_and_leave_nothing_else() {
    checked("signals", || {
        for signal in [Signal::INT, Signal::TERM] {
            let room = Room::new();
            let output = room.path("output");
            let output_argument = ["--output", output.to_str().unwrap()];
            let mut program = Program::start(&room, &[&SLOW[..], &output_argument].concat());
            program.until(IN_THE_MIDDLE);
            let workers = program.workers();
            assert!(!workers.is_empty());
            program.kill(signal);
            let ended = program.end();
            assert_eq!(ended.code, Some(130), "{ended:?}");
            let made = files(&output);
            let done = format!("interrupted: {} of 12 pictures are done", made.len());
            assert!(ended.stderr.contains(&done), "{done}: {ended:?}");
            assert!((2..12).contains(&made.len()), "{ended:?}");
            for (name, file) in &made {
                image::load_from_memory(file).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            let json = room.json();
            assert_eq!(json["done"], made.len());
            assert_eq!(json["not_tried"], 12 - made.len());
            assert!(workers.iter().all(|worker| !worker.is_alive()));
            room.check_nothing_left();
        }
    });
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_anybody() {
    checked("second signal", || {
        let room = Room::new();
        let output = room.path("output");
        let output = ["--output", output.to_str().unwrap()];
        let mut program = Program::start_bare(&room, &[&SLOW[..], &output].concat());
        program.until(IN_THE_MIDDLE);
        let workers = program.workers();
        // Workers that are stopped finish nothing and don't end: a polite stop would take for ever.
        workers.iter().for_each(|worker| worker.kill(Signal::STOP));
        program.kill(Signal::INT);
        program.until("stopping");
        program.kill(Signal::INT);
        assert_eq!(program.exit_code(), Some(130));
        workers.iter().for_each(|worker| worker.kill(Signal::CONT));
        workers.iter().for_each(|worker| worker.wait_until_gone());
    });
}

#[test]
fn workers_vanish_when_the_program_is_killed() {
    checked("killed parent", || {
        let room = Room::new();
        let output = room.path("output");
        let output = ["--output", output.to_str().unwrap()];
        let mut program = Program::start_bare(&room, &[&SLOW[..], &output].concat());
        program.until(IN_THE_MIDDLE);
        let workers = program.workers();
        assert!(!workers.is_empty());
        program.kill(Signal::KILL);
        assert_eq!(program.end().code, None);
        workers.iter().for_each(|worker| worker.wait_until_gone());
        room.check_shared_memory();
    });
}

#[test]
fn a_worker_killed_by_hand_costs_at_most_its_picture() {
    checked("killed worker", || {
        let room = Room::new();
        let output = room.path("output");
        let output_argument = ["--output", output.to_str().unwrap()];
        let mut program = Program::start(&room, &[&SLOW[..], &output_argument].concat());
        program.until(IN_THE_MIDDLE);
        program.workers()[0].kill(Signal::KILL);
        let ended = program.end();
        let failed = failures(&room.json());
        assert!(failed.len() <= 1, "{failed:?}");
        let reason = "worker killed by signal 9";
        assert!(failed.values().all(|told| told == reason), "{failed:?}");
        let expected = if failed.is_empty() { 0 } else { 2 };
        assert_eq!(ended.code, Some(expected), "{ended:?}");
        assert_eq!(files(&output).len() + failed.len(), 12);
        room.check_nothing_left();
    });
}
