//! Memory with a name in /dev/shm, for processes that have nothing else in common.
//!
//! Invariant: a name leads to finished memory or to nothing. It is made under the name of a draft
//! (sized, paid for, with its header and whatever its first user puts there), and then gets its own by
//! one `renameat2(2)` that replaces nothing; so there is one creator, nobody meets half of it, and
//! a creator that is killed leaves a draft that only a sweep ever looks at. Whoever maps memory has
//! become one of its users before ([`claim`]), and finds afterwards that the name still led there.
//! Called by `shm::memory`.
//!
//! The crate `shared_memory` maps. It is told that it does not own the name, which it would otherwise
//! unlink without a look at what has it by then; and the name it gets is that of a file which the
//! descriptor here keeps from being removed meanwhile.

pub(crate) mod claim;
pub(crate) mod draft;
pub(crate) mod file;
pub(crate) mod header;
pub(crate) mod name;

use super::segment::{invalid, random_id, set_len};
use claim::{Claim, become_user, settle, take_away};
use draft::Draft;
use file::{Access, FileId, standard_numbers};
use header::Header;
use name::Name;
use shared_memory::{Shmem, ShmemConf, ShmemError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// Named memory that this process has mapped, as one of its users.
pub(crate) struct Named {
    name: Name,
    /// Takes the name away again unless it is published.
    draft: Option<Draft>,
    file: FileId,
    /// `None` for memory that another program made.
    header: Option<Header>,
    base: NonNull<u8>,
    mapping: Shmem,
    /// The open file that holds the user's lock.
    fd: OwnedFd,
}

// SAFETY: the mapping belongs to the process and not to a thread, and nothing here changes after it
// is made but by `&mut self`; what is shared in the memory is the business of `shm::memory`.
unsafe impl Send for Named {}
// SAFETY: as above.
unsafe impl Sync for Named {}

impl Named {
    /// Makes memory that nobody can find yet. Its bytes are zero and not yet paid for.
    pub(crate) fn draft(header: Header, access: Access) -> io::Result<Named> {
        let size = header.len.checked_add(header::LEN);
        let size = size.ok_or(io::ErrorKind::OutOfMemory)?;
        let (draft, fd) = Draft::new(access)?;
        set_len(&fd, size)?;
        let (base, mapping) = map(draft.name())?;
        Ok(Named {
            name: draft.name().clone(),
            file: draft.file(),
            draft: Some(draft),
            header: Some(header),
            base,
            mapping,
            fd,
        })
    }

    /// A header for new memory.
    pub(crate) fn new_header(len: usize, tracked: bool, owned: bool) -> io::Result<Header> {
        Ok(Header {
            len,
            id: random_id()?,
            tracked,
            owned,
        })
    }

    /// Lets a draft be found under `name`; `false` if something else has it.
    pub(crate) fn publish(&mut self, name: &Name) -> io::Result<bool> {
        if let Some(draft) = self.draft.take() {
            if let Some(draft) = draft.publish(name)? {
                self.draft = Some(draft);
                return Ok(false);
            }
            self.name = name.clone();
        }
        Ok(true)
    }

    /// Maps the memory of this name, if there is some.
    ///
    /// What belonged to one process, and has no user any more, is removed and not there.
    pub(crate) fn join(name: &Name, access: Access) -> io::Result<Named> {
        settle(|| {
            let fd = file::open(name)?;
            let stat = rustix::fs::fstat(&fd)?;
            access.check(&stat)?;
            let header = Header::read(&fd, stat.st_size)?;
            if header.owned && remove_if_unused(&fd, name)? || !become_user(&fd)? {
                return Ok(None);
            }
            let file = FileId::from(&stat);
            let mapped = Named::mapped(name, file, Some(header), fd);
            // Looked up after it was mapped by its name: a name that is taken away from a file
            // never comes back to it.
            if file.is_called(name)? {
                mapped.map(Some)
            } else {
                Ok(None)
            }
        })
    }

    /// Maps memory that another program made and named.
    pub(crate) fn join_foreign(name: &Name, access: Access) -> io::Result<Named> {
        settle(|| {
            let fd = file::open(name)?;
            let stat = rustix::fs::fstat(&fd)?;
            access.check(&stat)?;
            let file = FileId::from(&stat);
            let mapped = Named::mapped(name, file, None, fd);
            if file.is_called(name)? {
                mapped.map(Some)
            } else {
                Ok(None)
            }
        })
    }

    fn mapped(name: &Name, file: FileId, header: Option<Header>, fd: OwnedFd) -> io::Result<Named> {
        if rustix::fs::fstat(&fd)?.st_size == 0 {
            return Err(invalid("the memory of that name is empty"));
        }
        let (base, mapping) = map(name)?;
        let named = Named {
            name: name.clone(),
            draft: None,
            file,
            header,
            base,
            mapping,
            fd,
        };
        match header {
            Some(header) if named.mapping.len() != header.len + header::LEN => {
                Err(invalid("the memory of that name has changed its size"))
            }
            _ => Ok(named),
        }
    }

    /// Takes the name away. `NotFound` if it leads elsewhere or nowhere by now.
    pub(crate) fn remove(&self) -> io::Result<()> {
        take_away(&self.name, self.file, || file::open(&self.name))
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// All that is mapped: the header, too.
    pub(crate) fn whole(&self) -> (NonNull<u8>, usize) {
        (self.base, self.mapping.len())
    }

    /// Where the user's bytes are, and how many.
    pub(crate) fn bytes(&self) -> (NonNull<u8>, usize) {
        let (base, len) = self.whole();
        match &self.header {
            // SAFETY: the mapping is `header::LEN` bytes longer than the user's part.
            Some(header) => (unsafe { base.add(header::LEN) }, header.len),
            None => (base, len),
        }
    }
}

/// Removes memory from its name if nobody uses it.
pub(crate) fn remove_if_unused(fd: &OwnedFd, name: &Name) -> io::Result<bool> {
    match Claim::attempt(fd.as_fd())? {
        Some(claim) => claim.remove(name).map(|_| true),
        None => Ok(false),
    }
}

/// Maps the file that has this name, all of it, and says where.
fn map(name: &Name) -> io::Result<(NonNull<u8>, Shmem)> {
    let _taken = standard_numbers()?;
    let opened = ShmemConf::new().os_id(name.os_id()).open();
    let mut mapping = opened.map_err(|error| match error {
        ShmemError::MapOpenFailed(code)
        | ShmemError::MapCreateFailed(code)
        | ShmemError::UnknownOsError(code) => io::Error::from_raw_os_error(code as i32),
        other => io::Error::other(other),
    })?;
    mapping.set_owner(false);
    let base = NonNull::new(mapping.as_ptr()).ok_or_else(|| invalid("mapped at address zero"))?;
    Ok((base, mapping))
}
