//! [`ContextVar`] and [`Context`]: values that go with the work, not with the thread.
//!
//! A context is a list of bindings that is never changed: who binds a value puts a link in front, and others
//! go on with the list they had. So a copy is one count, and it may go to another thread. The current
//! thread's list is in a thread-local; a [`Binding`] takes its own link out again, wherever in the list it
//! is.

use crate::platform::thread_local;
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

/// A value that belongs to what is being done: a request's user, a transaction, a language.
///
/// It is a static, with a default or without one. [`with`](ContextVar::with) binds a value for as long as a
/// function runs, [`bind`](ContextVar::bind) for as long as a guard lives; the innermost binding counts. What
/// is bound is seen in this thread, in threads that it starts with [`spawn`](super::spawn) or a
/// [`Builder`](super::Builder) meanwhile, and wherever a [`Context`] is carried. A thread that shall
/// not inherit is started in an empty one: `Context::new().run(|| spawn(..))`.
///
/// # Cost
///
/// Looking: a walk over the bindings in force, of which there are a handful. Binding: two allocations.
///
/// # Source
///
/// Python's [`contextvars`](https://docs.python.org/3/library/contextvars.html), and `Thread(context=...)`.
/// There a variable that was set stays so until `reset`, and `Context.run` keeps what was set in it; here
/// every binding has an end.
///
/// ```
/// use latchwork::thread::{Context, ContextVar};
///
/// static USER: ContextVar<&str> = ContextVar::new();
/// static VERBOSE: ContextVar<bool> = ContextVar::with_default(false);
///
/// let seen = USER.with("ada", || {
///     let _more = VERBOSE.bind(true);
///     let here = Context::current();
///     // A thread that inherits.
///     std::thread::spawn(move || here.run(|| (USER.get(), VERBOSE.get()))).join().unwrap()
/// });
/// assert_eq!(seen, (Some("ada"), Some(true)));
/// assert_eq!((USER.get(), VERBOSE.get()), (None, Some(false)));
/// ```
#[doc(alias = "contextvars")]
pub struct ContextVar<T: 'static> {
    default: Option<T>,
}

impl<T> ContextVar<T> {
    /// A variable without a value where none is bound.
    pub const fn new() -> ContextVar<T> {
        ContextVar { default: None }
    }

    /// A variable that has this value where none is bound.
    pub const fn with_default(value: T) -> ContextVar<T> {
        ContextVar {
            default: Some(value),
        }
    }
}

impl<T: Send + Sync> ContextVar<T> {
    /// A copy of the value: the innermost that is bound, or the default.
    ///
    /// In a destructor that runs when the thread's context is gone already, the default.
    pub fn get(&'static self) -> Option<T>
    where
        T: Clone,
    {
        self.look(|value| value.cloned())
    }

    /// What `f` makes of the value, if there is one. It may bind and look itself.
    pub fn look<R>(&'static self, f: impl FnOnce(Option<&T>) -> R) -> R {
        // `f` runs with a copy, so that it may bind.
        let context = Context::current();
        f(context.value(self).or(self.default.as_ref()))
    }

    /// Runs `f` with this value bound. It is bound no more when `f` returns or panics.
    pub fn with<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        let _binding = self.bind(value);
        f()
    }

    /// Binds a value until the guard is dropped.
    ///
    /// Guards may be dropped in any order: each ends its own binding in this thread, and no other. Contexts
    /// that were taken meanwhile keep it.
    ///
    /// In a destructor that runs when the thread's context is gone already, nothing is bound.
    #[doc(alias = "set")]
    #[doc(alias = "reset")]
    pub fn bind(&'static self, value: T) -> Binding {
        let value: Bound = Arc::new(value);
        let binding = Binding {
            value: Arc::clone(&value),
            _stays: PhantomData,
        };
        let variable = self.address();
        // Without a context, the link and the value in it go here.
        let _ = CURRENT.try_with(|state| {
            let mut state = state.borrow_mut();
            let next = state.current.first.take();
            state.current.first = Some(Arc::new(Link {
                variable,
                value,
                next,
            }));
        });
        binding
    }

    /// A static has an address of its own, if it is not empty; one that is can have no value.
    fn address(&'static self) -> usize {
        ptr::from_ref(self).addr()
    }
}

impl<T> Default for ContextVar<T> {
    fn default() -> ContextVar<T> {
        ContextVar::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar")
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

type Bound = Arc<dyn Any + Send + Sync>;

/// One binding, in front of those that were there before it.
struct Link {
    /// The address of the variable.
    variable: usize,
    /// Its address tells this binding from all others.
    value: Bound,
    next: Option<Arc<Link>>,
}

impl Drop for Link {
    /// One by one and not by recursion: a list may be longer than a stack is deep.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut link) = next.and_then(Arc::into_inner) {
            next = link.next.take();
        }
    }
}

/// What is bound in the current thread.
struct State {
    current: Context,
    /// Those that go on when the current one has run, the next one last.
    suspended: Vec<Context>,
}

thread_local! {
    static CURRENT: RefCell<State> = const {
        RefCell::new(State { current: Context { first: None }, suspended: Vec::new() })
    };
}

/// What is bound at a moment: to be carried to another thread or task.
///
/// It never changes. A clone costs one count.
///
/// # Source
///
/// Python's [`contextvars.Context`](https://docs.python.org/3/library/contextvars.html#contextvars.Context);
/// the example is at [`ContextVar`].
#[derive(Clone, Default)]
pub struct Context {
    first: Option<Arc<Link>>,
}

impl Context {
    /// One in which nothing is bound.
    pub const fn new() -> Context {
        Context { first: None }
    }

    /// What is bound here and now. Empty in a destructor that runs when the thread's context is gone.
    #[doc(alias = "copy_context")]
    pub fn current() -> Context {
        let current = CURRENT.try_with(|state| state.borrow().current.clone());
        current.unwrap_or_default()
    }

    /// Runs `f` with this context in place of the current one, which is back when `f` returns or panics.
    ///
    /// ```
    /// use latchwork::thread::{Context, ContextVar};
    ///
    /// static DEPTH: ContextVar<u32> = ContextVar::with_default(0);
    ///
    /// let outside = Context::current();
    /// DEPTH.with(1, || {
    ///     assert_eq!(DEPTH.get(), Some(1));
    ///     assert_eq!(outside.run(|| DEPTH.get()), Some(0));
    /// });
    /// ```
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        let _suspension = Suspension::begin(self.clone());
        f()
    }

    /// A future that is polled with this context in place of the current one. A binding that lives across
    /// an `await` is there again after it.
    pub fn run_async<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let mut context = self.clone();
        let mut future = Box::pin(future);
        poll_fn(move |cx| {
            let suspension = Suspension::begin(context.clone());
            let polled = future.as_mut().poll(cx);
            context = Context::current();
            drop(suspension);
            polled
        })
    }

    /// Makes this the current thread's context and returns the former. A thread that inherits begins with it.
    pub(crate) fn install(self) -> Context {
        let install = |state: &RefCell<State>| {
            let mut state = state.borrow_mut();
            std::mem::replace(&mut state.current, self)
        };
        CURRENT.try_with(install).unwrap_or_default()
    }

    fn value<T: 'static>(&self, variable: &'static ContextVar<T>) -> Option<&T> {
        let address = ptr::from_ref(variable).addr();
        let mut links = self.links();
        let link = links.find(|link| link.variable == address)?;
        link.value.downcast_ref()
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        std::iter::successors(self.first.as_deref(), |link| link.next.as_deref())
    }

    /// The same without one binding, and what was in front of it anew; `None` if it is not in here.
    fn without(&self, value: &Bound) -> Option<Context> {
        let is_it = |link: &Link| ptr::addr_eq(Arc::as_ptr(&link.value), Arc::as_ptr(value));
        let position = self.links().position(is_it)?;
        let mut first = self.links().nth(position)?.next.clone();
        let in_front: Vec<&Link> = self.links().take(position).collect();
        for link in in_front.into_iter().rev() {
            first = Some(Arc::new(Link {
                variable: link.variable,
                value: Arc::clone(&link.value),
                next: first,
            }));
        }
        Some(Context { first })
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("bindings", &self.links().count())
            .finish()
    }
}

/// Another context runs. Dropped, it lets the former go on.
struct Suspension(PhantomData<*const ()>);

impl Suspension {
    fn begin(context: Context) -> Suspension {
        let before = context.install();
        let _ = CURRENT.try_with(|state| state.borrow_mut().suspended.push(before));
        Suspension(PhantomData)
    }
}

impl Drop for Suspension {
    fn drop(&mut self) {
        let resume = |state: &RefCell<State>| {
            let mut state = state.borrow_mut();
            let before = state.suspended.pop()?;
            Some(std::mem::replace(&mut state.current, before))
        };
        // What the context had for itself is the user's, and dropped when it can look again.
        drop(CURRENT.try_with(resume));
    }
}

/// A value is bound as long as this lives. It stays in its thread.
#[must_use = "the binding ends when this is dropped"]
pub struct Binding {
    value: Bound,
    _stays: PhantomData<*const ()>,
}

impl Drop for Binding {
    fn drop(&mut self) {
        let end = |state: &RefCell<State>| {
            let state = &mut *state.borrow_mut();
            let contexts = std::iter::once(&mut state.current).chain(&mut state.suspended);
            let end = |context: &mut Context| {
                let without = context.without(&self.value)?;
                Some(std::mem::replace(context, without))
            };
            contexts.filter_map(end).collect::<Vec<Context>>()
        };
        // The user's values go when they can look again.
        drop(CURRENT.try_with(end));
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding").finish_non_exhaustive()
    }
}
