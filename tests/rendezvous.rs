//! `Queue::bounded(0)`: who meets whom.

mod common;

use common::{poll, watchdog};
use latchwork::debug;
use latchwork::queue::{PutError, Queue};
use std::pin::pin;
use std::task::Waker;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_try_put_does_not_overtake_a_putter_for_whom_a_getter_is_on_its_way() {
    watchdog(LIMIT, "a_try_put_does_not_overtake", || {
        for round in 0..50 {
            let queue = Queue::bounded(0);
            thread::scope(|s| {
                let line = line!() + 1;
                let getter = s.spawn(|| queue.get());
                let is_it = |wait: &debug::Wait| wait.place.line() == line;
                while !debug::waits().iter().any(is_it) {
                    thread::yield_now();
                }
                let mut put = pin!(queue.put_async("first"));
                let polled = poll(put.as_mut(), Waker::noop());
                // The getter has been called for what is held out; or it has taken it by now.
                assert_eq!(queue.try_put("second"), Err(PutError::Full("second")));
                assert_eq!(getter.join().unwrap(), Ok("first"), "round {round}");
                assert!(polled.is_ready() || poll(put.as_mut(), Waker::noop()).is_ready());
            });
        }
    });
}
