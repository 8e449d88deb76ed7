//! Models of `Select`: one arm is done, the others have done nothing, and nobody else is left waiting.

use latchwork::CancelToken;
use latchwork::model::Deadline;
use latchwork::queue::Queue;
use latchwork::select::Select;
use latchwork::sync::{Event, Semaphore};
use latchwork_loom_tests::model;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

#[test]
fn two_queues_and_a_time_out() {
    model(
        "select: items for two queues while the select times out, none of them lost",
        || {
            let queues = [Queue::unbounded(), Queue::unbounded()];
            let deadline = Deadline::new();
            let producer = {
                let queues = queues.clone();
                thread::spawn(move || (0..2).for_each(|n| queues[n].put(n).unwrap()))
            };
            let timer = {
                let deadline = deadline.clone();
                thread::spawn(move || deadline.pass())
            };
            let chosen = Select::new()
                .get(&queues[0], |item| item.unwrap())
                .get(&queues[1], |item| item.unwrap())
                .wait_within(&deadline)
                .map_err(|not_chosen| not_chosen.why);
            producer.join().unwrap();
            timer.join().unwrap();
            for (n, queue) in queues.iter().enumerate() {
                assert_eq!(queue.len(), usize::from(chosen != Ok(n)));
            }
        },
    );
}

#[test]
fn a_time_out_after_the_item() {
    model(
        "select: an item that came before the deadline passed is got",
        || {
            let queue = Queue::unbounded();
            let (never, deadline) = (Event::new(), Deadline::new());
            let producer = {
                let (queue, deadline) = (queue.clone(), deadline.clone());
                thread::spawn(move || {
                    queue.put(1).unwrap();
                    deadline.pass();
                })
            };
            let chosen = Select::new()
                .event(&never, || 0)
                .get(&queue, Result::unwrap)
                .wait_within(&deadline);
            assert_eq!(chosen.ok(), Some(1));
            producer.join().unwrap();
        },
    );
}

#[test]
fn an_event_against_a_semaphore() {
    model(
        "select: a flag goes up while a permit comes, which is taken or there still",
        || {
            let (event, semaphore) = (Arc::new(Event::new()), Arc::new(Semaphore::new(0)));
            let setter = {
                let event = event.clone();
                thread::spawn(move || event.set())
            };
            let releaser = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.release(1).unwrap())
            };
            let got_permit = Select::new()
                .event(&event, || false)
                .acquire(&*semaphore, |permit| {
                    permit.unwrap().forget();
                    true
                })
                .wait();
            assert!(setter.join().unwrap());
            releaser.join().unwrap();
            assert_eq!(semaphore.available(), usize::from(!got_permit));
        },
    );
}

#[test]
fn a_select_against_a_plain_acquire() {
    model(
        "select: a permit that a select was called for, and does not take, reaches who waits behind",
        || {
            let (event, semaphore) = (Arc::new(Event::new()), Arc::new(Semaphore::new(0)));
            let select = {
                let (event, semaphore) = (event.clone(), semaphore.clone());
                thread::spawn(move || {
                    Select::new()
                        .acquire(&*semaphore, |permit| {
                            permit.unwrap().forget();
                            true
                        })
                        .event(&event, || false)
                        .wait()
                })
            };
            let plain = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.acquire().unwrap().forget())
            };
            semaphore.release(1).unwrap();
            event.set();
            if select.join().unwrap() {
                semaphore.release(1).unwrap();
            }
            plain.join().unwrap();
            assert_eq!(semaphore.available(), 0);
        },
    );
}

#[test]
fn a_select_against_a_plain_getter() {
    model(
        "select: an item that a select was called for, and does not take, reaches the getter behind",
        || {
            let (event, queue) = (Arc::new(Event::new()), Queue::unbounded());
            let select = {
                let (event, queue) = (event.clone(), queue.clone());
                thread::spawn(move || {
                    Select::new()
                        .get(&queue, |_| true)
                        .event(&event, || false)
                        .wait()
                })
            };
            let plain = {
                let queue = queue.clone();
                thread::spawn(move || queue.get().unwrap())
            };
            queue.put(1).unwrap();
            event.set();
            if select.join().unwrap() {
                queue.put(2).unwrap();
            }
            plain.join().unwrap();
            assert!(queue.is_empty());
        },
    );
}

#[test]
fn one_queue_in_two_arms() {
    model(
        "select: an item for a select that stands in the line twice, and one for who comes behind it",
        || {
            let queue = Queue::unbounded();
            let select = {
                let queue = queue.clone();
                thread::spawn(move || {
                    Select::new()
                        .get(&queue, |item| item.unwrap())
                        .get(&queue, |item| item.unwrap())
                        .wait()
                })
            };
            let plain = {
                let queue = queue.clone();
                thread::spawn(move || queue.get().unwrap())
            };
            queue.put(1).unwrap();
            queue.put(2).unwrap();
            assert_eq!(select.join().unwrap() + plain.join().unwrap(), 3);
        },
    );
}

#[test]
fn a_put_against_a_cancellation() {
    model(
        "select: room in one of two queues while the select is cancelled; the item is in one place",
        || {
            let queues = [Queue::bounded(1), Queue::bounded(1)];
            queues.iter().for_each(|queue| queue.put(0).unwrap());
            let token = CancelToken::new();
            let putter = {
                let (queues, token) = (queues.clone(), token.clone());
                thread::spawn(move || {
                    let mut slot = Some(1);
                    let done = Select::new()
                        .put(&queues[0], &mut slot, Result::unwrap)
                        .wait_within(&token)
                        .is_ok();
                    assert_eq!(slot, (!done).then_some(1));
                    done
                })
            };
            let canceller = thread::spawn(move || token.cancel());
            assert_eq!(queues[0].get(), Ok(0));
            let done = putter.join().unwrap();
            assert!(canceller.join().unwrap());
            assert_eq!(queues[0].try_get().ok(), done.then_some(1));
        },
    );
}

#[test]
fn two_selects_face_to_face() {
    model(
        "select: one that puts to either of two queues, one that gets from either",
        || {
            let queues = [Queue::bounded(1), Queue::bounded(1)];
            queues[0].put(0).unwrap();
            queues[1].put(0).unwrap();
            let putter = {
                let queues = queues.clone();
                thread::spawn(move || {
                    let (mut a, mut b) = (Some(1), Some(2));
                    Select::new()
                        .put(&queues[0], &mut a, Result::unwrap)
                        .put(&queues[1], &mut b, Result::unwrap)
                        .wait();
                    a.or(b).unwrap()
                })
            };
            let get = || {
                let select = Select::new().get(&queues[0], Result::unwrap);
                select.get(&queues[1], Result::unwrap).wait()
            };
            let got = get() + get() + get();
            let left = putter.join().unwrap();
            assert_eq!((got, left), (3 - left, left));
        },
    );
}

#[test]
fn a_dropped_task() {
    model(
        "select: a task dropped after it was called for an item",
        || {
            let (queue, event) = (Queue::unbounded(), Arc::new(Event::new()));
            let dropper = {
                let (queue, event) = (queue.clone(), event.clone());
                thread::spawn(move || {
                    let select = Select::new().get(&queue, Result::ok).event(&event, || None);
                    let mut waiting = pin!(select.wait_async());
                    let mut cx = Context::from_waker(Waker::noop());
                    if let Poll::Ready(Some(item)) = waiting.as_mut().poll(&mut cx) {
                        queue.put(item).unwrap();
                    }
                })
            };
            let patient = {
                let queue = queue.clone();
                thread::spawn(move || assert_eq!(queue.get(), Ok(1)))
            };
            queue.put(1).unwrap();
            dropper.join().unwrap();
            patient.join().unwrap();
        },
    );
}

#[test]
fn a_task_of_two_arms() {
    model(
        "select: a task that is woken by the first of two, and polled again",
        || {
            let (queue, event) = (Queue::unbounded(), Arc::new(Event::new()));
            let task = {
                let (queue, event) = (queue.clone(), event.clone());
                thread::spawn(move || {
                    let select = Select::new().get(&queue, |_| true).event(&event, || false);
                    loom::future::block_on(select.wait_async())
                })
            };
            let setter = {
                let event = event.clone();
                thread::spawn(move || event.set())
            };
            queue.put(1).unwrap();
            let got = task.join().unwrap();
            assert!(setter.join().unwrap());
            assert_eq!(queue.is_empty(), got);
        },
    );
}

/// Ready once told; wakes who has polled it last.
#[derive(Default)]
struct Told {
    is_told: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Told {
    fn tell(&self) {
        self.is_told.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        let waker = self.waker.lock().unwrap().take();
        if let Some(waker) = &waker {
            waker.wake_by_ref();
        }
        // Kept, unless there is another: how wakers are counted is not loom's to see.
        let mut kept = self.waker.lock().unwrap();
        *kept = kept.take().or(waker);
    }
}

struct Telling(Arc<Told>);

impl Future for Telling {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.is_told.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        *self.0.waker.lock().unwrap() = Some(cx.waker().clone());
        match self.0.is_told.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

#[test]
fn a_future_wakes_a_sleeper() {
    model(
        "select: a future becomes ready while the thread that has polled it goes to sleep",
        || {
            let (told, event) = (Arc::new(Told::default()), Event::new());
            let teller = {
                let told = told.clone();
                thread::spawn(move || told.tell())
            };
            Select::new()
                .event(&event, || ())
                .future(Telling(told.clone()), |()| ())
                .wait();
            teller.join().unwrap();
        },
    );
}

#[test]
fn a_nudge_after_a_call_in_vain() {
    model(
        "select: a future becomes ready when the select has been called for an item that is gone",
        || {
            let (told, queue) = (Arc::new(Told::default()), Queue::unbounded());
            let other = {
                let (told, queue) = (told.clone(), queue.clone());
                thread::spawn(move || {
                    queue.put(1).unwrap();
                    let is_gone = queue.try_get().is_ok();
                    told.tell();
                    is_gone
                })
            };
            let is_told = Select::new()
                .get(&queue, |_| false)
                .future(Telling(told.clone()), |()| true)
                .wait();
            if other.join().unwrap() {
                assert!(is_told);
            } else {
                assert!(!is_told || queue.is_empty());
            }
        },
    );
}

#[test]
fn a_nudge_and_a_permit() {
    model(
        "select: a future that is not ready wakes the sleeper while a permit comes",
        || {
            let (told, semaphore) = (Arc::new(Told::default()), Arc::new(Semaphore::new(0)));
            let waker = {
                let told = told.clone();
                thread::spawn(move || told.wake())
            };
            let releaser = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.release(1).unwrap())
            };
            Select::new()
                .acquire(&*semaphore, |permit| permit.unwrap().forget())
                .future(Telling(told.clone()), |()| {
                    unreachable!("it is never ready")
                })
                .wait();
            waker.join().unwrap();
            releaser.join().unwrap();
            assert_eq!(semaphore.available(), 0);
        },
    );
}

#[test]
fn a_future_against_a_permit() {
    model(
        "select: a future becomes ready while a permit comes, which is taken or there still",
        || {
            let (told, semaphore) = (Arc::new(Told::default()), Arc::new(Semaphore::new(0)));
            let teller = {
                let told = told.clone();
                thread::spawn(move || told.tell())
            };
            let releaser = {
                let semaphore = semaphore.clone();
                thread::spawn(move || semaphore.release(1).unwrap())
            };
            let got_permit = Select::new()
                .acquire(&*semaphore, |permit| {
                    permit.unwrap().forget();
                    true
                })
                .future(Telling(told.clone()), |()| false)
                .wait();
            teller.join().unwrap();
            releaser.join().unwrap();
            assert_eq!(semaphore.available(), usize::from(!got_permit));
        },
    );
}

/// Ready once told, and has its waker only if that is another one than before: a poll that finds the same
/// one is a look at the flag and nothing else.
struct Remembering(Arc<Told>, Option<Waker>);

impl Future for Remembering {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self
            .1
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            self.1 = Some(cx.waker().clone());
            *self.0.waker.lock().unwrap() = Some(cx.waker().clone());
        }
        match self.0.is_told.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

#[test]
fn a_nudge_beside_a_beginning_anew() {
    model(
        "select: a waker comes while a select that was called in vain begins anew, and nothing but the decision is shared",
        || {
            let (told, queue) = (Arc::new(Told::default()), Queue::unbounded());
            let other = {
                let (told, queue) = (told.clone(), queue.clone());
                thread::spawn(move || {
                    queue.put(1).unwrap();
                    let is_gone = queue.try_get().is_ok();
                    told.tell();
                    is_gone
                })
            };
            let is_told = Select::new()
                .get(&queue, |_| false)
                .future(Remembering(told.clone(), None), |()| true)
                .wait();
            if other.join().unwrap() {
                assert!(is_told);
            }
        },
    );
}

#[test]
fn two_rendezvous() {
    model(
        "select: handed an item at each of two rendezvous, takes one, and the other putter keeps theirs",
        || {
            let queues = [Queue::bounded(0), Queue::bounded(0)];
            let deadline = Deadline::new();
            let [one, other] = queues.clone();
            let first = thread::spawn(move || one.try_put(0).is_ok());
            let second = {
                let deadline = deadline.clone();
                thread::spawn(move || {
                    let done = other.try_put(1).is_ok();
                    deadline.pass();
                    done
                })
            };
            let chosen = Select::new()
                .get(&queues[0], |item| item.unwrap())
                .get(&queues[1], |item| item.unwrap())
                .wait_within(&deadline)
                .map_err(|not_chosen| not_chosen.why);
            let taken = [first.join().unwrap(), second.join().unwrap()];
            assert_eq!(taken, [chosen == Ok(0), chosen == Ok(1)]);
            assert!(queues.iter().all(Queue::is_empty));
        },
    );
}
