//! The directory of a space: which object has which name.
//!
//! Invariant: an entry is read and written by whoever has the first page locked, its state last. A block
//! belongs to the process that makes the object until the entry says where it is ([`PENDING`]); then
//! it is given to no process, and then the entry counts ([`NAMED`]). Killed before, the maker leaves a
//! block of the dead, and an entry that the next one finds to be of a block that nobody keeps. Called
//! by `ipc::space`.
//!
//! Pages are made of atomics: whatever a hostile peer writes there is some name and some place, and a
//! place is checked by the arena as that of any handle.

use super::Space;
use crate::Limit;
use crate::platform::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::arena::Request;
use crate::shm::handle::{Address, Handle};
use crate::shm::named::name::refused;
use crate::shm::refusal::Refusal;
use crate::shm::segment::invalid;
use std::io;
use std::mem;
use std::time::Duration;

/// The longest name, in bytes.
const LONGEST: usize = 64;
const WORDS: usize = LONGEST / 8;
const ENTRIES: usize = 42;
/// More pages than anybody fills: who finds more goes in circles.
const PAGES: usize = 1 << 16;
/// How long others may take for a handful of instructions; they may be stopped.
const PATIENCE: Duration = Duration::from_secs(2);

/// States of an entry. Anything else is free, too.
const PENDING: u32 = 1;
const NAMED: u32 = 2;

#[repr(C, align(64))]
struct Page {
    /// The place of the next page, packed; 0 in the last one.
    next: AtomicU64,
    _reserved: [AtomicU64; 7],
    entries: [Entry; ENTRIES],
}

#[repr(C)]
struct Entry {
    state: AtomicU32,
    /// What the object is, and what it was asked for as.
    kind: AtomicU32,
    len: AtomicU64,
    align: AtomicU32,
    name_len: AtomicU32,
    /// Where the object is, packed.
    place: AtomicU64,
    name: [AtomicU64; WORDS],
}

const _: () = assert!(mem::size_of::<Page>() == 4096);

/// What an object is: one is never opened as what is of another shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: ObjectKind,
    /// What else must be the same, by kind: how many bytes, parties, ...
    pub(crate) len: u64,
    pub(crate) align: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum ObjectKind {
    Lock = 1,
    Value = 2,
    Event = 3,
    RLock = 4,
    RwLock = 5,
    Semaphore = 6,
    BoundedSemaphore = 7,
    Condition = 8,
    Barrier = 9,
    Array = 10,
}

impl Space {
    /// The object of this name, or the one that `make` makes in this space if there is none.
    pub(crate) fn object(
        &'static self,
        name: &str,
        shape: Shape,
        make: impl FnOnce() -> io::Result<Address>,
    ) -> io::Result<Address> {
        let name = pack_name(name)?;
        let mut page = self.first_page()?;
        let first = page.clone();
        let mut held = first.lock(Limit::from(PATIENCE)).map_err(told)?;
        let mut free = None;
        for _ in 0..PAGES {
            for entry in &of(&page).entries {
                match self.state_of(entry) {
                    NAMED if entry.is_called(&name) => {
                        held.mark_consistent();
                        return self.opened(entry, shape);
                    }
                    NAMED => {}
                    _ => {
                        free.get_or_insert(entry);
                    }
                }
            }
            let next = of(&page).next.load(Ordering::Acquire);
            match unpack(next) {
                Some(place) => page = Handle::within(&self.tree, place, page_request())?,
                None => {
                    // Whoever died at it has left no more than an entry that is free again.
                    held.mark_consistent();
                    let entry = match free {
                        Some(entry) => entry,
                        None => &of(&self.append_page(&page)?).entries[0],
                    };
                    let made = make()?;
                    let (index, generation) = made.place();
                    let me = self.tree.roster.me()?;
                    entry.write(&name, shape, made);
                    entry.state.store(PENDING, Ordering::Release);
                    self.tree.arena.keep_for_ever(index, generation, me);
                    entry.state.store(NAMED, Ordering::Release);
                    return Ok(made);
                }
            }
        }
        Err(invalid("the directory of the space goes in circles"))
    }

    /// The state of an entry, after a maker's death is cleared up.
    fn state_of(&self, entry: &Entry) -> u32 {
        let state = entry.state.load(Ordering::Acquire);
        if state != PENDING {
            return state;
        }
        let place = unpack(entry.place.load(Ordering::Relaxed));
        let kept =
            place.is_some_and(|(index, generation)| self.tree.arena.is_kept(index, generation));
        let state = if kept { NAMED } else { 0 };
        entry.state.store(state, Ordering::Release);
        state
    }

    fn opened(&self, entry: &Entry, shape: Shape) -> io::Result<Address> {
        let is_same = entry.kind.load(Ordering::Relaxed) == shape.kind as u32
            && entry.len.load(Ordering::Relaxed) == shape.len
            && entry.align.load(Ordering::Relaxed) == shape.align;
        if !is_same {
            return Err(refused("the name is that of an object of another type"));
        }
        let place = unpack(entry.place.load(Ordering::Relaxed));
        let place = place.ok_or_else(|| invalid("an entry without a place"))?;
        Ok(Address::within(&self.tree, place))
    }

    fn first_page(&'static self) -> io::Result<Handle> {
        let cell = &self.cell().directory;
        if let Some(place) = unpack(cell.load(Ordering::Acquire)) {
            return Handle::within(&self.tree, place, page_request());
        }
        let ours = self.new_page()?;
        // Release: who finds the page finds it empty.
        let first = cell.compare_exchange(
            0,
            pack(ours.address().place()),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match first.map_err(unpack) {
            Ok(_) => Ok(ours),
            Err(Some(place)) => {
                let (index, generation) = ours.address().place();
                if let Ok(_held) = ours.lock(Limit::from(PATIENCE)) {
                    let Space { tree, .. } = self;
                    tree.arena.free_for_ever(index, generation, &tree.roster);
                }
                Handle::within(&self.tree, place, page_request())
            }
            Err(None) => Err(invalid("the space has no directory")),
        }
    }

    /// One more page, after the last one.
    fn append_page(&'static self, last: &Handle) -> io::Result<Handle> {
        let page = self.new_page()?;
        of(last)
            .next
            .store(pack(page.address().place()), Ordering::Release);
        Ok(page)
    }

    /// A page that belongs to no process. Who is killed before it is put somewhere leaves it unused.
    fn new_page(&'static self) -> io::Result<Handle> {
        Handle::new(&self.tree, page_request().for_ever(), |_| ())
    }
}

impl Entry {
    fn is_called(&self, name: &[u64; WORDS + 1]) -> bool {
        u64::from(self.name_len.load(Ordering::Relaxed)) == name[WORDS]
            && (self.name.iter().zip(name)).all(|(has, is)| has.load(Ordering::Relaxed) == *is)
    }

    /// All but the state.
    fn write(&self, name: &[u64; WORDS + 1], shape: Shape, object: Address) {
        for (place, word) in self.name.iter().zip(name) {
            place.store(*word, Ordering::Relaxed);
        }
        self.name_len.store(name[WORDS] as u32, Ordering::Relaxed);
        self.kind.store(shape.kind as u32, Ordering::Relaxed);
        self.len.store(shape.len, Ordering::Relaxed);
        self.align.store(shape.align, Ordering::Relaxed);
        self.place.store(pack(object.place()), Ordering::Relaxed);
    }
}

fn page_request() -> Request {
    Request::new(mem::size_of::<Page>(), mem::align_of::<Page>())
}

fn of(page: &Handle) -> &'static Page {
    // SAFETY: a handle for a page: room and alignment are right, the memory is never unmapped, and a
    // page is made of atomics.
    unsafe { page.payload().cast().as_ref() }
}

fn pack((index, generation): (u32, u32)) -> u64 {
    (u64::from(index) + 1) << 32 | u64::from(generation)
}

/// `None` for 0, and for what cannot be a place.
fn unpack(place: u64) -> Option<(u32, u32)> {
    let index = (place >> 32) as u32;
    Some((index.checked_sub(1)?, place as u32))
}

/// A name as words, and its length behind.
fn pack_name(name: &str) -> io::Result<[u64; WORDS + 1]> {
    if name.is_empty() || name.len() > LONGEST {
        return Err(refused("the name of an object has 1 to 64 bytes"));
    }
    let mut bytes = [0; LONGEST];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    let mut words = [0; WORDS + 1];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words[WORDS] = name.len() as u64;
    Ok(words)
}

fn told(refusal: Refusal) -> io::Error {
    match refusal {
        Refusal::Unlisted(error) => error,
        Refusal::GaveUp(_) => io::Error::new(
            io::ErrorKind::ResourceBusy,
            "a process that names an object has been stopped",
        ),
        Refusal::Corrupt | Refusal::Gone => invalid("the directory of the space is corrupt"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::space;

    /// A space of this process alone, whose name is gone again.
    fn space() -> &'static Space {
        let [high, low] = crate::shm::segment::random_id().unwrap();
        let name = format!("directory-{high:x}{low:x}");
        let name = crate::shm::named::name::Name::of_space(&name).unwrap();
        let space = space::open_or_create(&name).unwrap();
        space.remove().unwrap();
        space
    }

    const SHAPE: Shape = Shape {
        kind: ObjectKind::Value,
        len: 8,
        align: 8,
    };

    fn named(space: &'static Space, name: &str, initial: u64) -> u64 {
        let mut made = None;
        let address = space.object(name, SHAPE, || {
            let handle = Handle::holding(&space.tree, &initial.to_ne_bytes(), 8)?;
            Ok(made.insert(handle).address())
        });
        let handle = Handle::at(address.unwrap(), Request::new(8, 8)).unwrap();
        let held = handle.lock(Limit::none()).unwrap();
        // SAFETY: eight aligned bytes, locked.
        unsafe { held.payload().cast().read() }
    }

    /// Leaves an entry as a maker does that is killed after it has said where its object is.
    fn half_named(space: &'static Space, name: &str, kept: bool) -> Handle {
        let page = space.first_page().unwrap();
        let mut entries = of(&page).entries.iter();
        let free = |entry: &&Entry| entry.state.load(Ordering::Relaxed) == 0;
        let entry = entries.find(free).unwrap();
        let object = Handle::holding(&space.tree, &7_u64.to_ne_bytes(), 8).unwrap();
        let name = pack_name(name).unwrap();
        entry.write(&name, SHAPE, object.address());
        entry.state.store(PENDING, Ordering::Release);
        if kept {
            let (index, generation) = object.address().place();
            let me = space.tree.roster.me().unwrap();
            space.tree.arena.keep_for_ever(index, generation, me);
        }
        object
    }

    #[test]
    fn an_object_that_was_given_away_is_named_and_one_that_was_not_is_none() {
        let space = space();
        assert_eq!(named(space, "whole", 1), 1);
        drop(half_named(space, "kept", true));
        assert_eq!(named(space, "kept", 2), 7);
        let lost = half_named(space, "lost", false);
        assert_eq!(named(space, "lost", 3), 3);
        drop(lost);
        // It was not the entry of another, and the block is not taken for one of the space.
        for (name, value) in [("whole", 1), ("kept", 7), ("lost", 3)] {
            assert_eq!(named(space, name, 9), value);
        }
    }

    #[test]
    fn a_directory_in_circles_is_an_error() {
        let space = space();
        named(space, "one", 1);
        let page = space.first_page().unwrap();
        of(&page)
            .next
            .store(pack(page.address().place()), Ordering::Relaxed);
        let error = space.object("two", SHAPE, || unreachable!()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_place_that_is_made_up_is_an_error() {
        let space = space();
        named(space, "one", 1);
        let page = space.first_page().unwrap();
        for place in [
            0,
            1,
            u64::MAX,
            pack((1 << 30, 0)),
            pack((0, 5)),
            pack(page.address().place()),
        ] {
            of(&page).entries[0].place.store(place, Ordering::Relaxed);
            let opened = space.object("one", SHAPE, || unreachable!());
            let opened = opened.and_then(|address| Handle::at(address, Request::new(8, 8)));
            // Of a past generation there may be a handle, for which everything is gone.
            if let Ok(handle) = opened {
                assert!(!handle.is_current(), "{place:#x}");
            }
        }
    }
}
