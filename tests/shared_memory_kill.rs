//! What a killed or stopped process does to named shared memory: nothing that a sweep, or the next one who asks
//! for the name, does not put right.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
mod victim;

use common::watchdog;
use latchwork::executor::{Executor, ProcessPoolExecutor};
use latchwork::shm::{Kept, SharedMemory, ShmScope, sweep_prefix};
use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use victim::{Victim, open_descriptors, sleep_for_ever, timed, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// A forked child has whatever its parent has open, and is a user of it: no two tests at one time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, SeqCst);
    format!("kill-{}-{count}-{what}", std::process::id())
}

fn file(name: &str) -> PathBuf {
    Path::new("/dev/shm").join(format!("latchwork-{name}"))
}

/// Memory that forked children share, for what they tell the test.
fn scratch() -> SharedMemory {
    SharedMemory::anonymous(4096).unwrap()
}

fn cells(memory: &SharedMemory) -> &[AtomicU64] {
    memory.slice_of::<u64>(..).unwrap().atomics()
}

/// How much unfinished memory of this length there is.
fn drafts_of(len: u64) -> usize {
    let files = fs::read_dir("/dev/shm").unwrap().flatten();
    let drafts = files.filter(|file| file.file_name().to_string_lossy().starts_with("latchwork+"));
    let metadata = drafts.filter_map(|file| file.metadata().ok());
    metadata.filter(|draft| draft.len() == len + 4096).count()
}

/// M27, S21: many processes make a name at once, and some are killed at it: one made what all the others have, and it
/// was filled before anybody saw it.
#[test]
fn one_process_makes_what_all_have_whoever_is_killed() {
    let _turn = alone();
    watchdog(LIMIT, "creators killed", || {
        const LEN: usize = 20_011;
        let told = scratch();
        let told = cells(&told);
        let mut died_at_it = 0;
        for round in 0..40_u64 {
            let name = &name("creators");
            // The memory that belongs to its creator goes with it; the other kind stays.
            let owned = round % 2 == 1;
            told.iter().for_each(|cell| cell.store(0, SeqCst));
            let go = &told[0];
            let race = |index: usize| {
                while go.load(SeqCst) == 0 {
                    thread::yield_now();
                }
                let mine = u64::from(std::process::id());
                let options = SharedMemory::options().unlink_on_drop(owned);
                let memory = options.open_or_create_with(name, LEN, |bytes| {
                    bytes[..8].copy_from_slice(&mine.to_ne_bytes());
                    bytes[8..].fill(7);
                });
                let memory = memory.unwrap();
                let bytes = memory.slice_of::<u8>(8..).unwrap();
                assert!(bytes.iter().all(|byte| byte == 7), "half filled");
                let maker = memory.slice_of::<u64>(..8).unwrap().get(0).unwrap();
                assert_eq!(memory.is_creator(), maker == mine);
                told[index].store(maker, SeqCst);
                sleep_for_ever()
            };
            let mut victims: Vec<_> = (1..=5).map(|index| Victim::new(|| race(index))).collect();
            go.store(1, SeqCst);
            // Two of them, from the very first microseconds on.
            for index in [1, 0] {
                thread::sleep(Duration::from_micros(round * 17 % 900));
                victims.remove(index).kill();
            }
            died_at_it +=
                u32::from(told[1].load(SeqCst) == 0) + u32::from(told[2].load(SeqCst) == 0);
            wait_until(|| (3..=5).all(|index| told[index].load(SeqCst) != 0));
            let makers = |range: std::ops::RangeInclusive<usize>| {
                let seen = told[range].iter().map(|cell| cell.load(SeqCst));
                seen.filter(|&maker| maker != 0)
                    .collect::<HashSet<_>>()
                    .len()
            };
            assert_eq!(makers(3..=5), 1, "the survivors have different memory");
            if !owned {
                assert_eq!(makers(1..=5), 1, "it was made twice");
            }
            victims.into_iter().for_each(Victim::kill);
            let swept = sweep_prefix(name).unwrap();
            assert_eq!(swept.removed, [&**name]);
        }
        sweep_prefix("latchwork+").unwrap();
        assert_eq!(drafts_of(LEN as u64), 0);
        assert!(died_at_it > 0, "nobody was killed while at it");
    });
}

/// M47, M36: an owner that is killed takes its names along, and one that is stopped does not.
#[test]
fn a_killed_scope_is_over() {
    let _turn = alone();
    watchdog(LIMIT, "scope killed", || {
        let told = scratch();
        let told = cells(&told);
        let names = &["one", "two", "three"].map(name);
        let owner = Victim::new(|| {
            let scope = ShmScope::new();
            let blocks = names
                .each_ref()
                .map(|name| scope.create(name, 100).unwrap());
            blocks[0].slice_of::<u8>(..).unwrap().set(0, 9).unwrap();
            told[0].store(1, SeqCst);
            sleep_for_ever()
        });
        wait_until(|| told[0].load(SeqCst) == 1);
        owner.signal(libc::SIGSTOP);
        let held = SharedMemory::open(&names[0]).unwrap();
        let swept = sweep_prefix("kill-").unwrap();
        for name in names {
            assert!(swept.kept.contains(&(name.clone(), Kept::InUse)));
        }
        owner.kill();
        // Who opens one, or makes one, finds that it ended, without a sweep.
        assert!(file(&names[1]).exists());
        let error = SharedMemory::open(&names[1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(!file(&names[1]).exists());
        let new = SharedMemory::options().unlink_on_drop(true);
        assert!(file(&names[2]).exists());
        let new = new.create(&names[2], 50).unwrap();
        assert_eq!((new.len(), new.is_creator()), (50, true));
        // What somebody has open stays until that one has gone, too.
        assert_eq!(
            SharedMemory::open(&names[0])
                .unwrap()
                .slice_of::<u8>(..)
                .unwrap()
                .get(0),
            Some(9)
        );
        drop(held);
        assert_eq!(sweep_prefix(&names[0]).unwrap().removed, [&*names[0]]);
        drop(new);
        assert!(names.iter().all(|name| !file(name).exists()));
    });
}

/// M32, M33: a child of a fork uses the memory that it has inherited, and does not end its parent's names.
#[test]
fn a_forked_child_is_a_user_and_no_owner() {
    let _turn = alone();
    watchdog(LIMIT, "forks", || {
        let name = &name("fork");
        let options = SharedMemory::options().unlink_on_drop(true);
        let mut memory = Some(options.create(name, 100).unwrap());
        let scope = ShmScope::new();
        let block = scope.create_unique(1).unwrap();
        let told = scratch();
        let told = cells(&told);
        let mut both = Some((memory.take().unwrap(), scope));
        let child = Victim::new(|| {
            drop(both.take());
            told[0].store(1, SeqCst);
        });
        child.join();
        assert_eq!(told[0].load(SeqCst), 1);
        assert!(file(name).exists() && file(block.name().unwrap()).exists());
        drop(both);
        assert!(!file(name).exists() && !file(block.name().unwrap()).exists());

        let memory = SharedMemory::create(name, 100).unwrap();
        let child = Victim::new(|| sleep_for_ever());
        drop(memory);
        let kept = sweep_prefix(name).unwrap().kept;
        assert_eq!(kept, [(name.clone(), Kept::InUse)]);
        child.kill();
        assert_eq!(sweep_prefix(name).unwrap().removed, [&**name]);
    });
}

/// M37: a handle goes to a worker of a pool as part of an argument.
#[test]
fn a_worker_gets_memory_by_its_name() {
    let _turn = alone();
    watchdog(LIMIT, "pool", || {
        let scope = ShmScope::new();
        let memory = scope.create_unique(800).unwrap();
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let sent: SharedMemory =
            postcard::from_bytes(&postcard::to_stdvec(&*memory).unwrap()).unwrap();
        let square = |(memory, n): (SharedMemory, u64)| {
            memory
                .slice_of::<u64>(..)
                .unwrap()
                .set(n as usize, n * n)
                .unwrap();
            std::process::id()
        };
        let worker = pool.submit(square, (sent, 9)).unwrap().result().unwrap();
        assert_ne!(worker, std::process::id());
        assert_eq!(memory.slice_of::<u64>(..).unwrap().get(9), Some(81));
        drop(scope);
        // The name that it would be opened by is gone.
        let bytes = postcard::to_stdvec(&*memory).unwrap();
        assert!(postcard::from_bytes::<SharedMemory>(&bytes).is_err());
    });
}

/// Kills a child before and after each system call of `work`, one child a place, and calls `look` after each. What
/// others can see of these operations changes in system calls, and nowhere between them.
fn at_each_system_call<P>(prepare: impl Fn() -> P, work: impl Fn(P), mut look: impl FnMut()) {
    let mut places = 0;
    while let Some(victim) = stopped_at(places, &prepare, &work) {
        victim.kill();
        look();
        places += 1;
    }
    look();
    assert!(places >= 4, "{places} places are no operation");
}

/// Stops a child before and after each system call of `work`, one child a place; lets `meanwhile` happen, or begin if it
/// has to wait for the child; then the child goes on to its end. `look` gets the child, which may have ended.
fn amid_each_system_call<P>(
    prepare: impl Fn() -> P,
    work: impl Fn(P),
    meanwhile: impl Fn() + Sync,
    mut look: impl FnMut(Victim),
) {
    let mut places = 0;
    while let Some(victim) = stopped_at(places, &prepare, &work) {
        thread::scope(|scope| {
            let others = scope.spawn(&meanwhile);
            let began = Instant::now();
            while !others.is_finished() && began.elapsed() < Duration::from_millis(30) {
                thread::yield_now();
            }
            // SAFETY: the victim is our stopped tracee.
            assert_eq!(
                unsafe { libc::ptrace(libc::PTRACE_DETACH, victim.pid, 0, 0) },
                0
            );
        });
        look(victim);
        places += 1;
    }
    assert!(places >= 4, "{places} places are no operation");
}

/// Runs both in a child and stops it at the begin or end of a system call of `work`, after so many of these; `None` if
/// there are not so many.
fn stopped_at<P>(stops: usize, prepare: impl Fn() -> P, work: impl Fn(P)) -> Option<Victim> {
    let victim = Victim::new(|| {
        let prepared = prepare();
        // SAFETY: plain system calls; the stop hands this process over to the tracer.
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        work(prepared);
        // SAFETY: ends the child, before it does anything else that could be stopped.
        unsafe { libc::_exit(0) };
    });
    assert!(libc::WIFSTOPPED(victim.wait()));
    for _ in 0..stops {
        // SAFETY: the victim is our stopped tracee.
        assert_eq!(
            unsafe { libc::ptrace(libc::PTRACE_SYSCALL, victim.pid, 0, 0) },
            0
        );
        let status = victim.wait();
        if libc::WIFEXITED(status) {
            assert_eq!(libc::WEXITSTATUS(status), 0, "the victim failed");
            victim.reaped();
            return None;
        }
        assert!(
            libc::WIFSTOPPED(status),
            "the victim ended early: {status:#x}"
        );
    }
    Some(victim)
}

/// M27, S21: a creator is killed at any point; the name leads to all of it or to nothing, and others make it.
#[test]
fn a_creator_is_killed_at_any_point() {
    let _turn = alone();
    watchdog(LIMIT, "creator stepped", || {
        const LEN: usize = 4_099;
        for owned in [false, true] {
            let name = &name("stepped");
            let options = &SharedMemory::options().unlink_on_drop(owned);
            let (mut dead, mut late) = (0, 0);
            at_each_system_call(
                || (),
                |()| {
                    std::mem::forget(options.open_or_create_with(name, LEN, |bytes| bytes.fill(5)))
                },
                || {
                    dead += drafts_of(LEN as u64);
                    late += u32::from(file(name).exists());
                    let plain = SharedMemory::options();
                    let (memory, took) =
                        timed(|| plain.open_or_create_with(name, LEN, |bytes| bytes.fill(6)));
                    let memory = memory.unwrap();
                    assert!(took < Duration::from_secs(1), "{took:?}");
                    let bytes = memory.slice_of::<u8>(..).unwrap();
                    let first = bytes.get(0).unwrap();
                    assert_eq!(first == 6, memory.is_creator());
                    assert!(first == 6 || first == 5 && !owned);
                    assert!(bytes.iter().all(|byte| byte == first));
                    memory.unlink().unwrap();
                    drop(memory);
                    sweep_prefix("latchwork+").unwrap();
                    assert_eq!(drafts_of(LEN as u64), 0);
                },
            );
            assert!(
                dead > 0 && late > 0,
                "killed {dead} times before the name was there, {late} after"
            );
        }
    });
}

/// M33: who unlinks is killed at any point; somebody else can unlink, or finds that it was done.
#[test]
fn an_unlinker_is_killed_at_any_point() {
    let _turn = alone();
    watchdog(LIMIT, "unlinker stepped", || {
        let name = &name("unlinker");
        let memory = Mutex::new(SharedMemory::create(name, 10).unwrap());
        let (mut done, mut undone) = (0, 0);
        at_each_system_call(
            || SharedMemory::open(name).unwrap(),
            |other| {
                other.unlink().unwrap();
                std::mem::forget(other);
            },
            || {
                let mut memory = memory.lock().unwrap();
                let (outcome, took) = timed(|| memory.unlink());
                assert!(took < Duration::from_secs(1), "{took:?}");
                match outcome {
                    Ok(()) => undone += 1,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::NotFound);
                        done += 1;
                    }
                }
                assert!(!file(name).exists());
                *memory = SharedMemory::create(name, 10).unwrap();
            },
        );
        assert!(done > 0 && undone > 0, "{done} {undone}");
        memory.lock().unwrap().unlink().unwrap();
    });
}

/// M36: who sweeps is killed at any point; others sweep, and open, as if nothing had been.
#[test]
fn a_sweeper_is_killed_at_any_point() {
    let _turn = alone();
    watchdog(LIMIT, "sweeper stepped", || {
        let name = &name("sweeper");
        let make = || drop(SharedMemory::create(name, 10).unwrap());
        make();
        let (mut done, mut undone) = (0, 0);
        at_each_system_call(
            || (),
            |()| drop(sweep_prefix(name).unwrap()),
            || {
                if file(name).exists() {
                    undone += 1;
                    let (memory, took) = timed(|| SharedMemory::open(name));
                    drop(memory.unwrap());
                    assert!(took < Duration::from_secs(1), "{took:?}");
                    assert_eq!(sweep_prefix(name).unwrap().removed, [&**name]);
                } else {
                    done += 1;
                }
                make();
            },
        );
        assert!(done > 0 && undone > 0, "{done} {undone}");
        sweep_prefix(name).unwrap();
    });
}

/// M33: two unlink the same memory, in any order of their steps, and a third makes new memory: the new name stays.
#[test]
fn an_unlink_amid_another_spares_what_comes_after() {
    let _turn = alone();
    watchdog(LIMIT, "unlinks interleaved", || {
        let name = &name("unlinks");
        let memory = Mutex::new(SharedMemory::create(name, 10).unwrap());
        let both = AtomicU32::new(0);
        let told = scratch();
        let unlinked = &cells(&told)[0];
        amid_each_system_call(
            || SharedMemory::open(name).unwrap(),
            |other| unlinked.store(u64::from(other.unlink().is_ok()), SeqCst),
            || {
                let mut memory = memory.lock().unwrap();
                both.fetch_add(u32::from(memory.unlink().is_ok()), SeqCst);
                *memory = SharedMemory::create(name, 10).unwrap();
            },
            |victim| {
                victim.join();
                let made = both.swap(0, SeqCst) + unlinked.load(SeqCst) as u32;
                assert_eq!(made, 1, "unlinked twice, or never");
                assert!(file(name).exists(), "what came after was unlinked");
            },
        );
        // The last one was not disturbed.
        assert_eq!(unlinked.load(SeqCst), 1);
        assert!(!file(name).exists());
    });
}

/// M27, M36: a sweep at any step of a creation, that of an unfinished file with no user among them, does not end it.
#[test]
fn a_sweep_amid_a_creation_spares_it() {
    let _turn = alone();
    watchdog(LIMIT, "creation swept", || {
        let name = &name("swept");
        let swept = AtomicU32::new(0);
        amid_each_system_call(
            || (),
            |()| drop(SharedMemory::create(name, 10).unwrap()),
            || {
                let removed = sweep_prefix("latchwork+").unwrap().removed;
                swept.fetch_add(removed.len() as u32, SeqCst);
            },
            |victim| {
                victim.join();
                SharedMemory::open(name).unwrap().unlink().unwrap();
            },
        );
        assert!(swept.load(SeqCst) > 0, "it was never swept away");
        SharedMemory::open(name).unwrap().unlink().unwrap();
    });
}

/// M36: a name comes to mean other memory, in use, at any step of a sweep: it stays.
#[test]
fn a_name_that_changes_hands_amid_a_sweep_stays() {
    let _turn = alone();
    watchdog(LIMIT, "sweep interleaved", || {
        let name = &name("hands");
        drop(SharedMemory::create(name, 10).unwrap());
        let memory = Mutex::new(None);
        amid_each_system_call(
            || (),
            |()| drop(sweep_prefix(name).unwrap()),
            || {
                let unlinked = SharedMemory::open(name).and_then(|old| old.unlink());
                assert!(unlinked.is_ok() || !file(name).exists());
                *memory.lock().unwrap() = Some(SharedMemory::create(name, 10).unwrap());
            },
            |victim| {
                victim.join();
                assert!(file(name).exists(), "memory in use was swept");
                // The next one finds it without a user.
                memory.lock().unwrap().take();
            },
        );
        sweep_prefix(name).unwrap();
    });
}

/// M27: a name comes to mean other memory at any step of an open: what is mapped is one or the other, and in use.
#[test]
fn a_name_that_changes_hands_amid_an_open_is_in_use() {
    let _turn = alone();
    watchdog(LIMIT, "open interleaved", || {
        let name = &name("opened");
        let token = |memory: &SharedMemory| cells(memory)[0].load(SeqCst);
        let create = |token| {
            let memory = SharedMemory::create(name, 8).unwrap();
            cells(&memory)[0].store(token, SeqCst);
            memory
        };
        let memory = Mutex::new(Some(create(1)));
        let told = scratch();
        let told = cells(&told);
        let found_new = AtomicU32::new(0);
        amid_each_system_call(
            || told[..2].iter().for_each(|cell| cell.store(0, SeqCst)),
            |()| {
                let memory = SharedMemory::open(name).unwrap();
                told[0].store(token(&memory), SeqCst);
                // Traced, this is the end; else the test looks while the memory is mapped.
                if told[1].swap(0, SeqCst) == 1 {
                    sleep_for_ever();
                }
            },
            || {
                let mut memory = memory.lock().unwrap();
                memory.take().unwrap().unlink().unwrap();
                *memory = Some(create(2));
                told[1].store(1, SeqCst);
            },
            |victim| {
                wait_until(|| told[0].load(SeqCst) != 0);
                let mut memory = memory.lock().unwrap();
                drop(memory.take());
                let swept = sweep_prefix(name).unwrap();
                if told[0].load(SeqCst) == 2 {
                    found_new.fetch_add(1, SeqCst);
                    assert_eq!(swept.kept, [(name.clone(), Kept::InUse)]);
                    SharedMemory::open(name).unwrap().unlink().unwrap();
                }
                victim.kill();
                *memory = Some(create(1));
            },
        );
        assert!(found_new.load(SeqCst) > 0);
        memory.lock().unwrap().take().unwrap().unlink().unwrap();
    });
}

/// M36: who is stopped while it takes a name away delays others, and for so long only.
#[test]
fn a_stopped_sweeper_is_an_error_and_no_hang() {
    let _turn = alone();
    watchdog(LIMIT, "sweeper stopped", || {
        let name = &name("stopped");
        drop(SharedMemory::create(name, 10).unwrap());
        let told = scratch();
        let told = cells(&told);
        // Where a sweep is when it has claimed the memory and not removed it yet.
        let sweeper = Victim::new(|| {
            let fd = fs::File::open(file(name)).unwrap();
            fd.try_lock().unwrap();
            told[0].store(1, SeqCst);
            sleep_for_ever()
        });
        wait_until(|| told[0].load(SeqCst) == 1);
        sweeper.signal(libc::SIGSTOP);
        let error = SharedMemory::open(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        let kept = sweep_prefix(name).unwrap().kept;
        assert_eq!(kept, [(name.clone(), Kept::InUse)]);
        sweeper.kill();
        SharedMemory::open(name).unwrap().unlink().unwrap();
    });
}

/// M27: memory that is longer than this process's files may be is an error, not the signal of that limit.
#[test]
fn a_limit_on_files_is_an_error_and_no_signal() {
    let _turn = alone();
    watchdog(LIMIT, "file size limit", || {
        let name = &name("limit");
        let limited = Victim::new(|| {
            let limit = libc::rlimit {
                rlim_cur: 1 << 16,
                rlim_max: 1 << 16,
            };
            // SAFETY: reads the limit, which lives through the call.
            assert_eq!(
                unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) },
                0
            );
            for outcome in [
                SharedMemory::create(name, 1 << 20),
                SharedMemory::anonymous(1 << 20),
            ] {
                assert_eq!(outcome.unwrap_err().kind(), ErrorKind::FileTooLarge);
            }
            SharedMemory::create(name, 1000).unwrap().unlink().unwrap();
        });
        limited.join();
        assert!(!file(name).exists());
    });
}

/// M33, M52: who cannot have memory as asked for does not end its name.
#[test]
fn memory_that_cannot_be_locked_keeps_its_name() {
    let _turn = alone();
    watchdog(LIMIT, "memory lock limit", || {
        let name = &name("locked");
        let made = SharedMemory::create(name, 100).unwrap();
        let limited = Victim::new(|| {
            let none = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            // SAFETY: reads the limit, which lives through the call.
            let limited = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const none) };
            assert_eq!(limited, 0);
            // A privilege that goes beyond the limit is given up: no process then has any.
            let header = [0x2008_0522_u32, 0];
            let nothing = [0_u32; 6];
            // SAFETY: reads both, which are as long as that version of the call wants.
            let dropped =
                unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const nothing) };
            assert_eq!(dropped, 0);
            let options = SharedMemory::options()
                .lock_in_memory(true)
                .unlink_on_drop(true);
            let refused = options.open(name).unwrap_err().kind();
            assert!(
                matches!(
                    refused,
                    ErrorKind::OutOfMemory | ErrorKind::PermissionDenied
                ),
                "{refused}"
            );
        });
        limited.join();
        assert!(file(name).exists());
        made.unlink().unwrap();
    });
}

/// M32: after all of that, no descriptor is left, here or in anybody's way.
#[test]
fn descriptors_are_closed() {
    let _turn = alone();
    let before = open_descriptors();
    for _ in 0..20 {
        let name = name("descriptors");
        let made = SharedMemory::create(&name, 10).unwrap();
        let opened = SharedMemory::open(&name).unwrap();
        let anonymous = SharedMemory::anonymous(10).unwrap();
        assert!(SharedMemory::create(&name, 10).is_err());
        opened.unlink().unwrap();
        drop((made, opened, anonymous));
    }
    assert_eq!(open_descriptors(), before);
}
