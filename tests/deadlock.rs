//! `debug::on_deadlock` and `debug::wait_graph`: circles are reported when they close, once, with
//! names and places, and nothing else is. Row T65 of the behaviour list.
//!
//! The threads of a deadlock stay where they are, so what they use is leaked, and ends with the test
//! program.

mod common;

use common::{until_parked, watchdog};
use latchwork::debug::{self, Deadlock, OnDeadlock};
use latchwork::executor::ThreadPoolExecutor;
use latchwork::sync::{self, Lock, RLock, RwLock};
use latchwork::{CancelToken, thread};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, Once, mpsc};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

static FOUND: Mutex<Vec<Deadlock>> = Mutex::new(Vec::new());

/// One hook for the whole program: tests run side by side, and each asks for its own locks.
fn collect_deadlocks() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = debug::on_deadlock(OnDeadlock::Call(Arc::new(|deadlock: &Deadlock| {
            FOUND.lock().unwrap().push(deadlock.clone());
        })));
        assert!(matches!(before, OnDeadlock::Print));
    });
}

fn address<T: ?Sized>(of: &T) -> usize {
    std::ptr::from_ref(of).addr()
}

/// The reports in which something at one of these addresses is waited for.
fn reports(about: &[usize]) -> Vec<Deadlock> {
    let found = FOUND.lock().unwrap();
    let concerns = |d: &&Deadlock| d.waits().iter().any(|w| about.contains(&w.address));
    found.iter().filter(concerns).cloned().collect()
}

fn first_report(about: &[usize]) -> Deadlock {
    loop {
        match reports(about).pop() {
            Some(deadlock) => return deadlock,
            None => std::thread::yield_now(),
        }
    }
}

fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

#[test]
fn two_threads_in_a_circle_are_reported_with_names_and_places() {
    watchdog(LIMIT, "two_threads_in_a_circle", || {
        collect_deadlocks();
        let locks: [&Lock<()>; 2] = [leaked(Lock::new(())), leaked(Lock::new(()))];
        let both_hold = leaked(Barrier::new(2));
        let line = line!() + 5;
        for (name, first, second) in [("ab", 0, 1), ("ba", 1, 0)] {
            let body = move || {
                let _held = locks[first].lock();
                both_hold.wait();
                drop(locks[second].lock());
            };
            let _ = thread::Builder::new().name(name).spawn(body).unwrap();
        }
        let about = locks.map(address);
        let deadlock = first_report(&about);
        let waits = deadlock.waits();
        assert_eq!(waits.len(), 2);
        for wait in waits {
            assert_eq!((wait.kind, wait.place.line()), ("Lock", line));
            assert_eq!(wait.place.file(), file!());
        }
        let name = |thread: &Option<debug::Thread>| thread.as_ref().unwrap().name.clone().unwrap();
        for (wait, next) in [(0, 1), (1, 0)] {
            assert_eq!(waits[wait].owner, waits[next].thread);
            let expected = if waits[wait].address == about[1] {
                "ab"
            } else {
                "ba"
            };
            assert_eq!(name(&waits[wait].thread), expected);
        }
        let text = deadlock.to_string();
        assert!(
            text.starts_with("deadlock: 2 threads wait for each other\n"),
            "{text}"
        );
        assert!(text.contains("`ab`") && text.contains("`ba`"), "{text}");

        // Others who join the queue close no circle, and it is not reported again.
        for lock in locks {
            let _ = thread::spawn(|| drop(lock.lock()));
            until_parked("Lock", lock, 2);
        }
        assert_eq!(reports(&about).len(), 1);

        // And it can be read at any time.
        let graph = debug::wait_graph();
        let mine = graph.waits().iter().filter(|w| about.contains(&w.address));
        assert_eq!(mine.count(), 4);
        let json: serde_json::Value = serde_json::from_str(&graph.to_json()).unwrap();
        let waits = json.as_array().unwrap();
        let held_by_ab = waits.iter().find(|w| w["owner"]["name"] == "ab").unwrap();
        assert_eq!(held_by_ab["address"].as_u64(), Some(about[0] as u64));
        let dot = graph.to_dot();
        assert!(dot.contains(&format!("x{:x} -> thread", about[0])), "{dot}");
        assert!(graph.to_string().contains("`ab` holds Lock"), "{graph}");
    });
}

#[test]
fn a_lock_taken_twice_by_one_thread_is_a_circle_of_one() {
    watchdog(LIMIT, "a_lock_taken_twice", || {
        collect_deadlocks();
        let lock = leaked(Lock::new(()));
        let _ = thread::spawn(|| {
            let _held = lock.lock();
            drop(lock.lock());
        });
        let deadlock = first_report(&[address(lock)]);
        assert_eq!(deadlock.waits().len(), 1);
        assert!(deadlock.to_string().contains("waits for itself"));
    });
}

#[test]
fn five_philosophers() {
    watchdog(LIMIT, "five_philosophers", || {
        collect_deadlocks();
        let forks = leaked([const { Lock::new(()) }; 5]);
        let all_hold = leaked(Barrier::new(5));
        for n in 0..5 {
            let _ = thread::spawn(move || {
                let _left = forks[n].lock();
                all_hold.wait();
                drop(forks[(n + 1) % 5].lock());
            });
        }
        let about: Vec<usize> = forks.iter().map(address).collect();
        assert_eq!(first_report(&about).waits().len(), 5);
        forks.iter().for_each(|fork| until_parked("Lock", fork, 1));
        assert_eq!(reports(&about).len(), 1);
    });
}

#[test]
fn a_reader_and_a_writer_that_wait_for_a_writer() {
    watchdog(LIMIT, "a_reader_and_a_writer", || {
        collect_deadlocks();
        for reads in [true, false] {
            let (shared, lock) = (leaked(RwLock::new(())), leaked(Lock::new(())));
            let both_hold = leaked(Barrier::new(2));
            let _ = thread::spawn(move || {
                let _held = shared.write();
                both_hold.wait();
                drop(lock.lock());
            });
            let _ = thread::spawn(move || {
                let _held = lock.lock();
                both_hold.wait();
                if reads {
                    drop(shared.read());
                } else {
                    drop(shared.write());
                }
            });
            let about = [address(shared), address(lock)];
            let deadlock = first_report(&about);
            let mut kinds: Vec<_> = deadlock.waits().iter().map(|wait| wait.kind).collect();
            kinds.sort_unstable();
            assert_eq!(kinds, ["Lock", "RwLock"]);
        }
    });
}

#[test]
fn a_task_that_waits_for_what_its_waiter_holds() {
    watchdog(LIMIT, "a_task_that_waits", || {
        collect_deadlocks();
        let pool = leaked(ThreadPoolExecutor::new(1));
        let lock = leaked(Lock::new(()));
        let _ = thread::spawn(|| {
            let _held = lock.lock();
            let _ = pool.spawn(|| drop(lock.lock())).unwrap().result();
        });
        let deadlock = first_report(&[address(lock)]);
        let mut kinds: Vec<_> = deadlock.waits().iter().map(|wait| wait.kind).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["Lock", "Task"]);
    });
}

#[test]
fn threads_that_join_each_other() {
    watchdog(LIMIT, "threads_that_join_each_other", || {
        collect_deadlocks();
        for circle in [2, 3] {
            let ids = Arc::new(Mutex::new(Vec::new()));
            let (senders, receivers): (Vec<_>, Vec<_>) = (0..circle)
                .map(|_| mpsc::channel::<thread::JoinHandle<()>>())
                .unzip();
            let handles: Vec<_> = receivers
                .into_iter()
                .map(|receiver| {
                    let ids = Arc::clone(&ids);
                    thread::spawn(move || {
                        ids.lock().unwrap().push(debug::current_thread());
                        let _ = receiver.recv().unwrap().join();
                    })
                })
                .collect();
            for (n, handle) in handles.into_iter().enumerate() {
                senders[(n + 1) % circle].send(handle).unwrap();
            }
            loop {
                let ids = ids.lock().unwrap().clone();
                let found = FOUND.lock().unwrap();
                let is_ours = |d: &&Deadlock| {
                    let joins = d.waits().iter().filter(|wait| wait.kind == "Thread");
                    ids.len() == circle
                        && joins
                            .filter(|wait| ids.contains(wait.thread.as_ref().unwrap()))
                            .count()
                            == circle
                };
                if let Some(deadlock) = found.iter().find(is_ours) {
                    assert_eq!(deadlock.waits().len(), circle);
                    break;
                }
                drop(found);
                std::thread::yield_now();
            }
        }
    });
}

#[test]
fn a_wait_with_a_limit_is_no_deadlock() {
    watchdog(LIMIT, "a_wait_with_a_limit", || {
        collect_deadlocks();
        let locks: [&Lock<()>; 2] = [leaked(Lock::new(())), leaked(Lock::new(()))];
        let token = leaked(CancelToken::new());
        let both_hold = leaked(Barrier::new(2));
        let hasty = thread::spawn(move || {
            let _held = locks[0].lock();
            both_hold.wait();
            locks[1].lock_within(token).is_err()
        });
        let patient = thread::spawn(move || {
            let _held = locks[1].lock();
            both_hold.wait();
            drop(locks[0].lock());
        });
        locks.iter().for_each(|lock| until_parked("Lock", *lock, 1));
        token.cancel();
        assert!(hasty.join().unwrap());
        patient.join().unwrap();
        assert!(reports(&locks.map(address)).is_empty());
    });
}

/// Nested acquisitions of random locks; in one order, unless `is_inverted` says otherwise.
fn nest(locks: &'static [Lock<u64>], seed: u64, rounds: u64, is_inverted: bool, stop: &AtomicBool) {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..rounds {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let mut chosen = random.choose_multiple(0..locks.len(), 3);
        chosen.sort_unstable();
        if is_inverted {
            chosen.reverse();
        }
        let mut held: Vec<_> = Vec::new();
        for n in chosen {
            let mut guard = locks[n].lock();
            *guard += 1;
            held.push(guard);
            // Held over a change of threads now and then, so that the others have to sleep.
            if random.u8(..) < 8 {
                std::thread::yield_now();
            }
        }
        if random.u16(..) < 64 {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

#[test]
fn a_million_nested_acquisitions_in_one_order_report_nothing_and_one_inversion_does() {
    watchdog(
        Duration::from_secs(240),
        "a_million_nested_acquisitions",
        || {
            collect_deadlocks();
            const THREADS: u64 = 6;
            const ROUNDS: u64 = 1_000_000 / 3 / THREADS + 1;
            let locks: &'static [Lock<u64>] = leaked([const { Lock::new(0) }; 8]);
            let about: Vec<usize> = locks.iter().map(address).collect();
            let stop = leaked(AtomicBool::new(false));

            std::thread::scope(|s| {
                for seed in 0..THREADS {
                    s.spawn(move || nest(locks, seed, ROUNDS, false, stop));
                }
            });
            let taken: u64 = locks.iter().map(|lock| *lock.lock()).sum();
            assert_eq!(taken, 3 * THREADS * ROUNDS);
            assert!(taken >= 1_000_000);
            assert!(reports(&about).is_empty(), "{:?}", reports(&about));

            for seed in 0..THREADS {
                let _ = thread::spawn(move || nest(locks, seed, u64::MAX, seed == 0, stop));
            }
            let deadlock = first_report(&about);
            stop.store(true, Ordering::Relaxed);
            // The one that takes them the wrong way round is in every circle there can be.
            assert!(deadlock.waits().len() >= 2);
        },
    );
}

#[test]
fn a_circle_through_an_rlock_is_reported_and_entering_it_again_is_none() {
    watchdog(LIMIT, "a_circle_through_an_rlock", || {
        collect_deadlocks();
        let (rlock, lock) = (leaked(RLock::new(())), leaked(Lock::new(())));
        let both_hold = leaked(Barrier::new(2));
        let _ = thread::spawn(move || {
            let _held = rlock.lock();
            // Somebody waits for what its owner enters again and again.
            let _ = thread::spawn(move || drop(rlock.lock()));
            until_parked("Lock", rlock, 1);
            for _ in 0..100 {
                drop(rlock.lock());
            }
            let _again = rlock.lock();
            assert!(reports(&[address(rlock)]).is_empty());
            both_hold.wait();
            drop(lock.lock());
        });
        let _ = thread::spawn(move || {
            let _held = lock.lock();
            both_hold.wait();
            drop(rlock.lock());
        });
        let about = [address(rlock), address(lock)];
        let deadlock = first_report(&about);
        assert_eq!(deadlock.waits().len(), 2);
        let is_waited_for = |about| deadlock.waits().iter().any(|wait| wait.address == about);
        assert!(about.into_iter().all(is_waited_for));
        until_parked("Lock", rlock, 2);
        assert_eq!(reports(&about).len(), 1);
    });
}

/// Each makes a value that needs the other's.
#[test]
fn two_initialisers_that_need_each_others_values() {
    watchdog(LIMIT, "two_initialisers", || {
        collect_deadlocks();
        let values: [&sync::Once<()>; 2] = [leaked(sync::Once::new()), leaked(sync::Once::new())];
        let both_begun = leaked(Barrier::new(2));
        for (name, first, second) in [("01", 0, 1), ("10", 1, 0)] {
            let body = move || {
                values[first].get_or_init(|| {
                    both_begun.wait();
                    values[second].get_or_init(|| ());
                });
            };
            let _ = thread::Builder::new().name(name).spawn(body).unwrap();
        }
        let about = values.map(address);
        let deadlock = first_report(&about);
        let waits = deadlock.waits();
        assert!(waits.iter().all(|wait| wait.kind == "Once"));
        assert_eq!(waits.len(), 2);
        for (wait, next) in [(0, 1), (1, 0)] {
            assert_eq!(waits[wait].owner, waits[next].thread);
        }
        // Who only looks closes no circle.
        let _ = thread::spawn(move || values[0].wait());
        until_parked("Once", values[0], 2);
        assert_eq!(reports(&about).len(), 1);
    });
}
