//! Maps of closures, which only threads can run.

use super::{Map, SubmitError, ThreadPoolExecutor};
use crate::Limit;
use crate::wait::OwnedLimit;
use std::sync::Arc;

impl ThreadPoolExecutor {
    /// As [`Executor::map`](super::Executor::map), with a closure that may have captured something, and items and results of any
    /// type that can be sent.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the first item that was not accepted; those before it are cancelled.
    ///
    /// ```
    /// use latchwork::executor::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2);
    /// let greeting = String::from("hello");
    /// let all = pool.spawn_map(["world", "moon"], move |name| format!("{greeting} {name}")).unwrap();
    /// assert_eq!(all.map(Result::unwrap).collect::<Vec<_>>(), ["hello world", "hello moon"]);
    /// ```
    pub fn spawn_map<A, R>(
        &self,
        items: impl IntoIterator<Item = A>,
        function: impl Fn(A) -> R + Send + Sync + 'static,
    ) -> Result<Map<R>, SubmitError<A>>
    where
        A: Send + 'static,
        R: Send + 'static,
    {
        let mut map = Map::new(OwnedLimit::new(Limit::none()), false);
        let function = Arc::new(function);
        for item in items {
            // One reference to the closure and its item: a task like any other, of a function without captures.
            let call = (Arc::clone(&function), item);
            let submitted = self.submit(|(function, item)| function(item), call);
            let future =
                submitted.map_err(|refused| SubmitError::new(refused.value.1, refused.reason))?;
            map.push(future);
        }
        Ok(map)
    }
}
