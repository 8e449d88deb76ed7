//! What is told about waits: one of them, all of them, and a loop of them.

use super::waiter::Ticket;
use super::{TASK, lot};
#[cfg(not(loom))]
use crate::platform::Mutex;
use crate::platform::{self, thread_name};
use std::cell::Cell;
use std::fmt;
use std::fmt::Write as _;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// One waiter, as [`waits`] saw it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wait {
    /// What it waits on: `Lock`, `Semaphore`, ...
    pub kind: &'static str,
    /// Where that primitive is in memory, to tell two of a kind apart.
    pub address: usize,
    /// The waiting thread; `None` for a task.
    pub thread: Option<Thread>,
    /// The thread that holds it, if the primitive has an owner and that is a thread.
    pub owner: Option<Thread>,
    /// The call that waits.
    pub place: &'static Location<'static>,
    /// For how long it has been waiting.
    pub waited: Duration,
}

/// A thread in a report: its number, and its name if it has one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Thread {
    /// Latchwork's number for the thread, no other living thread's: see
    /// [`current_thread`](crate::debug::current_thread).
    pub id: u32,
    /// The name it was started with.
    pub name: Option<String>,
}

impl Thread {
    /// `None` if nobody, or a task, goes by this id.
    pub(crate) fn new(id: u32) -> Option<Thread> {
        (id > TASK).then(|| Thread {
            id,
            name: thread_name(id),
        })
    }
}

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => {
                write!(f, "thread {} `", self.id)?;
                for c in name.chars() {
                    // A line break would make two lines of one.
                    if c.is_control() {
                        write!(f, "{}", c.escape_default())?;
                    } else {
                        f.write_char(c)?;
                    }
                }
                f.write_char('`')
            }
            None => write!(f, "thread {}", self.id),
        }
    }
}

impl Wait {
    pub(super) fn new(ticket: &Ticket, owner: u32) -> Wait {
        Wait {
            kind: ticket.kind.name,
            address: ticket.address,
            thread: Thread::new(ticket.thread),
            owner: Thread::new(owner),
            place: ticket.place,
            waited: ticket.since.elapsed(),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.thread {
            Some(thread) => write!(f, "{thread}")?,
            None => f.write_str("a task")?,
        }
        let Wait {
            kind,
            address,
            place,
            waited,
            ..
        } = self;
        write!(
            f,
            " has waited {waited:?} at {place} for {kind} {address:#x}"
        )?;
        match &self.owner {
            Some(owner) => write!(f, ", held by {owner}"),
            None => Ok(()),
        }
    }
}

/// Everybody who waits in this process on a primitive of [`sync`](crate::sync), a
/// [`queue`](crate::queue), a task or a thread, while the program runs.
///
/// The table of waiters is read bucket by bucket, so the list as a whole may mix moments that are some
/// microseconds apart. It costs nothing until it is called.
///
/// ```
/// use latchwork::{debug, sync::Event};
/// use std::time::Duration;
///
/// let event = Event::new();
/// std::thread::scope(|s| {
///     s.spawn(|| event.wait());
///     while debug::waits().iter().all(|wait| wait.kind != "Event") {
///         std::thread::yield_now();
///     }
///     event.set();
/// });
/// ```
pub fn waits() -> Vec<Wait> {
    let mut seen = Vec::new();
    lot::survey(|ticket, owner| seen.push((*ticket, owner)));
    // Names are looked up with no bucket locked.
    let wait = |(ticket, owner)| Wait::new(&ticket, owner);
    seen.into_iter().map(wait).collect()
}

/// Threads that wait for each other in a circle: each holds what the one before it waits for. Or a wait
/// for a thread that did not come along when this process was forked.
///
/// None of them can go on by itself. See [`on_deadlock`].
#[derive(Clone, Debug)]
pub struct Deadlock {
    waits: Vec<Wait>,
    is_circle: bool,
}

impl Deadlock {
    pub(super) fn new(waits: Vec<Wait>) -> Deadlock {
        Deadlock {
            waits,
            is_circle: true,
        }
    }

    /// A wait for somebody who is not in this process.
    pub(super) fn behind_a_fork(wait: Wait) -> Deadlock {
        Deadlock {
            waits: vec![wait],
            is_circle: false,
        }
    }

    /// The waits of the circle. Each one's `owner` is the next one's `thread`, and the last one's is
    /// the first one's, who closed the circle.
    ///
    /// If it is no [circle](Deadlock::is_circle): the one wait for what a thread of the parent process holds.
    pub fn waits(&self) -> &[Wait] {
        &self.waits
    }

    /// Do threads wait for each other? If not, one waits, in a forked child, for a thread of the process
    /// it was forked from.
    pub fn is_circle(&self) -> bool {
        self.is_circle
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.waits.len() {
            _ if !self.is_circle => f.write_str(
                "deadlock: a thread waits for one that did not come along when the process was forked",
            )?,
            1 => f.write_str("deadlock: a thread waits for itself")?,
            n => write!(f, "deadlock: {n} threads wait for each other")?,
        }
        for wait in &self.waits {
            write!(f, "\n  {wait}")?;
        }
        Ok(())
    }
}

/// What is to be done when threads wait for each other in a circle.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum OnDeadlock {
    /// Print it to standard error, and keep waiting.
    #[default]
    Print,
    /// Panic in the thread whose wait has closed the circle. Its call has changed nothing, and as it
    /// unwinds it frees what it holds, so the others go on. A thread that must have a lock back, at the
    /// end of a [`Condition`](crate::sync::Condition)'s wait or of
    /// [`LockGuard::unlocked`](crate::sync::LockGuard::unlocked), has no such way out: then it is
    /// printed.
    Panic,
    /// Call this in the thread whose wait has closed the circle, and then keep waiting. The hook may
    /// wait for other things itself; what it runs into is printed, be it another deadlock or a panic,
    /// and goes no further.
    Call(Arc<dyn Fn(&Deadlock) + Send + Sync>),
}

impl fmt::Debug for OnDeadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnDeadlock::Print => "Print",
            OnDeadlock::Panic => "Panic",
            OnDeadlock::Call(_) => "Call(..)",
        })
    }
}

#[cfg(not(loom))]
static ACTION: Mutex<OnDeadlock> = Mutex::new(OnDeadlock::Print);
/// Chosen before a model begins, so it is no part of it.
#[cfg(loom)]
static ACTION: std::sync::Mutex<OnDeadlock> = std::sync::Mutex::new(OnDeadlock::Print);

fn with_action<R>(f: impl FnOnce(&mut OnDeadlock) -> R) -> R {
    #[cfg(not(loom))]
    return f(&mut ACTION.lock());
    #[cfg(loom)]
    f(&mut ACTION
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// It is held while the process forks.
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork {
    use super::ACTION;

    pub(crate) fn hold() {
        ACTION.hold();
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe { ACTION.let_go() };
    }
}

/// Says what is to be done about deadlocks from now on. Returns what was to be done before.
///
/// A deadlock is a circle of threads each of which waits, without a limit, for something that the next
/// one holds: a [`Lock`](crate::sync::Lock), an [`RLock`](crate::sync::RLock), an
/// [`RwLock`](crate::sync::RwLock) held for writing, a [`Once`](crate::sync::Once) it initialises, a
/// task it runs, or its own end, which somebody [joins](crate::thread::JoinHandle::join). It is found
/// by the thread that closes it, when it is about to sleep, and reported once.
///
/// Not found: circles through readers, permits, conditions, events, barriers and queues, which nobody
/// in particular can give; through futures that are awaited, and guards that belong to tasks or are
/// held without a guard. A wait with a limit ends by itself and is no part of a deadlock.
///
/// In the child of a `fork`, a wait without a limit for something that another thread of the parent held is
/// one too: see [Forking](crate::exit#forking).
///
/// The search costs nothing to a call that needn't sleep, and about as much as three free locks to one
/// that does. It is always on.
///
/// ```
/// use latchwork::debug::{self, OnDeadlock};
/// use latchwork::sync::Lock;
/// use std::sync::{Arc, mpsc};
///
/// let (send, found) = mpsc::channel();
/// debug::on_deadlock(OnDeadlock::Call(Arc::new(move |deadlock| {
///     let _ = send.send(deadlock.to_string());
/// })));
///
/// std::thread::spawn(|| {
///     let lock = Lock::new(());
///     let _held = lock.lock();
///     let _again = lock.lock(); // for ever
/// });
/// assert!(found.recv().unwrap().starts_with("deadlock: a thread waits for itself"));
/// ```
pub fn on_deadlock(action: OnDeadlock) -> OnDeadlock {
    with_action(|current| std::mem::replace(current, action))
}

platform::thread_local! {
    static IS_IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// Runs the program's hook; in one that runs already in this thread, prints instead.
fn call(hook: Arc<dyn Fn(&Deadlock) + Send + Sync>, deadlock: &Deadlock) {
    if IS_IN_HOOK.with(|is| is.replace(true)) {
        print(deadlock);
    } else {
        crate::panic::report("a deadlock hook", move || {
            hook(deadlock);
            // Its end may be here, if another has taken its place: the user's code as well.
            drop(hook);
        });
        IS_IN_HOOK.with(|is| is.set(false));
    }
}

fn print(deadlock: &Deadlock) {
    // Not eprintln!: it would panic without a standard error.
    let _ = platform::forked::print(&deadlock.to_string());
}

/// Does what the program wants done. `Err`: panic.
pub(super) fn act(deadlock: Deadlock, may_panic: bool) -> Result<(), Deadlock> {
    let action = with_action(|action| action.clone());
    match action {
        OnDeadlock::Panic if may_panic => return Err(deadlock),
        OnDeadlock::Panic | OnDeadlock::Print => print(&deadlock),
        OnDeadlock::Call(hook) => call(hook, &deadlock),
    }
    Ok(())
}
