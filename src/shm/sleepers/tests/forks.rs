//! What becomes of waits in a forked child.

use super::mutex::{Mutex, lock};
use super::*;

#[test]
fn a_forked_child_goes_on_with_what_its_thread_waits_for() {
    within(LIMIT, "fork", || {
        in_child(|| {
            let words = words(3);
            let [mine, others, new] = [0, 1, 2].map(|n| &words[n]);
            let (waker, count) = counter();
            let mut my_place = asleep_on(mine, &waker);
            let (other_waker, other_count) = counter();
            let helper = {
                let other_waker = other_waker.clone();
                std::thread::spawn(move || register(others, 0, LONGEST, &other_waker).unwrap())
            };
            let mut other_place = helper.join().unwrap();
            let child = Child::new(|| {
                until(|| count.get() > 0);
                assert!(my_place.ended(&waker).is_some());
                // Nobody is told for the thread that is not here; whoever polls goes on.
                assert_eq!(other_count.get(), 0);
                assert_eq!(other_place.ended(&other_waker), Some(Ended::Woken));
                let (waker, count) = counter();
                let mut place = asleep_on(new, &waker);
                until(|| count.get() > 0);
                assert!(place.ended(&waker).is_some());
            });
            child.join();
            // The parent has lost nothing.
            until(|| count.get() > 0 && other_count.get() > 0);
            drop((my_place, other_place));
            let (waker, count) = counter();
            let _place = asleep_on(new, &waker);
            until(|| count.get() > 0);
        });
    });
}

#[test]
fn forks_at_any_moment_leave_a_whole_registry() {
    within(LIMIT, "forks", || {
        in_child(|| {
            let door = word();
            let is_over = AtomicU32::new(0);
            std::thread::scope(|scope| {
                let goes_on = || is_over.load(Ordering::SeqCst) == 0;
                for _ in 0..2 {
                    scope.spawn(move || {
                        while goes_on() {
                            block_on(lock(door));
                            Mutex::unlock(door);
                            (0..50).for_each(|_| drop(register(door, 0, LONGEST, Waker::noop())));
                        }
                    });
                }
                for _ in 0..50 {
                    let own = word();
                    Child::new(|| {
                        // The threads that hold the door may not be here.
                        Mutex::lock(own);
                        let mut waiting = lock(own);
                        let (waker, count) = counter();
                        assert!(poll(&mut waiting, &waker).is_pending());
                        Mutex::unlock(own);
                        until(|| count.get() > 0);
                        until(|| poll(&mut waiting, &waker).is_ready());
                    })
                    .join();
                }
                is_over.store(1, Ordering::SeqCst);
            });
        });
    });
}
