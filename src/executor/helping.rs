//! Waiting for the end of a task, as everybody does it: a worker of the task's pool helps, others sleep.

use super::task::{Job, Outcome};
use super::thread_pool::help;
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
