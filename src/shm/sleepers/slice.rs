//! How long a future waits before it looks around by itself.
//!
//! As for a thread that sleeps on a word: a millisecond at first, then twice as long each time, up to
//! 50 ms. There are seven lengths, so that those who wait equally long can stand in one list.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// One of the lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice(u8);

impl Slice {
    /// That of a wait that has just begun.
    pub(crate) const FIRST: Slice = Slice(0);

    pub(super) const COUNT: usize = 7;
    pub(super) const ALL: [Slice; Slice::COUNT] = {
        let mut all = [Slice::FIRST; Slice::COUNT];
        let mut n = 0;
        while n < Slice::COUNT {
            all[n] = Slice(n as u8);
            n += 1;
        }
        all
    };

    /// The next one, after this is over.
    pub(crate) fn longer(self) -> Slice {
        Slice((self.0 + 1).min(Slice::COUNT as u8 - 1))
    }

    pub(super) fn index(self) -> usize {
        self.0.into()
    }

    pub(crate) fn length(self) -> Duration {
        (FIRST * (1 << self.0)).min(LONGEST)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_longest() {
        let lengths = Slice::ALL.map(|slice| slice.length().as_millis());
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 50]);
        let mut slice = Slice::FIRST;
        for expected in Slice::ALL {
            assert_eq!(slice, expected);
            slice = slice.longer();
        }
        assert_eq!(slice.length(), LONGEST, "it stays there");
    }
}
