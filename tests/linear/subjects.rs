//! The queues of the crate, asked to do the model's operations.

use super::model::{How, Item, Model, Op, Ret, Why};
use super::record::Subject;
use crate::common::poll;
use latchwork::queue::{
    BlockingQueue, Discipline, GetError, LifoQueue, Prioritized, PriorityQueue, PutError, Queue,
    SimpleQueue,
};
use latchwork::{GaveUp, Shutdown};
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

/// `$object.$operation($argument)` by one of its faces. `None` is a future that has not resolved.
macro_rules! by {
    ($how:expr, $object:expr, $try:ident, $within:ident, $async:ident $(, $argument:expr)?) => {
        match $how {
            How::Try => Some($object.$try($($argument)?)),
            How::Within(n) => Some($object.$within($($argument,)? Duration::from_micros(n.into()))),
            How::Poll => once($object.$async($($argument)?)),
        }
    };
}

/// Polls once, and drops.
fn once<F: Future>(future: F) -> Option<F::Output> {
    match poll(pin!(future), Waker::noop()) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Why something was not put, and what has come back.
fn refused<T>(error: PutError<T>) -> (Why, T) {
    let why = match error {
        PutError::Full(_) => Why::NotNow,
        PutError::TimedOut(_) => Why::TimedOut,
        PutError::ShutDown(_) => Why::ShutDown,
        other => panic!("nobody cancels: {other}"),
    };
    (why, error.into_inner())
}

fn put<T: Into<Item>>(item: Item, done: Option<Result<(), PutError<T>>>) -> Ret {
    match done {
        None => Ret::No(Why::Pending),
        Some(Ok(())) => Ret::Done,
        Some(Err(error)) => {
            let (why, same) = refused(error);
            assert_eq!(same.into(), item, "what was refused is what comes back");
            Ret::No(why)
        }
    }
}

fn got<T>(done: Option<Result<T, GetError>>, ret: impl Fn(T) -> Ret) -> Ret {
    Ret::No(match done {
        Some(Ok(got)) => return ret(got),
        None => Why::Pending,
        Some(Err(GetError::Empty)) => Why::NotNow,
        Some(Err(GetError::TimedOut)) => Why::TimedOut,
        Some(Err(GetError::ShutDown)) => Why::ShutDown,
        Some(Err(other)) => panic!("nobody cancels: {other}"),
    })
}

fn timed_out(why: GaveUp) -> Why {
    assert_eq!(why, GaveUp::TimedOut, "nobody cancels");
    Why::TimedOut
}

fn all<T: Into<Item>>(items: impl IntoIterator<Item = T>) -> Vec<Item> {
    items.into_iter().map(Into::into).collect()
}

/// What every blocking queue can do.
fn run<D, T>(queue: &BlockingQueue<D>, op: &Op) -> Ret
where
    D: Discipline<Item = T>,
    T: From<Item> + Into<Item> + Copy,
{
    match *op {
        Op::Put(how, item) => {
            let done = by!(how, queue, try_put, put_within, put_async, item.into());
            put(item, done)
        }
        Op::PutMany(how, ref items) => {
            let items: Vec<T> = items.iter().map(|&item| item.into()).collect();
            match by!(
                how,
                queue,
                try_put_many,
                put_many_within,
                put_many_async,
                items
            ) {
                None => Ret::No(Why::Pending),
                Some(Ok(())) => Ret::Done,
                Some(Err(error)) => {
                    let (why, rest) = refused(error);
                    Ret::Refused(why, all(rest))
                }
            }
        }
        Op::Get(how) => {
            let done = by!(how, queue, try_get, get_within, get_async);
            got(done, |item| Ret::Got(item.into()))
        }
        Op::GetMany(how, max) => {
            let done = by!(
                how,
                queue,
                try_get_many,
                get_many_within,
                get_many_async,
                max
            );
            got(done, |items| Ret::All(all(items)))
        }
        Op::Peek => Ret::Seen(queue.peek(|&item| item.into())),
        Op::Drain => Ret::All(all(queue.drain())),
        Op::Rotate => {
            queue.with_lock(|items| {
                let next = items.pop();
                next.into_iter().for_each(|item| items.push(item));
            });
            Ret::Done
        }
        Op::Len => Ret::Number(queue.len()),
        Op::IsFull => Ret::Is(queue.is_full()),
        Op::SetCapacity(capacity) => {
            queue.set_capacity(capacity);
            Ret::Done
        }
        Op::TaskDone => match queue.task_done() {
            Ok(()) => Ret::Done,
            Err(_) => Ret::No(Why::TooOften),
        },
        Op::Join(how) => {
            let done = match how {
                How::Try => queue.try_join().then_some(()).ok_or(Why::NotNow),
                How::Within(n) => {
                    let limit = Duration::from_micros(n.into());
                    queue.join_within(limit).map_err(timed_out)
                }
                How::Poll => once(queue.join_async()).ok_or(Why::Pending),
            };
            done.map_or_else(Ret::No, |()| Ret::Done)
        }
        Op::Unfinished => Ret::Number(queue.unfinished()),
        Op::HighWater => Ret::Number(queue.stats().high_water),
        Op::Shutdown(how) => Ret::All(all(queue.shutdown(how))),
        Op::Rest => Ret::All(all(queue.shutdown(Shutdown::Immediate))),
        Op::AtFront(..) => unreachable!("on the menu of those only that have it"),
    }
}

impl Subject<Model> for Queue<Item> {
    fn run(&self, op: &Op) -> Ret {
        match *op {
            Op::AtFront(how, item) => {
                let front = self.at_front();
                put(item, by!(how, front, try_put, put_within, put_async, item))
            }
            _ => run(self, op),
        }
    }
}

impl Subject<Model> for LifoQueue<Item> {
    fn run(&self, op: &Op) -> Ret {
        run(self, op)
    }
}

/// The smallest rank first, and the oldest of one rank: an order that is not the crate's.
#[derive(Default)]
pub struct ByRank(Vec<Item>);

impl Discipline for ByRank {
    type Item = Item;

    fn push(&mut self, item: Item) {
        // The next to leave is the last.
        let place = self.0.partition_point(|other| other.rank > item.rank);
        self.0.insert(place, item);
    }

    fn pop(&mut self) -> Option<Item> {
        self.0.pop()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn peek(&self) -> Option<&Item> {
        self.0.last()
    }
}

impl Subject<Model> for BlockingQueue<ByRank> {
    fn run(&self, op: &Op) -> Ret {
        run(self, op)
    }
}

/// An item by its rank alone.
type Ranked = Prioritized<u8, u32>;

impl From<Item> for Ranked {
    fn from(item: Item) -> Ranked {
        Prioritized::new(item.rank, item.number)
    }
}

impl From<Ranked> for Item {
    fn from(ranked: Ranked) -> Item {
        Item {
            rank: ranked.priority,
            number: ranked.item,
        }
    }
}

impl Subject<Model> for PriorityQueue<Ranked> {
    fn run(&self, op: &Op) -> Ret {
        run(self, op)
    }
}

impl Subject<Model> for SimpleQueue<Item> {
    fn run(&self, op: &Op) -> Ret {
        match *op {
            Op::Put(_, item) => {
                self.put(item);
                Ret::Done
            }
            Op::Get(how) => match how {
                How::Try => self.try_get().ok_or(Why::NotNow),
                How::Within(n) => {
                    let limit = Duration::from_micros(n.into());
                    self.get_within(limit).map_err(timed_out)
                }
                How::Poll => once(self.get_async()).ok_or(Why::Pending),
            }
            .map_or_else(Ret::No, Ret::Got),
            Op::Len => Ret::Number(self.len()),
            Op::Rest => Ret::All(self.drain()),
            _ => unreachable!("on the menu of those only that have it"),
        }
    }
}
