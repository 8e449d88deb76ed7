//! What all blocking queues share: the short lock, who waits, and who is called when.
//!
//! Everything is plain data under one [`ShortLock`]. Those who cannot go on wait in the lot, getters
//! under one address, putters under another, joiners under a third. A line is marked under its bucket's
//! lock and the short lock, by a waiter that has just seen why it must wait; so whoever changes that
//! under the short lock next sees the mark. Locks nest bucket, then short lock.
//!
//! Getters and putters are *called*: there is something for you, come and try. Waking is dear, so no
//! more are called than can run and than there are things for. A side counts who is **awake**: called,
//! or trying before its first sleep. The invariant, whenever the short lock is free:
//!
//! > If a side is marked and there is something for it, somebody of that side is awake, or is being
//! > called.
//!
//! Whoever stops being awake, with or without success, looks whether the next one has to be called.
//! Every change ends in the drop of [`Held`], which keeps the invariant; nothing else calls anybody.
//! A task that is called is not counted: it may be polled late, and others should be called meanwhile.

use super::offers::Offers;
use super::{Discipline, PutError, Stats};
use crate::platform::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use crate::platform::{ShortGuard, ShortLock, cpus};
use crate::wait::TASK;
use crate::wait::lot::{self, Line};
use crossbeam_utils::CachePadded;
use std::ops::{Deref, DerefMut};
use std::ptr;

/// A grant's token: try again. Until the try has ended you count as awake.
pub(super) const CALLED: usize = 0;
/// A grant's token: try again.
pub(super) const TOLD: usize = 1;

/// One of the two sides of a queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Getters = 0,
    Putters = 1,
}

/// Bits of [`State::marks`]: somebody is parked on that side, ...
const GETTERS: u8 = 1;
const PUTTERS: u8 = 2;
/// ... waits for all items to be finished, ...
const JOINERS: u8 = 4;
/// ... or has to be told that the item it offered has been taken.
const TAKEN: u8 = 8;

impl Side {
    const fn mark(self) -> u8 {
        match self {
            Side::Getters => GETTERS,
            Side::Putters => PUTTERS,
        }
    }
}

/// A queue. Handles to it are `Arc`s.
#[repr(C)]
pub(super) struct Shared<D: Discipline> {
    state: CachePadded<ShortLock<State<D>>>,
    /// What those who spin look at without the lock; changed under it.
    pub(super) sight: Sight,
    spots: [Spot; 2],
    joining: Spot,
}

/// The state of the queue as it was when the short lock was last released.
pub(super) struct Sight {
    /// Items, those on offer included.
    pub(super) len: AtomicUsize,
    pub(super) capacity: AtomicUsize,
    pub(super) is_shut: AtomicBool,
    /// The marks.
    marks: AtomicU8,
    /// Offers up to this one have been taken.
    pub(super) taken: AtomicUsize,
}

impl Sight {
    /// Is somebody parked on that side?
    pub(super) fn is_marked(&self, side: Side) -> bool {
        self.marks.load(Ordering::Relaxed) & side.mark() != 0
    }
}

/// A place whose address is a key of the lot.
struct Spot(u32);

impl Spot {
    fn address(&self) -> usize {
        ptr::from_ref(&self.0).expose_provenance()
    }
}

pub(super) struct State<D: Discipline> {
    /// Whether `Held::drop` may have somebody to call.
    marks: u8,
    /// For each side, how many are awake; see the head of the file.
    awake: [u32; 2],
    pub(super) items: D,
    /// Items put and not acknowledged.
    pub(super) unfinished: usize,
    pub(super) capacity: usize,
    pub(super) is_shut: bool,
    /// How often `unfinished` has become zero.
    pub(super) finishes: usize,
    /// Whether that has to be told to those who wait for it.
    has_finished: bool,
    put: u64,
    high_water: usize,
    /// What is on offer; only a rendezvous has it.
    pub(super) offers: Option<Box<Offers<D::Item>>>,
}

impl<D: Discipline> State<D> {
    /// Takes the next item out, or the one offered for longest.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<D::Item> {
        match self.items.pop() {
            None => self.take_offer(),
            item => item,
        }
    }

    #[cold]
    fn take_offer(&mut self) -> Option<D::Item> {
        let item = self.offers.as_mut()?.take_first()?;
        self.marks |= TAKEN;
        self.count_put(1);
        Some(item)
    }

    /// Would `pop` give an item?
    pub(super) fn is_ready(&self) -> bool {
        self.items.is_ready() || self.offered() > 0
    }

    /// Has the offer with this number been taken, if it was not withdrawn?
    pub(super) fn has_taken(&self, number: usize) -> bool {
        let offers = self.offers.as_ref();
        offers.is_some_and(|offers| is_before(number, offers.taken()))
    }

    pub(super) fn has_room(&self) -> bool {
        self.items.len() < self.capacity
    }

    fn offered(&self) -> usize {
        self.offers.as_ref().map_or(0, |offers| offers.len())
    }

    /// Counts `n` items that have just come in.
    #[inline]
    pub(super) fn count_put(&mut self, n: usize) {
        self.unfinished += n;
        self.put += n as u64;
        self.high_water = self.high_water.max(self.items.len());
    }

    /// `n` items need no acknowledgement any more. Some may have been acknowledged before they were got.
    pub(super) fn count_finished(&mut self, n: usize) {
        let before = self.unfinished;
        self.unfinished = before.saturating_sub(n);
        if before > 0 && self.unfinished == 0 {
            self.finishes = self.finishes.wrapping_add(1);
            self.has_finished = true;
        }
    }

    /// Takes everything out, to be got.
    pub(super) fn take_items(&mut self) -> Vec<D::Item> {
        self.items.take_all()
    }

    /// Takes everything out, and nobody is going to get it.
    pub(super) fn take_back(&mut self) -> Vec<D::Item> {
        let left = self.items.take_all();
        self.count_finished(left.len());
        left
    }

    /// Lets somebody change the items, and counts what has come and gone.
    pub(super) fn change<R>(&mut self, change: impl FnOnce(&mut D) -> R) -> R {
        struct Counting<'a, D: Discipline> {
            state: &'a mut State<D>,
            before: usize,
        }
        impl<D: Discipline> Drop for Counting<'_, D> {
            fn drop(&mut self) {
                let now = self.state.items.len();
                self.state.count_put(now.saturating_sub(self.before));
                self.state.count_finished(self.before.saturating_sub(now));
            }
        }
        let before = self.items.len();
        let counting = Counting {
            state: self,
            before,
        };
        change(&mut counting.state.items)
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            put: self.put,
            high_water: self.high_water,
        }
    }

    /// Counts one of `side` as awake, from its first vain attempt on. True if there are enough of them.
    pub(super) fn wake_up(&mut self, side: Side) -> bool {
        let awake = &mut self.awake[side as usize];
        *awake += 1;
        *awake as usize > cpus()
    }

    pub(super) fn fall_asleep(&mut self, side: Side) {
        self.awake[side as usize] -= 1;
    }

    pub(super) fn is_marked(&self, side: Side) -> bool {
        self.marks & side.mark() != 0
    }

    /// For how many of `side` there is something to do.
    fn things_for(&self, side: Side) -> usize {
        match side {
            Side::Getters if self.items.is_ready() => self.items.len(),
            Side::Getters => self.offered(),
            Side::Putters => self.capacity.saturating_sub(self.items.len()),
        }
    }

    /// Whom the one who releases the lock has to call. Who is called is counted at once, so that nobody
    /// else calls for the same thing.
    fn plan(&mut self) -> Plan {
        let mut plan = Plan::default();
        for side in [Side::Getters, Side::Putters] {
            if !self.is_marked(side) {
                continue;
            }
            let wanted = self.things_for(side).min(cpus());
            let awake = &mut self.awake[side as usize];
            plan.call[side as usize] = if (*awake as usize) < wanted {
                *awake += 1;
                Call::Next
            } else if wanted > 0 && lot::is_time_to_look() {
                Call::Overdue
            } else {
                Call::Nobody
            };
        }
        if std::mem::take(&mut self.has_finished) && self.marks & JOINERS != 0 {
            plan.finishes = Some(self.finishes);
        }
        if self.marks & TAKEN != 0 {
            self.marks &= !TAKEN;
            plan.taken = self.offers.as_ref().map(|offers| offers.taken());
        }
        plan
    }
}

/// Whom to call once the short lock has been released.
#[derive(Default)]
struct Plan {
    call: [Call; 2],
    /// Tell the joiners who have come before this was the number of times that all was finished.
    finishes: Option<usize>,
    /// Tell the putters whose offers come before this one.
    taken: Option<usize>,
}

#[derive(Clone, Copy, Default)]
enum Call {
    #[default]
    Nobody,
    Next,
    /// Enough are awake, but the front one only if it has been overtaken for too long.
    Overdue,
}

/// The short lock, held. Its drop keeps the invariant: see the head of the file.
pub(super) struct Held<'a, D: Discipline> {
    shared: &'a Shared<D>,
    /// `None` only while it is dropped.
    state: Option<ShortGuard<'a, State<D>>>,
}

impl<D: Discipline> Deref for Held<'_, D> {
    type Target = State<D>;

    #[inline]
    fn deref(&self) -> &State<D> {
        self.state.as_ref().expect("held until dropped")
    }
}

impl<D: Discipline> DerefMut for Held<'_, D> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State<D> {
        self.state.as_mut().expect("held until dropped")
    }
}

impl<D: Discipline> Drop for Held<'_, D> {
    #[inline]
    fn drop(&mut self) {
        let Some(state) = self.state.take() else {
            return;
        };
        let len = state.items.len() + state.offered();
        self.shared.sight.len.store(len, Ordering::Relaxed);
        if state.marks != 0 {
            self.shared.release_marked(state);
        }
    }
}

impl<D: Discipline> Shared<D> {
    pub(super) fn new(items: D, capacity: usize) -> Shared<D> {
        Shared {
            sight: Sight {
                len: AtomicUsize::new(items.len()),
                capacity: AtomicUsize::new(capacity),
                is_shut: AtomicBool::new(false),
                marks: AtomicU8::new(0),
                taken: AtomicUsize::new(0),
            },
            state: CachePadded::new(ShortLock::new(State {
                marks: 0,
                awake: [0; 2],
                unfinished: items.len(),
                put: items.len() as u64,
                high_water: items.len(),
                items,
                capacity,
                is_shut: false,
                finishes: 0,
                has_finished: false,
                offers: (capacity == 0).then(Box::default),
            })),
            spots: [Spot(0), Spot(0)],
            joining: Spot(0),
        }
    }

    #[inline]
    pub(super) fn lock(&self) -> Held<'_, D> {
        Held {
            shared: self,
            state: Some(self.state.lock()),
        }
    }

    /// The lock without the calls at its end: for who holds a bucket and gives nobody anything to do.
    pub(super) fn lock_bare(&self) -> ShortGuard<'_, State<D>> {
        self.state.lock()
    }

    #[cold]
    fn release_marked(&self, mut state: ShortGuard<'_, State<D>>) {
        let plan = state.plan();
        if let Some(taken) = plan.taken {
            self.sight.taken.store(taken, Ordering::Relaxed);
        }
        drop(state);
        for side in [Side::Getters, Side::Putters] {
            match plan.call[side as usize] {
                Call::Nobody => {}
                Call::Next => self.call_next(side),
                Call::Overdue => self.call_overdue(side),
            }
        }
        if let Some(finishes) = plan.finishes {
            lot::line(self.joining(), |line| {
                line.grant_where(|began| is_before(began, finishes).then_some(TOLD));
                self.unmark_if_empty(line, JOINERS);
            });
        }
        if let Some(taken) = plan.taken {
            lot::line(self.address(Side::Putters), |line| {
                line.grant_where(|offer| is_before(offer, taken).then_some(TOLD));
                self.unmark_if_empty(line, PUTTERS);
            });
        }
    }

    /// Calls the front waiter of `side`, who has been counted as awake.
    fn call_next(&self, side: Side) {
        lot::line(self.address(side), |line| {
            loop {
                let is_task = line.front().is_some_and(|front| front.thread == TASK);
                let token = if is_task { TOLD } else { CALLED };
                let is_granted = line.grant_front(token);
                if is_granted && !is_task {
                    break;
                }
                if is_granted || line.is_empty() {
                    self.state.lock().fall_asleep(side);
                    break;
                }
            }
            self.unmark_if_empty(line, side.mark());
        });
    }

    /// Calls the front waiter of `side`, if it has been overtaken for too long.
    #[cold]
    fn call_overdue(&self, side: Side) {
        lot::line(self.address(side), |line| {
            let Some(front) = line.front() else { return };
            if !line.is_due(&front) {
                return;
            }
            if front.thread == TASK {
                line.grant_front(TOLD);
            } else {
                self.state.lock().wake_up(side);
                if !line.grant_front(CALLED) {
                    self.state.lock().fall_asleep(side);
                }
            }
            self.unmark_if_empty(line, side.mark());
        });
    }

    /// Everybody who waits tries again and finds out what has happened; after a shutdown.
    pub(super) fn tell_all(&self) {
        for side in [Side::Getters, Side::Putters] {
            lot::line(self.address(side), |line| {
                line.grant_where(|_| Some(TOLD));
                self.unmark_if_empty(line, side.mark());
            });
        }
    }

    /// Somebody of `side` is about to be linked; the bucket is locked.
    pub(super) fn mark(&self, state: &mut State<D>, side: Side) {
        self.set_marks(state, state.marks | side.mark());
    }

    /// Somebody is about to be linked who waits for all items to be finished; the bucket is locked.
    pub(super) fn mark_joiner(&self, state: &mut State<D>) {
        self.set_marks(state, state.marks | JOINERS);
    }

    fn unmark_if_empty(&self, line: &Line<'_>, mark: u8) {
        if line.is_empty() {
            let mut state = self.state.lock();
            let marks = state.marks & !mark;
            self.set_marks(&mut state, marks);
        }
    }

    fn set_marks(&self, state: &mut State<D>, marks: u8) {
        state.marks = marks;
        self.sight.marks.store(marks, Ordering::Relaxed);
    }

    /// At a rendezvous: gives an item to one of the getters who wait, if there are more of them than items
    /// already given.
    pub(super) fn hand_over(&self, item: D::Item) -> Result<(), PutError<D::Item>> {
        let done = lot::line(self.address(Side::Getters), |line| {
            let mut state = self.state.lock();
            if state.is_shut {
                return Err(PutError::ShutDown(item));
            }
            let waiting = line.count() + state.awake[Side::Getters as usize] as usize;
            if state.items.len() >= waiting {
                return Err(PutError::Full(item));
            }
            state.items.push(item);
            state.count_put(1);
            Ok(())
        });
        // Now that the bucket is free, one of them can be called.
        drop(self.lock());
        done
    }

    /// One of `side` has left the line.
    pub(super) fn has_left(&self, side: Side, line: &Line<'_>) {
        self.unmark_if_empty(line, side.mark());
    }

    /// One of the joiners has left the line.
    pub(super) fn joiner_has_left(&self, line: &Line<'_>) {
        self.unmark_if_empty(line, JOINERS);
    }

    pub(super) fn address(&self, side: Side) -> usize {
        self.spots[side as usize].address()
    }

    /// Where those wait who wait for all items to be finished.
    pub(super) fn joining(&self) -> usize {
        self.joining.address()
    }
}

/// Numbers wrap; nobody waits through half of them.
pub(super) fn is_before(number: usize, other: usize) -> bool {
    (other.wrapping_sub(number) as isize) > 0
}
