//! Models of `Local`: a value ends with its thread or with its `Local`, once, and is nobody else's.

use latchwork::sync::Event;
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
        assert_eq!(
            seen, self.number,
            "the value of another, or one that has ended"
        );
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

/// Both of what may happen has to happen in some interleaving, or a model shows nothing.
#[derive(Default)]
struct Seen([std::sync::atomic::AtomicBool; 2]);

impl Seen {
    fn note(&self, which: bool) {
        self.0[usize::from(which)].store(true, Ordering::Relaxed);
    }

    fn both(&self) {
        let [no, yes] = [0, 1].map(|which| self.0[which].load(Ordering::Relaxed));
        assert!(no && yes, "only one way was explored: {no} {yes}");
    }
}

#[test]
fn ends_at_the_same_time() {
    model(
        "local: dropped by its thread and by its Local, or by neither",
        || {
            let dropped = Arc::new(AtomicUsize::new(0));
            let local = Arc::new(Local::new());
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
            // A thread may be joined before its destructors have run, and loom tells if a share of `dropped`
            // is left.
        },
    );
}

#[test]
fn dropped_by_its_thread_or_by_its_local() {
    let seen = std::sync::Arc::new(Seen::default());
    let notes = seen.clone();
    model(
        "local: a value is dropped twice when both ends meet",
        move || {
            let dropped = Arc::new(AtomicUsize::new(0));
            let local = Arc::new(Local::new());
            let thread = {
                let (local, dropped) = (local.clone(), dropped.clone());
                thread::spawn(move || {
                    local.get_or_init(|| Watched::new(1, &dropped)).look();
                    drop(local);
                })
            };
            thread.join().unwrap();
            let taken = Arc::try_unwrap(local).ok().unwrap().into_iter().count();
            // Taken, or dropped by its thread, now or in a moment.
            notes.note(taken == 1);
            assert!(dropped.load(Ordering::Relaxed) >= taken);
        },
    );
    seen.both();
}

#[test]
fn a_thread_ends_under_an_iterator() {
    let seen = std::sync::Arc::new(Seen::default());
    let notes = seen.clone();
    model(
        "local: a value is dropped under who goes through all of them",
        move || {
            let dropped = Arc::new(AtomicUsize::new(0));
            let shared = Arc::new((Local::new(), Event::new()));
            let thread = {
                let (shared, dropped) = (shared.clone(), dropped.clone());
                thread::spawn(move || {
                    shared.0.get_or_init(|| Watched::new(1, &dropped)).look();
                    shared.1.set();
                })
            };
            shared.1.wait();
            let others: Vec<_> = shared.0.iter().collect();
            thread.join().unwrap();
            if let Some(value) = others.first() {
                assert_eq!(value.look(), 1);
                assert_eq!(dropped.load(Ordering::Relaxed), 0);
            }
            notes.note(others.len() == 1);
        },
    );
    seen.both();
}

#[test]
fn a_place_changes_hands() {
    model(
        "local: a new thread sees, or drops, what one that ends has in the same place",
        || {
            let dropped = Arc::new(AtomicUsize::new(0));
            let local = Arc::new(Local::new());
            let begin = |number| {
                let (local, dropped) = (local.clone(), dropped.clone());
                thread::spawn(move || {
                    assert!(local.get().is_none());
                    let value = local.get_or_init(|| Watched::new(number, &dropped));
                    assert_eq!(value.look(), number);
                    assert_eq!(local.get().unwrap().look(), number);
                })
            };
            // The second begins while the first runs its destructors, or earlier.
            begin(1).join().unwrap();
            begin(2).join().unwrap();
            drop(local);
        },
    );
}

#[test]
fn changed_while_a_thread_ends() {
    let seen = std::sync::Arc::new(Seen::default());
    let notes = seen.clone();
    model(
        "local: a value is dropped while its Local's owner changes it",
        move || {
            let dropped = Arc::new(AtomicUsize::new(0));
            let local = Arc::new(Local::new());
            let thread = {
                let (local, dropped) = (local.clone(), dropped.clone());
                thread::spawn(move || {
                    local.get_or_init(|| Watched::new(1, &dropped)).look();
                    drop(local);
                })
            };
            thread.join().unwrap();
            let mut local = Arc::try_unwrap(local).ok().unwrap();
            for mut value in local.iter_mut() {
                value.look();
                value.number = 2;
                // SAFETY: a `&mut`. loom checks.
                value.cell.with_mut(|cell| unsafe { *cell = 2 });
                value.look();
            }
            let taken = local.into_iter().map(|value| assert_eq!(value.look(), 2));
            notes.note(taken.count() == 1);
        },
    );
    seen.both();
}
