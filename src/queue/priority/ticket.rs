//! Tickets: how an item is found again while it moves about in the heap.
//!
//! A ticketed item has a slot in a table, its entry knows the number of the slot, and whoever moves
//! the entry notes its new position there. A slot is used again after its item has left, so it also
//! says the number of the ticket that it was opened for; numbers are never used twice.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The slot of an item without a ticket.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// Names one item of one queue, for as long as the item is in there.
///
/// It comes from a put through a `ticketed()` view, or from
/// [`Heap::push_ticketed`](super::Heap::push_ticketed). It is a plain value: copying it costs
/// nothing, keeping it keeps nothing alive, and anybody who has it may use it. It is unique for
/// ever: once its item has left, it names nothing, whatever is put later, and in any other queue it
/// names nothing either. The default ticket never names anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Of the heap that issued it; none has number 0.
    heap: usize,
    slot: u32,
    number: u64,
}

/// Where the ticketed items of one heap are.
#[derive(Debug)]
pub(super) struct Tickets {
    heap: usize,
    slots: Vec<Slot>,
    /// The first free slot; each free slot says the next in place of a position.
    free: u32,
    /// How many tickets there have been.
    issued: u64,
}

#[derive(Debug)]
struct Slot {
    /// Of the ticket that it is open for; 0 when it is free.
    number: u64,
    position: u32,
}

impl Tickets {
    pub(super) fn new() -> Tickets {
        /// Only numbers the heaps.
        static HEAPS: AtomicUsize = AtomicUsize::new(1);
        Tickets {
            heap: HEAPS.fetch_add(1, Ordering::Relaxed),
            slots: Vec::new(),
            free: NO_SLOT,
            issued: 0,
        }
    }

    /// Makes sure that there is a free slot, so that [`open`](Tickets::open) cannot fail.
    pub(super) fn reserve(&mut self) {
        if self.free == NO_SLOT {
            // There are no more slots than items, and of those there are fewer than NO_SLOT.
            self.free = self.slots.len() as u32;
            self.slots.push(Slot {
                number: 0,
                position: NO_SLOT,
            });
        }
    }

    /// Opens a slot, which has been reserved, for an item whose position is noted next.
    pub(super) fn open(&mut self) -> (u32, Ticket) {
        let slot = self.free;
        self.issued += 1;
        let number = self.issued;
        let entry = &mut self.slots[slot as usize];
        self.free = entry.position;
        entry.number = number;
        let heap = self.heap;
        (slot, Ticket { heap, slot, number })
    }

    /// The item of this slot is now at `position`; of one without a slot nothing is noted. Does not
    /// panic, because entries are half moved when it is called.
    #[inline]
    pub(super) fn note(&mut self, slot: u32, position: usize) {
        // NO_SLOT is always out of range.
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.position = position as u32;
        }
    }

    /// The item of this slot has left.
    #[inline]
    pub(super) fn close(&mut self, slot: u32) {
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            *entry = Slot {
                number: 0,
                position: self.free,
            };
            self.free = slot;
        }
    }

    /// Where the item of this ticket is, if it is still there.
    pub(super) fn find(&self, ticket: &Ticket) -> Option<usize> {
        if ticket.heap != self.heap {
            return None;
        }
        let slot = self.slots.get(ticket.slot as usize)?;
        (slot.number == ticket.number).then_some(slot.position as usize)
    }

    /// How many there have been at a time.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }
}
