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
//! Every change ends in the drop of [`Held`], which keeps the invariant (`calling.rs`); nothing else calls
//! anybody.
//! A task that is called is not counted: it may be polled late, and others should be called meanwhile.

mod calling;
mod held;

pub(super) use held::Held;

use super::Discipline;
use super::clock::Clock;
use super::offers::Offers;
use super::placing::Place;
use crate::platform::ShortLock;
use crate::platform::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use crossbeam_utils::CachePadded;
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
///
/// The atomics are all Relaxed: they are written under the short lock, whose release and acquire order what
/// they tell of. Who reads them without it acts on nothing but a guess, and then takes the lock; a call that does
/// not wait always takes it. For `awake` see [`Shared::wake_up`].
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

    /// Under the short lock, like all that changes the marks.
    fn set_mark(&self, mark: u8) {
        let marks = self.marks.load(Ordering::Relaxed);
        self.marks.store(marks | mark, Ordering::Relaxed);
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
