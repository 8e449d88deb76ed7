//! What a model needs and a program does not: a deadline that another modelled thread lets pass.

use crate::Limit;
use crate::wait::Canceller;
use std::sync::Arc;

/// A deadline without a clock. Waits under it end as timed out when somebody calls `pass`.
#[derive(Clone, Debug)]
pub struct Deadline(Arc<Canceller>);

impl Deadline {
    /// A deadline in the future.
    #[expect(clippy::new_without_default, reason = "a model says what it makes")]
    pub fn new() -> Deadline {
        Deadline(Arc::new(Canceller::timer()))
    }

    /// Now it has passed.
    pub fn pass(&self) {
        self.0.fire();
    }
}

impl<'a> From<&'a Deadline> for Limit<'a> {
    fn from(deadline: &'a Deadline) -> Limit<'a> {
        Limit::from(&*deadline.0)
    }
}
