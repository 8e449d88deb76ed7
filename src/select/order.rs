//! In which order the arms are tried: each order as likely as the others.
//!
//! So of the arms that are ready each is chosen equally often, whatever the rest do. To begin somewhere at
//! random and go on from there would not do: what stands behind many that are not ready would be chosen
//! in their stead, too.

use smallvec::SmallVec;

pub(super) type Order = SmallVec<[u16; 8]>;

/// The numbers below `n`, shuffled. In a model, which would explore one shuffle only, they are not.
pub(super) fn order(n: u16) -> Order {
    let mut order: Order = (0..n).collect();
    if cfg!(not(loom)) {
        for last in (1..order.len()).rev() {
            order.swap(last, below(last + 1));
        }
    }
    order
}

/// A random number below `n`, which is small: the bias is one in four thousand millions.
fn below(n: usize) -> usize {
    ((u64::from(next()) * n as u64) >> u32::BITS) as usize
}

/// Sebastiano Vigna's SplitMix64, one a thread; nobody is to be surprised, so nobody need be kept from
/// guessing.
#[cfg(not(loom))]
fn next() -> u32 {
    use crate::platform::{thread_id, thread_local};
    use std::cell::Cell;

    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    thread_local! {
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    STATE.with(|state| {
        let seen = match state.get() {
            // Threads that do the same at the same time are not to choose the same.
            0 => u64::from(thread_id()) << 32,
            seen => seen,
        };
        let now = seen.wrapping_add(STEP);
        state.set(now);
        let mixed = (now ^ (now >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    })
}
#[cfg(loom)]
fn next() -> u32 {
    0
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_as_likely_as_the_others() {
        const ROUNDS: usize = 24_000;
        let mut seen = std::collections::BTreeMap::<Order, usize>::new();
        for _ in 0..ROUNDS {
            *seen.entry(order(4)).or_default() += 1;
        }
        assert_eq!(seen.len(), 24);
        // A thousand each, give or take; 200 is more than six standard deviations.
        assert!(
            seen.values().all(|&n| n.abs_diff(ROUNDS / 24) < 200),
            "{seen:?}"
        );
    }
}
