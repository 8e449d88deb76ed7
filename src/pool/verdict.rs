//! [`Verdict`]: what a function says of a resource.

/// What a function of the [`Builder`](super::Builder) may return to say whether a resource is to be kept.
///
/// `bool` says it; `()` keeps it always; of a [`Result`] an error drops the resource, and the error with it, so that a
/// check is what it calls: `.check(|connection| connection.ping())`.
pub trait Verdict {
    /// Is the resource to be kept?
    fn keeps(self) -> bool;
}

impl Verdict for bool {
    fn keeps(self) -> bool {
        self
    }
}

impl Verdict for () {
    fn keeps(self) -> bool {
        true
    }
}

impl<V: Verdict, E> Verdict for Result<V, E> {
    fn keeps(self) -> bool {
        self.is_ok_and(Verdict::keeps)
    }
}
