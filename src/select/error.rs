//! What comes of a select that gave up.

use super::{Arms, Select};
use crate::GaveUp;
use std::error::Error;
use std::fmt;

/// No arm could be done before the call gave up. The select is in here, with all that its arms hold.
#[non_exhaustive]
pub struct NotChosen<A> {
    /// To wait again.
    pub select: Select<A>,
    /// Why the call gave up.
    pub why: GaveUp,
}

impl<A> From<NotChosen<A>> for GaveUp {
    fn from(not: NotChosen<A>) -> GaveUp {
        not.why
    }
}

impl<A: Arms> fmt::Debug for NotChosen<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotChosen")
            .field("select", &self.select)
            .field("why", &self.why)
            .finish()
    }
}

impl<A> fmt::Display for NotChosen<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<A: Arms> Error for NotChosen<A> {}
