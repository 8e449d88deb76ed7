//! `debug::dump_threads`, `live_threads` and `assert_no_leaked_threads`: rows T26, T52. They look at the whole
//! process, so this is one test.

mod common;

use common::watchdog;
use latchwork::sync::Lock;
use latchwork::thread::{self, Builder};
use latchwork::{debug, sync::Event};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn what_every_thread_does_and_which_were_left() {
    watchdog(LIMIT, "what_every_thread_does", || {
        dump();
        leaks();
    });
}

/// The line of the thread with this name, and those below it.
fn entry<'d>(dump: &'d str, name: &str) -> &'d str {
    let start = dump.find(&format!("`{name}`: ")).expect("it is listed");
    let below = &dump[start..];
    let end = below.find("\n`").map_or(below.len(), |end| end + 1);
    &below[..end]
}

fn dump() {
    let me = thread::current();
    let lock = Lock::new(());
    let held = lock.lock();
    let open = Event::new();
    let dump = thread::scope(|s| {
        let start = |name: &str, is_daemon| Builder::new().name(name).daemon(is_daemon);
        let locker = start("locker", true).spawn_scoped(s, || drop(lock.lock()));
        let hoper = start("ho\npe\"r", false).spawn_scoped(s, || open.wait());
        let busy = start("busy", false).spawn_scoped(s, || {
            while !open.is_set() {
                thread::yield_now();
            }
        });
        // Nobody's thread, but it waits.
        let stranger = std::thread::spawn({
            let info = busy.as_ref().unwrap().thread().clone();
            move || info.wait()
        });
        let all_wait = |dump: &str| {
            let parts = ["for Lock ", "for Event ", "for Thread "];
            parts.iter().all(|part| dump.contains(part))
        };
        let dump = loop {
            let dump = debug::dump_threads();
            if all_wait(&dump) {
                break dump;
            }
            thread::yield_now();
        };
        open.set();
        drop(held);
        let handles = [locker, busy].map(Result::unwrap);
        for handle in handles {
            handle.join().unwrap();
        }
        hoper.unwrap().join().unwrap();
        stranger.join().unwrap().unwrap();
        dump
    });
    let locker = entry(&dump, "locker");
    assert!(locker.contains(", alive, daemon\n"), "{dump}");
    let [_, wait] = locker.lines().collect::<Vec<_>>()[..] else {
        panic!("{dump}");
    };
    for part in ["has waited ", "thread_debug.rs:", "for Lock 0x", "held by "] {
        assert!(wait.contains(part), "{dump}");
    }
    assert!(
        wait.ends_with(&format!("held by {}", debug::current_thread())),
        "{dump}"
    );
    assert!(
        entry(&dump, "ho\\npe\\\"r").contains("for Event 0x"),
        "{dump}"
    );
    let busy = entry(&dump, "busy");
    assert_eq!(busy.lines().count(), 1, "{dump}");
    if let Some(native) = me.native_id() {
        let mine = entry(&dump, "what_every_thread_does");
        assert!(
            mine.contains(&format!("native {native}, alive, daemon, foreign")),
            "{dump}"
        );
    }
    let stranger = dump.split("not listed:\n").nth(1).expect("it waits");
    assert!(stranger.contains("for Thread 0x"), "{dump}");
}

fn leaks() {
    let open = Arc::new(Event::new());
    let start = |name: &str| {
        let open = Arc::clone(&open);
        let started = Builder::new().name(name).spawn(move || open.wait());
        started.unwrap()
    };
    let before = start("before");
    let names = || -> Vec<_> {
        let live = debug::live_threads();
        live.iter()
            .map(|thread| thread.name().to_string())
            .collect()
    };
    assert_eq!(names(), ["before"]);
    // Threads that were there are not looked at, nor those that end in time.
    let result = debug::assert_no_leaked_threads(LIMIT, || {
        drop(thread::spawn(|| drop(thread::spawn(thread::yield_now))));
        thread::spawn(|| 3).join()
    });
    assert_eq!(result, Ok(3));
    assert_eq!(names(), ["before"]);
    let leaking = catch_unwind(AssertUnwindSafe(|| {
        debug::assert_no_leaked_threads(Duration::from_millis(20), || {
            drop(start("left"));
            drop(start("behind"));
        });
    }));
    let payload = leaking.unwrap_err();
    let said = payload.downcast_ref::<String>().unwrap();
    assert!(
        said.contains("left (thread ") && said.contains("behind (thread "),
        "{said}"
    );
    assert!(
        !said.contains("before") && said.contains("thread_debug.rs:"),
        "{said}"
    );
    assert_eq!(names(), ["before", "left", "behind"]);
    open.set();
    before.join().unwrap();
    debug::live_threads()
        .iter()
        .for_each(|thread| thread.wait().unwrap());
    assert!(debug::live_threads().is_empty());
}
