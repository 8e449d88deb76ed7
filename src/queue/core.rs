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

use super::clock::Clock;
use super::offers::Offers;
use super::placing::Place;
use super::{Discipline, PutError};
use crate::platform::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use crate::platform::{ShortGuard, ShortLock, cpus};
use crate::wait::TASK;
use crate::wait::lot::{self, Line};
use crossbeam_utils::CachePadded;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::time::Instant;

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

/// Bits of [`Shared::marks`]: somebody is parked on that side, ...
const GETTERS: u8 = 1;
const PUTTERS: u8 = 2;
/// ... waits for all items to be finished, ...
const JOINERS: u8 = 4;
/// ... or may have to be told that an item has been taken: this is a rendezvous.
const OFFERS: u8 = 8;

impl Side {
    const fn mark(self) -> u8 {
        match self {
            Side::Getters => GETTERS,
            Side::Putters => PUTTERS,
        }
    }
}

/// A queue. Handles to it are `Arc`s.
///
/// What a put or a get between two busy threads writes is in the first cache line, if the discipline is no
/// larger than a `VecDeque`; with each line more that moves between the cores everything gets slower.
#[repr(C, align(128))]
pub(super) struct Shared<D: Discipline> {
    /// Items, those on offer included. Changed under the lock, and read without it by those who spin.
    len: AtomicUsize,
    /// As `len`.
    is_shut: AtomicBool,
    /// What `Held::drop` may have to tell somebody. As `len`.
    marks: AtomicU8,
    state: ShortLock<State<D>>,
    /// As `len`.
    capacity: AtomicUsize,
    /// Offers up to this one have been taken. As `len`.
    taken: AtomicUsize,
    /// For each side, how many are awake; see the head of the file. Each on a line of its own, which
    /// only those of that side use as long as nobody is parked.
    awake: [CachePadded<AtomicU32>; 2],
    /// The addresses at which the sides and the joiners wait.
    spots: [Spot; 2],
    joining: Spot,
    /// If the discipline depends on time.
    clock: Option<Clock>,
}

/// A place whose address is a key of the lot.
pub(super) struct Spot(u32);

impl Spot {
    pub(super) fn new() -> Spot {
        Spot(0)
    }

    pub(super) fn address(&self) -> usize {
        ptr::from_ref(&self.0).expose_provenance()
    }
}

/// What is only reached under the lock.
#[repr(C)]
pub(super) struct State<D: Discipline> {
    pub(super) items: D,
    /// Items put and not acknowledged.
    pub(super) unfinished: usize,
    // From here on what is seldom written.
    high_water: usize,
    /// How often `unfinished` has become zero.
    pub(super) finishes: usize,
    /// Whether that has to be told to those who wait for it.
    has_finished: bool,
    /// What the alarm was last set for.
    alarm: Option<Instant>,
    /// Whether something has been taken that was on offer, which has to be told to its putter.
    has_taken: bool,
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
        self.has_taken = true;
        self.count_put(1);
        Some(item)
    }

    /// Would `pop` give an item?
    pub(super) fn is_ready(&self) -> bool {
        self.items.is_ready() || self.offered() > 0
    }

    fn offered(&self) -> usize {
        self.offers.as_ref().map_or(0, |offers| offers.len())
    }

    /// Counts `n` items that have just come in.
    #[inline]
    pub(super) fn count_put(&mut self, n: usize) {
        self.unfinished += n;
        let len = self.items.len();
        // Compared first: a line that is only read need not move between cores.
        if len > self.high_water {
            self.high_water = len;
        }
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

    /// Takes everything out, and nobody is going to get it. What is in `left` by then if the discipline
    /// panics is the caller's to drop, without the lock.
    pub(super) fn take_back(&mut self, left: &mut Vec<D::Item>) {
        self.change(|items| items.take_all(left));
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

    pub(super) fn high_water(&self) -> usize {
        self.high_water
    }
}

/// The short lock, held. Its drop keeps the invariant: see the head of the file.
pub(super) struct Held<'a, D: Discipline> {
    shared: &'a Shared<D>,
    /// `None` only while it is dropped.
    state: Option<ShortGuard<'a, State<D>>>,
}

impl<D: Discipline> Held<'_, D> {
    pub(super) fn is_shut(&self) -> bool {
        self.shared.is_shut.load(Ordering::Relaxed)
    }

    pub(super) fn shut(&mut self) {
        self.shared.is_shut.store(true, Ordering::Relaxed);
        if let Some(offers) = &mut self.offers {
            offers.close();
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.shared.capacity.load(Ordering::Relaxed)
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.shared.capacity.store(capacity, Ordering::Relaxed);
    }

    /// For how many more items there is room.
    pub(super) fn room(&self) -> usize {
        self.capacity().saturating_sub(self.items.len())
    }

    /// Has the offer with this number been taken, if it was not withdrawn?
    pub(super) fn has_taken(&self, number: usize) -> bool {
        let offers = self.offers.as_ref();
        offers.is_some_and(|offers| is_before(number, offers.taken()))
    }

    /// Is somebody of `side` parked?
    pub(super) fn is_marked(&self, side: Side) -> bool {
        self.shared.is_marked(side)
    }

    /// Somebody of `side` is about to be linked; the bucket is locked.
    pub(super) fn mark(&mut self, side: Side) {
        self.shared.set_mark(side.mark());
    }

    /// Somebody is about to be linked who waits for all items to be finished; the bucket is locked.
    pub(super) fn mark_joiner(&mut self) {
        self.shared.set_mark(JOINERS);
    }

    /// Releases the lock without calling anybody: for who holds a bucket and has given nobody anything to
    /// do.
    pub(super) fn release_quietly(mut self) {
        self.state = None;
    }

    /// For how many of `side` there is something to do.
    fn things_for(&self, side: Side) -> usize {
        match side {
            Side::Getters if self.items.is_ready() => self.items.len(),
            Side::Getters => self.offered(),
            Side::Putters => self.room(),
        }
    }

    /// Are fewer of `side` awake than can run and than there are things for, not counting so many?
    fn is_short_of(&self, side: Side, not_counting: usize) -> bool {
        let things = self.things_for(side).saturating_sub(not_counting);
        self.shared.awake(side) < things.min(cpus())
    }

    /// Whom the one who releases the lock has to call. Who is called is counted at once, so that nobody
    /// else calls for the same thing.
    fn plan(&mut self) -> Plan {
        let mut plan = Plan::default();
        let mut has_items = false;
        for side in [Side::Getters, Side::Putters] {
            if !self.is_marked(side) {
                continue;
            }
            // Asked once: what becomes due meanwhile has neither been called for nor set the alarm.
            let things = self.things_for(side);
            has_items |= side == Side::Getters && things > 0;
            plan.call[side as usize] = if self.shared.awake(side) < things.min(cpus()) {
                self.shared.wake_up(side);
                Call::Next
            } else if things > 0 && lot::is_time_to_look() {
                Call::Overdue
            } else {
                Call::Nobody
            };
        }
        if D::IS_TIMED && self.is_marked(Side::Getters) && !has_items {
            plan.sets_alarm = self.items.next_due() != self.alarm;
        }
        if std::mem::take(&mut self.has_finished) {
            plan.finishes = Some(self.finishes);
        }
        if std::mem::take(&mut self.has_taken) {
            plan.taken = self.offers.as_ref().map(|offers| offers.taken());
        }
        plan.ends_gets = self.is_shut() && self.items.is_empty() && self.is_marked(Side::Getters);
        plan
    }
}

/// Who has been called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Called {
    Thread,
    Task,
}

/// Whom to call once the short lock has been released.
#[derive(Default)]
struct Plan {
    call: [Call; 2],
    /// Tell the joiners who have come before this was the number of times that all was finished.
    finishes: Option<usize>,
    /// Tell the putters whose offers come before this one.
    taken: Option<usize>,
    /// Set the alarm for what is due next.
    sets_alarm: bool,
    /// Tell the getters that nothing will come any more. All of them: a task may be polled late, so none
    /// can be left to tell the next.
    ends_gets: bool,
}

#[derive(Clone, Copy, Default)]
enum Call {
    #[default]
    Nobody,
    Next,
    /// Enough are awake, but the front one only if it has been overtaken for too long.
    Overdue,
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
        let Some(state) = &self.state else { return };
        let shared = self.shared;
        shared.len.store(state.items.len(), Ordering::Relaxed);
        if shared.marks.load(Ordering::Relaxed) != 0 {
            self.release_marked();
        }
    }
}

impl<D: Discipline> Held<'_, D> {
    #[cold]
    fn release_marked(&mut self) {
        let shared = self.shared;
        let plan = self.plan();
        if let Some(offers) = &self.offers {
            let len = self.items.len() + offers.len();
            shared.len.store(len, Ordering::Relaxed);
            shared.taken.store(offers.taken(), Ordering::Relaxed);
        }
        self.state = None;
        for side in [Side::Getters, Side::Putters] {
            match plan.call[side as usize] {
                Call::Nobody => {}
                Call::Next => shared.call_next(side),
                Call::Overdue => shared.call_overdue(side),
            }
        }
        if let Some(finishes) = plan.finishes {
            shared.tell_before(shared.joining(), finishes, JOINERS);
        }
        if let Some(taken) = plan.taken {
            shared.tell_before(shared.address(Side::Putters), taken, PUTTERS);
        }
        if plan.sets_alarm {
            shared.set_alarm();
        }
        if plan.ends_gets {
            shared.tell_side(Side::Getters);
        }
    }
}

impl<D: Discipline> Shared<D> {
    pub(super) fn new(items: D, capacity: usize) -> Shared<D> {
        let is_rendezvous = capacity == 0;
        Shared {
            len: AtomicUsize::new(items.len()),
            is_shut: AtomicBool::new(false),
            marks: AtomicU8::new(if is_rendezvous { OFFERS } else { 0 }),
            state: ShortLock::new(State {
                unfinished: items.len(),
                high_water: items.len(),
                items,
                finishes: 0,
                has_finished: false,
                alarm: None,
                has_taken: false,
                offers: is_rendezvous.then(Box::default),
            }),
            capacity: AtomicUsize::new(capacity),
            taken: AtomicUsize::new(0),
            awake: [0, 0].map(|awake| CachePadded::new(AtomicU32::new(awake))),
            spots: [Spot::new(), Spot::new()],
            joining: Spot::new(),
            clock: D::IS_TIMED.then(Clock::new),
        }
    }

    #[inline]
    pub(super) fn lock(&self) -> Held<'_, D> {
        Held {
            shared: self,
            state: Some(self.state.lock()),
        }
    }

    /// Puts `item`, if there seems to be room and is. The short way.
    #[inline]
    pub(super) fn put_now<P: Place<D>>(
        &self,
        item: D::Item,
        place: P,
    ) -> Result<P::Receipt, D::Item> {
        if self.len.load(Ordering::Relaxed) >= self.capacity() {
            return Err(item);
        }
        let mut queue = self.lock();
        if queue.is_shut() || queue.room() == 0 {
            return Err(item);
        }
        let receipt = place.place(&mut queue.items, item);
        queue.count_put(1);
        Ok(receipt)
    }

    /// Takes the next item, if there seems to be one and is. The short way.
    #[inline]
    pub(super) fn get_now(&self) -> Option<D::Item> {
        if self.len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.lock().pop()
    }

    /// How many items there seem to be; after a shutdown one too many, which is the news of it.
    #[inline]
    pub(super) fn items_in_sight(&self) -> usize {
        self.len.load(Ordering::Relaxed) + usize::from(self.is_shut.load(Ordering::Relaxed))
    }

    /// For how many items there seems to be room, as `items_in_sight`.
    #[inline]
    pub(super) fn room_in_sight(&self) -> usize {
        let room = self
            .capacity()
            .saturating_sub(self.len.load(Ordering::Relaxed));
        room.saturating_add(usize::from(self.is_shut.load(Ordering::Relaxed)))
    }

    /// So many things are worth an interruption of whoever is at work.
    pub(super) fn good_deal(&self) -> usize {
        (self.capacity() / 2).clamp(1, 512)
    }

    /// Does the offer with this number seem to be taken?
    pub(super) fn looks_taken(&self, number: usize) -> bool {
        is_before(number, self.taken.load(Ordering::Relaxed))
            || self.is_shut.load(Ordering::Relaxed)
    }

    /// About how many items there are.
    pub(super) fn likely_len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed)
    }

    pub(super) fn is_marked(&self, side: Side) -> bool {
        self.marks.load(Ordering::Relaxed) & side.mark() != 0
    }

    /// Counts one of `side` as awake.
    ///
    /// Relaxed, and without the lock: whoever stops being awake says so before it locks or under the lock,
    /// and then keeps the invariant; so who has seen it awake under the lock has locked before that.
    pub(super) fn wake_up(&self, side: Side) {
        self.awake[side as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The opposite of `wake_up`.
    pub(super) fn fall_asleep(&self, side: Side) {
        self.awake[side as usize].fetch_sub(1, Ordering::Relaxed);
    }

    fn awake(&self, side: Side) -> usize {
        self.awake[side as usize].load(Ordering::Relaxed) as usize
    }

    /// Under the short lock, like all that changes the marks.
    fn set_mark(&self, mark: u8) {
        let marks = self.marks.load(Ordering::Relaxed);
        self.marks.store(marks | mark, Ordering::Relaxed);
    }

    fn unmark_if_empty(&self, line: &Line<'_>, mark: u8) {
        if line.is_empty() {
            let _locked = self.state.lock();
            let marks = self.marks.load(Ordering::Relaxed);
            self.marks.store(marks & !mark, Ordering::Relaxed);
        }
    }

    /// Wakes a getter when the next item is due, whatever that was when the alarm was last set.
    fn set_alarm(&self) {
        if let Some(clock) = &self.clock {
            clock.set(|| {
                let mut state = self.state.lock();
                state.alarm = state.items.next_due();
                state.alarm
            });
        }
    }

    /// Tells those in the line at `address` whose number comes before `end`.
    fn tell_before(&self, address: usize, end: usize, mark: u8) {
        lot::line(address, |line| {
            line.grant_where(|number| is_before(number, end).then_some(TOLD));
            self.unmark_if_empty(line, mark);
        });
    }

    /// Calls the front waiter of `side`, who has been counted as awake. If that is a task, which is not
    /// counted, it calls the next one, too, for what there is besides: nobody else has called for it while
    /// the task was counted, and the task may be polled late.
    fn call_next(&self, side: Side) {
        let mut tasks = 0;
        while self.call_front(side) {
            tasks += 1;
            let queue = self.lock();
            let is_wanted = queue.is_marked(side) && queue.is_short_of(side, tasks);
            if is_wanted {
                self.wake_up(side);
            }
            queue.release_quietly();
            if !is_wanted {
                return;
            }
        }
    }

    /// True if it has called a task.
    fn call_front(&self, side: Side) -> bool {
        lot::line(self.address(side), |line| {
            let called = self.call_in(line, side, true);
            self.unmark_if_empty(line, side.mark());
            called == Some(Called::Task)
        })
    }

    /// Calls the first in the line who has not given up. A thread is counted as awake; `is_counted` says that
    /// somebody has been already.
    ///
    /// A task must not be counted from before it is granted: it may be dropped at once, and then
    /// looks whom to call in its stead.
    fn call_in(&self, line: &mut Line<'_>, side: Side, mut is_counted: bool) -> Option<Called> {
        while let Some(front) = line.front() {
            let is_task = front.thread == TASK;
            match (is_task, is_counted) {
                (true, true) => self.fall_asleep(side),
                (false, false) => self.wake_up(side),
                _ => {}
            }
            is_counted = !is_task;
            let (token, called) = match is_task {
                true => (TOLD, Called::Task),
                false => (CALLED, Called::Thread),
            };
            if line.grant_front(token) {
                return Some(called);
            }
        }
        if is_counted {
            self.fall_asleep(side);
        }
        None
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
                self.wake_up(side);
                if !line.grant_front(CALLED) {
                    self.fall_asleep(side);
                }
            }
            self.unmark_if_empty(line, side.mark());
        });
    }

    /// Everybody who waits tries again and finds out what has happened; after a shutdown.
    pub(super) fn tell_all(&self) {
        self.tell_side(Side::Getters);
        self.tell_side(Side::Putters);
    }

    fn tell_side(&self, side: Side) {
        lot::line(self.address(side), |line| {
            line.grant_where(|_| Some(TOLD));
            self.unmark_if_empty(line, side.mark());
        });
    }

    /// At a rendezvous: gives an item to one of the getters who wait.
    ///
    /// To be in the line is not enough: it may be a select, which takes something else just now. So it is
    /// called first, which decides it, and finds the item when it has the lock. Nor is it enough where others
    /// hold items out, who were here before.
    pub(super) fn hand_over(&self, item: D::Item) -> Result<(), PutError<D::Item>> {
        let done = lot::line(self.address(Side::Getters), |line| {
            let mut state = self.state.lock();
            if self.is_shut.load(Ordering::Relaxed) {
                return Err(PutError::ShutDown(item));
            }
            let waiting = line.count() + self.awake(Side::Getters);
            let offered = state.offered();
            let is_overtaking = offered > 0 && state.items.len() + offered >= waiting;
            let called = match is_overtaking {
                true => None,
                false => self.call_in(line, Side::Getters, false),
            };
            let done = match called {
                None => Err(PutError::Full(item)),
                Some(_) => {
                    state.items.push(item);
                    state.count_put(1);
                    Ok(())
                }
            };
            drop(state);
            self.unmark_if_empty(line, GETTERS);
            done
        });
        // Now that the bucket is free, keeps the invariant.
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
        match &self.clock {
            Some(clock) if side == Side::Getters => clock.getters(),
            _ => self.spots[side as usize].address(),
        }
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
