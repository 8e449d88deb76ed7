//! Who wants to know that this thread sleeps: the pool whose worker it is.
//!
//! Called around every sleep in the lot or in a select, after the spin and with nothing locked. While it is
//! told, and in what it does then, nobody is told again.

use super::decision::Decision;
use super::{Kind, Limit};
use crate::platform::thread_local;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// See the head of this file. Neither may panic: a node of the thread's is in a line.
pub(crate) trait Onlooker {
    /// The thread is about to sleep, until `decision` has news. False if there is no need to tell of the end.
    fn falls_asleep(&self, kind: &'static Kind, is_limited: bool, decision: &Decision) -> bool;

    /// Called before the decision goes away.
    fn wakes_up(&self);
}

thread_local! {
    static ONLOOKER: Cell<Option<NonNull<dyn Onlooker>>> = const { Cell::new(None) };
}

/// Ends when it is dropped, in the same thread.
pub(crate) struct Watched<'o> {
    before: Option<NonNull<dyn Onlooker>>,
    _of: PhantomData<(&'o dyn Onlooker, *const ())>,
}

/// From now on `onlooker` is told of this thread's sleeps.
///
/// # Safety
///
/// The result is dropped, not forgotten.
pub(crate) unsafe fn watch<'o>(onlooker: &'o (dyn Onlooker + 'o)) -> Watched<'o> {
    let onlooker = NonNull::from(onlooker);
    // SAFETY: only the lifetime changes; `Watched` borrows for as long as it was, and its drop takes it away.
    let onlooker = unsafe {
        std::mem::transmute::<NonNull<dyn Onlooker + 'o>, NonNull<dyn Onlooker + 'static>>(onlooker)
    };
    Watched {
        before: ONLOOKER.with(|place| place.replace(Some(onlooker))),
        _of: PhantomData,
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        ONLOOKER.with(|place| place.set(self.before));
    }
}

/// The thread sleeps until this is dropped.
pub(crate) struct Asleep<'d>(PhantomData<&'d Decision>);

/// Tells that the current thread is about to sleep, until `decision` has news.
pub(crate) fn tell<'d>(
    kind: &'static Kind,
    limit: &Limit<'_>,
    decision: &'d Decision,
) -> Option<Asleep<'d>> {
    let is_limited = !limit.is_none();
    let goes_on = told(|onlooker| onlooker.falls_asleep(kind, is_limited, decision))?;
    // Not `then_some`: an `Asleep` that is dropped tells of the end.
    goes_on.then(|| Asleep(PhantomData))
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        told(|onlooker| onlooker.wakes_up());
    }
}

fn told<R>(tell: impl FnOnce(&dyn Onlooker) -> R) -> Option<R> {
    let onlooker = ONLOOKER.with(|place| place.take())?;
    // SAFETY: it is there as long as its `Watched` lives, which is of this thread.
    let result = tell(unsafe { onlooker.as_ref() });
    ONLOOKER.with(|place| place.set(Some(onlooker)));
    Some(result)
}
