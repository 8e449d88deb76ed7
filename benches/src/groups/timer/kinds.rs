//! The ways to have a function called later.

use parking_lot::{Condvar, Mutex};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::time::delay_queue;

/// Sets and cancels timers.
pub trait Timers: 'static {
    type Handle;
    fn set(&self, delay: Duration, f: impl FnOnce() + Send + 'static) -> Self::Handle;
    fn cancel(&self, handle: Self::Handle);

    /// Until what was set is set, where another thread does it.
    fn settle(&self) {}
}

pub struct Ours;

impl Timers for Ours {
    type Handle = latchwork::time::Timer;

    fn set(&self, delay: Duration, f: impl FnOnce() + Send + 'static) -> Self::Handle {
        latchwork::time::Timer::after(delay, f)
    }

    fn cancel(&self, timer: Self::Handle) {
        timer.cancel();
    }
}

/// A task each.
pub struct Tokio(Runtime);

/// As many workers as we have: one.
fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_time().build();
    runtime.expect("the system gives a thread")
}

impl Tokio {
    pub fn new() -> Tokio {
        Tokio(runtime())
    }
}

impl Timers for Tokio {
    type Handle = tokio::task::JoinHandle<()>;

    fn set(&self, delay: Duration, f: impl FnOnce() + Send + 'static) -> Self::Handle {
        let at = tokio::time::Instant::now() + delay;
        self.0.spawn(async move {
            tokio::time::sleep_until(at).await;
            f();
        })
    }

    fn cancel(&self, task: Self::Handle) {
        task.abort();
    }

    /// Each task has to be polled once to be in the wheel.
    fn settle(&self) {
        self.0.block_on(async {
            let last = self.0.spawn(tokio::task::yield_now());
            last.await.expect("it only yields");
        });
    }
}

type Function = Box<dyn FnOnce() + Send>;

enum Order {
    Set(u64, tokio::time::Instant, Function),
    Cancel(u64),
    Tell(std::sync::mpsc::Sender<()>),
}

/// One task that has them all, and is told what to do.
pub struct TokioDelayQueue {
    orders: mpsc::UnboundedSender<Order>,
    next: AtomicU64,
    _runtime: Runtime,
}

impl TokioDelayQueue {
    pub fn new() -> TokioDelayQueue {
        let runtime = runtime();
        let (orders, mut received) = mpsc::unbounded_channel();
        runtime.spawn(async move {
            let mut set = tokio_util::time::DelayQueue::<(u64, Function)>::new();
            let mut keys: HashMap<u64, delay_queue::Key> = HashMap::new();
            loop {
                tokio::select! {
                    order = received.recv() => match order {
                        None => return,
                        Some(Order::Set(id, at, f)) => {
                            keys.insert(id, set.insert_at((id, f), at));
                        }
                        Some(Order::Cancel(id)) => {
                            keys.remove(&id).map(|key| set.remove(&key));
                        }
                        Some(Order::Tell(done)) => done.send(()).expect("it waits"),
                    },
                    Some(due) = std::future::poll_fn(|cx| set.poll_expired(cx)) => {
                        let (id, f) = due.into_inner();
                        keys.remove(&id);
                        f();
                    }
                }
            }
        });
        TokioDelayQueue {
            orders,
            next: AtomicU64::new(0),
            _runtime: runtime,
        }
    }

    fn order(&self, order: Order) {
        assert!(self.orders.send(order).is_ok(), "the task is there");
    }
}

impl Timers for TokioDelayQueue {
    type Handle = u64;

    fn set(&self, delay: Duration, f: impl FnOnce() + Send + 'static) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let at = tokio::time::Instant::now() + delay;
        self.order(Order::Set(id, at, Box::new(f)));
        id
    }

    fn cancel(&self, id: u64) {
        self.order(Order::Cancel(id));
    }

    fn settle(&self) {
        let (tell, told) = std::sync::mpsc::channel();
        self.order(Order::Tell(tell));
        told.recv().expect("it tells");
    }
}

/// A heap of instants and a thread that sleeps until the first of them: what one writes in an afternoon. Cancelled
/// ones leave their instant in the heap, which is swept once most of it is that.
pub struct Heap {
    shared: Arc<(Mutex<Set>, Condvar)>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Set {
    instants: BinaryHeap<Reverse<(Instant, u64)>>,
    functions: HashMap<u64, Function>,
    next: u64,
    is_over: bool,
}

impl Heap {
    pub fn new() -> Heap {
        let shared: Arc<(Mutex<Set>, Condvar)> = Arc::default();
        let its = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let (set, changed) = &*its;
            let mut set = set.lock();
            while !set.is_over {
                match set.instants.peek() {
                    None => changed.wait(&mut set),
                    Some(&Reverse((at, id))) if at <= Instant::now() => {
                        set.instants.pop();
                        if let Some(f) = set.functions.remove(&id) {
                            parking_lot::MutexGuard::unlocked(&mut set, f);
                        }
                    }
                    Some(&Reverse((at, _))) => {
                        changed.wait_until(&mut set, at);
                    }
                }
            }
        });
        Heap {
            shared,
            thread: Some(thread),
        }
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        self.shared.0.lock().is_over = true;
        self.shared.1.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it only rings");
        }
    }
}

impl Timers for Heap {
    type Handle = u64;

    fn set(&self, delay: Duration, f: impl FnOnce() + Send + 'static) -> u64 {
        let at = Instant::now() + delay;
        let f: Function = Box::new(f);
        let (set, changed) = &*self.shared;
        let mut set = set.lock();
        let id = set.next;
        set.next += 1;
        set.functions.insert(id, f);
        set.instants.push(Reverse((at, id)));
        let is_first = set.instants.peek() == Some(&Reverse((at, id)));
        drop(set);
        if is_first {
            changed.notify_one();
        }
        id
    }

    fn cancel(&self, id: u64) {
        let mut set = self.shared.0.lock();
        let function = set.functions.remove(&id);
        if set.instants.len() > 64 && set.instants.len() > 2 * set.functions.len() {
            let Set {
                instants,
                functions,
                ..
            } = &mut *set;
            instants.retain(|Reverse((_, id))| functions.contains_key(id));
        }
        drop(set);
        drop(function);
    }
}

/// A thread each, as Python's `threading.Timer`.
pub struct Threads;

impl Timers for Threads {
    type Handle = (thread::Thread, Arc<std::sync::atomic::AtomicBool>);

    fn set(&self, delay: Duration, f: impl FnOnce() + Send + 'static) -> Self::Handle {
        let at = Instant::now() + delay;
        let is_cancelled = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let its = Arc::clone(&is_cancelled);
        let thread = thread::spawn(move || {
            loop {
                if its.load(Ordering::Acquire) {
                    return;
                }
                let now = Instant::now();
                if now >= at {
                    return f();
                }
                thread::park_timeout(at - now);
            }
        });
        (thread.thread().clone(), is_cancelled)
    }

    fn cancel(&self, (thread, is_cancelled): Self::Handle) {
        is_cancelled.store(true, Ordering::Release);
        thread.unpark();
    }
}
