//! `SharedMemory`: bytes that several processes have mapped.
//!
//! Invariant: the bytes exist in full, and stay where they are, for as long as the value does. Named
//! memory is that of `shm::named`, anonymous memory is a sealed memfd (`anonymous.rs`); what both are
//! told to be like is in `options.rs`, and how a handle travels in `serial.rs`. Used by programs.

mod anonymous;
mod options;
mod place;
mod serial;
mod view;

pub use options::MemoryOptions;
pub use view::ViewError;

use super::named::Named;
use super::named::name::refused;
use anonymous::Anonymous;
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::process;
use std::ptr::NonNull;
use std::slice;

/// Bytes that several processes have mapped: by a name, or by a descriptor that was sent to them.
///
/// [`create`](SharedMemory::create), [`open`](SharedMemory::open) and
/// [`open_or_create`](SharedMemory::open_or_create) are for processes that have nothing in common but
/// a name; [`anonymous`](SharedMemory::anonymous) memory goes over a Unix socket.
/// [`options`](SharedMemory::options) has what is rarely needed: permissions, huge pages, memory that
/// is never swapped out.
///
/// What one process writes, the others see at once, in whatever order the processors like: nothing
/// here synchronises. [`slice_of`](SharedMemory::slice_of) has the bytes as numbers that may be read while others
/// write them, and as atomics; an [`ipc::Lock`](crate::ipc::Lock) keeps larger changes together.
///
/// * **Names.** `jobs` is the file `/dev/shm/latchwork-jobs`. A name is at most 245 bytes long and has
///   no `/` and no NUL.
/// * **Making is one step.** A name leads to memory of its full size, zeroed and paid for, or to
///   none. Of several that make the same name at the same time, one does.
/// * **Layout.** A page of ours stands before the bytes: a program that opens the file by itself finds
///   them 4,096 bytes into it. [`open_foreign`](SharedMemory::open_foreign) is for files without that page,
///   Python's, for instance.
/// * **Life.** Dropping a handle unmaps the memory in this process. A name stays, with the bytes, until
///   [`unlink`](SharedMemory::unlink); or until a [`sweep`](super::sweep()) finds that no process has it open,
///   unless it was made with [`track(false)`](MemoryOptions::track). Processes that have the memory mapped
///   keep it whatever becomes of the name.
/// * **Death.** A killed process unmaps, and that is all: no lock of ours is in the memory. Killed while
///   making it, it leaves a file `/dev/shm/latchwork+...` for the next sweep. What is unlinked
///   [on drop](MemoryOptions::unlink_on_drop), but whose owner was killed, is gone for
///   whoever asks for the name when no process has it open any more.
/// * **Fork.** The child has the memory, too, and counts as a user of it. It unlinks nothing on drop.
/// * **Trust.** A name is opened only if its file is this user's and can be written by nobody whom
///   [`mode`](MemoryOptions::mode) does not mention; another's is `PermissionDenied`. Processes that may write a
///   named file can also shorten it, and whoever then touches what is missing dies of SIGBUS.
///   Anonymous memory is sealed and has no such weakness.
///
/// ```
/// use latchwork::shm::SharedMemory;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let name = format!("example-{}", std::process::id());
/// let made = SharedMemory::create(&name, 4096)?;
/// made.slice_of::<u64>(..)?.set(1, 7)?;
/// // Elsewhere:
/// let opened = SharedMemory::open(&name)?;
/// assert_eq!(opened.len(), 4096);
/// assert_eq!(opened.slice_of::<u64>(..)?.get(1), Some(7));
/// made.unlink()?;
/// # Ok(())
/// # }
/// ```
///
/// Python: `multiprocessing.shared_memory.SharedMemory`, without its tracker process.
#[doc(alias = "multiprocessing.shared_memory")]
#[doc(alias = "shm_open")]
pub struct SharedMemory {
    backing: Backing,
    created: bool,
    /// The process that takes the name away when it drops this.
    unlinker: Option<u32>,
    /// What it was opened as, for who gets the handle.
    mode: u32,
}

enum Backing {
    Named(Named),
    Anonymous(Anonymous),
}

impl SharedMemory {
    /// How to make or open memory that is not as usual.
    pub fn options() -> MemoryOptions {
        MemoryOptions::new()
    }

    /// Makes `len` bytes, all zero, and gives them a name.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if the name is taken; `InvalidInput` if `len` is zero or the name is empty, too
    /// long, or contains `/` or NUL; `StorageFull` or `OutOfMemory` if there is not so much memory.
    #[doc(alias = "shm_open")]
    pub fn create(name: &str, len: usize) -> io::Result<SharedMemory> {
        MemoryOptions::new().create(name, len)
    }

    /// Makes `len` bytes, all zero, under a random name that nothing else has.
    ///
    /// # Errors
    ///
    /// As for [`create`](SharedMemory::create), without `AlreadyExists`.
    pub fn create_unique(len: usize) -> io::Result<SharedMemory> {
        MemoryOptions::new().create_unique(len)
    }

    /// Maps the memory of this name.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none; `PermissionDenied` if it belongs to another user, or others could
    /// write it; `InvalidData` if it is not of this crate's making; `InvalidInput` if the name is
    /// none; `ResourceBusy` if a process that was about to take the name away has been stopped.
    #[doc(alias = "attach")]
    pub fn open(name: &str) -> io::Result<SharedMemory> {
        MemoryOptions::new().open(name)
    }

    /// Maps the memory of this name, made now if there is none yet.
    ///
    /// Of any number of processes and threads that do this at the same time exactly one
    /// [makes](SharedMemory::is_creator) it, and all have the same; also if some are killed at it.
    /// [`MemoryOptions::open_or_create_with`] fills the memory before anybody else sees it.
    ///
    /// # Errors
    ///
    /// As for [`create`](SharedMemory::create) and [`open`](SharedMemory::open), and `InvalidData` if there is
    /// memory of another length.
    pub fn open_or_create(name: &str, len: usize) -> io::Result<SharedMemory> {
        MemoryOptions::new().open_or_create(name, len)
    }

    /// Maps memory that another program made: the whole of `/dev/shm/NAME`, from its first byte on.
    ///
    /// No sweep looks at it, and no page of ours is in it. Its size is that of the file, which may be
    /// rounded up to pages.
    ///
    /// # Errors
    ///
    /// As for [`open`](SharedMemory::open); `InvalidData` if it is empty.
    pub fn open_foreign(name: &str) -> io::Result<SharedMemory> {
        MemoryOptions::new().open_foreign(name)
    }

    /// Makes `len` bytes, all zero, without a name.
    ///
    /// They are for this process, the children of its forks, and those that it is
    /// [sent](SharedMemory::send) to; with the last of these they are gone. No process can change their size.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `len` is zero; `StorageFull` or `OutOfMemory` if there is not so much memory.
    #[doc(alias = "memfd_create")]
    pub fn anonymous(len: usize) -> io::Result<SharedMemory> {
        MemoryOptions::new().anonymous(len)
    }

    /// Sends anonymous memory to the process at the other end, which [receives](SharedMemory::receive) it.
    ///
    /// Between other bytes on the same stream it takes its place in order.
    ///
    /// ```
    /// use latchwork::shm::SharedMemory;
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (here, there) = UnixStream::pair()?;
    /// SharedMemory::anonymous(100)?.send(&here)?;
    /// assert_eq!(SharedMemory::receive(&there)?.len(), 100);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the memory has a name: send that. Else what the socket says; `WouldBlock`,
    /// with nothing sent, if it is full and has a time-out or does not block.
    #[doc(alias = "SCM_RIGHTS")]
    pub fn send(&self, stream: &UnixStream) -> io::Result<()> {
        match &self.backing {
            Backing::Anonymous(memory) => memory.send(stream),
            Backing::Named(_) => Err(refused("memory with a name is sent by its name")),
        }
    }

    /// Waits for memory that a process [sends](SharedMemory::send) over this stream, and maps it.
    ///
    /// Waits as long as the stream's `read_timeout` says.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the sender has closed; `InvalidData` if something else was sent, or memory
    /// whose size could still change; `WouldBlock` after the time-out.
    pub fn receive(stream: &UnixStream) -> io::Result<SharedMemory> {
        Anonymous::receive(stream).map(SharedMemory::of_anonymous)
    }

    fn of_anonymous(memory: Anonymous) -> SharedMemory {
        SharedMemory {
            backing: Backing::Anonymous(memory),
            created: false,
            unlinker: None,
            mode: 0o600,
        }
    }

    /// How many bytes there are: as many as were asked for when they were made.
    #[doc(alias = "size")]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.bytes().1
    }

    /// The name by which others open it; `None` for anonymous memory.
    pub fn name(&self) -> Option<&str> {
        match &self.backing {
            Backing::Named(named) => Some(named.name().shown()),
            Backing::Anonymous(_) => None,
        }
    }

    /// Did this call make the memory, rather than find it?
    pub fn is_creator(&self) -> bool {
        self.created
    }

    /// Where the bytes are in this process, for [`len`](SharedMemory::len) bytes, as long as this handle
    /// lives. Aligned to a page.
    #[doc(alias = "buf")]
    pub fn as_ptr(&self) -> *mut u8 {
        self.bytes().0.as_ptr()
    }

    /// The bytes.
    ///
    /// # Safety
    ///
    /// While the slice lives, no thread of any process writes to them.
    pub unsafe fn as_slice(&self) -> &[u8] {
        let (start, len) = self.bytes();
        // SAFETY: mapped while `self` is borrowed; the caller answers for who writes.
        unsafe { slice::from_raw_parts(start.as_ptr(), len) }
    }

    /// The bytes, to be written.
    ///
    /// # Safety
    ///
    /// While the slice lives, no thread of any process touches them otherwise: not through another
    /// handle in this process or through this one, either.
    #[expect(
        clippy::mut_from_ref,
        reason = "that there is but one is the caller's promise"
    )]
    pub unsafe fn as_mut_slice(&self) -> &mut [u8] {
        let (start, len) = self.bytes();
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), len) }
    }

    /// Takes the name away. The memory stays with those who have it, and is gone with the last of them.
    ///
    /// # Errors
    ///
    /// `NotFound` if somebody has done so before, whether or not there is other memory of that name by
    /// now; `InvalidInput` if it never had one; `ResourceBusy` if a process has been stopped while it
    /// did the same.
    #[doc(alias = "shm_unlink")]
    pub fn unlink(&self) -> io::Result<()> {
        match &self.backing {
            Backing::Named(named) => named.remove(),
            Backing::Anonymous(_) => Err(refused("anonymous memory has no name to take away")),
        }
    }

    /// Takes the name away if that is for this handle and this process to do.
    pub(super) fn end_name(&self) -> io::Result<()> {
        // The child of a fork has its parent's handles, but the name is the parent's.
        match self.unlinker {
            Some(process) if process == process::id() => self.unlink(),
            _ => Ok(()),
        }
    }

    fn bytes(&self) -> (NonNull<u8>, usize) {
        match &self.backing {
            Backing::Named(named) => named.bytes(),
            Backing::Anonymous(memory) => memory.bytes(),
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // What was unlinked before is done; whatever else is wrong, a sweep sees to it.
        let _ = self.end_name();
    }
}

/// Shows name and length, not the bytes.
impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory")
            .field("name", &self.name())
            .field("len", &self.len())
            .finish()
    }
}
