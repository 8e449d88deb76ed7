//! `sync::Lock`: guards of a part, guards that share the lock, and no guards at all (rows T56-T61).

mod common;

use common::{until_parked, watchdog};
use latchwork::sync::{
    Condition, Lock, LockGuard, MappedLockGuard, MappedTaskLockGuard, NotLocked, OwnedLockGuard,
    OwnedTaskLockGuard, TaskLockGuard,
};
use latchwork::{CancelToken, GaveUp, debug};
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_part_keeps_the_whole_locked() {
    let lock = Lock::new((1, vec![2, 3]));
    let list = LockGuard::map(lock.lock(), |pair| &mut pair.1);
    assert_eq!((list.len(), format!("{list:?}")), (2, "[2, 3]".into()));
    assert!(lock.try_lock().is_none());
    let mut last = MappedLockGuard::map(list, |list| list.last_mut().unwrap());
    *last = 4;
    assert!(lock.try_lock().is_none());
    drop(last);
    assert_eq!(
        *lock.try_lock().expect("freed with its part"),
        (1, vec![2, 4])
    );
}

#[test]
fn a_part_that_is_not_there_gives_the_guard_back() {
    watchdog(
        LIMIT,
        "a_part_that_is_not_there_gives_the_guard_back",
        || {
            let lock = Lock::new((Some(1), None::<i32>));
            let whole = LockGuard::filter_map(lock.lock(), |pair| pair.1.as_mut()).unwrap_err();
            assert!(whole.0.is_some() && lock.is_locked());
            let part = LockGuard::filter_map(whole, |pair| pair.0.as_mut()).unwrap();
            let part = MappedLockGuard::filter_map(part, |_| None::<&mut u8>).unwrap_err();
            assert!(lock.is_locked());
            let mut part = MappedLockGuard::filter_map(part, |n| Some(n)).unwrap();
            *part += 1;
            assert!(lock.is_locked());
            drop(part);
            assert_eq!(*lock.try_lock().expect("freed"), (Some(2), None));
        },
    );
}

#[test]
fn a_panic_while_mapping_frees_the_lock() {
    watchdog(LIMIT, "a_panic_while_mapping_frees_the_lock", || {
        let lock = Lock::new((1, 2));
        type Pair = (i32, i32);
        let ways: [fn(LockGuard<'_, Pair>); 4] = [
            |guard| {
                drop(LockGuard::map(guard, |_| -> &mut i32 {
                    panic!("on purpose")
                }))
            },
            |guard| {
                drop(LockGuard::filter_map(guard, |_| -> Option<&mut i32> {
                    panic!("on purpose")
                }))
            },
            |guard| {
                let part = LockGuard::map(guard, |pair| &mut pair.0);
                drop(MappedLockGuard::map(part, |_| -> &mut i32 {
                    panic!("on purpose")
                }));
            },
            |guard| {
                let part = LockGuard::map(guard, |pair| &mut pair.0);
                drop(MappedLockGuard::filter_map(part, |_| -> Option<&mut i32> {
                    panic!("on purpose")
                }));
            },
        ];
        for way in ways {
            let caught = panic::catch_unwind(AssertUnwindSafe(|| way(lock.lock())));
            assert!(caught.is_err());
            assert!(!lock.is_locked());
        }
    });
}

#[test]
fn dropping_a_part_wakes_who_waits_for_the_whole() {
    watchdog(LIMIT, "dropping_a_part_wakes", || {
        let lock = Lock::new((0, 0));
        let part = LockGuard::map(lock.lock(), |pair| &mut pair.1);
        thread::scope(|s| {
            let waiter = s.spawn(|| lock.lock().0 += 1);
            until_parked("Lock", &lock, 1);
            drop(part);
            waiter.join().unwrap();
        });
    });
}

#[test]
fn a_tasks_part_moves_between_threads() {
    watchdog(LIMIT, "a_tasks_part_moves_between_threads", || {
        let lock = Lock::new((Rc::new(()), 1));
        // The whole stays here, its lock cannot be shared; the part is a number.
        let whole = common::block_on(lock.lock_async());
        let part: MappedTaskLockGuard<'_, i32> = LockGuard::map(whole, |pair| &mut pair.1);
        thread::scope(|s| {
            s.spawn(move || {
                let mut part = MappedLockGuard::filter_map(part, |n| Some(n)).unwrap();
                *part += 1;
            });
        });
        assert_eq!(lock.try_lock().expect("freed by another thread").1, 2);
    });
}

#[test]
fn an_owned_guard_keeps_the_lock_alive() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let lock = Arc::new(Lock::new(Dropped(Arc::clone(&drops))));
    let guard: OwnedLockGuard<Dropped> = lock.lock_owned();
    assert!(lock.is_locked() && lock.try_lock_owned().is_none());
    drop(lock);
    assert_eq!(guard.0.load(Ordering::Relaxed), 0);
    drop(guard);
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

#[test]
fn owned_guards_refuse_time_out_and_are_cancelled() {
    watchdog(LIMIT, "owned_guards_refuse", || {
        let lock: Arc<Lock<[i32]>> = Arc::new(Lock::new([1, 2]));
        let mut held = lock.try_lock_owned().expect("free");
        held[0] = 3;
        assert_eq!(format!("{held:?}"), "[3, 2]");
        let token = CancelToken::new();
        thread::scope(|s| {
            let late = s.spawn(|| {
                assert!(lock.try_lock_owned().is_none());
                lock.lock_owned_within(Duration::from_millis(5)).map(drop)
            });
            assert_eq!(late.join().unwrap(), Err(GaveUp::TimedOut));
            let waiter = s.spawn(|| lock.lock_owned_within(&token).map(drop));
            until_parked("Lock", &*lock, 1);
            token.cancel();
            assert_eq!(waiter.join().unwrap(), Err(GaveUp::Cancelled));
            until_parked("Lock", &*lock, 0);
            let waiter = s.spawn(|| lock.lock_owned()[1] = 4);
            until_parked("Lock", &*lock, 1);
            drop(held);
            waiter.join().unwrap();
        });
        let guard = lock.lock_owned_within(Duration::ZERO).expect("free");
        assert_eq!(*guard, [3, 4]);
        drop(guard);
        assert_eq!(Arc::strong_count(&lock), 1, "nobody keeps it who gave up");
    });
}

#[test]
fn a_spawned_task_keeps_an_owned_guard() {
    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> thread::JoinHandle<T> {
        thread::spawn(|| common::block_on(task))
    }
    watchdog(LIMIT, "a_spawned_task_keeps_an_owned_guard", || {
        let lock = Arc::new(Lock::new(Cell::new(1)));
        let held = lock.lock();
        let (file, line) = (file!(), line!() + 1);
        let future = lock.lock_owned_async();
        let task = spawn(async move {
            let guard: OwnedTaskLockGuard<Cell<i32>> = future.await;
            guard.set(guard.get() + 1);
            guard
        });
        until_parked("Lock", &*lock, 1);
        let here = std::ptr::from_ref(&*lock).addr();
        let wait = debug::waits().into_iter().find(|wait| wait.address == here);
        let place = wait.expect("it waits").place;
        assert_eq!((place.file(), place.line()), (file, line));
        drop(held);
        let guard = task.join().unwrap();
        assert!(lock.try_lock().is_none());
        thread::spawn(move || drop(guard)).join().unwrap();
        assert_eq!(lock.try_lock().expect("freed").get(), 2);
    });
}

#[test]
fn a_dropped_owned_future_leaves_nothing_behind() {
    watchdog(LIMIT, "a_dropped_owned_future", || {
        let lock = Arc::new(Lock::new(()));
        drop(lock.lock_owned_async());
        for granted in [false, true] {
            let held = lock.lock();
            let mut future = Box::pin(lock.lock_owned_async());
            assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
            until_parked("Lock", &*lock, 1);
            if granted {
                // Long enough to be overdue; time is what a handoff depends on.
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_millis(2) {}
                drop(held);
                assert!(lock.is_locked(), "handed over");
                drop(future);
            } else {
                drop(future);
                drop(held);
            }
            until_parked("Lock", &*lock, 0);
            assert!(lock.try_lock().is_some());
        }
        assert_eq!(Arc::strong_count(&lock), 1);
    });
}

#[test]
fn unlocked_lets_others_in_and_takes_the_lock_again() {
    watchdog(LIMIT, "unlocked_lets_others_in", || {
        let lock = Lock::new(1);
        let mut guard = lock.lock();
        let said = LockGuard::unlocked(&mut guard, || {
            thread::scope(|s| s.spawn(|| *lock.lock() += 1).join().unwrap());
            "said"
        });
        assert_eq!((said, *guard), ("said", 2));
        assert!(lock.try_lock().is_none());

        // Somebody has it when `f` ends: waits, and says where.
        let (lock, (taken, is_taken)) = (&lock, mpsc::channel());
        thread::scope(|s| {
            let (file, line) = (file!(), line!() + 1);
            LockGuard::unlocked(&mut guard, || {
                s.spawn(move || {
                    let mut other = lock.lock();
                    taken.send(()).unwrap();
                    until_parked("Lock", lock, 1);
                    let here = std::ptr::from_ref(lock).addr();
                    let wait = debug::waits().into_iter().find(|wait| wait.address == here);
                    let place = wait.expect("it waits").place;
                    assert_eq!((place.file(), place.line()), (file, line));
                    *other += 1;
                });
                is_taken.recv().unwrap();
            });
        });
        assert_eq!(*guard, 3);
    });
}

#[test]
fn unlocked_takes_the_lock_again_after_a_panic() {
    let lock = Lock::new(1);
    let mut guard = lock.lock();
    let caught = panic::catch_unwind(AssertUnwindSafe(|| {
        LockGuard::unlocked(&mut guard, || {
            assert!(lock.try_lock().is_some(), "free meanwhile");
            panic!("on purpose");
        });
    }));
    assert!(caught.is_err());
    assert!(lock.try_lock().is_none(), "ours again");
    *guard += 1;
    drop(guard);
    assert_eq!(*lock.try_lock().expect("freed once"), 2);
}

#[test]
fn unlocked_with_nothing_to_do_lets_the_overdue_go_first() {
    watchdog(LIMIT, "unlocked_lets_the_overdue_go_first", || {
        let lock = Lock::new(0);
        thread::scope(|s| {
            let mut guard = lock.lock();
            s.spawn(|| *lock.lock() += 1);
            until_parked("Lock", &lock, 1);
            let here = std::ptr::from_ref(&lock).addr();
            let overdue =
                |wait: &debug::Wait| wait.address == here && wait.waited > Duration::from_millis(2);
            while !debug::waits().iter().any(overdue) {}
            LockGuard::unlocked(&mut guard, || ());
            assert_eq!(*guard, 1, "handed over, not overtaken");
        });
    });
}

#[test]
fn acquire_and_release_need_no_guard() {
    watchdog(LIMIT, "acquire_and_release_need_no_guard", || {
        static DOOR: Lock<()> = Lock::new(());
        DOOR.acquire();
        assert!(DOOR.is_locked());
        assert!(!DOOR.try_acquire());
        assert!(DOOR.try_lock().is_none());
        assert_eq!(DOOR.acquire_within(Duration::ZERO), Err(GaveUp::TimedOut));
        assert_eq!(format!("{DOOR:?}"), "Lock { owner: a task }");
        // Any thread may.
        thread::spawn(|| DOOR.release().unwrap()).join().unwrap();
        assert!(!DOOR.is_locked());
        assert_eq!(DOOR.release(), Err(NotLocked));
        assert_eq!(
            NotLocked.to_string(),
            "nobody has acquired the lock to be released"
        );
        assert!(DOOR.try_acquire() && DOOR.is_locked());
        DOOR.release().unwrap();
        DOOR.acquire_within(Duration::ZERO).unwrap();
        DOOR.release().unwrap();
        common::block_on(DOOR.acquire_async());
        assert!(DOOR.is_locked());
        DOOR.release().unwrap();
        drop(
            DOOR.try_lock()
                .expect("guards and bare forms find each other's word in order"),
        );
    });
}

#[test]
fn release_never_frees_what_a_guard_holds() {
    let door = Lock::new(());
    let held = door.lock();
    thread::scope(|s| {
        s.spawn(|| assert_eq!(door.release(), Err(NotLocked)))
            .join()
            .unwrap()
    });
    assert!(door.try_lock().is_none() && !door.try_acquire());
    drop(held);
    let task = common::block_on(door.lock_async());
    assert_eq!(door.release(), Err(NotLocked));
    drop(task);
    assert!(door.try_acquire());
    assert_eq!((door.release(), door.release()), (Ok(()), Err(NotLocked)));
    drop(door.try_lock().expect("what was bare is forgotten"));
    assert_eq!(door.release(), Err(NotLocked));
}

#[test]
fn each_release_lets_one_waiter_through() {
    watchdog(LIMIT, "each_release_lets_one_waiter_through", || {
        let door = Lock::new(());
        let (through, came) = mpsc::channel();
        door.acquire();
        thread::scope(|s| {
            for n in 0..3 {
                let (door, through) = (&door, through.clone());
                s.spawn(move || {
                    match n {
                        0 => door.acquire(),
                        1 => door.acquire_within(LIMIT).unwrap(),
                        _ => common::block_on(door.acquire_async()),
                    }
                    // Not given back: the next must wait for the next release.
                    through.send(()).unwrap();
                });
                until_parked("Lock", door, n + 1);
            }
            for left in (0..3).rev() {
                door.release().unwrap();
                came.recv().unwrap();
                until_parked("Lock", &door, left);
                assert!(came.try_recv().is_err(), "one release, one waiter");
                assert!(door.is_locked());
            }
        });
        door.release().unwrap();
        assert_eq!(door.release(), Err(NotLocked));
    });
}

#[test]
fn a_bare_waiter_that_gives_up_leaves_the_lock_alone() {
    watchdog(LIMIT, "a_bare_waiter_that_gives_up", || {
        let (door, token) = (Lock::new(()), CancelToken::new());
        door.acquire();
        thread::scope(|s| {
            let waiter = s.spawn(|| door.acquire_within(&token));
            until_parked("Lock", &door, 1);
            let mut future = Box::pin(door.acquire_async());
            assert!(common::poll(future.as_mut(), Waker::noop()).is_pending());
            until_parked("Lock", &door, 2);
            drop(future);
            token.cancel();
            assert_eq!(waiter.join().unwrap(), Err(GaveUp::Cancelled));
        });
        until_parked("Lock", &door, 0);
        door.release().unwrap();
        let mut future = Box::pin(door.acquire_async());
        assert_eq!(
            common::poll(future.as_mut(), Waker::noop()),
            Poll::Ready(())
        );
    });
}

#[test]
fn a_condition_takes_whole_guards_of_both_kinds() {
    watchdog(LIMIT, "a_condition_takes_whole_guards", || {
        let (lock, changed) = (Lock::new(0), Condition::new());
        thread::scope(|s| {
            s.spawn(|| changed.wait_while(&mut lock.lock(), |n| *n < 1));
            s.spawn(|| {
                common::block_on(async {
                    let guard: TaskLockGuard<'_, i32> = lock.lock_async().await;
                    drop(changed.wait_async(guard).await);
                });
            });
            until_parked("Condition", &changed, 2);
            *lock.lock() += 1;
            assert_eq!(changed.notify_all(), 2);
        });
    });
}

#[test]
fn markers_and_sizes_of_guards() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    type Part = MappedTaskLockGuard<'static, Cell<u8>>;
    // Shared, a guard is `&T`; moved, it is `&mut T`.
    is_sync::<LockGuard<'_, std::sync::MutexGuard<'_, u8>>>();
    is_sync::<MappedLockGuard<'_, u8>>();
    is_sync::<OwnedLockGuard<u8>>();
    is_sync::<OwnedTaskLockGuard<u8>>();
    is_send::<TaskLockGuard<'_, Cell<u8>>>();
    is_send::<OwnedTaskLockGuard<Cell<u8>>>();
    is_send::<Part>();
    let word = size_of::<usize>();
    assert_eq!(size_of::<LockGuard<'_, u8>>(), 2 * word);
    assert_eq!(size_of::<TaskLockGuard<'_, u8>>(), word);
    assert_eq!(size_of::<OwnedTaskLockGuard<u8>>(), word);
    assert_eq!(size_of::<Part>(), 2 * word);
}
