//! A segment: anonymous memory with a header, mapped by several processes.
//!
//! Invariant: the address space of a `Segment` is whole for as long as the value lives, and memory in
//! it that was made real is touched without fear. Real means `fallocate`d by this process before it
//! looks there, so that full memory is an error and not a SIGBUS; the size is sealed, so that no
//! process can shrink it under another. A small segment is real from end to end; a sparse one is
//! mostly address space, and its users call [`Segment::make_real`] for what they are about to touch. It
//! has no name: when the last process that has it is gone, however it went, so is the memory. Used by
//! `shm::roster` and `shm::arena`.
//!
//! A segment may also be part of a file that has a name, for processes that have nothing else in common
//! (`shm::space`). Such a file cannot be sealed: who may write it could shorten it, too.
//!
//! A hostile peer can still punch holes. They read as zeros, which is what it could have written, and
//! the kernel fills them again when they are touched; only while all memory is full can it not.

use crate::platform::above_standard;
use crate::platform::atomic::{AtomicU32, AtomicU64, Ordering};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::mm::{Advice, MapFlags, ProtFlags};
use rustix::process::{Resource, getrlimit};
use std::io;
use std::mem;
use std::ops::{Range, RangeInclusive};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};

const MAGIC: u64 = u64::from_ne_bytes(*b"latchwrk");
/// Changes with every change of what lies where in a segment, and of what the bits mean.
const LAYOUT: u32 = 2;

pub(crate) const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// What a segment is for. A descriptor that comes from another process could be any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Kind {
    Roster = 1,
    Arena = 2,
    Space = 3,
}

/// The first bytes of every segment. Written before the descriptor is shared, never after.
#[repr(C)]
struct Header {
    magic: AtomicU64,
    layout: AtomicU32,
    kind: AtomicU32,
    len: AtomicU64,
    id: [AtomicU64; 2],
    /// The id of the segment that this one belongs with, or zero.
    partner: [AtomicU64; 2],
}

/// Where the contents begin: one cache line is left to the header.
pub(crate) const HEADER_LEN: usize = 64;
const _: () = assert!(mem::size_of::<Header>() <= HEADER_LEN);

/// What of a sparse segment is real from the start, and read before anything else is known.
const BEGINNING: usize = 4096;

/// How much one system call makes real. A call that a signal interrupts does nothing, so one that
/// takes longer than the signals are apart would never succeed.
const STEP: usize = 4 << 20;

/// The identity of a segment: random, so that two never share one.
pub(crate) type Id = [u64; 2];

/// One mapping of a segment and the descriptor it came from.
#[derive(Debug)]
pub(crate) struct Segment {
    base: NonNull<u8>,
    len: usize,
    id: Id,
    partner: Id,
    /// Where in the file it begins.
    at: u64,
    fd: OwnedFd,
}

// SAFETY: the mapping belongs to the process and not to a thread; what is shared in it is accessed
// through atomics, or under a lock word, by the modules that hand out references.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl Segment {
    /// Makes a segment of `len` bytes, header included; all other bytes are zero.
    pub(crate) fn create(kind: Kind, len: usize, partner: Id) -> io::Result<Segment> {
        let fd = memory_file(kind)?;
        set_len(&fd, len)?;
        let segment = Segment::map(fd, len)?;
        segment.make_real(0..len)?;
        segment.begin(kind, partner)
    }

    /// Makes a segment of as much address space as the system gives: the last of `lens` if it can,
    /// else half of it, and so on, but not less than the first. Only the beginning of it is real.
    ///
    /// The sizes of address spaces and files may be limited (`RLIMIT_AS`, `RLIMIT_FSIZE`). Of an
    /// address space that is short, at most an eighth goes into this.
    pub(crate) fn create_sparse(
        kind: Kind,
        lens: RangeInclusive<usize>,
        partner: Id,
    ) -> io::Result<Segment> {
        let segment = Segment::sparse(memory_file(kind)?, 0, lens)?;
        segment.begin(kind, partner)
    }

    /// As [`create_sparse`](Segment::create_sparse), as the last part of a file with a name.
    pub(crate) fn create_sparse_within(
        (fd, at): (OwnedFd, usize),
        kind: Kind,
        lens: RangeInclusive<usize>,
        partner: Id,
    ) -> io::Result<Segment> {
        Segment::sparse(fd, at, lens)?.write_header(kind, partner)
    }

    fn sparse(fd: OwnedFd, at: usize, lens: RangeInclusive<usize>) -> io::Result<Segment> {
        let shortest = *lens.start();
        let space = getrlimit(Resource::As).current.map_or(usize::MAX, |all| {
            usize::try_from(all / 8).unwrap_or(usize::MAX)
        });
        let mut len = *lens.end();
        while len > space && len / 2 >= shortest {
            len /= 2;
        }
        let base = loop {
            match set_len(&fd, at + len).and_then(|()| map(&fd, at, len)) {
                Ok(base) => break base,
                Err(_) if len / 2 >= shortest => len /= 2,
                Err(refused) => return Err(refused),
            }
        };
        let segment = Segment::new(base, len, fd, at);
        segment.make_real(0..BEGINNING)?;
        Ok(segment)
    }

    /// Makes a segment of `len` bytes of a file with a name that is long enough for it.
    pub(crate) fn create_within(
        (fd, at): (OwnedFd, usize),
        kind: Kind,
        len: usize,
        partner: Id,
    ) -> io::Result<Segment> {
        let segment = Segment::new(map(&fd, at, len)?, len, fd, at);
        segment.make_real(0..len)?;
        segment.write_header(kind, partner)
    }

    /// Fixes the size and writes the header.
    fn begin(self, kind: Kind, partner: Id) -> io::Result<Segment> {
        rustix::fs::fcntl_add_seals(&self.fd, SEALS)?;
        self.write_header(kind, partner)
    }

    fn write_header(mut self, kind: Kind, partner: Id) -> io::Result<Segment> {
        self.id = random_id()?;
        self.partner = partner;
        let header = self.header();
        // Relaxed: whoever attaches got the descriptor through the kernel after this.
        header.layout.store(LAYOUT, Ordering::Relaxed);
        header.kind.store(kind as u32, Ordering::Relaxed);
        header.len.store(self.len as u64, Ordering::Relaxed);
        store_id(&header.id, self.id);
        store_id(&header.partner, partner);
        header.magic.store(MAGIC, Ordering::Relaxed);
        Ok(self)
    }

    /// Maps a segment that another process made, after checking that it is one, of this `kind`,
    /// this `len` and this build's layout.
    pub(crate) fn attach(fd: OwnedFd, kind: Kind, len: usize) -> io::Result<Segment> {
        let segment = Segment::attach_sparse(fd, kind, len..=len)?;
        segment.make_real(0..len)?;
        Ok(segment)
    }

    /// The same for a segment that was made by [`create_sparse`](Segment::create_sparse).
    pub(crate) fn attach_sparse(
        fd: OwnedFd,
        kind: Kind,
        lens: RangeInclusive<usize>,
    ) -> io::Result<Segment> {
        // Not a memfd at all: the seals cannot be read. Unsealed: the size below could change.
        let seals = rustix::fs::fcntl_get_seals(&fd)
            .map_err(|_| invalid("the descriptor is not that of a shared segment"))?;
        if !seals.contains(SEALS) {
            return Err(invalid("the segment can still change its size"));
        }
        let size = usize::try_from(rustix::fs::fstat(&fd)?.st_size).ok();
        let len = size
            .filter(|size| lens.contains(size))
            .ok_or_else(|| invalid("the segment has the wrong size"))?;
        Segment::map(fd, len)?.read_header(kind)
    }

    /// Maps `len` bytes of a file with a name, after the same checks but for those of the file, which are the
    /// caller's. Only the beginning is known to be real.
    pub(crate) fn attach_within(
        (fd, at): (OwnedFd, usize),
        kind: Kind,
        len: usize,
    ) -> io::Result<Segment> {
        Segment::new(map(&fd, at, len)?, len, fd, at).read_header(kind)
    }

    fn read_header(mut self, kind: Kind) -> io::Result<Segment> {
        self.make_real(0..BEGINNING.min(self.len))?;
        let header = self.header();
        if header.magic.load(Ordering::Relaxed) != MAGIC {
            return Err(invalid("the segment does not begin like one of ours"));
        }
        if header.layout.load(Ordering::Relaxed) != LAYOUT {
            return Err(invalid("the segment was laid out by another version"));
        }
        if header.kind.load(Ordering::Relaxed) != kind as u32 {
            return Err(invalid("the segment serves another purpose"));
        }
        if header.len.load(Ordering::Relaxed) != self.len as u64 {
            return Err(invalid("the segment states a wrong length"));
        }
        // Read once: whatever a peer writes there later, this process has made up its mind.
        let (id, partner) = (load_id(&header.id), load_id(&header.partner));
        self.id = id;
        self.partner = partner;
        Ok(self)
    }

    fn map(fd: OwnedFd, len: usize) -> io::Result<Segment> {
        let base = map(&fd, 0, len)?;
        Ok(Segment::new(base, len, fd, 0))
    }

    fn new(base: NonNull<u8>, len: usize, fd: OwnedFd, at: usize) -> Segment {
        Segment {
            base,
            len,
            id: [0; 2],
            partner: [0; 2],
            at: at as u64,
            fd,
        }
    }

    /// Gives memory to these bytes, or to the whole pages that they are part of. What is there stays,
    /// what was not is zero.
    ///
    /// # Errors
    ///
    /// `StorageFull` if there is no memory; part of it may be real then.
    pub(crate) fn make_real(&self, range: Range<usize>) -> io::Result<()> {
        let mut start = range.start;
        while start < range.end {
            let len = (range.end - start).min(STEP);
            let flags = FallocateFlags::KEEP_SIZE;
            let at = self.at + start as u64;
            retry_on_intr(|| rustix::fs::fallocate(&self.fd, flags, at, len as u64)).map_err(
                |error| match error {
                    Errno::NOSPC | Errno::NOMEM => no_memory(),
                    other => other.into(),
                },
            )?;
            start += len;
        }
        Ok(())
    }

    /// Gives memory back to the system. The bytes are zero from now on, and no longer real.
    pub(crate) fn punch(&self, range: Range<usize>) -> io::Result<()> {
        let (start, len) = (self.at + range.start as u64, range.len() as u64);
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        retry_on_intr(|| rustix::fs::fallocate(&self.fd, flags, start, len))?;
        Ok(())
    }

    /// How many bytes of memory the segment takes.
    pub(crate) fn bytes_real(&self) -> io::Result<u64> {
        // st_blocks counts units of 512 bytes, whatever the block size of the file system.
        Ok(rustix::fs::fstat(&self.fd)?.st_blocks as u64 * 512)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Borrows the `T` that lies `offset` bytes into the segment.
    ///
    /// `T` consists of atomics, so that any bytes are a valid value and sharing is no data race.
    ///
    /// # Panics
    ///
    /// If it does not fit or is not aligned: offsets read from memory are checked before.
    ///
    /// # Safety
    ///
    /// `T` must be made of atomics and `UnsafeCell`s of plain bytes only.
    pub(crate) unsafe fn at<T>(&self, offset: usize) -> &T {
        let end = offset.checked_add(mem::size_of::<T>());
        assert!(end.is_some_and(|end| end <= self.len) && offset.is_multiple_of(align_of::<T>()));
        // SAFETY: in bounds and aligned (just checked; the mapping begins at a page), mapped for as
        // long as `self` is borrowed, and valid for any bytes by the caller's promise.
        unsafe { self.base.add(offset).cast().as_ref() }
    }

    /// The address `offset` bytes into the segment; `size` bytes from there are within it.
    pub(crate) fn pointer(&self, offset: usize, size: usize) -> Option<NonNull<u8>> {
        let end = offset.checked_add(size)?;
        // SAFETY: within the mapping, or one past its end.
        (end <= self.len).then(|| unsafe { self.base.add(offset) })
    }

    fn header(&self) -> &Header {
        // SAFETY: the header is made of atomics.
        unsafe { self.at(0) }
    }

    pub(crate) fn id(&self) -> Id {
        self.id
    }

    pub(crate) fn partner(&self) -> Id {
        self.partner
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and every reference into it borrowed the value.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// How a roster is called in /proc/PID/maps.
const ROSTER_NAME: &str = "latchwork-roster";
/// How whatever holds a roster is called there, where `shm::roster` looks for it.
pub(crate) const FAMILY_NAME: &str = "latchwork";

pub(crate) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub(crate) fn no_memory() -> io::Error {
    io::Error::new(
        io::ErrorKind::StorageFull,
        "there is no memory left to share",
    )
}

fn memory_file(kind: Kind) -> io::Result<OwnedFd> {
    let name = match kind {
        Kind::Roster => ROSTER_NAME,
        Kind::Arena | Kind::Space => "latchwork-arena",
    };
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    above_standard(rustix::fs::memfd_create(name, flags)?)
}

/// Sets the size of a memory file, to any that is not longer than this process's files may get:
/// for those the kernel would kill it with SIGXFSZ.
pub(crate) fn set_len(fd: &OwnedFd, len: usize) -> io::Result<()> {
    let longest = getrlimit(Resource::Fsize).current;
    if longest.is_some_and(|longest| len as u64 > longest) {
        return Err(Errno::FBIG.into());
    }
    Ok(retry_on_intr(|| rustix::fs::ftruncate(fd, len as u64))?)
}

fn map(fd: &OwnedFd, at: usize, len: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing of ours.
    let base = unsafe {
        rustix::mm::mmap(
            ptr::null_mut(),
            len,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED | MapFlags::NORESERVE,
            fd,
            at as u64,
        )?
    };
    // A core dump reads every page, and reading fills a hole. A few megabytes of others' values are no
    // loss to whoever debugs this process; memory filled to the brim would be one to all.
    // SAFETY: the advice is about the mapping just made and changes nothing of what it holds.
    let _ = unsafe { rustix::mm::madvise(base, len, Advice::LinuxDontDump) };
    NonNull::new(base.cast()).ok_or_else(|| invalid("mapped at address zero"))
}

pub(crate) fn random_id() -> io::Result<Id> {
    let mut id: Id = [0; 2];
    // SAFETY: `id` is writable for its whole size. Requests of up to 256 bytes are never cut short.
    let got = unsafe { libc::getrandom(id.as_mut_ptr().cast(), mem::size_of::<Id>(), 0) };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(id)
}

fn store_id(place: &[AtomicU64; 2], id: Id) {
    place[0].store(id[0], Ordering::Relaxed);
    place[1].store(id[1], Ordering::Relaxed);
}

fn load_id(place: &[AtomicU64; 2]) -> Id {
    [
        place[0].load(Ordering::Relaxed),
        place[1].load(Ordering::Relaxed),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    const LEN: usize = 8192;

    fn refused(fd: OwnedFd) -> String {
        let error = Segment::attach(fd, Kind::Arena, LEN).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        error.to_string()
    }

    #[test]
    fn both_sides_see_one_memory() {
        let made = Segment::create(Kind::Arena, LEN, [1, 2]).unwrap();
        let fd = made.fd().try_clone_to_owned().unwrap();
        let attached = Segment::attach(fd, Kind::Arena, LEN).unwrap();
        assert_eq!((attached.id(), attached.partner()), (made.id(), [1, 2]));
        // SAFETY: an atomic.
        let (one, other) = unsafe { (made.at::<AtomicU64>(4096), attached.at::<AtomicU64>(4096)) };
        one.store(7, Ordering::SeqCst);
        assert_eq!(other.load(Ordering::SeqCst), 7);
    }

    #[test]
    fn what_is_not_a_segment_is_refused() {
        refused(File::open("/dev/null").unwrap().into());
        refused(tempfile::tempfile().unwrap().into());
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let unsealed = rustix::fs::memfd_create("x", flags).unwrap();
        rustix::fs::ftruncate(&unsealed, LEN as u64).unwrap();
        assert!(refused(unsealed).contains("size"));
        let empty = rustix::fs::memfd_create("x", flags).unwrap();
        rustix::fs::ftruncate(&empty, LEN as u64).unwrap();
        rustix::fs::fcntl_add_seals(&empty, SEALS).unwrap();
        assert!(refused(empty).contains("begin"));
    }

    #[test]
    fn a_header_with_one_wrong_field_is_refused() {
        let spoilt = |spoil: &dyn Fn(&Header)| {
            let made = Segment::create(Kind::Arena, LEN, [0; 2]).unwrap();
            spoil(made.header());
            refused(made.fd().try_clone_to_owned().unwrap())
        };
        let relaxed = Ordering::Relaxed;
        assert!(spoilt(&|header| header.layout.store(99, relaxed)).contains("version"));
        assert!(spoilt(&|header| header.kind.store(1, relaxed)).contains("purpose"));
        assert!(spoilt(&|header| header.len.store(1 << 40, relaxed)).contains("length"));
        let small = Segment::create(Kind::Arena, 4096, [0; 2]).unwrap();
        assert!(refused(small.fd().try_clone_to_owned().unwrap()).contains("size"));
    }

    #[test]
    fn a_sparse_segment_is_as_long_as_asked_and_takes_little() {
        let made = Segment::create_sparse(Kind::Arena, LEN..=64 << 30, [0; 2]).unwrap();
        // Whatever limits this machine has, a megabyte is within them.
        assert!(made.len() >= 1 << 20 && made.len().is_power_of_two());
        assert!(made.bytes_real().unwrap() < 1 << 20);
        let fd = made.fd().try_clone_to_owned().unwrap();
        let attached = Segment::attach_sparse(fd, Kind::Arena, LEN..=64 << 30).unwrap();
        assert_eq!((attached.len(), attached.id()), (made.len(), made.id()));
        let fd = made.fd().try_clone_to_owned().unwrap();
        assert!(Segment::attach_sparse(fd, Kind::Arena, LEN..=LEN).is_err());
    }

    #[test]
    fn memory_is_real_when_asked_for_and_given_back() {
        let made = Segment::create_sparse(Kind::Arena, LEN..=1 << 20, [0; 2]).unwrap();
        let before = made.bytes_real().unwrap();
        let range = 256 << 10..512 << 10;
        made.make_real(range.clone()).unwrap();
        let real = made.bytes_real().unwrap();
        assert_eq!(real - before, 256 << 10);
        // Once more costs nothing.
        made.make_real(range.clone()).unwrap();
        assert_eq!(made.bytes_real().unwrap(), real);
        // SAFETY: an atomic.
        let word = unsafe { made.at::<AtomicU64>(range.start) };
        word.store(7, Ordering::SeqCst);
        made.punch(range).unwrap();
        assert_eq!(made.bytes_real().unwrap(), before);
        assert_eq!(word.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn no_process_can_shrink_it() {
        let made = Segment::create(Kind::Arena, LEN, [0; 2]).unwrap();
        assert!(rustix::fs::ftruncate(made.fd(), 0).is_err());
    }
}
