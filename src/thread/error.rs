//! What can go wrong with threads: with their start, their end, and their attributes.

use super::stack_size::LEAST_STACK_SIZE;
use crate::GaveUp;
use crate::panic::Panicked;
use std::error::Error;
use std::fmt;
use std::io;

/// Why a thread was not started. Nothing is left of the attempt.
#[derive(Debug)]
#[non_exhaustive]
#[doc(alias = "ThreadError")]
pub enum SpawnError {
    /// The system gives no thread: "can't start new thread".
    Os(io::Error),
    /// There is a zero byte in the name.
    InvalidName(InvalidName),
    /// No thread can have a stack of this size.
    InvalidStackSize(StackSizeError),
    /// The program is ending, and all threads that it waits for have ended.
    ShuttingDown,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::Os(why) => write!(f, "the system gives no thread: {why}"),
            SpawnError::InvalidName(why) => why.fmt(f),
            SpawnError::InvalidStackSize(why) => why.fmt(f),
            SpawnError::ShuttingDown => f.write_str("no thread is started at the program's end"),
        }
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SpawnError::Os(why) => Some(why),
            _ => None,
        }
    }
}

/// There is a zero byte in a thread's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidName;

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a zero byte in a thread's name")
    }
}

impl Error for InvalidName {}

/// No thread can have a stack of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackSizeError {
    /// Less than 32 KiB, and not 0.
    TooSmall,
    /// More than an address space holds.
    TooBig,
}

impl fmt::Display for StackSizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StackSizeError::TooSmall => {
                write!(f, "a stack has {LEAST_STACK_SIZE} bytes at least")
            }
            StackSizeError::TooBig => f.write_str("no address space holds such a stack"),
        }
    }
}

impl Error for StackSizeError {}

/// Why a thread has left nothing to its joiner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// It panicked.
    Panicked(Panicked),
    /// It ended by [`exit_current`](super::exit_current).
    Exited,
    /// It is the thread that asks, and would wait for its own end for ever. It goes on, without a handle.
    WouldDeadlock,
    /// It is a thread of the process that this one was forked from, and did not come along.
    LeftBehind,
}

impl JoinError {
    /// The thread's panic, if that is why.
    pub fn panic(&self) -> Option<&Panicked> {
        match self {
            JoinError::Panicked(panic) => Some(panic),
            _ => None,
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Panicked(panic) => panic.fmt(f),
            JoinError::Exited => f.write_str("the thread has exited without a result"),
            JoinError::WouldDeadlock => f.write_str("a thread cannot wait for its own end"),
            JoinError::LeftBehind => {
                f.write_str("the thread did not come along when the process was forked")
            }
        }
    }
}

impl Error for JoinError {}

/// Why a thread's end has not been waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitError {
    /// The deadline passed first.
    TimedOut,
    /// The cancel token was cancelled first.
    Cancelled,
    /// It is the thread that asks, and would wait for its own end for ever.
    WouldDeadlock,
    /// This crate has not started it, but others, or the system: "cannot join a dummy thread".
    Foreign,
}

impl From<GaveUp> for WaitError {
    fn from(why: GaveUp) -> WaitError {
        match why {
            GaveUp::TimedOut => WaitError::TimedOut,
            GaveUp::Cancelled => WaitError::Cancelled,
        }
    }
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitError::TimedOut => GaveUp::TimedOut.fmt(f),
            WaitError::Cancelled => GaveUp::Cancelled.fmt(f),
            WaitError::WouldDeadlock => JoinError::WouldDeadlock.fmt(f),
            WaitError::Foreign => {
                f.write_str("a thread that others have started cannot be waited for")
            }
        }
    }
}

impl Error for WaitError {}

/// A thread could not be started, and can be tried again: it is in here.
#[non_exhaustive]
pub struct NotStarted<U> {
    /// The [`UnstartedThread`](super::UnstartedThread), as it was.
    pub thread: U,
    /// Why it was not started.
    pub why: SpawnError,
}

/// The thread had not ended when the call gave up. The handle is in here.
#[non_exhaustive]
pub struct NotEnded<H> {
    /// To wait again.
    pub handle: H,
    /// Why the call gave up.
    pub why: WaitError,
}

/// What both say is why; what they give back need not be printable.
macro_rules! gives_back {
    ($name:ident) => {
        impl<B> fmt::Debug for $name<B> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("why", &self.why)
                    .finish_non_exhaustive()
            }
        }

        impl<B> fmt::Display for $name<B> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.why.fmt(f)
            }
        }

        impl<B> Error for $name<B> {}
    };
}
gives_back!(NotStarted);
gives_back!(NotEnded);
