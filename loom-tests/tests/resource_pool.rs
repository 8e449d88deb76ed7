//! Models of `ResourcePool`. It waits through `Semaphore` and locks with `Lock`, which have models of their
//! own; these are about the rule by which both together keep the bound, and about closing.

use latchwork::pool::{GetError, Pooled, ResourcePool, TryGetError};
use latchwork_loom_tests::model;
use loom::thread;
use std::convert::Infallible;
use std::sync::Arc;
// Not loom's: it is read where no order is at stake, and would only multiply the orders to look at.
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts itself while it lives, and knows the most that have lived.
struct Counted(Arc<Count>);

#[derive(Default)]
struct Count {
    alive: AtomicUsize,
    most: AtomicUsize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

fn counting(capacity: usize) -> (ResourcePool<Counted, Infallible>, Arc<Count>) {
    let count = Arc::new(Count::default());
    let counted = Arc::clone(&count);
    let make = move || {
        let alive = counted.alive.fetch_add(1, Ordering::SeqCst) + 1;
        counted.most.fetch_max(alive, Ordering::SeqCst);
        Ok(Counted(Arc::clone(&counted)))
    };
    let pool = ResourcePool::builder(capacity, make).min_idle(1).build();
    (pool, count)
}

#[test]
fn one_returns_and_one_is_thrown_away() {
    model(
        "pool: more alive than there may be, or a getter left asleep",
        || {
            let (pool, count) = counting(1);
            let other = {
                let pool = pool.clone();
                thread::spawn(move || Pooled::discard(pool.get().unwrap()))
            };
            drop(pool.get().unwrap());
            other.join().unwrap();
            assert_eq!(count.most.load(Ordering::SeqCst), 1);
            let stats = pool.stats();
            assert_eq!((stats.in_use, stats.waiting), (0, 0));
            assert_eq!(stats.idle, count.alive.load(Ordering::SeqCst));
        },
    );
}

#[test]
fn making_in_advance_races_a_get() {
    model("pool: one made in advance, and one too many", || {
        let (pool, count) = counting(1);
        let other = {
            let pool = pool.clone();
            thread::spawn(move || pool.maintain().unwrap().made)
        };
        let lent = pool.try_get().is_ok();
        let made = other.join().unwrap();
        assert!(lent || made == 1, "each has kept the other from it");
        assert_eq!(count.most.load(Ordering::SeqCst), 1);
        assert_eq!(pool.stats().idle, 1);
    });
}

#[test]
fn a_return_races_a_close() {
    model("pool: kept idle after it was closed", || {
        let (pool, count) = counting(1);
        let one = pool.get().unwrap();
        let closer = {
            let pool = pool.clone();
            thread::spawn(move || assert!(pool.close()))
        };
        drop(one);
        closer.join().unwrap();
        assert!(matches!(pool.try_get(), Err(TryGetError::Closed)));
        assert!(pool.try_join());
        assert_eq!(count.alive.load(Ordering::SeqCst), 0);
        assert_eq!(pool.stats().idle, 0);
    });
}

#[test]
fn a_get_races_a_close() {
    model(
        "pool: a getter left asleep, or lent to after it was closed",
        || {
            let (pool, count) = counting(1);
            let getter = {
                let pool = pool.clone();
                thread::spawn(move || match pool.get() {
                    Ok(one) => drop(one),
                    Err(why) => assert_eq!(why, GetError::Closed),
                })
            };
            assert!(pool.close());
            assert!(matches!(pool.try_get(), Err(TryGetError::Closed)));
            pool.join();
            assert_eq!(count.alive.load(Ordering::SeqCst), 0);
            getter.join().unwrap();
        },
    );
}
