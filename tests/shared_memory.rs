//! Shared memory by name and by descriptor, between handles of one process; tests/shared_memory_kill.rs is
//! between processes.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;

use common::watchdog;
use latchwork::ipc::Misfit;
use latchwork::shm::{Kept, SharedMemory, ShmScope, ViewError, sweep, sweep_prefix};
use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// A name that no other test has, here or in another run.
fn name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{count}-{what}", std::process::id())
}

fn file(name: &str) -> PathBuf {
    Path::new("/dev/shm").join(format!("latchwork-{name}"))
}

/// Takes a name away when a test is over, however it ends.
struct Unlinked(PathBuf);

impl Drop for Unlinked {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[track_caller]
fn fails<T>(result: io::Result<T>, kind: ErrorKind) {
    match result {
        Ok(_) => panic!("went well instead of {kind}"),
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
    }
}

/// M27, M29, M31, M38: who creates and who opens have the same bytes, as many as were asked for.
#[test]
fn a_name_leads_to_the_same_bytes() {
    let name = name("same");
    let made = SharedMemory::options()
        .unlink_on_drop(true)
        .create(&name, 5000)
        .unwrap();
    let opened = SharedMemory::open(&name).unwrap();
    assert_eq!((made.len(), opened.len()), (5000, 5000));
    assert_eq!(opened.name(), Some(&*name));
    assert!(made.is_creator() && !opened.is_creator());
    assert_ne!(made.as_ptr(), opened.as_ptr());
    let (one, other) = (
        made.slice_of::<u8>(..).unwrap(),
        opened.slice_of::<u8>(..).unwrap(),
    );
    assert!(one.iter().all(|byte| byte == 0));
    one.set(4999, 7).unwrap();
    other.set(0, 8).unwrap();
    assert_eq!((one.get(0), other.get(4999)), (Some(8), Some(7)));
    // SAFETY: nobody writes meanwhile.
    assert_eq!(unsafe { opened.as_slice() }[4999], 7);
    let shown = format!("{made:?}");
    assert!(shown.contains(&name) && shown.contains("5000"), "{shown}");
    // Another program finds the bytes after a page of ours.
    let whole = fs::read(file(&name)).unwrap();
    assert_eq!((whole.len(), whole[4096], whole[4096 + 4999]), (9096, 8, 7));
}

/// M27: a length of zero, a taken name, a name that nothing has.
#[test]
fn what_cannot_be_made_or_found_is_told() {
    let name = name("errors");
    fails(SharedMemory::create(&name, 0), ErrorKind::InvalidInput);
    fails(SharedMemory::create_unique(0), ErrorKind::InvalidInput);
    fails(
        SharedMemory::open_or_create(&name, 0),
        ErrorKind::InvalidInput,
    );
    fails(SharedMemory::anonymous(0), ErrorKind::InvalidInput);
    fails(SharedMemory::open(&name), ErrorKind::NotFound);
    let made = SharedMemory::create(&name, 10).unwrap();
    let _end = Unlinked(file(&name));
    fails(SharedMemory::create(&name, 10), ErrorKind::AlreadyExists);
    fails(
        SharedMemory::open_or_create(&name, 11),
        ErrorKind::InvalidData,
    );
    assert!(
        !SharedMemory::open_or_create(&name, 10)
            .unwrap()
            .is_creator()
    );
    drop(made);
}

/// M34: what is no name.
#[test]
fn a_name_is_one_component_of_a_path() {
    let long = "n".repeat(246);
    for bad in ["", "a/b", "/a", "a\0b", "../a", &long] {
        fails(SharedMemory::create(bad, 1), ErrorKind::InvalidInput);
        fails(SharedMemory::open(bad), ErrorKind::InvalidInput);
        fails(
            SharedMemory::open_or_create(bad, 1),
            ErrorKind::InvalidInput,
        );
        fails(ShmScope::new().create(bad, 1), ErrorKind::InvalidInput);
    }
    for bad in ["", ".", "..", "a/b", "a\0b", "latchwork-x", "latchwork+x"] {
        fails(SharedMemory::open_foreign(bad), ErrorKind::InvalidInput);
    }
    // As long as it may be, and in any script.
    for good in [&*name(&"n".repeat(200)), &name("größe ✓ .. \n")] {
        let scope = ShmScope::new();
        scope.create(good, 1).unwrap();
        assert_eq!(SharedMemory::open(good).unwrap().name(), Some(good));
    }
}

/// M28, S21: random names, all different.
#[test]
fn unique_names_are_unique() {
    let scope = ShmScope::new();
    let names = (0..50).map(|_| scope.create_unique(1).unwrap().name().unwrap().to_owned());
    assert_eq!(names.collect::<HashSet<_>>().len(), 50);
    assert!(
        scope
            .blocks()
            .iter()
            .all(|block| block.name().unwrap().len() == 32)
    );
}

/// M32, M33: a handle is closed by dropping it; a name goes once, the bytes with the last who has them.
#[test]
fn the_bytes_outlive_the_name_and_the_name_the_handle() {
    let name = name("unlink");
    let made = SharedMemory::options()
        .track(false)
        .create(&name, 8)
        .unwrap();
    made.slice_of::<u64>(..).unwrap().set(0, 42).unwrap();
    drop(made);
    let again = SharedMemory::open(&name).unwrap();
    assert_eq!(again.slice_of::<u64>(..).unwrap().get(0), Some(42));
    let other = SharedMemory::open(&name).unwrap();
    again.unlink().unwrap();
    assert!(!file(&name).exists());
    fails(again.unlink(), ErrorKind::NotFound);
    fails(other.unlink(), ErrorKind::NotFound);
    fails(SharedMemory::open(&name), ErrorKind::NotFound);
    drop(again);
    assert_eq!(other.slice_of::<u64>(..).unwrap().get(0), Some(42));
    // Who still has the old memory takes no name from the new one.
    let new = SharedMemory::options()
        .unlink_on_drop(true)
        .create(&name, 8)
        .unwrap();
    fails(other.unlink(), ErrorKind::NotFound);
    assert!(file(&name).exists());
    assert_eq!(new.slice_of::<u64>(..).unwrap().get(0), Some(0));
}

/// M27: what has the name need not be memory, nor ours: the name is taken all the same.
#[test]
fn whatever_has_a_name_takes_it() {
    let name = name("taken");
    let _end = Unlinked(file(&name));
    let taken = |len| fails(SharedMemory::create(&name, len), ErrorKind::AlreadyExists);
    std::os::unix::fs::symlink("/dev/null", file(&name)).unwrap();
    taken(8);
    fs::remove_file(file(&name)).unwrap();
    fs::create_dir(file(&name)).unwrap();
    taken(8);
    fs::remove_dir(file(&name)).unwrap();
    fs::write(file(&name), "another's").unwrap();
    taken(8);
    // Found out before so much memory is looked for.
    taken(1 << 50);
    fs::remove_file(file(&name)).unwrap();
    // Memory that nobody has open is there all the same, unless it was to end with its owner.
    let memory = SharedMemory::create(&name, 8).unwrap();
    memory.slice_of::<u64>(..).unwrap().set(0, 42).unwrap();
    drop(memory);
    taken(8);
    let memory = SharedMemory::open(&name).unwrap();
    assert_eq!(memory.slice_of::<u64>(..).unwrap().get(0), Some(42));
    fails(SharedMemory::create(&name, 0), ErrorKind::InvalidInput);
}

/// M33: a name that was taken away is not there, whatever has it now.
#[test]
fn a_name_is_taken_away_once() {
    let name = name("once");
    let memory = SharedMemory::create(&name, 8).unwrap();
    memory.unlink().unwrap();
    let _end = Unlinked(file(&name));
    std::os::unix::fs::symlink("/dev/null", file(&name)).unwrap();
    fails(memory.unlink(), ErrorKind::NotFound);
    assert!(file(&name).is_symlink());
}

/// M33: threads that want the same name gone, and others that make it anew: each memory is unlinked once.
#[test]
fn an_unlink_never_hits_what_came_after() {
    watchdog(LIMIT, "unlink races", || {
        let name = &name("unlink-race");
        let (made, unlinked) = (&AtomicU32::new(0), &AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    for _ in 0..200 {
                        let memory = SharedMemory::open_or_create(name, 64).unwrap();
                        made.fetch_add(u32::from(memory.is_creator()), Ordering::SeqCst);
                        match memory.unlink() {
                            Ok(()) => {
                                unlinked.fetch_add(1, Ordering::SeqCst);
                            }
                            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
                        }
                    }
                });
            }
        });
        assert!(!file(name).exists());
        let (made, unlinked) = (made.load(Ordering::SeqCst), unlinked.load(Ordering::SeqCst));
        assert_eq!(made, unlinked);
        assert!(made >= 200, "{made}");
    });
}

/// M27, S21: of many threads that make a name at once, one does, and fills it before others see it.
#[test]
fn one_thread_makes_what_all_have() {
    watchdog(LIMIT, "open_or_create races", || {
        const LONG: u64 = 10_007;
        for round in 0..50_u64 {
            let name = &name("race");
            let _end = Unlinked(file(name));
            let handles: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..6)
                    .map(|_| {
                        scope.spawn(move || {
                            let options = SharedMemory::options();
                            let made = options.open_or_create_with(name, LONG as usize, |bytes| {
                                assert!(bytes.iter().all(|&byte| byte == 0));
                                bytes.fill(round as u8 + 1);
                            });
                            let made = made.unwrap();
                            let bytes = made.slice_of::<u8>(..).unwrap();
                            assert!(bytes.iter().all(|byte| byte == round as u8 + 1));
                            made
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            let makers = handles.iter().filter(|one| one.is_creator()).count();
            assert_eq!(makers, 1);
            handles[0].slice_of::<u8>(..).unwrap().set(9, 99).unwrap();
            for handle in &handles {
                assert_eq!(handle.slice_of::<u8>(..).unwrap().get(9), Some(99));
            }
        }
        assert_eq!(drafts_of(LONG), 0);
    });
}

/// How much unfinished memory of this length there is. Tests that ask have lengths that no other has, in another
/// program, either.
fn drafts_of(len: u64) -> usize {
    let files = fs::read_dir("/dev/shm").unwrap().flatten();
    let drafts = files.filter(|file| file.file_name().to_string_lossy().starts_with("latchwork+"));
    let metadata = drafts.filter_map(|file| file.metadata().ok());
    metadata
        .filter(|draft| draft.len().checked_sub(4096) == Some(len))
        .count()
}

/// What a panic of `fill` leaves: nothing.
#[test]
fn a_panic_while_it_is_filled_leaves_no_name() {
    let name = name("panic");
    let panicked = std::panic::catch_unwind(|| {
        SharedMemory::options().open_or_create_with(&name, 10_009, |_| panic!("on purpose"))
    });
    assert!(panicked.is_err());
    assert!(!file(&name).exists());
    assert_eq!(drafts_of(10_009), 0);
}

/// M35: the mode is what was asked for, and who opens insists on nobody else having written it.
#[test]
fn modes_are_kept_and_checked() {
    let name = name("mode");
    let mode = |name: &str| fs::metadata(file(name)).unwrap().mode() & 0o7777;
    let scope = ShmScope::new();
    scope.create(&name, 1).unwrap();
    assert_eq!(mode(&name), 0o600);
    let open_to = |bits| fs::set_permissions(file(&name), PermissionsExt::from_mode(bits)).unwrap();
    open_to(0o644);
    SharedMemory::open(&name).unwrap();
    for bits in [0o660, 0o602, 0o666] {
        open_to(bits);
        fails(SharedMemory::open(&name), ErrorKind::PermissionDenied);
        fails(
            SharedMemory::open_or_create(&name, 1),
            ErrorKind::PermissionDenied,
        );
        SharedMemory::options().mode(bits).open(&name).unwrap();
    }
    let shared = SharedMemory::options()
        .mode(0o666)
        .create_unique(1)
        .unwrap();
    let shared_name = shared.name().unwrap();
    assert_eq!(mode(shared_name), 0o666);
    fails(SharedMemory::open(shared_name), ErrorKind::PermissionDenied);
    shared.unlink().unwrap();
    // Root alone can give a file away.
    if rustix::process::geteuid().is_root() {
        open_to(0o600);
        std::os::unix::fs::chown(file(&name), Some(12345), None).unwrap();
        fails(SharedMemory::open(&name), ErrorKind::PermissionDenied);
        let swept = sweep_prefix(&name).unwrap();
        assert_eq!(swept.kept, [(name.clone(), Kept::NotOurs)]);
        std::os::unix::fs::chown(file(&name), Some(0), None).unwrap();
        SharedMemory::open(&name).unwrap();
    }
}

/// M27, M35, M36, M52: options that make no sense together, or for the call.
#[test]
fn senseless_options_are_refused() {
    let name = name("options");
    let options = SharedMemory::options;
    let refused = |result| fails(result, ErrorKind::InvalidInput);
    refused(options().mode(0o600).anonymous(1));
    refused(options().track(false).anonymous(1));
    refused(options().unlink_on_drop(true).anonymous(1));
    refused(options().huge_pages(1 << 21).create(&name, 1));
    refused(options().huge_pages(1 << 21).open(&name));
    refused(options().huge_pages(1 << 21).open_or_create(&name, 1));
    refused(options().huge_pages(1 << 21).open_foreign(&name));
    refused(options().huge_pages(3 << 20).anonymous(1));
    refused(options().huge_pages(0).anonymous(1));
    refused(options().mode(0o4600).create(&name, 1));
    refused(options().mode(0o400).create(&name, 1));
    refused(options().mode(0o066).open(&name));
    refused(options().track(false).open(&name));
    refused(options().numa_node(0).open(&name));
    refused(options().track(true).open_foreign(&name));
    refused(options().numa_node(100_000).create(&name, 1));
    let contradiction = options().track(false).unlink_on_drop(true);
    refused(contradiction.create(&name, 1));
    refused(contradiction.open_or_create(&name, 1));
    assert!(!file(&name).exists());
}

/// M52: memory that is not swapped out, from huge pages, from one node; or an error that says why not.
#[test]
fn memory_from_special_places() {
    let locked = || fs::read_to_string("/proc/self/smaps").unwrap();
    let options = SharedMemory::options().lock_in_memory(true);
    let memory = options.anonymous(3 << 12).unwrap();
    let start = format!("{:x}-", memory.as_ptr().addr());
    let smaps = locked();
    let ours = smaps.split(&start).nth(1).unwrap();
    let line = ours
        .lines()
        .find(|line| line.starts_with("Locked:"))
        .unwrap();
    assert!(line.contains("12 kB"), "{line}");
    let named = SharedMemory::options()
        .lock_in_memory(true)
        .unlink_on_drop(true)
        .create(&name("locked"), 100);
    named.unwrap();

    let free = fs::read_to_string("/proc/meminfo").unwrap();
    let free = free
        .lines()
        .find(|line| line.starts_with("HugePages_Free:"));
    let free = free.is_some_and(|line| !line.ends_with(" 0"));
    let huge = SharedMemory::options()
        .huge_pages(1 << 21)
        .anonymous(100_000);
    match huge {
        Ok(memory) => {
            assert!(free);
            assert_eq!(memory.len(), 100_000);
            memory.slice_of::<u8>(..).unwrap().fill(1);
        }
        Err(error) => assert!(!free || error.kind() == ErrorKind::OutOfMemory, "{error}"),
    }

    match SharedMemory::options().numa_node(0).anonymous(8192) {
        Ok(memory) => memory.slice_of::<u8>(..).unwrap().fill(1),
        // A kernel without NUMA, or a container that must not choose.
        Err(error) => assert!(
            [ErrorKind::Unsupported, ErrorKind::PermissionDenied].contains(&error.kind()),
            "{error}"
        ),
    }
    fails(
        SharedMemory::options().numa_node(1000).anonymous(8192),
        ErrorKind::InvalidInput,
    );
}

/// M27: more than there is is an error at once, and leaves nothing.
#[test]
fn full_memory_is_an_error_and_no_signal() {
    let name = name("full");
    let all = rustix::fs::statvfs("/dev/shm").unwrap();
    let more = (all.f_blocks * all.f_frsize) as usize + (1 << 30);
    for len in [more, 1 << 50, usize::MAX - 100, usize::MAX] {
        // Of a folder without a limit one cannot have too much.
        if all.f_blocks == 0 && len == more {
            continue;
        }
        let error = SharedMemory::create(&name, len).unwrap_err();
        let kinds = [
            ErrorKind::StorageFull,
            ErrorKind::OutOfMemory,
            ErrorKind::FileTooLarge,
            ErrorKind::InvalidInput,
        ];
        assert!(kinds.contains(&error.kind()), "{len}: {error:?}");
        assert!(!file(&name).exists());
        assert_eq!(drafts_of(len as u64), 0);
    }
}

/// M30: views are within the memory and aligned.
#[test]
fn views_are_checked() {
    let memory = SharedMemory::anonymous(100).unwrap();
    assert_eq!(memory.slice_of::<u8>(..).unwrap().len(), 100);
    assert_eq!(memory.slice_of::<u64>(8..96).unwrap().len(), 11);
    assert_eq!(memory.slice_of::<u32>(100..).unwrap().len(), 0);
    let misfit = |misfit| Some(ViewError::Misfit(misfit));
    assert_eq!(
        memory.slice_of::<u64>(..).err(),
        misfit(Misfit::Size),
        "100 is no multiple of 8"
    );
    assert_eq!(
        memory.slice_of::<u64>(4..20).err(),
        misfit(Misfit::Alignment)
    );
    for outside in [0..101, 101..102, 5..usize::MAX] {
        let error = memory.slice_of::<u8>(outside).unwrap_err();
        assert!(matches!(error, ViewError::OutOfBounds(_)), "{error}");
    }
    let error = memory.slice_of::<u8>(..=usize::MAX).unwrap_err();
    assert!(std::error::Error::source(&error).is_some());
    // SAFETY: no view is used meanwhile.
    unsafe { memory.as_mut_slice()[99] = 3 };
    assert_eq!(memory.slice_of::<u8>(..).unwrap().get(99), Some(3));
}

/// M37: a handle travels as its name, and finds what was sent or an error.
#[test]
fn a_handle_serialises_as_its_name() {
    let name = name("serde");
    let made = SharedMemory::options()
        .mode(0o660)
        .create(&name, 100)
        .unwrap();
    let _end = Unlinked(file(&name));
    made.slice_of::<u8>(..).unwrap().set(3, 5).unwrap();
    let bytes = postcard::to_stdvec(&made).unwrap();
    let there: SharedMemory = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(there.slice_of::<u8>(..).unwrap().get(3), Some(5));
    assert!(!there.is_creator());
    assert_eq!(postcard::to_stdvec(&there).unwrap(), bytes);
    made.unlink().unwrap();
    let gone = |bytes: &[u8]| postcard::from_bytes::<SharedMemory>(bytes).unwrap_err();
    gone(&bytes);
    // Other memory of that name, as long and as open, is not it.
    let other = SharedMemory::options()
        .mode(0o660)
        .create(&name, 100)
        .unwrap();
    gone(&bytes);
    let text = serde_json::to_string(&other).unwrap();
    assert!(
        serde_json::from_str::<SharedMemory>(&text.replace("\"len\":100,", "\"len\":99,"))
            .unwrap_err()
            .to_string()
            .contains(&name)
    );
    for hostile in ["a/b", "", "x\\u0000y"] {
        let text = text.replace(&name, hostile);
        assert!(
            serde_json::from_str::<SharedMemory>(&text).is_err(),
            "{text}"
        );
    }
    let anonymous = SharedMemory::anonymous(1).unwrap();
    let error = serde_json::to_string(&anonymous).unwrap_err();
    assert!(error.to_string().contains("send"), "{error}");
}

/// M28: memory without a name goes over a socket, between other bytes.
#[test]
fn anonymous_memory_is_sent() {
    watchdog(LIMIT, "send and receive", || {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let memory = SharedMemory::anonymous(5000).unwrap();
        assert!(memory.is_creator() && memory.name().is_none());
        memory.slice_of::<u8>(..).unwrap().set(4999, 9).unwrap();
        here.write_all(b"before").unwrap();
        memory.send(&here).unwrap();
        memory.send(&here).unwrap();
        here.write_all(b"after").unwrap();
        let mut before = [0; 6];
        there.read_exact(&mut before).unwrap();
        let arrived = [
            SharedMemory::receive(&there).unwrap(),
            SharedMemory::receive(&there).unwrap(),
        ];
        let mut after = [0; 5];
        there.read_exact(&mut after).unwrap();
        assert_eq!((&before, &after), (b"before", b"after"));
        for one in &arrived {
            assert_eq!((one.len(), one.is_creator()), (5000, false));
            assert_eq!(one.slice_of::<u8>(..).unwrap().get(4999), Some(9));
        }
        fails(memory.unlink(), ErrorKind::InvalidInput);
        drop(memory);
        arrived[0]
            .slice_of::<u8>(..)
            .unwrap()
            .set(4999, 10)
            .unwrap();
        assert_eq!(arrived[1].slice_of::<u8>(..).unwrap().get(4999), Some(10));
        let named = ShmScope::new().create_unique(1).unwrap();
        fails(named.send(&here), ErrorKind::InvalidInput);
        drop(here);
        fails(SharedMemory::receive(&there), ErrorKind::UnexpectedEof);
    });
}

/// What a socket can bring instead of memory.
#[test]
fn what_is_no_memory_is_not_received() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
    watchdog(LIMIT, "hostile sender", || {
        let send = |words: [u64; 2], fd: Option<rustix::fd::BorrowedFd<'_>>| {
            let (here, there) = UnixStream::pair().unwrap();
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let fds = fd.map(|fd| [fd]);
            if let Some(fds) = &fds {
                assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
            }
            let bytes = bytemuck::bytes_of(&words);
            let bytes = [io::IoSlice::new(bytes)];
            rustix::net::sendmsg(&here, &bytes, &mut control, SendFlags::empty()).unwrap();
            drop(here);
            SharedMemory::receive(&there)
        };
        let magic = u64::from_ne_bytes(*b"latchmem");
        let flags = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::ALLOW_SEALING;
        let memfd = |len: u64, sealed: bool| {
            let fd = rustix::fs::memfd_create("x", flags).unwrap();
            rustix::fs::ftruncate(&fd, len).unwrap();
            if sealed {
                use rustix::fs::SealFlags;
                let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
                rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
            }
            fd
        };
        let bad = |result| fails(result, ErrorKind::InvalidData);
        let sound = memfd(100, true);
        assert_eq!(send([magic, 100], Some(sound.as_fd())).unwrap().len(), 100);
        bad(send([magic, 101], Some(sound.as_fd())));
        bad(send([magic, u64::MAX], Some(sound.as_fd())));
        bad(send([magic, 0], Some(sound.as_fd())));
        bad(send([7, 100], Some(sound.as_fd())));
        bad(send([magic, 100], None));
        bad(send([magic, 100], Some(memfd(100, false).as_fd())));
        bad(send([magic, 1], Some(memfd(0, true).as_fd())));
        bad(send(
            [magic, 1],
            Some(fs::File::open("/dev/zero").unwrap().as_fd()),
        ));
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(b"short").unwrap();
        drop(here);
        fails(SharedMemory::receive(&there), ErrorKind::UnexpectedEof);
        let (_here, there) = UnixStream::pair().unwrap();
        there
            .set_read_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        fails(SharedMemory::receive(&there), ErrorKind::WouldBlock);
    });
}

/// M27: files that other programs made have all their bytes from the first one on, and are never swept.
#[test]
fn foreign_memory_is_opened_as_it_is() {
    let name = name("foreign");
    let path = Path::new("/dev/shm").join(&name);
    let _end = Unlinked(path.clone());
    fails(SharedMemory::open_foreign(&name), ErrorKind::NotFound);
    let make = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    };
    make(&[]);
    fails(SharedMemory::open_foreign(&name), ErrorKind::InvalidData);
    make(b"psm");
    let memory = SharedMemory::open_foreign(&name).unwrap();
    assert_eq!((memory.len(), memory.name()), (3, Some(&*name)));
    memory.slice_of::<u8>(..).unwrap().set(0, b'P').unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"Psm");
    let bytes = postcard::to_stdvec(&memory).unwrap();
    let there: SharedMemory = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(there.slice_of::<u8>(..).unwrap().get(0), Some(b'P'));
    drop((memory, there));
    sweep().unwrap();
    let memory = SharedMemory::open_foreign(&name).unwrap();
    memory.unlink().unwrap();
    assert!(!path.exists());
    fails(memory.unlink(), ErrorKind::NotFound);
}

/// What has a name of ours and is not ours: refused by who opens, and left alone by a sweep.
#[test]
fn a_file_that_only_looks_like_ours_is_refused() {
    let base = name("fake");
    let write = |what: &str, bytes: &[u8]| {
        let name = format!("{base}-{what}");
        fs::write(file(&name), bytes).unwrap();
        fs::set_permissions(file(&name), PermissionsExt::from_mode(0o600)).unwrap();
        (name.clone(), Unlinked(file(&name)))
    };
    let sound = SharedMemory::create(&format!("{base}-sound"), 100).unwrap();
    let header = fs::read(file(sound.name().unwrap())).unwrap();
    sound.unlink().unwrap();
    let spoilt = |at: usize| {
        let mut bytes = header.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    let fakes = [
        write("empty", &[]),
        write("short", &header[..20]),
        write("cut", &header[..4096]),
        write("magic", &spoilt(0)),
        write("layout", &spoilt(8)),
        write("length", &spoilt(16)),
        write("huge", &spoilt(23)),
        write("longer", &[&header[..], b"x"].concat()),
    ];
    for (name, _) in &fakes {
        fails(SharedMemory::open(name), ErrorKind::InvalidData);
        fails(
            SharedMemory::open_or_create(name, 100),
            ErrorKind::InvalidData,
        );
        fails(SharedMemory::create(name, 100), ErrorKind::AlreadyExists);
    }
    let link = format!("{base}-link");
    std::os::unix::fs::symlink("/etc/hostname", file(&link)).unwrap();
    let _link = Unlinked(file(&link));
    assert!(SharedMemory::open(&link).is_err());
    assert!(SharedMemory::open_or_create(&link, 1).is_err());
    let swept = sweep_prefix(&base).unwrap();
    assert_eq!(swept.removed, [""; 0]);
    assert_eq!(swept.kept.len(), fakes.len() + 1, "{swept:?}");
    let links = |(name, why): &(String, Kept)| match why {
        Kept::Failed(_) => *name == link,
        why => *why == Kept::NotOurs,
    };
    assert!(swept.kept.iter().all(links), "{swept:?}");
}

/// M36, S20: what nobody has open is swept, unless it is not to be.
#[test]
fn a_sweep_removes_what_nobody_has_open() {
    let base = name("sweep");
    let named = |what: &str| format!("{base}-{what}");
    let options = SharedMemory::options;
    drop(options().create(&named("left"), 10).unwrap());
    drop(options().track(false).create(&named("kept"), 10).unwrap());
    let used = options().create(&named("used"), 10).unwrap();
    let swept = sweep_prefix(&base).unwrap();
    assert_eq!(swept.removed, [named("left")]);
    let mut kept = swept.kept;
    kept.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        (named("kept"), Kept::Untracked),
        (named("used"), Kept::InUse),
    ];
    assert_eq!(kept, expected);
    drop(used);
    assert_eq!(sweep_prefix(&base).unwrap().removed, [named("used")]);
    SharedMemory::open(&named("kept"))
        .unwrap()
        .unlink()
        .unwrap();
    assert_eq!(sweep_prefix(&base).unwrap(), Default::default());
}

/// M36: sweeps beside others who open, create and drop the same names: whoever has memory keeps its name.
#[test]
fn a_sweep_never_hits_who_opens_meanwhile() {
    watchdog(LIMIT, "sweep races", || {
        let name = &name("sweep-race");
        let removed = &AtomicU32::new(0);
        let stop = &AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(move || {
                    while stop.load(Ordering::SeqCst) == 0 {
                        let swept = sweep_prefix(name).unwrap();
                        removed.fetch_add(swept.removed.len() as u32, Ordering::SeqCst);
                    }
                });
            }
            let users: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(move || {
                        for _ in 0..300 {
                            let one = SharedMemory::open_or_create(name, 64).unwrap();
                            // In use from here on, so the name leads there until it is dropped.
                            let two = SharedMemory::open(name).unwrap();
                            let cell = one.slice_of::<u64>(..8).unwrap().atomic(0).unwrap();
                            let before = cell.fetch_add(1, Ordering::SeqCst);
                            let seen = two.slice_of::<u64>(..8).unwrap().get(0).unwrap();
                            assert!(seen > before, "two memories have one name");
                        }
                    })
                })
                .collect();
            for user in users {
                user.join().unwrap();
            }
            // The last of them has gone: now it is for a sweep.
            while file(name).exists() {
                thread::yield_now();
            }
            stop.store(1, Ordering::SeqCst);
        });
        assert!(removed.load(Ordering::SeqCst) > 0);
    });
}

/// M47, M48: a scope's names end with it, what was opened does not.
#[test]
fn a_scope_takes_its_names_along() {
    let base = name("scope");
    let scope = ShmScope::new();
    let one = scope.create(&format!("{base}-one"), 10).unwrap();
    let two = scope.create_unique(10).unwrap();
    fails(
        scope.create(&format!("{base}-one"), 10),
        ErrorKind::AlreadyExists,
    );
    assert_eq!(scope.blocks().len(), 2);
    let opened = SharedMemory::open(one.name().unwrap()).unwrap();
    two.unlink().unwrap();
    assert!(format!("{scope:?}").contains(&base));
    // That one name is gone already is no error.
    scope.close().unwrap();
    fails(SharedMemory::open(one.name().unwrap()), ErrorKind::NotFound);
    one.slice_of::<u8>(..).unwrap().set(1, 1).unwrap();
    assert_eq!(opened.slice_of::<u8>(..).unwrap().get(1), Some(1));
    let contradiction = ShmScope::with_options(SharedMemory::options().track(false));
    fails(contradiction.create_unique(1), ErrorKind::InvalidInput);
}

/// M32: all descriptors and mappings go with the handles.
#[test]
fn a_handle_leaves_nothing_behind() {
    let name = &name("leak");
    let mapped = || {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.contains(&**name)).count()
    };
    let opened = || {
        let fds = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
        targets
            .filter(|target| target.to_string_lossy().contains(&**name))
            .count()
    };
    let memory = SharedMemory::create(name, 100).unwrap();
    let other = SharedMemory::open(name).unwrap();
    assert_eq!(mapped(), 2);
    assert!(opened() >= 2);
    drop(memory);
    assert_eq!(mapped(), 1);
    other.unlink().unwrap();
    drop(other);
    assert_eq!((mapped(), opened()), (0, 0));
}

#[test]
fn handles_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<SharedMemory>();
    crosses::<ShmScope>();
}
