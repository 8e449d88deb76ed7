//! An object's state, changed under a lock that only this crate sees: what most primitives are.
//!
//! Invariant: the state is changed by whoever is [`Inside`], for some dozen instructions, and by
//! nobody else. A process that is killed inside leaves a half-made change; the next that comes in
//! puts it right ([`State::repair`]) before it does anything else, so every primitive decides
//! in one place what a death means. Who waits does so outside, asleep on a [`Sequence`] of the
//! state, and wake-ups are made after leaving.
//!
//! Where an object lives is a [`Home`]: a block of the arena (`shm::object`), or a model of one.
//! A process that is *stopped* inside keeps all others out until it goes on. They notice after
//! [`BRIEF`] and then wait as for anything else, with their limits.

use super::refusal::Refusal;
use super::sequence::{Call, Sequence};
use super::wait::{self, LONGEST_SLICE, Look, Operation, Patience, Step};
use super::word::{Liveness, Owner, Refused, Taken, Word};
use crate::GaveUp;
use crate::platform::atomic::{AtomicU32, Ordering};
use crate::platform::{Moment, shared_futex};
use smallvec::SmallVec;
use std::time::Duration;

/// How long somebody may be inside before it counts as stopped there.
const BRIEF: Duration = LONGEST_SLICE;

/// What a primitive keeps in shared memory.
pub(crate) trait State {
    /// Makes whole what a process left that was killed inside, and gives back what the dead held.
    /// `None` if no process of this program can have left it so.
    #[must_use]
    fn repair(&self, roster: &impl Liveness) -> Option<()>;
}

/// Where a state lives, and who looks at it.
pub(crate) trait Home {
    type State: State;
    type Roster: Liveness;

    fn word(&self) -> &Word;
    fn state(&self) -> &Self::State;
    fn roster(&self) -> &Self::Roster;
    /// The caller's name.
    fn me(&self) -> Result<Owner, Refusal>;
    /// Whether the state is still that of this object. Exact inside, a hint elsewhere.
    fn is_current(&self) -> bool;
}

/// Proof that the caller may change the state. Leaves when it is dropped, and then wakes whom the
/// changes concern.
pub(crate) struct Inside<'h, H: Home> {
    home: &'h H,
    me: Owner,
    calls: SmallVec<[(&'h Sequence, Call); 2]>,
}

/// Why the caller is not inside.
#[derive(Debug)]
enum Outside {
    /// Somebody is, and does not get on.
    Stalled,
    Refused(Refusal),
}

/// What came of one visit.
#[must_use]
pub(crate) enum Turn<'h, T> {
    Done(T),
    /// Nothing to be had until the sequence has advanced.
    Sleep(&'h Sequence),
    Refused(Refusal),
}

/// Goes in, however long that takes.
pub(crate) fn enter<H: Home>(home: &H) -> Result<Inside<'_, H>, Refusal> {
    loop {
        match try_enter(home, &mut Briefly::default()) {
            Ok(inside) => return Ok(inside),
            Err(Outside::Stalled) => {}
            Err(Outside::Refused(refusal)) => return Err(refusal),
        }
    }
}

#[inline]
fn try_enter<'h, H: Home>(home: &'h H, briefly: &mut Briefly) -> Result<Inside<'h, H>, Outside> {
    // The check that counts is made inside; this one keeps out of the way of a block's new owner.
    if !home.is_current() {
        return Err(Outside::Refused(Refusal::Gone));
    }
    let me = home.me().map_err(Outside::Refused)?;
    let taken = match home.word().lock(me, home.roster(), briefly) {
        Ok(taken) => taken,
        Err(Refused::GaveUp(_)) => return Err(Outside::Stalled),
        Err(Refused::Corrupt) => return Err(Outside::Refused(Refusal::Corrupt)),
    };
    if !home.is_current() {
        home.word().unlock(taken == Taken::Consistent);
        return Err(Outside::Refused(Refusal::Gone));
    }
    if taken == Taken::OwnerDied {
        return repaired(home, me);
    }
    Ok(Inside::new(home, me))
}

#[cold]
fn repaired<H: Home>(home: &H, me: Owner) -> Result<Inside<'_, H>, Outside> {
    if home.state().repair(home.roster()).is_none() {
        home.word().unlock(false);
        return Err(Outside::Refused(Refusal::Corrupt));
    }
    home.word().mark_consistent();
    Ok(Inside::new(home, me))
}

impl<'h, H: Home> Inside<'h, H> {
    fn new(home: &'h H, me: Owner) -> Self {
        Inside {
            home,
            me,
            calls: SmallVec::new(),
        }
    }

    pub(crate) fn state(&self) -> &'h H::State {
        self.home.state()
    }

    pub(crate) fn roster(&self) -> &'h H::Roster {
        self.home.roster()
    }

    /// The name of the caller's process.
    pub(crate) fn me(&self) -> Owner {
        self.me
    }

    /// Lets `sequence` advance for `n` sleepers, who are woken when this is dropped.
    pub(crate) fn advance(&mut self, sequence: &'h Sequence, n: u32) {
        self.call(sequence, sequence.advance(n));
    }

    /// As [`advance`](Inside::advance), for all sleepers.
    pub(crate) fn advance_all(&mut self, sequence: &'h Sequence) {
        self.call(sequence, sequence.advance_all());
    }

    pub(crate) fn call(&mut self, sequence: &'h Sequence, call: Call) {
        if call != Call::Nobody {
            self.calls.push((sequence, call));
        }
    }
}

impl<H: Home> Drop for Inside<'_, H> {
    #[inline]
    fn drop(&mut self) {
        self.home.word().unlock(true);
        if !self.calls.is_empty() {
            make_calls(self.home, &self.calls);
        }
    }
}

/// Wakes sleepers, with nothing held: they would only find the door closed.
#[cold]
fn make_calls<H: Home>(home: &H, calls: &[(&Sequence, Call)]) {
    for &(sequence, call) in calls {
        match call {
            Call::Nobody => {}
            Call::All => drop(shared_futex::wake(sequence.word(), u32::MAX)),
            Call::Some(n) if shared_futex::wake(sequence.word(), n) >= n => {}
            Call::Some(_) => {
                // Nobody was left asleep, perhaps because sleepers were killed: the next who has
                // something to tell need not call. Who fell asleep since must not pay for that.
                // If the door is closed, that call will be one too many, and no harm.
                if let Ok(inside) = try_enter(home, &mut Briefly::default()) {
                    let call = sequence.advance_all();
                    drop(inside);
                    if call != Call::Nobody {
                        shared_futex::wake(sequence.word(), u32::MAX);
                    }
                }
            }
        }
    }
}

/// An operation made of visits: `turn` is called inside until it is done.
pub(crate) fn visits<'h, H, T, F>(home: &'h H, turn: F) -> Visits<'h, H, F>
where
    H: Home,
    F: FnMut(&mut Inside<'h, H>, Look) -> Turn<'h, T>,
{
    Visits {
        home,
        turn,
        briefly: Briefly::default(),
    }
}

/// See [`visits`].
pub(crate) struct Visits<'h, H, F> {
    home: &'h H,
    turn: F,
    briefly: Briefly,
}

impl<'h, H, T, F> Operation<'h> for Visits<'h, H, F>
where
    H: Home,
    F: FnMut(&mut Inside<'h, H>, Look) -> Turn<'h, T>,
{
    type Output = Result<T, Refusal>;

    fn attempt(&mut self, look: Look) -> Step<'h, Self::Output> {
        visit(self.home, &mut self.briefly, look, |inside| {
            (self.turn)(inside, look)
        })
    }
}

/// One visit of an operation, which keeps `briefly` from one to the next.
pub(crate) fn visit<'h, H: Home, T>(
    home: &'h H,
    briefly: &mut Briefly,
    look: Look,
    turn: impl FnOnce(&mut Inside<'h, H>) -> Turn<'h, T>,
) -> Step<'h, Result<T, Refusal>> {
    let mut inside = match try_enter(home, briefly) {
        Ok(inside) => inside,
        Err(Outside::Refused(refusal)) => return Step::Done(Err(refusal)),
        Err(Outside::Stalled) => return home.word().sleep(),
    };
    *briefly = Briefly::default();
    match turn(&mut inside) {
        Turn::Done(output) => Step::Done(Ok(output)),
        Turn::Refused(refusal) => Step::Done(Err(refusal)),
        Turn::Sleep(sequence) => sequence.sleep(look.announce),
    }
}

/// Makes one visit: `None` if there is nothing to be had now.
pub(crate) fn poll<'h, T>(
    mut operation: impl Operation<'h, Output = Result<T, Refusal>>,
) -> Result<Option<T>, Refusal> {
    match operation.attempt(Look::POLL) {
        Step::Done(output) => output.map(Some),
        Step::Sleep { .. } => Ok(None),
    }
}

/// Visits until it is done or `patience` is at its end.
pub(crate) fn wait<'h, T>(
    mut operation: impl Operation<'h, Output = Result<T, Refusal>>,
    patience: &mut impl Patience,
) -> Result<T, Refusal> {
    // What can be had now is had without a look at the limit.
    if let Step::Done(output) = operation.attempt(Look::GLANCE) {
        return output;
    }
    wait::wait(&mut operation, patience).unwrap_or_else(|why| Err(Refusal::GaveUp(why)))
}

/// As long as nobody is inside who is not about to leave. One for all attempts in a row that find the door
/// closed: only the first of them stands there.
#[derive(Default)]
pub(crate) struct Briefly(Option<Moment>);

impl Patience for Briefly {
    fn slice(&mut self, longest: Duration) -> Result<Duration, GaveUp> {
        let began = *self.0.get_or_insert_with(Moment::now);
        match BRIEF.checked_sub(began.elapsed()) {
            Some(left) if !left.is_zero() => Ok(longest.min(left)),
            _ => Err(GaveUp::TimedOut),
        }
    }
}

impl Word {
    /// For who waits for a holder that does not get on.
    fn sleep<T>(&self) -> Step<'_, T> {
        let word: &AtomicU32 = self.raw();
        let seen = word.load(Ordering::Relaxed);
        let is_held = self.state().owner().is_some();
        Step::Sleep {
            word,
            // Nobody wakes anybody for a word that is free by now: another value ends the sleep at once.
            expected: if is_held { seen } else { !seen },
            is_brief: false,
        }
    }
}

#[cfg(loom)]
#[doc(hidden)]
pub mod model;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::shm::object::{Object, Shared};
    use crate::shm::protocol::barrier::{Arrival, Gate};
    use crate::shm::protocol::condition::{Bell, Waiter};
    use crate::shm::protocol::event::Flag;
    use crate::shm::protocol::rwlock::{Access, Occupied};
    use crate::shm::protocol::semaphore::Permits;
    use crate::shm::tree;
    use crate::shm::word::Verdict;
    use std::cell::Cell;
    use std::mem::MaybeUninit;

    /// With somebody inside who does not get on.
    fn stands_at_the_door_once<'h, S: Shared, T>(
        home: &'h Object<S>,
        mut operation: impl Operation<'h, Output = Result<T, Refusal>>,
    ) {
        let _inside = enter(home).unwrap();
        let mut attempt = || {
            let began = Moment::now();
            assert!(matches!(
                operation.attempt(Look::SUSPECT),
                Step::Sleep { .. }
            ));
            began.elapsed()
        };
        assert!(attempt() >= BRIEF);
        // Ten that stand there take ten times as long.
        let again: Duration = (0..10).map(|_| attempt()).sum();
        assert!(again < 5 * BRIEF, "ten more attempts took {again:?}");
    }

    #[test]
    fn who_is_held_up_by_a_stopped_process_stands_at_the_door_once() {
        let tree = tree().unwrap();
        let event = Object::<Flag>::new(tree, |_| {}).unwrap();
        stands_at_the_door_once(&event, Flag::wait(&event));
        let barrier = Object::new(tree, |gate: &Gate| gate.begin(2)).unwrap();
        let mut arrival = Arrival::new(&barrier, false);
        stands_at_the_door_once(&barrier, &mut arrival);
        assert!(matches!(arrival.attempt(Look::GLANCE), Step::Sleep { .. }));
        stands_at_the_door_once(&barrier, &mut arrival);
        let bell = Object::<Bell>::new(tree, |_| {}).unwrap();
        let mut waiter = poll(Waiter::join(&bell)).unwrap().unwrap();
        stands_at_the_door_once(&bell, &mut waiter);
    }

    /// A home with one place in its roster, which the `claims`-th process has.
    #[repr(C)]
    struct Hut<S> {
        word: Word,
        claims: Cell<u32>,
        state: S,
    }

    impl<S: State> Hut<S> {
        /// # Safety
        ///
        /// All zero bytes are an `S`.
        unsafe fn new() -> Box<Hut<S>> {
            // SAFETY: all zero is a free word, a number, and a state by the caller's promise.
            Box::new(unsafe { MaybeUninit::zeroed().assume_init() })
        }

        /// The process in it is dead, if there is one, and another has its place.
        fn next(&self) {
            self.claims.set(self.claims.get() + 1);
        }
    }

    impl<S: State> Liveness for Hut<S> {
        fn verdict(&self, owner: Owner) -> Verdict {
            if owner.generation() < self.claims.get() {
                Verdict::Dead
            } else {
                Verdict::Alive
            }
        }
    }

    impl<S: State> Home for Hut<S> {
        type State = S;
        type Roster = Hut<S>;

        fn word(&self) -> &Word {
            &self.word
        }

        fn state(&self) -> &S {
            &self.state
        }

        fn roster(&self) -> &Self {
            self
        }

        fn me(&self) -> Result<Owner, Refusal> {
            Ok(Owner::new(3, self.claims.get()).expect("somebody lives here"))
        }

        fn is_current(&self) -> bool {
            true
        }
    }

    #[test]
    fn who_has_the_place_of_a_dead_process_has_what_it_took_itself() {
        // SAFETY: made of atomics.
        let hut = unsafe { Hut::<Permits>::new() };
        hut.state.begin(3, 3);
        for taken in [2, 1] {
            hut.next();
            assert!(poll(Permits::acquire(&*hut, taken)).unwrap().is_some());
            assert_eq!(hut.state.hint(), (3 - taken, 3));
        }
    }

    #[test]
    fn who_has_the_place_of_a_dead_reader_counts() {
        // SAFETY: made of atomics.
        let hut = unsafe { Hut::<Access>::new() };
        for _ in 0..2 {
            hut.next();
            let admitted = poll(Access::read(&*hut, true)).unwrap();
            assert!(admitted.is_some_and(|admitted| admitted.is_ok()));
            assert_eq!(hut.state.occupied(), Occupied::Read { guards: 1 });
            assert!(poll(Access::write(&*hut)).unwrap().is_none());
        }
    }
}
