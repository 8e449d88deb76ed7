//! `thread::ContextVar` and `thread::Context`. Row T33 (and `contextvars` behind it).

mod common;

use common::{block_on, poll, watchdog};
use latchwork::thread::{self, Context, ContextVar};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

static NAME: ContextVar<&str> = ContextVar::new();
static LEVEL: ContextVar<u32> = ContextVar::with_default(7);

/// T33: the innermost binding counts, and each has an end, also by a panic.
#[test]
fn the_innermost_binding_counts() {
    assert_eq!((NAME.get(), LEVEL.get()), (None, Some(7)));
    let seen = NAME.with("a", || {
        let inner = NAME.with("b", || (NAME.get(), LEVEL.get()));
        let panics = AssertUnwindSafe(|| NAME.with("c", || panic!("on purpose")));
        assert!(catch_unwind(panics).is_err());
        (inner, NAME.get())
    });
    assert_eq!(seen, ((Some("b"), Some(7)), Some("a")));
    assert!(NAME.look(|name| name.is_none()));
}

/// T33: guards end their own binding, in whatever order.
#[test]
fn guards_end_their_own_binding_in_any_order() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut guards = [1, 2, 3].map(|level| Some(LEVEL.bind(level)));
        let _other = NAME.bind("between");
        for (ended, which) in order.iter().enumerate() {
            guards[*which] = None;
            let left = (0..3).rev().find(|n| guards[*n].is_some());
            let expected = left.map_or(7, |n| n as u32 + 1);
            assert_eq!(LEVEL.get(), Some(expected), "{order:?} after {ended}");
            assert_eq!(NAME.get(), Some("between"));
        }
    }
    assert_eq!((NAME.get(), LEVEL.get()), (None, Some(7)));
}

/// T33: a thread begins with the context of who has described it, unless that is left; one of std's begins
/// with none.
#[test]
fn a_thread_begins_with_the_context_of_its_parent() {
    watchdog(LIMIT, "a_thread_begins_with_the_context", || {
        let look = || (NAME.get(), LEVEL.get());
        let binding = NAME.bind("parent");
        let later = thread::Builder::new().build(look);
        assert_eq!(
            thread::spawn(look).join().unwrap(),
            (Some("parent"), Some(7))
        );
        assert_eq!(std::thread::spawn(look).join().unwrap(), (None, Some(7)));
        let without = Context::new().run(|| thread::spawn(look));
        assert_eq!(without.join().unwrap(), (None, Some(7)));
        drop(binding);
        let later = LEVEL.with(8, || later.start()).unwrap();
        assert_eq!(later.join().unwrap(), (Some("parent"), Some(7)));
        assert_eq!(look(), (None, Some(7)));
    });
}

/// T33: a thread that was given the context sees what was bound, also when that has ended.
#[test]
fn a_context_goes_to_another_thread() {
    watchdog(LIMIT, "a_context_goes_to_another_thread", || {
        let binding = NAME.bind("parent");
        let here = Context::current();
        let (release, wait) = mpsc::channel::<()>();
        let child = std::thread::spawn(move || {
            here.run(|| {
                let _ = wait.recv();
                let seen = NAME.get();
                LEVEL.with(1, || (seen, LEVEL.get()))
            })
        });
        drop(binding);
        assert_eq!(NAME.get(), None);
        drop(release);
        assert_eq!(child.join().unwrap(), (Some("parent"), Some(1)));
        assert_eq!(LEVEL.get(), Some(7));
    });
}

/// T33: a context that runs is in place of the current one, which is back afterwards, also after a panic.
#[test]
fn a_context_runs_in_place_of_the_current_one() {
    let outside = Context::current();
    let inside = NAME.with("x", Context::current);
    let _binding = NAME.bind("here");
    assert_eq!(inside.run(|| NAME.get()), Some("x"));
    assert_eq!(
        outside.run(|| inside.run(|| outside.run(|| NAME.get()))),
        None
    );
    let panics = AssertUnwindSafe(|| inside.run(|| panic!("on purpose")));
    assert!(catch_unwind(panics).is_err());
    assert_eq!(NAME.get(), Some("here"));
    // A guard that goes, and one that stays, while another context runs.
    let going = LEVEL.bind(1);
    let staying = inside.run(|| {
        drop(going);
        LEVEL.bind(2)
    });
    assert_eq!(LEVEL.get(), Some(7));
    drop(staying);
    assert_eq!((LEVEL.get(), NAME.get()), (Some(7), Some("here")));
    assert_eq!(format!("{:?}", Context::new()), "Context { bindings: 0 }");
}

/// T33: a task has its context whoever polls it, and a binding that lives across an await.
#[test]
fn a_task_has_its_context_whoever_polls_it() {
    watchdog(LIMIT, "a_task_has_its_context", || {
        let context = NAME.with("task", Context::current);
        let yields = || {
            let mut yielded = false;
            poll_fn(move |cx| {
                cx.waker().wake_by_ref();
                match std::mem::replace(&mut yielded, true) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
        };
        let task = context.run_async(async move {
            let binding = LEVEL.bind(3);
            yields().await;
            let seen = (NAME.get(), LEVEL.get());
            drop(binding);
            yields().await;
            (seen, LEVEL.get())
        });
        let mut task = pin!(task);
        assert!(poll(task.as_mut(), Waker::noop()).is_pending());
        assert_eq!((NAME.get(), LEVEL.get()), (None, Some(7)));
        assert_eq!(block_on(task), ((Some("task"), Some(3)), Some(7)));
        drop(context.run_async(pending::<()>()));
    });
}

/// Values are the user's: they may look and bind when they are dropped, and in a look.
#[test]
fn values_may_look_when_they_are_dropped() {
    static LOG: Mutex<Vec<Option<u32>>> = Mutex::new(Vec::new());
    #[derive(Clone)]
    struct Curious(#[expect(dead_code, reason = "only its end counts")] Arc<()>);
    impl Drop for Curious {
        fn drop(&mut self) {
            LOG.lock().unwrap().push(LEVEL.with(5, || LEVEL.get()));
        }
    }
    static CURIOUS: ContextVar<Curious> = ContextVar::new();
    let guard = CURIOUS.bind(Curious(Arc::new(())));
    CURIOUS.look(|_| LEVEL.with(1, || assert_eq!(LEVEL.get(), Some(1))));
    let kept = Context::current();
    drop(guard);
    assert!(LOG.lock().unwrap().is_empty());
    Context::new().run(|| drop(kept));
    assert_eq!(*LOG.lock().unwrap(), [Some(5)]);
}

/// A hundred thousand bindings, and their end, take no stack.
#[test]
fn a_long_list_takes_no_stack() {
    watchdog(LIMIT, "a_long_list", || {
        let guards: Vec<_> = (0..100_000).map(|level| LEVEL.bind(level)).collect();
        let kept = Context::current();
        guards.into_iter().rev().for_each(drop);
        assert_eq!(kept.run(|| LEVEL.get()), Some(99_999));
        drop(kept);
        assert_eq!(LEVEL.get(), Some(7));
    });
}

/// In destructors after the context's end there is the default, and nothing is bound; neither panics.
#[test]
fn looks_in_destructors_find_the_default() {
    struct Late(mpsc::Sender<(Option<&'static str>, Option<u32>)>);
    impl Drop for Late {
        fn drop(&mut self) {
            let seen = LEVEL.with(1, || Context::current().run(|| LEVEL.get()));
            let _ = self.0.send((NAME.get(), seen));
        }
    }
    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    watchdog(LIMIT, "looks_in_destructors", || {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            LATE.set(Some(Late(tell)));
            std::mem::forget(NAME.bind("forgotten"));
        })
        .join()
        .unwrap();
        assert_eq!(told.recv(), Ok((None, Some(7))));
    });
}

/// T33: unless the builder says otherwise, which is what `inherit_context` is for.
#[test]
fn a_thread_may_begin_with_an_empty_context() {
    watchdog(LIMIT, "begins_with_an_empty_context", || {
        let _bound = NAME.bind("parent");
        let names = [true, false].map(|inherits| {
            let builder = thread::Builder::new().inherit_context(inherits);
            builder.spawn(|| NAME.get()).unwrap().join().unwrap()
        });
        assert_eq!(names, [Some("parent"), None]);
    });
}
