//! Ending a thread from within, by an unwinding that is no panic.

use super::current;
use super::record::Origin;
use std::any::Any;
use std::panic::resume_unwind;

/// What unwinds. Nobody else can make one.
struct Exit;

/// Ends the current thread: unwinds its stack, so that everything on it is dropped, and prints nothing. Its
/// joiner gets [`JoinError::Exited`](super::JoinError::Exited).
///
/// A `catch_unwind` on the way stops it as it stops a panic. In a program that aborts on panic there is no
/// unwinding, and this ends the program.
///
/// # Panics
///
/// In a thread that this crate has not started, whose joiner would take it for a panic: the first thread, and
/// those of pools among them.
///
/// # Source
///
/// `sys.exit()` in a thread of Python's `threading`.
///
/// ```
/// use latchwork::thread::{self, JoinError};
///
/// let worker = thread::spawn(|| {
///     if std::env::args().count() > 0 {
///         thread::exit_current();
///     }
///     "not reached"
/// });
/// assert_eq!(worker.join(), Err(JoinError::Exited));
/// ```
#[doc(alias = "SystemExit")]
pub fn exit_current() -> ! {
    let is_ours = current::record().is_some_and(|record| record.origin == Origin::Started);
    assert!(is_ours, "only a thread that latchwork has started can exit");
    // Without the panic hook.
    resume_unwind(Box::new(Exit))
}

pub(super) fn is_exit(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Exit>()
}
