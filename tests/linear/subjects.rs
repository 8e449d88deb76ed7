//! The queues of the crate, asked to do the model's operations.

use super::model::{How, Item, Model, Op, Ret, Why};
use super::record::Subject;
use crate::common::poll;
use latchwork::queue::{GetError, PutError, Queue, SimpleQueue};
use latchwork::{GaveUp, Shutdown};
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Polls once, and drops.
fn once<F: Future>(future: F) -> Poll<F::Output> {
    poll(pin!(future), Waker::noop())
}

fn put(how: How, item: Item, done: Result<(), PutError<Item>>) -> Ret {
    let (why, refused) = match done {
        Ok(()) => return Ret::Done,
        Err(PutError::Full(refused)) => (Why::NotNow, refused),
        Err(PutError::TimedOut(refused)) => (Why::TimedOut, refused),
        Err(PutError::ShutDown(refused)) => (Why::ShutDown, refused),
        Err(other) => panic!("nobody cancels {how:?}: {other}"),
    };
    assert_eq!(refused, item, "what was refused is what comes back");
    Ret::No(why)
}

fn got(how: How, got: Result<Item, GetError>) -> Ret {
    match got {
        Ok(item) => Ret::Got(item),
        Err(GetError::Empty) => Ret::No(Why::NotNow),
        Err(GetError::TimedOut) => Ret::No(Why::TimedOut),
        Err(GetError::ShutDown) => Ret::No(Why::ShutDown),
        Err(other) => panic!("nobody cancels {how:?}: {other}"),
    }
}

fn micros(n: u16) -> Duration {
    Duration::from_micros(n.into())
}

impl Subject<Model> for Queue<Item> {
    fn run(&self, op: &Op) -> Ret {
        match *op {
            Op::Put(how, item) => match how {
                How::Try => put(how, item, self.try_put(item)),
                How::Within(n) => put(how, item, self.put_within(item, micros(n))),
                How::Poll => match once(self.put_async(item)) {
                    Poll::Ready(done) => put(how, item, done),
                    Poll::Pending => Ret::No(Why::Pending),
                },
            },
            Op::Get(how) => match how {
                How::Try => got(how, self.try_get()),
                How::Within(n) => got(how, self.get_within(micros(n))),
                How::Poll => match once(self.get_async()) {
                    Poll::Ready(done) => got(how, done),
                    Poll::Pending => Ret::No(Why::Pending),
                },
            },
            Op::Len => Ret::Number(self.len()),
            Op::IsFull => Ret::Is(self.is_full()),
            Op::Shutdown(how) => Ret::Left(self.shutdown(how)),
            Op::Rest => Ret::Left(self.shutdown(Shutdown::Immediate)),
        }
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
                How::Within(n) => self.get_within(micros(n)).map_err(|why| {
                    assert_eq!(why, GaveUp::TimedOut);
                    Why::TimedOut
                }),
                How::Poll => match once(self.get_async()) {
                    Poll::Ready(item) => Ok(item),
                    Poll::Pending => Err(Why::Pending),
                },
            }
            .map_or_else(Ret::No, Ret::Got),
            Op::Len => Ret::Number(self.len()),
            Op::IsFull => Ret::Is(false),
            Op::Rest => Ret::Left(self.drain()),
            Op::Shutdown(_) => unreachable!("on the menu of those only that have it"),
        }
    }
}
