//! Waiting for the first of several things: [`Select`].
//!
//! | you want | write |
//! |---|---|
//! | an item of whichever queue has one | [`get`](Select::get) for each |
//! | to put an item where there is room first | [`put`](Select::put) for each |
//! | to stop waiting when something has happened | [`event`](Select::event), or a [`Limit`] with a token |
//! | a permit, or something else | [`acquire`](Select::acquire) |
//! | the end of a thread or a task | [`join`](Select::join), [`done`](Select::done) |
//! | anything else that can be awaited | [`future`](Select::future) |
//! | as many of these as there are at run time | [`among`](Select::among) |

mod arm;
mod arms;
mod engine;
mod error;
mod future;
mod order;
mod queues;

pub use arms::{Arms, NoArms, With};
pub use error::NotChosen;
pub use queues::{Gets, Puts};

use crate::executor::TaskFuture;
use crate::queue::{GetError, PutError};
use crate::sync::{AcquireError, AnySemaphore, Event, Permit, acquire_request};
use crate::thread::ScopedJoinHandle;
use crate::wait::decision::Decision;
use crate::{GaveUp, Limit};
use arm::{On, OnFuture};
use engine::Run;
use future::SelectFuture;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

/// Waits for several things at once and does exactly one of them.
///
/// Each arm says what to wait for and, with a function, what to make of it; all functions return the same
/// type. The four faces do one of the arms and return what its function has made: [`wait`](Select::wait)
/// blocks, [`try_select`](Select::try_select) doesn't, [`wait_within`](Select::wait_within) blocks at most
/// so long, [`wait_async`](Select::wait_async) is a future.
///
/// One compare-and-swap decides between all the arms, the deadline and the cancellation, so the arms
/// that are not chosen have done nothing: no item is taken or put, no permit taken, and whoever had been
/// woken for such an arm passes that on. Functions of other arms are not called.
///
/// # Fairness
///
/// Of the arms that are ready when the select looks each is as likely as the others, in whichever order they
/// were added. When none is, it stands in the line of every arm, behind those who came before, and the
/// first to be served decides. If it is called by a queue or a semaphore and somebody is quicker, it goes
/// back to the front of that line, and to the end of the others.
///
/// # The same thing twice
///
/// Several arms may be about the same queue, event or semaphore, also a get and a put of one queue.
///
/// # Panics
///
/// A wait that could never end panics: one without a limit and without arms, or with none but puts of
/// nothing. So does a select of more than 65,535 arms. If a function or a future panics, so does the
/// call; no arm is left in a line.
///
/// # Deadlocks
///
/// A select waits for nobody in particular, so it is never part of a circle that
/// [`debug::on_deadlock`](crate::debug::on_deadlock) reports. [`debug::waits`](crate::debug::waits) has one
/// line for each of its arms, as of a task if there is a future among them.
///
/// # Cost
///
/// No allocation with up to eight arms, except that a blocking wait with a future makes one, for its
/// waker. What is ready at once costs little more than the operation itself; each arm that has to wait is one
/// node in one line, entered and left under a short lock.
///
/// # Source
///
/// Go's `select` and crossbeam-channel's `Select`, for which Python has no like;
/// [`multiprocessing.connection.wait`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.connection.wait)
/// comes near.
///
/// ```
/// use latchwork::{queue::Queue, select::Select, sync::Event};
///
/// let (orders, returns) = (Queue::bounded(8), Queue::bounded(8));
/// let closing = Event::new();
///
/// std::thread::scope(|s| {
///     s.spawn(|| {
///         orders.put(7).unwrap();
///         returns.put("torn").unwrap();
///     });
///     let mut seen = Vec::new();
///     while seen.len() < 2 {
///         let next = Select::new()
///             .get(&orders, |order| order.ok().map(|number: u32| format!("order {number}")))
///             .get(&returns, |why| why.ok().map(|why| format!("returned: {why}")))
///             .event(&closing, || None)
///             .wait();
///         seen.extend(next);
///     }
///     seen.sort();
///     assert_eq!(seen, ["order 7", "returned: torn"]);
/// });
/// ```
#[must_use = "a select does nothing until it is waited for"]
#[doc(alias = "any_of")]
#[doc(alias = "WaitForMultipleObjects")]
pub struct Select<A> {
    arms: A,
}

impl<R> Select<NoArms<R>> {
    /// A select without arms.
    pub fn new() -> Select<NoArms<R>> {
        Select {
            arms: NoArms::new(),
        }
    }
}

impl<R> Default for Select<NoArms<R>> {
    fn default() -> Select<NoArms<R>> {
        Select::new()
    }
}

impl<A: Arms> Select<A> {
    fn with<B: Arms<Output = A::Output>>(self, arms: B) -> Select<With<A, B>> {
        Select {
            arms: With(self.arms, arms),
        }
    }

    /// Adds: an item from a queue of any kind, or from its receiving end.
    ///
    /// Also chosen when the queue is shut down and empty; that is [`GetError::ShutDown`]. A
    /// [`SimpleQueue`](crate::queue::SimpleQueue) never is.
    pub fn get<Q: Gets>(
        self,
        queue: &Q,
        then: impl FnOnce(Result<Q::Item, GetError>) -> A::Output,
    ) -> Select<impl Arms<Output = A::Output>> {
        self.with(queue.get_arm(then))
    }

    /// Adds: the item in `slot` is put to a queue.
    ///
    /// If this arm is chosen, the slot is empty afterwards: the item is in the queue, or, when that was shut
    /// down, in the error. If it is not, for whatever reason the select came to its end, the item is
    /// in the slot again. An arm whose slot is empty is never chosen, so whether there is something to
    /// put needs no `if`.
    ///
    /// ```
    /// use latchwork::{queue::Queue, select::Select};
    ///
    /// let (input, output) = (Queue::unbounded(), Queue::bounded(1));
    /// input.put(1)?;
    /// input.put(2)?;
    /// // Passes items on, and takes the next one only when it has got rid of the last one.
    /// let (mut pending, nothing) = (None, Queue::unbounded());
    /// for _ in 0..3 {
    ///     let source = if pending.is_none() { &input } else { &nothing };
    ///     let got = Select::new()
    ///         .get(source, Result::ok)
    ///         .put(&output, &mut pending, |done| { done.unwrap(); None })
    ///         .try_select()
    ///         .ok()
    ///         .flatten();
    ///     if got.is_some() {
    ///         pending = got;
    ///     }
    /// }
    /// assert_eq!((output.get(), pending), (Ok(1), Some(2)));
    /// # Ok::<(), latchwork::queue::PutError<i32>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the queue is a rendezvous: an item that is held out there can be taken at any moment, so that
    /// the getter would decide for itself. To get from one is fine.
    pub fn put<Q: Puts>(
        self,
        queue: &Q,
        slot: &mut Option<Q::Item>,
        then: impl FnOnce(Result<(), PutError<Q::Item>>) -> A::Output,
    ) -> Select<impl Arms<Output = A::Output>> {
        self.with(queue.put_arm(slot, then))
    }

    /// Adds: an event's flag is up, or goes up at any time from this call on.
    pub fn event(
        self,
        event: &Event,
        then: impl FnOnce() -> A::Output,
    ) -> Select<impl Arms<Output = A::Output>> {
        self.with(On::new(event.request(), |()| then()))
    }

    /// Adds: a permit of a semaphore, bounded or not.
    ///
    /// Also chosen when there can be none; that is an error other than `TimedOut` and `Cancelled`.
    pub fn acquire<'a, S: AnySemaphore>(
        self,
        semaphore: &'a S,
        then: impl FnOnce(Result<Permit<'a, S>, AcquireError>) -> A::Output,
    ) -> Select<impl Arms<Output = A::Output>> {
        self.acquire_many(semaphore, 1, then)
    }

    /// Adds: `n` permits of a semaphore, all or none.
    pub fn acquire_many<'a, S: AnySemaphore>(
        self,
        semaphore: &'a S,
        n: usize,
        then: impl FnOnce(Result<Permit<'a, S>, AcquireError>) -> A::Output,
    ) -> Select<impl Arms<Output = A::Output>> {
        self.with(On::new(acquire_request(semaphore, n), then))
    }

    /// Adds: a thread has ended. What it returned is in the handle still.
    pub fn join<T>(
        self,
        handle: &ScopedJoinHandle<'_, T>,
        then: impl FnOnce() -> A::Output,
    ) -> Select<impl Arms<Output = A::Output>> {
        self.with(On::new(handle.end_request(), |()| then()))
    }

    /// Adds: a task has ended. What came of it is in the future still.
    pub fn done<T>(
        self,
        task: &TaskFuture<T>,
        then: impl FnOnce() -> A::Output,
    ) -> Select<impl Arms<Output = A::Output>> {
        self.with(On::new(task.end_request(), |()| then()))
    }

    /// Adds: a future is ready.
    ///
    /// It is polled once at least, and whenever its waker says so, by whoever waits; a poll is expected to
    /// be short. If it is not chosen it is dropped with the select: to go on with it later, give it by
    /// reference, from [`pin!`](std::pin::pin) or a `Box::pin`.
    ///
    /// ```
    /// use latchwork::select::Select;
    /// use std::{future, pin::pin, time::Duration};
    ///
    /// let mut slow = pin!(future::pending::<u8>());
    /// let chosen = Select::new()
    ///     .future(slow.as_mut(), Some)
    ///     .future(future::ready(()), |()| None)
    ///     .wait_within(Duration::from_secs(60))?;
    /// assert_eq!(chosen, None);
    /// # Ok::<(), latchwork::GaveUp>(())
    /// ```
    pub fn future<U: Future + Unpin>(
        self,
        future: U,
        then: impl FnOnce(U::Output) -> A::Output,
    ) -> Select<impl Arms<Output = A::Output>> {
        self.with(OnFuture::new(future, then))
    }

    /// Adds the arms of every one of these selects: for as many as there are when the program runs.
    ///
    /// ```
    /// use latchwork::{queue::Queue, select::Select};
    ///
    /// let queues: Vec<Queue<u8>> = (0..5).map(|_| Queue::unbounded()).collect();
    /// queues[3].put(42)?;
    /// let all = queues.iter().enumerate();
    /// let (which, item) = Select::new()
    ///     .among(all.map(|(n, queue)| Select::new().get(queue, move |item| (n, item))))
    ///     .wait();
    /// assert_eq!((which, item), (3, Ok(42)));
    /// # Ok::<(), latchwork::queue::PutError<u8>>(())
    /// ```
    pub fn among<B: Arms<Output = A::Output>>(
        self,
        selects: impl IntoIterator<Item = Select<B>>,
    ) -> Select<With<A, Vec<B>>> {
        let arms = selects.into_iter().map(|select| select.arms).collect();
        self.with(arms)
    }

    /// Blocks until one arm can be done, and does it.
    #[track_caller]
    pub fn wait(mut self) -> A::Output {
        match self.run(&Limit::none(), Location::caller()) {
            Ok(chosen) => self.arms.finish(chosen),
            Err(_) => unreachable!("a wait without a limit gave up"),
        }
    }

    /// Does one arm if one can be done now; never blocks, unless the poll of a future does.
    ///
    /// # Errors
    ///
    /// The select, to be waited for; or to be dropped, which gives items back to their slots.
    #[doc(alias = "try_wait")]
    pub fn try_select(mut self) -> Result<A::Output, Select<A>> {
        let decision = Decision::new();
        let run = Run::new(&mut self.arms, &decision, Location::caller());
        match run.try_once() {
            Some(chosen) => Ok(self.arms.finish(chosen)),
            None => Err(self),
        }
    }

    /// Does one arm; blocks at most as long as `limit` says.
    ///
    /// # Errors
    ///
    /// [`NotChosen`], with the select, to be waited for again or dropped, and why it gave up. With `?` in a
    /// function that returns [`GaveUp`] it becomes that.
    #[track_caller]
    #[doc(alias = "select_timeout")]
    pub fn wait_within<'l>(
        mut self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<A::Output, NotChosen<A>> {
        match self.run(&limit.into(), Location::caller()) {
            Ok(chosen) => Ok(self.arms.finish(chosen)),
            Err(why) => Err(NotChosen { select: self, why }),
        }
    }

    /// Does one arm, without blocking a thread; for any runtime.
    ///
    /// Dropping the future gives up: nothing has been done, what an arm was called for goes to the next
    /// in its line, and items are in their slots again.
    #[track_caller]
    pub fn wait_async(self) -> impl Future<Output = A::Output> {
        SelectFuture::new(self.arms, Location::caller())
    }

    fn run(
        &mut self,
        limit: &Limit<'_>,
        place: &'static Location<'static>,
    ) -> Result<usize, GaveUp> {
        if !self.arms.has_future() {
            let decision = Decision::new();
            let mut cx = Context::from_waker(Waker::noop());
            return Run::new(&mut self.arms, &decision, place).wait(limit, &mut cx);
        }
        // A future may keep its waker for longer than we wait.
        let nudge = Arc::new(Nudge(Decision::new()));
        let waker = Waker::from(Arc::clone(&nudge));
        let mut cx = Context::from_waker(&waker);
        Run::new(&mut self.arms, &nudge.0, place).wait(limit, &mut cx)
    }
}

/// Has a thread that waits in a select poll its futures.
struct Nudge(Decision);

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.nudge();
    }
}

impl<A: Arms> fmt::Debug for Select<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select")
            .field("arms", &self.arms.count())
            .finish()
    }
}
