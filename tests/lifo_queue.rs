//! `queue::LifoQueue`: row Q2. What it shares with `Queue` is tested there.

mod common;

use common::{parked, pending, ready, watchdog};
use latchwork::Shutdown;
use latchwork::queue::{Discipline, GetError, Lifo, LifoQueue, PutError};
use std::panic::catch_unwind;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn last_in_first_out_in_every_face() {
    let stack = LifoQueue::bounded(8);
    stack.put(0).unwrap();
    stack.try_put(1).unwrap();
    stack.put_within(2, Duration::ZERO).unwrap();
    ready(stack.put_async(3)).unwrap();
    stack.put_many([4, 5, 6, 7]).unwrap();
    assert_eq!(stack.try_put(8), Err(PutError::Full(8)));
    assert_eq!((stack.len(), stack.capacity()), (8, Some(8)));
    assert_eq!(stack.peek(|n| *n), Some(7));
    assert_eq!((stack.get(), stack.try_get()), (Ok(7), Ok(6)));
    assert_eq!(stack.get_within(Duration::ZERO), Ok(5));
    assert_eq!(ready(stack.get_async()), Ok(4));
    assert_eq!(stack.get_many(2), Ok(vec![3, 2]));
    stack.put(9).unwrap();
    assert_eq!(stack.drain().collect::<Vec<_>>(), [9, 1, 0]);
    assert_eq!(stack.try_get(), Err(GetError::Empty));
    assert_eq!(LifoQueue::<u8>::unbounded().capacity(), None);
}

#[test]
fn it_needs_room() {
    assert!(catch_unwind(|| LifoQueue::<u8>::bounded(0)).is_err());
}

#[test]
fn those_who_wait_get_what_comes_next() {
    watchdog(LIMIT, "those_who_wait", || {
        let stack = LifoQueue::bounded(1);
        thread::scope(|s| {
            let getter = parked(s, || stack.get());
            stack.put(1).unwrap();
            assert_eq!(getter.join().unwrap(), Ok(1));
            stack.put(2).unwrap();
            let putter = parked(s, || stack.put(3));
            let mut late = pending(stack.put_async(4));
            assert_eq!(stack.get(), Ok(2));
            putter.join().unwrap().unwrap();
            assert_eq!(stack.get(), Ok(3));
            ready(late.as_mut()).unwrap();
        });
        assert_eq!(stack.shutdown(Shutdown::Immediate), [4]);
        assert_eq!(stack.get(), Err(GetError::ShutDown));
    });
}

#[test]
fn nothing_is_lost_between_threads() {
    watchdog(LIMIT, "nothing_is_lost_between_threads", || {
        for capacity in [1, 5] {
            let (sender, receiver) = LifoQueue::bounded(capacity).ends();
            let got: Vec<i32> = thread::scope(|s| {
                let getters = [(); 2].map(|()| s.spawn(|| receiver.iter().collect::<Vec<_>>()));
                for first in 0..2 {
                    let sender = sender.clone();
                    s.spawn(move || {
                        (first..2000)
                            .step_by(2)
                            .for_each(|n| sender.put(n).unwrap())
                    });
                }
                drop(sender);
                getters.map(|getter| getter.join().unwrap()).concat()
            });
            let mut got = got;
            got.sort_unstable();
            assert!(got.into_iter().eq(0..2000));
        }
    });
}

#[test]
fn the_discipline_alone() {
    let mut items = Lifo::with_capacity(2);
    assert!(items.is_empty() && !items.is_ready());
    items.push(1);
    items.push(2);
    assert_eq!((items.len(), items.peek()), (2, Some(&2)));
    assert_eq!(format!("{items:?}"), "Lifo([1, 2])");
    let mut all = vec![9];
    items.clone().take_all(&mut all);
    assert_eq!(all, [9, 2, 1]);
    assert_eq!(
        (items.pop(), items.pop(), items.pop()),
        (Some(2), Some(1), None)
    );
}
