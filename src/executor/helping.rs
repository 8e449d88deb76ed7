//! Waiting for the end of tasks, as everybody does it: a worker of the tasks' pool helps, others sleep.

use super::task::{Job, Outcome};
use super::thread_pool::{Expecting, expect, help, is_of};
use crate::{GaveUp, Limit};
use std::panic::Location;
use std::sync::Arc;

/// Blocks until the task has ended, or as long as `limit` says.
pub(super) fn wait<R>(
    task: &Arc<dyn Outcome<R> + '_>,
    limit: &Limit<'_>,
    place: &'static Location<'static>,
) -> Result<(), GaveUp> {
    let core = task.core();
    if core.is_done() {
        return Ok(());
    }
    let job: Arc<dyn Job + '_> = Arc::clone(task) as _;
    let _expecting = limit.is_none().then(|| help(&job)).flatten();
    core.end().wait_at_within(place, limit)
}

/// Before a wait without a limit for several tasks, each of which is needed: runs the first that has not started, if this
/// is a worker of its pool. If it could not, the wait is one for that task until the result is dropped.
pub(super) fn help_one(tasks: impl Iterator<Item = Arc<dyn Job>>) -> Option<Expecting> {
    first_to_start(tasks).and_then(|task| help(&task))
}

/// Before a wait without a limit for the first of several tasks, by which none of them is run: it is one for the first
/// that has not started, until the result is dropped.
pub(super) fn expect_one(tasks: impl Iterator<Item = Arc<dyn Job>>) -> Option<Expecting> {
    first_to_start(tasks).and_then(|task| expect(&task))
}

fn first_to_start(mut tasks: impl Iterator<Item = Arc<dyn Job>>) -> Option<Arc<dyn Job>> {
    tasks.find(|task| !task.is_claimed() && is_of(task.home()))
}
