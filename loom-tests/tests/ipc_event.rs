//! Models of the event that processes share, each named after the hazard it explores.
//!
//! A modelled process is a thread; slices end only when somebody dies, so in the models without a
//! death a lost wake-up leaves somebody asleep and loom reports it.

#![cfg(loom)]

use latchwork::shm_models::EventModel;
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::thread;

const FOR_EVER: u32 = u32::MAX;

fn spawn(
    event: &Arc<EventModel>,
    work: impl FnOnce(&EventModel) + Send + 'static,
) -> thread::JoinHandle<()> {
    let event = event.clone();
    thread::spawn(move || work(&event))
}

#[test]
fn a_set_meets_waiters_on_their_way_to_sleep() {
    model(
        "ipc event: a set meets waiters on their way to sleep",
        || {
            let event = Arc::new(EventModel::new());
            let others =
                [1, 2].map(|who| spawn(&event, move |event| assert!(event.wait(who, FOR_EVER))));
            assert!(event.set(0));
            for other in others {
                other.join().unwrap();
            }
        },
    );
}

#[test]
fn a_waiter_is_released_though_the_flag_is_taken_down_at_once() {
    model(
        "ipc event: a waiter is released though the flag is taken down at once",
        || {
            let event = Arc::new(EventModel::new());
            let waiter = spawn(&event, |event| {
                event.wait(1, 2);
            });
            assert!(event.set(0));
            assert!(event.clear(0));
            // Who came too late for the first is there for the second.
            assert!(event.set(0));
            assert!(event.wait(0, 0));
            waiter.join().unwrap();
        },
    );
}

#[test]
fn a_setter_killed_before_its_wake_up_strands_nobody() {
    model(
        "ipc event: a setter killed before its wake up strands nobody",
        || {
            let event = Arc::new(EventModel::new());
            let waiter = spawn(&event, |event| assert!(event.wait(1, FOR_EVER)));
            event.set_and_die(0);
            waiter.join().unwrap();
        },
    );
}

#[test]
fn a_killed_waiter_takes_no_wake_up_along() {
    model("ipc event: a killed waiter takes no wake up along", || {
        let event = Arc::new(EventModel::new());
        let victim = spawn(&event, |event| {
            event.wait(1, 1);
            event.die(1);
        });
        let waiter = spawn(&event, |event| assert!(event.wait(2, FOR_EVER)));
        assert!(event.set(0));
        victim.join().unwrap();
        waiter.join().unwrap();
    });
}
