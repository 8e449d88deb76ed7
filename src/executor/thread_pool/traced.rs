//! [`Parent`]: a span for each task, beneath the span in which it was submitted; nothing without the feature `tracing`.

#[cfg(feature = "tracing")]
pub(super) use on::{Parent, is_on};

#[cfg(not(feature = "tracing"))]
pub(super) use off::{Parent, is_on};

#[cfg(feature = "tracing")]
mod on {
    use crate::executor::TaskId;
    use crate::executor::thread_pool::Pool;
    use std::sync::Arc;
    use tracing::{Span, info_span};

    /// Does anybody listen?
    #[inline]
    pub(in crate::executor::thread_pool) fn is_on() -> bool {
        tracing::dispatcher::has_been_set()
    }

    /// Where a task was submitted.
    #[derive(Default)]
    pub(in crate::executor::thread_pool) struct Parent {
        span: Option<Span>,
        pool: Option<Arc<str>>,
    }

    impl Parent {
        pub(in crate::executor::thread_pool) fn here(pool: &Pool) -> Parent {
            Parent {
                span: Some(Span::current()),
                pool: Some(Arc::clone(&pool.settings.prefix)),
            }
        }

        /// Runs `f` in the span of that task.
        pub(in crate::executor::thread_pool) fn run<R>(
            self,
            id: Option<TaskId>,
            name: Option<&str>,
            f: impl FnOnce() -> R,
        ) -> R {
            let parent = self.span.as_ref().and_then(Span::id);
            let thread = std::thread::current();
            let span = info_span!(
                target: "latchwork",
                parent: parent,
                "task",
                pool = self.pool.as_deref(),
                worker = thread.name(),
                name,
                id = id.map(TaskId::number),
            );
            span.in_scope(f)
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use crate::executor::TaskId;
    use crate::executor::thread_pool::Pool;

    #[inline]
    pub(in crate::executor::thread_pool) fn is_on() -> bool {
        false
    }

    /// Where a task was submitted: nobody wants to know.
    #[derive(Default)]
    pub(in crate::executor::thread_pool) struct Parent;

    impl Parent {
        pub(in crate::executor::thread_pool) fn here(_pool: &Pool) -> Parent {
            Parent
        }

        pub(in crate::executor::thread_pool) fn run<R>(
            self,
            _id: Option<TaskId>,
            _name: Option<&str>,
            f: impl FnOnce() -> R,
        ) -> R {
            f()
        }
    }
}
