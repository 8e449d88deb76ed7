//! Lists of slots by their numbers: in the order of arrival, and left from anywhere in one step.
//!
//! Invariant: a slot is in a list exactly if the list's neighbours say so; whoever pushes it removes
//! it from the same list. Used by `shm::sleepers::table`.

/// No slot.
const NONE: u32 = u32::MAX;

/// In which of its lists.
#[derive(Clone, Copy, Debug)]
pub(super) enum Axis {
    Word,
    Slice,
}

/// A slot's neighbours in one list.
#[derive(Clone, Copy)]
pub(super) struct Links {
    prev: u32,
    next: u32,
}

impl Links {
    pub(super) const NONE: Links = Links {
        prev: NONE,
        next: NONE,
    };

    #[cfg(not(loom))]
    pub(super) fn next(self) -> Option<u32> {
        (self.next != NONE).then_some(self.next)
    }
}

/// What is in such lists.
pub(super) trait Linked {
    fn links(&mut self, axis: Axis) -> &mut Links;
}

/// The ends of a list.
#[derive(Clone, Copy)]
pub(super) struct List {
    first: u32,
    last: u32,
}

impl List {
    pub(super) const EMPTY: List = List {
        first: NONE,
        last: NONE,
    };

    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// Adds a slot at the end.
    pub(super) fn push<T: Linked>(&mut self, slots: &mut [T], axis: Axis, at: u32) {
        *slots[at as usize].links(axis) = Links {
            prev: self.last,
            next: NONE,
        };
        match self.last {
            NONE => self.first = at,
            last => slots[last as usize].links(axis).next = at,
        }
        self.last = at;
    }

    /// Takes a slot out that is in it.
    pub(super) fn remove<T: Linked>(&mut self, slots: &mut [T], axis: Axis, at: u32) {
        let Links { prev, next } = std::mem::replace(slots[at as usize].links(axis), Links::NONE);
        match prev {
            NONE => self.first = next,
            prev => slots[prev as usize].links(axis).next = next,
        }
        match next {
            NONE => self.last = prev,
            next => slots[next as usize].links(axis).prev = prev,
        }
    }
}
