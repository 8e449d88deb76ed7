//! Where submitters and the reactor meet: the tasks handed in, and what the pool looks like.
//!
//! Invariant: whoever puts something on the desk while the reactor may be asleep rings the bell.
//! "May be asleep" is a flag under the same lock as what is handed in: the reactor sets it in the
//! very step in which it finds nothing, so no order of the two can lose a wake-up, and a submitter
//! pays for the bell only when somebody has to be woken.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::EventfdFlags;

use super::dispatch::Census;
use super::job::Job;
use crate::Shutdown;
use crate::executor::SubmitRefusal;
use crate::platform::{Mutex, above_standard};
use crate::sync::Event;

/// The desk of one pool.
pub(super) struct Desk {
    /// Readable when the reactor has to look at the desk.
    bell: OwnedFd,
    /// Set when the reactor is done: no task, no worker, no process left.
    pub(super) ended: Event,
    state: Mutex<State>,
}

/// What the pool looks like from outside, as of the reactor's last step.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    /// Tasks without a worker.
    pub(super) queued: usize,
    /// Tasks in a worker.
    pub(super) running: usize,
    /// Tasks that ended in whatever way.
    pub(super) done: u64,
    /// The processes, the starting and the leaving included.
    pub(super) pids: Vec<u32>,
}

#[derive(Default)]
struct State {
    gate: Gate,
    incoming: Vec<Job>,
    shutdown: Option<Shutdown>,
    /// The reactor found nothing here and will not look again before the bell rings.
    asleep: bool,
    status: Status,
}

#[derive(Clone, Default)]
enum Gate {
    #[default]
    Open,
    ShutDown,
    Broken(Arc<str>),
}

/// What the reactor found on the desk.
pub(super) struct Collected {
    pub(super) jobs: Vec<Job>,
    pub(super) shutdown: Option<Shutdown>,
}

impl Desk {
    pub(super) fn new() -> std::io::Result<Desk> {
        Ok(Desk {
            bell: above_standard(rustix::event::eventfd(
                0,
                EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
            )?)?,
            ended: Event::new(),
            state: Mutex::new(State::default()),
        })
    }

    /// Whether a task would be accepted now.
    pub(super) fn check(&self) -> Result<(), SubmitRefusal> {
        self.state.lock().gate.check()
    }

    /// Hands a task in, or drops it and says why it was not taken.
    pub(super) fn submit(&self, job: Job) -> Result<(), SubmitRefusal> {
        let mut state = self.state.lock();
        state.gate.check()?;
        state.incoming.push(job);
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        self.ring_if(wake);
        Ok(())
    }

    /// Closes the gate and tells the reactor what becomes of the tasks that wait.
    pub(super) fn shut_down(&self, pending: Shutdown) {
        let mut state = self.state.lock();
        if matches!(state.gate, Gate::Open) {
            state.gate = Gate::ShutDown;
        }
        if state.shutdown != Some(Shutdown::Immediate) {
            state.shutdown = Some(pending);
        }
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        self.ring_if(wake);
    }

    /// Closes the gate for good and gives back what was handed in meanwhile.
    pub(super) fn break_down(&self, reason: &Arc<str>) -> Vec<Job> {
        let mut state = self.state.lock();
        state.gate = Gate::Broken(reason.clone());
        std::mem::take(&mut state.incoming)
    }

    /// Takes what lies on the desk. When that is nothing, the reactor counts as asleep from here
    /// on, until it comes back.
    pub(super) fn collect(&self) -> Collected {
        let mut state = self.state.lock();
        let collected = Collected {
            jobs: std::mem::take(&mut state.incoming),
            shutdown: state.shutdown.take(),
        };
        state.asleep = collected.is_empty();
        collected
    }

    /// Leaves word of what the pool looks like. `pids` only when they have changed.
    pub(super) fn publish(&self, census: Census, done: u64, pids: Option<Vec<u32>>) {
        let status = &mut self.state.lock().status;
        status.queued = census.queued;
        status.running = census.running;
        status.done = done;
        if let Some(pids) = pids {
            status.pids = pids;
        }
    }

    /// What the pool looks like; tasks that the reactor has not taken yet are counted as queued.
    pub(super) fn status(&self) -> Status {
        let state = self.state.lock();
        let mut status = state.status.clone();
        status.queued += state.incoming.len();
        status
    }

    /// What the gate looks like, for people.
    pub(super) fn gate(&self) -> &'static str {
        match self.state.lock().gate {
            Gate::Open => "open",
            Gate::ShutDown => "shut down",
            Gate::Broken(_) => "broken",
        }
    }

    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Makes the bell silent until it rings again.
    pub(super) fn hush(&self) {
        // Nothing to read is as good: it was silent already.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
    }

    fn ring_if(&self, wake: bool) {
        if wake {
            // Fails only when the counter is full, and then the bell is ringing.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }
}

impl Gate {
    fn check(&self) -> Result<(), SubmitRefusal> {
        match self {
            Gate::Open => Ok(()),
            Gate::ShutDown => Err(SubmitRefusal::ShutDown),
            Gate::Broken(reason) => Err(SubmitRefusal::Broken(reason.clone())),
        }
    }
}

impl Collected {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.shutdown.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_does_not_call_off_an_immediate_shutdown() {
        let desk = Desk::new().unwrap();
        desk.shut_down(Shutdown::Immediate);
        // What dropping the pool does, before the reactor has looked.
        desk.shut_down(Shutdown::Drain);
        assert_eq!(desk.collect().shutdown, Some(Shutdown::Immediate));
    }
}
