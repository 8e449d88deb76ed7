//! The pools of threads that are there, so that the program's end can drain them.
//!
//! Invariant: once the list is shut, whoever is entered is told so and accepts nothing; so what has been
//! drained stays empty. Pools are entered when they are built, weakly: one that is dropped drains itself.

use crate::platform::{Mutex, const_fn};
use crate::{GaveUp, Limit};
use std::sync::{Arc, Weak};

/// A pool, as the program's end sees it.
pub(crate) trait Pool: Send + Sync {
    /// Accepts nothing from now on.
    fn refuse(&self);

    /// Waits until all it has accepted has been done and its threads have ended; but not for a task that calls
    /// this itself.
    fn drain(&self, limit: &Limit<'_>) -> Result<(), GaveUp>;

    /// Its name and what it still has to do; nothing if that is nothing.
    fn remains(&self) -> Option<String>;
}

struct List {
    pools: Vec<Weak<dyn Pool>>,
    is_shut: bool,
}

struct Pools(Mutex<List>);

impl Pools {
    const_fn! {
        fn new() -> Pools {
            Pools(Mutex::new(List { pools: Vec::new(), is_shut: false }))
        }
    }
}

#[cfg(not(loom))]
static POOLS: Pools = Pools::new();
#[cfg(loom)]
loom::lazy_static! {
    static ref POOLS: Pools = Pools::new();
}

/// A pool has been built, and can be reached. False if the program is ending: it must accept nothing.
pub(crate) fn enter(pool: Weak<dyn Pool>) -> bool {
    let mut list = POOLS.0.lock();
    if list.is_shut {
        return false;
    }
    if list.pools.len() == list.pools.capacity() {
        list.pools.retain(|pool| pool.strong_count() > 0);
    }
    list.pools.push(pool);
    true
}

/// Those that are alive. They are dropped with nothing locked.
fn alive() -> Vec<Arc<dyn Pool>> {
    let list = POOLS.0.lock();
    list.pools.iter().filter_map(Weak::upgrade).collect()
}

/// Has all of them refuse tasks and do what they have accepted.
pub(super) fn drain(limit: &Limit<'_>) -> Result<(), GaveUp> {
    POOLS.0.lock().is_shut = true;
    let pools = alive();
    // All before any: a task of one may be about to submit to another.
    pools.iter().for_each(|pool| pool.refuse());
    pools.iter().try_for_each(|pool| pool.drain(limit))
}

/// Those that have something to do.
pub(super) fn remaining() -> Vec<String> {
    alive().iter().filter_map(|pool| pool.remains()).collect()
}

/// What a fork does to the list: it is held while that happens. The child has no pools: threads do not come along.
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork {
    use super::POOLS;

    pub(crate) fn hold() {
        POOLS.0.hold();
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe { POOLS.0.let_go() };
    }

    /// In the child, held.
    pub(crate) fn forget_parents() {
        // SAFETY: held by this thread, by `hold`.
        let list = unsafe { &mut *POOLS.0.get() };
        list.is_shut = false;
        list.pools.clear();
    }
}
