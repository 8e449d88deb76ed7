//! Waiting for what lies in shared memory: one mechanism for all primitives and all their faces.
//!
//! A primitive says what one attempt is ([`Operation`]); how often it is made, where the caller
//! sleeps in between and for how long is decided here ([`wait`]) or by a future (`shm::waiting`).
//! Invariant: no sleep is longer than [`LONGEST_SLICE`], because whoever should end it may have been
//! killed; and once in a slice, the next attempt is a suspicious one, which asks the roster about
//! everybody it waits for.

use crate::GaveUp;
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::shared_futex::{self, Ended};
use crate::platform::{Moment, cpus, yield_now};
use std::time::Duration;

/// How long the first sleep of a wait lasts.
pub(crate) const FIRST_SLICE: Duration = Duration::from_millis(1);
/// The longest time that a killed process can keep a waiter asleep beyond need.
pub(crate) const LONGEST_SLICE: Duration = Duration::from_millis(50);

/// Each sleep is longer than the one before by so many parts of it, so a death is noticed within that part
/// of the time that was waited already: soon in a wait that is short, cheaply in one that is long.
const SHARE: u32 = 16;

/// How long to look at the word before the first sleep: about what a sleep and its wake-up cost, so a
/// lock that is held briefly is not slept on. A time and not a number of looks: between two of them
/// the processor is offered to others, who on a busy machine keep it for milliseconds each.
const SPIN: Duration = Duration::from_micros(20);

/// How an attempt looks at things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// The caller will sleep if there is nothing to be had: whoever changes the word has to know.
    pub(crate) announce: bool,
    /// Somebody may have died: what the dead hold is to be taken from them.
    pub(crate) suspicious: bool,
}

impl Look {
    /// For a caller that comes back soon by itself.
    pub(crate) const GLANCE: Look = Look::new(false, false);
    /// For a caller that does not wait: it is refused only by the living.
    pub(crate) const POLL: Look = Look::new(false, true);
    /// Before a sleep.
    pub(crate) const ANNOUNCE: Look = Look::new(true, false);
    /// After a sleep that nobody ended, or when it is time again, and before the next.
    pub(crate) const SUSPECT: Look = Look::new(true, true);

    const fn new(announce: bool, suspicious: bool) -> Look {
        Look {
            announce,
            suspicious,
        }
    }
}

/// When a wait was last suspicious, or else when its first sleep ended.
#[derive(Default)]
pub(crate) struct Watch(Option<Moment>);

impl Watch {
    /// The look that follows a sleep of at most `slice`.
    ///
    /// The clock decides, too, because not all sleeps last: a wait that signals interrupt again and again,
    /// or that is woken for what others are quicker to take, would never find out about the dead.
    pub(crate) fn after(&mut self, ended: Ended, slice: Duration) -> Look {
        let last = *self.0.get_or_insert_with(Moment::now);
        if ended != Ended::Expired && last.elapsed() < slice {
            return Look::ANNOUNCE;
        }
        self.0 = Some(Moment::now());
        Look::SUSPECT
    }
}

/// What came of an attempt.
#[derive(Debug)]
#[must_use]
pub(crate) enum Step<'w, T> {
    Done(T),
    /// Nothing, as long as the word holds this.
    Sleep {
        word: &'w AtomicU32,
        expected: u32,
        /// It may not be for long: worth a look or two before the sleep.
        is_brief: bool,
    },
}

/// Something that can be had now or must be waited for.
pub(crate) trait Operation<'w> {
    type Output;

    /// Takes what is wanted, or says where to sleep. Never waits for long and holds nothing between
    /// two attempts, so a caller may stop after any of them; the last is then a [`Look::POLL`].
    fn attempt(&mut self, look: Look) -> Step<'w, Self::Output>;
}

/// Waited for by one who keeps it afterwards.
impl<'w, O: Operation<'w>> Operation<'w> for &mut O {
    type Output = O::Output;

    fn attempt(&mut self, look: Look) -> Step<'w, Self::Output> {
        (**self).attempt(look)
    }
}

/// How long a caller is willing to wait, asked before each sleep.
pub(crate) trait Patience {
    /// The length of the next sleep, at most `longest`, or why there is none.
    fn slice(&mut self, longest: Duration) -> Result<Duration, GaveUp>;
}

/// Attempts until it is done or `patience` is at its end.
#[cold]
pub(crate) fn wait<'w, O: Operation<'w>>(
    operation: &mut O,
    patience: &mut impl Patience,
) -> Result<O::Output, GaveUp> {
    // A poll, and a limit that has been reached, have no time to spend on looking either.
    if cpus() > 1
        && patience.slice(FIRST_SLICE).is_ok()
        && let Some(output) = spin(operation)
    {
        return Ok(output);
    }
    let mut longest = FIRST_SLICE;
    let mut look = Look::ANNOUNCE;
    let mut watch = Watch::default();
    loop {
        let slice = match patience.slice(longest) {
            Ok(slice) => slice,
            Err(why) => {
                return match operation.attempt(Look::POLL) {
                    Step::Done(output) => Ok(output),
                    Step::Sleep { .. } => Err(why),
                };
            }
        };
        match operation.attempt(look) {
            Step::Done(output) => return Ok(output),
            Step::Sleep { word, expected, .. } => {
                let ended = shared_futex::wait(word, expected, slice);
                look = watch.after(ended, longest);
                if look.suspicious {
                    longest = (longest + longest / SHARE).min(LONGEST_SLICE);
                }
            }
        }
    }
}

/// Tries for a moment, with loads only in between.
fn spin<'w, O: Operation<'w>>(operation: &mut O) -> Option<O::Output> {
    let began = Moment::now();
    loop {
        let (word, expected) = match operation.attempt(Look::GLANCE) {
            Step::Done(output) => return Some(output),
            Step::Sleep {
                is_brief: false, ..
            } => return None,
            Step::Sleep { word, expected, .. } => (word, expected),
        };
        // Relaxed: nothing is read on the strength of this; the attempt that follows acquires.
        while word.load(Ordering::Relaxed) == expected {
            if began.elapsed() >= SPIN {
                return None;
            }
            yield_now();
        }
    }
}
