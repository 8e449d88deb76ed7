//! [`Local`]: a value for each thread, in an object of its own.
//!
//! [`table`] is how a thread finds its value, [`place`] is where it lies, and [`iter`] is how others get to
//! it. References are counted ([`LocalRef`]), since a value ends with its thread and a plain `&T` could
//! outlive that: in a thread that was sent it, or in a thread-local of std that is destroyed later.

mod error;
mod iter;
#[cfg(loom)]
mod modelled;
mod place;
pub(crate) mod table;

pub use error::{InitError, LocalError};
pub use iter::{LocalIntoIter, LocalIter, LocalIterMut, LocalMut, LocalValue};

use crate::platform::const_fn;
use place::{Place, Places, Share, Value};
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{self, AssertUnwindSafe};
use std::ptr::NonNull;
use std::sync::{Arc, Weak};
use table::{Key, Leave};

/// A value for each thread.
///
/// Unlike std's `thread_local!` it is an object: a field of another, or a static. A thread has no value
/// until it makes one, with [`get_or_init`](Local::get_or_init), or by looking, if the `Local` was made
/// [`with_init`](Local::with_init). The others' can be looked at with [`iter`](Local::iter).
///
/// # When values are dropped
///
/// With the thread or with the `Local`, whichever ends first; later only if somebody has a reference yet.
/// A new thread never sees a value of one that has ended. In detail:
///
/// * A thread drops its values when std destroys its thread-locals, in no stated order. Destructors of
///   thread-locals that were first used after the thread's first `Local` come before that and find
///   everything as ever; in those that come later, and in the values' own, there is no value
///   ([`LocalError::Ended`]) and none is made. As with std's, a thread may be joined a moment before
///   that, and the main thread's values may not be dropped at all.
/// * Dropping the `Local` drops the values of all threads, in the thread that drops it; but one whose thread
///   is dropping it just then may be on its way out a moment longer. Hence `T: 'static`.
/// * A panic in the drop of a thread's value goes to the panic hook and no further.
///
/// # Cost
///
/// An access is a look into an array that the thread has, without atomic read-modify-writes, whatever the
/// number of threads or `Local`s: about what std's `thread_local!` takes, unless the compiler can take
/// std's checks out of a loop. The first one in a thread makes an allocation and takes two short locks.
/// Memory: 40 bytes in each thread that has a value, for this and for each `Local` that is older, and a small
/// entry for the most threads that lived at the same time.
///
/// # Source
///
/// Python's [`threading.local`](https://docs.python.org/3/library/threading.html#thread-local-data); its
/// attributes are the fields of `T`, in a `Cell` or `RefCell` if they change. The places of the values are
/// those of the crate `thread_local`, which keeps values when their thread has ended.
///
/// ```
/// use latchwork::thread::{self, Local};
/// use std::cell::Cell;
///
/// static CALLS: Local<Cell<u32>> = Local::with_init(|| Cell::new(0));
///
/// let count = || CALLS.with(|calls| calls.replace(calls.get() + 1));
/// assert_eq!(count(), Some(0));
/// assert_eq!(count(), Some(1));
/// assert_eq!(thread::spawn(move || count()).join().unwrap(), Some(0));
///
/// let mut hits = Local::new();
/// *hits.get_or_init(|| std::sync::Mutex::new(0)).lock().unwrap() += 1;
/// assert_eq!(hits.iter().map(|hits| *hits.lock().unwrap()).sum::<i32>(), 1);
/// hits.clear();
/// assert!(hits.get().is_none());
/// ```
#[doc(alias = "threading.local")]
#[doc(alias = "ThreadLocal")]
pub struct Local<T: Send + 'static, F = fn() -> T> {
    /// Given when the first value is made.
    key: Key,
    places: Places<T>,
    init: Option<F>,
}

impl<T: Send> Local<T> {
    const_fn! {
        /// No thread has a value.
        pub fn new() -> Local<T> {
            Local { key: Key::new(), places: Places::new(), init: None }
        }
    }
}

impl<T: Send, F> Local<T, F> {
    const_fn! {
        /// A thread that looks for its value and has none makes it with `init`: once in each thread.
        #[doc(alias = "__init__")]
        pub fn with_init(init: F) -> Local<T, F> {
            Local { key: Key::new(), places: Places::new(), init: Some(init) }
        }
    }
}

impl<T: Send, F: Fn() -> T> Local<T, F> {
    /// This thread's value. `None` where [`try_get`](Local::try_get) says why there is none.
    ///
    /// # Panics
    ///
    /// Only if the initialiser does; there is no value then.
    #[inline]
    pub fn get(&self) -> Option<LocalRef<'_, T>> {
        self.try_get().ok()
    }

    /// This thread's value, or why there is none.
    ///
    /// # Errors
    ///
    /// [`LocalError`].
    ///
    /// # Panics
    ///
    /// Only if the initialiser does; there is no value then.
    #[inline]
    pub fn try_get(&self) -> Result<LocalRef<'_, T>, LocalError> {
        match self.find() {
            Some(value) => Ok(value),
            None => self.initialised(),
        }
    }

    #[cold]
    fn initialised(&self) -> Result<LocalRef<'_, T>, LocalError> {
        match &self.init {
            Some(init) => self
                .make(|| Ok::<T, Infallible>(init()))
                .map_err(Into::into),
            None => Err(table::why_not(&self.key)),
        }
    }

    /// What `f` makes of this thread's value; `None` where [`get`](Local::get) is.
    ///
    /// # Panics
    ///
    /// Only if `f` or the initialiser does.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        self.get().map(|value| f(&value))
    }
}

impl<T: Send, F> Local<T, F> {
    /// This thread's value; if it has none, made by `init`.
    ///
    /// # Panics
    ///
    /// If `init` does, if it looks for the value that it is making, and if the thread has dropped its values:
    /// [`get_or_try_init`](Local::get_or_try_init) says the latter two with an error.
    #[inline]
    pub fn get_or_init(&self, init: impl FnOnce() -> T) -> LocalRef<'_, T> {
        match self.find() {
            Some(value) => value,
            None => match self.make(|| Ok::<T, Infallible>(init())) {
                Ok(value) => value,
                Err(why) => panic!("{}", LocalError::from(why)),
            },
        }
    }

    /// This thread's value; if it has none, made by `init`, which may fail.
    ///
    /// # Errors
    ///
    /// What `init` says, or why it was not asked: it looks for the value that it is making, or the thread
    /// has dropped its values. There is no value then.
    ///
    /// ```
    /// use latchwork::thread::{InitError, Local, LocalError};
    ///
    /// let number = Local::new();
    /// let parse = |text: &str| number.get_or_try_init(|| text.parse::<i32>()).map(|number| *number);
    /// assert!(matches!(parse("one"), Err(InitError::Failed(_))));
    /// assert_eq!(parse("1"), Ok(1));
    /// assert_eq!(parse("2"), Ok(1));
    ///
    /// let circle: Local<u8> = Local::new();
    /// let inner = circle.get_or_try_init(|| circle.get_or_try_init(|| Ok::<_, ()>(1)).map(|it| *it));
    /// assert_eq!(inner.unwrap_err(), InitError::Failed(InitError::Local(LocalError::Initialising)));
    /// ```
    #[inline]
    pub fn get_or_try_init<E>(
        &self,
        init: impl FnOnce() -> Result<T, E>,
    ) -> Result<LocalRef<'_, T>, InitError<E>> {
        match self.find() {
            Some(value) => Ok(value),
            None => self.make(init),
        }
    }

    #[inline]
    fn find(&self) -> Option<LocalRef<'_, T>> {
        table::find(&self.key).map(|value| LocalRef::new(value.cast()))
    }

    #[cold]
    fn make<E>(
        &self,
        init: impl FnOnce() -> Result<T, E>,
    ) -> Result<LocalRef<'_, T>, InitError<E>> {
        self.key.give();
        // The place comes before the entry, because thread-locals are destroyed last first: so a thread
        // has dropped its values before its place can be another's.
        let place = self.place().map_err(InitError::Local)?;
        let making = table::begin(&self.key).map_err(InitError::Local)?;
        let value = Share::new(Value::new(init().map_err(InitError::Failed)?));
        let address =
            NonNull::new(Share::as_ptr(&value).cast_mut()).expect("a value has an address");
        place.put(making.thread(), value);
        let place: Weak<Place<T>> = Arc::downgrade(place);
        making.complete(address, place as Weak<dyn Leave>);
        Ok(LocalRef::new(address))
    }

    /// This thread's place. `ThreadLocal` panics in destructors that come after its own.
    fn place(&self) -> Result<&Arc<Place<T>>, LocalError> {
        let place = AssertUnwindSafe(|| self.places.get_or(|| Arc::new(Place::new())));
        panic::catch_unwind(place).map_err(|_| LocalError::Ended)
    }

    /// The values of all threads that have one now, in no stated order.
    ///
    /// A value whose thread ends meanwhile lives as long as its [`LocalValue`], and is dropped by whoever drops
    /// that. Blocks nobody. Cost: an allocation, and a short lock for each thread that had a value ever.
    pub fn iter(&self) -> LocalIter<'_, T>
    where
        T: Sync,
    {
        LocalIter::new(self.values())
    }

    /// The values of all threads that have one, in no stated order, to be changed.
    ///
    /// A thread may end meanwhile, as above; one that does not finds its value changed.
    pub fn iter_mut(&mut self) -> LocalIterMut<'_, T> {
        LocalIterMut::new(self.values())
    }

    /// Drops the values of all threads.
    ///
    /// # Panics
    ///
    /// If a value's drop does; all others are dropped all the same.
    pub fn clear(&mut self) {
        drop(self.take());
    }

    fn values(&self) -> Vec<Share<Value<T>>> {
        self.places
            .iter()
            .flat_map(|place| place.values())
            .collect()
    }

    /// Takes all values from all threads.
    fn take(&mut self) -> Vec<Share<Value<T>>> {
        // The name goes before the values, and its index may be another's after them.
        let Some(_name) = self.key.take() else {
            return Vec::new();
        };
        let places = self.places.iter();
        let values = places
            .flat_map(|place| place.empty())
            .map(|(_, value)| value);
        values.collect()
    }
}

impl<T: Send, F> Drop for Local<T, F> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T: Send> Default for Local<T> {
    fn default() -> Local<T> {
        Local::new()
    }
}

impl<T: Send, F> IntoIterator for Local<T, F> {
    type Item = T;
    type IntoIter = LocalIntoIter<T>;

    /// The values of all threads. One whose thread is ending may be missing, and so is one whose `LocalValue`
    /// was forgotten.
    fn into_iter(mut self) -> LocalIntoIter<T> {
        LocalIntoIter::new(self.take())
    }
}

impl<T: Send + fmt::Debug, F> fmt::Debug for Local<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Local");
        match self.find() {
            Some(value) => out.field("value", &*value),
            None => out.field("value", &format_args!("{}", table::why_not(&self.key))),
        };
        let threads: usize = self.places.iter().map(|place| place.values().len()).sum();
        out.field("threads", &threads).finish()
    }
}

/// A thread's own value, as long as this lives: also when the thread's destructors run. It stays in its
/// thread.
///
/// Cost: a count that is no atomic. One that is forgotten (`std::mem::forget`) keeps the value when its
/// thread ends, for ever.
pub struct LocalRef<'a, T> {
    value: NonNull<Value<T>>,
    _of: PhantomData<&'a T>,
}

impl<T> LocalRef<'_, T> {
    /// `value` is that of the current thread, and found just now.
    #[inline]
    fn new<'a>(value: NonNull<Value<T>>) -> LocalRef<'a, T> {
        // SAFETY: it was found, so it is in its place (see `table`).
        unsafe { value.as_ref() }.refer();
        LocalRef {
            value,
            _of: PhantomData,
        }
    }
}

impl<T> Deref for LocalRef<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: it is alive, being referred to, and the `Local` is borrowed, so nobody has a `&mut`.
        unsafe { self.value.as_ref().shared() }
    }
}

impl<T> Drop for LocalRef<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `new` has referred to it, in this thread, which this has not left; the pointer is that of
        // a share.
        unsafe { Value::let_go(self.value) };
    }
}

impl<T: fmt::Debug> fmt::Debug for LocalRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
