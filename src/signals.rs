//! Signals as cancel tokens: Ctrl-C ends the waits that are under the token, and the program goes on from
//! there.
//!
//! What runs in the handler is signal-hook's: a store, and a byte into a socket that is read by one thread
//! of ours, which cancels. So nothing of this crate, and nothing of the user's, runs in a handler.
//!
//! The invariant: whenever a signal's handler is there, its token is in the list, or about to be put there by
//! somebody who has the list's lock, which the thread takes to look.

use crate::CancelToken;
use crate::platform::atomic::{AtomicBool, Ordering};
use crate::platform::spawn_thread;
use crate::sync::Lock;
use signal_hook::consts::FORBIDDEN;
use signal_hook::iterator::{Handle, Signals};
use signal_hook::{flag, low_level};
use std::io;
use std::sync::Arc;

pub use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

/// The token that Ctrl-C (`SIGINT`) cancels: [`token_for`]`(SIGINT)`.
///
/// # Errors
///
/// As [`token_for`].
///
/// ```
/// use latchwork::{GaveUp, queue::{GetError, Queue}, signals};
///
/// let stop = signals::ctrl_c()?;
/// let orders: Queue<u32> = Queue::unbounded();
/// signals::raise_interrupt()?; // as if somebody had pressed it
/// assert_eq!(orders.get_within(&stop), Err(GetError::Cancelled));
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "KeyboardInterrupt")]
pub fn ctrl_c() -> io::Result<CancelToken> {
    token_for(SIGINT)
}

/// The token that is cancelled when the process gets this signal. There is one for each signal, and every
/// call returns it.
///
/// * **The first signal** cancels the token, for good: waits under it, and under its children, end as
///   cancelled, in all threads. What the signal would have done by default is not done.
/// * **The second** does what it would have done without the token: for `SIGINT` and `SIGTERM`, it ends the
///   process at once. Somebody who presses Ctrl-C again does not want to wait for what the first has begun.
///   That holds also if the first has come a moment ago, or has not been noticed by anybody.
/// * A signal that the process ignores, as it does under `nohup` or in the background of some shells, stays
///   ignored, and the token is not cancelled. It is looked at once, at the first call for this signal.
/// * Handlers that the program has installed before are called, too.
///
/// Unlike Python's `KeyboardInterrupt` it comes to every thread, and only where one waits for it or asks
/// ([`CancelToken::check`]). A child of a bare `fork` has no thread that cancels; a program that is started
/// by this one begins with the default.
///
/// # Errors
///
/// `InvalidInput` for a number that is no signal's or a real-time signal's, and for signals that cannot be waited for (`SIGKILL`,
/// `SIGSTOP`, `SIGSEGV`, `SIGILL`, `SIGFPE`); otherwise what the system says when there are no more
/// descriptors, or threads. Nothing has been changed then.
///
/// # Cost
///
/// A thread that sleeps and two descriptors, for all signals together, from the first call on.
///
/// # Source
///
/// Python's [`signal`](https://docs.python.org/3/library/signal.html) and `KeyboardInterrupt`; the handler is
/// that of the crate signal-hook.
pub fn token_for(signal: i32) -> io::Result<CancelToken> {
    check(signal)?;
    if FORBIDDEN.contains(&signal) {
        return Err(invalid("no program can wait for this signal"));
    }
    let mut watch = WATCH.lock();
    if let Some((_, token)) = watch.tokens.iter().find(|(of, _)| *of == signal) {
        return Ok(token.clone());
    }
    let token = CancelToken::new();
    if !is_ignored(signal) {
        let handle = watch.handle()?;
        let has_come = Arc::new(AtomicBool::new(false));
        // In the order in which they run: the first signal finds the flag down.
        flag::register_conditional_default(signal, Arc::clone(&has_come))?;
        flag::register(signal, Arc::clone(&has_come))?;
        handle.add_signal(signal)?;
        // One that came before the line above is the first to the flag, and unknown to the thread.
        if has_come.load(Ordering::Relaxed) {
            token.cancel();
        }
    }
    watch.tokens.push((signal, token.clone()));
    Ok(token)
}

/// Sends the process `SIGINT`, as Ctrl-C does: [`raise`]`(SIGINT)`. For tests, and to stop as the user would.
///
/// # Errors
///
/// As [`raise`].
#[doc(alias = "interrupt_main")]
pub fn raise_interrupt() -> io::Result<()> {
    raise(SIGINT)
}

/// Sends this signal to the calling thread. Handlers have run when it returns; the token is cancelled a moment
/// later. Without a token or another handler it does what the signal does by default, which is to end the
/// process, as a rule.
///
/// # Errors
///
/// `InvalidInput` for a number that is no signal's or a real-time signal's.
///
/// # Source
///
/// Python's [`_thread.interrupt_main`](https://docs.python.org/3/library/_thread.html#thread.interrupt_main)
/// and `signal.raise_signal`.
#[doc(alias = "raise_signal")]
pub fn raise(signal: i32) -> io::Result<()> {
    check(signal)?;
    low_level::raise(signal)
}

impl CancelToken {
    /// The token that Ctrl-C cancels: [`signals::ctrl_c`](crate::signals::ctrl_c).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn ctrl_c() -> io::Result<CancelToken> {
        ctrl_c()
    }
}

static WATCH: Lock<Watch> = Lock::new(Watch {
    handle: None,
    tokens: Vec::new(),
});

struct Watch {
    /// Of the thread that cancels, once there is one.
    handle: Option<Handle>,
    tokens: Vec<(i32, CancelToken)>,
}

impl Watch {
    fn handle(&mut self) -> io::Result<&Handle> {
        if self.handle.is_none() {
            let signals = Signals::new(std::iter::empty::<i32>())?;
            let handle = signals.handle();
            spawn_thread("latchwork-signals".to_owned(), move || cancel(signals))?;
            self.handle = Some(handle);
        }
        Ok(self.handle.as_ref().expect("there is one now"))
    }
}

/// Runs for as long as the process does.
fn cancel(mut signals: Signals) {
    for signal in signals.forever() {
        let token = {
            let watch = WATCH.lock();
            let token = watch.tokens.iter().find(|(of, _)| *of == signal);
            token.map(|(_, token)| token.clone())
        };
        // With nothing locked: tasks that wait are woken by it.
        if let Some(token) = token {
            token.cancel();
        }
    }
}

fn check(signal: i32) -> io::Result<()> {
    match low_level::signal_name(signal) {
        Some(_) => Ok(()),
        None => Err(invalid("this is no signal's number")),
    }
}

fn invalid(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null action changes nothing, and `action` is a place for the answer.
    let answer = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: 0 says that there is an answer.
    answer == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
