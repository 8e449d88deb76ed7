//! A delay queue that was made on a driven clock and is used by the machine's. Alone in its process, because
//! nothing else may have started the thread that rings.

mod common;

use latchwork::queue::{DelayQueue, Delayed};
use latchwork::time::ManualClock;
use std::time::Duration;

#[test]
fn items_become_due_by_the_machines_clock() {
    common::watchdog(Duration::from_secs(60), "by_the_machines_clock", || {
        let clock = ManualClock::new();
        let queue = clock.run(DelayQueue::unbounded);
        let soon = Delayed::after(Duration::from_millis(20), 1);
        queue.put(soon).unwrap();
        assert_eq!(queue.get().unwrap().item, 1);
    });
}
