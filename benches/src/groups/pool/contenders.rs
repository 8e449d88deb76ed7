//! The pools, each doing the same things by its own means.
//!
//! rayon and threadpool have no future for a spawned task; beside ours, which returns one for each,
//! they send their results through a channel, as one does with them.

use super::task;
use latchwork::executor::{TaskFuture, ThreadPoolExecutor};
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

pub trait Pool: Sized + Send + Sync + 'static {
    /// By what a task of the pool spawns others.
    type Inside: Clone + Send + 'static;

    fn start(workers: usize) -> Self;

    /// Submits a task of so many steps for each argument, then takes all results; returns their sum.
    fn submit_all(&self, arguments: Range<u64>, steps: u32) -> u64;

    /// Submits one tiny task and waits for its result.
    fn round_trip(&self, argument: u64) -> u64;

    /// As `submit_all`, by whatever the pool has for batches.
    fn fan(&self, tasks: u64, steps: u32) -> u64 {
        self.submit_all(0..tasks, steps)
    }

    /// Spawns a task from outside whose result nobody takes.
    fn enter(&self, root: impl FnOnce(&Self::Inside) + Send + 'static);

    /// Spawns a task from inside whose result nobody takes.
    fn fire(inside: &Self::Inside, task: impl FnOnce(&Self::Inside) + Send + 'static);
}

/// A pool whose tasks have futures.
pub trait Futures: Pool {
    type Future: Future<Output: Send> + Send + Unpin + 'static;

    fn spawn(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Self::Future;

    /// What the future comes to when the task has not failed.
    fn value(output: <Self::Future as Future>::Output) -> u64;
}

/// Shared, because its own tasks spawn tasks.
pub struct Ours(pub Arc<ThreadPoolExecutor>);

pub fn taken(future: TaskFuture<u64>) -> u64 {
    future.result().expect("the task does not panic")
}

impl Ours {
    /// What [`Pool::fan`] uses: tasks that write where they borrow.
    fn quickest_fan(&self, tasks: u64, steps: u32) -> u64 {
        let mut results = vec![0; tasks as usize];
        self.0.scope(|scope| {
            for (argument, result) in (0..).zip(&mut results) {
                scope.spawn(move || *result = task(argument, steps));
            }
        });
        results.iter().sum()
    }
}

impl Pool for Ours {
    type Inside = Arc<ThreadPoolExecutor>;

    fn start(workers: usize) -> Self {
        Ours(Arc::new(ThreadPoolExecutor::new(workers)))
    }
    fn submit_all(&self, arguments: Range<u64>, steps: u32) -> u64 {
        let submit = |argument| self.spawn(move || task(argument, steps));
        let futures: Vec<_> = arguments.map(submit).collect();
        futures.into_iter().map(taken).sum()
    }
    fn round_trip(&self, argument: u64) -> u64 {
        taken(self.spawn(move || task(argument, 0)))
    }
    fn fan(&self, tasks: u64, steps: u32) -> u64 {
        self.quickest_fan(tasks, steps)
    }
    fn enter(&self, root: impl FnOnce(&Self::Inside) + Send + 'static) {
        Self::fire(&self.0, root);
    }
    fn fire(inside: &Self::Inside, task: impl FnOnce(&Self::Inside) + Send + 'static) {
        let its = Arc::clone(inside);
        drop(
            inside
                .spawn(move || task(&its))
                .expect("the pool is open, and for tasks too"),
        );
    }
}

impl Futures for Ours {
    type Future = TaskFuture<u64>;

    fn spawn(&self, task: impl FnOnce() -> u64 + Send + 'static) -> TaskFuture<u64> {
        self.0.spawn(task).expect("the pool is open")
    }
    fn value(output: <Self::Future as Future>::Output) -> u64 {
        output.expect("the task does not panic")
    }
}

/// Has a task for each argument spawned that sends its result, and sums up what comes.
fn through_channel(arguments: Range<u64>, mut spawn: impl FnMut(u64, mpsc::Sender<u64>)) -> u64 {
    let (sender, results) = mpsc::channel();
    arguments.for_each(|argument| spawn(argument, sender.clone()));
    drop(sender);
    results.iter().sum()
}

fn send(sender: &mpsc::Sender<u64>, result: u64) {
    sender.send(result).expect("the receiver lives");
}

pub struct Rayon(rayon::ThreadPool);

impl Pool for Rayon {
    type Inside = ();

    fn start(workers: usize) -> Self {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(workers);
        Rayon(builder.build().expect("threads start"))
    }
    fn submit_all(&self, arguments: Range<u64>, steps: u32) -> u64 {
        through_channel(arguments, |argument, sender| {
            self.0.spawn(move || send(&sender, task(argument, steps)));
        })
    }
    fn round_trip(&self, argument: u64) -> u64 {
        self.0.install(|| task(argument, 0))
    }
    fn fan(&self, tasks: u64, steps: u32) -> u64 {
        let mut results = vec![0; tasks as usize];
        self.0.scope(|scope| {
            for (argument, result) in results.iter_mut().enumerate() {
                scope.spawn(move |_| *result = task(argument as u64, steps));
            }
        });
        results.iter().sum()
    }
    fn enter(&self, root: impl FnOnce(&Self::Inside) + Send + 'static) {
        self.0.spawn(move || root(&()));
    }
    fn fire(_: &Self::Inside, task: impl FnOnce(&Self::Inside) + Send + 'static) {
        rayon::spawn(move || task(&()));
    }
}

/// As one makes a future with it.
impl Futures for Rayon {
    type Future = futures::channel::oneshot::Receiver<u64>;

    fn spawn(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Self::Future {
        let (sender, receiver) = futures::channel::oneshot::channel();
        self.0.spawn(move || {
            let _ = sender.send(task());
        });
        receiver
    }
    fn value(output: <Self::Future as Future>::Output) -> u64 {
        output.expect("the task does not panic")
    }
}

pub struct Threadpool(threadpool::ThreadPool);

impl Pool for Threadpool {
    type Inside = threadpool::ThreadPool;

    fn start(workers: usize) -> Self {
        Threadpool(threadpool::ThreadPool::new(workers))
    }
    fn submit_all(&self, arguments: Range<u64>, steps: u32) -> u64 {
        through_channel(arguments, |argument, sender| {
            self.0.execute(move || send(&sender, task(argument, steps)));
        })
    }
    fn round_trip(&self, argument: u64) -> u64 {
        self.submit_all(argument..argument + 1, 0)
    }
    fn enter(&self, root: impl FnOnce(&Self::Inside) + Send + 'static) {
        Self::fire(&self.0, root);
    }
    fn fire(inside: &Self::Inside, task: impl FnOnce(&Self::Inside) + Send + 'static) {
        let its = inside.clone();
        inside.execute(move || task(&its));
    }
}

/// Drops without waiting for its threads unless it is shut down.
pub struct RustyPool(pub rusty_pool::ThreadPool);

impl Pool for RustyPool {
    type Inside = rusty_pool::ThreadPool;

    fn start(workers: usize) -> Self {
        let keep = Duration::from_secs(60);
        RustyPool(rusty_pool::ThreadPool::new(workers, workers, keep))
    }
    fn submit_all(&self, arguments: Range<u64>, steps: u32) -> u64 {
        let submit = |argument| self.0.evaluate(move || task(argument, steps));
        let handles: Vec<_> = arguments.map(submit).collect();
        let results = handles.into_iter().map(|handle| handle.await_complete());
        results.sum()
    }
    fn round_trip(&self, argument: u64) -> u64 {
        self.0.evaluate(move || task(argument, 0)).await_complete()
    }
    fn enter(&self, root: impl FnOnce(&Self::Inside) + Send + 'static) {
        Self::fire(&self.0, root);
    }
    fn fire(inside: &Self::Inside, task: impl FnOnce(&Self::Inside) + Send + 'static) {
        let its = inside.clone();
        drop(inside.evaluate(move || task(&its)));
    }
}

impl Futures for RustyPool {
    type Future = futures::channel::oneshot::Receiver<u64>;

    fn spawn(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Self::Future {
        self.0.evaluate(task).receiver
    }
    fn value(output: <Self::Future as Future>::Output) -> u64 {
        output.expect("the task does not panic")
    }
}

/// Its threads for what blocks.
pub struct TokioBlocking(pub tokio::runtime::Runtime);

impl Pool for TokioBlocking {
    type Inside = ();

    fn start(workers: usize) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        // Its async workers have nothing to do here; spawn_blocking has threads of its own.
        builder.worker_threads(1).max_blocking_threads(workers);
        TokioBlocking(builder.build().expect("threads start"))
    }
    fn submit_all(&self, arguments: Range<u64>, steps: u32) -> u64 {
        let submit = |argument| self.spawn(move || task(argument, steps));
        let handles: Vec<_> = arguments.map(submit).collect();
        self.0.block_on(sum_of::<Self>(handles))
    }
    fn round_trip(&self, argument: u64) -> u64 {
        let handle = self.spawn(move || task(argument, 0));
        self.0.block_on(handle).expect("the task does not panic")
    }
    fn enter(&self, root: impl FnOnce(&Self::Inside) + Send + 'static) {
        self.0.spawn_blocking(move || root(&()));
    }
    fn fire(_: &Self::Inside, task: impl FnOnce(&Self::Inside) + Send + 'static) {
        tokio::task::spawn_blocking(move || task(&()));
    }
}

impl Futures for TokioBlocking {
    type Future = tokio::task::JoinHandle<u64>;

    fn spawn(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Self::Future {
        self.0.spawn_blocking(task)
    }
    fn value(output: <Self::Future as Future>::Output) -> u64 {
        output.expect("the task does not panic")
    }
}

/// The sum of what all come to, awaited one after the other.
async fn sum_of<P: Futures>(futures: Vec<P::Future>) -> u64 {
    let mut sum = 0;
    for future in futures {
        sum += P::value(future.await);
    }
    sum
}

/// Its async tasks, which must not block.
pub struct TokioAsync(pub tokio::runtime::Runtime);

impl Pool for TokioAsync {
    type Inside = ();

    fn start(workers: usize) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(workers);
        TokioAsync(builder.build().expect("threads start"))
    }
    fn submit_all(&self, arguments: Range<u64>, steps: u32) -> u64 {
        let submit = |argument| self.spawn(move || task(argument, steps));
        let handles: Vec<_> = arguments.map(submit).collect();
        self.0.block_on(sum_of::<Self>(handles))
    }
    fn round_trip(&self, argument: u64) -> u64 {
        let handle = self.spawn(move || task(argument, 0));
        self.0.block_on(handle).expect("the task does not panic")
    }
    fn enter(&self, root: impl FnOnce(&Self::Inside) + Send + 'static) {
        self.0.spawn(async move { root(&()) });
    }
    fn fire(_: &Self::Inside, task: impl FnOnce(&Self::Inside) + Send + 'static) {
        tokio::spawn(async move { task(&()) });
    }
}

impl Futures for TokioAsync {
    type Future = tokio::task::JoinHandle<u64>;

    fn spawn(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Self::Future {
        self.0.spawn(async move { task() })
    }
    fn value(output: <Self::Future as Future>::Output) -> u64 {
        output.expect("the task does not panic")
    }
}

/// One pool for the whole process, with as many threads as it likes.
pub struct Blocking;

impl Pool for Blocking {
    type Inside = ();

    fn start(_: usize) -> Self {
        Blocking
    }
    fn submit_all(&self, arguments: Range<u64>, steps: u32) -> u64 {
        let submit = |argument| self.spawn(move || task(argument, steps));
        let tasks: Vec<_> = arguments.map(submit).collect();
        pollster::block_on(sum_of::<Self>(tasks))
    }
    fn round_trip(&self, argument: u64) -> u64 {
        pollster::block_on(self.spawn(move || task(argument, 0)))
    }
    fn enter(&self, root: impl FnOnce(&Self::Inside) + Send + 'static) {
        Self::fire(&(), root);
    }
    fn fire(_: &Self::Inside, task: impl FnOnce(&Self::Inside) + Send + 'static) {
        blocking::unblock(move || task(&())).detach();
    }
}

impl Futures for Blocking {
    type Future = blocking::Task<u64>;

    fn spawn(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Self::Future {
        blocking::unblock(task)
    }
    fn value(output: u64) -> u64 {
        output
    }
}

/// Async tasks too; its threads are the user's, here some that run it until the pool is dropped.
pub struct AsyncExecutor {
    executor: Arc<async_executor::Executor<'static>>,
    stop: Option<async_channel::Sender<()>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Pool for AsyncExecutor {
    type Inside = Arc<async_executor::Executor<'static>>;

    fn start(workers: usize) -> Self {
        let executor = Arc::new(async_executor::Executor::new());
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let run = |_| {
            let (executor, stopped) = (Arc::clone(&executor), stopped.clone());
            thread::spawn(move || {
                // An error says that the sender is gone.
                let _ = pollster::block_on(executor.run(stopped.recv()));
            })
        };
        AsyncExecutor {
            threads: (0..workers).map(run).collect(),
            executor,
            stop: Some(stop),
        }
    }
    fn submit_all(&self, arguments: Range<u64>, steps: u32) -> u64 {
        let submit = |argument| self.spawn(move || task(argument, steps));
        let tasks: Vec<_> = arguments.map(submit).collect();
        pollster::block_on(sum_of::<Self>(tasks))
    }
    fn round_trip(&self, argument: u64) -> u64 {
        pollster::block_on(self.spawn(move || task(argument, 0)))
    }
    fn enter(&self, root: impl FnOnce(&Self::Inside) + Send + 'static) {
        Self::fire(&self.executor, root);
    }
    fn fire(inside: &Self::Inside, task: impl FnOnce(&Self::Inside) + Send + 'static) {
        let its = Arc::clone(inside);
        inside.spawn(async move { task(&its) }).detach();
    }
}

impl Futures for AsyncExecutor {
    type Future = async_executor::Task<u64>;

    fn spawn(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Self::Future {
        self.executor.spawn(async move { task() })
    }
    fn value(output: u64) -> u64 {
        output
    }
}

impl Drop for AsyncExecutor {
    fn drop(&mut self) {
        drop(self.stop.take());
        for thread in self.threads.drain(..) {
            thread.join().expect("the tasks do not panic");
        }
    }
}
