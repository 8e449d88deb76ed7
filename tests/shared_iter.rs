//! `sync::SharedIter` and `sync::tee`. Row T27.

mod common;

use common::{block_on, parked, pending, ready, until_parked, watchdog};
use latchwork::sync::{Lock, NextError, SharedIter, Tee, tee};
use latchwork::{CancelToken, GaveUp};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// An iterator that is not made for threads: two at once in it are seen.
struct Fragile {
    next: u32,
    end: u32,
    is_inside: Arc<AtomicUsize>,
}

impl Fragile {
    fn new(end: u32) -> Fragile {
        Fragile {
            next: 0,
            end,
            is_inside: Arc::default(),
        }
    }
}

impl Iterator for Fragile {
    type Item = u32;
    fn next(&mut self) -> Option<u32> {
        assert_eq!(
            self.is_inside.fetch_add(1, Ordering::SeqCst),
            0,
            "two at once"
        );
        let item = self.next;
        thread::yield_now();
        self.next = item + 1;
        self.is_inside.fetch_sub(1, Ordering::SeqCst);
        (item < self.end).then_some(item)
    }
}

/// Somebody is in the iterator.
#[derive(Clone, Default)]
struct Inside(Arc<AtomicUsize>);

impl Inside {
    fn wait(&self) {
        while self.0.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
    }
}

/// An iterator that makes an item for each that is sent to it, and panics for a `None`.
fn from_channel() -> (
    mpsc::Sender<Option<i32>>,
    Inside,
    impl Iterator<Item = i32> + Send,
) {
    let (send, receive) = mpsc::channel::<Option<i32>>();
    let inside = Inside::default();
    let its = inside.clone();
    let items = std::iter::from_fn(move || {
        its.0.store(1, Ordering::SeqCst);
        let item = receive.recv().ok();
        its.0.store(0, Ordering::SeqCst);
        item.map(|item| item.expect("no item, on purpose"))
    });
    (send, inside, items)
}

/// T27: each item goes to one of the threads, in order for each, and none is lost.
#[test]
fn each_item_goes_to_one_thread() {
    watchdog(LIMIT, "each_item_goes_to_one", || {
        let shared = SharedIter::new(Fragile::new(10_000));
        let mut seen: Vec<u32> = thread::scope(|s| {
            let threads = [(); 4].map(|()| s.spawn(|| shared.iter().collect::<Vec<u32>>()));
            let parts = threads.map(|it| it.join().unwrap());
            assert!(parts.iter().all(|part| part.is_sorted()));
            parts.concat()
        });
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..10_000));
        assert_eq!(
            (&shared).next(),
            None,
            "it stays ended, whatever the inner one would say"
        );
    });
}

/// T27: all faces that wait give up, and lose nothing.
#[test]
fn who_waits_for_a_shared_iterator_gives_up() {
    watchdog(LIMIT, "who_waits_for_a_shared", || {
        let (send, inside, items) = from_channel();
        let shared = SharedIter::new(items);
        let token = CancelToken::new();
        thread::scope(|s| {
            let first = s.spawn(|| shared.iter().next());
            inside.wait();
            assert_eq!(shared.try_next(), Err(NextError::Busy));
            let timed_out = shared.next_within(Duration::from_millis(1));
            assert_eq!(timed_out, Err(NextError::GaveUp(GaveUp::TimedOut)));
            let waiter = parked(s, || shared.next_within(&token));
            token.cancel();
            let cancelled = waiter.join().unwrap();
            assert_eq!(cancelled, Err(NextError::GaveUp(GaveUp::Cancelled)));
            drop(pending(shared.next_async()));
            let later = pending(shared.next_async());
            send.send(Some(1)).unwrap();
            send.send(Some(2)).unwrap();
            assert_eq!(first.join().unwrap(), Some(1));
            assert_eq!(block_on(later), Ok(Some(2)));
            drop(send);
            assert_eq!(shared.try_next(), Ok(None));
            assert_eq!(ready(shared.next_async()), Ok(None));
        });
    });
}

/// T27: a panic in the inner iterator ends it, for everybody, and nobody hangs.
#[test]
fn a_panic_ends_a_shared_iterator_for_everybody() {
    watchdog(LIMIT, "a_panic_ends_a_shared", || {
        let (send, inside, items) = from_channel();
        let shared = SharedIter::new(items);
        thread::scope(|s| {
            let unlucky = s.spawn(|| shared.iter().next());
            inside.wait();
            assert_eq!(shared.try_next(), Err(NextError::Busy));
            let other = parked(s, || shared.iter().next());
            let third = parked(s, || shared.next_within(Duration::MAX));
            send.send(None).unwrap();
            let payload = unlucky.join().unwrap_err();
            let message = payload.downcast_ref::<String>().unwrap();
            assert!(message.contains("on purpose"), "{message}");
            assert_eq!(other.join().unwrap(), None);
            let told = third.join().unwrap().unwrap_err();
            assert_eq!(told, NextError::Panicked(shared.panicked().unwrap()));
        });
        assert!(send.send(Some(1)).is_err(), "the inner iterator is dropped");
        assert!(format!("{shared:?}").contains("has_ended: true"));
        assert!(shared.into_inner().is_none());
    });
}

/// T27: an inner iterator that advances what it is in hears so.
#[test]
fn a_shared_iterator_that_advances_itself_gets_an_error() {
    type Inner = Box<dyn Iterator<Item = NextError> + Send + Sync>;
    static ITSELF: OnceLock<SharedIter<Inner>> = OnceLock::new();
    watchdog(LIMIT, "a_shared_iterator_that_advances", || {
        fn own() -> &'static SharedIter<Inner> {
            ITSELF.get().unwrap()
        }
        let tries: [fn() -> NextError; 3] = [
            || own().try_next().unwrap_err(),
            || own().next_within(Duration::MAX).unwrap_err(),
            || block_on(own().next_async()).unwrap_err(),
        ];
        let wants_itself = std::iter::from_fn(|| own().iter().next());
        let inner = tries.into_iter().map(|try_it| try_it()).chain(wants_itself);
        let shared = ITSELF.get_or_init(|| SharedIter::new(Box::new(inner) as Inner));
        for _ in 0..3 {
            assert_eq!(
                shared.next_within(Duration::MAX),
                Ok(Some(NextError::Reentrant))
            );
        }
        assert!(catch_unwind(AssertUnwindSafe(|| shared.iter().next())).is_err());
        assert_eq!(shared.iter().next(), None);
    });
}

/// T27: every reader sees the whole stream, from threads of their own, and the iterator is one at a time.
#[test]
fn every_reader_sees_the_whole_stream() {
    watchdog(LIMIT, "every_reader_sees", || {
        let readers = tee(Fragile::new(5_000), 4);
        thread::scope(|s| {
            let threads: Vec<_> = readers
                .into_iter()
                .map(|reader| s.spawn(move || assert!(reader.eq(0..5_000))))
                .collect();
            threads.into_iter().for_each(|it| it.join().unwrap());
        });
    });
}

/// T27: what all have read is freed, what nobody will read too, and the last gets the item itself.
#[test]
fn what_has_been_read_is_freed() {
    struct Item(Arc<AtomicUsize>);
    impl Clone for Item {
        fn clone(&self) -> Item {
            self.0.fetch_add(1, Ordering::SeqCst);
            Item(Arc::clone(&self.0))
        }
    }
    let items: Vec<_> = (0..6).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let alive = |items: &[Arc<AtomicUsize>]| {
        items
            .iter()
            .filter(|item| Arc::strong_count(item) > 1)
            .count()
    };
    let mut readers = tee(items.clone().into_iter().map(Item), 2);
    let (mut slow, mut quick) = (readers.pop().unwrap(), readers.pop().unwrap());
    quick.by_ref().take(4).for_each(drop);
    // The two that nobody has made yet are in the iterator.
    assert_eq!(alive(&items), 6);
    slow.by_ref().take(3).for_each(drop);
    assert_eq!(alive(&items), 3);
    let clones: Vec<_> = items.iter().map(|it| it.load(Ordering::SeqCst)).collect();
    assert_eq!(clones, [1, 1, 1, 1, 0, 0], "one clone for two readers");
    let mut third = slow.clone();
    drop(slow);
    assert_eq!(
        format!("{third:?}"),
        "Tee { buffered: 1, has_ended: false }"
    );
    third.next().unwrap();
    assert_eq!(alive(&items), 2);
    third.by_ref().for_each(drop);
    assert_eq!(alive(&items), 2, "they wait for the other");
    drop(quick);
    assert_eq!(alive(&items), 0);
    assert!(third.next().is_none());
}

/// T27: who reads what is buffered need not wait for who advances the iterator; who waits gives up.
#[test]
fn who_waits_for_another_reader_gives_up() {
    watchdog(LIMIT, "who_waits_for_another", || {
        let (send, inside, items) = from_channel();
        let mut readers = tee(items, 4);
        let [mut a, mut b, mut c, d] = [(); 4].map(|()| readers.pop().unwrap());
        send.send(Some(1)).unwrap();
        assert_eq!(a.next(), Some(1));
        let token = CancelToken::new();
        thread::scope(|s| {
            let advancing = s.spawn(move || (a.next(), a));
            assert_eq!(b.next(), Some(1));
            inside.wait();
            assert_eq!(b.try_next(), Err(NextError::Busy));
            let timed_out = b.next_within(Duration::from_millis(1));
            assert_eq!(timed_out, Err(NextError::GaveUp(GaveUp::TimedOut)));
            assert_eq!(c.next(), Some(1));
            drop(pending(c.next_async()));
            let under = &token;
            let waiter = parked(s, move || (b.next_within(under), b));
            token.cancel();
            let (cancelled, mut b) = waiter.join().unwrap();
            assert_eq!(cancelled, Err(NextError::GaveUp(GaveUp::Cancelled)));
            let waiter = parked(s, move || b.next());
            let task = pending(c.next_async());
            send.send(Some(2)).unwrap();
            assert_eq!(waiter.join().unwrap(), Some(2));
            assert_eq!(block_on(task), Ok(Some(2)));
            drop(send);
            let (item, a) = advancing.join().unwrap();
            assert_eq!((item, a.count()), (Some(2), 0));
        });
        assert_eq!(d.collect::<Vec<_>>(), [1, 2]);
    });
}

/// T27: a panic in the iterator is told to everybody, after what was made before it.
#[test]
fn a_panic_is_told_to_every_reader() {
    watchdog(LIMIT, "a_panic_is_told", || {
        let (send, inside, items) = from_channel();
        let mut readers = tee(items, 4);
        let [mut a, mut b, mut c, mut d] = [(); 4].map(|()| readers.pop().unwrap());
        send.send(Some(1)).unwrap();
        assert_eq!((a.next(), b.next(), c.next()), (Some(1), Some(1), Some(1)));
        thread::scope(|s| {
            let unlucky = s.spawn(move || a.next());
            inside.wait();
            assert_eq!(b.try_next(), Err(NextError::Busy));
            let other = parked(s, || b.next_within(Duration::MAX));
            let third = parked(s, move || c.next());
            send.send(None).unwrap();
            let payload = unlucky.join().unwrap_err();
            assert!(
                payload
                    .downcast_ref::<String>()
                    .unwrap()
                    .contains("on purpose")
            );
            let told = other.join().unwrap();
            assert!(matches!(told, Err(NextError::Panicked(_))), "{told:?}");
            assert!(third.join().is_err());
        });
        assert_eq!(d.next(), Some(1));
        let told = d.next_within(Duration::MAX);
        assert!(matches!(told, Err(NextError::Panicked(_))), "{told:?}");
        assert_eq!(ready(d.next_async()), told);
        assert!(send.send(Some(1)).is_err(), "the iterator is dropped");
    });
}

/// T27: an iterator that advances one of its own readers hears so, and nobody hangs.
#[test]
fn a_reader_that_is_advanced_by_what_it_reads_gets_an_error() {
    type Reader = Tee<Box<dyn Iterator<Item = i32> + Send>>;
    static OWN: Lock<Option<Reader>> = Lock::new(None);
    watchdog(LIMIT, "a_reader_that_is_advanced", || {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let its = Arc::clone(&heard);
        let inner = (1..3).inspect(move |_| {
            let mut own = OWN.lock();
            let own = own.as_mut().unwrap();
            its.lock().unwrap().push(own.next_within(Duration::MAX));
        });
        let inner: Box<dyn Iterator<Item = i32> + Send> = Box::new(inner);
        let mut readers = tee(inner, 2);
        *OWN.lock() = readers.pop();
        assert_eq!(readers[0].by_ref().collect::<Vec<_>>(), [1, 2]);
        // The second time there was the first item for it.
        assert_eq!(
            *heard.lock().unwrap(),
            [Err(NextError::Reentrant), Ok(Some(1))]
        );
    });
}

/// Items need not be shareable for a `SharedIter`, and a waiter is seen as such.
#[test]
fn items_may_be_cells_and_waiters_are_seen() {
    watchdog(LIMIT, "items_may_be_cells", || {
        let (send, receive) = mpsc::channel::<Cell<i32>>();
        let shared = SharedIter::new(receive);
        thread::scope(|s| {
            let first = s.spawn(|| shared.iter().next().map(Cell::into_inner));
            while !format!("{shared:?}").contains("is_advancing") {}
            let second = s.spawn(|| shared.iter().next().map(Cell::into_inner));
            until_parked("Lock", &shared, 1);
            send.send(Cell::new(1)).unwrap();
            assert_eq!(first.join().unwrap(), Some(1));
            drop(send);
            assert_eq!(second.join().unwrap(), None);
        });
    });
}

/// What is written to while it is shown may use it.
#[test]
fn showing_it_holds_no_lock() {
    use std::fmt::Write;
    struct Uses<F>(F);
    impl<F: FnMut()> Write for Uses<F> {
        fn write_str(&mut self, _: &str) -> std::fmt::Result {
            (self.0)();
            Ok(())
        }
    }
    watchdog(LIMIT, "showing_it_holds_no_lock", || {
        let shared = SharedIter::new(0..);
        let takes = || assert!(shared.try_next().is_ok());
        write!(Uses(takes), "{shared:?}").unwrap();
        let mut readers = tee(0.., 2);
        let (shown, mut used) = (readers.pop().unwrap(), readers.pop().unwrap());
        let takes = || assert!(used.next_within(Duration::ZERO).is_ok());
        write!(Uses(takes), "{shown:?}").unwrap();
    });
}

/// Calls a function when it is dropped, once.
struct Calls(Option<Box<dyn FnOnce() + Send>>);

impl Drop for Calls {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}

/// The inner iterator is dropped with nothing locked, and what its drop says in a panic is not added to the
/// panic that has ended it.
#[test]
fn the_drop_of_an_inner_iterator_may_use_the_shared_one() {
    watchdog(LIMIT, "the_drop_of_an_inner_iterator", || {
        type Inner = Box<dyn Iterator<Item = u8> + Send>;
        for panics in [false, true] {
            static SHARED: Mutex<Option<Arc<SharedIter<Inner>>>> = Mutex::new(None);
            let (tell, told) = mpsc::channel();
            let looks = Calls(Some(Box::new(move || {
                let shared = SHARED.lock().unwrap().take().unwrap();
                tell.send(shared.try_next()).unwrap();
                assert!(!panics, "a drop, on purpose");
            })));
            let inner: Inner = Box::new(std::iter::from_fn(move || {
                let _its = &looks;
                assert!(!panics, "an item, on purpose");
                None
            }));
            let shared = Arc::new(SharedIter::new(inner));
            *SHARED.lock().unwrap() = Some(Arc::clone(&shared));
            let ended = shared.try_next();
            assert_eq!(told.recv().unwrap(), ended, "while it is dropped");
            match ended {
                Err(NextError::Panicked(panic)) => assert_eq!(panic.message, "an item, on purpose"),
                ended => assert!(!panics && ended == Ok(None)),
            }
        }
    });
}

/// The same of a tee's: what an iterator that has panicked says when it is dropped goes no further.
#[test]
fn a_tee_contains_the_drop_of_what_has_panicked() {
    watchdog(LIMIT, "a_tee_contains_the_drop", || {
        let bomb = Calls(Some(Box::new(|| panic!("a drop, on purpose"))));
        let iter = std::iter::from_fn(move || -> Option<u8> {
            let _its = &bomb;
            panic!("an item, on purpose")
        });
        for ended in tee(iter, 2).iter_mut().map(|it| it.try_next()) {
            assert!(
                matches!(ended, Err(NextError::Panicked(it)) if it.message == "an item, on purpose")
            );
        }
    });
}

/// Items that nobody reads any more are dropped with nothing locked.
#[test]
fn the_drop_of_an_item_may_use_a_reader() {
    watchdog(LIMIT, "the_drop_of_an_item", || {
        static USED: Mutex<Vec<Tee<Items>>> = Mutex::new(Vec::new());
        type Items = Box<dyn Iterator<Item = Item> + Send>;
        struct Item(u8);
        impl Clone for Item {
            fn clone(&self) -> Item {
                Item(self.0)
            }
        }
        impl Drop for Item {
            fn drop(&mut self) {
                // The clones of it are dropped meanwhile, and find nobody.
                let used = USED.try_lock().ok().and_then(|mut used| used.pop());
                if let Some(mut used) = used {
                    assert!(used.next_within(Duration::from_secs(5)).is_ok());
                }
            }
        }
        let items: Items = Box::new((0..9).map(Item));
        let mut readers = tee(items, 3);
        let [slow, quick, mut ahead] = [(); 3].map(|()| readers.pop().unwrap());
        drop((ahead.next(), ahead.next()));
        drop(quick);
        USED.lock().unwrap().push(ahead);
        drop(slow);
        assert!(USED.lock().unwrap().is_empty(), "nothing was dropped");
    });
}

/// Who waits for an item has it when it is there, also if the next one is being made by then.
#[test]
fn an_item_comes_while_the_next_is_made() {
    watchdog(LIMIT, "an_item_comes_while", || {
        let (go, wait) = mpsc::channel();
        let (begun, has_begun) = mpsc::channel();
        let mut readers = tee(
            std::iter::from_fn(move || {
                begun.send(()).unwrap();
                wait.recv().ok()
            }),
            2,
        );
        let (mut patient, mut quick) = (readers.pop().unwrap(), readers.pop().unwrap());
        std::thread::scope(|s| {
            let quick = s.spawn(move || [quick.next(), quick.next(), quick.next()]);
            has_begun.recv().unwrap();
            let waits = parked(s, move || patient.next());
            go.send(1).unwrap();
            assert_eq!(waits.join().unwrap(), Some(1));
            go.send(2).unwrap();
            drop(go);
            assert_eq!(quick.join().unwrap(), [Some(1), Some(2), None]);
        });
    });
}
