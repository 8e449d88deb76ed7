//! Models of the condition that processes share, each named after the hazard it explores.
//!
//! A modelled process is a thread; slices end only when somebody dies, so in the models without a
//! death a lost wake-up leaves somebody asleep and loom reports it.

#![cfg(loom)]

use latchwork::shm_models::ConditionModel;
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;

const FOR_EVER: u32 = u32::MAX;

/// Items under the condition's lock: who waits, waits for one.
struct Basket {
    condition: ConditionModel,
    items: AtomicUsize,
}

impl Basket {
    fn new() -> Arc<Basket> {
        Arc::new(Basket {
            condition: ConditionModel::new(),
            items: AtomicUsize::new(0),
        })
    }

    fn put(&self, who: u32) {
        self.condition.lock(who);
        self.items.fetch_add(1, Relaxed);
        self.condition.unlock();
    }

    fn take(&self, who: u32) {
        self.condition.lock(who);
        while self.items.load(Relaxed) == 0 {
            assert!(self.condition.wait(who, FOR_EVER));
        }
        self.items.fetch_sub(1, Relaxed);
        self.condition.unlock();
    }

    /// Calls `wait`, which gives the lock up, if there is nothing.
    fn if_empty(&self, who: u32, wait: impl FnOnce(&ConditionModel)) {
        self.condition.lock(who);
        if self.items.load(Relaxed) == 0 {
            wait(&self.condition);
        } else {
            self.condition.unlock();
        }
    }
}

fn spawn(
    basket: &Arc<Basket>,
    work: impl FnOnce(&Basket) + Send + 'static,
) -> thread::JoinHandle<()> {
    let basket = basket.clone();
    thread::spawn(move || work(&basket))
}

#[test]
fn a_notification_meets_a_waiter_on_its_way_to_sleep() {
    model(
        "ipc condition: a notification meets a waiter on its way to sleep",
        || {
            let basket = Basket::new();
            let taker = spawn(&basket, |basket| basket.take(1));
            basket.put(0);
            basket.condition.notify(0, 1);
            taker.join().unwrap();
            assert_eq!(basket.condition.waiters(), 0);
        },
    );
}

#[test]
fn two_notifications_are_for_two() {
    model("ipc condition: two notifications are for two", || {
        let basket = Basket::new();
        let takers = [1, 2].map(|who| spawn(&basket, move |basket| basket.take(who)));
        for _ in 0..2 {
            basket.put(0);
            basket.condition.notify(0, 1);
        }
        for taker in takers {
            taker.join().unwrap();
        }
    });
}

#[test]
fn a_notification_is_not_lost_with_one_who_gives_up() {
    model(
        "ipc condition: a notification is not lost with one who gives up",
        || {
            let basket = Basket::new();
            let impatient = spawn(&basket, |basket| {
                basket.if_empty(1, |condition| {
                    let is_notified = condition.wait(1, 0);
                    condition.unlock();
                    if is_notified {
                        condition.notify(1, 1);
                    }
                });
            });
            let taker = spawn(&basket, |basket| basket.take(2));
            basket.put(0);
            basket.condition.notify(0, 1);
            impatient.join().unwrap();
            taker.join().unwrap();
        },
    );
}

#[test]
fn a_notification_is_not_lost_with_one_who_is_dropped() {
    model(
        "ipc condition: a notification is not lost with one who is dropped",
        || {
            let basket = Basket::new();
            let dropped = spawn(&basket, |basket| {
                basket.if_empty(1, |condition| condition.wait_and_drop(1));
            });
            let taker = spawn(&basket, |basket| basket.take(2));
            basket.put(0);
            basket.condition.notify(0, 1);
            dropped.join().unwrap();
            taker.join().unwrap();
        },
    );
}

#[test]
fn what_a_killed_waiter_was_notified_of_reaches_another() {
    model(
        "ipc condition: what a killed waiter was notified of reaches another",
        || {
            let basket = Basket::new();
            let victim = spawn(&basket, |basket| {
                basket.if_empty(1, |condition| condition.wait_and_die(1));
            });
            let taker = spawn(&basket, |basket| basket.take(2));
            basket.put(0);
            basket.condition.notify(0, 1);
            // The victim's own sleep ends, too, if the notification was for the other.
            basket.condition.time_passes();
            victim.join().unwrap();
            taker.join().unwrap();
        },
    );
}

#[test]
fn a_notifier_killed_before_its_wake_up_strands_nobody() {
    model(
        "ipc condition: a notifier killed before its wake-up strands nobody",
        || {
            let basket = Basket::new();
            let taker = spawn(&basket, |basket| basket.take(1));
            basket.put(0);
            basket.condition.notify_and_die(0, 1);
            taker.join().unwrap();
        },
    );
}

#[test]
fn a_notifier_killed_inside_strands_nobody() {
    model(
        "ipc condition: a notifier killed inside strands nobody",
        || {
            let basket = Basket::new();
            let taker = spawn(&basket, |basket| basket.take(1));
            basket.put(0);
            basket.condition.half_notify_and_die(0);
            taker.join().unwrap();
        },
    );
}
