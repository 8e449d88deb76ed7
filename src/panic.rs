//! A panic as data: what it said, and where. For every floor that runs other people's code.
//!
//! The message is in the payload; the place, and the stack, are only there for the panic hook. So a hook is
//! put in front of the one that is there, once, which notes them for the thread that is running a
//! task and then calls the other. Nothing is silenced.

use crate::platform::{thread_id, thread_name};
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Once};

/// A panic as data.
///
/// `Debug` leaves the stack out, which is long: it is a field.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panicked {
    /// What it said; a payload that is no string is described.
    pub message: String,
    /// Where, as `file:line:column`; unknown if somebody has replaced the panic hook since.
    pub location: Option<String>,
    /// The name of the thread it happened in.
    pub thread: Option<String>,
    /// The name of the task, if it had one.
    pub task: Option<Arc<str>>,
    /// The stack at the panic, as text, if the environment asks for it (`RUST_BACKTRACE` or
    /// `RUST_LIB_BACKTRACE`).
    pub backtrace: Option<Arc<str>>,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Some(task) => write!(f, "the task `{task}` panicked")?,
            None => f.write_str("the task panicked")?,
        }
        if let Some(thread) = &self.thread {
            write!(f, " in {thread}")?;
        }
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl fmt::Debug for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panicked")
            .field("message", &self.message)
            .field("location", &self.location)
            .field("thread", &self.thread)
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// The place of the last panic in this thread.
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

struct Place {
    location: Option<String>,
    backtrace: Backtrace,
}

/// Leaves `place` and returns what was there. A thread on its way out has nobody to note it for.
fn note(place: Option<Place>) -> Option<Place> {
    PLACE.try_with(|noted| noted.replace(place)).unwrap_or(None)
}

fn install_hook() {
    static INSTALLED: Once = Once::new();
    // The hook cannot be replaced by a thread that panics; the next one does it.
    if std::thread::panicking() {
        return;
    }
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            note(Some(Place {
                location: info.location().map(ToString::to_string),
                // Costs one load if the environment does not ask for it; names are looked up later.
                backtrace: Backtrace::capture(),
            }));
            previous(info);
        }));
    });
}

/// A panic that has been caught, with its payload.
pub(crate) struct Caught {
    payload: Box<dyn Any + Send>,
    place: Option<Place>,
}

impl Caught {
    pub(crate) fn payload(&self) -> &(dyn Any + Send) {
        &*self.payload
    }

    pub(crate) fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload
    }

    /// As data; the payload remains.
    pub(crate) fn describe(&self) -> Panicked {
        let place = self.place.as_ref();
        let backtrace = place.map(|place| &place.backtrace);
        Panicked {
            message: message(&*self.payload),
            location: place.and_then(|place| place.location.clone()),
            thread: thread_name(thread_id()),
            task: None,
            backtrace: backtrace
                .filter(|trace| trace.status() == BacktraceStatus::Captured)
                .map(|trace| trace.to_string().into()),
        }
    }

    /// Drops the payload. One whose own drop panics is let go.
    pub(crate) fn discard(self) {
        discard(self.payload);
    }
}

/// Runs `f`; its panic, if any, with all that is known of it.
///
/// Whatever `f` had borrowed mutably is dropped with it, so no broken value is seen afterwards.
pub(crate) fn catch_all<R>(f: impl FnOnce() -> R) -> Result<R, Caught> {
    install_hook();
    // Kept for a panic around this call that is on its way to another `catch`.
    let outer = note(None);
    let result = panic::catch_unwind(AssertUnwindSafe(f)).map_err(|payload| Caught {
        payload,
        place: note(None),
    });
    if outer.is_some() {
        note(outer);
    }
    result
}

/// Runs `f`; its panic, if any, as data.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_all(f).map_err(|caught| {
        let panicked = caught.describe();
        caught.discard();
        panicked
    })
}

/// Runs `f`, for whose panic nobody waits: the hook has printed it, so say whose it was.
pub(crate) fn report(what: &str, f: impl FnOnce()) {
    if let Err(panic) = catch(f) {
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(
            io::stderr(),
            "latchwork: {what} panicked: {}",
            panic.message
        );
    }
}

/// Runs `f`, whose panic goes no further; the hook has printed it.
pub(crate) fn contain(f: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(f)) {
        discard(payload);
    }
}

/// What the payload says.
fn message(payload: &(dyn Any + Send)) -> String {
    match payload.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => match payload.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => "a payload that is not a string".to_owned(),
        },
    }
}

/// A payload whose own drop panics is let go, not dropped.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_place_and_thread_come_back() {
        let thread = std::thread::Builder::new().name("unlucky".into());
        let caught = thread
            .spawn(|| catch(|| -> () { panic!("number {}", 13) }))
            .unwrap()
            .join()
            .unwrap()
            .unwrap_err();
        assert_eq!(caught.message, "number 13");
        assert_eq!(caught.thread.as_deref(), Some("unlucky"));
        assert!(caught.location.unwrap().contains("panic.rs:"));
    }

    #[test]
    fn a_payload_that_panics_when_dropped_does_no_harm() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("bomb");
            }
        }
        let caught = catch(|| panic::panic_any(Bomb)).unwrap_err();
        assert_eq!(caught.message, "a payload that is not a string");
    }
}
