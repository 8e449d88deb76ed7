//! What a worker finds around itself: its identity, its descriptors, its signals.

use std::io::Read;
use std::process::Command;

use latchwork::executor::{Executor, ProcessPoolExecutor};
use latchwork::ipc::Value;
use latchwork::process;

use crate::stage::{Meeting, guarded, in_own_process, meet, signal};

#[test]
fn a_worker_knows_what_it_is() {
    guarded(|| {
        assert!(!process::is_worker());
        assert_eq!((process::name(), process::parent_pid()), (None, None));
        process::init();
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let identity = |()| {
            process::init();
            let name = process::name().map(str::to_owned);
            (process::is_worker(), name, process::parent_pid())
        };
        let (is_worker, name, parent) = pool.submit(identity, ()).unwrap().result().unwrap();
        assert!(is_worker);
        assert!(name.unwrap().ends_with("-worker-0"));
        assert_eq!(parent, Some(std::process::id()));
    });
}

#[test]
fn ps_shows_that_a_worker_is_one() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let pid = pool
            .submit(|()| std::process::id(), ())
            .unwrap()
            .result()
            .unwrap();
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(line.contains("-worker-0)"), "{line}");
        let short = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        assert!(short.starts_with("pool-"), "{short}");
    });
}

#[test]
fn stdin_is_empty_and_the_marker_is_gone() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let look = |()| {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).unwrap();
            (text, std::env::var("LATCHWORK_WORKER").is_ok())
        };
        let found = pool.submit(look, ()).unwrap().result();
        assert_eq!(found, Ok((String::new(), false)));
    });
}

#[test]
fn a_command_that_a_task_starts_inherits_no_descriptor_and_no_signal_disposition() {
    in_own_process(
        |command| command,
        || {
            // Two workers: neither's socket may leak into the other, nor into their children.
            let pool = ProcessPoolExecutor::new(2).unwrap();
            let meeting = Meeting::new();
            let occupied = pool.submit(meet, meeting.place()).unwrap();
            let arrived = meeting.wait();
            let look = |()| {
                let list = Command::new("ls").arg("/proc/self/fd").output().unwrap();
                let status = Command::new("cat")
                    .arg("/proc/self/status")
                    .output()
                    .unwrap();
                let text = |bytes| String::from_utf8(bytes).unwrap();
                (text(list.stdout), text(status.stdout))
            };
            let (list, status) = pool.submit(look, ()).unwrap().result().unwrap();
            // Whoever started this test may have left descriptors open for everybody.
            let ours = Command::new("ls").arg("/proc/self/fd").output().unwrap();
            assert_eq!(list, String::from_utf8(ours.stdout).unwrap());
            let signals = |field: &str| {
                let line = status
                    .lines()
                    .find_map(|line| line.strip_prefix(field))
                    .unwrap();
                u64::from_str_radix(line.trim(), 16).unwrap()
            };
            let sigint = 1 << (libc::SIGINT - 1);
            assert_eq!((signals("SigIgn:") | signals("SigCgt:")) & sigint, 0);
            arrived.release();
            occupied.result().unwrap();
        },
    );
}

#[test]
fn ctrl_c_in_the_terminal_is_the_parents_business() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let meeting = Meeting::new();
        let task = pool.submit(meet, meeting.place()).unwrap();
        let arrived = meeting.wait();
        let pid = arrived.pid;
        signal(pid, libc::SIGINT);
        // The signal is there before the release is, and did not end the worker.
        arrived.release();
        assert_eq!(task.result(), Ok(pid));
        signal(pid, libc::SIGINT);
        assert_eq!(
            pool.submit(|()| std::process::id(), ()).unwrap().result(),
            Ok(pid)
        );
    });
}

#[test]
fn a_closed_pipe_is_an_error_and_not_a_death() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let write = |()| {
            let (reader, mut writer) = std::io::pipe().unwrap();
            drop(reader);
            std::io::Write::write(&mut writer, b"x").is_err()
        };
        assert_eq!(pool.submit(write, ()).unwrap().result(), Ok(true));
    });
}

#[test]
fn a_program_that_has_closed_its_standard_streams_prints_into_nothing() {
    in_own_process(
        |program| program,
        || {
            // SAFETY: this process is the test's own, and nothing of it uses these streams any more.
            unsafe {
                for stream in 0..3 {
                    libc::close(stream);
                }
            }
            let counter = Value::new(40_u64).unwrap();
            let pool = ProcessPoolExecutor::new(1).unwrap();
            let count = |counter: Value<u64>| {
                println!("{}", "x".repeat(4096));
                eprintln!("{}", "x".repeat(4096));
                counter.update(|n| *n += 1).unwrap();
            };
            for _ in 0..2 {
                println!("{}", "x".repeat(4096));
                pool.submit(count, counter.clone())
                    .unwrap()
                    .result()
                    .unwrap();
            }
            assert_eq!(counter.get().unwrap(), 42);
            assert!(Value::new(1_u64).is_ok());
        },
    );
}
