//! Waiting for the lock of a block for as long as it is that of one object.
//!
//! Invariant: who waits for an object that is freed is told so within a slice. The block may be another's
//! by then, who may hold the lock for as long as it likes. Called by `shm::handle` and for pins.

use super::Block;
use crate::shm::refusal::Refusal;
use crate::shm::wait::{Look, Operation, Step};
use crate::shm::word::{Liveness, Locking, Owner, Taken};

/// A caller on its way to the lock of the block's life with this generation. Who has got it looks again.
pub(crate) struct BlockLocking<'b, L> {
    block: &'b Block,
    generation: u32,
    locking: Locking<'b, L>,
}

impl Block {
    pub(crate) fn locking<'b, L: Liveness>(
        &'b self,
        generation: u32,
        me: Owner,
        roster: &'b L,
    ) -> BlockLocking<'b, L> {
        BlockLocking {
            block: self,
            generation,
            locking: self.word.locking(me, roster),
        }
    }
}

impl<'b, L: Liveness> Operation<'b> for BlockLocking<'b, L> {
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
