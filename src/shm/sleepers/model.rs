//! What the loom models need of the sleepers: locks that are waited for by being polled.
//!
//! Used by loom-tests/tests/ipc_sleepers.rs only.

use super::sleepers;
use crate::platform::atomic::Ordering;
use crate::platform::shared_futex;
use crate::shm::waiting::Waiting;
use crate::shm::word::model::{Outcome, Tree};
use std::future::Future;

/// Takes the lock of `tree` by being polled, without limit.
pub fn lock(tree: &Tree, who: u32) -> impl Future<Output = Outcome> + '_ {
    // SAFETY: a model forgets no future, so none outlives the tree.
    let waiting = unsafe { Waiting::new(tree.word().locking(Tree::name(who), tree)) };
    async move { tree.outcome(waiting.await.map(Some)) }
}

/// Ends the thread that sleeps for the others, if there is one, so that the model can end.
pub fn end() {
    let sleepers = sleepers();
    sleepers.state.lock().is_over = true;
    sleepers.doorbell.fetch_add(1, Ordering::Relaxed);
    shared_futex::ring(&sleepers.doorbell);
}
