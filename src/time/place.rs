//! [`Place`]: where a timer's function is called.

/// Where, and who is to be told of the end.
pub(super) trait Place: Send + Sync + 'static {
    /// What it takes to call something there; kept apart, because the call takes the timer along.
    type Elsewhere;

    fn elsewhere(&self) -> Self::Elsewhere;

    fn run(place: Self::Elsewhere, call: impl FnOnce() + Send + 'static);

    /// The timer has ended.
    fn ended(&self);
}

/// In the thread that turns the wheel.
pub(super) struct Here;

impl Place for Here {
    type Elsewhere = ();

    fn elsewhere(&self) {}

    fn run((): (), call: impl FnOnce()) {
        call();
    }

    fn ended(&self) {}
}
