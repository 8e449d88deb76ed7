//! `thread::on_start` and `on_exit`: rows T14, T15. The hooks are the whole process's, so this is one test.

mod common;

use common::watchdog;
use latchwork::thread::{self, Builder, ThreadInfo};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn hooks_frame_every_thread() {
    watchdog(Duration::from_secs(60), "hooks_frame_every_thread", || {
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let log = Arc::clone(&log);
            move |thread: &ThreadInfo| {
                assert_eq!(*thread, thread::current());
                assert!(thread.is_alive());
                log.lock().unwrap().push(format!("{what} {thread}"));
            }
        };
        let run = |name: &str, panics: bool| {
            let its_log = Arc::clone(&log);
            let body = move || {
                its_log.lock().unwrap().push("runs".to_owned());
                assert!(!panics, "on purpose");
            };
            let thread = Builder::new().name(name).spawn(body).unwrap();
            assert_eq!(thread.join().is_err(), panics);
            // Whatever the hooks note is there before a join returns.
            std::mem::take(&mut *log.lock().unwrap())
        };
        assert_eq!(run("none", false), ["runs"]);
        let first = [thread::on_start(note("a")), thread::on_exit(note("z"))];
        let bad = [
            thread::on_start(|_| panic!("bad")),
            thread::on_exit(|_| panic!("bad")),
        ];
        let second = [thread::on_start(note("b")), thread::on_exit(note("y"))];
        for (name, panics) in [("well", false), ("ill", true)] {
            let expected = ["a", "b", "runs", "y", "z"].map(|what| match what {
                "runs" => what.to_owned(),
                _ => format!("{what} {name}"),
            });
            assert_eq!(run(name, panics), expected);
        }
        // A scope's threads have them too.
        thread::scope(|s| drop(Builder::new().name("s").spawn_scoped(s, || ()).unwrap()));
        assert_eq!(
            *std::mem::take(&mut *log.lock().unwrap()),
            ["a s", "b s", "y s", "z s"]
        );
        first
            .into_iter()
            .chain(bad)
            .for_each(thread::SpawnHook::remove);
        assert_eq!(run("fewer", false), ["b fewer", "runs", "y fewer"]);
        second.into_iter().for_each(thread::SpawnHook::remove);
        assert_eq!(run("none", false), ["runs"]);
        assert_eq!(Arc::strong_count(&log), 1, "the hooks are gone");
    });
}
