//! The queues as a `Vec` in the order in which items leave: what each operation does when it is alone.

use super::{Operation, Spec};
use latchwork::Shutdown;

/// An item. No two have the same number; those of one rank are equals to a priority queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    pub rank: u8,
    pub number: u32,
}

/// Which item leaves first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    Fifo,
    Lifo,
    /// The smallest rank; the oldest of one rank.
    Priority,
}

/// The face by which something is done. None of them waits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Try,
    /// For so many microseconds.
    Within(u16),
    /// As a future that is dropped when it has been polled once.
    Poll,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Put(How, Item),
    AtFront(How, Item),
    PutMany(How, Vec<Item>),
    Get(How),
    GetMany(How, usize),
    Peek,
    Drain,
    /// Gets the next item and puts it again, in one operation.
    Rotate,
    Len,
    IsFull,
    SetCapacity(Option<usize>),
    TaskDone,
    /// Wait until everything is acknowledged.
    Join(How),
    Unfinished,
    /// How many were in it at most.
    HighWater,
    Shutdown(Shutdown),
    /// Take what is left, by whatever does that when nobody else is there. Of a queue, the last thing.
    Rest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ret {
    Done,
    Got(Item),
    All(Vec<Item>),
    Seen(Option<Item>),
    No(Why),
    /// With what was not put.
    Refused(Why, Vec<Item>),
    Number(usize),
    Is(bool),
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Full or empty, and it was not to wait.
    NotNow,
    TimedOut,
    /// A future that has not resolved.
    Pending,
    ShutDown,
    /// More is acknowledged than was put.
    TooOften,
}

/// One operation on a queue, as it was seen.
pub type Seen = Operation<Op, Ret>;

impl How {
    /// What it comes to when there is no room, or no item, at its last look.
    pub fn in_vain(self) -> Why {
        match self {
            How::Try => Why::NotNow,
            How::Within(_) => Why::TimedOut,
            How::Poll => Why::Pending,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Model {
    order: Order,
    capacity: usize,
    /// The next to leave is the first.
    items: Vec<Item>,
    unfinished: usize,
    high_water: usize,
    is_shut: bool,
}

impl Model {
    pub fn new(order: Order, capacity: Option<usize>) -> Model {
        Model {
            order,
            capacity: capacity.unwrap_or(usize::MAX),
            items: Vec::new(),
            unfinished: 0,
            high_water: 0,
            is_shut: false,
        }
    }

    /// The wrong one to take, but from a queue of one item.
    pub fn take_last(&mut self) -> Option<Item> {
        self.items.pop()
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.capacity
    }

    /// Where an item goes.
    fn place(&self, item: &Item) -> usize {
        match self.order {
            Order::Fifo => self.items.len(),
            Order::Lifo => 0,
            Order::Priority => self.items.partition_point(|other| other.rank <= item.rank),
        }
    }

    fn put(&mut self, place: usize, item: Item) {
        self.items.insert(place, item);
        self.unfinished += 1;
        self.high_water = self.high_water.max(self.items.len());
    }

    /// What a put says that cannot be done.
    fn refusal(&self, how: How) -> Option<Why> {
        match self.is_shut {
            true => Some(Why::ShutDown),
            false => self.is_full().then(|| how.in_vain()),
        }
    }

    /// What a get says that finds nothing.
    fn nothing(&self, how: How) -> Why {
        match self.is_shut {
            true => Why::ShutDown,
            false => how.in_vain(),
        }
    }

    fn put_many(&mut self, how: How, items: &[Item]) -> Ret {
        for (n, item) in items.iter().enumerate() {
            match self.refusal(how) {
                None => self.put(self.place(item), *item),
                // They are gone with the future.
                Some(Why::Pending) => return Ret::No(Why::Pending),
                Some(why) => return Ret::Refused(why, items[n..].to_vec()),
            }
        }
        Ret::Done
    }

    fn take_back(&mut self) -> Ret {
        self.unfinished = self.unfinished.saturating_sub(self.items.len());
        Ret::All(std::mem::take(&mut self.items))
    }
}

impl Spec for Model {
    type Op = Op;
    type Ret = Ret;

    fn apply(&mut self, op: &Op) -> Ret {
        match *op {
            Op::Put(how, item) | Op::AtFront(how, item) => match self.refusal(how) {
                Some(why) => return Ret::No(why),
                None => {
                    let is_first = matches!(op, Op::AtFront(..));
                    self.put(if is_first { 0 } else { self.place(&item) }, item);
                }
            },
            Op::PutMany(how, ref items) => return self.put_many(how, items),
            Op::Get(how) if self.items.is_empty() => return Ret::No(self.nothing(how)),
            Op::Get(_) => return Ret::Got(self.items.remove(0)),
            Op::GetMany(how, _) if self.items.is_empty() => return Ret::No(self.nothing(how)),
            Op::GetMany(_, max) => {
                return Ret::All(self.items.drain(..max.min(self.items.len())).collect());
            }
            Op::Peek => return Ret::Seen(self.items.first().copied()),
            Op::Drain => return Ret::All(std::mem::take(&mut self.items)),
            Op::Rotate if self.items.is_empty() => {}
            Op::Rotate => {
                let item = self.items.remove(0);
                self.items.insert(self.place(&item), item);
            }
            Op::Len => return Ret::Number(self.items.len()),
            Op::IsFull => return Ret::Is(self.is_full()),
            Op::SetCapacity(capacity) => self.capacity = capacity.unwrap_or(usize::MAX),
            Op::TaskDone if self.unfinished == 0 => return Ret::No(Why::TooOften),
            Op::TaskDone => self.unfinished -= 1,
            Op::Join(how) if self.unfinished > 0 => return Ret::No(how.in_vain()),
            Op::Join(_) => {}
            Op::Unfinished => return Ret::Number(self.unfinished),
            Op::HighWater => return Ret::Number(self.high_water),
            Op::Shutdown(Shutdown::Drain) => {
                self.is_shut = true;
                return Ret::All(Vec::new());
            }
            Op::Shutdown(Shutdown::Immediate) => {
                self.is_shut = true;
                return self.take_back();
            }
            Op::Rest => return self.take_back(),
        }
        Ret::Done
    }
}
