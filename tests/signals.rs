//! `signals`: Ctrl-C as a cancel token, with real signals in child programs. Row T22.
//!
//! Each test that gets a signal runs itself again as a program of its own, with its part in the environment.

#![cfg(unix)]

mod common;

use common::{parked, watchdog};
use latchwork::queue::{GetError, Queue};
use latchwork::sync::{Event, Lock};
use latchwork::{CancelToken, GaveUp, signals, thread};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
const PART: &str = "LATCHWORK_TEST_SIGNALS";

/// Am I the program?
fn is_child(test: &str) -> bool {
    std::env::var_os(PART).is_some_and(|part| part == test)
}

/// What the program has to say.
fn say(line: &str) {
    println!("says {line}");
    std::io::stdout().flush().unwrap();
}

struct Program {
    child: Child,
    lines: Box<dyn Iterator<Item = String> + Send>,
}

impl Program {
    fn start(test: &str, prepare: impl FnOnce(&mut Command)) -> Program {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(PART, test)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = lines.map_while(Result::ok);
        let lines = lines.filter_map(|line| Some(line.split_once("says ")?.1.to_owned()));
        Program {
            child,
            lines: Box::new(lines),
        }
    }

    fn says(&mut self) -> Option<String> {
        self.lines.next()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: our own child, which has not been waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    fn end(mut self) -> (Vec<String>, ExitStatus) {
        drop(self.child.stdin.take());
        (self.lines.collect(), self.child.wait().unwrap())
    }
}

/// T22: the first Ctrl-C ends the waits in all threads, and nothing else: the program ends as it wants to.
#[test]
fn the_first_ctrl_c_cancels() {
    const NAME: &str = "the_first_ctrl_c_cancels";
    if is_child(NAME) {
        let stop = CancelToken::ctrl_c().unwrap();
        let (event, lock, queue) = (Event::new(), Lock::new(()), Queue::<u8>::unbounded());
        std::thread::scope(|s| {
            let held = lock.lock();
            let endless = thread::spawn(|| Event::new().wait());
            let waiters = (
                parked(s, || event.wait_within(&stop)),
                parked(s, || lock.lock_within(&stop).map(drop)),
                parked(s, || queue.get_within(&stop)),
                parked(s, || endless.join_within(&stop).unwrap_err().why),
            );
            say("waiting");
            assert_eq!(waiters.0.join().unwrap(), Err(GaveUp::Cancelled));
            assert_eq!(waiters.1.join().unwrap(), Err(GaveUp::Cancelled));
            assert_eq!(waiters.2.join().unwrap(), Err(GetError::Cancelled));
            assert_eq!(waiters.3.join().unwrap(), thread::WaitError::Cancelled);
            drop(held);
        });
        assert!(
            signals::ctrl_c().unwrap().is_cancelled(),
            "it stays cancelled"
        );
        say("cancelled");
        std::process::exit(7);
    }
    watchdog(LIMIT, NAME, || {
        let mut program = Program::start(NAME, |_| ());
        assert_eq!(program.says().as_deref(), Some("waiting"));
        program.signal(signals::SIGINT);
        let (said, status) = program.end();
        assert_eq!(
            (said, status.code()),
            (vec!["cancelled".to_owned()], Some(7))
        );
    });
}

/// T22: the second ends the process, as the first would have without a token.
#[test]
fn the_second_ctrl_c_ends_the_process() {
    const NAME: &str = "the_second_ctrl_c_ends_the_process";
    if is_child(NAME) {
        let stop = signals::ctrl_c().unwrap();
        say("ready");
        stop.wait();
        say("cancelled");
        // It takes its time to end, until it is told to.
        let _ = std::io::stdin().read(&mut [0]);
        say("ended by itself");
        std::process::exit(7);
    }
    watchdog(LIMIT, NAME, || {
        for signals in [1, 2] {
            let mut program = Program::start(NAME, |_| ());
            assert_eq!(program.says().as_deref(), Some("ready"));
            program.signal(signals::SIGINT);
            assert_eq!(program.says().as_deref(), Some("cancelled"));
            if signals == 2 {
                program.signal(signals::SIGINT);
                // Its input stays open, so nothing else can end it.
                assert_eq!(program.says(), None);
                let (_, status) = program.end();
                assert_eq!(status.signal(), Some(signals::SIGINT));
            } else {
                let (said, status) = program.end();
                assert_eq!(
                    (said, status.code()),
                    (vec!["ended by itself".to_owned()], Some(7))
                );
            }
        }
    });
}

/// T22: without a token Ctrl-C does what it always does.
#[test]
fn without_a_token_nothing_is_changed() {
    const NAME: &str = "without_a_token_nothing_is_changed";
    if is_child(NAME) {
        // That of another signal changes nothing either.
        let _other = signals::token_for(signals::SIGUSR1).unwrap();
        signals::raise_interrupt().unwrap();
        say("alive");
        std::process::exit(7);
    }
    watchdog(LIMIT, NAME, || {
        let (said, status) = Program::start(NAME, |_| ()).end();
        assert_eq!((said, status.signal()), (vec![], Some(signals::SIGINT)));
    });
}

/// T22: each signal has a token of its own, the same for everybody, and raising it is as good as getting it.
#[test]
fn each_signal_has_its_own_token() {
    const NAME: &str = "each_signal_has_its_own_token";
    if is_child(NAME) {
        let all = [signals::SIGTERM, signals::SIGHUP, signals::SIGUSR1];
        let tokens = all.map(|signal| signals::token_for(signal).unwrap());
        let again = all.map(|signal| signals::token_for(signal).unwrap());
        let children = [0, 1, 2].map(|n| again[n].child());
        for (n, signal) in all.into_iter().enumerate() {
            assert!(!tokens[n].is_cancelled());
            signals::raise(signal).unwrap();
            children[n].wait();
            assert!(tokens[n].is_cancelled() && again[n].is_cancelled());
        }
        std::process::exit(7);
    }
    watchdog(LIMIT, NAME, || {
        let (_, status) = Program::start(NAME, |_| ()).end();
        assert_eq!(status.code(), Some(7));
    });
}

/// T22: a signal that is ignored, as under nohup, stays ignored.
#[test]
fn an_ignored_signal_stays_ignored() {
    const NAME: &str = "an_ignored_signal_stays_ignored";
    if is_child(NAME) {
        let hangup = signals::token_for(signals::SIGHUP).unwrap();
        let term = signals::token_for(signals::SIGTERM).unwrap();
        signals::raise(signals::SIGHUP).unwrap();
        signals::raise(signals::SIGTERM).unwrap();
        term.wait();
        signals::raise(signals::SIGHUP).unwrap();
        assert!(!hangup.is_cancelled());
        std::process::exit(7);
    }
    watchdog(LIMIT, NAME, || {
        let ignore = |command: &mut Command| {
            // SAFETY: `signal` may be called between fork and exec.
            unsafe {
                command.pre_exec(|| {
                    libc::signal(libc::SIGHUP, libc::SIG_IGN);
                    Ok(())
                })
            };
        };
        let (_, status) = Program::start(NAME, ignore).end();
        assert_eq!(status.code(), Some(7));
    });
}

/// Raises a signal in the midst of what allocates.
struct Raises;

thread_local! {
    /// After so many allocations.
    static RAISES_AFTER: Cell<Option<usize>> = const { Cell::new(None) };
}

#[global_allocator]
static ALLOCATOR: Raises = Raises;

// SAFETY: the system's.
unsafe impl GlobalAlloc for Raises {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Ok(Some(left)) = RAISES_AFTER.try_with(Cell::get) {
            RAISES_AFTER.set(left.checked_sub(1));
            if left == 0 {
                // SAFETY: the handlers are those of signal-hook, which allocate nothing.
                unsafe { libc::raise(signals::SIGUSR1) };
            }
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

/// T22: a signal that comes while its token is being made is either from before or cancels it; none is
/// taken for the first of two and forgotten.
#[test]
fn a_signal_comes_while_its_token_is_made() {
    const NAME: &str = "a_signal_comes_while_its_token_is_made";
    const AFTER: &str = "LATCHWORK_TEST_SIGNALS_AFTER";
    if is_child(NAME) {
        let [hangup, terminate] =
            [signals::SIGHUP, signals::SIGTERM].map(|it| signals::token_for(it).unwrap());
        // So that one that comes earlier ends nothing.
        signal_hook::flag::register(signals::SIGUSR1, Arc::default()).unwrap();
        let after = std::env::var(AFTER).unwrap().parse().unwrap();
        RAISES_AFTER.set(Some(after));
        let token = signals::token_for(signals::SIGUSR1).unwrap();
        let has_come = RAISES_AFTER.take().is_none();
        // Signals are looked for in the order of their numbers, so one that came before has been seen.
        signals::raise(signals::SIGHUP).unwrap();
        hangup.wait();
        signals::raise(signals::SIGTERM).unwrap();
        terminate.wait();
        if !token.is_cancelled() {
            signals::raise(signals::SIGUSR1).unwrap();
            token.wait();
        }
        say(if has_come { "has come" } else { "is over" });
        std::process::exit(0);
    }
    watchdog(LIMIT, NAME, || {
        for after in 0.. {
            let program = Program::start(NAME, |command| {
                command.env(AFTER, after.to_string());
            });
            let (said, status) = program.end();
            assert_eq!(
                status.code(),
                Some(0),
                "after {after} allocations: {status}"
            );
            if said == ["is over"] {
                assert!(after > 5, "only {after} places were tried");
                break;
            }
        }
    });
}

/// T22: what is no signal, and what nobody can wait for, is an error.
#[test]
fn what_is_no_signal_is_an_error() {
    for number in [0, -1, 1000, i32::MAX] {
        let refused = [signals::token_for(number).map(drop), signals::raise(number)];
        for error in refused.map(Result::unwrap_err) {
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        }
    }
    for signal in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV] {
        let error = signals::token_for(signal).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}
