//! The table of cases, one file a primitive.
//!
//! To add one: a file here with a [`Subject`](crate::case::Subject), which says what survivors do and what
//! must be true, and `pub fn cases()` with a line for each operation:
//!
//! ```ignore
//! Case::new("Gate::open", Opened::new, |s, begin| {
//!     let ticket = s.gate.enter().unwrap(); // what the victim prepares
//!     begin();                              // it is stepped, killed and stopped from here on
//!     drop(ticket);
//! })
//! ```
//!
//! then `mod gate;` and `gate::cases()` below. An operation that waits for others gets what it waits for
//! from `Subject::meanwhile`, or has a limit of a few milliseconds. What an operation drops is its own or a
//! copy that does nothing in a forked child, as guards and handles of this crate are.
//!
//! A load for the random driver is a [`Load`](crate::storm::Load), in the same file, and a line in
//! [`storms`].

mod barrier;
mod condition;
mod event;
mod lock;
mod object;
mod rlock;
mod roster;
mod rwlock;
mod semaphore;
mod value;

use crate::case::{Case, Found};
use crate::storm::Storm;
use latchwork::GaveUp;
use latchwork::ipc::{Lock, LockError, LockGuard, RLockGuard, ValueGuard, WriteGuard};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub fn cases() -> Vec<Case> {
    let all = [
        lock::cases(),
        value::cases(),
        object::cases(),
        rlock::cases(),
        roster::cases(),
        event::cases(),
        condition::cases(),
        barrier::cases(),
        rwlock::cases(),
        semaphore::cases(),
    ];
    all.into_iter().flatten().collect()
}

pub fn storms() -> Vec<Storm> {
    vec![value::storm(), rwlock::storm(), semaphore::storm()]
}

/// What survivors allow a lock that no living process holds.
const SOON: Duration = Duration::from_secs(2);

static BYSTANDER: LazyLock<Lock> = LazyLock::new(|| Lock::new().unwrap());

/// Gives this process its place in the roster.
pub fn be_listed() {
    drop(BYSTANDER.try_lock());
}

/// A guard that can be vouched for.
trait Guard {
    fn vouch(&mut self);
}

impl Guard for LockGuard<'_> {
    fn vouch(&mut self) {
        self.mark_consistent();
    }
}

impl Guard for RLockGuard<'_> {
    fn vouch(&mut self) {
        self.mark_consistent();
    }
}

impl<T: bytemuck::Pod> Guard for WriteGuard<'_, T> {
    fn vouch(&mut self) {
        self.mark_consistent();
    }
}

impl<T: bytemuck::Pod> Guard for ValueGuard<'_, T> {
    fn vouch(&mut self) {
        self.mark_consistent();
    }
}

/// Takes over what a dead victim may have held; whatever else is the matter is lost.
fn inherit<G: Guard>(outcome: Result<G, LockError<G>>) -> Result<(G, Found), String> {
    match outcome {
        Ok(guard) => Ok((guard, Found::Free)),
        Err(LockError::OwnerDied(mut guard)) => {
            guard.vouch();
            Ok((guard, Found::Held))
        }
        Err(other) => Err(format!("survivors get \"{other}\"")),
    }
}

/// Those that are so long, or wait so often, that each takes ten seconds or more: for full runs only.
fn at_length(cases: Vec<Case>) -> Vec<Case> {
    match std::env::var("LATCHWORK_KILL").as_deref() {
        Ok("full") => cases,
        _ => Vec::new(),
    }
}

/// A task of the parent, which waits while the victim is at it.
type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// What a future of the parent comes to, if it does so in time.
fn comes_to<F: Future + ?Sized>(mut future: Pin<&mut F>, limit: Duration) -> Option<F::Output> {
    let began = Instant::now();
    loop {
        let context = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Some(output);
        }
        if began.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Free, or held by somebody who lives: nothing else may a lock be while its user is stopped.
fn free_or_held<G>(outcome: Result<G, LockError<G>>) -> Result<(), String> {
    match outcome {
        Ok(_) | Err(LockError::GaveUp(GaveUp::TimedOut)) => Ok(()),
        Err(LockError::OwnerDied(_)) => Err("taken from a stopped owner".to_owned()),
        Err(other) => Err(format!("beside a stopped one there is \"{other}\"")),
    }
}
