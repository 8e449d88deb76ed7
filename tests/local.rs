//! `thread::Local`: a value for each thread, and its end. Rows T122, T123, T126, T127, T128.

mod common;

use common::watchdog;
use latchwork::thread::{self, InitError, Local, LocalError};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Counts how many there are.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn until(reached: impl Fn() -> bool) {
    while !reached() {
        std::thread::yield_now();
    }
}

/// T122: each thread has its own value, or none.
#[test]
fn each_thread_has_its_own_value_or_none() {
    watchdog(LIMIT, "each_thread_has_its_own", || {
        let local = Arc::new(Local::new());
        assert_eq!(local.try_get().map(|_| ()), Err(LocalError::Empty));
        local.get_or_init(|| Cell::new(1)).set(2);
        let begin = Arc::new(Barrier::new(4));
        let others: Vec<_> = (10..14)
            .map(|number| {
                let (local, begin) = (Arc::clone(&local), Arc::clone(&begin));
                thread::spawn(move || {
                    assert!(local.get().is_none());
                    local.get_or_init(|| Cell::new(number));
                    begin.wait();
                    for _ in 0..100 {
                        let mine = local.get().unwrap();
                        mine.set(mine.get() + 100);
                    }
                    local.with(|it| it.get() - 10_000)
                })
            })
            .collect();
        let seen = others.into_iter().map(|it| it.join().unwrap().unwrap());
        assert_eq!(seen.collect::<Vec<i32>>(), [10, 11, 12, 13]);
        assert_eq!(local.get_or_init(|| unreachable!()).get(), 2);
    });
}

/// T123: the initialiser runs once in each thread, at the first look.
#[test]
fn an_initialiser_runs_once_in_each_thread() {
    watchdog(LIMIT, "an_initialiser_runs_once", || {
        let made = AtomicUsize::new(0);
        let made: &'static AtomicUsize = Box::leak(Box::new(made));
        let local = Local::with_init(|| made.fetch_add(1, Ordering::SeqCst));
        let seen = Mutex::new(BTreeSet::new());
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    let mine = *local.get().unwrap();
                    assert!((0..10).all(|_| local.with(|it| *it) == Some(mine)));
                    assert_eq!(*local.get_or_init(|| 100), mine);
                    assert!(seen.lock().unwrap().insert(mine), "{mine} twice");
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 8);
    });
}

/// T122: the first look is the initialiser's, or that of a function that may fail and be asked again.
#[test]
fn a_failed_or_panicking_initialiser_leaves_nothing() {
    let local: Local<u8> = Local::new();
    let failed = local.get_or_try_init(|| Err("no")).map(|_| ());
    assert_eq!(failed, Err(InitError::Failed("no")));
    let panics = std::panic::AssertUnwindSafe(|| drop(local.get_or_init(|| panic!("on purpose"))));
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!(local.try_get().map(|_| ()), Err(LocalError::Empty));
    assert_eq!(*local.get_or_init(|| 3), 3);
}

/// T123: an initialiser that looks for what it makes hears so, and another `Local` may be made in it.
#[test]
fn an_initialiser_that_looks_for_its_own_value_gets_an_error() {
    fn itself() -> u32 {
        assert!(ITSELF.get().is_none());
        assert_eq!(ITSELF.with(|_| ()), None);
        let why = ITSELF.get_or_try_init(|| Ok::<_, ()>(1)).map(|_| ());
        assert_eq!(why, Err(InitError::Local(LocalError::Initialising)));
        OTHERS.iter().map(|other| *other.get().unwrap()).sum()
    }
    static ITSELF: Local<u32> = Local::with_init(itself);
    static OTHERS: [Local<u32>; 20] = [const { Local::with_init(|| 2) }; 20];
    watchdog(LIMIT, "an_initialiser_that_looks", || {
        assert_eq!(ITSELF.get().as_deref(), Some(&40));
        let circle: Local<u8> = Local::new();
        let panics =
            std::panic::AssertUnwindSafe(|| drop(circle.get_or_init(|| *circle.get_or_init(|| 1))));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(*circle.get_or_init(|| 2), 2);
    });
}

/// T127: a value goes with its thread.
#[test]
fn a_value_ends_with_its_thread() {
    watchdog(LIMIT, "a_value_ends_with_its_thread", || {
        let count = Arc::new(AtomicUsize::new(0));
        let local = Arc::new(Local::new());
        for _ in 0..10 {
            let (local, its) = (Arc::clone(&local), Arc::clone(&count));
            std::thread::spawn(move || {
                assert!(local.get().is_none(), "that of a thread that has ended");
                local.get_or_init(|| Counted::new(&its));
            })
            .join()
            .unwrap();
            // std's join waits for the system's thread, hence for its destructors.
            assert_eq!(count.load(Ordering::SeqCst), 0);
        }
        assert_eq!(local.iter().count(), 0);
    });
}

/// T127: or with the `Local`, while the threads live, which then find nothing of it.
#[test]
fn values_end_with_their_local() {
    watchdog(LIMIT, "values_end_with_their_local", || {
        let count = Arc::new(AtomicUsize::new(0));
        let (tell, told) = mpsc::channel();
        let local = Arc::new(Local::new());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (release, wait) = mpsc::channel::<Arc<Local<Counted>>>();
                let (local, its, tell) = (Arc::clone(&local), Arc::clone(&count), tell.clone());
                let handle = thread::spawn(move || {
                    local.get_or_init(|| Counted::new(&its));
                    drop(local);
                    tell.send(()).unwrap();
                    let next = wait.recv().unwrap();
                    assert!(next.get().is_none(), "that of another Local");
                    next.get_or_init(|| Counted::new(&its));
                    drop(next);
                });
                (release, handle)
            })
            .collect();
        (0..4).for_each(|_| told.recv().unwrap());
        assert_eq!(count.load(Ordering::SeqCst), 4);
        drop(Arc::into_inner(local).unwrap());
        assert_eq!(count.load(Ordering::SeqCst), 0);
        // It gets the index of the one that is gone.
        let next = Arc::new(Local::new());
        for (release, handle) in threads {
            release.send(Arc::clone(&next)).unwrap();
            handle.join().unwrap();
        }
        until(|| count.load(Ordering::SeqCst) == 0);
    });
}

/// T127: a hundred thousand short threads leave nothing behind, neither values nor memory.
#[test]
#[cfg(target_os = "linux")]
fn a_hundred_thousand_threads_leave_nothing() {
    const CHILD: &str = "LATCHWORK_TEST_MANY_THREADS";
    if std::env::var_os(CHILD).is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_hundred_thousand_threads_leave_nothing"])
            .env(CHILD, "")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let pages = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
    };
    watchdog(
        Duration::from_secs(300),
        "a_hundred_thousand_threads",
        move || {
            let count = Arc::new(AtomicUsize::new(0));
            let local = Arc::new(Local::new());
            let run = |threads: usize| {
                for n in 0..threads {
                    let (local, its) = (Arc::clone(&local), Arc::clone(&count));
                    let body = move || {
                        assert!(local.get().is_none());
                        local.get_or_init(|| (Counted::new(&its), [n; 64]));
                        // One that ends before the thread does leaves its index, and nothing else.
                        Local::new().get_or_init(|| [n; 64]);
                    };
                    std::thread::spawn(body).join().unwrap();
                }
                assert_eq!(count.load(Ordering::SeqCst), 0);
                assert_eq!(local.iter().count(), 0);
            };
            run(1_000);
            let before = pages();
            run(99_000);
            let grown = pages().saturating_sub(before);
            // 512 bytes each would be 12,000 pages.
            assert!(grown < 500, "{grown} pages more after 99,000 threads");
        },
    );
}

/// T127: what iterates keeps what it has, and nothing else.
#[test]
fn a_thread_ends_while_another_looks_at_its_value() {
    watchdog(LIMIT, "a_thread_ends_while", || {
        let count = Arc::new(AtomicUsize::new(0));
        let local = Arc::new(Local::new());
        let (release, wait) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let other = {
            let (local, its) = (Arc::clone(&local), Arc::clone(&count));
            std::thread::spawn(move || {
                local.get_or_init(|| (Counted::new(&its), 7));
                drop(local);
                tell.send(()).unwrap();
                let _ = wait.recv();
            })
        };
        told.recv().unwrap();
        let value = local.iter().next().unwrap();
        drop(release);
        other.join().unwrap();
        assert_eq!(local.iter().count(), 0);
        assert_eq!((value.1, count.load(Ordering::SeqCst)), (7, 1));
        drop(value);
        assert_eq!(count.load(Ordering::SeqCst), 0);
    });
}

/// T127: and so does what changes them all.
#[test]
fn whoever_owns_the_local_changes_and_takes_all_values() {
    watchdog(LIMIT, "whoever_owns_the_local", || {
        let mut local = Local::new();
        let sum = |local: &mut Local<i32>| local.iter_mut().map(|value| *value).sum::<i32>();
        // Scoped threads may be joined before their destructors have run: so these only end later.
        let (tell, told) = mpsc::channel();
        let mut releases = Vec::new();
        let shared = Arc::new(std::mem::take(&mut local));
        let mut threads = Vec::new();
        for number in [1, 10] {
            let (release, wait) = mpsc::channel::<Arc<Local<i32>>>();
            let (shared, tell) = (Arc::clone(&shared), tell.clone());
            threads.push(std::thread::spawn(move || {
                shared.get_or_init(|| number);
                drop(shared);
                tell.send(()).unwrap();
                let again = wait.recv().unwrap();
                let number = *again.get().unwrap();
                drop(again);
                number
            }));
            releases.push(release);
        }
        (0..2).for_each(|_| told.recv().unwrap());
        let mut local = Arc::into_inner(shared).unwrap();
        local.get_or_init(|| 100);
        assert_eq!(sum(&mut local), 111);
        local.iter_mut().for_each(|mut value| *value *= 2);
        assert_eq!(local.get().as_deref(), Some(&200));
        let one = local.iter_mut().find(|value| **value == 2).unwrap();
        let mut one = one;
        *one += 1;
        drop(one);
        let local = Arc::new(local);
        for release in releases {
            release.send(Arc::clone(&local)).unwrap();
        }
        let changed: Vec<i32> = threads.into_iter().map(|it| it.join().unwrap()).collect();
        assert_eq!(changed, [3, 20]);
        let mut local = Arc::into_inner(local).unwrap();
        assert_eq!(sum(&mut local), 200, "the others have ended");
        local.clear();
        assert_eq!((sum(&mut local), local.get().is_none()), (0, true));
        local.get_or_init(|| 5);
        assert_eq!(local.into_iter().collect::<Vec<_>>(), [5]);
    });
}

/// T127: threads that end while the `Local` does: each value is dropped once, by either.
#[test]
fn a_local_and_its_threads_end_at_the_same_time() {
    watchdog(LIMIT, "a_local_and_its_threads", || {
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..500 {
            let local = Arc::new(Local::new());
            let begin = Arc::new(Barrier::new(4));
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let (local, its) = (Arc::clone(&local), Arc::clone(&count));
                    let begin = Arc::clone(&begin);
                    std::thread::spawn(move || {
                        local.get_or_init(|| Counted::new(&its));
                        drop(local);
                        begin.wait();
                    })
                })
                .collect();
            begin.wait();
            drop(local);
            threads.into_iter().for_each(|it| it.join().unwrap());
            assert_eq!(count.load(Ordering::SeqCst), 0);
        }
    });
}

/// What a destructor of a thread-local finds.
struct Late<T: Send + 'static>(&'static Local<T>, mpsc::Sender<Result<(), LocalError>>);

impl<T: Send> Drop for Late<T> {
    fn drop(&mut self) {
        let _ = self.1.send(self.0.try_get().map(|_| ()));
    }
}

/// T128: destructors that come before the thread's values are dropped find them, and later ones an error.
#[test]
fn looks_in_destructors_find_the_value_or_an_error() {
    static LOCAL: Local<String> = Local::new();
    thread_local! {
        static BEFORE: RefCell<Option<Late<String>>> = const { RefCell::new(None) };
        static AFTER: RefCell<Option<Late<String>>> = const { RefCell::new(None) };
    }
    watchdog(LIMIT, "looks_in_destructors", || {
        for has_a_value in [true, false] {
            let (tell_before, before) = mpsc::channel();
            let (tell_after, after) = mpsc::channel();
            let thread = std::thread::spawn(move || {
                // Destroyed last first.
                AFTER.set(Some(Late(&LOCAL, tell_after)));
                if has_a_value {
                    LOCAL.get_or_init(|| "value".to_owned());
                }
                BEFORE.set(Some(Late(&LOCAL, tell_before)));
            });
            thread.join().unwrap();
            let [early, late] = if has_a_value {
                [Ok(()), Err(LocalError::Ended)]
            } else {
                [Err(LocalError::Empty); 2]
            };
            assert_eq!((before.recv(), after.recv()), (Ok(early), Ok(late)));
        }
    });
}

/// T128: nothing is made any more when the values have been dropped, and neither in their own drops.
#[test]
fn nothing_is_made_after_the_end() {
    static LOCAL: Local<Maker> = Local::new();
    static OTHER: Local<u8> = Local::new();
    struct Maker(mpsc::Sender<Vec<InitError<()>>>);
    impl Drop for Maker {
        fn drop(&mut self) {
            let own = LOCAL.get_or_try_init(|| Err(())).map(drop);
            let other = OTHER.get_or_try_init(|| Ok(1)).map(drop);
            let _ = self
                .0
                .send(own.into_iter().map(|_| unreachable!()).collect());
            let _ = self
                .0
                .send([own, other].into_iter().filter_map(Result::err).collect());
        }
    }
    watchdog(LIMIT, "nothing_is_made_after", || {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || drop(LOCAL.get_or_init(|| Maker(tell))))
            .join()
            .unwrap();
        let ended = InitError::Local(LocalError::Ended);
        assert_eq!(told.recv().unwrap(), []);
        assert_eq!(told.recv().unwrap(), [ended, ended]);
    });
}

/// T128: the first value of a thread, made in a destructor, and dropped after all.
#[test]
fn a_first_value_made_in_a_destructor() {
    static LOCAL: Local<Counted> = Local::new();
    struct Late(Arc<AtomicUsize>);
    impl Drop for Late {
        fn drop(&mut self) {
            // Either is right; neither a panic nor a leak is.
            let made = LOCAL.get_or_try_init(|| Ok::<_, ()>(Counted::new(&self.0)));
            assert!(made.is_ok_and(|value| value.0.load(Ordering::SeqCst) == 1));
        }
    }
    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    watchdog(LIMIT, "a_first_value_made", || {
        let count = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&count);
        std::thread::spawn(move || LATE.set(Some(Late(its))))
            .join()
            .unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 0);
    });
}

/// T128: the same where the crate that has the places is at its end already, which says so with a panic. It
/// goes no further than the hook.
#[test]
fn a_first_look_after_the_end_of_the_places() {
    static LOCAL: Local<Counted> = Local::new();
    static OTHERS: thread_local::ThreadLocal<u8> = thread_local::ThreadLocal::new();
    struct Late(Arc<AtomicUsize>, mpsc::Sender<Vec<bool>>);
    impl Drop for Late {
        fn drop(&mut self) {
            let try_it = |_| match LOCAL.get_or_try_init(|| Ok::<_, ()>(Counted::new(&self.0))) {
                Ok(value) => value.0.load(Ordering::SeqCst) == 1,
                Err(error) => error == InitError::Local(LocalError::Ended),
            };
            let _ = self.1.send((0..3).map(try_it).collect());
        }
    }
    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    watchdog(LIMIT, "a_first_look_after", || {
        let count = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&count);
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            LATE.set(Some(Late(its, tell)));
            OTHERS.get_or(|| 1);
        });
        thread.join().unwrap();
        assert_eq!(told.recv().unwrap(), [true; 3]);
        assert_eq!(count.load(Ordering::SeqCst), 0);
    });
}

/// T128: a reference that is kept in a thread-local of std is good for as long as that lives.
#[test]
fn a_reference_outlives_the_end_of_the_values() {
    use latchwork::thread::LocalRef;
    type Value = (Counted, String);
    static LOCAL: Local<Value> = Local::new();
    struct Keeper(LocalRef<'static, Value>, mpsc::Sender<(String, usize)>);
    impl Drop for Keeper {
        fn drop(&mut self) {
            assert_eq!(LOCAL.try_get().map(drop), Err(LocalError::Ended));
            let count = self.0.0.0.load(Ordering::SeqCst);
            let _ = self.1.send((self.0.1.clone(), count));
        }
    }
    thread_local! {
        static KEEPER: RefCell<Option<Keeper>> = const { RefCell::new(None) };
    }
    watchdog(LIMIT, "a_reference_outlives", || {
        let count = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&count);
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            // The thread-local is there first, so it is destroyed after the values.
            KEEPER.with(|keeper| {
                let value = LOCAL.get_or_init(|| (Counted::new(&its), "kept".to_owned()));
                *keeper.borrow_mut() = Some(Keeper(value, tell));
            });
        })
        .join()
        .unwrap();
        assert_eq!(told.recv().unwrap(), ("kept".to_owned(), 1));
        assert_eq!(count.load(Ordering::SeqCst), 0);
    });
}

/// T128: who ends the process while it looks, its own thread-locals being destroyed thereby, keeps what it
/// looks at: it may have been lent to other threads, which go on.
#[test]
#[cfg(target_os = "linux")]
fn a_look_that_ends_the_process_keeps_the_value() {
    const PART: &str = "LATCHWORK_TEST_LOOK_AND_EXIT";
    const DROPPED: i32 = 3;
    static LOCAL: Local<Tells> = Local::with_init(|| Tells);
    struct Tells;
    impl Drop for Tells {
        fn drop(&mut self) {
            // SAFETY: it ends the process at once.
            unsafe { libc::_exit(DROPPED) };
        }
    }
    let exit = |_: &Tells| std::process::exit(0);
    match std::env::var(PART).as_deref() {
        Ok("with") => LOCAL.with(|_| ()).and_then(|()| LOCAL.with(exit)),
        Ok("the first with") => LOCAL.with(exit),
        // Not the first, which has a reference to what it makes.
        Ok("with in with") => LOCAL.with(|_| ()).and(LOCAL.with(|_| {
            LOCAL.with(|_| LOCAL.with(|_| ()));
            exit(&Tells)
        })),
        Ok("get") => LOCAL.get().map(|value| exit(&value)),
        Ok("neither") => LOCAL.with(|_| ()).map(|()| std::process::exit(0)),
        _ => None,
    };
    watchdog(LIMIT, "a_look_that_ends", || {
        let parts = ["with", "the first with", "with in with", "get", "neither"];
        let ends = parts.map(|part| {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "a_look_that_ends_the_process_keeps_the_value"]);
            let output = child.env(PART, part).output().unwrap();
            output.status.code()
        });
        assert_eq!(ends, [Some(0), Some(0), Some(0), Some(0), Some(DROPPED)]);
    });
}

/// A value whose drop panics ends neither the process nor the other values.
#[test]
fn a_drop_that_panics_at_the_end_of_a_thread_goes_no_further() {
    static BOMBS: [Local<Bomb>; 2] = [const { Local::new() }; 2];
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::SeqCst);
            panic!("a bomb, on purpose");
        }
    }
    watchdog(LIMIT, "a_drop_that_panics", || {
        std::thread::spawn(|| {
            BOMBS
                .iter()
                .for_each(|bomb| drop(bomb.get_or_init(|| Bomb)))
        })
        .join()
        .unwrap();
        assert_eq!(DROPS.load(Ordering::SeqCst), 2);
    });
}

/// T126: fields beside the `Local` are everybody's; `Debug` tells this thread's value.
#[test]
fn debug_tells_the_value_and_the_threads() {
    let local = Local::new();
    assert!(format!("{local:?}").contains("has made no value"));
    local.get_or_init(|| 5);
    assert_eq!(format!("{local:?}"), "Local { value: 5, threads: 1 }");
}
