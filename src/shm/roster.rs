//! The roster: who is alive in this tree of processes.
//!
//! Invariant: a participant holds the POSIX record lock on byte `slot` of the roster's memfd from
//! before its name ([`Owner`]: slot and generation) can be seen by anybody until the kernel ends
//! the process. So the kernel itself says who is dead: no pid that could be reused decides, and
//! none is needed across pid namespaces. Asked by `shm::word` about owners and by `shm::arena`
//! about creators.
//!
//! A record lock belongs to the process, not to the descriptor, and is lost when the process closes
//! *any* descriptor of that file. Hence this file is the only one that touches the descriptor: it
//! is never duplicated and never closed once a slot was claimed. Should a program close it by
//! number all the same (`close_range` while turning into a daemon), [`Entry::still_runs`] keeps
//! survivors from taking its locks: it finds the process by pid and start time, and finds that it
//! still maps the roster, which a dead process and one that has called `execve` do not.

use super::segment::{FAMILY_NAME, HEADER_LEN, Id, Kind, Segment, invalid};
use super::word::{Liveness, Owner, SLOTS, Verdict};
use crate::platform::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::platform::yield_now;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

/// How long an entry is.
pub(crate) const ENTRY: usize = mem::size_of::<Entry>();
pub(crate) const LEN: usize = HEADER_LEN + SLOTS as usize * ENTRY;

/// What is known of the last participant that claimed a slot.
///
/// Written only by who holds the slot's record lock, `claims` last.
#[repr(C)]
struct Entry {
    /// How often the slot was claimed; the generation of the last claim follows from it.
    claims: AtomicU32,
    pid: AtomicU32,
    /// Clock ticks from boot to the start of that process, or 0 if it could not tell.
    started: AtomicU64,
    /// The inode of the pid namespace in which `pid` means something.
    namespace: AtomicU64,
    /// What `ps` calls the process, in bytes that are not zero.
    name: [AtomicU64; 2],
    _reserved: [AtomicU64; 2],
}

/// One roster and this process's place in it.
#[derive(Debug)]
pub(crate) struct Roster {
    segment: Segment,
    inode: u64,
    /// This process's name, or 0 before the first claim and in a forked child before its own.
    me: AtomicU32,
    /// Held by the thread that claims; a flag and not a mutex, because a forked child resets it.
    claiming: AtomicBool,
}

impl Roster {
    pub(crate) fn create() -> io::Result<Roster> {
        Roster::of(Segment::create(Kind::Roster, LEN, [0; 2])?)
    }

    pub(crate) fn attach(fd: OwnedFd) -> io::Result<Roster> {
        Roster::of(Segment::attach(fd, Kind::Roster, LEN)?)
    }

    /// Makes a roster in a file that has a name.
    ///
    /// Its record locks are those of that file: no descriptor of it may be closed either.
    pub(crate) fn create_within(place: (OwnedFd, usize)) -> io::Result<Roster> {
        Roster::of(Segment::create_within(place, Kind::Roster, LEN, [0; 2])?)
    }

    /// Maps a roster in a file that has a name.
    pub(crate) fn attach_within(place: (OwnedFd, usize)) -> io::Result<Roster> {
        let segment = Segment::attach_within(place, Kind::Roster, LEN)?;
        segment.make_real(0..LEN)?;
        Roster::of(segment)
    }

    fn of(segment: Segment) -> io::Result<Roster> {
        Ok(Roster {
            inode: rustix::fs::fstat(segment.fd())?.st_ino,
            segment,
            me: AtomicU32::new(0),
            claiming: AtomicBool::new(false),
        })
    }

    pub(crate) fn id(&self) -> Id {
        self.segment.id()
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.segment.fd()
    }

    /// Which file the roster is, to tell descriptors of it from others.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// This process's name, claimed at the first call.
    #[inline]
    pub(crate) fn me(&self) -> io::Result<Owner> {
        match self.current() {
            Some(me) => Ok(me),
            None => self.claim(),
        }
    }

    /// This process's name, if it has one already.
    #[inline]
    pub(crate) fn current(&self) -> Option<Owner> {
        // Acquire: pairs with the store in `claim_a_slot`, so that a thread that publishes the name
        // in a lock word publishes the entry with it.
        Owner::from_own_memory(self.me.load(Ordering::Acquire))
    }

    /// As [`current`](Roster::current), in bits, and 0 for none.
    #[inline]
    pub(crate) fn name(&self) -> u32 {
        // Relaxed: to compare with, for who has read it before.
        self.me.load(Ordering::Relaxed)
    }

    /// In the child of a fork: the parent's name is not ours. Only atomic stores, as the child of a
    /// program with threads may do little else.
    pub(crate) fn forget_me(&self) {
        self.me.store(0, Ordering::Relaxed);
        self.claiming.store(false, Ordering::Relaxed);
    }

    /// The process that goes by this name, if it is the last that claimed the slot.
    pub(crate) fn pid_of(&self, owner: Owner) -> Option<u32> {
        let entry = self.entry(owner.slot());
        // Acquire: what is read next was written before this generation was issued.
        let last = Owner::new(owner.slot(), entry.claims.load(Ordering::Acquire));
        (last == Some(owner)).then(|| entry.pid.load(Ordering::Relaxed))
    }

    /// What `ps` calls that process, or called it when it claimed its slot.
    pub(crate) fn name_of(&self, owner: Owner) -> Option<String> {
        let entry = self.entry(owner.slot());
        let bytes = [0, 1].map(|half| entry.name[half].load(Ordering::Relaxed).to_ne_bytes());
        self.pid_of(owner)?;
        let text = bytes.as_flattened();
        let end = text.iter().position(|&byte| byte == 0);
        Some(String::from_utf8_lossy(&text[..end.unwrap_or(text.len())]).into_owned())
    }

    fn entry(&self, slot: u32) -> &Entry {
        let offset = HEADER_LEN + slot as usize * ENTRY;
        // SAFETY: an entry is made of atomics.
        unsafe { self.segment.at(offset) }
    }

    #[cold]
    fn claim(&self) -> io::Result<Owner> {
        // The record lock does not exclude threads of one process from each other; this does.
        while self.claiming.swap(true, Ordering::Acquire) {
            yield_now();
        }
        let claimed = self.current().map_or_else(|| self.claim_a_slot(), Ok);
        self.claiming.store(false, Ordering::Release);
        claimed
    }

    fn claim_a_slot(&self) -> io::Result<Owner> {
        let started = start_time("/proc/self/stat").map_or(0, |(started, _)| started);
        self.end_former_lives(started)?;
        for slot in slots_from_own() {
            if !self.lock_byte(slot)? {
                continue;
            }
            let entry = self.entry(slot);
            if entry.still_runs(self.inode) {
                self.unlock_byte(slot)?;
                continue;
            }
            let claims = entry.claims.load(Ordering::Relaxed).wrapping_add(1).max(1);
            let me = Owner::new(slot, claims).ok_or_else(|| invalid("a claim without a name"))?;
            entry.pid.store(std::process::id(), Ordering::Relaxed);
            entry.started.store(started, Ordering::Relaxed);
            entry.namespace.store(pid_namespace(), Ordering::Relaxed);
            for (half, bytes) in entry.name.iter().zip(own_name().as_chunks().0) {
                half.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
            }
            // Release: whoever sees the new generation sees what is known of its process.
            entry.claims.store(claims, Ordering::Release);
            self.me.store(me.bits(), Ordering::Release);
            return Ok(me);
        }
        Err(io::Error::new(
            io::ErrorKind::QuotaExceeded,
            "all places of the tree's roster are taken by living processes",
        ))
    }

    /// Takes the pid out of the entries that this process has from before an `execve`.
    ///
    /// Their record locks went with that, and a process that does not map the roster again is believed to be
    /// dead by that alone. This one does: what it had been would be taken for alive as long as it lives. That
    /// this process has no name yet is known to the caller, so all such entries are former ones.
    fn end_former_lives(&self, started: u64) -> io::Result<()> {
        let me = (std::process::id(), started, pid_namespace());
        for slot in slots_from_own() {
            let entry = self.entry(slot);
            // No former life has come this far: it has passed by none that was free.
            if entry.claims.load(Ordering::Acquire) == 0 {
                break;
            }
            // Written by who has the byte only, who may be about to write.
            if started != 0 && entry.process() == me && self.lock_byte(slot)? {
                if entry.process() == me {
                    entry.pid.store(0, Ordering::Relaxed);
                }
                self.unlock_byte(slot)?;
            }
        }
        Ok(())
    }

    fn lock_byte(&self, slot: u32) -> io::Result<bool> {
        match self.fcntl(libc::F_SETLK, libc::F_WRLCK, slot) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn unlock_byte(&self, slot: u32) -> io::Result<()> {
        self.fcntl(libc::F_SETLK, libc::F_UNLCK, slot).map(drop)
    }

    /// Does another process hold the byte? If the kernel cannot be asked, nobody knows better.
    fn byte_is_locked(&self, slot: u32) -> bool {
        matches!(self.fcntl(libc::F_GETLK, libc::F_WRLCK, slot), Ok(kind) if kind != libc::F_UNLCK)
    }

    /// A record lock request for one byte; the answer is the lock type the kernel writes back.
    fn fcntl(&self, command: libc::c_int, kind: libc::c_int, slot: u32) -> io::Result<libc::c_int> {
        // SAFETY: all-zero bytes are a valid `flock`.
        let mut request: libc::flock = unsafe { mem::zeroed() };
        request.l_type = kind as libc::c_short;
        request.l_whence = libc::SEEK_SET as libc::c_short;
        request.l_start = slot.into();
        request.l_len = 1;
        // SAFETY: both commands take a pointer to a `flock`, which lives through the call.
        match unsafe { libc::fcntl(self.fd().as_raw_fd(), command, &raw mut request) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(request.l_type.into()),
        }
    }
}

impl Liveness for Roster {
    fn verdict(&self, owner: Owner) -> Verdict {
        let entry = self.entry(owner.slot());
        // The byte before the generation: a process that is seen to hold the byte here and shows
        // the owner's generation below has it since, so it is the owner. A stranger that has locked
        // the byte and not yet written its generation looks like the owner for that moment.
        let mine = self.current().filter(|me| me.slot() == owner.slot());
        let locked = mine.is_some() || self.byte_is_locked(owner.slot());
        let claims = entry.claims.load(Ordering::Acquire);
        if !was_issued(owner, claims) {
            return Verdict::NeverIssued;
        }
        if Owner::new(owner.slot(), claims) != Some(owner) {
            return Verdict::Dead;
        }
        if locked || entry.still_runs(self.inode) {
            return Verdict::Alive;
        }
        Verdict::Dead
    }
}

/// All slots, from where this process begins to look for a free one.
///
/// Beginning anywhere spares those who come late a walk past all who are there, and spreads the
/// generations over the slots. Fork gives parent and child different pids; what a process executes has the same.
fn slots_from_own() -> impl Iterator<Item = u32> {
    let first = std::process::id();
    (0..SLOTS).map(move |step| first.wrapping_add(step) % SLOTS)
}

/// Is the owner's generation among the first `claims` of its slot?
fn was_issued(owner: Owner, claims: u32) -> bool {
    owner.generation() <= claims || claims > Owner::GENERATIONS
}

impl Entry {
    /// Pid, start and namespace, which say together which process it is.
    fn process(&self) -> (u32, u64, u64) {
        (
            self.pid.load(Ordering::Relaxed),
            self.started.load(Ordering::Relaxed),
            self.namespace.load(Ordering::Relaxed),
        )
    }

    /// The second opinion on a process whose record lock is gone: it is only believed to be alive
    /// if the process of that pid is the one that wrote the entry and still maps the roster.
    #[cold]
    fn still_runs(&self, roster: u64) -> bool {
        let (pid, started, namespace) = self.process();
        if pid == 0 || started == 0 || namespace != pid_namespace() {
            return false;
        }
        // A zombie keeps its start time and no longer runs.
        let runs = |(when, state)| when == started && !matches!(state, b'Z' | b'X');
        start_time(&format!("/proc/{pid}/stat")).is_some_and(runs) && maps_the_roster(pid, roster)
    }
}

/// Does process `pid` map the roster with this inode? No, if it may not be asked.
fn maps_the_roster(pid: u32, inode: u64) -> bool {
    let Ok(maps) = File::open(format!("/proc/{pid}/maps")) else {
        return false;
    };
    // address, permissions, offset, device, inode, path
    let is_ours = |line: &str| {
        line.contains(FAMILY_NAME)
            && line
                .split_ascii_whitespace()
                .nth(4)
                .and_then(|text| text.parse().ok())
                == Some(inode)
    };
    let lines = BufReader::new(maps).lines().map_while(Result::ok);
    lines
        .take_while(|line| !line.is_empty())
        .any(|line| is_ours(&line))
}

/// When a process started, in clock ticks since boot, and its state letter.
fn start_time(stat: &str) -> Option<(u64, u8)> {
    let mut text = [0; 1024];
    let len = File::open(stat).ok()?.read(&mut text).ok()?;
    // The name in parentheses may contain anything, so count from its end: state is field 3 and
    // the start time field 22 of proc_pid_stat(5).
    let text = &text[..len];
    let end_of_name = text.iter().rposition(|&byte| byte == b')')?;
    let mut fields = text[end_of_name + 1..]
        .split(|&byte| byte == b' ')
        .filter(|field| !field.is_empty());
    let state = *fields.next()?.first()?;
    let started = std::str::from_utf8(fields.nth(18)?).ok()?;
    Some((started.parse().ok()?, state))
}

/// What `ps` calls this process; empty if there is no /proc.
fn own_name() -> [u8; 16] {
    let mut name = [0; 16];
    let comm = std::fs::read("/proc/self/comm").unwrap_or_default();
    let text = comm.strip_suffix(b"\n").unwrap_or(&comm);
    let len = text.len().min(name.len());
    name[..len].copy_from_slice(&text[..len]);
    name
}

/// The inode of this process's pid namespace, 0 if there is no /proc.
fn pid_namespace() -> u64 {
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_claims(roster: &Roster, slot: u32) -> u32 {
        roster.entry(slot).claims.load(Ordering::SeqCst)
    }

    /// Runs `work` in a forked child and returns what waits for its answer.
    fn in_child(work: impl FnOnce() -> bool) -> impl FnOnce() -> bool {
        // SAFETY: the child makes system calls and atomic operations, and leaves with `_exit`.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", io::Error::last_os_error()),
            0 => {
                let code = i32::from(!work());
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(code) }
            }
            pid => move || {
                let mut status = 0;
                // SAFETY: waits for our own child.
                assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
                status == 0
            },
        }
    }

    #[test]
    fn a_process_has_one_name_and_is_alive() {
        let roster = Roster::create().unwrap();
        assert_eq!(roster.current(), None);
        let names: Vec<_> = std::thread::scope(|scope| {
            let claim = || roster.me().unwrap();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let me = roster.me().unwrap();
        assert!(names.iter().all(|&name| name == me));
        assert_eq!(entry_claims(&roster, me.slot()), 1);
        assert_eq!(roster.verdict(me), Verdict::Alive);
        assert_eq!(roster.pid_of(me), Some(std::process::id()));
        // It needs no second opinion about itself: the kernel does not tell of one's own record locks.
        roster.entry(me.slot()).started.store(0, Ordering::SeqCst);
        assert_eq!(roster.verdict(me), Verdict::Alive);
    }

    #[test]
    fn a_child_has_its_own_name_and_dies_with_it() {
        let roster = Roster::create().unwrap();
        let me = roster.me().unwrap();
        let told = Segment::create(Kind::Arena, 4096, [0; 2]).unwrap();
        // SAFETY: atomics.
        let (name, go) = unsafe { (told.at::<AtomicU32>(64), told.at::<AtomicU32>(68)) };
        let child = in_child(|| {
            // The process's tree does this through pthread_atfork; this roster is not the tree's.
            roster.forget_me();
            let alive_in_child = roster.verdict(me) == Verdict::Alive;
            let mine = roster.me().unwrap();
            name.store(mine.bits(), Ordering::SeqCst);
            while go.load(Ordering::SeqCst) == 0 {
                yield_now();
            }
            alive_in_child && mine != me && roster.verdict(mine) == Verdict::Alive
        });
        while name.load(Ordering::SeqCst) == 0 {
            yield_now();
        }
        let child_name = Owner::from_bits(name.load(Ordering::SeqCst)).unwrap();
        assert_eq!(roster.verdict(child_name), Verdict::Alive);
        assert_eq!(roster.verdict(me), Verdict::Alive);
        go.store(1, Ordering::SeqCst);
        assert!(child());
        assert_eq!(roster.verdict(child_name), Verdict::Dead);
        assert_eq!(roster.verdict(me), Verdict::Alive);
    }

    #[test]
    fn names_nobody_had_are_told_from_those_of_the_dead() {
        let roster = Roster::create().unwrap();
        let me = roster.me().unwrap();
        let next = Owner::new(me.slot(), 2).unwrap();
        assert_eq!(roster.verdict(next), Verdict::NeverIssued);
        let elsewhere = Owner::new(me.slot() + 1, 1).unwrap();
        assert_eq!(roster.verdict(elsewhere), Verdict::NeverIssued);
        roster
            .entry(elsewhere.slot())
            .claims
            .store(2, Ordering::SeqCst);
        assert_eq!(roster.verdict(elsewhere), Verdict::Dead);
        // After the generations have gone round once, all of them were issued.
        let claims = Owner::GENERATIONS + 5;
        assert_eq!(Owner::new(7, claims), Owner::new(7, 5));
        assert!(was_issued(Owner::new(7, 900).unwrap(), claims));
    }

    #[test]
    fn a_lost_record_lock_does_not_make_a_process_dead() {
        let roster = Roster::create().unwrap();
        let me = roster.me().unwrap();
        // Closing any descriptor of the file drops the lock: what the header warns of.
        drop(roster.fd().try_clone_to_owned().unwrap());
        let from_outside = in_child(|| {
            roster.forget_me();
            !roster.byte_is_locked(me.slot())
                && roster.verdict(me) == Verdict::Alive
                // Nor is its slot given to another.
                && roster.me().unwrap().slot() != me.slot()
        });
        assert!(from_outside());
    }

    #[test]
    fn a_full_roster_is_an_error() {
        let roster = Roster::create().unwrap();
        roster.me().unwrap();
        let outcome = in_child(|| {
            roster.forget_me();
            // This child alone takes all the other slots, as so many processes would.
            for slot in 0..SLOTS {
                roster.lock_byte(slot).unwrap();
            }
            let next = in_child(|| {
                roster.forget_me();
                roster
                    .me()
                    .is_err_and(|error| error.kind() == io::ErrorKind::QuotaExceeded)
            });
            next()
        });
        assert!(outcome());
    }

    #[test]
    fn a_process_is_known_by_its_start_and_by_its_mapping() {
        let roster = Roster::create().unwrap();
        let (mine, state) = start_time("/proc/self/stat").unwrap();
        assert!(mine > 0 && state.is_ascii_uppercase());
        assert!(maps_the_roster(std::process::id(), roster.inode));
        assert!(!maps_the_roster(
            std::process::id(),
            roster.inode + 1_000_000
        ));
        assert_eq!(start_time("/proc/self/nothing"), None);
    }

    #[test]
    fn a_name_whose_slot_has_a_new_owner_is_dead() {
        let roster = Roster::create().unwrap();
        let before = roster.me().unwrap();
        // As if this slot, whose byte is held, had been claimed once more since.
        roster
            .entry(before.slot())
            .claims
            .store(2, Ordering::SeqCst);
        assert_eq!(roster.verdict(before), Verdict::Dead);
    }

    #[test]
    fn the_slot_of_a_process_that_lost_its_record_lock_is_not_given_away() {
        let roster = Roster::create().unwrap();
        let me = roster.me().unwrap();
        drop(roster.fd().try_clone_to_owned().unwrap());
        let outcome = in_child(|| {
            roster.forget_me();
            for slot in (0..SLOTS).filter(|&slot| slot != me.slot()) {
                roster.lock_byte(slot).unwrap();
            }
            // Only the slot of the first process looks free now, and it is not.
            in_child(|| {
                roster.forget_me();
                let full = |error: io::Error| error.kind() == io::ErrorKind::QuotaExceeded;
                roster.me().is_err_and(full)
            })()
        });
        assert!(outcome());
    }
}
