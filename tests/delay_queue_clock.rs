//! A delay queue that was made on a driven clock and is used by the machine's. Alone in its process, because
//! nothing else may have started the thread that rings.

mod common;

use latchwork::queue::{DelayQueue, Delayed};
use latchwork::time::{ManualClock, Timer};
use std::time::Duration;

#[test]
fn items_become_due_by_the_machines_clock() {
    common::watchdog(Duration::from_secs(60), "by_the_machines_clock", || {
        let clock = ManualClock::new();
        let queue = clock.run(DelayQueue::unbounded);
        let soon = Delayed::after(Duration::from_millis(20), 1);
        queue.put(soon).unwrap();
        assert_eq!(queue.get().unwrap().item, 1);
        // A reset to what is earlier ends the thread's sleep, and nothing else does here.
        let timer = Timer::after(Duration::from_secs(3600), || 2);
        std::thread::sleep(Duration::from_millis(20));
        assert!(timer.reset(Duration::from_millis(1)));
        let rung = timer.join_within(Duration::from_secs(20)).unwrap();
        assert_eq!(rung.unwrap(), 2);
    });
}
