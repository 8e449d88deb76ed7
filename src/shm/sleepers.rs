//! Futures that wait for a change of a word in shared memory, and the one thread of a process that
//! sleeps for them.
//!
//! The thread, `latchwork-ipc`, starts with the first wait. It sleeps on all words that anybody waits for
//! (`platform::shared_futex`) and on a doorbell, and tells the futures behind a word when it may
//! have changed, or when their slice is over. With nobody waiting it sleeps until the bell rings. It
//! is a daemon: the program's end does not wait for it. Called by `shm::waiting`.
//!
//! # Why no wake-up is lost
//!
//! To whoever wakes sleepers, the thread is one of them, on behalf of all futures that wait for the word;
//! so each of the points of `shm::word` has to hold for it.
//!
//! 1. *Who goes to sleep has compared the word.* A registration compares it under the lock. From
//!    then on, if the thread sleeps on that word, it has been in the kernel's queue since before
//!    the comparison, or will still compare; so a change that comes later finds it. If it does
//!    not, or would sleep for too long, the bell is rung. The bell's count is read under the same lock
//!    under which the thread decides what to sleep on, so a ring is never missed.
//! 2. *Who is woken does something about it.* A wake-up that reaches the thread may be meant for one sleeper
//!    or for all, and does not say. So everybody who waits for the word here is told, and they
//!    compete as threads would. Each of them makes an attempt when it is polled, which leaves behind
//!    what the next wake-up needs; or is dropped before, and then wakes another sleeper of the word
//!    ([`Registration`]), who may be in another process. If nobody waits for the word here
//!    any more, the thread does the same at once. One call may have been woken by several words, and tells
//!    the last of them: of those before it, each that has changed is taken for woken. One that has
//!    not is not, because whoever looked would only go to sleep again.
//! 3. *A killed process costs a slice.* Nobody waits longer than that without being told, so
//!    what nobody wakes for is found by looking.
//!
//! # Where it is not as good
//!
//! * There are more than 127 words: they take turns of a millisecond, and all are looked at after
//!   each. So a change is seen a millisecond late, at worst, and a wake-up in between goes to a
//!   sleeper elsewhere, or to nobody. Slices are kept.
//! * There is no `futex_waitv` (before Linux 5.16, or forbidden by a sandbox): as if no word fitted. While
//!   anybody waits, the thread wakes up a thousand times a second, about one per cent of a processor.
//! * No thread can be started: the first to poll sleeps in its place, for a millisecond.
//! * Many futures of a process wait for a word that lets one pass: all of them are polled each time.
//!
//! # Forks
//!
//! The child has no such thread. Of the waits that came along, those of the thread that forked go on: a new
//! thread is started for them, or else for the first wait that begins. The others' threads are
//! gone; whoever polls such a future nevertheless makes another attempt.

use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::shared_futex::{self, Awaited, Ended};
use crate::platform::{ShortLock, const_fn, spawn_unchecked, thread_id};
use std::task::Waker;
use std::time::{Duration, Instant};
use table::{Arrival, Entered, Left, Table, Told};

pub(crate) use slice::Slice;

mod list;
mod slice;
mod table;

/// How long one selection of the words is slept on when there are too many for all.
const TURN: Duration = Duration::from_millis(1);

struct Sleepers {
    state: ShortLock<State>,
    /// Grows, under the lock, when the thread shall look at things anew.
    doorbell: AtomicU32,
}

struct State {
    table: Table,
    thread: Thread,
    /// The thread's id, once it runs.
    thread_id: u32,
    /// A model ends only when all its threads have.
    #[cfg(loom)]
    is_over: bool,
}

/// What is known of the thread that sleeps for the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    Missing,
    /// It will look at everything before it sleeps. Or it is being started, which is the same.
    Awake,
    /// It sleeps, or is about to.
    Asleep {
        until: Option<Instant>,
    },
}

/// What a new wait means for the thread.
enum Errand {
    None,
    Ring,
    Start,
}

#[cfg(not(loom))]
fn sleepers() -> &'static Sleepers {
    static SLEEPERS: Sleepers = Sleepers::new();
    &SLEEPERS
}
#[cfg(loom)]
fn sleepers() -> &'static Sleepers {
    loom::lazy_static! {
        static ref SLEEPERS: Sleepers = Sleepers::new();
    }
    &SLEEPERS
}

/// A future's place among those who wait for a word.
///
/// Dropping it ends the wait. If a wake-up had come for it that it has not heard of, it is passed
/// on to another sleeper of the word.
#[derive(Debug)]
#[must_use]
pub(crate) struct Registration {
    /// `None` after it has told how it ended.
    at: Option<u32>,
}

/// Has `waker` woken when `word` may hold something else than `expected`, or when `slice` is over.
///
/// `Err` if there is nothing to wait for because the word has changed already; and if no thread can
/// be started, after a sleep of a millisecond at most. The word has to lie in memory that stays
/// mapped until the process ends, whatever becomes of what is in it.
///
/// Costs a short lock, and a system call if the thread is asleep and has to know.
pub(crate) fn register(
    word: &'static AtomicU32,
    expected: u32,
    slice: Slice,
    waker: &Waker,
) -> Result<Registration, Ended> {
    let arrival = Arrival {
        word,
        expected,
        slice,
        waker: waker.clone(),
        thread: thread_id(),
    };
    let mut told = Told::new();
    let sleepers = sleepers();
    let entered = {
        let mut state = sleepers.state.lock();
        let entered = state.table.enter(arrival, shared_futex::now(), &mut told);
        entered.map(|entered| (entered.at, sleepers.errand(&mut state, &entered)))
    };
    told.fire();
    let (at, errand) = entered.map_err(|_waker| Ended::Changed)?;
    let registration = Registration { at: Some(at) };
    match errand {
        Errand::None => {}
        Errand::Ring => shared_futex::ring(&sleepers.doorbell),
        Errand::Start => {
            if start().is_err() {
                drop(registration);
                sleepers.do_without();
                return Err(shared_futex::wait(word, expected, Slice::FIRST.length()));
            }
        }
    }
    Ok(registration)
}

impl Registration {
    /// How the wait ended; if it goes on, `waker` is the one to be woken from now on. Asked until it has
    /// ended, and not afterwards.
    pub(crate) fn ended(&mut self, waker: &Waker) -> Option<Ended> {
        let at = self.at?;
        // Cloned and dropped without the lock: both are the user's code.
        let mut other = None;
        loop {
            let mut state = sleepers().state.lock();
            let ended = match state.table.ended(at) {
                // Nobody would tell.
                None if state.thread == Thread::Missing => Some(Ended::Woken),
                ended => ended,
            };
            if ended.is_some() {
                self.at = None;
                let left = state.table.leave(at);
                drop(state);
                drop(left);
                return ended;
            }
            let known = state.table.waker(at);
            if known.as_ref().is_some_and(|known| known.will_wake(waker)) {
                return None;
            }
            if other.is_some() {
                std::mem::swap(known, &mut other);
                return None;
            }
            drop(state);
            other = Some(waker.clone());
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(at) = self.at else {
            return;
        };
        let Left { word, ended, waker } = sleepers().state.lock().table.leave(at);
        if ended == Some(Ended::Woken) {
            shared_futex::wake(word, 1);
        }
        drop(waker);
    }
}

fn start() -> std::io::Result<()> {
    let sleep_for_others = || {
        sleepers().begin();
        let mut bed = Bed::default();
        while sleepers().turn(&mut bed) {}
    };
    // SAFETY: it borrows nothing.
    unsafe { spawn_unchecked("latchwork-ipc", 0, sleep_for_others) }
}

/// What the thread keeps from one turn to the next.
#[derive(Default)]
struct Bed {
    /// What it has slept on.
    set: Vec<Awaited<'static>>,
    /// How many of these, from the first on, may have woken it.
    heard: usize,
    told: Told,
}

impl Sleepers {
    const_fn! {
        fn new() -> Sleepers {
            Sleepers {
                state: ShortLock::new(State {
                    table: Table::new(),
                    thread: Thread::Missing,
                    thread_id: 0,
                    #[cfg(loom)]
                    is_over: false,
                }),
                doorbell: AtomicU32::new(0),
            }
        }
    }

    /// What has to be done for a wait that begins, and is done by the caller.
    fn errand(&self, state: &mut State, entered: &Entered) -> Errand {
        let errand = match state.thread {
            Thread::Missing => Errand::Start,
            Thread::Awake => return Errand::None,
            Thread::Asleep { until } => {
                let is_in_time = until.is_some_and(|until| until <= entered.deadline);
                if entered.is_slept_on && is_in_time {
                    return Errand::None;
                }
                // Relaxed: read under the lock, and by the kernel, which puts it in order.
                self.doorbell.fetch_add(1, Ordering::Relaxed);
                Errand::Ring
            }
        };
        state.thread = Thread::Awake;
        errand
    }

    /// The thread is there.
    fn begin(&self) {
        let this = thread_id();
        self.state.lock().thread_id = this;
    }

    /// There is no thread and cannot be one: whoever waits has to look for itself.
    #[cold]
    fn do_without(&self) {
        let mut told = Told::new();
        let mut state = self.state.lock();
        state.thread = Thread::Missing;
        state.table.tell_all(&mut told);
        drop(state);
        told.fire();
    }

    /// Looks at everything, and tells those whom it concerns; if there are none, sleeps. False when
    /// all is over, which it never is but in a model.
    fn turn(&self, bed: &mut Bed) -> bool {
        let Bed { set, heard, told } = bed;
        let mut state = self.state.lock();
        state.thread = Thread::Awake;
        let now = shared_futex::now();
        state.table.after_wake(&set[..*heard], told);
        state.table.look(now, told);
        set.clear();
        *heard = 0;
        if !told.is_empty() {
            drop(state);
            told.fire();
            return true;
        }
        #[cfg(loom)]
        if state.is_over {
            return false;
        }
        let are_all = state.table.fill(set, shared_futex::width());
        let until = match (state.table.next_deadline(), are_all) {
            (until, true) => until,
            (None, false) => Some(now + TURN),
            (Some(until), false) => Some(until.min(now + TURN)),
        };
        state.thread = Thread::Asleep { until };
        let doorbell = Awaited {
            word: &self.doorbell,
            expected: self.doorbell.load(Ordering::Relaxed),
        };
        drop(state);
        let timeout = until.map(|until| until.saturating_duration_since(now));
        let last = shared_futex::wait_for_any(doorbell, set, timeout);
        *heard = last.map_or(0, |last| last + 1);
        true
    }
}

/// What a fork does to it: it is held while that happens.
#[cfg(not(loom))]
pub(crate) mod fork {
    use super::{Thread, sleepers, start};

    pub(crate) fn hold() {
        sleepers().state.hold();
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe { sleepers().state.let_go() };
    }

    /// In the child, held, for the thread `this`, or 0.
    pub(crate) fn forget_others(this: u32) {
        // SAFETY: held by this thread, by `hold`.
        let state = unsafe { &mut *sleepers().state.get() };
        state.table.forget_others(this);
        // A waker may have forked.
        if this == 0 || state.thread_id != this {
            state.thread = Thread::Missing;
            state.thread_id = 0;
        }
    }

    /// In the child, with nothing held: whoever waits there may never be polled again without a thread. A
    /// child without memory for one waits in vain, until it is.
    pub(crate) fn tell() {
        let mut state = sleepers().state.lock();
        if state.thread == Thread::Missing && state.table.next_deadline().is_some() {
            state.thread = Thread::Awake;
            drop(state);
            if start().is_err() {
                sleepers().state.lock().thread = Thread::Missing;
            }
        }
    }
}

#[cfg(loom)]
#[doc(hidden)]
pub mod model;
#[cfg(all(test, not(loom)))]
mod tests;
