//! [`Alarm`]: something that is to happen at an instant.
//!
//! One allocation, shared by whoever set it and by the wheel it is in. Each time it is set, exactly one of two
//! things happens: it rings, or somebody takes it out of the wheel before. Which, is decided under
//! the timeline's lock, so whatever the body keeps for the one is the other's to take: see [`Ring`].

use super::wheel::Head;
use std::sync::Arc;

/// What an alarm is for.
///
/// After [`Timeline::arm`](super::Timeline::arm), and until it is armed again, either
/// [`ring`](Ring::ring) or [`lost`](Ring::lost) is called, once, or [`Timeline::disarm`](super::Timeline::disarm) says true, once. Neither is called with
/// anything locked. They must not panic, and should be quick: all other alarms wait.
pub(crate) trait Ring: Send + Sync + Sized + 'static {
    /// The instant has come.
    fn ring(this: Arc<Alarm<Self>>);

    /// It will not come: nobody turns the wheel any more.
    fn lost(this: Arc<Alarm<Self>>);

    /// Is it set in a child that is forked meanwhile, too? Otherwise it is [left behind](Ring::left_behind) there.
    const SURVIVES_FORK: bool = true;

    /// This is a child that was forked, and it will not come there. Within the call of `fork`, so nothing that the
    /// parent has given may be called or dropped.
    fn left_behind(_this: Arc<Alarm<Self>>) {}
}

/// What the wheel has to know of an alarm's type.
struct Calls {
    /// Safety, of all: what [`Alarm::into_wheel`] returned, once.
    ring: unsafe fn(*const Head),
    lost: unsafe fn(*const Head),
    /// Those of a fork.
    #[cfg_attr(any(loom, not(unix)), expect(dead_code, reason = "nothing forks"))]
    left_behind: unsafe fn(*const Head),
    #[cfg_attr(any(loom, not(unix)), expect(dead_code, reason = "nothing forks"))]
    survives_fork: bool,
}

#[repr(C)]
pub(crate) struct Alarm<B: ?Sized> {
    /// What the wheel sees; it has to come first.
    front: Front,
    pub(crate) body: B,
}

#[repr(C)]
struct Front {
    head: Head,
    calls: &'static Calls,
}

// SAFETY: the head belongs to who has the wheel that the alarm is in, and before it has been in one only to
// who puts it there, under the same lock; the rest is shared as its type allows.
unsafe impl<B: Send + Sync + ?Sized> Sync for Alarm<B> {}
// SAFETY: as above.
unsafe impl<B: Send + Sync + ?Sized> Send for Alarm<B> {}

impl<B: Ring> Alarm<B> {
    /// An alarm that is not set.
    pub(crate) fn new(body: B) -> Alarm<B> {
        Alarm {
            front: Front {
                head: Head::new(),
                calls: &Alarm::<B>::CALLS,
            },
            body,
        }
    }

    const CALLS: Calls = Calls {
        ring: |head| {
            // SAFETY: by the caller's promise this is the reference that the wheel had, and of this type,
            // because these functions lie beside the head.
            B::ring(unsafe { Arc::from_raw(head.cast::<Alarm<B>>()) });
        },
        lost: |head| {
            // SAFETY: as above.
            B::lost(unsafe { Arc::from_raw(head.cast::<Alarm<B>>()) });
        },
        left_behind: |head| {
            // SAFETY: as above.
            B::left_behind(unsafe { Arc::from_raw(head.cast::<Alarm<B>>()) });
        },
        survives_fork: B::SURVIVES_FORK,
    };
}

impl<B: ?Sized> Alarm<B> {
    pub(super) fn head(&self) -> &Head {
        &self.front.head
    }

    /// The tick for which it was set when it rang.
    ///
    /// # Safety
    ///
    /// It has rung, and nobody arms it before this returns.
    pub(crate) unsafe fn rung_for(&self) -> u64 {
        // SAFETY: by the caller's promise it is in no wheel, nor put into one meanwhile.
        unsafe { self.front.head.last_tick() }
    }

    /// The reference that a wheel has.
    pub(super) fn into_wheel(this: Arc<Alarm<B>>) -> *const Head {
        Arc::into_raw(this).cast::<Head>()
    }

    /// Gives back the reference that the wheel had.
    ///
    /// # Safety
    ///
    /// The alarm has just been taken out of the wheel.
    pub(super) unsafe fn out_of_wheel(this: &Arc<Alarm<B>>) -> Arc<Alarm<B>> {
        // SAFETY: made by `into_wheel`, and nobody else's by the caller's promise.
        unsafe { Arc::from_raw(Arc::as_ptr(this)) }
    }
}

/// Rings.
///
/// # Safety
///
/// `head` has come out of a wheel just now, with its reference.
pub(super) unsafe fn ring(head: *const Head) {
    // SAFETY: a head that was in a wheel is an alarm's front, alive by the wheel's reference.
    unsafe { ((*head.cast::<Front>()).calls.ring)(head) }
}

/// Tells that it will not ring.
///
/// # Safety
///
/// As for [`ring`].
pub(super) unsafe fn lost(head: *const Head) {
    // SAFETY: as above.
    unsafe { ((*head.cast::<Front>()).calls.lost)(head) }
}

/// Is it set in a child that was forked?
///
/// # Safety
///
/// `head` is in a wheel that the caller has.
#[cfg(all(unix, not(loom)))]
pub(super) unsafe fn survives_fork(head: *const Head) -> bool {
    // SAFETY: as above, alive by the wheel's reference.
    unsafe { (*head.cast::<Front>()).calls.survives_fork }
}

/// Tells that this is a child in which it will not ring.
///
/// # Safety
///
/// As for [`ring`].
#[cfg(all(unix, not(loom)))]
pub(super) unsafe fn left_behind(head: *const Head) {
    // SAFETY: as above.
    unsafe { ((*head.cast::<Front>()).calls.left_behind)(head) }
}
