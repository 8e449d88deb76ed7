//! [`Guard`]: ends the program in order when `main` returns or unwinds, and [`main!`](crate::main) for it.

use super::{requested_code, shutdown, shutdown_within};
use crate::platform::forked;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::time::Duration;

/// The place where the program's one guard was made, and the thread that has it.
#[cfg(not(loom))]
static MADE: crate::platform::Mutex<Option<Made>> = crate::platform::Mutex::new(None);

#[cfg_attr(loom, expect(dead_code, reason = "models have no main"))]
struct Made {
    place: &'static Location<'static>,
    thread: u32,
}

/// Ends the program in order when it is dropped: at the end of `main`, also by a panic or an early return.
///
/// See [the order of events](crate::exit#the-order-of-events). Make it first thing in `main`, and bind it to a
/// name: `let _ = ` would drop it at once. [`main!`](crate::main) does it for you.
///
/// It stays in its thread, which need not be the first. What is done after its drop is done after the
/// program's end, as far as this crate goes: no thread can be started, no task submitted.
///
/// # Source
///
/// Python needs none, since its interpreter outlives the main module. In Rust the process ends when `main`
/// returns, whatever its threads are doing.
///
/// ```
/// use latchwork::{exit, thread};
///
/// fn main() {
///     let _guard = exit::Guard::new();
///     thread::spawn(|| println!("said before the program ends"));
/// }
/// ```
#[must_use = "it ends the program when it is dropped, so bind it to a name for all of `main`"]
#[derive(Debug)]
pub struct Guard {
    limit: Option<Duration>,
    /// Not `Send`.
    _stays: PhantomData<*const ()>,
}

impl Guard {
    /// The program's one.
    ///
    /// # Panics
    ///
    /// If there has been one. [`try_new`](Guard::try_new) says so with an error instead.
    #[expect(clippy::new_without_default, reason = "there is one a program")]
    #[track_caller]
    pub fn new() -> Guard {
        match Guard::try_new() {
            Ok(guard) => guard,
            Err(why) => panic!("{why}"),
        }
    }

    /// As [`new`](Guard::new).
    ///
    /// # Errors
    ///
    /// [`AlreadyGuarded`], with the place where the first one was made.
    #[track_caller]
    pub fn try_new() -> Result<Guard, AlreadyGuarded> {
        #[cfg(not(loom))]
        {
            let thread = crate::platform::thread_id();
            let mut made = MADE.lock();
            if let Some(Made { place, .. }) = *made {
                return Err(AlreadyGuarded { place });
            }
            let place = Location::caller();
            *made = Some(Made { place, thread });
        }
        Ok(Guard {
            limit: None,
            _stays: PhantomData,
        })
    }

    /// Has the end give up after so long, and say on standard error who is still alive: so that a thread that
    /// never ends does not keep the program for ever.
    ///
    /// What has not been done then remains undone, hooks of [`at_end`](super::at_end) included. A hook that
    /// never returns is not interrupted. `Duration::MAX` means no limit, as without this.
    ///
    /// ```no_run
    /// # use latchwork::exit;
    /// let _guard = exit::Guard::new().give_up_after(std::time::Duration::from_secs(30));
    /// ```
    pub fn give_up_after(mut self, limit: Duration) -> Guard {
        self.limit = Some(limit);
        self
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        match self.limit {
            None => shutdown(),
            Some(limit) => {
                if let Err(remaining) = shutdown_within(limit) {
                    let _ = forked::print(&format!("latchwork: {remaining}"));
                }
            }
        }
        // Whoever has asked for the end with a code is to have that, even if `main` is quicker.
        if let Some(code) = requested_code() {
            std::process::exit(code);
        }
    }
}

/// A program has one [`Guard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlreadyGuarded {
    /// Where that was made.
    pub place: &'static Location<'static>,
}

impl fmt::Display for AlreadyGuarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the program's exit guard has been made at {}",
            self.place
        )
    }
}

impl Error for AlreadyGuarded {}

/// Makes a `main` that ends the program in order: with a [`Guard`](crate::exit::Guard) around its body.
///
/// The body is what it would be without this, with `?`, `return` and any return type that `main` can have.
/// Threads are joined and hooks called before the value is reported and the process's status comes of it; a
/// panic unwinds, ends the program in order, and gives the status that it always does.
///
/// A macro around the function, and no attribute on it, because an attribute needs a crate of its own, and a
/// parser of Rust in every build.
///
/// ```no_run
/// latchwork::main! {
///     fn main() -> std::io::Result<()> {
///         latchwork::thread::spawn(|| println!("said before the program ends"));
///         let text = std::fs::read_to_string("names.txt")?;
///         println!("{text}");
///         Ok(())
///     }
/// }
/// ```
#[macro_export]
macro_rules! main {
    ($(#[$attribute:meta])* $visibility:vis fn main() $(-> $result:ty)? $body:block) => {
        $(#[$attribute])*
        $visibility fn main() $(-> $result)? {
            fn body() $(-> $result)? $body
            let guard = $crate::exit::Guard::new();
            let result = body();
            drop(guard);
            result
        }
    };
}

/// What a fork does to the note of the guard: it is held while that happens.
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork {
    use super::MADE;

    pub(crate) fn hold() {
        MADE.hold();
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe { MADE.let_go() };
    }

    /// In the child, held: a guard of another thread than `this` did not come along.
    pub(crate) fn forget_others(this: u32) {
        // SAFETY: held by this thread, by `hold`.
        let made = unsafe { &mut *MADE.get() };
        if made.as_ref().is_some_and(|made| made.thread != this) {
            *made = None;
        }
    }
}
