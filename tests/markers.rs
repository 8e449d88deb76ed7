//! Which types of `sync`, `queue` and `thread` may go to other threads, be shared with them, and be looked at after a
//! panic: as std's of the same kind.

use latchwork::queue::{
    AtFront, DelayQueue, Delayed, Drain, Fifo, GetError, IntoIter, Iter, Lifo, LifoQueue, Placing,
    Prioritized, PriorityQueue, PutError, Queue, Receiver, ReceiverIter, Sender, SimpleQueue,
    SimpleTryIter, Stats, Task, TaskDoneError, Ticket, TryIter,
};
use latchwork::sync::{
    Barrier, BarrierWait, Latch, Lazy, NoAction, Once, OwnedWaitToken, SetError, WaitGroup,
    WaitToken,
};
use latchwork::thread::JoinHandle;
use std::cell::Cell;
use std::error::Error;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;
use std::sync::MutexGuard;

/// Answers `false`, for whatever the `Is` of the macro has no answer of its own.
trait IsNot {
    const ANSWER: bool = false;
}
impl<T: ?Sized> IsNot for T {}

/// Does the type implement all of these?
macro_rules! is {
    ($type:ty: $($marker:path),+) => {{
        #[allow(dead_code, reason = "only its constant is looked at")]
        struct Is<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code, reason = "shadowed for what implements it not")]
        impl<T: ?Sized $(+ $marker)+> Is<T> {
            const ANSWER: bool = true;
        }
        Is::<$type>::ANSWER
    }};
}

/// `Send`, and not `Sync`.
type Local = Cell<u8>;
/// `Sync`, and not `Send`.
type Bound = MutexGuard<'static, u8>;
/// Neither.
type Neither = Rc<u8>;
/// Shows nothing of itself.
struct Opaque;

type Action<T> = fn(T);

#[test]
fn a_once_is_as_its_value_and_to_share_it_is_to_send_the_value() {
    assert!(is!(Once<String>: Send, Sync, UnwindSafe, RefUnwindSafe));
    assert!(is!(Once<Local>: Send) && !is!(Once<Local>: Sync));
    assert!(!is!(Once<Bound>: Send) && !is!(Once<Bound>: Sync));
    assert!(!is!(Once<Neither>: Send) && !is!(Once<Neither>: Sync));
    assert!(!is!(Once<Local>: RefUnwindSafe));
    assert!(!is!(Once<&'static mut u8>: UnwindSafe) && !is!(Once<&'static mut u8>: RefUnwindSafe));
    assert!(is!(SetError<Local>: Send) && !is!(SetError<Neither>: Send));
}

/// The function is called through a reference, by any thread: it has to be `Sync` for that.
#[test]
fn a_lazy_value_is_as_its_value_and_its_function() {
    assert!(is!(Lazy<String>: Send, Sync, UnwindSafe, RefUnwindSafe));
    assert!(is!(Lazy<Local>: Send) && !is!(Lazy<Local>: Sync));
    assert!(!is!(Lazy<Bound>: Sync) && !is!(Lazy<Neither>: Send));
    assert!(is!(Lazy<u8, Local>: Send) && !is!(Lazy<u8, Local>: Sync));
    assert!(is!(Lazy<u8, Bound>: Sync) && !is!(Lazy<u8, Bound>: Send));
    assert!(is!(Lazy<u8, Action<Neither>>: Send, Sync));
}

#[test]
fn a_barrier_is_as_its_action() {
    assert!(is!(Barrier: Send, Sync, UnwindSafe, RefUnwindSafe));
    assert!(is!(Barrier<NoAction>: Unpin));
    assert!(is!(Barrier<Local>: Send) && !is!(Barrier<Local>: Sync));
    assert!(is!(Barrier<Bound>: Sync) && !is!(Barrier<Bound>: Send));
    assert!(is!(BarrierWait: Send, Sync, Copy));
}

#[test]
fn counts_and_their_tokens_go_anywhere() {
    assert!(is!(Latch: Send, Sync, UnwindSafe, RefUnwindSafe));
    assert!(is!(WaitGroup: Send, Sync, UnwindSafe, RefUnwindSafe));
    assert!(is!(WaitToken<'static>: Send, Sync, UnwindSafe, RefUnwindSafe));
    assert!(is!(OwnedWaitToken: Send, Sync, UnwindSafe, RefUnwindSafe));
    // Twice as many ends as beginnings, otherwise.
    assert!(!is!(WaitToken<'static>: Copy));
}

/// A handle is shared without the result being: it is taken by value.
#[test]
fn a_handle_goes_anywhere() {
    assert!(is!(JoinHandle<Local>: Send, Sync));
}

/// Items go from thread to thread by value: it is enough that they may be sent.
#[test]
fn a_queue_is_shared_if_its_items_may_be_sent() {
    assert!(is!(Queue<Local>: Send, Sync) && is!(LifoQueue<Local>: Send, Sync));
    assert!(!is!(Queue<Bound>: Send) && !is!(Queue<Bound>: Sync));
    assert!(!is!(Queue<Neither>: Send) && !is!(Queue<Neither>: Sync));
    assert!(!is!(LifoQueue<Neither>: Send) && !is!(LifoQueue<Bound>: Sync));
    assert!(is!(PriorityQueue<Prioritized<u8, Local>>: Send, Sync));
    assert!(!is!(PriorityQueue<Prioritized<u8, Bound>>: Send));
    assert!(!is!(PriorityQueue<Prioritized<u8, Bound>>: Sync));
    assert!(is!(DelayQueue<Local>: Send, Sync));
    assert!(!is!(DelayQueue<Neither>: Send) && !is!(DelayQueue<Bound>: Sync));
    assert!(is!(SimpleQueue<Local>: Send, Sync));
    assert!(!is!(SimpleQueue<Bound>: Send) && !is!(SimpleQueue<Bound>: Sync));

    assert!(is!(Sender<Fifo<Local>>: Send, Sync) && is!(Receiver<Fifo<Local>>: Send, Sync));
    assert!(!is!(Sender<Fifo<Bound>>: Send) && !is!(Sender<Fifo<Bound>>: Sync));
    assert!(!is!(Receiver<Fifo<Neither>>: Send) && !is!(Receiver<Fifo<Bound>>: Sync));
    assert!(is!(Iter<'static, Fifo<Local>>: Send) && !is!(TryIter<'static, Fifo<Bound>>: Send));
    assert!(is!(IntoIter<Fifo<Local>>: Send) && !is!(IntoIter<Fifo<Neither>>: Send));

    // What was got is seen through a reference, too.
    assert!(is!(Task<Fifo<Local>>: Send) && !is!(Task<Fifo<Local>>: Sync));
    assert!(!is!(Task<Fifo<Bound>>: Send) && !is!(Task<Fifo<Neither>>: Sync));
    assert!(is!(Drain<Fifo<Local>>: Send) && !is!(Drain<Fifo<Local>>: Sync));
    assert!(!is!(Drain<Fifo<Neither>>: Send));
    assert!(is!(Ticket: Send, Sync) && is!(Stats: Send, Sync, Copy) && is!(GetError: Copy));
    assert!(is!(PutError<Local>: Send) && !is!(PutError<Neither>: Send));
}

/// A panic leaves no queue half changed; as for std's channels, whatever the items are.
#[test]
fn a_queue_can_be_used_after_a_panic() {
    assert!(is!(Queue<Local>: UnwindSafe, RefUnwindSafe));
    assert!(is!(Queue<&'static mut u8>: UnwindSafe, RefUnwindSafe));
    assert!(is!(DelayQueue<Local>: UnwindSafe, RefUnwindSafe));
    assert!(is!(Sender<Fifo<Local>>: UnwindSafe, RefUnwindSafe));
    assert!(is!(Receiver<Fifo<Local>>: UnwindSafe, RefUnwindSafe));
}

/// Whatever the items are: a queue shows how it stands, not what is in it.
#[test]
fn everything_of_a_queue_can_be_shown() {
    assert!(is!(Queue<Opaque>: Debug) && is!(LifoQueue<Opaque>: Debug));
    assert!(is!(PriorityQueue<Prioritized<u8, Opaque>>: Debug) && is!(DelayQueue<Opaque>: Debug));
    assert!(is!(SimpleQueue<Opaque>: Debug) && is!(PutError<Opaque>: Debug, Error));
    assert!(is!(Sender<Fifo<Opaque>>: Debug) && is!(Receiver<Fifo<Opaque>>: Debug));
    assert!(is!(Iter<'static, Fifo<Opaque>>: Debug) && is!(TryIter<'static, Fifo<Opaque>>: Debug));
    assert!(is!(IntoIter<Fifo<Opaque>>: Debug) && is!(Drain<Fifo<Opaque>>: Debug));
    assert!(is!(ReceiverIter<Fifo<Opaque>>: Debug) && is!(SimpleTryIter<'static, Opaque>: Debug));
    assert!(is!(Placing<'static, Fifo<Opaque>, AtFront>: Debug));
    assert!(is!(Ticket: Debug) && is!(Stats: Debug));
    assert!(is!(GetError: Debug, Error) && is!(TaskDoneError: Debug, Error));
    // These are their items, with something around.
    assert!(is!(Task<Fifo<u8>>: Debug) && is!(Fifo<u8>: Debug) && is!(Lifo<u8>: Debug));
    assert!(is!(Prioritized<u8, u8>: Debug) && is!(Delayed<u8>: Debug));
}

/// There is no way through a queue between processes but `ipc`: row Q34.
#[cfg(feature = "process")]
#[test]
fn a_queue_is_not_serialised() {
    assert!(!is!(Queue<u8>: serde::Serialize) && !is!(SimpleQueue<u8>: serde::Serialize));
    assert!(!is!(Sender<Fifo<u8>>: serde::Serialize));
    assert!(!is!(Receiver<Fifo<u8>>: serde::Serialize));
}

#[test]
fn futures_of_a_queue_go_anywhere() {
    fn is_send<T: Send>(_: T) {}
    let queue = Queue::<Local>::bounded(1);
    let local = || Cell::new(1);
    is_send(queue.put_async(local()));
    is_send(queue.at_front().put_async(local()));
    is_send(queue.put_many_async([local()]));
    is_send(queue.get_async());
    is_send(queue.get_many_async(1));
    is_send(queue.get_task_async());
    is_send(queue.join_async());
    let (sender, receiver) = queue.ends();
    is_send(sender.put_async(local()));
    is_send(receiver.get_async());
}

/// Futures may be polled by one thread after another.
#[test]
fn futures_go_anywhere_if_what_they_wait_for_may_be_shared() {
    fn is_send<T: Send>(_: T) {}
    let (barrier, latch, group, once) = (
        Barrier::new(1),
        Latch::new(1),
        WaitGroup::new(),
        Once::new(),
    );
    is_send(barrier.wait_async());
    is_send(latch.wait_async());
    is_send(group.wait_async());
    is_send(once.wait_async());
    is_send(once.get_or_init_async(|| async { 1 }));
    is_send(Lazy::force_async(&Lazy::<u8>::new(|| 1)));
    is_send(latchwork::thread::spawn(|| 1).join_async());
}
