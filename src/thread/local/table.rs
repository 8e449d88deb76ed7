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
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::platform::{const_fn, thread_local};
use crate::sync::Once;
use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};
use std::sync::Weak;
use std::sync::atomic::AtomicUsize as Counter;

/// What a `Local` is called, once it has a name.
pub(super) struct Key {
    given: Once<()>,
    /// Its entry in every thread's table; another `Local` has it later. Beyond every table as long as there is
    /// none.
    index: AtomicUsize,
    /// Never 0, and never another's.
    number: AtomicUsize,
}

/// A place that forgets what it holds for a thread.
pub(super) trait Leave: Send + Sync {
    fn leave(&self, thread: usize);
}

/// What an access looks at.
#[derive(Clone)]
struct Entry {
    /// 0: nobody's.
    number: Cell<usize>,
    value: Cell<NonNull<()>>,
}

impl Entry {
    fn nobodys() -> Entry {
        Entry {
            number: Cell::new(0),
            value: Cell::new(NonNull::dangling()),
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
    /// Of the same length.
    values: Vec<Held>,
}

/// What an entry is about.
enum Held {
    Nothing,
    /// The `Local` of this number has no value yet, and its thread is in the initialiser.
    Making(usize),
    /// In this place. `Weak`, so that nothing but an empty place outlives its `Local`.
    Value(Weak<dyn Leave>),
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
            owned: RefCell::new(Owned { entries: Vec::new(), values: Vec::new() }),
        }
    };
}

/// The current thread's value.
#[inline]
pub(super) fn find(key: &Key) -> Option<NonNull<()>> {
    let find = |view: &View| {
        // Acquire pairs with the Release in `Key::give`.
        let index = key.index.load(Ordering::Acquire);
        if index >= view.length.get() {
            return None;
        }
        // SAFETY: there are `length` entries, which go away in `enter` and in `Table::drop` only, in this
        // thread, and each changes the view first.
        let entry = unsafe { &*view.entries.get().add(index) };
        let is_its = entry.number.get() == key.number.load(Ordering::Relaxed);
        is_its.then(|| entry.value.get())
    };
    VIEW.try_with(find).unwrap_or(None)
}

/// Why there is no value to be found.
pub(super) fn why_not(key: &Key) -> LocalError {
    let index = key.index.load(Ordering::Acquire);
    let view = |view: &View| (view.is_shut.get(), index < view.length.get());
    match VIEW.try_with(view) {
        Ok((false, false)) => return LocalError::Empty,
        Ok((false, true)) => {}
        _ => return LocalError::Ended,
    }
    let number = key.number.load(Ordering::Relaxed);
    let is_making = |table: &Table| {
        let owned = table.owned.borrow();
        matches!(owned.values[index], Held::Making(its) if its == number)
    };
    match TABLE.try_with(is_making) {
        Ok(false) => LocalError::Empty,
        Ok(true) => LocalError::Initialising,
        Err(_) => LocalError::Ended,
    }
}

/// An entry whose value is being made; nobody's again if this is dropped.
pub(super) struct Making {
    index: usize,
    number: usize,
    thread: usize,
}

/// Begins to make a value for the current thread, which has none. The key has been given.
pub(super) fn begin(key: &Key) -> Result<Making, LocalError> {
    match why_not(key) {
        LocalError::Empty => {}
        why => return Err(why),
    }
    let index = key.index.load(Ordering::Acquire);
    let number = key.number.load(Ordering::Relaxed);
    let begun = TABLE.try_with(|table| {
        if table.thread.get() == 0 {
            table.thread.set(new_number(&THREADS));
        }
        table.enter(index, number);
        Making {
            index,
            number,
            thread: table.thread.get(),
        }
    });
    begun.map_err(|_| LocalError::Ended)
}

impl Making {
    /// The number of the thread, for the place.
    pub(super) fn thread(&self) -> usize {
        self.thread
    }

    /// The value is in its place: from now on it is found.
    pub(super) fn complete<T>(self, value: NonNull<T>, place: Weak<dyn Leave>) {
        let set = |table: &Table| {
            let mut owned = table.owned.borrow_mut();
            owned.values[self.index] = Held::Value(place);
            let entry = &owned.entries[self.index];
            entry.value.set(value.cast());
            entry.number.set(self.number);
        };
        TABLE.try_with(set).expect("nothing ends while it is used");
        std::mem::forget(self);
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let _ = TABLE.try_with(|table| table.owned.borrow_mut().values[self.index] = Held::Nothing);
    }
}

impl Table {
    /// Gives the entry to the `Local` of this number. What it held was another's, who is gone.
    fn enter(&self, index: usize, number: usize) {
        let owned = &mut *self.owned.borrow_mut();
        if index >= owned.entries.len() {
            let length = (index + 1).next_power_of_two().max(8);
            let mut entries = Vec::with_capacity(length);
            entries.extend(owned.entries.iter().cloned());
            entries.resize_with(length, Entry::nobodys);
            let _ = VIEW.try_with(|view| {
                view.entries.set(entries.as_ptr());
                view.length.set(length);
            });
            owned.entries = entries;
            owned.values.resize_with(length, || Held::Nothing);
        }
        owned.entries[index].number.set(0);
        // At most it frees the empty place of a `Local` that is gone.
        owned.values[index] = Held::Making(number);
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let _ = VIEW.try_with(|view| {
            view.is_shut.set(true);
            view.length.set(0);
            view.entries.set(ptr::null());
        });
        for held in self.owned.get_mut().values.drain(..) {
            if let Held::Value(place) = held
                && let Some(place) = place.upgrade()
            {
                place.leave(self.thread.get());
            }
        }
    }
}

/// What only numbers things goes on from one execution of a model to the next.
static LOCALS: Counter = Counter::new(1);
static THREADS: Counter = Counter::new(1);

/// One more than the last. Were they used up, which takes centuries with 64 bits, an entry could be taken
/// for another's.
fn new_number(last: &Counter) -> usize {
    match last.fetch_add(1, Ordering::Relaxed) {
        0 => std::process::abort(),
        number => number,
    }
}

/// The indexes that are free. Not modelled, for the same reason.
#[cfg(not(loom))]
static INDEXES: crate::platform::Mutex<Indexes> = crate::platform::Mutex::new(Indexes::NONE);
#[cfg(loom)]
static INDEXES: std::sync::Mutex<Indexes> = std::sync::Mutex::new(Indexes::NONE);

#[cfg(not(loom))]
fn indexes() -> crate::platform::ShortGuard<'static, Indexes> {
    INDEXES.lock()
}
#[cfg(loom)]
fn indexes() -> std::sync::MutexGuard<'static, Indexes> {
    // A panic ends the model anyway.
    INDEXES
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Indexes {
    free: Vec<usize>,
    next: usize,
}

impl Indexes {
    const NONE: Indexes = Indexes {
        free: Vec::new(),
        next: 0,
    };
}

/// What a fork does to the indexes: they are held while that happens. Values of threads that do not come along stay
/// as long as their `Local`.
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork {
    use super::INDEXES;

    pub(crate) fn hold() {
        INDEXES.hold();
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe { INDEXES.let_go() };
    }
}

/// No table is so long.
const NOWHERE: usize = usize::MAX;

impl Key {
    const_fn! {
        /// No name yet, so that a static can have one.
        pub(super) fn new() -> Key {
            Key {
                given: Once::new(),
                index: AtomicUsize::new(NOWHERE),
                number: AtomicUsize::new(0),
            }
        }
    }

    /// Names it, if that has not been done.
    pub(super) fn give(&self) {
        self.given.get_or_init(|| {
            let index = {
                let mut indexes = indexes();
                indexes.free.pop().unwrap_or_else(|| {
                    indexes.next += 1;
                    indexes.next - 1
                })
            };
            self.number.store(new_number(&LOCALS), Ordering::Relaxed);
            self.index.store(index, Ordering::Release);
        });
    }

    /// Takes the name away, if there is one: from now on, what is in the threads' tables is nobody's.
    pub(super) fn take(&mut self) -> Option<Name> {
        self.given.take()?;
        self.number.store(0, Ordering::Relaxed);
        let index = self.index.swap(NOWHERE, Ordering::Relaxed);
        Some(Name { index })
    }
}

/// A name that a `Local` had. Dropped when it has no values any more, it lets another have the index.
pub(super) struct Name {
    index: usize,
}

impl Drop for Name {
    fn drop(&mut self) {
        indexes().free.push(self.index);
    }
}

#[cfg(all(test, not(loom), target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    fn takes_the_memory_that_the_documentation_says() {
        assert_eq!(size_of::<Entry>() + size_of::<Held>(), 40);
    }
}
