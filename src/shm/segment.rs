//! A segment: anonymous memory with a header, mapped by several processes.
//!
//! Invariant: the memory behind a `Segment` exists in full for as long as the value does. It is
//! allocated before it is mapped, so that full memory is an error and not a SIGBUS, and sealed, so
//! that no process can shrink it under another. It has no name: when the last process that has it
//! is gone, however it went, so is the memory. Used by `shm::roster` and `shm::arena`.

use crate::platform::above_standard;
use crate::platform::atomic::{AtomicU32, AtomicU64, Ordering};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};

const MAGIC: u64 = u64::from_ne_bytes(*b"latchwrk");
/// Changes with every change of what lies where in a segment, and of what the bits mean.
const LAYOUT: u32 = 1;

pub(crate) const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// What a segment is for. A descriptor that comes from another process could be any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Kind {
    Roster = 1,
    Arena = 2,
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

/// The identity of a segment: random, so that two never share one.
pub(crate) type Id = [u64; 2];

/// One mapping of a segment and the descriptor it came from.
#[derive(Debug)]
pub(crate) struct Segment {
    base: NonNull<u8>,
    len: usize,
    id: Id,
    partner: Id,
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
        let name = match kind {
            Kind::Roster => ROSTER_NAME,
            Kind::Arena => "latchwork-arena",
        };
        let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let fd = above_standard(fd)?;
        rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, len as u64)?;
        rustix::fs::fcntl_add_seals(&fd, SEALS)?;
        let segment = Segment::map(fd, len, random_id()?, partner)?;
        let header = segment.header();
        // Relaxed: whoever attaches got the descriptor through the kernel after this.
        header.layout.store(LAYOUT, Ordering::Relaxed);
        header.kind.store(kind as u32, Ordering::Relaxed);
        header.len.store(len as u64, Ordering::Relaxed);
        store_id(&header.id, segment.id);
        store_id(&header.partner, partner);
        header.magic.store(MAGIC, Ordering::Relaxed);
        Ok(segment)
    }

    /// Maps a segment that another process made, after checking that it is one, of this `kind`,
    /// this `len` and this build's layout.
    pub(crate) fn attach(fd: OwnedFd, kind: Kind, len: usize) -> io::Result<Segment> {
        // Not a memfd at all: the seals cannot be read. Unsealed: the size below could change.
        let seals = rustix::fs::fcntl_get_seals(&fd)
            .map_err(|_| invalid("the descriptor is not that of a shared segment"))?;
        if !seals.contains(SEALS) {
            return Err(invalid("the segment can still change its size"));
        }
        let size = rustix::fs::fstat(&fd)?.st_size;
        if u64::try_from(size) != Ok(len as u64) {
            return Err(invalid("the segment has the wrong size"));
        }
        let mut segment = Segment::map(fd, len, [0; 2], [0; 2])?;
        let header = segment.header();
        if header.magic.load(Ordering::Relaxed) != MAGIC {
            return Err(invalid("the segment does not begin like one of ours"));
        }
        if header.layout.load(Ordering::Relaxed) != LAYOUT {
            return Err(invalid("the segment was laid out by another version"));
        }
        if header.kind.load(Ordering::Relaxed) != kind as u32 {
            return Err(invalid("the segment serves another purpose"));
        }
        if header.len.load(Ordering::Relaxed) != len as u64 {
            return Err(invalid("the segment states a wrong length"));
        }
        // Read once: whatever a peer writes there later, this process has made up its mind.
        let (id, partner) = (load_id(&header.id), load_id(&header.partner));
        segment.id = id;
        segment.partner = partner;
        Ok(segment)
    }

    fn map(fd: OwnedFd, len: usize, id: Id, partner: Id) -> io::Result<Segment> {
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing of ours.
        let base = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &fd,
                0,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or_else(|| invalid("mapped at address zero"))?;
        Ok(Segment {
            base,
            len,
            id,
            partner,
            fd,
        })
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

/// How a roster is called in /proc/PID/maps, where `shm::roster` looks for it.
pub(crate) const ROSTER_NAME: &str = "latchwork-roster";

pub(crate) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
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
    fn no_process_can_shrink_it() {
        let made = Segment::create(Kind::Arena, LEN, [0; 2]).unwrap();
        assert!(rustix::fs::ftruncate(made.fd(), 0).is_err());
    }
}
