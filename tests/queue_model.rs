//! Each kind of queue against a plain model: any sequence of operations by one thread, with what each of
//! them answers and with what can be seen in between.

mod common;
#[allow(
    dead_code,
    reason = "the checker of histories is for more than one thread"
)]
mod linear;

use common::watchdog;
use latchwork::Shutdown;
use latchwork::queue::{BlockingQueue, GetError, LifoQueue, PriorityQueue, Queue, SimpleQueue};
use linear::Spec;
use linear::model::{How, Item, Model, Op, Order};
use linear::record::Subject;
use linear::subjects::ByRank;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

/// Nobody else is there, so a wait is in vain however short it is.
fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        6 => Just(How::Try),
        3 => Just(How::Within(0)),
        1 => Just(How::Within(50)),
        3 => Just(How::Poll),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    (0u8..4).prop_map(|rank| Item { rank, number: 0 })
}

/// Put, get and len.
fn simple() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (how(), item()).prop_map(|(how, item)| Op::Put(how, item)),
        6 => how().prop_map(Op::Get),
        1 => Just(Op::Len),
    ]
}

/// What every blocking queue can do.
fn blocking() -> impl Strategy<Value = Op> {
    let items = || proptest::collection::vec(item(), 0..5);
    let capacity = prop_oneof![3 => (1usize..8).prop_map(Some), 1 => Just(None)];
    prop_oneof![
        40 => simple(),
        6 => (how(), items()).prop_map(|(how, items)| Op::PutMany(how, items)),
        5 => (how(), 1usize..5).prop_map(|(how, max)| Op::GetMany(how, max)),
        5 => Just(Op::TaskDone),
        3 => how().prop_map(Op::Join),
        3 => capacity.prop_map(Op::SetCapacity),
        2 => Just(Op::Rotate),
        1 => Just(Op::Drain),
        1 => Just(Op::Shutdown(Shutdown::Drain)),
        1 => Just(Op::Shutdown(Shutdown::Immediate)),
    ]
}

/// That, and puts at the front.
fn fifo() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => blocking(),
        1 => (how(), item()).prop_map(|(how, item)| Op::AtFront(how, item)),
    ]
}

/// What does not ask for a place where there is none to be had.
fn rendezvous() -> impl Strategy<Value = Op> {
    fifo().prop_filter("it has no capacity", |op| !matches!(op, Op::SetCapacity(_)))
}

/// Gives each item a number of its own, in the order in which they are put.
fn number(ops: &mut [Op]) {
    let mut number = 0;
    let mut give = |item: &mut Item| {
        number += 1;
        item.number = number;
    };
    for op in ops {
        match op {
            Op::Put(_, item) | Op::AtFront(_, item) => give(item),
            Op::PutMany(_, items) => items.iter_mut().for_each(&mut give),
            _ => {}
        }
    }
}

/// What can be seen of a queue at any time.
const SIGHTS: [Op; 5] = [Op::Len, Op::IsFull, Op::Peek, Op::Unfinished, Op::HighWater];

/// Runs many sequences on queues of a kind and on the model; all that is seen must be the same.
fn behaves_like_the_model<Q: Subject<Model>>(
    order: Order,
    ops: impl Strategy<Value = Op> + Send + 'static,
    sights: &'static [Op],
    capacities: impl Strategy<Value = Option<usize>> + Send + 'static,
    queue: impl Fn(Option<usize>) -> Q + Send + 'static,
) {
    let ops = proptest::collection::vec(ops, 0..60);
    let run = move |(capacity, mut ops): (Option<usize>, Vec<Op>)| {
        let (queue, mut model) = (queue(capacity), Model::new(order, capacity));
        number(&mut ops);
        for op in ops.iter().chain([&Op::Rest]) {
            for op in [op].into_iter().chain(sights) {
                prop_assert_eq!(queue.run(op), model.apply(op), "{:?}", op);
            }
        }
        Ok(())
    };
    watchdog(LIMIT, "behaves_like_the_model", move || {
        let mut runner = TestRunner::new(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        if let Err(failure) = runner.run(&(capacities, ops), run) {
            panic!("{failure}");
        }
    });
}

fn capacities() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![4 => (1usize..6).prop_map(Some), 1 => Just(None)]
}

#[test]
fn queue() {
    let queue = |capacity: Option<usize>| match capacity {
        Some(capacity) => Queue::bounded(capacity),
        None => Queue::unbounded(),
    };
    behaves_like_the_model(Order::Fifo, fifo(), &SIGHTS, capacities(), queue);
}

#[test]
fn rendezvous_without_anybody_else() {
    let queue = |_| Queue::bounded(0);
    behaves_like_the_model(Order::Fifo, rendezvous(), &SIGHTS, Just(Some(0)), queue);
}

#[test]
fn what_a_future_offers_at_a_rendezvous_is_there_to_be_got() {
    let queue = Queue::bounded(0);
    let (mut one, mut two) = (pin!(queue.put_async(1)), pin!(queue.put_many_async([2, 3])));
    assert!(common::poll(one.as_mut(), Waker::noop()).is_pending());
    assert!(common::poll(two.as_mut(), Waker::noop()).is_pending());
    assert_eq!((queue.try_get(), queue.try_get()), (Ok(1), Ok(2)));
    assert_eq!(queue.try_get(), Err(GetError::Empty), "the third is next");
    assert_eq!(
        common::poll(one.as_mut(), Waker::noop()),
        Poll::Ready(Ok(()))
    );
    assert!(common::poll(two.as_mut(), Waker::noop()).is_pending());
    assert_eq!(queue.try_get(), Ok(3));
    assert_eq!(
        common::poll(two.as_mut(), Waker::noop()),
        Poll::Ready(Ok(()))
    );
}

#[test]
fn lifo_queue() {
    let queue = |capacity: Option<usize>| match capacity {
        Some(capacity) => LifoQueue::bounded(capacity),
        None => LifoQueue::unbounded(),
    };
    behaves_like_the_model(Order::Lifo, blocking(), &SIGHTS, capacities(), queue);
}

#[test]
fn priority_queue() {
    let queue = |capacity: Option<usize>| match capacity {
        Some(capacity) => PriorityQueue::bounded(capacity),
        None => PriorityQueue::unbounded(),
    };
    behaves_like_the_model(Order::Priority, blocking(), &SIGHTS, capacities(), queue);
}

#[test]
fn discipline_of_ones_own() {
    let queue = |capacity| BlockingQueue::with_discipline(ByRank::default(), capacity);
    behaves_like_the_model(Order::Priority, blocking(), &SIGHTS, capacities(), queue);
}

#[test]
fn simple_queue() {
    let queue = |_| SimpleQueue::new();
    behaves_like_the_model(Order::Fifo, simple(), &[Op::Len], Just(None), queue);
}
