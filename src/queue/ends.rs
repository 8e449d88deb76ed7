//! [`Sender`] and [`Receiver`]: the two ends of a queue, which know whether anybody is left on the other side.
//!
//! What is shared by the ends of one side is one [`Closing`], and its drop, with the last of them, is the
//! shutdown. So it happens once, however many clones there were and in whichever threads they end.
//!
//! An end shows the faces of its side and nothing of the other, so that a signature says what a part of a
//! program may do; each of them is a line in [`faces!`]. Everything else is reached by `queue()`, in full view.

use super::{BlockingQueue, Discipline, GetError, Iter, PutError, Task, TryIter};
use crate::{Limit, Shutdown};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// Shuts the queue down when the last end of a side has gone.
struct Closing<D: Discipline> {
    queue: BlockingQueue<D>,
    how: Shutdown,
}

impl<D: Discipline> Drop for Closing<D> {
    fn drop(&mut self) {
        // The items that nobody is going to get, which are dropped now that the lock is free.
        drop(self.queue.shutdown(self.how));
    }
}

/// The end of a queue where items are put. From [`BlockingQueue::ends`].
///
/// Clones are further senders. When the last one is dropped, the queue is shut down with
/// [`Shutdown::Drain`]: receivers get what is left, then [`GetError::ShutDown`].
///
/// ```
/// use latchwork::queue::Queue;
///
/// let (sender, receiver) = Queue::bounded(4).ends();
/// std::thread::scope(|s| {
///     for n in 0..3 {
///         let sender = sender.clone();
///         s.spawn(move || sender.put(n).unwrap());
///     }
///     drop(sender);
///     assert_eq!(receiver.iter().sum::<i32>(), 3);
/// });
/// ```
pub struct Sender<D: Discipline> {
    queue: BlockingQueue<D>,
    closing: Arc<Closing<D>>,
}

/// The end of a queue where items are got. From [`BlockingQueue::ends`].
///
/// Clones are further receivers: each item goes to one of them. When the last one is dropped, the queue
/// is shut down with [`Shutdown::Immediate`]: what is in it is dropped, and senders get
/// [`PutError::ShutDown`] with their item.
///
/// ```
/// use latchwork::queue::Queue;
///
/// let (sender, receiver) = Queue::unbounded().ends();
/// drop(receiver);
/// assert!(sender.put("soup").unwrap_err().is_shutdown());
/// ```
pub struct Receiver<D: Discipline> {
    queue: BlockingQueue<D>,
    closing: Arc<Closing<D>>,
}

impl<D: Discipline> BlockingQueue<D> {
    /// Makes this handle into the two ends of the queue, which shut it down when nobody is left on a side.
    ///
    /// It takes the handle, since one that is kept has no part in the count: it does not keep the queue
    /// open, and finds it shut down when the ends have gone. Clone it before, if that is what you want.
    /// Each call makes a pair that counts for itself; the first side that has gone shuts down the queue.
    ///
    /// Cost: two allocations. The ends' faces cost what the queue's do.
    ///
    /// ```
    /// use latchwork::queue::{GetError, Queue};
    ///
    /// let (sender, receiver) = Queue::bounded(2).ends();
    /// sender.put(1).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.get(), Ok(1));
    /// assert_eq!(receiver.get(), Err(GetError::ShutDown));
    /// ```
    #[doc(alias = "channel")]
    #[doc(alias = "split")]
    pub fn ends(self) -> (Sender<D>, Receiver<D>) {
        let closing = |how| {
            Arc::new(Closing {
                queue: self.clone(),
                how,
            })
        };
        let sender = Sender {
            closing: closing(Shutdown::Drain),
            queue: self.clone(),
        };
        let receiver = Receiver {
            closing: closing(Shutdown::Immediate),
            queue: self,
        };
        (sender, receiver)
    }
}

/// Operations of the queue that an end has too, under the same names.
macro_rules! faces {
    ($(fn $name:ident $(<$l:lifetime>)?
        ($($argument:ident: $type:ty),*) -> $output:ty;)*) => {$(
        #[doc = concat!("As [`BlockingQueue::", stringify!($name), "`].")]
        #[inline]
        #[track_caller]
        pub fn $name $(<$l>)? (&self, $($argument: $type),*) -> $output {
            self.queue.$name($($argument),*)
        }
    )*};
}

impl<D: Discipline> Sender<D> {
    faces! {
        fn put(item: D::Item) -> Result<(), PutError<D::Item>>;
        fn try_put(item: D::Item) -> Result<(), PutError<D::Item>>;
        fn put_within<'l>(item: D::Item, limit: impl Into<Limit<'l>>)
            -> Result<(), PutError<D::Item>>;
        fn put_async(item: D::Item)
            -> impl Future<Output = Result<(), PutError<D::Item>>> + use<'_, D>;
        fn put_many(items: impl IntoIterator<Item = D::Item>)
            -> Result<(), PutError<Vec<D::Item>>>;
        fn try_put_many(items: impl IntoIterator<Item = D::Item>)
            -> Result<(), PutError<Vec<D::Item>>>;
        fn put_many_within<'l>(
            items: impl IntoIterator<Item = D::Item>,
            limit: impl Into<Limit<'l>>
        ) -> Result<(), PutError<Vec<D::Item>>>;
    }

    /// As [`BlockingQueue::put_many_async`].
    #[track_caller]
    pub fn put_many_async<I: IntoIterator<Item = D::Item>>(
        &self,
        items: I,
    ) -> impl Future<Output = Result<(), PutError<Vec<D::Item>>>> + use<'_, D, I> {
        self.queue.put_many_async(items)
    }

    /// The queue, with everything else that it can do.
    ///
    /// A clone of it is a handle that is not counted.
    pub fn queue(&self) -> &BlockingQueue<D> {
        &self.queue
    }
}

impl<D: Discipline> Receiver<D> {
    faces! {
        fn get() -> Result<D::Item, GetError>;
        fn try_get() -> Result<D::Item, GetError>;
        fn get_within<'l>(limit: impl Into<Limit<'l>>) -> Result<D::Item, GetError>;
        fn get_async() -> impl Future<Output = Result<D::Item, GetError>> + use<'_, D>;
        fn get_many(max: usize) -> Result<Vec<D::Item>, GetError>;
        fn try_get_many(max: usize) -> Result<Vec<D::Item>, GetError>;
        fn get_many_within<'l>(max: usize, limit: impl Into<Limit<'l>>)
            -> Result<Vec<D::Item>, GetError>;
        fn get_many_async(max: usize)
            -> impl Future<Output = Result<Vec<D::Item>, GetError>> + use<'_, D>;
        fn get_task() -> Result<Task<D>, GetError>;
        fn try_get_task() -> Result<Task<D>, GetError>;
        fn get_task_within<'l>(limit: impl Into<Limit<'l>>) -> Result<Task<D>, GetError>;
        fn get_task_async() -> impl Future<Output = Result<Task<D>, GetError>> + use<'_, D>;
        fn iter() -> Iter<'_, D>;
        fn try_iter() -> TryIter<'_, D>;
    }

    /// The queue, with everything else that it can do.
    ///
    /// A clone of it is a handle that is not counted.
    pub fn queue(&self) -> &BlockingQueue<D> {
        &self.queue
    }
}

/// Gets items until the queue has been shut down and is empty. Counts as the receiver that it was made from.
pub struct ReceiverIter<D: Discipline>(Receiver<D>);

impl<D: Discipline> Iterator for ReceiverIter<D> {
    type Item = D::Item;

    fn next(&mut self) -> Option<D::Item> {
        self.0.get().ok()
    }
}

impl<D: Discipline> IntoIterator for Receiver<D> {
    type Item = D::Item;
    type IntoIter = ReceiverIter<D>;

    fn into_iter(self) -> ReceiverIter<D> {
        ReceiverIter(self)
    }
}

impl<'r, D: Discipline> IntoIterator for &'r Receiver<D> {
    type Item = D::Item;
    type IntoIter = Iter<'r, D>;

    fn into_iter(self) -> Iter<'r, D> {
        self.iter()
    }
}

impl<D: Discipline> Clone for Sender<D> {
    fn clone(&self) -> Sender<D> {
        Sender {
            queue: self.queue.clone(),
            closing: Arc::clone(&self.closing),
        }
    }
}

impl<D: Discipline> Clone for Receiver<D> {
    fn clone(&self) -> Receiver<D> {
        Receiver {
            queue: self.queue.clone(),
            closing: Arc::clone(&self.closing),
        }
    }
}

impl<D: Discipline> fmt::Debug for Sender<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let senders = Arc::strong_count(&self.closing);
        f.debug_struct("Sender")
            .field("senders", &senders)
            .field("queue", &self.queue)
            .finish()
    }
}

impl<D: Discipline> fmt::Debug for Receiver<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let receivers = Arc::strong_count(&self.closing);
        f.debug_struct("Receiver")
            .field("receivers", &receivers)
            .field("queue", &self.queue)
            .finish()
    }
}

impl<D: Discipline> fmt::Debug for ReceiverIter<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReceiverIter").field(&self.0).finish()
    }
}
