//! A submitted task on its way: the frame that a worker gets, and the promise that its end keeps.
//!
//! Invariant: a job's promise is completed exactly once, by whoever holds the job last.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::dispatch::Task;
use crate::executor::task::{Promise, promise};
use crate::executor::{
    Exit, Panicked, Portable, SubmitRefusal, TaskError, TaskFuture, TaskId, WorkerDied,
};
use crate::panic::catch;
use crate::process::function::{self, CallFailure, SealKey};
use crate::process::serve::{CallHeader, Outcome};
use crate::process::spawn::Ended;
use crate::process::wire;

/// One call of a function of the program, its types forgotten.
pub(super) struct Job {
    id: TaskId,
    /// What the worker's answer is checked by.
    number: u64,
    frame: Vec<u8>,
    /// It was sent to a worker that died without reading it: it runs, in the eyes of its future.
    was_started: bool,
    /// How often that happened.
    taken_back: u32,
    landing: Box<dyn Landing>,
}

/// A promise whose type only it knows.
trait Landing: Send {
    fn start(&self) -> bool;
    fn land(self: Box<Self>, result: Result<&[u8], TaskError>);
}

impl<R: Portable> Landing for Promise<R> {
    fn start(&self) -> bool {
        self.begin()
    }

    fn land(self: Box<Self>, result: Result<&[u8], TaskError>) {
        self.end(result.and_then(decode));
    }
}

/// Decodes a result with its type's own code, which may do anything, a panic included.
fn decode<R: Portable>(bytes: &[u8]) -> Result<R, TaskError> {
    let failure = match catch(|| wire::split::<R>(bytes)) {
        Ok(Ok((value, []))) => return Ok(value),
        Ok(Ok(_)) => "the result is longer than its type".into(),
        Ok(Err(error)) => error.to_string().into(),
        Err(panic) => format!("decoding the result panicked: {}", panic.message).into(),
    };
    Err(TaskError::Decode(failure))
}

impl Job {
    /// Encodes a call of `function`.
    pub(super) fn new<A: Portable, R: Portable>(
        function: fn(A) -> R,
        argument: &A,
    ) -> Result<(Job, TaskFuture<R>), SubmitRefusal> {
        let name =
            function::name(function).map_err(|reason| SubmitRefusal::NotPortable(reason.into()))?;
        let key = SealKey::own().map_err(|error| refuse_to_encode(&error))?;
        let (promise, future) = promise::<R>();
        let id = promise.id();
        let number = next_number();
        let header = CallHeader {
            task: number,
            name,
            seal: key.seal(&name),
        };
        let frame = encode(&header, argument).map_err(|error| refuse_to_encode(&error))?;
        let landing = Box::new(promise);
        let job = Job {
            id,
            number,
            frame,
            was_started: false,
            taken_back: 0,
            landing,
        };
        Ok((job, future))
    }

    /// The number under which the worker knows this task.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Completes the task with the worker's answer.
    pub(super) fn answer(self, outcome: Outcome, result: &[u8]) {
        let error = match outcome {
            Outcome::Returned => return self.landing.land(Ok(result)),
            Outcome::Panicked {
                message,
                location,
                thread,
            } => TaskError::Panicked(Panicked {
                message,
                location,
                thread: Some(thread),
                task: None,
                backtrace: None,
            }),
            Outcome::Failed(CallFailure::Argument(why)) => TaskError::Decode(why.into()),
            Outcome::Failed(CallFailure::Result(why)) => TaskError::Encode(why.into()),
        };
        self.fail(error);
    }

    /// Completes the task with the end of the worker that ran it.
    pub(super) fn died(self, pid: u32, ended: Ended) {
        let exit = match ended {
            Ended::Signal(signal) => Exit::Signal(signal),
            Ended::Code(code) => Exit::Code(code),
            Ended::Unknown => Exit::Unknown,
        };
        let death = WorkerDied::new(self.id, pid, exit);
        self.fail(TaskError::WorkerDied(death));
    }

    /// Completes the task without a result.
    pub(super) fn fail(self, error: TaskError) {
        self.landing.land(Err(error));
    }
}

impl Task for Job {
    type Message = Vec<u8>;

    fn start(&mut self) -> Option<Vec<u8>> {
        self.was_started |= self.landing.start();
        self.was_started.then(|| std::mem::take(&mut self.frame))
    }

    fn take_back(&mut self, frame: Vec<u8>) -> bool {
        // An argument may be what kills its workers before they have read all of it.
        self.taken_back += 1;
        self.frame = frame;
        self.taken_back <= MOST_TAKEN_BACK
    }
}

/// How often a task that was not read goes to another worker before it is given up.
const MOST_TAKEN_BACK: u32 = 3;

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Only its uniqueness matters.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn encode(header: &CallHeader, argument: &impl Serialize) -> Result<Vec<u8>, postcard::Error> {
    let frame = wire::append(wire::begin(), header)?;
    wire::append(frame, argument).map(wire::finish)
}

fn refuse_to_encode(error: &dyn std::error::Error) -> SubmitRefusal {
    SubmitRefusal::Encode(error.to_string().into())
}
