//! What a barrier does when everybody is there: an action that has a name in every process.

/// What a [`Barrier`](super::Barrier) does when everybody is there, before anybody goes on.
///
/// It is a type and not a closure, so that it goes with the handle into other processes: there is nothing to
/// send. It works on what the processes share, which its program knows how to reach: a static, or an
/// object that each process has put there.
pub trait BarrierAction: 'static {
    #[doc(hidden)]
    const IS_SOME: bool = true;

    /// Runs once a round, in the thread that arrived last, with nothing of the barrier locked.
    fn run();
}

/// The action of a [`Barrier`](super::Barrier) that has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAction;

impl BarrierAction for NoAction {
    const IS_SOME: bool = false;

    fn run() {}
}
