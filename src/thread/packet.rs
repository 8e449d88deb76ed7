//! [`Packet`]: what a thread and its handle share, from the function to what came of it.
//!
//! The function waits in here until the thread takes it, so that a start which fails gives it back. What
//! came of it is in here before the thread's end is told to anybody, and one handle takes it.

use super::current;
use super::error::JoinError;
use super::exit_current;
use super::info::ThreadInfo;
use super::inherit::Inherited;
use super::record::Record;
use super::scope::Tally;
use super::{panic_hook, spawn_hook};
use crate::panic::{catch_all, report};
use crate::platform::{self, Mutex};
use std::io;
use std::mem;
use std::panic::Location;
use std::sync::Arc;

/// See the head of this file.
pub(super) struct Packet<F, T> {
    info: ThreadInfo,
    stage: Mutex<Stage<F, T>>,
    /// Of the scope that the thread belongs to.
    tally: Option<Arc<Tally>>,
}

enum Stage<F, T> {
    Ready(F, Inherited),
    Running,
    Ended(Result<T, JoinError>),
    /// Nobody wants it any more.
    Taken,
}

/// The handle's side, whatever the function is.
pub(super) trait Outcome<T>: Send + Sync {
    fn info(&self) -> &ThreadInfo;

    /// What came of the thread, which has ended. Called once.
    fn take(&self) -> Result<T, JoinError>;
}

/// Starts a thread that runs `f`, and returns when it runs.
///
/// # Errors
///
/// Why the system gives no thread, and what it would have run.
///
/// # Safety
///
/// What `f` borrows lives until the thread's record says that it has ended.
pub(super) unsafe fn start<'a, F, T>(
    record: Arc<Record>,
    stack_size: usize,
    (f, inherited): (F, Inherited),
    tally: Option<Arc<Tally>>,
    place: &'static Location<'static>,
) -> Result<Arc<Packet<F, T>>, (F, Inherited, io::Error)>
where
    F: FnOnce() -> T + Send + 'a,
    T: Send + 'a,
{
    let packet = Arc::new(Packet {
        info: ThreadInfo::of(record),
        stage: Mutex::new(Stage::Ready(f, inherited)),
        tally,
    });
    let its = Arc::clone(&packet);
    let name = packet.info.name();
    // SAFETY: the caller's promise: the thread drops `its` before it tells of its end.
    let started = unsafe { platform::spawn_unchecked(&name, stack_size, move || life(its)) };
    match started {
        Ok(()) => {
            packet.info.record.began.wait_at(place);
            Ok(packet)
        }
        Err(why) => match packet.replace(Stage::Taken) {
            Stage::Ready(f, inherited) => Err((f, inherited, why)),
            _ => unreachable!("there was no thread to take it"),
        },
    }
}

/// A thread's whole life.
fn life<F: FnOnce() -> T, T>(packet: Arc<Packet<F, T>>) {
    let is_told = current::begin(&packet.info.record);
    packet.run();
    // With it goes what came of the function, if nobody has a handle: the user's code.
    report("what a thread returned", move || drop(packet));
    if !is_told {
        current::end();
    }
}

impl<F, T> Packet<F, T> {
    fn replace(&self, stage: Stage<F, T>) -> Stage<F, T> {
        mem::replace(&mut self.stage.lock(), stage)
    }
}

impl<F: FnOnce() -> T, T> Packet<F, T> {
    fn run(&self) {
        let Stage::Ready(f, inherited) = self.replace(Stage::Running) else {
            unreachable!("a thread runs once");
        };
        let _on_clock = inherited.install();
        self.info.record.began.complete();
        spawn_hook::started(&self.info);
        // The function, with all it captured, is gone before the outcome is there.
        let outcome = catch_all(f).map_err(|caught| {
            if exit_current::is_exit(caught.payload()) {
                JoinError::Exited
            } else {
                JoinError::Panicked(panic_hook::call(&self.info, caught))
            }
        });
        spawn_hook::ending(&self.info);
        if let (Some(tally), Err(JoinError::Panicked(_))) = (&self.tally, &outcome) {
            tally.add_panic();
        }
        self.replace(Stage::Ended(outcome));
    }
}

impl<F: Send, T: Send> Outcome<T> for Packet<F, T> {
    fn info(&self) -> &ThreadInfo {
        &self.info
    }

    fn take(&self) -> Result<T, JoinError> {
        let outcome = match self.replace(Stage::Taken) {
            Stage::Ended(outcome) => outcome,
            _ if platform::forked::is_child() => return Err(JoinError::LeftBehind),
            _ => unreachable!("an ended thread leaves an outcome, and one handle takes it"),
        };
        if let (Some(tally), Err(JoinError::Panicked(_))) = (&self.tally, &outcome) {
            tally.remove_panic();
        }
        outcome
    }
}
