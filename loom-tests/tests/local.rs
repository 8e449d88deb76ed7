//! Models of `Local`: a value ends with its thread or with its `Local`, once, and is nobody else's.

use latchwork::thread::Local;
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// A value that loom watches: looked at after its end, or by two, it is a race.
struct Watched {
    number: usize,
    cell: UnsafeCell<usize>,
    dropped: Arc<AtomicUsize>,
}

// SAFETY: looks only read; that nothing is written meanwhile is what loom checks.
unsafe impl Sync for Watched {}

impl Watched {
    fn new(number: usize, dropped: &Arc<AtomicUsize>) -> Watched {
        Watched {
            number,
            cell: UnsafeCell::new(number),
            dropped: dropped.clone(),
        }
    }

    fn look(&self) -> usize {
        // SAFETY: as above.
        let seen = self.cell.with(|cell| unsafe { *cell });
        assert_eq!(seen, self.number, "the value of another, or one that has ended");
        seen
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // SAFETY: as above.
        self.cell.with_mut(|cell| unsafe { *cell = usize::MAX });
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn ends_at_the_same_time() {
    model("local: dropped by its thread and by its Local, or by neither", || {
        let dropped = Arc::new(AtomicUsize::new(0));
        // std's Arc: loom's would synchronise what only the places should.
        let local = std::sync::Arc::new(Local::new());
        let threads: Vec<_> = (0..2)
            .map(|number| {
                let (local, dropped) = (local.clone(), dropped.clone());
                thread::spawn(move || {
                    local.get_or_init(|| Watched::new(number, &dropped)).look();
                    drop(local);
                })
            })
            .collect();
        drop(local);
        threads.into_iter().for_each(|it| it.join().unwrap());
        // The destructors of the threads may not have run yet: the last share tells.
        drop(dropped);
    });
}

#[test]
fn a_thread_ends_under_an_iterator() {
    model("local: a value is dropped under who goes through all of them", || {
        let dropped = Arc::new(AtomicUsize::new(0));
        let local = std::sync::Arc::new(Local::new());
        let thread = {
            let (local, dropped) = (local.clone(), dropped.clone());
            thread::spawn(move || {
                local.get_or_init(|| Watched::new(1, &dropped)).look();
            })
        };
        let seen: Vec<_> = local.iter().collect();
        thread.join().unwrap();
        assert!(seen.len() <= 1);
        if let Some(value) = seen.first() {
            assert_eq!(value.look(), 1);
            assert_eq!(dropped.load(Ordering::Relaxed), 0);
        }
        drop(seen);
        drop(local);
    });
}

#[test]
fn a_place_changes_hands() {
    model("local: a new thread sees, or drops, what one that ends has in the same place", || {
        let dropped = Arc::new(AtomicUsize::new(0));
        let local = std::sync::Arc::new(Local::new());
        let begin = |number| {
            let (local, dropped) = (local.clone(), dropped.clone());
            thread::spawn(move || {
                assert!(local.get().is_none());
                let value = local.get_or_init(|| Watched::new(number, &dropped));
                assert_eq!(value.look(), number);
                assert_eq!(local.get().unwrap().look(), number);
            })
        };
        let first = begin(1);
        let second = begin(2);
        first.join().unwrap();
        second.join().unwrap();
        drop(local);
    });
}

#[test]
fn changed_while_a_thread_ends() {
    model("local: a value is dropped while its Local's owner changes it", || {
        let dropped = Arc::new(AtomicUsize::new(0));
        let local = std::sync::Arc::new(Local::new());
        let thread = {
            let (local, dropped) = (local.clone(), dropped.clone());
            thread::spawn(move || {
                local.get_or_init(|| Watched::new(1, &dropped)).look();
                drop(local);
            })
        };
        thread.join().unwrap();
        let mut local = std::sync::Arc::into_inner(local).unwrap();
        for mut value in local.iter_mut() {
            value.look();
            value.number = 2;
            // SAFETY: a `&mut`. loom checks.
            value.cell.with_mut(|cell| unsafe { *cell = 2 });
            value.look();
        }
        let taken: usize = local.into_iter().map(|value| value.look()).sum();
        assert!(taken == 2 || taken == 0);
    });
}
