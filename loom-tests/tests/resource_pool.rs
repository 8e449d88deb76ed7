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
    let pool = ResourcePool::new(capacity, move || {
        let alive = counted.alive.fetch_add(1, Ordering::SeqCst) + 1;
        counted.most.fetch_max(alive, Ordering::SeqCst);
        Ok(Counted(Arc::clone(&counted)))
    });
    (pool, count)
}

#[test]
fn one_returns_and_one_is_thrown_away() {
    model(
        "pool: more alive than there may be, or a getter left asleep",
        || {
            let (pool, count) = counting(1);
            let others = [false, true].map(|throws_away| {
                let pool = pool.clone();
                thread::spawn(move || {
                    let one = pool.get().unwrap();
                    if throws_away {
                        Pooled::discard(one);
                    }
                })
            });
            drop(pool.get().unwrap());
            others.into_iter().for_each(|t| t.join().unwrap());
            assert_eq!(count.most.load(Ordering::SeqCst), 1);
            let stats = pool.stats();
            assert_eq!((stats.in_use, stats.waiting), (0, 0));
            assert_eq!(stats.idle, count.alive.load(Ordering::SeqCst));
        },
    );
}

#[test]
fn a_return_races_a_close() {
    model("pool: kept idle, or lent, after it was closed", || {
        let (pool, count) = counting(1);
        let one = pool.get().unwrap();
        let closer = {
            let pool = pool.clone();
            thread::spawn(move || assert!(pool.close()))
        };
        let getter = {
            let pool = pool.clone();
            thread::spawn(move || match pool.get() {
                Ok(one) => drop(one),
                Err(why) => assert_eq!(why, GetError::Closed),
            })
        };
        drop(one);
        closer.join().unwrap();
        assert!(matches!(pool.try_get(), Err(TryGetError::Closed)));
        getter.join().unwrap();
        pool.join();
        assert_eq!(count.alive.load(Ordering::SeqCst), 0);
        assert_eq!(pool.stats().idle, 0);
    });
}
