//! Waiting for the lock of a block for as long as it is that of one object.
//!
//! Invariant: who waits for an object that is freed is told so within a slice. The block may be another's
//! by then, who may hold the lock for as long as it likes. Called by `shm::handle` and for pins.

use super::Block;
use crate::shm::refusal::Refusal;
use crate::shm::wait::{Look, Operation, Step};
use crate::shm::word::{Debt, Liveness, Locking, Owner, Taken};

/// A caller on its way to the lock of the block's life with this generation. Who has got it looks again.
pub(crate) struct BlockLocking<'b, 'l, L> {
    block: &'b Block,
    generation: u32,
    locking: Locking<'b, 'l, L>,
}

impl Block {
    pub(crate) fn locking<'b, 'l, L: Liveness>(
        &'b self,
        generation: u32,
        me: Owner,
        roster: &'l L,
    ) -> BlockLocking<'b, 'l, L> {
        BlockLocking {
            block: self,
            generation,
            locking: self.word.locking(me, roster),
        }
    }
}

impl<L: Liveness> BlockLocking<'_, '_, L> {
    /// One who has slept before, under another name perhaps, and owes what it owed.
    pub(crate) fn owing(mut self, debt: Debt) -> Self {
        self.locking = self.locking.owing(debt);
        self
    }

    pub(crate) fn debt(&self) -> Debt {
        self.locking.debt()
    }
}

impl<'b, L: Liveness> Operation<'b> for BlockLocking<'b, '_, L> {
    type Output = Result<Taken, Refusal>;

    fn attempt(&mut self, look: Look) -> Step<'b, Self::Output> {
        // First, also if the object is gone: who was woken owes the others the bit.
        match self.locking.attempt(look) {
            Step::Done(taken) => Step::Done(taken.map_err(Refusal::from)),
            Step::Sleep { .. } if self.block.generation() != self.generation => {
                Step::Done(Err(Refusal::Gone))
            }
            Step::Sleep {
                word,
                expected,
                is_brief,
            } => Step::Sleep {
                word,
                expected,
                is_brief,
            },
        }
    }
}
