//! Models of the thread that sleeps for futures, each named after the hazard it explores.
//!
//! The lock is the real one of `shm::word`; a modelled process is a thread, and those who poll are in one
//! process with the thread that sleeps for them. There is no time in a model, so a lost wake-up
//! leaves somebody asleep for ever and loom reports it.

#![cfg(loom)]

use latchwork::shm_models::{Outcome, Tree, sleepers};
use latchwork_loom_tests::model;
use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

fn spawn(tree: &Arc<Tree>, work: impl FnOnce(&Tree) + Send + 'static) -> thread::JoinHandle<()> {
    let tree = tree.clone();
    thread::spawn(move || work(&tree))
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Two locks, side by side: what the thread does depends on the order of their addresses.
struct Trees(Arc<[Tree; 2]>);

impl Trees {
    fn locked() -> Trees {
        let trees = [0; 2].map(|_| Tree::new());
        for tree in &trees {
            assert_eq!(tree.lock(0), Outcome::Consistent);
        }
        Trees(Arc::new(trees))
    }

    /// One for each, that has to wait.
    fn futures(&self) -> [Pin<Box<impl Future<Output = Outcome>>>; 2] {
        self.0.each_ref().map(|tree| {
            let mut future = Box::pin(sleepers::lock(tree, 2));
            assert!(poll_once(future.as_mut()).is_pending());
            future
        })
    }

    fn spawn(&self, work: impl FnOnce(&[Tree; 2]) + Send + 'static) -> thread::JoinHandle<()> {
        let trees = self.0.clone();
        thread::spawn(move || work(&trees))
    }
}

#[test]
fn a_registration_is_made_while_the_thread_is_about_to_sleep() {
    model(
        "ipc sleepers: a registration is made while the thread is about to sleep",
        || {
            let tree = Arc::new(Tree::new());
            tree.lock(0);
            {
                // The thread starts for this one, and finds nothing to do.
                let early = pin!(sleepers::lock(&tree, 2));
                assert!(poll_once(early).is_pending());
            }
            let other = spawn(&tree, |tree| {
                assert_eq!(block_on(sleepers::lock(tree, 1)), Outcome::Consistent);
                tree.unlock(true);
            });
            tree.unlock(true);
            other.join().unwrap();
            assert!(tree.is_free());
            sleepers::end();
        },
    );
}

#[test]
fn a_wake_up_meets_a_future_that_is_dropped() {
    model(
        "ipc sleepers: a wake up meets a future that is dropped",
        || {
            let tree = Arc::new(Tree::new());
            tree.lock(0);
            {
                let mut given_up = Box::pin(sleepers::lock(&tree, 2));
                assert!(poll_once(given_up.as_mut()).is_pending());
                // Of another process.
                let other = spawn(&tree, |tree| {
                    assert_eq!(tree.lock(1), Outcome::Consistent);
                    tree.unlock(true);
                });
                tree.unlock(true);
                drop(given_up);
                other.join().unwrap();
            }
            assert!(tree.is_free());
            sleepers::end();
        },
    );
}

#[test]
fn two_words_are_woken_during_one_sleep() {
    model("ipc sleepers: two words are woken during one sleep", || {
        let trees = Trees::locked();
        let [one, two] = trees.futures();
        // Of another process.
        let other = trees.spawn(|[_, second]| second.unlock(true));
        trees.0[0].unlock(true);
        assert_eq!(block_on(one), Outcome::Consistent);
        assert_eq!(block_on(two), Outcome::Consistent);
        other.join().unwrap();
        sleepers::end();
    });
}

#[test]
fn two_words_are_woken_during_one_sleep_for_nobody_here() {
    model(
        "ipc sleepers: two words are woken during one sleep for nobody here",
        || {
            let trees = Trees::locked();
            let futures = trees.futures();
            // Of another process.
            let other = trees.spawn(|[first, second]| {
                assert_eq!(first.lock(1), Outcome::Consistent);
                assert_eq!(second.lock(1), Outcome::Consistent);
            });
            trees.0.iter().for_each(|tree| tree.unlock(true));
            drop(futures);
            other.join().unwrap();
            sleepers::end();
        },
    );
}

#[test]
fn two_futures_compete_for_one_wake_up() {
    model("ipc sleepers: two futures compete for one wake up", || {
        let tree = Arc::new(Tree::new());
        tree.lock(0);
        let futures = [1, 2].map(|who| {
            let mut future = Box::pin(sleepers::lock(&tree, who));
            assert!(poll_once(future.as_mut()).is_pending());
            future
        });
        // Of another process.
        let other = spawn(&tree, |tree| tree.unlock(true));
        for future in futures {
            assert_eq!(block_on(future), Outcome::Consistent);
            tree.unlock(true);
        }
        other.join().unwrap();
        assert!(tree.is_free());
        sleepers::end();
    });
}

#[test]
fn an_owner_is_killed_while_a_future_waits() {
    model(
        "ipc sleepers: an owner is killed while a future waits",
        || {
            let tree = Arc::new(Tree::new());
            tree.lock(3);
            let heir = spawn(&tree, |tree| {
                assert_eq!(block_on(sleepers::lock(tree, 1)), Outcome::OwnerDied);
                tree.unlock(true);
            });
            tree.die(3);
            heir.join().unwrap();
            sleepers::end();
        },
    );
}
