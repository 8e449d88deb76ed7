//! What a fork does to the registry: it is held while that happens. In the child the thread that forked is the
//! only one, and the first; the others have ended as far as anybody there can tell.
//!
//! Called by `crate::fork`, in the thread that forks.

use super::super::current;
use super::super::record::{Origin, Record};
use super::REGISTRY;
use crate::platform::native_id;
use std::mem;
use std::sync::Arc;

pub(crate) fn hold() {
    REGISTRY.state.hold();
    hold_name();
}

pub(crate) fn let_go() {
    let_go_name();
    // SAFETY: by `hold`, in this thread; in the child it is the same thread.
    unsafe { REGISTRY.state.let_go() };
}

/// The name of the thread that forks, which the child will ask for, while others may be asking, too.
fn hold_name() {
    if let Some(here) = current::record() {
        here.name.hold();
    }
}

fn let_go_name() {
    if let Some(here) = current::record() {
        // SAFETY: by `hold_name`, in this thread; in the child it is the same thread.
        unsafe { here.name.let_go() };
    }
}

/// In the child, held.
pub(crate) fn forget_others() {
    // SAFETY: held by this thread, by `hold`.
    let state = unsafe { &mut *REGISTRY.state.get() };
    let_go_name();
    let here = current::record();
    let mut others = mem::take(&mut state.live);
    if let Some(here) = &here {
        others.remove(&here.id.as_u64());
    }
    state.vanished.extend(others.into_values());
    // The end of the parent, should it have begun, is not this one's.
    state.is_exiting = false;
    state.is_closed = false;
    state.awaited = 0;
    state.zero = None;
    state.main = here.map(|here| {
        let first = match here.origin {
            Origin::Main => here,
            // Nobody waits for the first thread, so it cannot go on as the one that was started.
            Origin::Started | Origin::Foreign => {
                let first = state.new_record(Origin::Main, false, &here.name());
                let first = Arc::new(first);
                state.live.insert(first.id.as_u64(), Arc::clone(&first));
                current::set(Arc::clone(&first));
                state.vanished.push(here);
                return first;
            }
        };
        first.set_numbers(native_id().unwrap_or(0), first.number().unwrap_or(0));
        state.live.insert(first.id.as_u64(), Arc::clone(&first));
        first
    });
    // Perhaps another record's.
    hold_name();
}

/// In the child, with nothing held: those who did not come along have ended.
pub(crate) fn tell() {
    let vanished: Vec<Arc<Record>> = mem::take(&mut REGISTRY.state.lock().vanished);
    for record in vanished {
        record.ended.complete();
    }
}
