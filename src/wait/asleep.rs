//! Who wants to know that this thread sleeps: the pool whose worker it is.
//!
//! Called around every sleep in the lot or in a select, after the spin and with nothing locked. While it is
//! told, and in what it does then, nobody is told again.

use super::{Kind, Limit};
use crate::platform::thread_local;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// See the head of this file. Neither may panic: a node of the thread's is in a line.
pub(crate) trait Onlooker {
    /// The thread is about to sleep. False if there is no need to tell of the end.
    fn falls_asleep(&self, kind: &'static Kind, is_limited: bool) -> bool;

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
pub(crate) struct Asleep(());

/// Tells that the current thread is about to sleep.
pub(crate) fn tell(kind: &'static Kind, limit: &Limit<'_>) -> Option<Asleep> {
    let is_limited = !limit.is_none();
    told(|onlooker| onlooker.falls_asleep(kind, is_limited))
}

impl Drop for Asleep {
    fn drop(&mut self) {
        told(|onlooker| {
            onlooker.wakes_up();
            false
        });
    }
}

fn told(tell: impl FnOnce(&dyn Onlooker) -> bool) -> Option<Asleep> {
    let onlooker = ONLOOKER.with(|place| place.take())?;
    // SAFETY: it is there as long as its `Watched` lives, which is of this thread.
    let goes_on = tell(unsafe { onlooker.as_ref() });
    ONLOOKER.with(|place| place.set(Some(onlooker)));
    goes_on.then(|| Asleep(()))
}
