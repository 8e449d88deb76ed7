//! loom's world, with the same names as the machine's.
//!
//! A waiter's sleep is a `Notify` behind an `Arc`, because the waker uses it after the waiter's
//! frame may be gone and a modelled object must not be. There is no clock: nothing here takes a
//! deadline seriously, and a model that wants a time-out lets another modelled thread fire it.

#[path = "modelled/deque.rs"]
mod deque;
#[path = "modelled/seg_queue.rs"]
mod seg_queue;

pub(crate) use deque::{Deque, Steal, Stealer};
pub(crate) use seg_queue::SegQueue;
use std::io;
use std::ops::Range;
use std::time::Instant;

pub(crate) mod atomic {
    #[cfg(feature = "process")]
    pub(crate) use loom::sync::atomic::AtomicU64;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering, fence,
    };
}

use loom::cell::UnsafeCell as LoomCell;
use loom::sync::MutexGuard;

/// loom's cell with `into_inner` left in and nothing else changed.
pub(crate) struct UnsafeCell<T: ?Sized>(LoomCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> UnsafeCell<T> {
        UnsafeCell(LoomCell::new(value))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> UnsafeCell<T> {
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        self.0.with(f)
    }

    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        self.0.with_mut(f)
    }
}

/// loom's mutex without poison: a panic ends the model anyway.
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// What is only held for a moment is a plain mutex here: spinning for it would explore the same orders
/// many times over. The lock itself has a model of its own.
pub(crate) type ShortLock<T> = Mutex<T>;
pub(crate) type ShortGuard<'a, T> = MutexGuard<'a, T>;

/// Puts the current modelled thread to sleep.
pub(crate) struct Signal {
    notify: loom::sync::Arc<loom::sync::Notify>,
    /// Lets loom see a handle that is taken while, or after, the waiter goes away.
    alive: LoomCell<()>,
}

// SAFETY: the cell holds nothing that could be torn; that its accesses are in order is loom's to check.
unsafe impl Sync for Signal {}

impl Drop for Signal {
    fn drop(&mut self) {
        self.alive.with_mut(|_| ());
    }
}

impl Signal {
    pub(crate) fn new() -> Signal {
        Signal {
            notify: loom::sync::Arc::new(loom::sync::Notify::new()),
            alive: LoomCell::new(()),
        }
    }

    pub(crate) fn sleep(&self, word: &atomic::AtomicU32, value: u32, _deadline: Option<Instant>) {
        if word.load(atomic::Ordering::Acquire) == value {
            self.notify.wait();
        }
    }

    pub(crate) fn handle(&self, _word: &atomic::AtomicU32) -> WakeHandle {
        self.alive.with(|_| ());
        WakeHandle(self.notify.clone())
    }
}

/// Wakes one sleeper. Usable after the sleeper's frame is gone.
pub(crate) struct WakeHandle(loom::sync::Arc<loom::sync::Notify>);

impl WakeHandle {
    pub(crate) fn wake(self) {
        self.0.notify();
    }
}

loom::lazy_static! {
    static ref NEXT_ID: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(2);
}

loom::thread_local! {
    static ID: u32 = NEXT_ID.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

/// The current modelled thread's id: never 0 or 1, unique within one execution.
pub(crate) fn thread_id() -> u32 {
    ID.with(|id| *id)
}

/// Modelled threads have no names.
pub(crate) fn thread_name(_id: u32) -> Option<String> {
    None
}

pub(crate) fn is_vanished(_id: u32) -> bool {
    false
}

/// Spinning explores nothing that sleeping does not, so a model never spins.
pub(crate) fn cpus() -> usize {
    1
}

/// Modelled threads have stacks, but not known ones.
pub(crate) fn stack() -> Range<usize> {
    0..0
}

/// A modelled sleep has no length.
pub(crate) fn sleep_exactly(_exactly: bool) {}

pub(crate) fn spin_hint() {
    loom::hint::spin_loop();
}

pub(crate) use loom::thread::yield_now;

pub(crate) fn nap() {
    yield_now();
}

/// loom's own macro knows no `const` initialisers, which the machine's is better with.
macro_rules! modelled_thread_local {
    ($(#[$meta:meta])* static $name:ident: $ty:ty = const $init:block;) => {
        loom::thread_local! { $(#[$meta])* static $name: $ty = $init; }
    };
}
pub(crate) use modelled_thread_local as thread_local;

/// Starts a modelled thread that nobody joins; a model still ends only when it has ended.
pub(crate) fn spawn_thread(_name: String, f: impl FnOnce() + Send + 'static) -> io::Result<()> {
    loom::thread::spawn(f);
    Ok(())
}

/// As [`spawn_thread`], for what borrows.
///
/// # Safety
///
/// Nothing that `f` borrows may end before `f` has returned or been dropped.
pub(crate) unsafe fn spawn_unchecked<'a>(
    _name: &str,
    _stack_size: usize,
    f: impl FnOnce() + Send + 'a,
) -> io::Result<()> {
    if HAS_NO_THREADS.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let f: Box<dyn FnOnce() + Send + 'a> = Box::new(f);
    // SAFETY: only the lifetime changes, and the caller promises to keep to the old one.
    let f: Box<dyn FnOnce() + Send> = unsafe { std::mem::transmute(f) };
    let thread = loom::thread::spawn(f);
    SPAWNED.lock().unwrap().push(thread);
    Ok(())
}

loom::lazy_static! {
    static ref SPAWNED: std::sync::Mutex<Vec<loom::thread::JoinHandle<()>>> = Default::default();
}

loom::lazy_static! {
    static ref HAS_NO_THREADS: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
}

/// From now on no thread starts by [`spawn_unchecked`].
pub(crate) fn let_threads_run_out() {
    HAS_NO_THREADS.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Waits for all threads from [`spawn_unchecked`] as loom does. What they use last goes away with the model's
/// first thread, so this must not end before them.
pub(crate) fn join_spawned() {
    loop {
        let Some(thread) = SPAWNED.lock().unwrap().pop() else {
            return;
        };
        thread.join().unwrap();
    }
}

/// A modelled thread tells of its end itself.
pub(crate) fn at_thread_end(_f: fn()) -> bool {
    false
}

/// Modelled threads have no numbers.
pub(crate) fn native_id() -> Option<u32> {
    None
}

/// Modelled threads have no numbers.
pub(crate) fn main_native_id() -> Option<u32> {
    None
}

pub(crate) fn rename_thread(_name: &str) {}

pub(crate) fn mend_system_name(_name: &str) {}

pub(crate) fn set_system_name(_name: &str) {}

/// There is no time in a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment;

impl Moment {
    pub(crate) fn now() -> Moment {
        Moment
    }

    pub(crate) fn elapsed(self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}
