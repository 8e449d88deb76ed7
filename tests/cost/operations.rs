//! What is held to its cost. A new primitive adds a row here, or two, and is in every test.

use super::common::{block_on, poll, until_parked};
use latchwork::executor::{self, ThreadPoolExecutor};
use latchwork::pool::ResourcePool;
use latchwork::queue::{Discipline, GetError, LifoQueue, PriorityQueue, Queue, SimpleQueue};
use latchwork::select::Select;
use latchwork::sync::{Condition, Event, Lock, Semaphore};
use latchwork::thread::Local;
use latchwork::time::{ManualClock, Timer, sleep_async};
use latchwork::{CancelToken, Limit};
use std::cell::Cell;
use std::future::pending;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

/// A name, and what makes the thing.
pub type Row<T> = (&'static str, fn() -> T);

/// Something to be done over and over, with nobody in the way.
pub type Operation = Box<dyn FnMut() + Send>;

/// Operations that nobody waits for and that need not wait: no system call, no allocation.
///
/// A name with `within` reads the clock.
pub const ALONE: &[Row<Operation>] = &[
    ("Lock::lock", || {
        let lock = Lock::new(0);
        Box::new(move || *lock.lock() += 1)
    }),
    ("Lock::try_lock", || {
        let lock = Lock::new(0);
        Box::new(move || *lock.try_lock().unwrap() += 1)
    }),
    ("Lock::lock_within", || {
        let lock = Lock::new(0);
        Box::new(move || *lock.lock_within(HOUR).unwrap() += 1)
    }),
    ("Lock::lock_async", || {
        let lock = Lock::new(0);
        Box::new(move || *at_once(lock.lock_async()) += 1)
    }),
    ("executor::block_on", || {
        // The first one allocates what the thread keeps.
        Box::new(|| executor::block_on(std::future::ready(())))
    }),
    ("Semaphore::acquire", || {
        let semaphore = Semaphore::new(3);
        Box::new(move || {
            drop(semaphore.acquire().unwrap());
            drop(semaphore.try_acquire().unwrap());
            drop(semaphore.acquire_many(3).unwrap());
            drop(at_once(semaphore.acquire_async()).unwrap());
        })
    }),
    ("Semaphore::acquire_within", || {
        let semaphore = Semaphore::new(1);
        Box::new(move || drop(semaphore.acquire_within(HOUR).unwrap()))
    }),
    ("Semaphore::release", || {
        let semaphore = Semaphore::new(0);
        Box::new(move || {
            semaphore.release(1).unwrap();
            semaphore.try_acquire().unwrap().forget();
        })
    }),
    ("Event::set, wait, clear", || {
        let event = Event::new();
        Box::new(move || {
            assert!(event.set() && event.is_set());
            event.wait();
            at_once(event.wait_async());
            assert!(event.clear());
        })
    }),
    ("Event::wait_within", || {
        let event = Event::new();
        event.set();
        Box::new(move || event.wait_within(HOUR).unwrap())
    }),
    ("Condition::notify", || {
        let condition = Condition::new();
        Box::new(move || {
            assert!(!condition.notify_one());
            assert_eq!(condition.notify(3), 0);
            assert_eq!(condition.notify_all(), 0);
        })
    }),
    ("Condition::wait_while, with nothing to wait for", || {
        let (lock, condition) = (Lock::new(0), Condition::new());
        Box::new(move || condition.wait_while(&mut lock.lock(), |n| *n > 0))
    }),
    ("Queue::put, get", || {
        let queue = Queue::bounded(2);
        Box::new(move || {
            queue.put(1).unwrap();
            queue.try_put(2).unwrap();
            assert_eq!((queue.get(), queue.try_get()), (Ok(1), Ok(2)));
        })
    }),
    ("Queue::put_within, get_within", || {
        let queue = Queue::bounded(1);
        Box::new(move || {
            queue.put_within(1, HOUR).unwrap();
            assert_eq!(queue.get_within(HOUR), Ok(1));
        })
    }),
    ("Queue::unbounded", || {
        let queue = Queue::unbounded();
        Box::new(move || {
            queue.put(1).unwrap();
            assert_eq!(queue.get(), Ok(1));
        })
    }),
    ("Local::get, with", || {
        static LOCAL: Local<Cell<u32>> = Local::with_init(|| Cell::new(0));
        Box::new(move || {
            let value = LOCAL.get().unwrap();
            assert_eq!(LOCAL.with(|it| it.replace(value.get())), Some(0));
        })
    }),
    ("Select, of what is ready", || {
        let (queue, event) = (Queue::bounded(1), Event::new());
        Box::new(move || {
            let select = || Select::new().get(&queue, Result::ok).event(&event, || None);
            let mut slot = Some(1);
            let puts = Select::new().put(&queue, &mut slot, Result::unwrap);
            puts.future(pending(), |it| it).try_select().unwrap();
            assert_eq!(select().wait(), Some(1));
            queue.put(2).unwrap();
            assert_eq!(at_once(select().wait_async()), Some(2));
            assert!(select().try_select().is_err());
        })
    }),
    ("Queue::put_async, get_async", || {
        let queue = Queue::bounded(1);
        Box::new(move || {
            at_once(queue.put_async(1)).unwrap();
            assert_eq!(at_once(queue.get_async()), Ok(1));
        })
    }),
    ("Queue::at_front, peek, with_lock, try_iter", || {
        let queue = Queue::bounded(2);
        Box::new(move || {
            queue.put(2).unwrap();
            queue.at_front().put(1).unwrap();
            assert_eq!(queue.peek(|n| *n), Some(1));
            queue.with_lock(|items| items.pop().map(|n| items.push(n)));
            assert_eq!((queue.len(), queue.stats().high_water), (2, 2));
            queue.set_capacity(2);
            assert_eq!(queue.try_iter().sum::<i32>(), 3);
        })
    }),
    ("Queue::get_task, task_done, join", || {
        let queue = Queue::bounded(2);
        Box::new(move || {
            queue.put(1).unwrap();
            queue.put(2).unwrap();
            drop(queue.get_task().unwrap());
            assert_eq!((queue.get(), queue.unfinished()), (Ok(2), 1));
            queue.task_done().unwrap();
            queue.join();
            at_once(queue.join_async());
        })
    }),
    ("Queue::bounded(0)", || {
        let queue = Queue::bounded(0);
        Box::new(move || {
            assert!(queue.try_put(1).is_err() && queue.try_get().is_err());
            assert!(queue.put_within(1, Duration::ZERO).is_err());
            assert!(queue.get_within(Duration::ZERO).is_err());
        })
    }),
    ("LifoQueue::put, get", || {
        let stack = LifoQueue::unbounded();
        Box::new(move || {
            stack.put(1).unwrap();
            assert_eq!(stack.get(), Ok(1));
        })
    }),
    ("PriorityQueue::put, get", || {
        let queue = PriorityQueue::unbounded();
        Box::new(move || {
            queue.put(2).unwrap();
            queue.put(1).unwrap();
            assert_eq!((queue.get(), queue.get()), (Ok(1), Ok(2)));
        })
    }),
    ("Sender::put, Receiver::get", || {
        let (sender, receiver) = Queue::bounded(1).ends();
        Box::new(move || {
            sender.clone().put(1).unwrap();
            assert_eq!(receiver.clone().get(), Ok(1));
        })
    }),
    ("ResourcePool::get, try_get, get_async", || {
        let pool = ResourcePool::<u8, ()>::new(2, || Ok(1));
        Box::new(move || {
            let _first = pool.get().unwrap();
            drop(pool.try_get().unwrap());
            drop(at_once(pool.get_async()).unwrap());
        })
    }),
    ("ResourcePool::get_within, with ages", || {
        let builder = ResourcePool::<u8, ()>::builder(1, || Ok(1));
        let pool = builder.max_age(HOUR).max_idle(HOUR).build();
        Box::new(move || drop(pool.get_within(HOUR).unwrap()))
    }),
    ("CancelToken::check", || {
        let token = CancelToken::new();
        Box::new(move || assert!(token.check().is_ok() && !token.is_cancelled()))
    }),
];

/// Operations that need memory, but so many times and no more, and no system call.
pub const ALLOCATING: &[Row<(usize, Operation)>] = &[
    // What was set first is what the thread sleeps for.
    ("Timer::after, reset, cancel", || {
        let operation = || {
            let timer = Timer::after(HOUR, || ());
            assert!(timer.reset(2 * HOUR));
            assert!(timer.cancel().is_prevented());
        };
        (1, Box::new(operation))
    }),
    ("sleep_async, dropped", || {
        let operation = || assert!(poll(pin!(sleep_async(HOUR)), Waker::noop()).is_pending());
        (1, Box::new(operation))
    }),
];

/// Never reached.
const HOUR: Duration = Duration::from_secs(3600);

/// What a future comes to that need not wait.
fn at_once<F: Future>(future: F) -> F::Output {
    match poll(pin!(future), Waker::noop()) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// One wait, from both sides.
pub struct Wait {
    /// Waits, and says whether it got what it waited for.
    pub wait: Box<dyn FnMut(Limit<'_>) -> bool + Send>,
    /// Returns when it is known that the other thread is parked in `wait`; `None` where nothing
    /// tells.
    pub until_parked: Option<Box<dyn Fn()>>,
    /// Gives what is waited for. Called in the thread that made this.
    pub grant: Box<dyn FnOnce()>,
}

/// Every kind of wait: a sleep, and no allocation in it.
pub const WAITS: &[Row<Wait>] = &[
    ("Lock", || {
        let lock = leak(Lock::new(()));
        let held = lock.lock();
        Wait {
            wait: Box::new(|limit| lock.lock_within(limit).is_ok()),
            until_parked: Some(Box::new(|| until_parked("Lock", lock, 1))),
            grant: Box::new(|| drop(held)),
        }
    }),
    ("Lock that a task holds", || {
        let lock = leak(Lock::new(()));
        let held = block_on(lock.lock_async());
        Wait {
            wait: Box::new(|limit| lock.lock_within(limit).is_ok()),
            until_parked: Some(Box::new(|| until_parked("Lock", lock, 1))),
            grant: Box::new(|| drop(held)),
        }
    }),
    ("Semaphore", || {
        let semaphore = leak(Semaphore::new(0));
        Wait {
            wait: Box::new(|limit| semaphore.acquire_within(limit).is_ok()),
            until_parked: Some(Box::new(|| until_parked("Semaphore", semaphore, 1))),
            grant: Box::new(|| semaphore.release(1).unwrap()),
        }
    }),
    ("ResourcePool::get", || {
        let pool = ResourcePool::<u8, ()>::new(1, || Ok(1));
        drop(pool.get().unwrap()); // Makes room for idle ones, which is not the wait's to make.
        let (getter, held) = (pool.clone(), pool.get().unwrap());
        Wait {
            wait: Box::new(move |limit| getter.get_within(limit).is_ok()),
            until_parked: Some(Box::new(|| until_any_parked("Semaphore"))),
            grant: Box::new(|| drop(held)),
        }
    }),
    ("Event", || {
        let event = leak(Event::new());
        Wait {
            wait: Box::new(|limit| event.wait_within(limit).is_ok()),
            until_parked: Some(Box::new(|| until_parked("Event", event, 1))),
            grant: Box::new(|| assert!(event.set())),
        }
    }),
    ("executor::block_on", || {
        let event = leak(Event::new());
        Wait {
            wait: Box::new(|limit| executor::block_on_within(event.wait_async(), limit).is_ok()),
            until_parked: Some(Box::new(|| until_parked("Event", event, 1))),
            grant: Box::new(|| assert!(event.set())),
        }
    }),
    ("Condition", || {
        let (lock, condition) = leak((Lock::new(()), Condition::new()));
        Wait {
            wait: Box::new(|limit| condition.wait_within(&mut lock.lock(), limit).is_ok()),
            until_parked: Some(Box::new(|| until_parked("Condition", condition, 1))),
            grant: Box::new(|| assert!(condition.notify_one())),
        }
    }),
    ("Queue::get", || {
        let queue = Queue::unbounded();
        queue.put(0).unwrap(); // Makes room, which is not the wait's to make.
        queue.get().unwrap();
        let getter = queue.clone();
        Wait {
            wait: Box::new(move |limit| getter.get_within(limit).is_ok()),
            until_parked: Some(Box::new(|| until_any_parked("Queue::get"))),
            grant: Box::new(move || queue.put(1).unwrap()),
        }
    }),
    ("Queue::put", || {
        let queue = Queue::bounded(1);
        queue.put(0).unwrap();
        let putter = queue.clone();
        Wait {
            wait: Box::new(move |limit| putter.put_within(1, limit).is_ok()),
            until_parked: Some(Box::new(|| until_any_parked("Queue::put"))),
            grant: Box::new(move || assert_eq!(queue.get(), Ok(0))),
        }
    }),
    ("Queue::put at a rendezvous", || {
        let queue = Queue::bounded(0);
        let putter = queue.clone();
        Wait {
            wait: Box::new(move |limit| putter.put_within(1, limit).is_ok()),
            until_parked: Some(Box::new(|| until_any_parked("Queue::put"))),
            grant: Box::new(move || assert_eq!(queue.get(), Ok(1))),
        }
    }),
    ("Queue::join", || {
        let queue = Queue::unbounded();
        queue.put(1).unwrap();
        let joiner = queue.clone();
        Wait {
            wait: Box::new(move |limit| joiner.join_within(limit).is_ok()),
            until_parked: Some(Box::new(|| until_any_parked("Queue::join"))),
            grant: Box::new(move || queue.task_done().unwrap()),
        }
    }),
    ("Receiver::get, which the last sender ends", || {
        let (sender, receiver) = Queue::<u8>::unbounded().ends();
        Wait {
            wait: Box::new(move |limit| receiver.get_within(limit) == Err(GetError::ShutDown)),
            until_parked: Some(Box::new(|| until_any_parked("Queue::get"))),
            grant: Box::new(move || drop(sender)),
        }
    }),
    ("SimpleQueue::get", || {
        let queue = SimpleQueue::new();
        queue.put(0); // Makes room, which is not the wait's to make.
        queue.get();
        let getter = queue.clone();
        Wait {
            wait: Box::new(move |limit| getter.get_within(limit).is_ok()),
            until_parked: Some(Box::new(|| until_any_parked("SimpleQueue::get"))),
            grant: Box::new(move || queue.put(1)),
        }
    }),
    ("Select", || {
        let queue = Queue::unbounded();
        queue.put(0).unwrap();
        queue.get().unwrap();
        let (getter, last) = (queue.clone(), leak(Event::new()));
        Wait {
            wait: Box::new(move |limit| {
                let select = Select::new().get(&getter, |_| ()).event(last, || ());
                select.wait_within(limit).is_ok()
            }),
            until_parked: Some(Box::new(|| until_parked("Event", last, 1))),
            grant: Box::new(move || queue.put(1).unwrap()),
        }
    }),
    ("TaskFuture", || {
        let (pool, event) = leak((ThreadPoolExecutor::new(1), Event::new()));
        let future = pool.spawn(|| event.wait()).unwrap();
        Wait {
            wait: Box::new(move |limit| future.wait_within(limit).is_ok()),
            until_parked: None,
            grant: Box::new(|| assert!(event.set())),
        }
    }),
    ("Timer", || {
        // Who rings for it has a number.
        latchwork::debug::current_thread();
        let clock = ManualClock::new();
        let timer = clock.run(|| Timer::after(HOUR, || ()));
        Wait {
            wait: Box::new(move |limit| timer.wait_within(limit).is_ok()),
            until_parked: Some(Box::new(|| until_any_parked("Timer"))),
            grant: Box::new(move || clock.advance(HOUR)),
        }
    }),
    ("CancelToken", || {
        let token = CancelToken::new();
        let waiter = token.clone();
        Wait {
            wait: Box::new(move |limit| waiter.wait_within(limit).is_ok()),
            until_parked: None,
            grant: Box::new(move || assert!(token.cancel())),
        }
    }),
];

/// As [`until_parked`] for what shows nobody where its words lie: one wait of this kind at a time.
fn until_any_parked(kind: &str) {
    while latchwork::debug::waits()
        .iter()
        .all(|wait| wait.kind != kind)
    {
        std::thread::yield_now();
    }
}

/// For the rest of the program, so that threads may use it that nobody joins.
fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}
