//! What it costs to wait, and what happens where something is missing.

use super::child::sandbox;
use super::mutex::{Mutex, lock};
use super::*;

#[test]
fn more_words_than_fit_are_all_heard() {
    within(LIMIT, "many", || in_child(|| changes_are_heard(300)));
}

#[test]
fn without_the_call_changes_are_heard_nevertheless() {
    within(LIMIT, "no waitv", || {
        in_child(|| {
            if !sandbox(&[libc::SYS_futex_waitv], libc::ENOSYS) {
                eprintln!("skipped: no seccomp filters here");
                return;
            }
            changes_are_heard(20);
            assert_eq!(shared_futex::width(), 0, "it is known that there is none");
        });
    });
}

/// Changes so many words while the thread sleeps, and wakes nobody; it is heard before a slice is over.
fn changes_are_heard(n: usize) {
    loop {
        let words = words(n);
        let wait = |word| register(word, 0, LONGEST, Waker::noop()).unwrap();
        let mut places: Vec<_> = words.iter().map(wait).collect();
        until(|| is_asleep() && child::is_thread_asleep("latchwork-ipc"));
        words
            .iter()
            .for_each(|word| word.store(1, Ordering::SeqCst));
        let mut heard = 0;
        for place in &mut places {
            until(|| match place.ended(Waker::noop()) {
                Some(ended) => {
                    heard += usize::from(ended == Ended::Woken);
                    true
                }
                None => false,
            });
        }
        // Where this process was stopped for so long, slices were over before.
        if heard > n / 2 {
            return;
        }
    }
}

#[test]
fn without_a_thread_whoever_polls_sleeps_itself() {
    within(LIMIT, "no thread", || {
        in_child(|| {
            let door = word();
            Mutex::lock(door);
            let other = Child::new(|| {
                child::until_told();
                Mutex::unlock(door);
            });
            if !sandbox(&[libc::SYS_clone, libc::SYS_clone3], libc::EAGAIN) {
                eprintln!("skipped: no seccomp filters here");
                return;
            }
            let mut waiting = lock(door);
            let (waker, count) = counter();
            let began = child::cpu_time();
            for n in 1..=20 {
                assert!(poll(&mut waiting, &waker).is_pending());
                assert_eq!(count.get(), n, "it asks to be polled again");
            }
            let used = child::cpu_time() - began;
            assert!(used < Duration::from_millis(15), "it slept: {used:?}");
            other.tell();
            until(|| poll(&mut waiting, &waker).is_ready());
            other.join();
        });
    });
}

#[test]
fn a_process_in_which_nobody_waits_uses_no_processor_time() {
    within(LIMIT, "idle", || {
        in_child(|| {
            let word = word();
            drop(asleep_on(word, Waker::noop()));
            until(|| sleepers().state.lock().thread == Thread::Asleep { until: None });
            let before = child::switches("latchwork-ipc");
            std::thread::sleep(Duration::from_secs(1));
            // It goes to sleep once, perhaps, after what has been looked at above.
            let woken = child::switches("latchwork-ipc") - before;
            assert!(woken <= 1, "woken {woken} times");
        });
    });
}

#[test]
fn a_wait_costs_a_look_every_50_ms() {
    within(LIMIT, "waiting", || {
        in_child(|| {
            let door = word();
            Mutex::lock(door);
            let _helper = std::thread::spawn(|| block_on(lock(door)));
            until(|| door.load(Ordering::SeqCst) == 2);
            std::thread::sleep(Duration::from_millis(200));
            let before = (child::switches("latchwork-ipc"), child::cpu_time());
            std::thread::sleep(Duration::from_millis(500));
            let woken = child::switches("latchwork-ipc") - before.0;
            assert!((1..=40).contains(&woken), "woken {woken} times");
            let used = child::cpu_time() - before.1;
            assert!(used < Duration::from_millis(10), "{used:?}");
        });
    });
}
