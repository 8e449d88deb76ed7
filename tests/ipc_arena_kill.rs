//! What a process leaves that is killed while it makes or drops an object of whole pages.
//!
//! The steps that matter lie around the system calls that give memory and give it back, so the victim
//! is led from one to the next, and killed some instructions after each.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
mod victim;

use bytemuck::Pod;
use common::watchdog;
use latchwork::ipc::{Lock, Value};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use victim::{Victim, timed, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// Just so big that it is made of pages.
type Big = [u64; 4200];

/// The tests of this file measure one arena, so they take turns.
fn in_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

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
    let _turn = in_turn();
    let bystander = Lock::new().unwrap();
    let before = real();
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
    assert!(real() < before + (4 << 20), "{} after {before}", real());
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

/// Plain memory that forked children share, for what they tell the test.
fn scratch() -> &'static [AtomicU64; 8] {
    // SAFETY: a fresh anonymous mapping of a page, never unmapped; zero is a valid atomic.
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast()
    }
}

/// A value of any size whose bytes all say whose it is.
trait Marked {
    fn is_whole(&self) -> bool;
}

struct Mark<T: Pod>(Value<T>, u8);

impl<T: Pod> Marked for Mark<T> {
    fn is_whole(&self) -> bool {
        let Ok(guard) = self.0.lock() else {
            return false;
        };
        bytemuck::bytes_of(&*guard)
            .iter()
            .all(|&byte| byte == self.1)
    }
}

fn marked<T: Pod>(mark: u8) -> Box<dyn Marked> {
    let mut value: T = T::zeroed();
    bytemuck::bytes_of_mut(&mut value).fill(mark);
    Box::new(Mark(Value::new(value).unwrap(), mark))
}

/// M26, between processes: four of them make and drop objects of all sizes, are killed at random and
/// replaced. What one has made no other is given, and nobody is kept from going on.
#[test]
fn random_kills_leave_every_object_whole() {
    watchdog(LIMIT, "random kills", || {
        let _turn = in_turn();
        drop(Lock::new().unwrap());
        let told = scratch();
        let worker = |place: usize, life: u64| {
            Victim::new(move || {
                let mut random = life << 8 | place as u64 | 1 << 60;
                let mut mine: Vec<Box<dyn Marked>> = Vec::new();
                loop {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let mark = random as u8 | 1;
                    mine.push(match random >> 32 & 7 {
                        0..3 => marked::<[u8; 20]>(mark),
                        3 | 4 => marked::<[u8; 300]>(mark),
                        5 => marked::<[u8; 20_000]>(mark),
                        6 => marked::<[u8; 40_000]>(mark),
                        _ => marked::<[u8; 300_000]>(mark),
                    });
                    if mine.len() > 12 {
                        let one = mine.swap_remove((random >> 40) as usize % 12);
                        let is_whole = one.is_whole();
                        told[4 + usize::from(is_whole)].fetch_add(1, Ordering::SeqCst);
                    }
                    told[place].fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let mut workers: Vec<_> = (0..4).map(|place| worker(place, 0)).collect();
        let began = Instant::now();
        let mut kills = 0;
        while began.elapsed() < Duration::from_secs(2) {
            let place = kills as usize % 4;
            let before = told[place].load(Ordering::SeqCst);
            // Each gets somewhere before it is killed.
            wait_until(|| told[place].load(Ordering::SeqCst) > before + 3);
            kills += 1;
            std::mem::replace(&mut workers[place], worker(place, kills)).kill();
        }
        workers.into_iter().for_each(Victim::kill);
        let [broken, whole] = [4, 5].map(|place| told[place].load(Ordering::SeqCst));
        println!("{kills} kills, {whole} objects, {} bytes real", real());
        assert_eq!(broken, 0, "objects were given out twice");
        assert!(kills > 5 && whole > 100);
        // 12 objects of at most 300,000 bytes each, four living processes, and four times that.
        assert!(real() < 64 << 20);
    });
}
