//! [`Dressed`]: a task's work with what its submitter, or its pool, wants to be done around it.
//!
//! Only tasks that want something have it: what a plain task costs is not changed by it.

use super::bound::Place;
use super::traced::Parent;
use super::worker;
use crate::executor::TaskError;
use crate::executor::task::{Work, innermost, is_called};
use crate::platform::Moment;
use crate::thread::Context;
use std::sync::Arc;

/// What is to be done around a task's work.
#[derive(Default)]
pub(super) struct Dress {
    pub(super) name: Option<Arc<str>>,
    /// What is bound while it runs.
    pub(super) context: Option<Context>,
    /// When it was accepted, if that is wanted.
    pub(super) accepted: Option<Moment>,
    pub(super) parent: Parent,
    /// Free as soon as it starts, or is dropped.
    pub(super) place: Option<Place>,
}

/// See the head of this file.
pub(super) struct Dressed<W> {
    pub(super) dress: Dress,
    pub(super) work: W,
}

impl<W: Work> Work for Dressed<W> {
    type Output = W::Output;

    fn work(self) -> Result<W::Output, TaskError> {
        let Dress {
            name,
            context,
            accepted,
            parent,
            place,
        } = self.dress;
        drop(place);
        let run = || match context {
            Some(context) => context.run(|| self.work.work()),
            None => self.work.work(),
        };
        if let Some(name) = &name {
            is_called(Arc::clone(name));
        }
        // Measured also if it unwinds.
        let _measured = accepted.map(worker::Measured::begin);
        parent.run(innermost(), name.as_deref(), run)
    }
}
