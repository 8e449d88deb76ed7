//! What it costs that must cost nothing: no system call and no allocation while nobody waits, no
//! allocation and no processor time while somebody does.

#![cfg(target_os = "linux")]

#[path = "cost/allocations.rs"]
mod allocations;
mod common;
#[path = "cost/operations.rs"]
mod operations;
#[path = "cost/sandbox.rs"]
mod sandbox;

use allocations::allocations_in;
use common::watchdog;
use latchwork::{CancelToken, Limit};
use operations::{ALLOCATING, ALONE, Operation, WAITS, Wait};
use sandbox::Outcome;
use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// A limit that passes in the line, not in the spin before it.
const SHORT: Duration = Duration::from_millis(5);

/// How often an operation is done, after the once that may set something up.
const OFTEN: usize = 1_000;

/// Not of this crate: reads the clock, as everything with a limit does.
const CLOCK: &str = "the clock";

/// False where the kernel keeps no filters or the clock is a system call: nothing can be shown then.
fn sandbox_works(test: &str) -> bool {
    let works = sandbox::outcome_of(test, CLOCK) == Outcome::NoSystemCall;
    if !works {
        eprintln!("skipped: no seccomp filters here, or the clock is a system call");
    }
    works
}

fn read_the_clock() -> Operation {
    Box::new(|| {
        black_box(Instant::now());
    })
}

/// What makes the thing of this name.
fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    let row = table.iter().find(|(known, _)| *known == name);
    row.map(|&(_, make)| make)
}

#[test]
fn nobody_waiting_means_no_system_call() {
    const NAME: &str = "nobody_waiting_means_no_system_call";
    if let Some(name) = sandbox::asked_for() {
        sandbox::run(move || {
            let alone = find(ALONE, &name).map(|make| make());
            let allocating = || find(ALLOCATING, &name).map(|make| make().1);
            let mut operation = alone.or_else(allocating).unwrap_or_else(read_the_clock);
            operation();
            move || (0..OFTEN).for_each(|_| operation())
        });
    }
    watchdog(LIMIT, NAME, || {
        if !sandbox_works(NAME) {
            return;
        }
        let allocating = ALLOCATING.iter().map(|(name, _)| name);
        for name in ALONE.iter().map(|(name, _)| name).chain(allocating) {
            let outcome = sandbox::outcome_of(NAME, name);
            assert_eq!(outcome, Outcome::NoSystemCall, "{name}");
        }
    });
}

/// The test of the test above: where somebody sleeps, or is woken, there is a system call, and it is
/// seen.
#[test]
fn a_sleep_and_a_wake_up_are_system_calls() {
    const NAME: &str = "a_sleep_and_a_wake_up_are_system_calls";
    if let Some(name) = sandbox::asked_for() {
        sandbox::run(move || match name.split_once(' ') {
            Some(("wake", name)) => wake_somebody(find(WAITS, name).unwrap()()),
            Some(("sleep", name)) => sleep_in(find(WAITS, name).unwrap()),
            _ => Box::new(read_the_clock()),
        });
    }
    watchdog(LIMIT, NAME, move || {
        if !sandbox_works(NAME) {
            return;
        }
        for (name, make) in WAITS {
            if make().until_parked.is_some() {
                assert_calls_the_kernel(NAME, &format!("wake {name}"));
            }
            assert_calls_the_kernel(NAME, &format!("sleep {name}"));
        }
    });
}

/// Grants a wait that another thread is known to be asleep in.
fn wake_somebody(wait: Wait) -> Box<dyn FnOnce()> {
    let Wait {
        mut wait,
        until_parked,
        grant,
    } = wait;
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        // SAFETY: it only asks who we are.
        tell.send(unsafe { libc::gettid() }).unwrap();
        wait(Limit::none());
    });
    let waiter = told.recv().unwrap();
    until_parked.expect("it can be seen waiting")();
    // Parked is in the line; asleep is a moment later, and only a sleeper needs the kernel.
    while !is_asleep(waiter) {
        thread::yield_now();
    }
    grant
}

fn is_asleep(thread: libc::pid_t) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
    let (_, state) = stat.rsplit_once(") ").unwrap();
    state.starts_with('S')
}

/// Waits for what another thread holds and never gives.
fn sleep_in(make: fn() -> Wait) -> Box<dyn FnOnce()> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let Wait { wait, grant, .. } = make();
        tell.send(wait).unwrap();
        loop {
            thread::park();
            black_box(&grant);
        }
    });
    let mut wait = told.recv().unwrap();
    // A program's first wait asks how many processors there are.
    wait(SHORT.into());
    Box::new(move || {
        wait(Limit::none());
    })
}

#[track_caller]
fn assert_calls_the_kernel(test: &str, operation: &str) {
    match sandbox::outcome_of(test, operation) {
        Outcome::SystemCall(number) => {
            let expected = [libc::SYS_futex, libc::SYS_sched_yield];
            assert!(expected.contains(&number.into()), "{operation}: {number}");
        }
        outcome => panic!("{operation}: {outcome:?}"),
    }
}

#[test]
fn nobody_waiting_means_no_allocation() {
    watchdog(LIMIT, "nobody_waiting_means_no_allocation", || {
        for (name, make) in ALONE {
            let mut operation = make();
            operation();
            let allocations = allocations_in(|| (0..OFTEN).for_each(|_| operation()));
            assert_eq!(allocations, 0, "{name}");
        }
    });
}

#[test]
fn what_needs_memory_takes_no_more_than_it_says() {
    watchdog(LIMIT, "what_needs_memory", || {
        for (name, make) in ALLOCATING {
            let (times, mut operation) = make();
            operation();
            let allocations = allocations_in(|| (0..OFTEN).for_each(|_| operation()));
            assert_eq!(allocations, times * OFTEN, "{name}");
        }
    });
}

/// Neither one that is granted, on either side, nor one that gives up. Only a wait under a token
/// needs memory, or one for the token itself: for its entry in the token's registry.
#[test]
fn a_wait_allocates_nothing_but_its_entry_at_a_token() {
    watchdog(LIMIT, "a_wait_allocates_nothing", || {
        for (name, make) in WAITS {
            let Wait {
                mut wait,
                until_parked,
                grant,
            } = make();
            let own_entry = usize::from(*name == "CancelToken");
            let (is_about_to_wait, begun) = mpsc::channel();
            let waiter = thread::spawn(move || {
                let mut wait = |limit: Limit<'_>| {
                    let mut is_granted = false;
                    let allocations = allocations_in(|| is_granted = wait(limit));
                    (is_granted, allocations)
                };
                // A program's first wait asks how many processors there are.
                wait(SHORT.into());
                let (is_granted, allocations) = wait(SHORT.into());
                assert!(
                    !is_granted && allocations <= own_entry,
                    "{name}: {allocations}"
                );

                let token = CancelToken::new();
                let (is_granted, allocations) = wait(token.within(SHORT));
                assert!(
                    !is_granted && allocations <= 1 + own_entry,
                    "{name}: {allocations}"
                );

                is_about_to_wait.send(()).unwrap();
                let (is_granted, allocations) = wait(Limit::none());
                assert!(
                    is_granted && allocations <= own_entry,
                    "{name}: {allocations}"
                );
            });
            if begun.recv().is_ok() {
                if let Some(until_parked) = until_parked {
                    until_parked();
                }
                assert_eq!(allocations_in(grant), 0, "{name}");
            }
            waiter.join().unwrap();
        }
    });
}

#[test]
fn allocations_are_seen() {
    assert_eq!(allocations_in(|| drop(black_box(Box::new(1)))), 1);
}

/// How long this thread has had a processor.
fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the answer.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(outcome, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Of every kind, and all at once: whoever waits sleeps.
#[test]
fn a_long_wait_takes_next_to_no_processor_time() {
    watchdog(LIMIT, "a_long_wait_takes_no_processor_time", || {
        const LONG: Duration = Duration::from_millis(300);
        const LITTLE: Duration = Duration::from_millis(5);
        let waits: Vec<(&str, Wait)> = WAITS.iter().map(|(name, make)| (*name, make())).collect();
        let mut threads = Vec::new();
        for (
            name,
            Wait {
                mut wait, grant, ..
            },
        ) in waits
        {
            let waiter = thread::spawn(move || {
                let (begun, before) = (Instant::now(), processor_time());
                assert!(!wait(LONG.into()), "{name}");
                (begun.elapsed(), processor_time() - before)
            });
            threads.push((name, waiter, grant));
        }
        for (name, waiter, grant) in threads {
            let (waited, took) = waiter.join().unwrap();
            assert!(
                waited >= LONG && took < LITTLE,
                "{name}: {took:?} of {waited:?}"
            );
            drop(grant);
        }
    });
}
