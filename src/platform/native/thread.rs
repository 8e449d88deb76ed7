//! Who the current thread is, how many run at once, and how to wait a moment without sleeping.

use super::atomic::{AtomicUsize, Ordering};
use super::std_passage::{has_left, through};
use super::thread_end;
use crate::platform::short::ShortLock;
use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::thread::Thread;

/// The first id given out; smaller ones are reserved for owners that are not threads.
const FIRST_ID: u32 = 2;
/// Ids end here, so that a word has room for five bits beside its owner.
const END_OF_IDS: u32 = 1 << 27;

thread_local! {
    static ID: Cell<u32> = const { Cell::new(0) };
    /// Its end has been told; std does not know it any more.
    static HAS_ENDED: Cell<bool> = const { Cell::new(false) };
}

/// The current thread's id: never 0, and no other living thread's.
///
/// On Linux it is given out again after the thread has ended, and there are 2^27 of them, more than a
/// system has threads. Elsewhere the 2^27th thread that asks for one aborts the program.
#[inline]
pub(crate) fn thread_id() -> u32 {
    match ID.get() {
        0 => assign_id(),
        id => id,
    }
}

#[cold]
fn assign_id() -> u32 {
    crate::fork::install();
    let here = Known {
        thread: (!HAS_ENDED.get()).then(std::thread::current),
        new_name: None,
        stack: stack(),
    };
    let id = DIRECTORY.lock().enter(here);
    ID.set(id);
    thread_end::notify(id);
    id
}

/// The thread called `id` has run its last destructor. Should it ask for its id after all, it gets a new
/// one, which is never given back.
#[cfg(target_os = "linux")]
pub(super) fn thread_ended(id: u32) {
    ID.set(0);
    HAS_ENDED.set(true);
    let gone = DIRECTORY.lock().leave(id);
    drop(gone);
    has_left();
}

/// Sleeps for a moment that nobody ends early.
pub(crate) fn nap() {
    std::thread::sleep(std::time::Duration::from_micros(50));
}

/// From now on the calling thread's sleeps end when they should, or not. Linux lets sleeps last 50 microseconds
/// longer, so that several can end at once.
#[cfg_attr(not(target_os = "linux"), expect(unused, reason = "Linux can be told"))]
pub(crate) fn sleep_exactly(exactly: bool) {
    #[cfg(target_os = "linux")]
    {
        thread_local! {
            static IS_EXACT: Cell<bool> = const { Cell::new(false) };
        }
        if IS_EXACT.replace(exactly) != exactly {
            // In nanoseconds; 0 is what the thread began with.
            let slack: libc::c_ulong = exactly.into();
            // SAFETY: takes a number, and changes nothing but the calling thread's slack. Should it fail,
            // sleeps are as long as others'.
            unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, slack) };
        }
    }
}

/// The name of a living thread that has one, or of one that did not come along when this process was forked.
pub(crate) fn thread_name(id: u32) -> Option<String> {
    let directory = DIRECTORY.lock();
    let (Place::Alive(known) | Place::Vanished(known)) = directory.threads.get(place_of(id))?
    else {
        return None;
    };
    let thread = known.thread.as_ref();
    let name = known.new_name.as_deref().or(thread.and_then(Thread::name));
    name.map(str::to_owned)
}

/// From now on the current thread goes by another name than it was started with.
pub(crate) fn rename_thread(name: &str) {
    let place = place_of(thread_id());
    let mut directory = DIRECTORY.lock();
    if let Some(Place::Alive(known)) = directory.threads.get_mut(place) {
        known.new_name = Some(name.to_owned());
    }
}

/// Was this a thread of the process that this one was forked from, which did not come along?
pub(crate) fn is_vanished(id: u32) -> bool {
    let directory = DIRECTORY.lock();
    matches!(
        directory.threads.get(place_of(id)),
        Some(Place::Vanished(_))
    )
}

pub(crate) static DIRECTORY: ShortLock<Directory> = ShortLock::new(Directory {
    threads: Vec::new(),
    free: Vec::new(),
});

/// Every thread that has an id.
pub(crate) struct Directory {
    /// At the place of its id.
    threads: Vec<Place>,
    free: Vec<u32>,
}

enum Place {
    /// To be given out again.
    Free,
    Alive(Known),
    /// Of this process's parent. Never given out: what it held is still held in its name.
    Vanished(Known),
}

struct Known {
    thread: Option<Thread>,
    /// Instead of the one that it was started with.
    new_name: Option<String>,
    /// Where its frames lie, if others may come to lie there after it.
    stack: Range<usize>,
}

fn place_of(id: u32) -> usize {
    id.wrapping_sub(FIRST_ID) as usize
}

impl Directory {
    fn enter(&mut self, known: Known) -> u32 {
        let here = Place::Alive(known);
        if let Some(id) = self.free.pop() {
            self.threads[place_of(id)] = here;
            return id;
        }
        let id = FIRST_ID + self.threads.len() as u32;
        if id >= END_OF_IDS {
            // A word could name the wrong owner from here on.
            std::process::abort();
        }
        self.threads.push(here);
        id
    }

    #[cfg(target_os = "linux")]
    fn leave(&mut self, id: u32) -> Place {
        self.free.push(id);
        std::mem::replace(&mut self.threads[place_of(id)], Place::Free)
    }

    /// In a forked child: the calling thread, if it has an id, is the only one. Returns its id, or 0.
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing else forks"))]
    pub(crate) fn forget_others(&mut self) -> u32 {
        let this = ID.get();
        for (place, id) in self.threads.iter_mut().zip(FIRST_ID..) {
            if id != this {
                *place = match std::mem::replace(place, Place::Free) {
                    Place::Alive(known) => Place::Vanished(known),
                    other => other,
                };
            }
        }
        this
    }

    /// Is this in a frame of a thread that did not come along? Other threads may get its stack.
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing else forks"))]
    pub(crate) fn is_in_vanished_frame(&self, address: usize) -> bool {
        self.threads.iter().any(|place| match place {
            Place::Vanished(known) => known.stack.contains(&address),
            _ => false,
        })
    }
}

/// Where the current thread's frames lie; empty if that is not known, and for the main thread, whose stack is
/// nobody else's later.
#[cfg(target_os = "linux")]
pub(crate) fn stack() -> Range<usize> {
    // SAFETY: neither has conditions.
    let is_main = unsafe { libc::gettid() == libc::getpid() };
    if is_main {
        return 0..0;
    }
    let mut attributes = std::mem::MaybeUninit::uninit();
    let (mut lowest, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes are read and destroyed only once they have been made, for the calling thread.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return 0..0;
        }
        libc::pthread_attr_getstack(attributes.as_ptr(), &mut lowest, &mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
    }
    lowest.addr()..lowest.addr() + size
}
#[cfg(not(target_os = "linux"))]
pub(crate) fn stack() -> Range<usize> {
    0..0
}

/// How many threads of this process can run at the same time; asked once.
pub(crate) fn cpus() -> usize {
    static CPUS: AtomicUsize = AtomicUsize::new(0);
    match CPUS.load(Ordering::Relaxed) {
        0 => {
            let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
            CPUS.store(cpus, Ordering::Relaxed);
            cpus
        }
        cpus => cpus,
    }
}

pub(crate) use std::hint::spin_loop as spin_hint;
pub(crate) use std::thread::yield_now;
pub(crate) use std::thread_local;

/// Starts a thread that nobody joins; without a name if that is empty.
pub(crate) fn spawn_thread(name: String, f: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut builder = std::thread::Builder::new();
    if !name.is_empty() {
        builder = builder.name(name);
    }
    through(f, |f| builder.spawn(|| f.run()).map(drop))
}

/// The same checks for each way to sleep.
#[cfg(test)]
macro_rules! signal_tests {
    ($signal:ty) => {
        use crate::platform::atomic::{AtomicU32, Ordering};
        use std::sync::{Arc, mpsc};
        use std::time::{Duration, Instant};

        #[test]
        fn a_word_that_has_moved_on_does_not_sleep() {
            let word = AtomicU32::new(7);
            <$signal>::new().sleep(&word, 8, None);
        }

        #[test]
        fn a_deadline_ends_the_sleep() {
            let word = AtomicU32::new(7);
            let deadline = Instant::now() + Duration::from_millis(20);
            let signal = <$signal>::new();
            while Instant::now() < deadline {
                signal.sleep(&word, 7, Some(deadline));
            }
        }

        #[test]
        fn a_wake_ends_the_sleep() {
            let word = Arc::new(AtomicU32::new(0));
            let (send, receive) = mpsc::channel();
            let sleeper = {
                let word = Arc::clone(&word);
                std::thread::spawn(move || {
                    let signal = <$signal>::new();
                    send.send(signal.handle(&word)).unwrap();
                    while word.load(Ordering::Acquire) == 0 {
                        signal.sleep(&word, 0, None);
                    }
                })
            };
            let handle = receive.recv().unwrap();
            word.store(1, Ordering::Release);
            handle.wake();
            sleeper.join().unwrap();
        }
    };
}
#[cfg(test)]
pub(super) use signal_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_within_a_thread_and_differ_between_threads() {
        let here = thread_id();
        assert_eq!(here, thread_id());
        let there = std::thread::spawn(thread_id).join().unwrap();
        assert_ne!(here, there);
        assert!(here >= FIRST_ID && there >= FIRST_ID);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_id_is_given_out_again_and_its_name_goes_with_the_thread() {
        // Others start threads meanwhile, so it is not always the next one that gets it.
        let named = || {
            let builder = std::thread::Builder::new().name("a-name".to_owned());
            let thread = builder.spawn(|| (thread_id(), thread_name(thread_id())));
            thread.unwrap().join().unwrap()
        };
        let (first, name) = named();
        assert_eq!(name.as_deref(), Some("a-name"));
        assert!((0..100_000).any(|_| named().0 == first), "{first} is lost");
    }

    #[test]
    fn an_id_outlives_the_threads_own_destructors() {
        struct Late(std::sync::mpsc::Sender<u32>);
        impl Drop for Late {
            fn drop(&mut self) {
                let _ = self.0.send(thread_id());
            }
        }
        std::thread_local! {
            static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) };
        }
        for has_its_id_first in [true, false] {
            let (send, receive) = std::sync::mpsc::channel();
            let thread = std::thread::spawn(move || {
                let early = has_its_id_first.then(thread_id);
                LATE.set(Some(Late(send)));
                early.unwrap_or_else(thread_id)
            });
            let id = thread.join().unwrap();
            if cfg!(target_os = "linux") {
                assert_eq!(receive.recv(), Ok(id));
            }
        }
    }
}
