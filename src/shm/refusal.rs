//! Why an operation on an object in shared memory did not take place.

use super::word::Refused;
use crate::GaveUp;
use std::io;

/// Made into the public errors of `ipc`.
#[derive(Debug)]
pub(crate) enum Refusal {
    GaveUp(GaveUp),
    /// The object's memory holds what no participant can have written.
    Corrupt,
    /// The process that made the object has dropped it.
    Gone,
    /// The caller's process cannot take part.
    Unlisted(io::Error),
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        match refused {
            Refused::GaveUp(why) => Refusal::GaveUp(why),
            Refused::Corrupt => Refusal::Corrupt,
        }
    }
}
