//! `thread`: who is alive, what each is called, and who one is. Rows T1-T6, T28, T39, T44-T47, T51, T54, T128.

mod common;

use common::{block_on, watchdog};
use latchwork::thread::{self, Builder, ThreadInfo, WaitError};
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn is_listed(thread: &ThreadInfo) -> bool {
    thread::enumerate().contains(thread)
}

/// A thread that lives until the sender is dropped.
fn lasting(name: &str) -> (mpsc::Sender<()>, thread::JoinHandle<()>) {
    let (release, wait) = mpsc::channel::<()>();
    let body = move || assert!(wait.recv().is_err());
    (release, Builder::new().name(name).spawn(body).unwrap())
}

/// T1, T2, T47: listed from the start until before the join returns, however many come and go.
#[test]
fn a_thread_that_was_joined_is_never_listed() {
    watchdog(LIMIT, "joined_is_never_listed", || {
        let stop = Arc::new(AtomicBool::new(false));
        let its_stop = Arc::clone(&stop);
        let churn = thread::spawn(move || {
            while !its_stop.load(Ordering::Relaxed) {
                thread::spawn(|| ()).join().unwrap();
            }
        });
        for round in 0..300 {
            let (release, worker) = lasting("listed");
            let info = worker.thread().clone();
            assert!(is_listed(&info) && info.is_alive() && worker.is_alive());
            let listed = thread::enumerate();
            assert!(
                listed.is_sorted_by_key(ThreadInfo::id),
                "in the order of starting"
            );
            drop(release);
            match round % 3 {
                0 => worker.join().unwrap(),
                1 => info.wait().unwrap(),
                _ => block_on(info.wait_async()).unwrap(),
            }
            assert!(!is_listed(&info) && !info.is_alive());
        }
        stop.store(true, Ordering::Relaxed);
        churn.join().unwrap();
    });
}

/// T1: daemons, foreign threads that have asked, and the first thread are counted; unstarted ones are not.
#[test]
fn what_the_count_counts() {
    const CHILD: &str = "LATCHWORK_TEST_COUNT";
    if std::env::var_os(CHILD).is_none() {
        return in_child(CHILD, "what_the_count_counts");
    }
    // The first thread is libtest's, and this one is foreign.
    let first = usize::from(cfg!(target_os = "linux"));
    assert_eq!(thread::active_count(), first);
    let me = thread::current();
    assert!(me.is_foreign());
    assert_eq!(thread::active_count(), first + 1);
    let unstarted = Builder::new().build(|| ());
    assert_eq!(thread::active_count(), first + 1);
    let (release, daemon) = {
        let (release, wait) = mpsc::channel::<()>();
        let body = move || wait.recv().is_err();
        (release, Builder::new().daemon(true).spawn(body).unwrap())
    };
    assert_eq!(thread::active_count(), first + 2);
    assert_eq!(thread::enumerate().len(), first + 2);
    unstarted.start().unwrap().join().unwrap();
    assert_eq!(thread::active_count(), first + 2);
    drop(release);
    daemon.join().unwrap();
    assert_eq!(thread::active_count(), first + 1);
}

/// Runs one test of this file in a process of its own.
fn in_child(marker: &str, test: &str) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(marker, "")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// T3: a foreign thread appears when it asks and vanishes when it ends; it cannot be waited for (T40).
#[test]
fn foreign_threads_come_and_go() {
    watchdog(LIMIT, "foreign_threads", || {
        let named = std::thread::Builder::new().name("abroad".to_owned());
        let (send, receive) = mpsc::channel();
        let (release, wait) = mpsc::channel::<()>();
        let foreign = named.spawn(move || {
            let me = thread::current();
            assert_eq!(me, thread::current(), "once known, it stays who it is");
            send.send(me).unwrap();
            assert!(wait.recv().is_err());
        });
        let info = receive.recv().unwrap();
        assert!(is_listed(&info) && info.is_alive() && info.is_foreign() && info.is_daemon());
        assert_eq!(&*info.name(), "abroad");
        assert_eq!(info.wait(), Err(WaitError::Foreign));
        assert_eq!(info.wait_within(Duration::ZERO), Err(WaitError::Foreign));
        assert_eq!(block_on(info.wait_async()), Err(WaitError::Foreign));
        assert!(!info.try_wait());
        drop(release);
        foreign.unwrap().join().unwrap();
        assert!(!is_listed(&info) && !info.is_alive() && info.try_wait());
        let nameless = std::thread::spawn(|| thread::current().name());
        assert!(nameless.join().unwrap().starts_with("Dummy-"));
    });
}

/// T4: the first thread is known to everybody, and is the one whose number is the process's.
#[test]
#[cfg(target_os = "linux")]
fn the_first_thread() {
    let main = thread::main().unwrap();
    assert!(main.is_main() && main.is_alive() && !main.is_daemon() && !main.is_foreign());
    assert_eq!(&*main.name(), "main");
    assert_eq!(main.native_id().unwrap().get(), std::process::id());
    assert_ne!(main, thread::current());
    assert!(is_listed(&main));
    assert_eq!(thread::main(), Some(main.clone()));
    assert_eq!(main.wait(), Err(WaitError::Foreign));
}

/// T5, T45: ids are never used again and stay valid.
#[test]
fn ids_are_unique_for_ever() {
    watchdog(LIMIT, "ids_are_unique", || {
        let mut seen = HashSet::new();
        for _ in 0..500 {
            let worker = thread::spawn(|| thread::current().id());
            let info = worker.thread().clone();
            let id = worker.join().unwrap();
            assert_eq!(id, info.id());
            assert!(id.as_u64() > 0 && seen.insert(id));
        }
    });
}

/// T6, T36, T46: a start returns when the thread runs, so the kernel's number is there.
#[test]
#[cfg(target_os = "linux")]
fn the_native_id_is_known_after_the_start() {
    watchdog(LIMIT, "the_native_id", || {
        for _ in 0..200 {
            let worker = thread::spawn(|| thread::native_id().unwrap());
            let known = worker.thread().native_id().expect("it runs");
            assert_eq!(worker.join().unwrap(), known);
        }
        let (release, worker) = lasting("");
        let task = format!("/proc/self/task/{}", worker.thread().native_id().unwrap());
        assert!(std::path::Path::new(&task).exists());
        drop(release);
        worker.join().unwrap();
    });
}

/// T28, T44, T51: names, as told by `Display`, `Debug` and the system.
#[test]
fn names_and_states() {
    watchdog(LIMIT, "names_and_states", || {
        let (release, wait) = mpsc::channel::<()>();
        let (told, tell) = mpsc::channel();
        let worker = Builder::new().name("first").daemon(true).spawn(move || {
            assert!(thread::set_current_name("no\0pe").is_err());
            // The 15th byte is in the middle of a character.
            thread::set_current_name("fourteen bytesé and more").unwrap();
            told.send(()).unwrap();
            assert!(wait.recv().is_err());
        });
        let worker = worker.unwrap();
        let info = worker.thread().clone();
        tell.recv().unwrap();
        assert_eq!(info.to_string(), "fourteen bytesé and more");
        assert_eq!(format!("{info:>26}|"), "  fourteen bytesé and more|");
        assert!(format!("{info:#}").starts_with("fourteen bytesé and more (thread "));
        let debug = format!("{info:?}");
        assert!(
            debug.contains("state: alive") && debug.contains("is_daemon: true"),
            "{debug}"
        );
        if cfg!(target_os = "linux") {
            let comm = format!("/proc/self/task/{}/comm", info.native_id().unwrap());
            assert_eq!(std::fs::read_to_string(comm).unwrap(), "fourteen bytes\n");
            let started = Builder::new().name("fourteen bytesé from the start");
            let comm = started.spawn(|| std::fs::read_to_string("/proc/thread-self/comm"));
            assert_eq!(comm.unwrap().join().unwrap().unwrap(), "fourteen bytes\n");
        }
        drop(release);
        worker.join().unwrap();
        assert!(format!("{info:?}").contains("state: ended"), "by itself");
        assert_eq!(&*info.name(), "fourteen bytesé and more");
    });
}

/// T44: a new name is in reports about waits and panics too.
#[test]
fn a_new_name_is_in_every_report() {
    watchdog(LIMIT, "a_new_name", || {
        let worker = Builder::new().name("old").spawn(|| {
            thread::set_current_name("new").unwrap();
            assert!(
                latchwork::debug::current_thread()
                    .to_string()
                    .ends_with("`new`")
            );
            panic!("on purpose");
        });
        let error = worker.unwrap().join().unwrap_err();
        assert_eq!(error.panic().unwrap().thread.as_deref(), Some("new"));
    });
}

/// T39: a thread's end can be waited for by many, as often as they like, within limits or without.
#[test]
fn many_wait_for_one_end() {
    watchdog(LIMIT, "many_wait", || {
        let (release, worker) = lasting("waited for");
        let info = worker.thread().clone();
        assert_eq!(info.wait_within(Duration::ZERO), Err(WaitError::TimedOut));
        let token = latchwork::CancelToken::new();
        token.cancel();
        assert_eq!(info.wait_within(&token), Err(WaitError::Cancelled));
        assert!(!info.try_wait());
        let both = Arc::new(Barrier::new(4));
        let waiters = [0; 3].map(|_| {
            let (info, both) = (info.clone(), Arc::clone(&both));
            thread::spawn(move || {
                both.wait();
                info.wait().unwrap();
                info.wait_within(Duration::ZERO).unwrap();
            })
        });
        both.wait();
        drop(release);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        info.wait().unwrap();
        assert!(info.try_wait() && worker.is_finished());
        worker.join().unwrap();
    });
}

struct Late<F: FnMut()>(F);

impl<F: FnMut()> Drop for Late<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

type Last = Late<Box<dyn FnMut()>>;

thread_local! {
    static LATE: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// T54: all four faces wait for the destructors of thread-locals.
#[test]
#[cfg(target_os = "linux")]
fn a_join_waits_for_the_destructors_of_locals() {
    watchdog(LIMIT, "destructors_of_locals", || {
        for face in 0..5 {
            let (release, wait) = mpsc::channel::<()>();
            let done = Arc::new(AtomicBool::new(false));
            let its_done = Arc::clone(&done);
            let (told, tell) = mpsc::channel();
            let worker = thread::spawn(move || {
                let at_the_end = move || {
                    told.send(()).unwrap();
                    assert!(wait.recv().is_err());
                    its_done.store(true, Ordering::Relaxed);
                };
                LATE.set(Some(Late(Box::new(at_the_end))));
            });
            tell.recv().unwrap();
            // Its function has returned, and a destructor runs.
            assert!(worker.is_alive() && is_listed(worker.thread()));
            let worker = worker.try_join().unwrap_err();
            let worker = worker
                .join_within(Duration::from_millis(1))
                .unwrap_err()
                .handle;
            drop(release);
            match face {
                0 => worker.join().unwrap(),
                1 => worker.join_within(LIMIT).unwrap().unwrap(),
                2 => block_on(worker.join_async()).unwrap(),
                3 => worker.thread().wait().unwrap(),
                _ => {
                    while !worker.is_finished() {
                        thread::yield_now();
                    }
                }
            }
            assert!(done.load(Ordering::Relaxed));
        }
    });
}

/// T128: in a thread-local's destructor a thread is still who it was, and may use everything.
#[test]
fn what_is_called_in_destructors_of_locals() {
    watchdog(LIMIT, "called_in_destructors", || {
        for is_foreign in [false, true] {
            for asks_before in [false, true] {
                let (told, tell) = mpsc::channel();
                let body = move || {
                    let before = asks_before.then(thread::current);
                    let at_the_end = move || {
                        let me = thread::current();
                        assert!(before.iter().all(|before| *before == me));
                        thread::set_current_name("late").unwrap();
                        let child = thread::spawn(|| 7).join();
                        told.send((me, child, thread::active_count())).unwrap();
                    };
                    LATE.set(Some(Late(Box::new(at_the_end))));
                };
                if is_foreign {
                    std::thread::spawn(body).join().unwrap();
                } else {
                    thread::spawn(body).join().unwrap();
                }
                let (info, child, _) = tell.recv().unwrap();
                assert_eq!(child, Ok(7));
                assert_eq!(info.is_foreign(), is_foreign);
                assert!(!info.is_alive() && !is_listed(&info));
                assert_eq!(&*info.name(), "late");
            }
        }
    });
}

/// T128: C thread keys have destructors too, which may run after everything of Rust's is gone.
#[test]
#[cfg(target_os = "linux")]
fn what_is_called_in_destructors_of_thread_keys() {
    use std::ffi::c_void;
    use std::sync::Mutex;

    static SEEN: Mutex<Vec<(u64, bool)>> = Mutex::new(Vec::new());

    unsafe extern "C" fn last(rounds: *mut c_void) {
        let me = thread::current();
        SEEN.lock().unwrap().push((me.id().as_u64(), me.is_alive()));
        if rounds.addr() > 1 {
            let key = *KEY.get().unwrap();
            // SAFETY: a key of ours; the value is a number.
            unsafe {
                libc::pthread_setspecific(key, std::ptr::without_provenance(rounds.addr() - 1))
            };
        }
    }
    static KEY: std::sync::OnceLock<libc::pthread_key_t> = std::sync::OnceLock::new();

    watchdog(LIMIT, "destructors_of_thread_keys", || {
        let key = *KEY.get_or_init(|| {
            let mut key = 0;
            // SAFETY: `last` has the type of a destructor.
            assert_eq!(unsafe { libc::pthread_key_create(&mut key, Some(last)) }, 0);
            key
        });
        let body = move || {
            let id = thread::current().id().as_u64();
            // SAFETY: a key of ours; the value is a number.
            unsafe { libc::pthread_setspecific(key, std::ptr::without_provenance(4)) };
            id
        };
        let foreign = std::thread::spawn(body).join().unwrap();
        let worker = thread::spawn(body);
        let info = worker.thread().clone();
        let id = worker.join().unwrap();
        // A join does not wait for what comes after the last round that others know of.
        let of = |id| move |seen: &&(u64, bool)| seen.0 == id;
        let seen = SEEN.lock().unwrap().clone();
        for id in [foreign, id] {
            let times = seen.iter().filter(of(id)).count();
            assert!(times >= 3, "{seen:?}");
        }
        assert!(!is_listed(&info));
        assert!(
            thread::enumerate()
                .iter()
                .all(|thread| thread.id().as_u64() != foreign)
        );
    });
}
