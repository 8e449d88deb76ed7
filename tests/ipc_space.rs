//! Spaces: locks, values and events that processes find by name.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;
#[path = "kill/victim.rs"]
mod victim;

use common::watchdog;
use latchwork::ipc::{LockError, Space};
use latchwork::shm::{Kept, SharedMemory, sweep_prefix};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use victim::{Victim, sleep_for_ever, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// A forked child has whatever its parent has open, and is a user of it: no two tests at one time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name of a space that no other test has. The file goes with this, however the test ends.
struct Name(String);

impl Name {
    fn new(what: &str) -> Name {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, SeqCst);
        Name(format!("space-{}-{count}-{what}", std::process::id()))
    }

    fn file(&self) -> PathBuf {
        Path::new("/dev/shm").join(format!("latchwork@{}", self.0))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.file());
    }
}

#[track_caller]
fn fails<T>(result: io::Result<T>, kind: ErrorKind) {
    match result {
        Ok(_) => panic!("went well instead of {kind}"),
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
    }
}

/// S19, S20: a name leads to one object, whoever asks first, and to no object of another kind.
#[test]
fn names_lead_to_objects() {
    let _turn = alone();
    let name = Name::new("names");
    fails(Space::open(&name.0), ErrorKind::NotFound);
    let space = Space::open_or_create(&name.0).unwrap();
    let again = Space::open(&name.0).unwrap();
    assert!(format!("{again:?}").contains(&name.0));
    let hits = space.value("hits", 5_u64).unwrap();
    hits.update(|n| *n += 1).unwrap();
    assert_eq!(again.value("hits", 0_u64).unwrap().get().unwrap(), 6);
    let lock = space.lock("lock").unwrap();
    let guard = lock.lock().unwrap();
    assert!(again.lock("lock").unwrap().try_lock().unwrap().is_none());
    assert!(again.lock("other").unwrap().try_lock().unwrap().is_some());
    drop(guard);
    space.event("go").unwrap().set().unwrap();
    assert!(again.event("go").unwrap().is_set().unwrap());
    // The handles' end is not the object's.
    drop(hits);
    assert_eq!(space.value("hits", 0_u64).unwrap().get().unwrap(), 6);
    fails(space.lock("hits"), ErrorKind::InvalidInput);
    fails(space.value("lock", ()), ErrorKind::InvalidInput);
    fails(space.value("hits", 0_u32), ErrorKind::InvalidInput);
    fails(space.value("hits", [0_u8; 8]), ErrorKind::InvalidInput);
    fails(space.event("hits"), ErrorKind::InvalidInput);
    let long = "x".repeat(65);
    for bad in ["", &long] {
        fails(space.lock(bad), ErrorKind::InvalidInput);
    }
    space.lock(&long[1..]).unwrap();
    for bad in ["", "a/b", "a\0b", &"n".repeat(246)] {
        fails(Space::open(bad), ErrorKind::InvalidInput);
        fails(Space::open_or_create(bad), ErrorKind::InvalidInput);
    }
    fails(SharedMemory::open(&name.0), ErrorKind::NotFound);
}

/// S19, S20: there is one of each kind, with what it is opened by.
#[test]
fn every_kind_of_object_has_names() {
    let _turn = alone();
    watchdog(LIMIT, "kinds", || {
        let name = Name::new("kinds");
        let space = Space::open_or_create(&name.0).unwrap();
        let told = SharedMemory::anonymous(8).unwrap();
        let told: &AtomicU64 = told.slice_of::<u64>(..).unwrap().atomic(0).unwrap();
        // Made here and opened there, by another process.
        let (rlock, rwlock) = (
            space.rlock("r").unwrap(),
            space.rwlock("rw", 4_u32).unwrap(),
        );
        let (free, bounded) = (
            space.semaphore("s", 2).unwrap(),
            space.bounded_semaphore("b", 1).unwrap(),
        );
        let held = (rlock.lock().unwrap(), rwlock.read().unwrap());
        let permits = (free.acquire().unwrap(), bounded.acquire().unwrap());
        let child = Victim::new(|| {
            let space = Space::open(&name.0).unwrap();
            assert!(space.rlock("r").unwrap().try_lock().unwrap().is_none());
            let rwlock = space.rwlock("rw", 0_u32).unwrap();
            assert_eq!(*rwlock.read().unwrap(), 4);
            assert!(rwlock.try_write().unwrap().is_none());
            let free = space.semaphore("s", 9).unwrap();
            let _one = free.try_acquire().unwrap().unwrap();
            assert!(free.try_acquire().unwrap().is_none());
            assert!(
                space
                    .bounded_semaphore("b", 1)
                    .unwrap()
                    .try_acquire()
                    .unwrap()
                    .is_none()
            );
            told.store(1, SeqCst);
            space.barrier("two", 2).unwrap().wait().unwrap();
            let lock = space.lock("l").unwrap();
            let guard = lock.lock().unwrap();
            told.store(2, SeqCst);
            space.condition("c").unwrap().notify_all().unwrap();
            drop(guard);
        });
        wait_until(|| told.load(SeqCst) == 1);
        let lock = space.lock("l").unwrap();
        let mut guard = lock.lock().unwrap();
        space.barrier("two", 2).unwrap().wait().unwrap();
        while told.load(SeqCst) != 2 {
            guard = space.condition("c").unwrap().wait(guard).unwrap();
        }
        drop((guard, held, permits));
        child.join();
        fails(space.barrier("two", 3), ErrorKind::InvalidInput);
        fails(space.bounded_semaphore("b", 2), ErrorKind::InvalidInput);
        fails(space.semaphore("b", 1), ErrorKind::InvalidInput);
        fails(space.rwlock("rw", 0_u64), ErrorKind::InvalidInput);
        fails(space.barrier("none", 0), ErrorKind::InvalidInput);
        // What could not be made has no name.
        space.lock("none").unwrap();
    });
}

/// S19, M10: an array has a name, too, and as many elements as it was made with.
#[test]
fn an_array_is_found_by_its_name() {
    let _turn = alone();
    watchdog(LIMIT, "array", || {
        let name = Name::new("array");
        let space = Space::open_or_create(&name.0).unwrap();
        let made = space.array::<u32>("a", 50_000).unwrap();
        assert_eq!(made.to_vec().unwrap(), [0; 50_000]);
        made.set(49_999, 5).unwrap();
        let child = Victim::new(|| {
            let there = Space::open(&name.0).unwrap();
            let there = there.array::<u32>("a", 50_000).unwrap();
            assert_eq!((there.len(), there.get(49_999).unwrap()), (50_000, Some(5)));
            there.set(0, 7).unwrap();
        });
        child.join();
        drop(made);
        let again = space.array::<u32>("a", 50_000).unwrap();
        assert_eq!(again.get(0).unwrap(), Some(7));
        for other in [0, 49_999, 50_001] {
            fails(space.array::<u32>("a", other), ErrorKind::InvalidInput);
        }
        fails(space.array::<u64>("a", 25_000), ErrorKind::InvalidInput);
        fails(space.array::<u8>("a", 200_000), ErrorKind::InvalidInput);
        fails(space.value("a", [0_u32; 4]), ErrorKind::InvalidInput);
        fails(
            space.array::<u64>("huge", usize::MAX),
            ErrorKind::InvalidInput,
        );
        assert!(space.array::<u8>("none", 0).unwrap().is_empty());
        assert!(space.array::<u8>("none", 0).unwrap().is_empty());
    });
}

/// S20: many names, over several pages of the directory, big values among them.
#[test]
fn a_directory_grows() {
    let _turn = alone();
    let name = Name::new("grows");
    let space = Space::open_or_create(&name.0).unwrap();
    for n in 0..150_u64 {
        space.value(&format!("value {n}"), [n; 20]).unwrap();
    }
    let big = space.value("big", [7_u64; 50_000]).unwrap();
    assert_eq!(big.lock().unwrap()[49_999], 7);
    for n in 0..150_u64 {
        let value = space.value(&format!("value {n}"), [0_u64; 20]).unwrap();
        assert_eq!(value.get().unwrap(), [n; 20]);
    }
    // What is not used takes no memory, however long the file seems.
    let file = fs::metadata(name.file()).unwrap();
    assert!(file.blocks() * 512 < 4 << 20, "{} blocks", file.blocks());
}

/// S20: the name goes once, the space stays with those who have it, and the next of that name is another.
#[test]
fn a_space_outlives_its_name() {
    let _turn = alone();
    let name = Name::new("unlink");
    let old = Space::open_or_create(&name.0).unwrap();
    let value = old.value("v", 1_u64).unwrap();
    old.unlink().unwrap();
    fails(old.unlink(), ErrorKind::NotFound);
    fails(Space::open(&name.0), ErrorKind::NotFound);
    let new = Space::open_or_create(&name.0).unwrap();
    fails(old.unlink(), ErrorKind::NotFound);
    assert!(name.file().exists());
    assert_eq!(new.value("v", 2_u64).unwrap().get().unwrap(), 2);
    assert_eq!(value.get().unwrap(), 1);
    assert_eq!(old.value("v", 0_u64).unwrap().get().unwrap(), 1);
    // A handle travels within the space.
    let bytes = postcard::to_stdvec(&value).unwrap();
    let there: latchwork::ipc::Value<u64> = postcard::from_bytes(&bytes).unwrap();
    there.set(9).unwrap();
    assert_eq!(value.get().unwrap(), 9);
    new.unlink().unwrap();
}

/// The other program of the next test.
#[test]
#[ignore = "run by programs_that_know_a_name_share"]
fn a_stranger() {
    let space = std::env::var("LATCHWORK_TEST_SPACE").expect("started by the next test");
    let space = Space::open(&space).unwrap();
    count(space);
    space.event("counted").unwrap().set().unwrap();
}

fn count(space: Space) {
    let pair = space.value("pair", [0_u64; 2]).unwrap();
    for _ in 0..2000 {
        pair.update(|pair| {
            assert_eq!(pair[0], pair[1]);
            pair[0] += 1;
            pair[1] += 1;
        })
        .unwrap();
    }
}

/// S19: programs that have nothing in common but a name exclude, count and wake each other.
#[test]
fn programs_that_know_a_name_share() {
    let _turn = alone();
    watchdog(LIMIT, "strangers", || {
        let name = Name::new("strangers");
        let space = Space::open_or_create(&name.0).unwrap();
        let mut stranger = Command::new(std::env::current_exe().unwrap());
        stranger.args(["a_stranger", "--exact", "--ignored"]);
        let mut stranger = stranger
            .env("LATCHWORK_TEST_SPACE", &name.0)
            .spawn()
            .unwrap();
        count(space);
        space.event("counted").unwrap().wait().unwrap();
        assert!(stranger.wait().unwrap().success());
        let pair = space.value("pair", [0_u64; 2]).unwrap();
        assert_eq!(pair.get().unwrap(), [4000; 2]);
    });
}

/// What the program of the next test becomes.
#[test]
#[ignore = "run by a_program_that_replaces_itself_is_another"]
fn a_successor() {
    let space = std::env::var("LATCHWORK_TEST_SPACE").expect("started by the next test");
    let space = Space::open(&space).unwrap();
    let lock = space.lock("l").unwrap();
    let died = lock.lock_within(Duration::from_secs(10)).unwrap_err();
    assert!(matches!(died, LockError::OwnerDied(_)), "{died}");
    // Now others are not held up, either.
    space.event("there").unwrap().set().unwrap();
    space.event("end").unwrap().wait().unwrap();
}

/// S19: a process that executes another program has none of the locks that it had, although it has the same
/// pid and opens the same space.
#[test]
fn a_program_that_replaces_itself_is_another() {
    let _turn = alone();
    watchdog(LIMIT, "successor", || {
        let name = Name::new("successor");
        let space = Space::open_or_create(&name.0).unwrap();
        let other = space.lock("other").unwrap();
        let child = Victim::new(|| {
            let locks = (space.lock("l").unwrap(), space.lock("other").unwrap());
            let _held = (locks.0.lock().unwrap(), locks.1.lock().unwrap());
            let mut successor = Command::new(std::env::current_exe().unwrap());
            successor.args(["a_successor", "--exact", "--ignored"]);
            successor.env("LATCHWORK_TEST_SPACE", &name.0);
            panic!(
                "{}",
                std::os::unix::process::CommandExt::exec(&mut successor)
            );
        });
        let there = space.event("there").unwrap();
        wait_until(|| there.is_set().unwrap() || child.has_ended());
        let died = other.lock_within(Duration::from_secs(10)).unwrap_err();
        assert!(matches!(died, LockError::OwnerDied(_)), "{died}");
        space.event("end").unwrap().set().unwrap();
        child.join();
    });
}

/// S19, S21: many processes make a space and an object in it at once, and some are killed at it; all others have the same.
#[test]
fn one_process_makes_what_all_have() {
    let _turn = alone();
    watchdog(LIMIT, "space races", || {
        let told = SharedMemory::anonymous(64).unwrap();
        let told = told.slice_of::<u64>(..).unwrap().atomics();
        for round in 0..25_u64 {
            let name = &Name::new("race");
            told.iter().for_each(|cell| cell.store(0, SeqCst));
            let go = &told[0];
            let work = |index: usize| {
                while go.load(SeqCst) == 0 {
                    thread::yield_now();
                }
                let space = Space::open_or_create(&name.0).unwrap();
                let value = space.value("n", 1000_u64).unwrap();
                match value.update(|n| *n += 1) {
                    Ok(()) => {}
                    // Killed in the middle of it: it has added one, or it has not.
                    Err(LockError::OwnerDied(mut guard)) => {
                        guard.mark_consistent();
                        *guard += 1;
                    }
                    Err(other) => panic!("{other}"),
                }
                told[index].store(1, SeqCst);
                wait_until(|| go.load(SeqCst) == 2);
            };
            let mut victims: Vec<_> = (1..=5).map(|index| Victim::new(|| work(index))).collect();
            go.store(1, SeqCst);
            for index in [1, 0] {
                thread::sleep(Duration::from_micros(round * 37 % 1500));
                victims.remove(index).kill();
            }
            wait_until(|| (3..=5).all(|index| told[index].load(SeqCst) == 1));
            let space = Space::open(&name.0).unwrap();
            let value = space.value("n", 0_u64).unwrap();
            let n = match value.get() {
                Err(LockError::OwnerDied(guard)) => *guard,
                other => other.unwrap(),
            };
            assert!((1003..=1005).contains(&n), "{n}");
            go.store(2, SeqCst);
            victims.into_iter().for_each(Victim::join);
            space.unlink().unwrap();
        }
        // What the killed ones had not finished.
        sweep_prefix("latchwork+").unwrap();
    });
}

/// S19: a process that is killed with a named lock leaves it to the next one, who is told; a space that nobody has is swept.
#[test]
fn a_lock_of_the_dead_passes_on_and_a_space_of_the_dead_is_swept() {
    let _turn = alone();
    watchdog(LIMIT, "named lock", || {
        let name = &Name::new("dead");
        let told = SharedMemory::anonymous(8).unwrap();
        let told: &AtomicU64 = told.slice_of::<u64>(..).unwrap().atomic(0).unwrap();
        let victim = Victim::new(|| {
            let space = Space::open_or_create(&name.0).unwrap();
            let lock = space.lock("jobs").unwrap();
            let _guard = lock.lock().unwrap();
            told.store(1, SeqCst);
            sleep_for_ever()
        });
        wait_until(|| told.load(SeqCst) == 1);
        // As if for another program: opened in a child, so that this process stays none of its users.
        let other = Victim::new(|| {
            let space = Space::open(&name.0).unwrap();
            let lock = space.lock("jobs").unwrap();
            assert!(lock.try_lock().unwrap().is_none());
            told.store(2, SeqCst);
            let Err(LockError::OwnerDied(mut guard)) = lock.lock() else {
                panic!("the death went unnoticed");
            };
            guard.mark_consistent();
        });
        wait_until(|| told.load(SeqCst) == 2);
        let kept = sweep_prefix(&name.0).unwrap().kept;
        assert_eq!(kept, [(format!("latchwork@{}", name.0), Kept::InUse)]);
        victim.kill();
        other.join();
        let removed = sweep_prefix(&name.0).unwrap().removed;
        assert_eq!(removed, [format!("latchwork@{}", name.0)]);
    });
}

/// How many record locks there are on a file.
fn record_locks(inode: u64) -> usize {
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let ours = |line: &&str| line.contains("POSIX") && line.contains(&format!(":{inode} "));
    locks.lines().filter(ours).count()
}

/// S20: a sweep does not cost this process its place in its own space.
#[test]
fn a_sweep_leaves_the_record_lock_alone() {
    let _turn = alone();
    let name = Name::new("sweep");
    let space = Space::open_or_create(&name.0).unwrap();
    let lock = space.lock("l").unwrap();
    let _guard = lock.lock().unwrap();
    let inode = fs::metadata(name.file()).unwrap().ino();
    let record_locks = || record_locks(inode);
    let descriptors = || {
        let all = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = all.filter_map(|fd| fs::read_link(fd.path()).ok());
        targets.filter(|target| *target == name.file()).count()
    };
    assert_eq!(record_locks(), 1);
    let before = descriptors();
    for _ in 0..5 {
        let kept = sweep_prefix(&name.0).unwrap().kept;
        assert_eq!(kept.len(), 1);
        Space::open(&name.0).unwrap();
        Space::open_or_create(&name.0).unwrap();
    }
    assert_eq!(record_locks(), 1);
    // Nor is it kept by never closing what was opened.
    assert_eq!((descriptors(), before > 0), (before, true));
    space.unlink().unwrap();
    assert_eq!(record_locks(), 1);
}

/// S20: nor does taking the name away, also where the numbers of the standard streams are free.
#[test]
fn an_unlink_without_standard_streams_leaves_the_record_lock_alone() {
    let _turn = alone();
    watchdog(LIMIT, "no streams", || {
        let name = Name::new("streams");
        let child = Victim::new(|| {
            let space = Space::open_or_create(&name.0).unwrap();
            let inode = fs::metadata(name.file()).unwrap().ino();
            let lock = space.lock("l").unwrap();
            let _guard = lock.lock().unwrap();
            // SAFETY: nobody here reads from it.
            assert_eq!(unsafe { libc::close(0) }, 0);
            space.unlink().unwrap();
            assert_eq!(record_locks(inode), 1);
        });
        child.join();
    });
}

/// S19: a forked child has a name of its own in the space: not its parent's locks, and not its parent's life.
#[test]
fn a_forked_child_is_another_participant() {
    let _turn = alone();
    watchdog(LIMIT, "space and fork", || {
        let name = Name::new("fork");
        let space = Space::open_or_create(&name.0).unwrap();
        let lock = space.lock("l").unwrap();
        let mut guard = Some(lock.lock().unwrap());
        let child = Victim::new(|| {
            assert!(lock.try_lock().unwrap().is_none());
            drop(guard.take());
            assert!(
                lock.try_lock().unwrap().is_none(),
                "the child unlocked for its parent"
            );
            drop(space.value("of the child", 3_u8).unwrap().lock().unwrap());
            let of_the_child = space.lock("m").unwrap();
            // Ends with it.
            std::mem::forget(of_the_child.lock().unwrap());
        });
        child.join();
        assert!(lock.is_locked());
        assert_eq!(space.value("of the child", 0_u8).unwrap().get().unwrap(), 3);
        let of_the_child = space.lock("m").unwrap();
        assert!(matches!(of_the_child.lock(), Err(LockError::OwnerDied(_))));
    });
}

/// S19: whoever names an object is killed at any instruction of it; the others can name it, and all that was named before
/// is there.
#[cfg(feature = "testing")]
#[test]
fn a_namer_is_killed_at_any_instruction() {
    use latchwork::testing::{Fate, killed_after, timed};
    let _turn = alone();
    watchdog(LIMIT, "namer stepped", || {
        let name = Name::new("stepped");
        let space = Space::open_or_create(&name.0).unwrap();
        space.value("first", 1_u64).unwrap();
        let (mut steps, mut killed, mut named) = (1500, 0, 0);
        for round in 0_u64.. {
            let object = &format!("object {round}");
            // SAFETY: operations on shared memory, system calls, and memory of its own.
            let fate = unsafe {
                killed_after(
                    steps,
                    || assert_eq!(space.value("first", 0_u64).unwrap().get().unwrap(), 1),
                    |()| drop(space.value(object, [5_u64; 6]).unwrap()),
                )
            };
            let (value, took) = timed(|| space.value(object, [6_u64; 6]));
            assert!(took < Duration::from_secs(1), "{took:?}");
            let value = value.unwrap().get().unwrap();
            assert!(value == [5; 6] || value == [6; 6], "{value:?}");
            assert_eq!(space.value("first", 0_u64).unwrap().get().unwrap(), 1);
            named += u32::from(value == [5; 6]);
            match fate.unwrap() {
                Fate::Finished => break,
                _ => killed += 1,
            }
            steps += steps / 2 + round as usize;
        }
        assert!(killed > 4, "{killed}");
        assert!(named > 0);
        for round in 0..killed {
            space.value(&format!("object {round}"), [0_u64; 6]).unwrap();
        }
    });
}

/// S20: what is no space, or somebody else's, is refused.
#[test]
fn a_file_that_only_looks_like_a_space_is_refused() {
    let _turn = alone();
    let sound = Name::new("sound");
    let space = Space::open_or_create(&sound.0).unwrap();
    space.lock("l").unwrap();
    let fake = Name::new("fake");
    let beginning = {
        // Not through this process's descriptors, whose closing would cost it its locks.
        let copy = Command::new("head")
            .args(["-c", "200000"])
            .arg(sound.file())
            .output();
        copy.unwrap().stdout
    };
    let len = fs::metadata(sound.file()).unwrap().len();
    let write = |bytes: &[u8], len: u64| {
        fs::write(fake.file(), bytes).unwrap();
        let file = fs::OpenOptions::new()
            .write(true)
            .open(fake.file())
            .unwrap();
        file.set_len(len).unwrap();
        fs::set_permissions(fake.file(), PermissionsExt::from_mode(0o600)).unwrap();
    };
    let refused = || {
        fails(Space::open(&fake.0), ErrorKind::InvalidData);
        fails(Space::open_or_create(&fake.0), ErrorKind::InvalidData);
    };
    write(&[], 0);
    refused();
    write(&beginning[..100], 100);
    refused();
    write(&beginning, beginning.len() as u64);
    refused();
    // Each part once: ours, the cell, the roster, the arena; and the length.
    for at in [0, 4096, 8192, 128 << 10] {
        let mut bytes = beginning.clone();
        bytes[at] ^= 1;
        write(&bytes, len);
        refused();
    }
    write(&beginning, len + 4096);
    refused();
    write(&beginning, len);
    fs::set_permissions(fake.file(), PermissionsExt::from_mode(0o666)).unwrap();
    fails(Space::open(&fake.0), ErrorKind::PermissionDenied);
    // A directory that leads nowhere is an error, and none that leads in circles is followed for ever.
    fs::remove_file(fake.file()).unwrap();
    let mut bytes = beginning.clone();
    bytes[4096 + 64..4096 + 72].fill(0xEE);
    // The arena's identity, so that it is no copy of the sound one.
    bytes[(128 << 10) + 24] ^= 1;
    write(&bytes, len);
    let corrupt = Space::open(&fake.0).unwrap();
    fails(corrupt.lock("l"), ErrorKind::InvalidData);
}

/// S20: a copy of a space's file claims to be that space. Who has that open keeps to it.
#[test]
fn a_copy_of_an_open_space_is_refused() {
    let _turn = alone();
    let name = Name::new("original");
    let space = Space::open_or_create(&name.0).unwrap();
    space.value("v", 1_u64).unwrap();
    let copy = Name::new("copy");
    // Not through this process's descriptors, whose closing would cost it its locks.
    let mut copying = Command::new("cp");
    copying
        .arg("--sparse=always")
        .args([name.file(), copy.file()]);
    assert!(copying.status().unwrap().success());
    fs::set_permissions(copy.file(), PermissionsExt::from_mode(0o600)).unwrap();
    fails(Space::open(&copy.0), ErrorKind::InvalidData);
    fails(Space::open_or_create(&copy.0), ErrorKind::InvalidData);
    space.value("v", 0_u64).unwrap().set(2).unwrap();
    // For others it is a space like any.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["one_is_there", "--exact", "--ignored"])
        .env("LATCHWORK_TEST_SPACE", &copy.0)
        .status();
    assert!(child.unwrap().success());
}

/// The other program of the test before.
#[test]
#[ignore = "run by a_copy_of_an_open_space_is_refused"]
fn one_is_there() {
    let space = std::env::var("LATCHWORK_TEST_SPACE").expect("started by the test before");
    let value = Space::open(&space).unwrap().value("v", 0_u64).unwrap();
    assert_eq!(value.get().unwrap(), 1);
}

#[test]
fn spaces_cross_threads() {
    fn crosses<T: Send + Sync + Copy>() {}
    crosses::<Space>();
}
