//! A thread's own short way to its values, and what happens to them when it ends.
//!
//! Each [`Local`](super::Local) has an index, which is given to another when it ends, and a number, which
//! never is. A thread keeps an array by index of the number and the address of the value: an access looks
//! there and nowhere else. An entry whose number is another's is nobody's.
//!
//! The invariant: **an address in the table is that of a value in its place, as long as the `Local` of that
//! number lives.** A value leaves its place when its thread ends, after the table is shut (here), or with
//! `&mut Local`, which changes the number.
//!
//! The destructor of a thread-local of std shuts the table and has the places drop what they hold for the
//! thread. Between that and the thread's end there is no way to a value, and none is made.

use super::LocalError;
use crate::platform::thread_local;
use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a `Local` is called.
#[derive(Clone, Copy)]
pub(super) struct Key {
    /// Its entry in every thread's table. Another `Local` has it later.
    index: usize,
    /// Never 0, and never another's.
    number: usize,
}

/// A place that forgets what it holds for a thread.
pub(super) trait Leave: Send + Sync {
    fn leave(&self, thread: usize);
}

/// What an access looks at.
#[derive(Clone)]
struct Entry {
    number: Cell<usize>,
    /// Null while the value is being made.
    value: Cell<*const ()>,
}

impl Entry {
    fn nobodys() -> Entry {
        Entry {
            number: Cell::new(0),
            value: Cell::new(ptr::null()),
        }
    }
}

/// The array of entries, which [`Table`] owns.
struct View {
    entries: Cell<*const Entry>,
    length: Cell<usize>,
    /// The thread has come to its destructors.
    is_shut: Cell<bool>,
}

struct Table {
    /// Never given again; 0 until the thread has a value.
    thread: Cell<usize>,
    owned: RefCell<Owned>,
}

struct Owned {
    entries: Vec<Entry>,
    /// Of the same length: where the values are. `Weak`, so that nothing but an empty place outlives its
    /// `Local`.
    places: Vec<Option<Weak<dyn Leave>>>,
}

thread_local! {
    /// It needs no destructor, so that an access need not ask whether it is there.
    static VIEW: View = const {
        View { entries: Cell::new(ptr::null()), length: Cell::new(0), is_shut: Cell::new(false) }
    };
}

thread_local! {
    static TABLE: Table = const {
        Table {
            thread: Cell::new(0),
            owned: RefCell::new(Owned { entries: Vec::new(), places: Vec::new() }),
        }
    };
}

impl View {
    #[inline]
    fn entry(&self, key: Key) -> Option<&Entry> {
        if key.index >= self.length.get() {
            return None;
        }
        // SAFETY: there are `length` entries, which go away in `enter` and in `Table::drop` only, in this
        // thread, and each changes the view first. Neither is called by those who look at an entry.
        let entry = unsafe { &*self.entries.get().add(key.index) };
        (entry.number.get() == key.number).then_some(entry)
    }
}

/// The current thread's value, or null.
#[inline]
pub(super) fn find(key: Key) -> *const () {
    let find = |view: &View| {
        view.entry(key)
            .map_or(ptr::null(), |entry| entry.value.get())
    };
    VIEW.try_with(find).unwrap_or(ptr::null())
}

/// Why there is no value to be found.
pub(super) fn why_not(key: Key) -> LocalError {
    let why = |view: &View| match view.entry(key) {
        _ if view.is_shut.get() => LocalError::Ended,
        Some(_) => LocalError::Initialising,
        None => LocalError::Empty,
    };
    VIEW.try_with(why).unwrap_or(LocalError::Ended)
}

/// An entry whose value is being made; empty again if this is dropped.
pub(super) struct Making {
    key: Key,
    thread: usize,
}

/// Begins to make a value for the current thread, which has none.
pub(super) fn begin(key: Key) -> Result<Making, LocalError> {
    match why_not(key) {
        LocalError::Empty => {}
        why => return Err(why),
    }
    let begun = TABLE.try_with(|table| {
        if table.thread.get() == 0 {
            table.thread.set(new_number(&THREADS));
        }
        let before = table.enter(key);
        // It only frees the place of a `Local` that is gone.
        drop(before);
        table.thread.get()
    });
    match begun {
        Ok(thread) => Ok(Making { key, thread }),
        Err(_) => Err(LocalError::Ended),
    }
}

impl Making {
    /// The number of the thread, for the place.
    pub(super) fn thread(&self) -> usize {
        self.thread
    }

    /// The value is in its place: from now on it is found.
    pub(super) fn complete<T>(self, value: *const T, place: Weak<dyn Leave>) {
        let index = self.key.index;
        let set = |table: &Table| {
            let mut owned = table.owned.borrow_mut();
            owned.entries[index].value.set(value.cast());
            owned.places[index] = Some(place);
        };
        TABLE.try_with(set).expect("nothing ends while it is used");
        std::mem::forget(self);
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let _ = TABLE.try_with(|table| table.owned.borrow().entries[self.key.index].number.set(0));
    }
}

impl Table {
    /// Gives the entry to `key`. What it held was another's, who is gone.
    fn enter(&self, key: Key) -> Option<Weak<dyn Leave>> {
        let mut owned = self.owned.borrow_mut();
        if key.index >= owned.entries.len() {
            let length = (key.index + 1).next_power_of_two().max(8);
            let mut entries = Vec::with_capacity(length);
            entries.extend(owned.entries.iter().cloned());
            entries.resize_with(length, Entry::nobodys);
            let _ = VIEW.try_with(|view| {
                view.entries.set(entries.as_ptr());
                view.length.set(length);
            });
            owned.entries = entries;
            owned.places.resize_with(length, || None);
        }
        let entry = &owned.entries[key.index];
        entry.value.set(ptr::null());
        entry.number.set(key.number);
        owned.places[key.index].take()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let _ = VIEW.try_with(|view| {
            view.is_shut.set(true);
            view.length.set(0);
            view.entries.set(ptr::null());
        });
        for place in self.owned.get_mut().places.drain(..).flatten() {
            if let Some(place) = place.upgrade() {
                place.leave(self.thread.get());
            }
        }
    }
}

static LOCALS: AtomicUsize = AtomicUsize::new(1);
static THREADS: AtomicUsize = AtomicUsize::new(1);

/// One more than the last. Were they used up, which takes centuries with 64 bits, an entry could be taken
/// for another's.
fn new_number(last: &AtomicUsize) -> usize {
    match last.fetch_add(1, Ordering::Relaxed) {
        0 => std::process::abort(),
        number => number,
    }
}

/// The indexes that are free. Not the platform's lock: a model has nothing to find here, and indexes
/// go on from one of its executions to the next.
static INDEXES: parking_lot::Mutex<Indexes> = parking_lot::Mutex::new(Indexes {
    free: Vec::new(),
    next: 0,
});

struct Indexes {
    free: Vec<usize>,
    next: usize,
}

impl Key {
    pub(super) fn new() -> Key {
        let mut indexes = INDEXES.lock();
        let index = indexes.free.pop().unwrap_or_else(|| {
            indexes.next += 1;
            indexes.next - 1
        });
        Key {
            index,
            number: new_number(&LOCALS),
        }
    }

    /// Its `Local` is gone, with all values: the index may be another's.
    pub(super) fn give_back(self) {
        INDEXES.lock().free.push(self.index);
    }
}
