//! [`Cancellable`]: a task that can be asked to stop while it runs.

use crate::CancelToken;
use crate::executor::TaskError;
use crate::executor::task::{Call, Core, Job, Outcome, Work};

/// What cancels its token when it is cancelled too late not to start.
pub(super) struct Cancellable<W: Work> {
    call: Call<W>,
    token: CancelToken,
}

impl<W: Work> Cancellable<W> {
    pub(super) fn new(call: Call<W>, token: CancelToken) -> Cancellable<W> {
        Cancellable { call, token }
    }
}

impl<W: Work> Job for Cancellable<W> {
    fn run(&self) -> bool {
        self.call.run()
    }

    fn drop_with(&self, error: TaskError) -> bool {
        self.call.drop_with(error)
    }

    fn ask_to_stop(&self) {
        self.token.cancel();
    }

    fn is_claimed(&self) -> bool {
        self.call.is_claimed()
    }

    fn was_cancelled(&self) -> bool {
        self.call.was_cancelled()
    }

    fn home(&self) -> usize {
        self.call.home()
    }
}

impl<W: Work> Outcome<W::Output> for Cancellable<W> {
    fn core(&self) -> &Core<W::Output> {
        self.call.core()
    }
}

/// A task that can be taken back while nobody has claimed it.
pub(super) trait Returnable<W: Work>: Outcome<W::Output> {
    fn take_back(&self) -> Option<W>;
}

impl<W: Work> Returnable<W> for Call<W> {
    fn take_back(&self) -> Option<W> {
        Call::take_back(self)
    }
}

impl<W: Work> Returnable<W> for Cancellable<W> {
    fn take_back(&self) -> Option<W> {
        self.call.take_back()
    }
}

/// A closure that is told when it should stop.
pub(super) struct Interruptible<F> {
    pub(super) function: F,
    pub(super) token: CancelToken,
}

impl<F: FnOnce(&CancelToken) -> R + Send, R: Send> Work for Interruptible<F> {
    type Output = R;

    fn work(self) -> Result<R, TaskError> {
        Ok((self.function)(&self.token))
    }
}
