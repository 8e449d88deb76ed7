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
    Get(How),
    Len,
    IsFull,
    Shutdown(Shutdown),
    /// Take what is left, by whatever does that when nobody else is there. Of a queue, the last thing.
    Rest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ret {
    Done,
    Got(Item),
    No(Why),
    Number(usize),
    Is(bool),
    Left(Vec<Item>),
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
    is_shut: bool,
}

impl Model {
    pub fn new(order: Order, capacity: Option<usize>) -> Model {
        Model {
            order,
            capacity: capacity.unwrap_or(usize::MAX),
            items: Vec::new(),
            is_shut: false,
        }
    }

    /// The wrong one to take, but for a queue of one item.
    pub fn take_last(&mut self) -> Option<Item> {
        self.items.pop()
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.capacity
    }

    fn insert(&mut self, item: Item) {
        let place = match self.order {
            Order::Fifo => self.items.len(),
            Order::Lifo => 0,
            Order::Priority => self.items.partition_point(|other| other.rank <= item.rank),
        };
        self.items.insert(place, item);
    }
}

impl Spec for Model {
    type Op = Op;
    type Ret = Ret;

    fn apply(&mut self, op: &Op) -> Ret {
        match *op {
            Op::Put(..) if self.is_shut => Ret::No(Why::ShutDown),
            Op::Put(how, _) if self.is_full() => Ret::No(how.in_vain()),
            Op::Put(_, item) => {
                self.insert(item);
                Ret::Done
            }
            Op::Get(_) if !self.items.is_empty() => Ret::Got(self.items.remove(0)),
            Op::Get(_) if self.is_shut => Ret::No(Why::ShutDown),
            Op::Get(how) => Ret::No(how.in_vain()),
            Op::Len => Ret::Number(self.items.len()),
            Op::IsFull => Ret::Is(self.is_full()),
            Op::Rest => Ret::Left(std::mem::take(&mut self.items)),
            Op::Shutdown(how) => {
                self.is_shut = true;
                Ret::Left(match how {
                    Shutdown::Drain => Vec::new(),
                    Shutdown::Immediate => std::mem::take(&mut self.items),
                })
            }
        }
    }
}
