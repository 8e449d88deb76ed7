//! [`Wheel`]: alarms by the tick at which they are to ring; to put one in or take one out costs the same
//! however many there are.
//!
//! Levels of 64 slots. A slot of level 0 is one tick wide, one of level `n` is `64^n` ticks. An alarm lies at the
//! level of the highest digit, to the base of 64, in which its tick differs from `elapsed`, in the slot of
//! that digit. So whatever lies at a level is later than all that lies below it, nothing lies in a slot that
//! has passed, and the first occupied slot of the lowest occupied level has the earliest alarm. As `elapsed` comes to a
//! slot of level 0 its alarms are due; to a slot of a higher level, its alarms are spread over the levels
//! below.
//!
//! Slots are circular lists through the alarms themselves, so one that is taken out need not know where it
//! was: its slot's bit stays set, and whoever finds the slot empty clears it. An alarm in a list is owned
//! by that list: the wheel has one reference to it.
//!
//! The wheel knows nothing of clocks and locks: [`Timeline`](super::Timeline) has it under its own.
//!
//! After George Varghese and Tony Lauck, "Hashed and Hierarchical Timing Wheels" (1987); by digits, as
//! in tokio's wheel and in Linux before 4.8.

use crate::platform::UnsafeCell;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};

const DIGIT: u32 = 6;
const SLOTS: usize = 1 << DIGIT;
/// Enough digits for every `u64`.
const LEVELS: usize = u64::BITS.div_ceil(DIGIT) as usize;
/// The lists behind those of the slots: what is due, what is being spread, and what a fork has left behind.
const DUE: usize = LEVELS * SLOTS;
const SPREADING: usize = DUE + 1;
const LEFT_BEHIND: usize = SPREADING + 1;
const LISTS: usize = LEFT_BEHIND + 1;

/// So many steps of one [`Wheel::poll`], so that whoever wants the wheel meanwhile gets it.
const STEPS: usize = if cfg!(loom) { 4 } else { 64 };
/// So many alarms are looked at for the earliest of a slot. In a fuller one there is no point: the slot's begin
/// is a reason to wake up soon enough.
const FEW: usize = 8;

/// What of an alarm stands in the wheel. Alarms begin with it.
#[repr(C)]
pub(super) struct Head {
    link: Link,
    /// When to ring. As the link, it belongs to who has the wheel.
    tick: UnsafeCell<u64>,
}

/// A place in a circular list, or the list itself. Null: in no list, or a list that never had anything.
#[repr(transparent)]
struct Link(UnsafeCell<Ends>);

#[derive(Clone, Copy)]
struct Ends {
    prev: *const Link,
    next: *const Link,
}

impl Ends {
    const NOWHERE: Ends = Ends {
        prev: ptr::null(),
        next: ptr::null(),
    };
}

impl Head {
    pub(super) fn new() -> Head {
        Head {
            link: Link(UnsafeCell::new(Ends::NOWHERE)),
            tick: UnsafeCell::new(0),
        }
    }
}

impl Head {
    /// The tick for which it was set last. Safety: it is in no wheel, and nobody puts it into one meanwhile.
    pub(super) unsafe fn last_tick(&self) -> u64 {
        // SAFETY: it is written only as it is put into a wheel.
        self.tick.with(|tick| unsafe { *tick })
    }
}

impl Link {
    /// Safety: the caller has the wheel in whose lists this may be.
    unsafe fn ends(&self) -> Ends {
        // SAFETY: by the caller's promise nobody else looks or writes.
        self.0.with(|ends| unsafe { *ends })
    }

    /// Safety: as for `ends`.
    unsafe fn change(&self, change: impl FnOnce(&mut Ends)) {
        // SAFETY: by the caller's promise nobody else looks or writes.
        self.0.with_mut(|ends| change(unsafe { &mut *ends }));
    }
}

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Poll {
    /// This is to ring; it is in no list any more, and the wheel's reference is the caller's.
    Due(*const Head),
    /// A part is done: ask again.
    Busy,
    /// Nothing before this tick.
    Until(u64),
    /// Nothing at all.
    Never,
}

pub(super) struct Wheel {
    /// The lists, `LISTS` of them, never moved.
    lists: NonNull<Link>,
    /// For each level, which slots may have something in them.
    occupied: [u64; LEVELS],
    /// All earlier ticks have passed.
    elapsed: u64,
    /// How many alarms there are.
    armed: usize,
}

// SAFETY: the lists are the wheel's own, and what is in them is reached through the wheel alone.
unsafe impl Send for Wheel {}

impl Wheel {
    pub(super) fn new() -> Wheel {
        let layout = Wheel::layout();
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc(layout) }.cast::<Link>();
        let Some(lists) = NonNull::new(memory) else {
            handle_alloc_error(layout)
        };
        for list in 0..LISTS {
            // SAFETY: within what was allocated, and written before anybody looks.
            unsafe { lists.add(list).write(Link(UnsafeCell::new(Ends::NOWHERE))) };
        }
        Wheel {
            lists,
            occupied: [0; LEVELS],
            elapsed: 0,
            armed: 0,
        }
    }

    fn layout() -> Layout {
        Layout::array::<Link>(LISTS).expect("some kilobytes")
    }

    /// Puts an alarm in, to ring at `tick`; if that is before `now`, behind what is due by then.
    ///
    /// # Safety
    ///
    /// It is in no wheel, and alive until it is taken out or due: the wheel gets a reference to it.
    pub(super) unsafe fn insert(&mut self, head: *const Head, tick: u64, now: u64) {
        self.armed += 1;
        // SAFETY: alive, by the caller's promise; in no wheel, so nobody else looks.
        unsafe { (*head).tick.with_mut(|its| *its = tick) };
        // SAFETY: as above.
        unsafe { self.place(head, tick.max(now)) };
    }

    /// Takes an alarm out, if it is in: the wheel's reference is the caller's then.
    ///
    /// # Safety
    ///
    /// It is in this wheel or in none.
    pub(super) unsafe fn remove(&mut self, head: &Head) -> bool {
        // SAFETY: in this wheel or in none, and we have the wheel.
        let is_in = !unsafe { head.link.ends() }.next.is_null();
        if is_in {
            // SAFETY: it is in a list of ours.
            unsafe { Wheel::unlink(&head.link) };
            self.armed -= 1;
        }
        is_in
    }

    /// The tick for which an alarm that is in the wheel is set.
    ///
    /// # Safety
    ///
    /// It is in this wheel or in none.
    pub(super) unsafe fn tick_of(&self, head: &Head) -> Option<u64> {
        // SAFETY: in this wheel or in none, and we have the wheel.
        let is_in = !unsafe { head.link.ends() }.next.is_null();
        // SAFETY: as above.
        is_in.then(|| head.tick.with(|tick| unsafe { *tick }))
    }

    /// What is to be done at the tick `now`, which is no earlier than at the last call.
    pub(super) fn poll(&mut self, now: u64) -> Poll {
        for _ in 0..STEPS {
            if let Some(head) = self.pop(DUE) {
                self.armed -= 1;
                return Poll::Due(head);
            }
            if let Some(head) = self.pop(SPREADING) {
                // SAFETY: it was in our list, so alive; and is in none now.
                unsafe {
                    let tick = (*head).tick.with(|tick| *tick);
                    self.place(head, tick);
                }
                continue;
            }
            let Some(first) = self.first_slot() else {
                self.elapsed = self.elapsed.max(now);
                return Poll::Never;
            };
            if first.begin > now {
                // There is nothing in between.
                self.elapsed = self.elapsed.max(now);
                return Poll::Until(self.earliest_in(&first, FEW).unwrap_or(first.begin));
            }
            self.elapsed = first.begin;
            let to = if first.level == 0 { DUE } else { SPREADING };
            self.splice(first.list(), to);
            self.occupied[first.level] &= !(1 << first.slot);
        }
        Poll::Busy
    }

    /// Takes any alarm out: with its reference.
    pub(super) fn pop_any(&mut self) -> Option<*const Head> {
        let head = (0..LISTS).find_map(|list| self.pop(list))?;
        self.armed -= 1;
        Some(head)
    }

    /// Sets apart what does not survive a fork.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn leave_behind(&mut self, survives: impl Fn(*const Head) -> bool) {
        for list in 0..LEFT_BEHIND {
            if self.is_empty(list) {
                continue;
            }
            let end = self.list(list);
            // SAFETY: what is in a list of ours is alive, and looked at before it is moved.
            let mut at = unsafe { (*end).ends() }.next;
            while at != end {
                // SAFETY: as above.
                let next = unsafe { (*at).ends() }.next;
                let head = at.cast::<Head>();
                if !survives(head) {
                    // SAFETY: as above; and in no list between the two.
                    unsafe {
                        Wheel::unlink(at);
                        self.push(LEFT_BEHIND, head);
                    }
                }
                at = next;
            }
        }
    }

    /// Takes one out that was set apart: with its reference.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn pop_left_behind(&mut self) -> Option<*const Head> {
        let head = self.pop(LEFT_BEHIND)?;
        self.armed -= 1;
        Some(head)
    }

    /// Into the slot that is its own as things are. Safety: alive and in no list.
    unsafe fn place(&mut self, head: *const Head, tick: u64) {
        let tick = tick.max(self.elapsed);
        let differs = tick ^ self.elapsed;
        let level = (differs.checked_ilog2().unwrap_or(0) / DIGIT) as usize;
        let slot = digit(tick, level);
        self.occupied[level] |= 1 << slot;
        // SAFETY: by the caller's promise.
        unsafe { self.push(level * SLOTS + slot, head) };
    }

    /// The slot with the earliest alarms.
    fn first_slot(&mut self) -> Option<Slot> {
        for level in 0..LEVELS {
            let current = digit(self.elapsed, level);
            // The current slot of a higher level has been spread.
            let from = u64::MAX << current & !(u64::from(level > 0) << current);
            loop {
                let occupied = self.occupied[level] & from;
                if occupied == 0 {
                    break;
                }
                let slot = occupied.trailing_zeros() as usize;
                let begin = begin_of(self.elapsed, level, slot);
                let found = Slot { level, slot, begin };
                if !self.is_empty(found.list()) {
                    return Some(found);
                }
                self.occupied[level] &= !(1 << slot);
            }
        }
        None
    }

    /// The earliest tick for which an alarm is set, however long it takes to find it.
    pub(super) fn earliest(&mut self) -> Option<u64> {
        if !self.is_empty(DUE) || !self.is_empty(SPREADING) {
            return Some(self.elapsed);
        }
        let first = self.first_slot()?;
        self.earliest_in(&first, usize::MAX)
    }

    /// The earliest tick in a slot, unless there are more than `most` to look at.
    fn earliest_in(&self, slot: &Slot, most: usize) -> Option<u64> {
        if slot.level == 0 {
            return Some(slot.begin);
        }
        let list = self.list(slot.list());
        let mut earliest = None;
        // SAFETY: what is in a list of ours is alive.
        let mut at = unsafe { (*list).ends() }.next;
        for _ in 0..most {
            if at == list {
                return earliest;
            }
            // SAFETY: as above; and not the list itself, so an alarm, which begins with its link.
            unsafe {
                let tick = (*at.cast::<Head>()).tick.with(|tick| *tick);
                earliest = Some(earliest.map_or(tick, |earliest: u64| earliest.min(tick)));
                at = (*at).ends().next;
            }
        }
        None
    }

    fn list(&self, list: usize) -> *const Link {
        debug_assert!(list < LISTS);
        // SAFETY: within what was allocated.
        unsafe { self.lists.add(list) }.as_ptr()
    }

    fn is_empty(&self, list: usize) -> bool {
        let list = self.list(list);
        // SAFETY: a list of ours.
        let next = unsafe { (*list).ends() }.next;
        next.is_null() || next == list
    }

    /// At the end of the list. Safety: alive and in no list.
    unsafe fn push(&mut self, list: usize, head: *const Head) {
        let list = self.list(list);
        let this = head.cast::<Link>();
        // SAFETY: the list is ours, its last is in it and so alive, and `head` by the caller's promise.
        unsafe {
            let last = match (*list).ends().prev {
                last if last.is_null() => list,
                last => last,
            };
            (*this).change(|ends| {
                ends.prev = last;
                ends.next = list;
            });
            (*last).change(|ends| ends.next = this);
            (*list).change(|ends| ends.prev = this);
        }
    }

    fn pop(&mut self, list: usize) -> Option<*const Head> {
        if self.is_empty(list) {
            return None;
        }
        // SAFETY: the first in a list of ours is alive.
        unsafe {
            let first = (*self.list(list)).ends().next;
            Wheel::unlink(first);
            Some(first.cast::<Head>())
        }
    }

    /// Safety: it is in a list of a wheel that the caller has.
    unsafe fn unlink(this: *const Link) {
        // SAFETY: by the caller's promise it and its neighbours are alive, and ours to change.
        unsafe {
            let Ends { prev, next } = (*this).ends();
            (*prev).change(|ends| ends.next = next);
            (*next).change(|ends| ends.prev = prev);
            (*this).change(|ends| *ends = Ends::NOWHERE);
        }
    }

    /// All of a list that is not empty, behind another list.
    fn splice(&mut self, from: usize, to: usize) {
        let (from, to) = (self.list(from), self.list(to));
        // SAFETY: both are ours, and so is what is in them.
        unsafe {
            let Ends {
                prev: last,
                next: first,
            } = (*from).ends();
            let before = match (*to).ends().prev {
                before if before.is_null() => to,
                before => before,
            };
            (*before).change(|ends| ends.next = first);
            (*first).change(|ends| ends.prev = before);
            (*last).change(|ends| ends.next = to);
            (*to).change(|ends| ends.prev = last);
            (*from).change(|ends| *ends = Ends::NOWHERE);
        }
    }
}

impl Drop for Wheel {
    fn drop(&mut self) {
        debug_assert_eq!(self.armed, 0, "who has the wheel empties it first");
        for list in 0..LISTS {
            // SAFETY: they were all written, and nothing is in them.
            unsafe { self.lists.add(list).drop_in_place() };
        }
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.lists.as_ptr().cast(), Wheel::layout()) };
    }
}

struct Slot {
    level: usize,
    slot: usize,
    /// Its first tick.
    begin: u64,
}

impl Slot {
    fn list(&self) -> usize {
        self.level * SLOTS + self.slot
    }
}

fn digit(tick: u64, level: usize) -> usize {
    (tick >> (level as u32 * DIGIT)) as usize & (SLOTS - 1)
}

/// The first tick of a slot that is not behind `elapsed`.
fn begin_of(elapsed: u64, level: usize, slot: usize) -> u64 {
    let shift = level as u32 * DIGIT;
    let above = u64::MAX.checked_shl(shift + DIGIT).unwrap_or(0);
    elapsed & above | (slot as u64) << shift
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64),
        Remove(usize),
        /// Time goes on by so much.
        Pass(u64),
    }

    /// Near and far, and on both sides of where digits change.
    fn distance() -> impl Strategy<Value = u64> {
        let digits = (0..u64::BITS).prop_flat_map(|bits| {
            let power = 1_u64 << bits;
            prop_oneof![Just(power), Just(power - 1), power / 2..=power]
        });
        prop_oneof![0..200_u64, digits, Just(u64::MAX)]
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => distance().prop_map(Step::Insert),
            1 => (0..100_usize).prop_map(Step::Remove),
            2 => distance().prop_map(Step::Pass),
        ];
        proptest::collection::vec(step, 0..150)
    }

    /// Everything that is due by `now`, in the order in which it comes; and until when there is nothing.
    fn due_by(wheel: &mut Wheel, now: u64) -> (Vec<*const Head>, Option<u64>) {
        let mut due = Vec::new();
        loop {
            match wheel.poll(now) {
                Poll::Due(head) => due.push(head),
                Poll::Busy => {}
                Poll::Until(tick) => return (due, Some(tick)),
                Poll::Never => return (due, None),
            }
        }
    }

    proptest! {
        #[test]
        fn as_a_sorted_list(steps in steps()) {
            let mut wheel = Wheel::new();
            let mut all: Vec<Box<Head>> = Vec::new();
            // What is set, and when it is due: in the order in which they came.
            let mut set: Vec<(u64, usize)> = Vec::new();
            let mut now = 0_u64;
            for step in steps {
                match step {
                    Step::Insert(after) => {
                        // Now and then earlier than now.
                        let tick = now.saturating_add(after).saturating_sub(50);
                        set.push((tick.max(now), all.len()));
                        all.push(Box::new(Head::new()));
                        // SAFETY: it lives as long as the wheel.
                        unsafe { wheel.insert(&**all.last().unwrap(), tick, now) };
                    }
                    Step::Remove(number) => {
                        let Some(head) = all.get(number) else { continue };
                        let place = set.iter().position(|(_, set)| *set == number);
                        // SAFETY: in this wheel or in none.
                        unsafe {
                            prop_assert_eq!(wheel.tick_of(head).is_some(), place.is_some());
                            prop_assert_eq!(wheel.remove(head), place.is_some());
                        }
                        place.map(|place| set.remove(place));
                    }
                    Step::Pass(by) => {
                        now = now.saturating_add(by);
                        let (due, until) = due_by(&mut wheel, now);
                        set.sort();
                        let passed = set.partition_point(|(tick, _)| *tick <= now);
                        let expected: Vec<*const Head> =
                            set.drain(..passed).map(|(_, number)| &raw const *all[number]).collect();
                        prop_assert_eq!(due, expected);
                        let first = set.first().map(|(tick, _)| *tick);
                        prop_assert_eq!(wheel.earliest(), first);
                        prop_assert_eq!(until.is_some(), first.is_some());
                        // Never too late to look again, and not for nothing at once.
                        prop_assert!(until <= first && until.is_none_or(|until| until > now));
                    }
                }
                prop_assert_eq!(wheel.armed, set.len());
            }
            while wheel.pop_any().is_some() {}
        }
    }

    #[test]
    fn a_full_slot_is_spread_in_parts() {
        let mut wheel = Wheel::new();
        let all: Vec<Head> = (0..3 * STEPS).map(|_| Head::new()).collect();
        for head in &all {
            // SAFETY: they live as long as the wheel.
            unsafe { wheel.insert(head, 100, 0) };
        }
        assert_eq!(wheel.poll(99), Poll::Busy);
        // One that is taken out meanwhile does not come.
        // SAFETY: in this wheel.
        assert!(unsafe { wheel.remove(&all[3 * STEPS - 1]) });
        assert_eq!(due_by(&mut wheel, 99), (vec![], Some(100)));
        assert_eq!(due_by(&mut wheel, 100).0.len(), 3 * STEPS - 1);
    }
}
