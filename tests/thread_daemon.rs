//! Daemons at the end of the program: rows T49, T53. Real programs end while their daemons are at work.

mod common;

use common::watchdog;
use latchwork::queue::Queue;
use latchwork::sync::{Event, Lock};
use latchwork::thread::{self, Builder};
use std::process::Command;
use std::time::Duration;

const CHILD: &str = "LATCHWORK_TEST_DAEMONS";

/// T49: they are stopped wherever they are, and what they use is never destroyed beneath them.
#[test]
fn a_program_ends_while_its_daemons_are_at_work() {
    match std::env::var(CHILD).as_deref() {
        Err(_) => watchdog(Duration::from_secs(120), "ends_while_daemons_work", || {
            for way in ["return", "exit"].repeat(15) {
                let output = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "a_program_ends_while_its_daemons_are_at_work"])
                    .args(["--nocapture", "--test-threads=1"])
                    .env(CHILD, way)
                    .output()
                    .unwrap();
                let printed = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success() && printed.is_empty(), "{output:?}");
            }
        }),
        Ok(way) => {
            start_daemons();
            if way == "exit" {
                std::process::exit(0);
            }
        }
    }
}

/// All of them are at work when this returns.
fn start_daemons() {
    let queue = Queue::bounded(2);
    let lock: &'static Lock<u32> = Box::leak(Box::new(Lock::new(0)));
    let begun: &'static [Event; 4] = Box::leak(Box::new([const { Event::new() }; 4]));
    let daemon = || Builder::new().daemon(true);
    for event in &begun[..2] {
        let queue = queue.clone();
        let putter = daemon().spawn(move || {
            event.set();
            loop {
                let number = *lock.lock();
                queue.put(number).unwrap();
            }
        });
        drop(putter.unwrap());
    }
    let getter = daemon().spawn(move || {
        while let Ok(number) = queue.get() {
            *lock.lock() = number + 1;
            begun[2].set();
        }
    });
    drop(getter.unwrap());
    let starter = daemon().spawn(move || {
        // Daemons too, by inheritance.
        while thread::spawn(|| thread::enumerate().len()).join().is_ok() {
            begun[3].set();
        }
    });
    drop(starter.unwrap());
    begun.iter().for_each(Event::wait);
}

/// T53: threads that nobody joins leave nothing behind.
#[test]
#[cfg(target_os = "linux")]
fn threads_that_nobody_joins_leave_nothing_behind() {
    watchdog(Duration::from_secs(120), "nobody_joins", || {
        let mapped = || {
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            pages.split(' ').next().unwrap().parse::<u64>().unwrap()
        };
        let run = |count: usize| {
            for _ in 0..count {
                let worker = thread::spawn(|| ());
                let info = worker.thread().clone();
                drop(worker);
                info.wait().unwrap();
            }
        };
        run(200);
        let before = mapped();
        run(2000);
        // A stack alone is 512 pages.
        assert!(
            mapped() < before + 100 * 512,
            "{before} pages became {}",
            mapped()
        );
        let ours = |thread: &&thread::ThreadInfo| !thread.is_foreign() && !thread.is_main();
        assert_eq!(thread::enumerate().iter().filter(ours).count(), 0);
    });
}
