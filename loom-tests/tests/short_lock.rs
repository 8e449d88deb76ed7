//! A model of the short lock, which the models of queues replace by a mutex.
//!
//! With three threads two of them could yield to each other for ever, which loom would explore.

mod beside;

use beside::beside;
use latchwork::model::ShortCounter;
use latchwork_loom_tests::model;
use std::sync::Arc;

#[test]
fn two_threads() {
    model("short lock: two threads count, and nothing is lost", || {
        let counter = Arc::new(ShortCounter::new());
        let thrice = |counter: &Arc<ShortCounter>| [(); 3].map(|()| counter.increment());
        let other = beside(&counter, thrice);
        let mut seen = [thrice(&counter), other.join().unwrap()].concat();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
        assert_eq!(counter.count(), 6);
    });
}
