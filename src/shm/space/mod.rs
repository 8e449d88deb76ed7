//! Spaces: a roster and an arena in a file with a name, for processes that have nothing else in common.
//!
//! Invariant: a process opens the file of a space once, and closes none of its descriptors of it before it
//! ends. The roster's record locks would go with any of them, and everybody would believe that this
//! process is dead. Hence a table of what is open, which only grows; it has no lock, because a process may
//! fork at any moment. What is not found there may be opened and closed during a [`Visit`]. Called by `ipc::space`, and by `shm::sweep` which opens whatever there is.
//!
//! The file is made as a draft and published whole, as all named memory is. A page for its header comes
//! first, then one for the [`Cell`], the roster, and the arena, which is mostly address space.

mod directory;

pub(crate) use directory::{ObjectKind, Shape};

use super::Tree;
use super::arena::Arena;
use super::named::claim::{become_user, settle, take_away};
use super::named::draft::Draft;
use super::named::file::{self, Access, FileId};
use super::named::header::{self, Header};
use super::named::name::Name;
use super::roster::{self, Roster};
use super::segment::{HEADER_LEN, Id, Kind, Segment, invalid, random_id, set_len};
use crate::platform::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::platform::yield_now;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr;

const CELL_AT: usize = header::LEN;
const CELL_LEN: usize = 4096;
const ROSTER_AT: usize = CELL_AT + CELL_LEN;
/// A multiple of what any machine calls a page.
const ARENA_AT: usize = 128 << 10;
const _: () = assert!(ROSTER_AT + roster::LEN <= ARENA_AT);

/// How often a name may be taken and given up again while it is asked for.
const RACES: usize = 100;

/// A space that this process has open, for good.
pub(crate) struct Space {
    name: Name,
    file: FileId,
    cell: Segment,
    tree: Tree,
    /// Its open file holds the user's lock.
    _fd: OwnedFd,
    /// Whether all visits are over that had not found it in the table.
    is_awaited: AtomicBool,
    next: AtomicPtr<Space>,
}

/// Where to begin.
#[repr(C)]
struct Cell {
    /// The place of the directory's first page, packed; 0 before there is one.
    directory: AtomicU64,
}

/// All that are open in this process, the newest first.
static OPEN: AtomicPtr<Space> = AtomicPtr::new(ptr::null_mut());

fn all() -> impl Iterator<Item = &'static Space> {
    // SAFETY: what is in the table came from `Box::leak`. Acquire: pairs with `register`.
    let load = |place: &AtomicPtr<Space>| unsafe { place.load(Ordering::Acquire).as_ref() };
    std::iter::successors(load(&OPEN), move |space| load(&space.next))
}

/// The space with this arena, if this process has it open.
pub(crate) fn tree_of(arena: Id) -> Option<&'static Tree> {
    all()
        .filter(|space| space.is_awaited.load(Ordering::Acquire))
        .map(|space| &space.tree)
        .find(|tree| tree.arena.id() == arena)
}

/// Opens the space of this name.
pub(crate) fn open(name: &Name) -> io::Result<&'static Space> {
    settle(|| {
        let visit = Visit::begin();
        if let Some(open) = opened_before(name)? {
            drop(visit);
            return Ok(Some(open.awaited()));
        }
        let fd = file::open(name)?;
        let stat = rustix::fs::fstat(&fd)?;
        Access::PRIVATE.check(&stat)?;
        let header = Header::read(&fd, stat.st_size)?;
        let file = FileId::from(&stat);
        if !become_user(&fd)? || !file.is_called(name)? {
            return Ok(None);
        }
        let space = Space::attach(name.clone(), file, header, fd)?;
        // Addresses tell spaces apart by the arena.
        let same = |other: &Space| other.tree.arena.id() == space.tree.arena.id();
        if all().any(|other| other.file != file && same(other)) {
            return Err(invalid("the space is a copy of one that this process has"));
        }
        // It is not closed any more.
        drop(visit);
        Ok(Some(space.register()))
    })
}

/// Opens the space of this name, made now if there is none.
pub(crate) fn open_or_create(name: &Name) -> io::Result<&'static Space> {
    let mut ours = None;
    for _ in 0..RACES {
        match open(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let (draft, space) = match ours.take() {
            Some(ours) => ours,
            None => Space::draft(name.clone())?,
        };
        match draft.publish(name)? {
            None => return Ok(space.register()),
            Some(draft) => ours = Some((draft, space)),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        "a space of that name comes and goes all the time",
    ))
}

fn opened_before(name: &Name) -> io::Result<Option<&'static Space>> {
    match rustix::fs::lstat(name.path()) {
        Ok(stat) => {
            let file = FileId::from(&stat);
            Ok(all().find(|space| space.file == file))
        }
        Err(error) => Err(error.into()),
    }
}

impl Space {
    /// Makes a space that nobody can find yet.
    fn draft(name: Name) -> io::Result<(Draft, Space)> {
        let (draft, fd) = Draft::new(Access::PRIVATE)?;
        set_len(&fd, ARENA_AT)?;
        let roster = Roster::create_within((fd.try_clone()?, ROSTER_AT))?;
        let cell = (fd.try_clone()?, CELL_AT);
        let cell = Segment::create_within(cell, Kind::Space, CELL_LEN, roster.id())?;
        let arena = Arena::create_within((fd.try_clone()?, ARENA_AT), &roster)?;
        let size = usize::try_from(rustix::fs::fstat(&fd)?.st_size).unwrap_or(0);
        let header = Header {
            len: size - header::LEN,
            id: random_id()?,
            tracked: true,
            owned: false,
        };
        header.write(&fd)?;
        let space = Space {
            name,
            file: draft.file(),
            cell,
            tree: Tree { roster, arena },
            _fd: fd,
            is_awaited: AtomicBool::new(false),
            next: AtomicPtr::new(ptr::null_mut()),
        };
        Ok((draft, space))
    }

    fn attach(name: Name, file: FileId, header: Header, fd: OwnedFd) -> io::Result<Space> {
        let arena_len = (header.len + header::LEN).checked_sub(ARENA_AT);
        let arena_len = arena_len.ok_or_else(|| invalid("the space is too short"))?;
        let part = |at| Ok::<_, io::Error>((fd.try_clone()?, at));
        let roster = Roster::attach_within(part(ROSTER_AT)?)?;
        let cell = Segment::attach_within(part(CELL_AT)?, Kind::Space, CELL_LEN)?;
        if cell.partner() != roster.id() {
            return Err(invalid("the parts of the space do not belong together"));
        }
        let arena = Arena::attach_within(part(ARENA_AT)?, arena_len, &roster)?;
        Ok(Space {
            name,
            file,
            cell,
            tree: Tree { roster, arena },
            _fd: fd,
            is_awaited: AtomicBool::new(false),
            next: AtomicPtr::new(ptr::null_mut()),
        })
    }

    /// Puts it into the table. If another thread has done so with the same file meanwhile, it is that, and
    /// this one stays open unused.
    fn register(self) -> &'static Space {
        watch_forks();
        let ours: &'static Space = Box::leak(Box::new(self));
        loop {
            let newest = OPEN.load(Ordering::Acquire);
            if let Some(other) = all().find(|space| space.file == ours.file) {
                return other.awaited();
            }
            // Relaxed: published by the exchange.
            ours.next.store(newest, Ordering::Relaxed);
            let place = ptr::from_ref(ours).cast_mut();
            // Release: who finds it finds it complete. Fails if the table has grown since it was looked at.
            let added = OPEN.compare_exchange(newest, place, Ordering::Release, Ordering::Relaxed);
            if added.is_ok() {
                return ours.awaited();
            }
        }
    }

    /// Ready to be used. The caller has no [`Visit`].
    fn awaited(&'static self) -> &'static Space {
        if !self.is_awaited.load(Ordering::Acquire) {
            await_visits();
            // Release: who finds it set comes after those visits, too.
            self.is_awaited.store(true, Ordering::Release);
        }
        self
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn tree(&'static self) -> &'static Tree {
        &self.tree
    }

    fn cell(&self) -> &Cell {
        // SAFETY: made of atomics.
        unsafe { self.cell.at(HEADER_LEN) }
    }

    /// Takes the name away. `NotFound` if it leads elsewhere or nowhere by now.
    pub(crate) fn remove(&self) -> io::Result<()> {
        // Stays open for good, as everything does of this file.
        take_away(&self.name, self.file, || {
            file::open(&self.name).map(|fd| &*Box::leak(Box::new(fd)))
        })
    }
}

/// How many threads are at what a [`Visit`] is for.
static VISITS: AtomicU32 = AtomicU32::new(0);

/// While there is one, no space is put into the table and used: a file that is not found there may be opened
/// and closed. The record lock, which that would cost, is only taken by who uses the space.
pub(crate) struct Visit(());

impl Visit {
    pub(crate) fn begin() -> Visit {
        watch_forks();
        // AcqRel: see `await_visits`.
        VISITS.fetch_add(1, Ordering::AcqRel);
        Visit(())
    }

    /// Has this process that space open?
    pub(crate) fn finds(&self, file: FileId) -> bool {
        all().any(|space| space.file == file)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        // Release: whoever sees that this one is over comes after what it has closed.
        VISITS.fetch_sub(1, Ordering::Release);
    }
}

/// Waits for those who have looked at the table before it was changed by the caller: some system calls.
fn await_visits() {
    // AcqRel, and a change of the same word that each visit begins with: a later visit comes after this one and
    // so after the change of the table, an earlier one is counted here.
    while VISITS.fetch_add(0, Ordering::AcqRel) != 0 {
        yield_now();
    }
}

/// From now on a forked child begins without a name in any space, and without the visits of threads that
/// it does not have.
fn watch_forks() {
    extern "C" fn in_child() {
        VISITS.store(0, Ordering::Relaxed);
        all().for_each(|space| space.tree.roster.forget_me());
    }
    // Twice, by two threads at the same time, does no harm.
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if WATCHED.load(Ordering::Acquire) {
        return;
    }
    // As for the process's own tree: better to end here than to corrupt what others share.
    // SAFETY: the handler is a function of the program and does atomic operations only.
    let registered = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    assert_eq!(registered, 0, "pthread_atfork is out of memory");
    WATCHED.store(true, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    /// Else a sweep closes the file that it has opened before, and with that goes the record lock.
    #[test]
    fn a_space_is_used_when_visits_before_are_over() {
        let [high, low] = random_id().unwrap();
        let name = Name::of_space(&format!("visit-{high:x}{low:x}")).unwrap();
        let visit = Visit::begin();
        thread::scope(|scope| {
            let opener = scope.spawn(|| open_or_create(&name).unwrap());
            let inside = || all().find(|space| space.name == name);
            while inside().is_none() {
                yield_now();
            }
            thread::sleep(Duration::from_millis(30));
            assert!(!opener.is_finished());
            drop(visit);
            opener.join().unwrap().remove().unwrap();
        });
    }
}
