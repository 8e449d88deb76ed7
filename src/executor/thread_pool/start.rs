//! [`Start`]: what a worker does before its first task, and what it then keeps for its tasks.
//!
//! An initializer that fails breaks the pool. A worker's state never leaves its thread: it is made there, lies in its
//! frame, is lent to one task at a time, and is dropped there.

use crate::panic::catch;
use std::any::Any;
use std::fmt::Display;
use std::sync::Arc;

/// Of one worker; what it is, only the pool's face knows.
pub(super) type State = Box<dyn Any>;

type Initializer = dyn Fn() -> Result<(), Arc<str>> + Send + Sync;
type Factory = dyn Fn() -> Result<State, Arc<str>> + Send + Sync;

/// See the head of this file.
#[derive(Clone, Default)]
pub(super) struct Start {
    initializers: Vec<Arc<Initializer>>,
    factory: Option<Arc<Factory>>,
}

/// Its panic is an error, too.
fn attempt<T, E: Display>(what: &str, f: impl FnOnce() -> Result<T, E>) -> Result<T, Arc<str>> {
    match catch(f) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{what} failed: {error}").into()),
        Err(panic) => Err(format!("{what} panicked: {}", panic.message).into()),
    }
}

impl Start {
    pub(super) fn add<E: Display>(
        &mut self,
        initializer: impl Fn() -> Result<(), E> + Send + Sync + 'static,
    ) {
        self.initializers
            .push(Arc::new(move || attempt("the initializer", &initializer)));
    }

    pub(super) fn keep<W: 'static, E: Display>(
        &mut self,
        factory: impl Fn() -> Result<W, E> + Send + Sync + 'static,
    ) {
        self.factory = Some(Arc::new(move || {
            attempt("the worker's state", &factory).map(|state| Box::new(state) as State)
        }));
    }

    /// Is there anything to be done?
    pub(super) fn is_needed(&self) -> bool {
        !self.initializers.is_empty() || self.factory.is_some()
    }

    /// In a new worker: all of it, and the state if there is to be one.
    pub(super) fn run(&self) -> Result<Option<State>, Arc<str>> {
        for initializer in &self.initializers {
            initializer()?;
        }
        self.state()
    }

    /// A new state.
    pub(super) fn state(&self) -> Result<Option<State>, Arc<str>> {
        self.factory.as_ref().map(|factory| factory()).transpose()
    }
}
