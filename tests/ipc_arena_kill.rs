//! What a process leaves that is killed while it makes or drops an object of whole pages.
//!
//! The steps that matter lie around the system calls that give memory and give it back, so the victim
//! is led from one to the next, and killed some instructions after each.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
#[allow(dead_code)]
mod victim;

use common::watchdog;
use latchwork::ipc::{Lock, Value};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use victim::{Victim, timed};

const LIMIT: Duration = Duration::from_secs(60);

/// Just so big that it is made of pages.
type Big = [u64; 4200];

/// How many bytes of memory this process's arena takes.
fn real() -> u64 {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let is_arena = |path: &std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("latchwork-arena"))
    };
    let arena = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(is_arena);
    std::fs::metadata(arena.unwrap()).unwrap().blocks() * 512
}

/// Lets the stopped victim go on as `request` says; `false` if it has ended by itself.
fn go_on(victim: &Victim, request: libc::c_uint) -> bool {
    // SAFETY: the victim is our stopped tracee.
    let result = unsafe { libc::ptrace(request, victim.pid, 0, 0) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    let status = victim.wait();
    assert!(
        libc::WIFSTOPPED(status) || status == 0,
        "the victim failed: {status:#x}"
    );
    status != 0
}

/// Kills a child `steps` instructions after its `calls`-th stop at the border of a system call in
/// `work`. Says whether it came so far.
fn killed_at(calls: usize, steps: usize, prepare: impl FnOnce(), work: impl FnOnce()) -> bool {
    let victim = Victim::new(|| {
        prepare();
        // SAFETY: plain system calls; the stop hands this process over to the tracer.
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        work();
    });
    assert!(libc::WIFSTOPPED(victim.wait()));
    let lives = (0..calls).all(|_| go_on(&victim, libc::PTRACE_SYSCALL))
        && (0..steps).all(|_| go_on(&victim, libc::PTRACE_SINGLESTEP));
    if lives {
        victim.kill();
    } else {
        victim.reaped();
    }
    lives
}

fn kill_around_system_calls(stride: usize, instructions: usize) {
    let bystander = Lock::new().unwrap();
    let kept = Value::new([7_u64; 4200]).unwrap();
    let prepare = || {
        drop(bystander.try_lock());
        // Headers and the like are real from here on, as in any process that has begun.
        drop(Value::new([3_u64; 4200]).unwrap());
    };
    let make = || drop(Value::<Big>::new([1; 4200]).unwrap());
    let mut kills = 0;
    let mut calls = 1;
    while killed_at(calls, 0, prepare, make) {
        for steps in (0..instructions).step_by(stride) {
            if !killed_at(calls, steps, prepare, make) {
                break;
            }
            kills += 1;
            let (made, took) = timed(|| Value::<Big>::new([2; 4200]).unwrap());
            assert!(took < Duration::from_secs(1));
            let place = (calls, steps);
            assert_eq!(*made.lock().unwrap(), [2; 4200], "after {place:?}");
            assert_eq!(*kept.lock().unwrap(), [7; 4200], "after {place:?}");
        }
        calls += 1;
    }
    println!("{kills} kill points, {calls} borders");
    // Punching and allocating to make it, punching to drop it: two borders each.
    assert!(calls > 6 && kills >= calls);
    assert!(real() < 4 << 20, "{} left", real());
}

/// M19, M21
#[test]
fn a_kill_around_each_system_call_of_a_big_object() {
    watchdog(LIMIT, "system calls", || kill_around_system_calls(23, 240));
}

#[test]
#[ignore = "exhaustive: every instruction around a system call, not every 23rd"]
fn a_kill_at_every_instruction_around_each_system_call_of_a_big_object() {
    watchdog(LIMIT * 20, "system calls, all", || {
        kill_around_system_calls(1, 400)
    });
}
