//! The queues that are compared: ours, the channel crates', std's, and what everybody writes first.

use super::{Channel, Item};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::{Arc, mpsc};

pub struct Ours;

impl<T: Item> Channel<T> for Ours {
    const NAME: &'static str = "latchwork";
    type Sender = latchwork::queue::Queue<T>;
    type Receiver = latchwork::queue::Queue<T>;
    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
        let queue = capacity.map_or_else(
            latchwork::queue::Queue::unbounded,
            latchwork::queue::Queue::bounded,
        );
        (queue.clone(), queue)
    }
    #[inline]
    fn put(queue: &Self::Sender, item: T) {
        assert!(queue.put(item).is_ok(), "nobody shuts it down");
    }
    #[inline]
    fn get(queue: &Self::Receiver) -> T {
        queue.get().expect("nobody shuts it down")
    }
    fn further(queue: &Self::Receiver) -> Option<Self::Receiver> {
        Some(queue.clone())
    }
}

/// Most channel crates look alike: a constructor with a capacity and one without, a method that
/// sends, and one that receives. The first line says which capacities and how many getters they take.
macro_rules! channel {
    (
        $name:ident = $said:literal, $offers:expr,
        $open:expr => $sender:ty, $receiver:ty,
        $send:ident, $recv:ident, $further:expr
    ) => {
        pub struct $name;

        impl<T: Item> Channel<T> for $name {
            const NAME: &'static str = $said;
            type Sender = $sender;
            type Receiver = $receiver;
            fn open(capacity: Option<usize>) -> ($sender, $receiver) {
                $open(capacity)
            }
            fn offers(capacity: Option<usize>, getters: usize) -> bool {
                $offers(capacity, getters)
            }
            #[inline]
            fn put(sender: &$sender, item: T) {
                assert!(sender.$send(item).is_ok(), "the receivers live");
            }
            #[inline]
            fn get(receiver: &$receiver) -> T {
                receiver.$recv().expect("the senders live")
            }
            fn further(receiver: &$receiver) -> Option<$receiver> {
                let further: fn(&$receiver) -> Option<$receiver> = $further;
                further(receiver)
            }
        }
    };
}

channel!(
    Crossbeam = "crossbeam-channel", |_, _| true,
    |capacity: Option<usize>| capacity
        .map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded)
        => crossbeam_channel::Sender<T>, crossbeam_channel::Receiver<T>,
    send, recv, |receiver| Some(receiver.clone())
);
channel!(
    Flume = "flume", |_, _| true,
    |capacity: Option<usize>| capacity.map_or_else(flume::unbounded, flume::bounded)
        => flume::Sender<T>, flume::Receiver<T>,
    send, recv, |receiver| Some(receiver.clone())
);
channel!(
    Kanal = "kanal", |_, _| true,
    |capacity: Option<usize>| capacity.map_or_else(kanal::unbounded, kanal::bounded)
        => kanal::Sender<T>, kanal::Receiver<T>,
    send, recv, |receiver| Some(receiver.clone())
);
channel!(
    AsyncChannel = "async-channel (blocking)", |capacity, _| capacity != Some(0),
    |capacity: Option<usize>| capacity
        .map_or_else(async_channel::unbounded, async_channel::bounded)
        => async_channel::Sender<T>, async_channel::Receiver<T>,
    send_blocking, recv_blocking, |receiver| Some(receiver.clone())
);
channel!(
    StdBounded = "std sync_channel",
    |capacity: Option<usize>, getters| capacity.is_some() && getters == 1,
    |capacity: Option<usize>| mpsc::sync_channel(capacity.expect("it has a bound"))
        => mpsc::SyncSender<T>, mpsc::Receiver<T>,
    send, recv, |_| None
);
channel!(
    StdUnbounded = "std channel",
    |capacity: Option<usize>, getters| capacity.is_none() && getters == 1,
    |_| mpsc::channel()
        => mpsc::Sender<T>, mpsc::Receiver<T>,
    send, recv, |_| None
);

/// A deque behind a mutex, and a condition for each reason to wait.
pub struct ParkingLot;

pub struct Shared<T> {
    items: Mutex<VecDeque<T>>,
    capacity: usize,
    put: Condvar,
    got: Condvar,
}

impl<T: Item> Channel<T> for ParkingLot {
    const NAME: &'static str = "parking_lot Mutex+2 Condvars";
    type Sender = Arc<Shared<T>>;
    type Receiver = Arc<Shared<T>>;
    fn open(capacity: Option<usize>) -> (Self::Sender, Self::Receiver) {
        let shared = Arc::new(Shared {
            items: Mutex::new(VecDeque::with_capacity(capacity.unwrap_or(0))),
            capacity: capacity.unwrap_or(usize::MAX),
            put: Condvar::new(),
            got: Condvar::new(),
        });
        (Arc::clone(&shared), shared)
    }
    fn offers(capacity: Option<usize>, _getters: usize) -> bool {
        capacity != Some(0)
    }
    #[inline]
    fn put(shared: &Self::Sender, item: T) {
        let mut items = shared.items.lock();
        while items.len() >= shared.capacity {
            shared.got.wait(&mut items);
        }
        items.push_back(item);
        drop(items);
        shared.put.notify_one();
    }
    #[inline]
    fn get(shared: &Self::Receiver) -> T {
        let mut items = shared.items.lock();
        let item = loop {
            match items.pop_front() {
                Some(item) => break item,
                None => shared.put.wait(&mut items),
            }
        };
        drop(items);
        shared.got.notify_one();
        item
    }
    fn further(shared: &Self::Receiver) -> Option<Self::Receiver> {
        Some(Arc::clone(shared))
    }
}
