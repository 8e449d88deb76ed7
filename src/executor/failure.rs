//! [`Failure`]: the error that a task returned, its type forgotten.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The error that a task returned, as [`TaskError::Failed`](super::TaskError::Failed) has it.
///
/// Cloning shares it. Two are equal if they are the same error: one that was cloned, not one that says the same.
///
/// ```
/// use latchwork::executor::Failure;
/// use std::num::ParseIntError;
///
/// let failure = Failure::new("x".parse::<u8>().unwrap_err());
/// assert!(failure.downcast_ref::<ParseIntError>().is_some());
/// assert_eq!(failure.to_string(), "invalid digit found in string");
/// assert_eq!(failure, failure.clone());
/// ```
#[derive(Clone)]
pub struct Failure(Arc<dyn Error + Send + Sync>);

impl Failure {
    /// Of an error, or of a text.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure(error.into().into())
    }

    /// The error, if it is of this type.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// The error.
    pub fn get(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl PartialEq for Failure {
    fn eq(&self, other: &Failure) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Failure {}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
