//! [`Record`]: what is known of one thread, by all who have something to do with it.
//!
//! The registry has it while the thread is alive; the thread itself, handles and
//! [`ThreadInfo`](super::ThreadInfo)s have it for as long as they like. What never changes is plain; a record
//! never comes back to life: [`ended`](Record::ended) is final.

use super::info::ThreadId;
use crate::platform::Mutex;
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::sync::completion::{Completion, Ending, worker_at};
use crate::wait::Kind;
use std::sync::Arc;

/// A thread's end, which is the thread's to bring about.
pub(super) struct ThreadEnding;

impl Ending for ThreadEnding {
    const KIND: &'static Kind = &Kind {
        name: "Thread",
        owner: Some(worker_at),
    };
}

/// A thread's first step, which is the system's to bring about.
pub(super) struct ThreadBeginning;

impl Ending for ThreadBeginning {
    const KIND: &'static Kind = &Kind {
        name: "Thread's start",
        owner: None,
    };
}

/// How a thread came to be known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This crate has started it.
    Started,
    /// It is the program's first.
    Main,
    /// It has been started by others and has asked who it is.
    Foreign,
}

/// See the head of this file.
pub(crate) struct Record {
    pub(super) id: ThreadId,
    pub(super) origin: Origin,
    pub(super) is_daemon: bool,
    pub(super) name: Mutex<Arc<str>>,
    /// The system's number; 0 while it is unknown.
    native: AtomicU32,
    /// Latchwork's number for it as an owner and a waiter, from its first step on; 0 before.
    number: AtomicU32,
    pub(super) began: Completion<ThreadBeginning>,
    pub(super) ended: Completion<ThreadEnding>,
}

impl Record {
    pub(crate) fn new(id: u64, origin: Origin, is_daemon: bool, name: &str) -> Record {
        Record {
            id: ThreadId(id),
            origin,
            is_daemon,
            name: Mutex::new(Arc::from(name)),
            native: AtomicU32::new(0),
            number: AtomicU32::new(0),
            began: Completion::new(),
            ended: Completion::new(),
        }
    }

    /// Does the end of the program wait for it?
    pub(super) fn is_waited_for(&self) -> bool {
        self.origin == Origin::Started && !self.is_daemon
    }

    /// For reports.
    pub(super) fn state(&self) -> &'static str {
        if self.ended.is_done() {
            "ended"
        } else if self.origin == Origin::Started && !self.began.is_done() {
            "starting"
        } else {
            "alive"
        }
    }

    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name.lock())
    }

    pub(super) fn rename(&self, name: &str) {
        *self.name.lock() = Arc::from(name);
    }

    pub(super) fn native(&self) -> Option<u32> {
        Some(self.native.load(Ordering::Relaxed)).filter(|&native| native != 0)
    }

    pub(super) fn number(&self) -> Option<u32> {
        Some(self.number.load(Ordering::Relaxed)).filter(|&number| number != 0)
    }

    /// Whoever sees the beginning sees these.
    pub(super) fn set_numbers(&self, native: u32, number: u32) {
        self.native.store(native, Ordering::Relaxed);
        self.number.store(number, Ordering::Relaxed);
    }
}
