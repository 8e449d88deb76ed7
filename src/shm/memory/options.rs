//! How memory is made and opened: everything but a name and a length.
//!
//! Invariant: what an option means, the memory has; an option that means nothing for the call is
//! an error before anything is done. Called by programs and by the short forms of `SharedMemory`.

use super::anonymous::Anonymous;
use super::{Backing, SharedMemory, place};
use crate::shm::named::Named;
use crate::shm::named::file::{Access, open};
use crate::shm::named::header::Header;
use crate::shm::named::name::{Name, refused};
use crate::shm::named::remove_if_unused;
use rustix::fs::{FileType, MemfdFlags, Stat};
use std::io;
use std::process;

/// How to make or open [`SharedMemory`] that is not as usual; made by [`SharedMemory::options`].
///
/// An option that makes no sense for a call, such as permissions for memory without a name, is
/// `InvalidInput` there, and nothing is done.
///
/// ```
/// use latchwork::shm::SharedMemory;
///
/// # fn main() -> std::io::Result<()> {
/// let name = format!("options-{}", std::process::id());
/// let log = SharedMemory::options()
///     .mode(0o644)
///     .unlink_on_drop(true)
///     .create(&name, 1 << 16)?;
/// assert_eq!(log.len(), 1 << 16);
/// drop(log);
/// assert!(SharedMemory::open(&name).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing by themselves"]
pub struct MemoryOptions {
    mode: Option<u32>,
    track: Option<bool>,
    unlink_on_drop: bool,
    locked: bool,
    huge: Option<usize>,
    node: Option<u32>,
}

impl MemoryOptions {
    pub(super) fn new() -> MemoryOptions {
        MemoryOptions::default()
    }

    /// Who may open it, as for `chmod(2)`; 0o600 if nothing is said: this user alone.
    ///
    /// Made memory gets exactly this mode, whatever the umask. Opened memory may be written by those
    /// whom it mentions: with 0o660 it may be that of another user and of a group that this process
    /// is in.
    pub fn mode(mut self, mode: u32) -> MemoryOptions {
        self.mode = Some(mode);
        self
    }

    /// Whether a [`sweep`](crate::shm::sweep()) may remove the memory when nobody has it open; it may, if
    /// nothing is said. With `false` the name stays until it is unlinked, or the machine is started anew.
    pub fn track(mut self, may_be_swept: bool) -> MemoryOptions {
        self.track = Some(may_be_swept);
        self
    }

    /// Whether dropping the handle takes the name away.
    ///
    /// Memory that was made so is gone with its owner even if that is killed: as soon as nobody has
    /// it open, a sweep removes it, nobody can open it, and who makes the name gets new memory.
    pub fn unlink_on_drop(mut self, unlinks: bool) -> MemoryOptions {
        self.unlink_on_drop = unlinks;
        self
    }

    /// Keeps the memory from being swapped out while this process has it, with `mlock(2)`.
    ///
    /// There is a limit to how much a process may lock (`RLIMIT_MEMLOCK`): beyond it the call fails
    /// with `OutOfMemory` or `PermissionDenied`.
    #[doc(alias = "mlock")]
    pub fn lock_in_memory(mut self, locks: bool) -> MemoryOptions {
        self.locked = locks;
        self
    }

    /// Takes pages of `size` bytes (a power of two that the machine has, 2 MiB for instance), for
    /// anonymous memory.
    ///
    /// The length is what was asked for; the last page is taken whole. Huge pages have to be set aside
    /// by the administrator (`/proc/sys/vm/nr_hugepages`): without, the call fails with `OutOfMemory`.
    #[doc(alias = "MFD_HUGETLB")]
    pub fn huge_pages(mut self, size: usize) -> MemoryOptions {
        self.huge = Some(size);
        self
    }

    /// Takes the pages of new memory from this NUMA node, with `mbind(2)`.
    #[doc(alias = "mbind")]
    pub fn numa_node(mut self, node: u32) -> MemoryOptions {
        self.node = Some(node);
        self
    }

    /// As [`SharedMemory::create`].
    ///
    /// # Errors
    ///
    /// As there, and `InvalidInput` for an option that makes no sense here.
    pub fn create(&self, name: &str, len: usize) -> io::Result<SharedMemory> {
        let name = Name::of(name)?;
        self.access()?;
        self.check_for_making(len)?;
        let mut draft = None;
        for _ in 0..RACES {
            // First, because a draft takes all its memory.
            if !is_free(&name)? {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let mut ours = match draft.take() {
                Some(ours) => ours,
                None => self.draft(len)?,
            };
            if ours.publish(&name)? {
                return self.named(ours, true);
            }
            draft = Some(ours);
        }
        Err(restless())
    }

    /// As [`SharedMemory::create_unique`].
    ///
    /// # Errors
    ///
    /// As there, and `InvalidInput` for an option that makes no sense here.
    pub fn create_unique(&self, len: usize) -> io::Result<SharedMemory> {
        let mut draft = self.draft(len)?;
        for _ in 0..RACES {
            if draft.publish(&Name::random()?)? {
                return self.named(draft, true);
            }
        }
        Err(restless())
    }

    /// As [`SharedMemory::open`].
    ///
    /// # Errors
    ///
    /// As there, and `InvalidInput` for an option that makes no sense here.
    pub fn open(&self, name: &str) -> io::Result<SharedMemory> {
        self.forbid_huge_pages()?;
        if self.track.is_some() || self.node.is_some() {
            return Err(refused(
                "whether it is tracked, and its NUMA node, are said by who makes the memory",
            ));
        }
        self.named(Named::join(&Name::of(name)?, self.access()?)?, false)
    }

    /// As [`SharedMemory::open_or_create`].
    ///
    /// # Errors
    ///
    /// As there, and `InvalidInput` for an option that makes no sense here.
    pub fn open_or_create(&self, name: &str, len: usize) -> io::Result<SharedMemory> {
        self.open_or_create_with(name, len, |_| ())
    }

    /// Maps the memory of this name; if there is none yet, makes it and lets `fill` write to it before it
    /// gets the name.
    ///
    /// So nobody else ever sees it half filled, also if the process is killed meanwhile. `fill` gets
    /// zeroed bytes and is called at most once; but what it wrote comes to nothing if somebody else was
    /// faster. If it panics, there is no such memory.
    ///
    /// # Errors
    ///
    /// As for [`SharedMemory::open_or_create`], and `InvalidInput` for an option that makes no sense here.
    pub fn open_or_create_with(
        &self,
        name: &str,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<SharedMemory> {
        let (name, access) = (Name::of(name)?, self.access()?);
        self.check_for_making(len)?;
        let mut fill = Some(fill);
        let mut draft = None;
        for _ in 0..RACES {
            match Named::join(&name, access) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => return self.of_length(other?, len),
            }
            let mut ours = match draft.take() {
                Some(ours) => ours,
                None => self.draft(len)?,
            };
            if let Some(fill) = fill.take() {
                let (start, len) = ours.bytes();
                // SAFETY: mapped, and nobody else's: it is a draft, which no protocol opens.
                fill(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), len) });
            }
            if ours.publish(&name)? {
                return self.named(ours, true);
            }
            draft = Some(ours);
        }
        Err(restless())
    }

    /// As [`SharedMemory::open_foreign`].
    ///
    /// # Errors
    ///
    /// As there, and `InvalidInput` for an option that makes no sense here.
    pub fn open_foreign(&self, name: &str) -> io::Result<SharedMemory> {
        self.forbid_huge_pages()?;
        if self.track.is_some() || self.node.is_some() {
            return Err(refused("what another program made is as that made it"));
        }
        self.named(
            Named::join_foreign(&Name::foreign(name)?, self.access()?)?,
            false,
        )
    }

    /// As [`SharedMemory::anonymous`].
    ///
    /// # Errors
    ///
    /// As there, and `InvalidInput` for an option that makes no sense here.
    pub fn anonymous(&self, len: usize) -> io::Result<SharedMemory> {
        if self.mode.is_some() || self.track.is_some() || self.unlink_on_drop {
            return Err(refused(
                "memory without a name has no mode, is not tracked and is not unlinked",
            ));
        }
        check_length(len)?;
        let huge = self.huge.map(huge_pages).transpose()?;
        let memory = Anonymous::new(len, huge)?;
        place::settle_in(memory.fd(), memory.whole(), self.node)?;
        if self.locked {
            place::lock(memory.whole())?;
        }
        let mut memory = SharedMemory::of_anonymous(memory);
        memory.created = true;
        Ok(memory)
    }

    /// Memory of its full size that has no name yet.
    fn draft(&self, len: usize) -> io::Result<Named> {
        self.check_for_making(len)?;
        let tracked = self.track.unwrap_or(true);
        let header = Named::new_header(len, tracked, self.unlink_on_drop)?;
        let draft = Named::draft(header, self.access()?)?;
        place::settle_in(draft.fd(), draft.whole(), self.node)?;
        header.write(draft.fd())?;
        Ok(draft)
    }

    fn named(&self, named: Named, created: bool) -> io::Result<SharedMemory> {
        let whole = named.whole();
        let mut memory = SharedMemory {
            backing: Backing::Named(Box::new(named)),
            created,
            unlinker: None,
            mode: self.access()?.bits(),
        };
        if self.locked {
            place::lock(whole).inspect_err(|_| {
                if created {
                    let _ = memory.unlink();
                }
            })?;
        }
        // Last: memory that was opened and cannot be had like this keeps its name.
        memory.unlinker = self.unlink_on_drop.then(process::id);
        Ok(memory)
    }

    fn of_length(&self, named: Named, len: usize) -> io::Result<SharedMemory> {
        if named.bytes().1 != len {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "there is memory of that name with another length",
            ));
        }
        self.named(named, false)
    }

    fn access(&self) -> io::Result<Access> {
        self.mode.map_or(Ok(Access::PRIVATE), Access::new)
    }

    fn check_for_making(&self, len: usize) -> io::Result<()> {
        check_length(len)?;
        self.forbid_huge_pages()?;
        if self.unlink_on_drop && self.track == Some(false) {
            return Err(refused(
                "memory that ends with its owner is always swept after it",
            ));
        }
        Ok(())
    }

    fn forbid_huge_pages(&self) -> io::Result<()> {
        match self.huge {
            Some(_) => Err(refused("huge pages are for memory without a name")),
            None => Ok(()),
        }
    }
}

/// How often a name may be taken by others and given up again while it is asked for.
const RACES: usize = 100;

fn restless() -> io::Error {
    io::Error::new(
        io::ErrorKind::ResourceBusy,
        "memory of that name comes and goes all the time",
    )
}

/// Is there nothing of this name? Memory of this user whose owner was killed is removed.
fn is_free(name: &Name) -> io::Result<bool> {
    // Before it is opened, which a link, a folder, or another user's file may not allow.
    match rustix::fs::lstat(name.path()) {
        Ok(stat) if !is_file_of_this_user(&stat) => return Ok(false),
        Ok(_) => {}
        Err(rustix::io::Errno::NOENT) => return Ok(true),
        Err(error) => return Err(error.into()),
    }
    let fd = match open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    let stat = rustix::fs::fstat(&fd)?;
    match Header::read(&fd, stat.st_size) {
        Ok(header) if header.owned => remove_if_unused(&fd, name),
        _ => Ok(false),
    }
}

fn is_file_of_this_user(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && stat.st_uid == rustix::process::geteuid().as_raw()
}

fn check_length(len: usize) -> io::Result<()> {
    match len {
        0 => Err(refused("shared memory has at least one byte")),
        _ => Ok(()),
    }
}

/// What `memfd_create(2)` wants to know about pages of this size.
fn huge_pages(size: usize) -> io::Result<(MemfdFlags, usize)> {
    if !size.is_power_of_two() || size < 1 << 14 {
        return Err(refused(
            "the size of huge pages is a power of two that the machine has",
        ));
    }
    let flags = MemfdFlags::HUGETLB.bits() | size.ilog2() << libc::MFD_HUGE_SHIFT;
    Ok((MemfdFlags::from_bits_retain(flags), size))
}
