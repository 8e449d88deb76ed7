//! `select::Select`: row Q36.

mod common;

use common::{bad_waker, block_on, counting_waker, poll, until_parked, watchdog};
use latchwork::executor::ThreadPoolExecutor;
use latchwork::queue::{GetError, LifoQueue, PutError, Queue, SimpleQueue};
use latchwork::select::{Arms, NoArms, NotChosen, Select};
use latchwork::sync::{BoundedSemaphore, Event, Semaphore};
use latchwork::{CancelToken, GaveUp, Limit, Shutdown, debug};
use std::future::{self, Future};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(10);

/// Waits until a select is parked whose last arm but futures is this event: then all of them are.
fn until_in_line(last: &Event) {
    until_parked("Event", last, 1);
}

/// A future that is ready when told so; wakes who has polled it last.
#[derive(Clone, Default)]
struct Told(Arc<(AtomicBool, Mutex<Option<Waker>>, AtomicUsize)>);

impl Told {
    fn polls(&self) -> usize {
        self.0.2.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        let waker = self.0.1.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn tell(&self) {
        self.0.0.store(true, Ordering::SeqCst);
        self.wake();
    }
}

impl Future for Told {
    type Output = &'static str;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'static str> {
        *self.0.1.lock().unwrap() = Some(cx.waker().clone());
        // After that: whoever sees the poll may wake at once.
        self.0.2.fetch_add(1, Ordering::SeqCst);
        match self.0.0.load(Ordering::SeqCst) {
            true => Poll::Ready("told"),
            false => Poll::Pending,
        }
    }
}

/// Runs what is given on the first poll; then it is ready.
struct Doing<F>(Option<F>);

impl<F: FnOnce() + Unpin> Future for Doing<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        (self.0.take().expect("not polled again"))();
        Poll::Ready(())
    }
}

#[test]
fn what_is_ready_is_done_at_once_whatever_it_is() {
    watchdog(LIMIT, "ready_at_once", || {
        let queue = Queue::bounded(1);
        let never = Event::new();

        let mut slot = Some(5);
        let select = Select::new().event(&never, || false);
        assert!(select.put(&queue, &mut slot, |done| done.is_ok()).wait());
        assert_eq!((slot, queue.len()), (None, 1));

        let select = Select::new().event(&never, || None);
        assert_eq!(
            select.get(&queue, Result::ok).try_select().unwrap(),
            Some(5)
        );

        let semaphore = Semaphore::new(1);
        let select = Select::new().event(&never, || None);
        let permit = select.acquire(&semaphore, Result::ok).wait_within(SHORT);
        assert_eq!(permit.unwrap().unwrap().count(), 1);
        assert_eq!(semaphore.available(), 1, "the guard has given it back");

        let bounded = BoundedSemaphore::new(3);
        let all = Select::new().acquire_many(&bounded, 3, |permits| {
            assert_eq!(bounded.available(), 0);
            permits.unwrap().count()
        });
        assert_eq!(block_on(all.wait_async()), 3);

        let stack = LifoQueue::unbounded();
        let mut slot = Some(1);
        assert_eq!(
            Select::new().put(&stack, &mut slot, |done| done).wait(),
            Ok(())
        );
        assert_eq!(Select::new().get(&stack, |item| item).wait(), Ok(1));

        let set = Event::new();
        set.set();
        assert_eq!(Select::new().event(&set, || 1).wait(), 1);
        let select = Select::new().event(&never, || "no");
        assert_eq!(select.future(future::ready("yes"), |it| it).wait(), "yes");
    });
}

/// One of each, and the names of what can be chosen.
struct World {
    get: Queue<&'static str>,
    full: Queue<u8>,
    semaphore: Semaphore,
    thread: latchwork::thread::JoinHandle<()>,
    end_thread: Event,
    told: Told,
    event: Event,
}

impl World {
    const SERVED: [&str; 6] = ["got", "put", "acquired", "joined", "told", "event"];

    fn new() -> Arc<World> {
        let full = Queue::bounded(1);
        full.put(0).unwrap();
        Arc::new_cyclic(|world: &std::sync::Weak<World>| {
            let world = world.clone();
            World {
                get: Queue::unbounded(),
                full,
                semaphore: Semaphore::new(0),
                thread: latchwork::thread::spawn(move || {
                    while world.strong_count() == 0 {
                        thread::yield_now();
                    }
                    world.upgrade().unwrap().end_thread.wait();
                }),
                end_thread: Event::new(),
                told: Told::default(),
                event: Event::new(),
            }
        })
    }

    fn select<'a>(&'a self, slot: &'a mut Option<u8>) -> Select<impl Arms<Output = &'static str>> {
        Select::new()
            .get(&self.get, |item| item.unwrap())
            .put(&self.full, slot, |done| done.map(|()| "put").unwrap())
            .acquire(&self.semaphore, |permit| {
                permit.unwrap().forget();
                "acquired"
            })
            .join(&self.thread, || "joined")
            .event(&self.event, || "event")
    }

    /// Makes ready what is called so.
    fn serve(&self, name: &str) {
        match name {
            "got" => self.get.put("got").unwrap(),
            "put" => assert_eq!(self.full.get(), Ok(0)),
            "acquired" => self.semaphore.release(1).unwrap(),
            "joined" => assert!(self.end_thread.set()),
            "told" => self.told.tell(),
            "event" => assert!(self.event.set()),
            _ => unreachable!(),
        }
    }

    /// Only this has been done.
    fn check(&self, chosen: &str, slot: Option<u8>) {
        assert_eq!(self.get.len() + self.semaphore.available(), 0);
        assert!(self.full.try_get().is_ok());
        assert_eq!(slot, (chosen != "put").then_some(9));
        self.end_thread.set();
    }
}

/// Nobody stands in a line of `world` any more.
fn assert_nobody_waits(world: &World) {
    let here = std::ptr::from_ref(world).addr();
    let of_world = |wait: &debug::Wait| (here..here + size_of::<World>()).contains(&wait.address);
    let mut waits = debug::waits();
    waits.retain(|wait| {
        of_world(wait) && wait.address != std::ptr::from_ref(&world.end_thread).addr()
    });
    assert!(waits.is_empty(), "{waits:?}");
}

#[test]
fn each_arm_wakes_a_blocked_thread() {
    watchdog(LIMIT, "each_arm_wakes_a_thread", || {
        for name in World::SERVED {
            let world = World::new();
            let waiter = {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    let mut slot = Some(9);
                    let select = world.select(&mut slot);
                    let chosen = match name {
                        "told" => select.future(world.told.clone(), |it| it).wait(),
                        _ => select.wait(),
                    };
                    (chosen, slot)
                })
            };
            until_in_line(&world.event);
            world.serve(name);
            let (chosen, slot) = waiter.join().unwrap();
            assert_eq!(chosen, name);
            assert_nobody_waits(&world);
            world.check(chosen, slot);
        }
    });
}

#[test]
fn each_arm_wakes_a_task_once() {
    watchdog(LIMIT, "each_arm_wakes_a_task", || {
        for name in World::SERVED {
            let world = World::new();
            let (waker, wakes) = counting_waker();
            let mut slot = Some(9);
            let chosen = {
                let told = world.told.clone();
                let select = world.select(&mut slot).future(told, |it| it);
                let mut waiting = pin!(select.wait_async());
                assert!(poll(waiting.as_mut(), &waker).is_pending());
                assert!(poll(waiting.as_mut(), &waker).is_pending());
                until_in_line(&world.event);
                world.serve(name);
                while wakes.load(Ordering::SeqCst) == 0 {
                    thread::yield_now();
                }
                match poll(waiting.as_mut(), &waker) {
                    Poll::Ready(chosen) => chosen,
                    Poll::Pending => panic!("woken for {name} in vain"),
                }
            };
            assert_eq!(chosen, name);
            assert_eq!(wakes.load(Ordering::SeqCst), 1, "{name}");
            assert_nobody_waits(&world);
            world.check(chosen, slot);
        }
    });
}

#[test]
fn a_task_that_is_polled_with_another_waker_wakes_that_one() {
    watchdog(LIMIT, "another_waker", || {
        let world = World::new();
        let ((first, firsts), (second, seconds)) = (counting_waker(), counting_waker());
        let mut slot = None;
        let mut waiting = Box::pin(world.select(&mut slot).wait_async());
        assert!(poll(waiting.as_mut(), &first).is_pending());
        assert!(poll(waiting.as_mut(), &second).is_pending());
        world.semaphore.release(1).unwrap();
        assert_eq!(firsts.load(Ordering::SeqCst), 0);
        assert_eq!(seconds.load(Ordering::SeqCst), 1);
        assert_eq!(poll(waiting.as_mut(), &first), Poll::Ready("acquired"));
        world.end_thread.set();
    });
}

#[test]
fn the_end_of_a_task_can_be_waited_for() {
    watchdog(LIMIT, "the_end_of_a_task", || {
        let pool = ThreadPoolExecutor::new(1);
        let (go, never) = (Arc::new(Event::new()), Event::new());
        let task = {
            let go = Arc::clone(&go);
            pool.spawn(move || {
                go.wait();
                7
            })
        };
        let task = task.unwrap();
        let select = Select::new().done(&task, || true).event(&never, || false);
        let select = select.wait_within(SHORT).unwrap_err().select;
        thread::scope(|s| {
            let waiter = s.spawn(|| select.wait());
            until_in_line(&never);
            go.set();
            assert!(waiter.join().unwrap());
        });
        assert_eq!(task.result().unwrap(), 7);
    });
}

#[test]
fn an_item_is_in_its_slot_unless_its_arm_was_chosen() {
    watchdog(LIMIT, "an_item_is_in_its_slot", || {
        let (full, open) = (Queue::bounded(1), Queue::bounded(1));
        full.put(0).unwrap();
        let (mut a, mut b) = (Some(1), Some(2));

        let select = Select::new().put(&full, &mut a, |done| ("full", done));
        let chosen = select.put(&open, &mut b, |done| ("open", done)).wait();
        assert_eq!(chosen, ("open", Ok(())));
        assert_eq!((a, b, open.get()), (Some(1), None, Ok(2)));

        // Not chosen: tried, timed out, dropped unused, dropped while it waits.
        let select = Select::new().put(&full, &mut a, |done| done);
        let select = select.try_select().unwrap_err();
        let not_chosen = select.wait_within(SHORT).unwrap_err();
        assert_eq!(not_chosen.why, GaveUp::TimedOut);
        drop(not_chosen);
        assert_eq!(a, Some(1));
        drop(Select::new().put(&full, &mut a, |done| done));
        assert_eq!(a, Some(1));
        {
            let select = Select::new().put(&full, &mut a, |done| done);
            let mut waiting = pin!(select.wait_async());
            assert!(poll(waiting.as_mut(), Waker::noop()).is_pending());
        }
        assert_eq!(a, Some(1));

        // Chosen, and refused.
        assert!(full.shutdown(Shutdown::Drain).is_empty());
        let refused = Select::new().put(&full, &mut a, |done| done).wait();
        assert_eq!((refused, a), (Err(PutError::ShutDown(1)), None));
        assert_eq!(full.get(), Ok(0));
    });
}

#[test]
fn a_rendezvous_can_be_got_from_and_not_put_to() {
    watchdog(LIMIT, "a_rendezvous", || {
        let (queue, event) = (Queue::bounded(0), Event::new());
        let select = || Select::new().get(&queue, Result::ok).event(&event, || None);
        thread::scope(|s| {
            let waiter = s.spawn(|| select().wait());
            until_in_line(&event);
            queue.put(1).unwrap();
            assert_eq!(waiter.join().unwrap(), Some(1));
            let putter = s.spawn(|| queue.put(2));
            assert_eq!(select().wait(), Some(2));
            putter.join().unwrap().unwrap();
        });
        let mut slot = Some(3);
        let put = AssertUnwindSafe(|| drop(Select::new().put(&queue, &mut slot, |_| ())));
        assert!(catch_unwind(put).is_err());
        assert_eq!(slot, Some(3));
    });
}

#[test]
fn an_arm_with_an_empty_slot_is_never_chosen() {
    watchdog(LIMIT, "an_empty_slot", || {
        let queue: Queue<u8> = Queue::bounded(1);
        let event = Event::new();
        let mut nothing = None;
        let select = Select::new().put(&queue, &mut nothing, |_| "put");
        let select = select.try_select().unwrap_err();
        let select = select.wait_within(SHORT).unwrap_err().select;
        thread::scope(|s| {
            let waiter = s.spawn(|| select.event(&event, || "event").wait());
            until_in_line(&event);
            assert!(queue.shutdown(Shutdown::Drain).is_empty());
            event.set();
            assert_eq!(waiter.join().unwrap(), "event");
        });
        assert!(queue.is_empty());
    });
}

#[test]
fn a_queue_that_is_shut_down_is_ready() {
    watchdog(LIMIT, "shut_down_is_ready", || {
        let (queue, never) = (Queue::<u8>::unbounded(), Event::new());
        thread::scope(|s| {
            let waiter = s.spawn(|| {
                let select = Select::new()
                    .get(&queue, |item| item)
                    .event(&never, || Ok(0));
                select.wait()
            });
            until_in_line(&never);
            assert!(queue.shutdown(Shutdown::Immediate).is_empty());
            assert_eq!(waiter.join().unwrap(), Err(GetError::ShutDown));
        });
        let closed = Semaphore::new(0);
        closed.close();
        let chosen = Select::new()
            .acquire(&closed, |permit| permit.unwrap_err())
            .wait();
        assert!(chosen.is_closed());
    });
}

#[test]
fn what_is_ready_is_chosen_evenly() {
    const ROUNDS: usize = 6000;
    /// Chooses among seven, those with a 1 of which are ready always.
    fn shares(ready: [usize; 7]) -> [usize; 7] {
        let queues = ready.map(|_| Queue::unbounded());
        for (queue, ready) in queues.iter().zip(ready) {
            (0..ready * ROUNDS).for_each(|n| queue.put(n).unwrap());
        }
        let mut shares = [0; 7];
        for round in 0..ROUNDS {
            let [a, b, c, d, rest @ ..] = &queues;
            let rest = rest.iter().zip(4..);
            let select = Select::new()
                .get(a, |_| 0)
                .get(b, |_| 1)
                .get(c, |_| 2)
                .get(d, |_| 3);
            let select = select.among(rest.map(|(q, n)| Select::new().get(q, move |_| n)));
            let chosen = match round % 3 {
                0 => select.wait(),
                1 => select.try_select().unwrap(),
                _ => block_on(select.wait_async()),
            };
            shares[chosen] += 1;
        }
        shares
    }
    watchdog(LIMIT, "chosen_evenly", || {
        for ready in [
            [1; 7],
            [1, 1, 0, 0, 0, 0, 0],
            [1, 0, 0, 1, 0, 1, 1],
            [0, 0, 1, 0, 0, 0, 1],
        ] {
            let fair = ROUNDS / ready.iter().sum::<usize>();
            for (ready, share) in ready.into_iter().zip(shares(ready)) {
                let range = fair * ready * 4 / 5..=fair * ready * 6 / 5;
                assert!(range.contains(&share), "{share} instead of {fair}");
            }
        }
    });
}

#[test]
fn one_thing_may_be_in_several_arms() {
    watchdog(LIMIT, "several_arms", || {
        let (queue, last) = (Queue::bounded(1), Event::new());
        let select = || {
            let select = Select::new()
                .get(&queue, Result::ok)
                .get(&queue, Result::ok);
            select.event(&last, || None).event(&last, || None)
        };
        thread::scope(|s| {
            let waiter = s.spawn(|| select().wait());
            until_parked("Event", &last, 2);
            queue.put(3).unwrap();
            assert_eq!(waiter.join().unwrap(), Some(3));
            let waiter = s.spawn(|| select().wait());
            until_parked("Event", &last, 2);
            last.set();
            assert_eq!(waiter.join().unwrap(), None);
        });
        assert!(!format!("{last:?}").contains("waited_for: true"));

        // Empty it can be put to, full it can be got from.
        let mut slot = Some(4);
        let both = |slot| {
            Select::new()
                .get(&queue, Result::ok)
                .put(&queue, slot, |_| None)
        };
        assert_eq!(both(&mut slot).wait(), None);
        assert_eq!(both(&mut Some(5)).wait(), Some(4));

        assert!(last.clear());
        // A getter behind the two nodes of one select is served when that is chosen once.
        let mut waiting = Box::pin(select().wait_async());
        assert!(poll(waiting.as_mut(), Waker::noop()).is_pending());
        let mut other = Box::pin(queue.get_async());
        let (waker, wakes) = counting_waker();
        assert!(poll(other.as_mut(), &waker).is_pending());
        queue.put(6).unwrap();
        assert_eq!(poll(waiting.as_mut(), Waker::noop()), Poll::Ready(Some(6)));
        queue.put(7).unwrap();
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert_eq!(poll(other.as_mut(), &waker), Poll::Ready(Ok(7)));
    });
}

#[test]
fn limits_and_cancellation_end_it() {
    watchdog(LIMIT, "limits", || {
        let (queue, event) = (Queue::<u8>::unbounded(), Event::new());
        let semaphore = Semaphore::new(0);
        let select = || {
            let select = Select::new()
                .get(&queue, |_| "got")
                .acquire(&semaphore, |_| "acquired");
            select.event(&event, || "event")
        };
        fn outcome<A: Arms>(result: Result<A::Output, NotChosen<A>>) -> Result<A::Output, GaveUp> {
            Ok(result?)
        }
        let begin = Instant::now();
        assert_eq!(outcome(select().wait_within(SHORT)), Err(GaveUp::TimedOut));
        assert!(begin.elapsed() >= SHORT);
        assert_eq!(
            outcome(select().wait_within(Duration::ZERO)),
            Err(GaveUp::TimedOut)
        );
        let token = CancelToken::new();
        thread::scope(|s| {
            let waiter = s.spawn(|| outcome(select().wait_within(&token)));
            until_in_line(&event);
            token.cancel();
            assert_eq!(waiter.join().unwrap(), Err(GaveUp::Cancelled));
        });
        assert_eq!(
            outcome(select().wait_within(&token)),
            Err(GaveUp::Cancelled)
        );
        // What can be done is done, limit or not; and the words have no marks left.
        semaphore.release(1).unwrap();
        assert_eq!(outcome(select().wait_within(&token)), Ok("acquired"));
        assert!(!format!("{event:?} {semaphore:?}").contains("waited_for: true"));
        assert_eq!(semaphore.forget_permits(1), 1);
        // A future is polled also by a call that does not wait.
        let told = Told::default();
        let chosen = select()
            .future(told.clone(), |it| it)
            .wait_within(Duration::ZERO);
        assert!(chosen.is_err() && told.polls() > 0);
        event.set();
        assert!(select().wait_within(Duration::ZERO).is_ok());
    });
}

#[test]
fn a_select_that_gave_up_waits_again() {
    watchdog(LIMIT, "waits_again", || {
        let (queue, event) = (Queue::unbounded(), Event::new());
        let mut told = Told::default();
        let select = Select::new().get(&queue, Result::ok).event(&event, || None);
        let select = select.future(&mut told, |_| None).try_select().unwrap_err();
        let select = {
            let not_chosen = select.wait_within(SHORT).unwrap_err();
            assert_eq!(not_chosen.to_string(), GaveUp::TimedOut.to_string());
            assert!(format!("{not_chosen:?}").contains("arms: 3"));
            not_chosen.select
        };
        thread::scope(|s| {
            let waiter = s.spawn(|| select.wait());
            until_in_line(&event);
            queue.put(1).unwrap();
            assert_eq!(waiter.join().unwrap(), Some(1));
        });
        assert!(told.polls() > 1, "and is here still");
    });
}

#[test]
fn nothing_to_wait_for_is_a_panic_without_a_limit() {
    watchdog(LIMIT, "nothing_to_wait_for", || {
        let queue = Queue::bounded(1);
        let (mut a, mut b, mut c) = (None::<u8>, None, None);
        fn puts(queue: &Queue<u8>, slot: &mut Option<u8>) -> Select<impl Arms<Output = ()>> {
            Select::new().put(queue, slot, |_| ())
        }
        for panicked in [
            catch_unwind(|| Select::<_>::new().wait()),
            catch_unwind(|| block_on(Select::new().wait_async())),
            catch_unwind(|| drop(Select::<NoArms<()>>::new().wait_within(Limit::none()))),
            catch_unwind(AssertUnwindSafe(|| puts(&queue, &mut a).wait())),
            catch_unwind(AssertUnwindSafe(|| {
                block_on(puts(&queue, &mut b).wait_async())
            })),
        ] {
            let message = *panicked.unwrap_err().downcast::<&str>().unwrap();
            assert!(message.contains("would wait for ever"), "{message}");
        }
        assert!(puts(&queue, &mut c).try_select().is_err());
        let select: Select<_> = Select::<NoArms<()>>::default();
        assert_eq!(select.wait_within(SHORT).unwrap_err().why, GaveUp::TimedOut);
    });
}

#[test]
fn a_panic_leaves_nobody_in_a_line() {
    struct Bad(usize);
    impl Future for Bad {
        type Output = &'static str;
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'static str> {
            assert!(self.0 > 0, "a bad future, on purpose");
            self.0 -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
    watchdog(LIMIT, "a_panic_leaves_nobody", || {
        let world = World::new();
        for good_polls in 0..4 {
            let mut slot = Some(9);
            let select = world.select(&mut slot).future(Bad(good_polls), |it| it);
            assert!(catch_unwind(AssertUnwindSafe(|| select.wait())).is_err());
            assert_nobody_waits(&world);
            assert_eq!(slot, Some(9));

            let select = world.select(&mut slot).future(Bad(good_polls), |it| it);
            let mut waiting = Box::pin(select.wait_async());
            for _ in 0..good_polls.saturating_sub(1) {
                // Its first poll looks twice.
                let _ = catch_unwind(AssertUnwindSafe(|| poll(waiting.as_mut(), Waker::noop())));
            }
            let polled = catch_unwind(AssertUnwindSafe(|| {
                loop {
                    if poll(waiting.as_mut(), Waker::noop()).is_ready() {
                        break;
                    }
                }
            }));
            assert!(polled.is_err());
            assert_nobody_waits(&world);
            drop(waiting);
            assert_eq!(slot, Some(9));
        }
        // The select can go on after a panic, if the future can.
        world.end_thread.set();

        let event = Event::new();
        event.set();
        let select = Select::new().event(&event, || panic!("a bad function, on purpose"));
        let waited: Result<(), _> = catch_unwind(AssertUnwindSafe(|| select.wait()));
        assert!(waited.is_err());
    });
}

#[test]
fn a_bad_waker_does_no_harm() {
    /// Panics whenever it is dropped.
    static DROPS_BADLY: RawWakerVTable = RawWakerVTable::new(
        |data| RawWaker::new(data, &DROPS_BADLY),
        |_| {},
        |_| {},
        |_| assert!(thread::panicking(), "a bad drop, on purpose"),
    );
    watchdog(LIMIT, "a_bad_waker", || {
        let world = World::new();
        let mut slot = Some(9);
        let mut waiting = Box::pin(world.select(&mut slot).wait_async());
        assert!(poll(waiting.as_mut(), &bad_waker()).is_pending());
        world.semaphore.release(1).unwrap();
        assert_eq!(
            poll(waiting.as_mut(), Waker::noop()),
            Poll::Ready("acquired")
        );
        drop(waiting);

        let mut waiting = Box::pin(world.select(&mut slot).wait_async());
        // SAFETY: nothing is behind the pointer, and the functions do not follow it.
        let waker = unsafe { Waker::new(std::ptr::null(), &DROPS_BADLY) };
        let waker = std::mem::ManuallyDrop::new(waker);
        assert!(poll(waiting.as_mut(), &waker).is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(waiting))).is_err());
        assert_nobody_waits(&world);
        assert_eq!(slot, Some(9));
        world.end_thread.set();
    });
}

#[test]
fn a_task_that_is_dropped_passes_its_call_on() {
    watchdog(LIMIT, "passes_its_call_on", || {
        let (queue, semaphore, full) = (Queue::unbounded(), Semaphore::new(0), Queue::bounded(1));
        full.put(0).unwrap();
        let (waker, wakes) = counting_waker();
        let select = || {
            let select = Select::new()
                .get(&queue, |_| ())
                .acquire(&semaphore, |_| ());
            Box::pin(select.wait_async())
        };
        // Whoever is called and dropped leaves it to the next, here a select and a plain getter.
        let [mut first, mut second] = [select(), select()];
        let mut plain = Box::pin(queue.get_async());
        assert!(poll(first.as_mut(), Waker::noop()).is_pending());
        assert!(poll(second.as_mut(), &waker).is_pending());
        assert!(poll(plain.as_mut(), &waker).is_pending());
        queue.put(1).unwrap();
        assert_eq!(wakes.load(Ordering::SeqCst), 0, "the first one was called");
        drop(first);
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        drop(second);
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
        assert_eq!(poll(plain.as_mut(), &waker), Poll::Ready(Ok(1)));

        // What it was given goes back.
        let mut given = select();
        assert!(poll(given.as_mut(), &waker).is_pending());
        semaphore.release(1).unwrap();
        assert_eq!(
            (wakes.load(Ordering::SeqCst), semaphore.available()),
            (3, 0)
        );
        drop(given);
        assert_eq!(semaphore.available(), 1);

        let mut slot = Some(1);
        let mut putting = Box::pin(Select::new().put(&full, &mut slot, |_| ()).wait_async());
        let mut behind = Box::pin(full.put_async(2));
        assert!(poll(putting.as_mut(), Waker::noop()).is_pending());
        assert!(poll(behind.as_mut(), &waker).is_pending());
        assert_eq!(full.get(), Ok(0));
        drop(putting);
        assert_eq!((wakes.load(Ordering::SeqCst), slot), (4, Some(1)));
        assert_eq!(poll(behind.as_mut(), &waker), Poll::Ready(Ok(())));
    });
}

#[test]
fn a_future_that_keeps_waking_does_not_outlast_the_limit() {
    watchdog(LIMIT, "keeps_waking", || {
        let (event, token) = (Event::new(), CancelToken::new());
        let select = || {
            let busy = future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            });
            Select::new().future(busy, |()| ()).event(&event, || ())
        };
        let not_chosen = select().wait_within(SHORT).unwrap_err();
        assert_eq!(not_chosen.why, GaveUp::TimedOut);
        thread::scope(|s| {
            let waiter = s.spawn(|| select().wait_within(&token).map_err(GaveUp::from));
            until_in_line(&event);
            token.cancel();
            assert_eq!(waiter.join().unwrap(), Err(GaveUp::Cancelled));
            let waiter = s.spawn(|| select().wait());
            until_in_line(&event);
            event.set();
            waiter.join().unwrap();
        });
    });
}

#[test]
fn who_looks_and_goes_away_is_not_relied_upon() {
    watchdog(LIMIT, "looks_and_goes_away", || {
        let queue = Queue::unbounded();
        let (waker, wakes) = counting_waker();
        let mut behind = Box::pin(queue.get_async());
        assert!(poll(behind.as_mut(), &waker).is_pending());
        for _ in 0..100 {
            let select = Select::new().get(&queue, Result::ok).try_select();
            let token = CancelToken::new();
            token.cancel();
            for limit in [Limit::from(Duration::ZERO), Limit::from(&token)] {
                let select = Select::new().get(&queue, Result::ok);
                assert!(select.wait_within(limit).is_err());
            }
            drop(Box::pin(select.unwrap_err().wait_async()));
        }
        queue.put(1).unwrap();
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert_eq!(poll(behind.as_mut(), &waker), Poll::Ready(Ok(1)));
    });
}

#[test]
fn who_was_called_in_vain_goes_back_to_the_front() {
    watchdog(LIMIT, "called_in_vain", || {
        let (queue, event) = (Queue::unbounded(), Event::new());
        let (waker, wakes) = counting_waker();
        let select = Select::new().get(&queue, Result::ok).event(&event, || None);
        let mut select = Box::pin(select.wait_async());
        let mut behind = Box::pin(queue.get_async());
        assert!(poll(select.as_mut(), &waker).is_pending());
        assert!(poll(behind.as_mut(), Waker::noop()).is_pending());
        for called in 1..4 {
            queue.put(1).unwrap();
            assert_eq!(wakes.load(Ordering::SeqCst), called, "it was in front");
            assert_eq!(queue.try_get(), Ok(1));
            assert!(poll(select.as_mut(), &waker).is_pending());
        }
        queue.put(2).unwrap();
        assert_eq!(poll(select.as_mut(), &waker), Poll::Ready(Some(2)));
    });
}

#[test]
fn a_grant_that_comes_while_a_future_is_polled_is_passed_on() {
    watchdog(LIMIT, "while_a_future_is_polled", || {
        let (queue, semaphore) = (Queue::unbounded(), Semaphore::new(0));
        let serve = || {
            queue.put(1).unwrap();
            semaphore.release(1).unwrap();
        };
        /// Pending at first, then it does something and is ready.
        struct Second<F>(bool, Doing<F>);
        impl<F: FnOnce() + Unpin> Future for Second<F> {
            type Output = ();
            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
                if std::mem::replace(&mut self.0, true) {
                    return Pin::new(&mut self.1).poll(cx);
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
        let select = || {
            Select::new()
                .get(&queue, |_| "got")
                .acquire(&semaphore, |_| "acquired")
                .future(Second(false, Doing(Some(serve))), |()| "future")
        };
        let mut waiting = Box::pin(select().wait_async());
        while poll(waiting.as_mut(), Waker::noop()).is_pending() {}
        assert_eq!((queue.try_get(), semaphore.forget_permits(9)), (Ok(1), 1));
        select().wait();
        assert_eq!((queue.try_get(), semaphore.forget_permits(9)), (Ok(1), 1));

        // Before the first poll nobody stands in a line.
        let doing = Doing(Some(serve));
        let chosen = Select::new()
            .get(&queue, |_| "got")
            .future(doing, |()| "future")
            .wait();
        assert_eq!(
            (queue.len(), semaphore.available()),
            (usize::from(chosen == "future"), 1)
        );
    });
}

#[test]
fn others_are_served_while_a_future_is_polled() {
    watchdog(LIMIT, "served_while_polled", || {
        let (semaphore, event) = (Semaphore::new(0), Event::new());
        let event_at = std::ptr::from_ref(&event).addr();
        thread::scope(|s| {
            let mut behind = None;
            let chosen = Select::new()
                .acquire(&semaphore, |_| "acquired")
                .event(&event, || "event")
                .future(
                    future::poll_fn(|cx| {
                        if debug::waits().iter().all(|wait| wait.address != event_at) {
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        let plain = s.spawn(|| semaphore.acquire().unwrap().forget());
                        until_parked("Semaphore", &semaphore, 2);
                        semaphore.release(1).unwrap();
                        semaphore.release(1).unwrap();
                        behind = Some(plain.join());
                        Poll::Ready("polled")
                    }),
                    |it| it,
                )
                .wait();
            assert_eq!(chosen, "polled");
            assert!(behind.unwrap().is_ok());
            assert_eq!(semaphore.available(), 1, "what the select was given");
        });
    });
}

#[test]
fn a_nudge_has_the_future_polled_and_costs_no_place() {
    watchdog(LIMIT, "a_nudge", || {
        let (queue, event) = (Queue::unbounded(), Event::new());
        let told = Told::default();
        thread::scope(|s| {
            let select = s.spawn(|| {
                let select = Select::new().get(&queue, Result::ok).event(&event, || None);
                select.future(told.clone(), |_| None).wait()
            });
            until_in_line(&event);
            let mut behind = Box::pin(queue.get_async());
            assert!(poll(behind.as_mut(), Waker::noop()).is_pending());
            for _ in 0..100 {
                let polls = told.polls();
                told.wake();
                while told.polls() == polls {
                    thread::yield_now();
                }
            }
            queue.put(1).unwrap();
            assert_eq!(select.join().unwrap(), Some(1), "it was the first in line");
        });
        // One for each nudge, and two before the lines.
        assert!(told.polls() <= 102, "{} polls", told.polls());
        // Wakers that outlive the wait wake nobody.
        told.wake();
    });
}

#[test]
fn items_and_permits_survive_time_outs_and_cancellations() {
    const ITEMS: usize = 1500;
    const FROM: usize = 3;
    watchdog(LIMIT, "survive_time_outs", || {
        let queues: [Queue<usize>; FROM] =
            [Queue::bounded(1), Queue::bounded(2), Queue::unbounded()];
        let results = [Queue::bounded(1), Queue::bounded(3)];
        let (permits, done) = (Semaphore::new(1), AtomicBool::new(false));
        let (given_up, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let patience = |n: usize| Duration::from_nanos([10_000, 0, 40_000, 1_000][n % 4]);
        let mut all = thread::scope(|s| {
            // Two put each item wherever there is room first.
            for half in 0..2 {
                let (queues, given_up) = (&queues, &given_up);
                s.spawn(move || {
                    for n in (0..ITEMS).filter(|n| n % 2 == half) {
                        let mut slot = Some(n);
                        while slot.is_some() {
                            let select = Select::new().put(&queues[0], &mut slot, Result::unwrap);
                            let chosen = select.wait_within(patience(n));
                            given_up.fetch_add(usize::from(chosen.is_err()), Ordering::Relaxed);
                            drop(chosen);
                            if slot.is_some() {
                                let select =
                                    Select::new().put(&queues[1], &mut slot, Result::unwrap);
                                drop(select.try_select());
                            }
                            if slot.is_some() && n % 7 == 0 {
                                queues[2].put(slot.take().unwrap()).unwrap();
                            }
                        }
                    }
                });
            }
            // Two take from anywhere, with a permit now and then, and pass it on to one of two.
            for _ in 0..2 {
                s.spawn(|| {
                    let mut n = 0;
                    while !done.load(Ordering::Acquire) {
                        n += 1;
                        let all = queues
                            .iter()
                            .map(|queue| Select::new().get(queue, Result::ok));
                        let select = Select::new().among(all).acquire(&permits, |permit| {
                            taken.fetch_add(1, Ordering::Relaxed);
                            assert_eq!(permit.unwrap().count(), 1);
                            None
                        });
                        let mut slot = match n % 3 {
                            0 => select.wait_within(patience(n)).unwrap_or(None),
                            1 => select.try_select().unwrap_or(None),
                            _ => {
                                // Dropped after a poll or two.
                                let mut waiting = pin!(select.wait_async());
                                let polled = (0..2).find_map(|_| {
                                    match poll(waiting.as_mut(), Waker::noop()) {
                                        Poll::Ready(item) => Some(item),
                                        Poll::Pending => {
                                            thread::yield_now();
                                            None
                                        }
                                    }
                                });
                                polled.flatten()
                            }
                        };
                        while slot.is_some() {
                            let mut two = slot.take();
                            let chosen = Select::new()
                                .put(&results[n % 2], &mut two, Result::unwrap)
                                .wait_within(patience(n));
                            drop(chosen);
                            slot = two;
                            n += 1;
                        }
                    }
                });
            }
            let mut all = Vec::new();
            while all.len() < ITEMS {
                let select = Select::new()
                    .get(&results[0], Result::ok)
                    .get(&results[1], Result::ok);
                all.extend(select.wait());
            }
            done.store(true, Ordering::Release);
            all
        });
        all.sort_unstable();
        assert!(all.into_iter().eq(0..ITEMS));
        assert_eq!(permits.available(), 1);
        assert!(given_up.into_inner() > 0 && taken.into_inner() > 0);
        assert!(queues.iter().chain(&results).all(Queue::is_empty));
    });
}

#[test]
fn waits_are_listed_and_no_circle() {
    watchdog(LIMIT, "waits_are_listed", || {
        let (event, semaphore) = (Event::new(), Semaphore::new(0));
        thread::scope(|s| {
            let waiter = s.spawn(|| {
                let me = debug::current_thread();
                let select = Select::new()
                    .acquire(&semaphore, |_| ())
                    .event(&event, || ());
                (select.wait(), me).1
            });
            until_in_line(&event);
            until_parked("Semaphore", &semaphore, 1);
            let address = std::ptr::from_ref(&event).addr();
            let wait = debug::waits()
                .into_iter()
                .find(|wait| wait.address == address)
                .unwrap();
            assert!(wait.place.file().ends_with("select.rs") && wait.owner.is_none());
            event.set();
            assert_eq!(wait.thread.unwrap().id, waiter.join().unwrap().id);
        });
    });
}

/// What a select holds decides where it can go.
#[test]
fn a_select_of_what_can_be_sent_can_be_sent() {
    fn is_send<T: Send>(it: T) -> T {
        it
    }
    let (queue, event) = (Queue::unbounded(), Event::new());
    queue.put(1).unwrap();
    let mut slot = Some(1);
    let select = Select::new()
        .get(&queue, |_| 1)
        .put(&queue, &mut slot, |_| 1);
    let select = is_send(
        select
            .event(&event, || 2)
            .future(future::pending(), |it| it),
    );
    assert_eq!(block_on(is_send(select.wait_async())), 1);
}

#[test]
fn too_many_arms_are_a_panic_and_no_more() {
    watchdog(LIMIT, "too_many_arms", || {
        let event = Event::new();
        event.set();
        let select = |n: usize| {
            let arms = (0..n).map(|n| Select::new().event(&event, move || n));
            Select::new().among(arms)
        };
        assert!(select(65_535).wait() < 65_535);
        assert!(block_on(select(65_535).wait_async()) < 65_535);
        let blocking = catch_unwind(AssertUnwindSafe(|| select(65_536).wait()));
        let trying = catch_unwind(AssertUnwindSafe(|| select(65_536).try_select().is_ok()));
        let task = catch_unwind(AssertUnwindSafe(|| block_on(select(65_536).wait_async())));
        assert!(blocking.is_err() && trying.is_err() && task.is_err());
    });
}

#[test]
fn the_last_of_very_many_arms_is_called() {
    watchdog(LIMIT, "very_many_arms", || {
        let event = Event::new();
        let (queue, never) = (Queue::unbounded(), Queue::<usize>::unbounded());
        let select = || {
            let of = |n: usize| if n == 65_533 { &queue } else { &never };
            let arms =
                (0..65_534).map(|n| Select::new().get(of(n), move |item| (n, item.unwrap())));
            Select::new().among(arms).event(&event, || (0, 0))
        };
        thread::scope(|s| {
            let waiter = s.spawn(|| select().wait());
            until_in_line(&event);
            queue.put(7).unwrap();
            assert_eq!(waiter.join().unwrap(), (65_533, 7));
            let waiter = s.spawn(|| block_on(select().wait_async()));
            until_in_line(&event);
            queue.put(8).unwrap();
            assert_eq!(waiter.join().unwrap(), (65_533, 8));
        });
        assert!(
            debug::waits()
                .iter()
                .all(|wait| !std::ptr::eq(wait.address as *const Event, &event))
        );
    });
}

#[test]
fn at_a_rendezvous_a_select_waits_for_one_item_and_not_for_two() {
    watchdog(LIMIT, "one_item_and_not_two", || {
        let (one, other) = (Queue::bounded(0), Queue::bounded(0));
        let event = Event::new();
        for _ in 0..200 {
            thread::scope(|s| {
                let waiter = s.spawn(|| {
                    Select::new()
                        .get(&one, Result::unwrap)
                        .get(&one, Result::unwrap)
                        .get(&other, Result::unwrap)
                        .event(&event, || 0)
                        .wait()
                });
                until_in_line(&event);
                assert_eq!(one.try_put(1), Ok(()));
                assert_eq!(one.try_put(2), Err(PutError::Full(2)));
                assert_eq!(other.try_put(3), Err(PutError::Full(3)));
                assert_eq!(waiter.join().unwrap(), 1);
            });
        }
        assert!(one.is_empty() && other.is_empty());
    });
}

#[test]
fn ends_and_simple_queues_are_queues() {
    watchdog(LIMIT, "ends_and_simple_queues", || {
        let (sender, receiver) = Queue::bounded(1).ends();
        let (simple, event) = (SimpleQueue::new(), Event::new());
        let get = || {
            Select::new()
                .get(&receiver, |item| item)
                .get(&simple, |item| item)
                .event(&event, || Ok(0))
        };
        thread::scope(|s| {
            let waiter = s.spawn(|| get().wait());
            until_in_line(&event);
            simple.put(1);
            assert_eq!(waiter.join().unwrap(), Ok(1));
            let waiter = s.spawn(|| get().wait());
            until_in_line(&event);
            let mut slot = Some(2);
            assert_eq!(
                Select::new().put(&sender, &mut slot, |done| done).wait(),
                Ok(())
            );
            assert_eq!((waiter.join().unwrap(), slot), (Ok(2), None));
        });

        // Called for an item, and dropped before it comes: the plain getter behind is called.
        let (waker, woken) = counting_waker();
        let mut dropped = Box::pin(get().wait_async());
        assert!(poll(dropped.as_mut(), &waker).is_pending());
        let mut plain = pin!(simple.get_async());
        assert!(poll(plain.as_mut(), &waker).is_pending());
        simple.put(3);
        assert_eq!(woken.load(Ordering::SeqCst), 1);
        drop(dropped);
        assert_eq!(woken.load(Ordering::SeqCst), 2);
        assert_eq!(poll(plain, &waker), Poll::Ready(3));

        let mut slot = Some(4);
        assert_eq!(sender.put(5), Ok(()));
        let full = Select::new().put(&sender, &mut slot, |_| ()).try_select();
        assert!(full.is_err());
        drop(full);
        assert_eq!(slot, Some(4));
        drop(sender);
        assert_eq!(get().wait(), Ok(5));
        assert_eq!(get().wait(), Err(GetError::ShutDown));
    });
}
