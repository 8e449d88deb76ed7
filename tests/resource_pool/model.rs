//! A pool beside a plain model, by one thread: what each operation answers, and what can be seen in between.

use super::common::{ready, watchdog};
use latchwork::pool::{GetError, Pooled, ResourcePool, TryGetError};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
enum How {
    Try,
    Poll,
    Async,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Get(How),
    /// Of those that are lent, counted from the oldest.
    Return(usize),
    Discard(usize),
    Detach(usize),
    /// The idle one that is next to be lent is broken from now on.
    Break,
    /// Whether making one works from now on.
    Server(bool),
    Maintain,
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    let how = prop_oneof![Just(How::Try), Just(How::Poll), Just(How::Async)];
    prop_oneof![
        10 => how.prop_map(Op::Get),
        6 => any::<usize>().prop_map(Op::Return),
        2 => any::<usize>().prop_map(Op::Discard),
        1 => any::<usize>().prop_map(Op::Detach),
        2 => Just(Op::Break),
        2 => any::<bool>().prop_map(Op::Server),
        2 => Just(Op::Maintain),
        1 => Just(Op::Close),
    ]
}

/// Numbers in place of resources.
struct Model {
    capacity: usize,
    min_idle: usize,
    made: usize,
    idle: Vec<usize>,
    lent: Vec<usize>,
    broken: Vec<usize>,
    is_down: bool,
    is_closed: bool,
}

#[derive(Debug, PartialEq)]
enum Answer {
    Lent(usize),
    AllInUse,
    Closed,
    Refused,
}

impl Model {
    fn get(&mut self) -> Answer {
        if self.is_closed {
            return Answer::Closed;
        }
        if self.lent.len() == self.capacity {
            return Answer::AllInUse;
        }
        while let Some(number) = self.idle.pop() {
            if !self.broken.contains(&number) {
                self.lent.push(number);
                return Answer::Lent(number);
            }
        }
        if self.is_down {
            return Answer::Refused;
        }
        self.lent.push(self.made);
        self.made += 1;
        Answer::Lent(self.made - 1)
    }

    fn maintain(&mut self) -> Result<usize, ()> {
        let mut made = 0;
        while !self.is_closed
            && self.idle.len() < self.min_idle
            && self.idle.len() + self.lent.len() < self.capacity
        {
            if self.is_down {
                return Err(());
            }
            self.idle.push(self.made);
            self.made += 1;
            made += 1;
        }
        Ok(made)
    }
}

/// The server that is connected to.
#[derive(Default)]
struct Server {
    is_down: AtomicBool,
    made: AtomicUsize,
}

fn get(pool: &ResourcePool<(usize, bool), ()>, how: How) -> Result<Pooled<(usize, bool)>, Answer> {
    let of_get = |why| match why {
        GetError::TimedOut => Answer::AllInUse,
        GetError::Closed => Answer::Closed,
        GetError::Factory(()) => Answer::Refused,
        other => panic!("{other:?}"),
    };
    match how {
        How::Try => pool.try_get().map_err(|why| match why {
            TryGetError::AllInUse => Answer::AllInUse,
            TryGetError::Closed => Answer::Closed,
            TryGetError::Factory(()) => Answer::Refused,
            other => panic!("{other:?}"),
        }),
        How::Poll => pool.get_within(Duration::ZERO).map_err(of_get),
        How::Async => match pool.stats().in_use < pool.capacity() || pool.is_closed() {
            true => ready(pool.get_async()).map_err(of_get),
            false => {
                drop(super::pending(pool.get_async()));
                Err(Answer::AllInUse)
            }
        },
    }
}

fn check(capacity: usize, min_idle: usize, ops: &[Op]) {
    let server = Arc::new(Server::default());
    let factory = Arc::clone(&server);
    let pool = ResourcePool::builder(capacity, move || match factory.is_down.load(SeqCst) {
        true => Err(()),
        false => Ok((factory.made.fetch_add(1, SeqCst), true)),
    })
    .check(|(_, is_well)| *is_well)
    .min_idle(min_idle)
    .build();
    let mut model = Model {
        capacity,
        min_idle,
        made: 0,
        idle: Vec::new(),
        lent: Vec::new(),
        broken: Vec::new(),
        is_down: false,
        is_closed: false,
    };
    let mut lent: Vec<Pooled<(usize, bool)>> = Vec::new();
    let taken = |lent: &mut Vec<Pooled<_>>, model: &mut Model, which: usize| {
        let place = which.checked_rem(lent.len())?;
        Some((lent.remove(place), model.lent.remove(place)))
    };
    for op in ops {
        match *op {
            Op::Get(how) => {
                let answer = match get(&pool, how) {
                    Ok(one) => {
                        let number = one.0;
                        lent.push(one);
                        Answer::Lent(number)
                    }
                    Err(why) => why,
                };
                assert_eq!(answer, model.get());
            }
            Op::Return(which) => {
                if let Some((one, number)) = taken(&mut lent, &mut model, which) {
                    drop(one);
                    if !model.is_closed {
                        model.idle.push(number);
                    }
                }
            }
            Op::Discard(which) => {
                if let Some((one, _)) = taken(&mut lent, &mut model, which) {
                    Pooled::discard(one);
                }
            }
            Op::Detach(which) => {
                if let Some((one, number)) = taken(&mut lent, &mut model, which) {
                    assert_eq!(Pooled::detach(one).0, number);
                }
            }
            Op::Break => {
                if let (Some(one), Some(number)) = (lent.last_mut(), model.lent.last()) {
                    one.1 = false;
                    model.broken.push(*number);
                }
            }
            Op::Server(is_down) => {
                server.is_down.store(is_down, SeqCst);
                model.is_down = is_down;
            }
            Op::Maintain => {
                let made = pool.maintain().map(|done| done.made);
                assert_eq!(made, model.maintain());
            }
            Op::Close => {
                assert_eq!(pool.close(), !model.is_closed);
                model.is_closed = true;
                model.idle.clear();
            }
        }
        let numbers: Vec<_> = lent.iter().map(|one| one.0).collect();
        assert_eq!(numbers, model.lent);
        let stats = pool.stats();
        let seen = (stats.in_use, stats.idle, stats.waiting);
        assert_eq!(seen, (model.lent.len(), model.idle.len(), 0));
        assert_eq!(stats.created, model.made as u64);
        let living = (model.lent.len() + model.idle.len()) as u64;
        let gone = stats.retired.total() + stats.detached;
        assert_eq!(stats.created, living + gone);
        assert_eq!(pool.try_join(), living == 0);
    }
}

/// Rank 19: any sequence of operations.
#[test]
fn it_does_what_a_plain_model_does() {
    watchdog(Duration::from_secs(120), "a_plain_model", || {
        let cases = (1usize..4, 0usize..4, proptest::collection::vec(op(), 0..60));
        TestRunner::default()
            .run(&cases, |(capacity, min_idle, ops)| {
                check(capacity, min_idle, &ops);
                Ok(())
            })
            .unwrap();
    });
}
