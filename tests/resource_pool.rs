//! `pool::ResourcePool`: case study Z8, row N33, rank 19. At most so many alive, checks, ages, panics, closing, fairness,
//! figures. Beside a plain model it is in `resource_pool/model.rs`.

mod common;
#[path = "resource_pool/model.rs"]
mod model;

use common::{parked, pending, poll, ready, watchdog};
use latchwork::pool::{AfterPanic, Builder, GetError, Pooled, ResourcePool, Reuse, TryGetError};
use latchwork::sync::{Barrier, Event};
use latchwork::time::ManualClock;
use latchwork::{CancelToken, GaveUp};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::Waker;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// A connection with a number; counts who lives.
#[derive(Debug)]
struct Connection {
    number: usize,
    alive: Arc<Alive>,
}

#[derive(Debug, Default)]
struct Alive {
    now: AtomicUsize,
    most: AtomicUsize,
    made: AtomicUsize,
}

impl Alive {
    fn connect(self: &Arc<Self>) -> Connection {
        let alive = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(alive, SeqCst);
        Connection {
            number: self.made.fetch_add(1, SeqCst),
            alive: Arc::clone(self),
        }
    }

    fn now(&self) -> usize {
        self.now.load(SeqCst)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.alive.now.fetch_sub(1, SeqCst);
    }
}

type Pool = ResourcePool<Connection, Infallible>;

fn pool(capacity: usize) -> (Pool, Arc<Alive>) {
    let alive = Arc::new(Alive::default());
    (ResourcePool::new(capacity, make(&alive)), alive)
}

fn make(alive: &Arc<Alive>) -> impl Fn() -> Result<Connection, Infallible> + Send + Sync + use<> {
    let alive = Arc::clone(alive);
    move || Ok(alive.connect())
}

/// Z8: made when wanted, lent again when returned.
#[test]
fn it_lends_what_came_back_and_makes_what_is_missing() {
    let (pool, alive) = pool(3);
    assert_eq!(alive.now(), 0);
    let [first, second] = [pool.get().unwrap(), pool.get().unwrap()];
    assert_eq!((first.number, second.number), (0, 1));
    drop(first);
    let again = pool.try_get().unwrap();
    assert_eq!(again.number, 0);
    assert_eq!(Pooled::times_lent(&again), 2);
    let third = ready(pool.get_async()).unwrap();
    assert_eq!(third.number, 2);
    assert_eq!(pool.try_get().unwrap_err(), TryGetError::AllInUse);
    drop([again, second, third]);
    let stats = pool.stats();
    assert_eq!((stats.created, stats.recycled), (3, 1));
    assert_eq!((stats.in_use, stats.idle, stats.waiting), (0, 3, 0));
    assert_eq!(alive.now(), 3);
    assert_eq!(
        format!("{pool:?}"),
        "ResourcePool { capacity: 3, in_use: 0, idle: 3, waiting: 0, is_closed: false }"
    );
}

/// N33: many threads, time-outs, thrown away and taken out: never more than three alive.
#[test]
fn never_more_alive_than_there_may_be() {
    watchdog(LIMIT, "never_more_alive_than_there_may_be", || {
        stress(|builder| builder);
        stress(Builder::barging);
    });
}

fn stress(kind: fn(Builder<Connection, Infallible>) -> Builder<Connection, Infallible>) {
    let alive = Arc::new(Alive::default());
    let pool = kind(ResourcePool::builder(3, make(&alive)))
        .check(|connection| connection.number % 5 != 4)
        .reset(|connection| connection.number % 7 != 6)
        .min_idle(1)
        .build();
    let (served, given_up) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|s| {
        for worker in 0..8 {
            let (pool, served, given_up) = (pool.clone(), &served, &given_up);
            s.spawn(move || {
                for step in 0..400 {
                    let limit = Duration::from_micros(if step % 3 == 0 { 30 } else { 1 << 30 });
                    match pool.get_within(limit) {
                        Ok(connection) => {
                            served.fetch_add(1, SeqCst);
                            assert!(connection.alive.now() <= 3);
                            if step % 16 == worker {
                                Pooled::discard(connection);
                            } else if step % 5 == 0 {
                                thread::yield_now();
                            }
                        }
                        Err(GetError::TimedOut) => drop(given_up.fetch_add(1, SeqCst)),
                        Err(other) => panic!("{other}"),
                    }
                    if step % 50 == worker {
                        pool.maintain().unwrap();
                    }
                }
            });
        }
    });
    assert!(alive.most.load(SeqCst) <= 3);
    let stats = pool.stats();
    assert_eq!(stats.waits.count(), served.into_inner() as u64);
    assert_eq!(stats.timed_out, given_up.into_inner() as u64);
    assert_eq!((stats.in_use, stats.waiting), (0, 0));
    assert_eq!(stats.idle, alive.now());
    assert_eq!(
        stats.created,
        stats.idle as u64 + stats.retired.total(),
        "{stats:?}"
    );
    assert!(stats.retired.failed_check > 0 && stats.retired.failed_reset > 0);
}

/// Z8: first come, first served; who gives up in the middle is passed over, and nothing is lost.
#[test]
fn it_is_first_come_first_served() {
    watchdog(LIMIT, "it_is_first_come_first_served", || {
        let (pool, _) = pool(1);
        let order = latchwork::queue::SimpleQueue::new();
        let stop = CancelToken::new();
        let held = pool.get().unwrap();
        thread::scope(|s| {
            let wait = |name: &'static str, limit: Option<&'static str>| {
                let (pool, order, stop) = (&pool, &order, stop.clone());
                parked(s, move || match limit {
                    None => {
                        let one = pool.get().unwrap();
                        order.put(name);
                        drop(one);
                    }
                    Some(_) => {
                        let why = pool.get_within(stop.within(HOUR)).map(drop);
                        assert!(why.unwrap_err().is_cancelled());
                    }
                })
            };
            wait("first", None);
            wait("gives up", Some("stop"));
            wait("second", None);
            let mut task = pending(pool.get_async());
            wait("third", None);
            assert_eq!(pool.stats().waiting, 5);
            stop.cancel();
            while pool.stats().waiting > 4 {
                thread::yield_now();
            }
            drop(held);
            // The task stands between them, and keeps the turn until it is polled.
            while order.len() < 2 {
                thread::yield_now();
            }
            assert_eq!(pool.try_get().unwrap_err(), TryGetError::AllInUse);
            let std::task::Poll::Ready(one) = poll(task.as_mut(), Waker::noop()) else {
                panic!("it is its turn");
            };
            order.put("task");
            drop(one.unwrap());
        });
        let order: Vec<_> = std::iter::from_fn(|| order.try_get()).collect();
        assert_eq!(order, ["first", "second", "task", "third"]);
        assert_eq!(pool.stats().cancelled, 1);
    });
}

/// Whoever returns one cannot have it back before somebody who waits, however quick it is.
#[test]
fn who_waits_is_not_overtaken() {
    watchdog(LIMIT, "who_waits_is_not_overtaken", || {
        let (pool, _) = pool(1);
        for _ in 0..20 {
            let held = pool.get().unwrap();
            let tried = Event::new();
            thread::scope(|s| {
                let quick = parked(s, || {
                    drop(pool.get().unwrap());
                    let again = pool.try_get().map(drop);
                    tried.set();
                    again
                });
                parked(s, || {
                    let _one = pool.get().unwrap();
                    tried.wait();
                });
                drop(held);
                assert_eq!(quick.join().unwrap(), Err(TryGetError::AllInUse));
            });
        }
    });
}

/// The four faces give up without a trace: time-out, cancellation, a future that is dropped.
#[test]
fn who_gives_up_leaves_the_resource_to_the_next() {
    watchdog(LIMIT, "who_gives_up_leaves", || {
        let (pool, _) = pool(1);
        let held = pool.get().unwrap();
        let zero = pool.get_within(Duration::ZERO).unwrap_err();
        assert!(zero.is_timed_out());
        let token = CancelToken::new();
        token.cancel();
        assert_eq!(pool.get_within(&token).unwrap_err(), GetError::Cancelled);
        let first = pending(pool.get_async());
        let second = pending(pool.get_async());
        assert_eq!(pool.stats().waiting, 2);
        drop(held);
        // It is the first one's turn, which does not want it any more.
        drop(first);
        let one = ready(second).unwrap();
        assert_eq!(one.number, 0);
        drop(one);
        let stats = pool.stats();
        assert_eq!((stats.timed_out, stats.cancelled, stats.waiting), (1, 2, 0));
        assert!(pool.try_get().is_ok());
    });
}

#[test]
fn a_factory_that_fails_is_one_callers_trouble() {
    let is_down = Arc::new(AtomicBool::new(true));
    let server = Arc::clone(&is_down);
    let pool: ResourcePool<u8, String> = ResourcePool::new(1, move || match server.load(SeqCst) {
        true => Err("connection refused".to_owned()),
        false => Ok(7),
    });
    let refused = pool.get().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "no resource could be made: connection refused"
    );
    assert_eq!(refused.into_factory().unwrap(), "connection refused");
    assert!(matches!(pool.try_get(), Err(TryGetError::Factory(_))));
    assert!(matches!(ready(pool.get_async()), Err(GetError::Factory(_))));
    is_down.store(false, SeqCst);
    assert_eq!(*pool.try_get().unwrap(), 7, "its slot is free again");
    assert_eq!(pool.stats().failed_to_make, 3);
}

/// Others get and return while one connects.
#[test]
fn a_slow_factory_holds_up_nobody_else() {
    watchdog(LIMIT, "a_slow_factory_holds_up_nobody_else", || {
        let gate = Arc::new(Barrier::new(2));
        let (opened, made) = (Arc::clone(&gate), AtomicUsize::new(0));
        let pool: ResourcePool<usize, Infallible> = ResourcePool::new(2, move || {
            let number = made.fetch_add(1, SeqCst);
            if number == 1 {
                opened.wait().unwrap();
                opened.wait().unwrap();
            }
            Ok(number)
        });
        let first = pool.get().unwrap();
        thread::scope(|s| {
            let slow = s.spawn(|| *pool.get().unwrap());
            gate.wait().unwrap();
            drop(first);
            for _ in 0..10 {
                assert_eq!(*pool.get().unwrap(), 0);
            }
            assert_eq!(pool.stats().idle, 1);
            gate.wait().unwrap();
            assert_eq!(slow.join().unwrap(), 1);
        });
    });
}

#[test]
fn a_factory_that_panics_frees_its_slot() {
    let panics = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&panics);
    let pool: ResourcePool<u8, Infallible> = ResourcePool::new(1, move || {
        assert!(!now.load(SeqCst), "a bad factory, on purpose");
        Ok(1)
    });
    assert!(catch_unwind(AssertUnwindSafe(|| pool.get())).is_err());
    panics.store(false, SeqCst);
    assert!(pool.try_get().is_ok());
    pool.close();
    assert!(pool.try_join());
}

/// Broken ones are replaced before anybody sees them.
#[test]
fn a_broken_one_is_replaced_before_it_is_lent() {
    let alive = Arc::new(Alive::default());
    let broken = Arc::new(AtomicUsize::new(usize::MAX));
    let seen = Arc::clone(&broken);
    let pool = ResourcePool::builder(2, make(&alive))
        .check(move |connection: &mut Connection| {
            assert!(seen.load(SeqCst) != 1000, "a bad check, on purpose");
            connection.number != seen.load(SeqCst)
        })
        .build();
    drop([pool.get().unwrap(), pool.get().unwrap()]);
    broken.store(1, SeqCst);
    // The newest comes first, and is number 1.
    let other = pool.get().unwrap();
    assert_eq!(other.number, 0);
    assert_eq!((pool.stats().retired.failed_check, alive.now()), (1, 1));
    let new = pool.get().unwrap();
    assert_eq!(new.number, 2);
    drop([other, new]);

    broken.store(1000, SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| pool.get())).is_err());
    broken.store(usize::MAX, SeqCst);
    assert_eq!((pool.stats().retired.failed_check, alive.now()), (2, 1));
    let both = [pool.try_get().unwrap(), pool.try_get().unwrap()];
    drop(both);
}

#[test]
fn it_is_cleaned_as_it_comes_back() {
    let pool: ResourcePool<Vec<u8>, Infallible> = ResourcePool::builder(1, || Ok(Vec::new()))
        .reset(|buffer| {
            assert!(buffer.len() != 3, "a bad reset, on purpose");
            buffer.clear();
            buffer.capacity() < 1000
        })
        .build();
    let mut one = pool.get().unwrap();
    one.extend([1; 100]);
    drop(one);
    let mut one = pool.get().unwrap();
    assert!(one.is_empty() && one.capacity() >= 100);
    one.reserve(1000);
    drop(one);
    assert_eq!(pool.stats().retired.failed_reset, 1);
    let mut one = pool.get().unwrap();
    assert_eq!(one.capacity(), 0);
    one.extend([1; 3]);
    drop(one);
    let stats = pool.stats();
    assert_eq!((stats.retired.failed_reset, stats.idle), (2, 0));
}

/// A function says what is to become of a resource as it pleases.
#[test]
fn an_error_drops_it_and_nothing_to_say_keeps_it() {
    let pool: ResourcePool<u8, Infallible> = ResourcePool::builder(1, || Ok(0))
        .check(|n| if *n == 9 { Err("nine") } else { Ok(*n != 8) })
        .reset(|n| *n += 1)
        .build();
    for expected in [0, 1, 2] {
        assert_eq!(*pool.get().unwrap(), expected);
    }
    // 7 comes back as 8, of which the check says false, and 8 as 9, an error.
    for (left, failed) in [(7, 1), (8, 2)] {
        *pool.get().unwrap() = left;
        assert_eq!(*pool.get().unwrap(), 0);
        assert_eq!(pool.stats().retired.failed_check, failed);
    }
}

/// What becomes of one whose user panics is what the policy says; the slot comes back either way.
#[test]
fn a_user_that_panics_returns_it() {
    watchdog(LIMIT, "a_user_that_panics_returns_it", || {
        for policy in [AfterPanic::Return, AfterPanic::Discard] {
            let alive = Arc::new(Alive::default());
            let resets = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&resets);
            let pool = ResourcePool::builder(1, make(&alive))
                .reset(move |_: &mut Connection| count.fetch_add(1, SeqCst) < usize::MAX)
                .after_panic(policy)
                .build();
            let user = pool.clone();
            let died = thread::spawn(move || {
                let _held = user.get().unwrap();
                panic!("a bad user, on purpose");
            });
            assert!(died.join().is_err());
            let number = pool.get_within(SECOND).unwrap().number;
            let stats = pool.stats();
            match policy {
                AfterPanic::Return => assert_eq!((number, stats.retired.after_panic), (0, 0)),
                _ => assert_eq!((number, stats.retired.after_panic), (1, 1)),
            }
            assert_eq!(resets.load(SeqCst), 2 - stats.retired.after_panic as usize);
            assert_eq!(alive.most.load(SeqCst), 1);
        }
    });
}

/// One that is got and returned while its thread unwinds for another reason was not in the middle of anything.
#[test]
fn a_destructor_may_use_the_pool_while_its_thread_unwinds() {
    let alive = Arc::new(Alive::default());
    let pool = ResourcePool::builder(1, make(&alive))
        .after_panic(AfterPanic::Discard)
        .build();
    struct Farewell(Pool);
    impl Drop for Farewell {
        fn drop(&mut self) {
            drop(self.0.get().unwrap());
        }
    }
    let user = pool.clone();
    let died = catch_unwind(AssertUnwindSafe(move || {
        let _farewell = Farewell(user);
        panic!("for another reason, on purpose");
    }));
    assert!(died.is_err());
    assert_eq!(pool.stats().retired.total(), 0);
    assert_eq!(pool.stats().idle, 1);
}

/// A resource that panics as it is dropped takes no slot with it, and ends no thread that unwinds.
#[test]
fn a_drop_that_panics_goes_no_further() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bad drop, on purpose");
        }
    }
    let pool: ResourcePool<Bomb, Infallible> = ResourcePool::builder(1, || Ok(Bomb))
        .after_panic(AfterPanic::Discard)
        .build();
    Pooled::discard(pool.get().unwrap());
    let user = pool.clone();
    let died = catch_unwind(AssertUnwindSafe(move || {
        let _held = user.get().unwrap();
        panic!("a bad user, on purpose");
    }));
    assert!(died.is_err());
    drop(pool.try_get().unwrap());
    assert!(pool.close() && pool.try_join());
}

#[test]
fn what_is_taken_out_is_replaced() {
    let (pool, alive) = pool(1);
    let mine = Pooled::detach(pool.get().unwrap());
    let other = pool.try_get().unwrap();
    assert_eq!((mine.number, other.number), (0, 1));
    drop(mine);
    drop(other);
    let stats = pool.stats();
    assert_eq!((stats.detached, stats.created, stats.idle), (1, 2, 1));
    assert_eq!(alive.now(), 1);
}

/// Ages and idle times, by a clock that the test drives.
#[test]
fn none_is_lent_that_is_too_old_or_was_idle_for_too_long() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let alive = Arc::new(Alive::default());
    let pool = ResourcePool::builder(3, make(&alive))
        .max_age(10 * SECOND)
        .max_idle(4 * SECOND)
        .build();
    let number = |pool: &Pool| pool.get().unwrap().number;
    assert_eq!(number(&pool), 0);
    clock.advance(4 * SECOND);
    assert_eq!(number(&pool), 0, "not longer than that");
    clock.advance(5 * SECOND);
    assert_eq!(number(&pool), 1);
    let stats = pool.stats();
    assert_eq!((stats.retired.idle_too_long, stats.retired.too_old), (1, 0));

    // In use it may become too old, and is dropped when it comes back.
    let held = pool.get().unwrap();
    clock.advance(11 * SECOND);
    assert_eq!(Pooled::age(&held), 11 * SECOND);
    drop(held);
    assert_eq!(pool.stats().retired.too_old, 1);
    assert_eq!(alive.now(), 0);

    // Whoever returns one drops one that nobody wants any more.
    let held = [pool.get().unwrap(), pool.get().unwrap()];
    let [first, second] = held;
    drop(first);
    clock.advance(5 * SECOND);
    drop(second);
    assert_eq!((pool.stats().idle, alive.now()), (1, 1));
    assert_eq!(pool.stats().retired.idle_too_long, 2);
}

#[test]
fn maintaining_drops_what_is_stale_and_makes_what_is_missing() {
    let clock = ManualClock::new();
    let _on_it = clock.enter();
    let alive = Arc::new(Alive::default());
    let pool = ResourcePool::builder(4, make(&alive))
        .max_idle(SECOND)
        .min_idle(3)
        .build();
    let made = |pool: &Pool| {
        let done = pool.maintain().unwrap();
        (done.dropped, done.made)
    };
    assert_eq!(made(&pool), (0, 3));
    assert_eq!(made(&pool), (0, 0));
    let held = [pool.get().unwrap(), pool.get().unwrap()];
    // One idle and two in use leave room for one more.
    assert_eq!(made(&pool), (0, 1));
    assert_eq!((pool.stats().idle, alive.now()), (2, 4));
    drop(held);
    clock.advance(2 * SECOND);
    assert_eq!(made(&pool), (4, 3));
    assert_eq!(alive.most.load(SeqCst), 4);
    pool.close();
    assert_eq!(made(&pool), (0, 0));
    assert_eq!(alive.now(), 0);
}

#[test]
fn which_is_lent_next_is_a_choice() {
    for (reuse, expected) in [(Reuse::Newest, [2, 1, 0]), (Reuse::Oldest, [0, 1, 2])] {
        let alive = Arc::new(Alive::default());
        let pool = ResourcePool::builder(3, make(&alive)).reuse(reuse).build();
        let all = [(); 3].map(|()| pool.get().unwrap());
        drop(all);
        let again = [(); 3].map(|()| pool.get().unwrap());
        assert_eq!([0, 1, 2].map(|n: usize| again[n].number), expected);
    }
}

/// Closing wakes everybody, drops what is idle at once and the rest as it comes back.
#[test]
fn closing_wakes_everybody_and_waits_for_what_is_lent() {
    watchdog(LIMIT, "closing_wakes_everybody", || {
        let (pool, alive) = pool(2);
        let held = [pool.get().unwrap(), pool.get().unwrap()];
        thread::scope(|s| {
            let waiter = parked(s, || pool.get().map(drop));
            let limited = parked(s, || pool.get_within(HOUR).map(drop));
            let task = pending(pool.get_async());
            let [idle, lent] = held;
            // Not idle: the first in line has it.
            drop(idle);
            assert!(waiter.join().unwrap().is_ok());
            assert!(limited.join().unwrap().is_ok());
            assert!(ready(task).is_ok());

            let again = pool.get().unwrap();
            let waiter = parked(s, || pool.get().map(drop));
            let task = pending(pool.get_async());
            assert!(pool.close());
            assert!(!pool.close(), "it was closed before");
            assert_eq!(waiter.join().unwrap(), Err(GetError::Closed));
            assert_eq!(ready(task).map(drop), Err(GetError::Closed));
            assert_eq!(pool.get().map(drop), Err(GetError::Closed));
            assert_eq!(pool.try_get().map(drop), Err(TryGetError::Closed));
            assert_eq!(ready(pool.get_async()).map(drop), Err(GetError::Closed));

            assert_eq!(pool.join_within(Duration::ZERO), Err(GaveUp::TimedOut));
            let joiner = parked(s, || pool.join());
            drop(again);
            assert_eq!((alive.now(), pool.try_join()), (1, false));
            assert_eq!(lent.number, 1, "it can be used on");
            drop(lent);
            joiner.join().unwrap();
            ready(pool.join_async());
            assert_eq!(alive.now(), 0);
        });
        assert!(pool.is_closed());
        assert_eq!(pool.stats().retired.closed, 2);
    });
}

/// One that was being made when the pool was closed is not lent.
#[test]
fn what_is_made_too_late_is_not_lent() {
    watchdog(LIMIT, "what_is_made_too_late_is_not_lent", || {
        let gate = Arc::new(Barrier::new(2));
        let opened = Arc::clone(&gate);
        let pool: ResourcePool<u8, Infallible> = ResourcePool::new(1, move || {
            opened.wait().unwrap();
            opened.wait().unwrap();
            Ok(1)
        });
        thread::scope(|s| {
            let late = s.spawn(|| pool.get().map(drop));
            gate.wait().unwrap();
            pool.close();
            assert!(!pool.try_join(), "one is being made");
            gate.wait().unwrap();
            assert_eq!(late.join().unwrap(), Err(GetError::Closed));
        });
        assert!(pool.try_join());
    });
}

#[test]
fn the_last_handle_closes_it() {
    let (pool, alive) = pool(2);
    let other = pool.clone();
    let [lent, idle] = [pool.get().unwrap(), pool.get().unwrap()];
    drop(idle);
    drop(pool);
    assert!(!other.is_closed());
    drop(other);
    assert_eq!(alive.now(), 1, "what was idle is gone");
    drop(lent);
    assert_eq!(alive.now(), 0);
}

/// N33: how long they waited, exactly, by a clock that the test drives.
#[test]
fn waits_are_measured_from_the_call_to_the_turn() {
    watchdog(LIMIT, "waits_are_measured", || {
        let clock = ManualClock::new();
        let (pool, _) = pool(1);
        let held = clock.run(|| pool.get().unwrap());
        thread::scope(|s| {
            let waiter = parked(s, || clock.run(|| drop(pool.get().unwrap())));
            clock.advance(3 * SECOND);
            clock.run(|| drop(held));
            waiter.join().unwrap();
        });
        let waits = pool.stats().waits;
        assert_eq!((waits.count(), waits.at_once()), (2, 1));
        assert_eq!(waits.longest(), 3 * SECOND);
        assert_eq!(waits.mean(), 3 * SECOND / 2);
        assert_eq!(waits.quantile(0.5), Duration::ZERO);
        assert_eq!(waits.quantile(0.99), 3 * SECOND);
        let buckets: Vec<_> = waits.buckets().collect();
        assert!(buckets[0].0.contains(&(3 * SECOND)) && buckets[0].1 == 1);
        assert_eq!(buckets.len(), 1);
    });
}

#[test]
#[should_panic(expected = "no resources at all")]
fn a_pool_of_nothing_is_refused() {
    let _ = ResourcePool::<u8>::new(0, || Ok(1));
}

/// What is in it must be sent; the pool and its guards go wherever that goes.
#[test]
fn pools_and_guards_are_as_sendable_as_what_they_lend() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    fn future<F: Future + Send + 'static>(_: F) {}
    send::<ResourcePool<std::cell::Cell<u8>>>();
    sync::<ResourcePool<std::cell::Cell<u8>>>();
    send::<Pooled<std::cell::Cell<u8>>>();
    sync::<Pooled<u8>>();
    future(ResourcePool::<std::cell::Cell<u8>>::new(1, || Ok(std::cell::Cell::new(1))).get_async());
}
