//! Everything that makes threads and processes wait for each other, with a pool executor on top:
//! Python's `threading`, `queue`, `multiprocessing` and `concurrent.futures`, rebuilt for Rust.
//!
//! | you know | take |
//! |---|---|
//! | `threading.Lock`, `std::sync::Mutex` | [`sync::Lock`] |
//! | `threading.RLock`, `ReentrantMutex` | [`sync::RLock`] |
//! | `std::sync::RwLock`, `shared_mutex` | [`sync::RwLock`] |
//! | `threading.Condition`, `Condvar` | [`sync::Condition`] |
//! | `threading.Event` | [`sync::Event`] |
//! | `threading.Semaphore`, `BoundedSemaphore` | [`sync::Semaphore`], [`sync::BoundedSemaphore`] |
//! | `threading.Barrier` | [`sync::Barrier`] |
//! | `std::latch`, `CountDownLatch` | [`sync::Latch`] |
//! | Go's `sync.WaitGroup` | [`sync::WaitGroup`] |
//! | `OnceLock`, `LazyLock` | [`sync::Once`], [`sync::Lazy`] |
//! | `queue.Queue`, a channel | [`queue::Queue`] |
//! | `LifoQueue`, `PriorityQueue`, `SimpleQueue` | [`queue::LifoQueue`], [`queue::PriorityQueue`], [`queue::SimpleQueue`] |
//! | Java's `DelayQueue`, `sched` | [`queue::DelayQueue`] |
//! | Go's `select`, crossbeam's `Select` | [`select::Select`] |
//! | `threading.Thread` | [`thread::spawn`], [`thread::Builder`] |
//! | `threading.local`, `thread_local!` | [`thread::Local`] |
//! | `contextvars` | [`thread::ContextVar`] |
//! | `threading.Timer`, `sched`, tokio's `time` | [`time::Timer`], [`time::Scheduler`], [`time::timeout`] |
//! | `atexit`, the end of the interpreter | [`exit`], [`main!`] |
//! | `KeyboardInterrupt` | `signals::ctrl_c` (feature `signals`, Unix) |
//! | `atexit`, what Python does when the main module ends | [`exit`], [`main!`] |
//! | `ThreadPoolExecutor` | [`executor::ThreadPoolExecutor`] |
//! | `ProcessPoolExecutor` | `executor::ProcessPoolExecutor` (feature `process`, Linux) |
//! | `concurrent.futures.Future` | [`executor::TaskFuture`] |
//! | joblib's `Parallel`, rayon's `join` | [`parallel`] |
//! | `multiprocessing.Lock`, `RLock`, `Semaphore`, `Condition`, `Event`, `Barrier` | the same names in `ipc` (feature `process`, Linux) |
//! | `multiprocessing.Value`, `Array`, `RawValue`, `RawArray` | the same names in `ipc` (feature `process`, Linux) |
//! | `sem_open`: locks and values by name | `ipc::Space` (feature `process`, Linux) |
//! | `multiprocessing.shared_memory`, `shm_open` | `shm::SharedMemory` (feature `process`, Linux) |
//! | a connection pool: r2d2, deadpool, HikariCP | [`pool::ResourcePool`] |
//! | a time-out, a cancellation token | [`Limit`], [`CancelToken`] |
//!
//! # Four faces
//!
//! An operation that can block has four faces under the same names everywhere: `op()` blocks,
//! `try_op()` never does, `op_within(limit)` blocks at most so long, and `op_async()` is a future that
//! needs no particular runtime. A limit is a [`Duration`](std::time::Duration), an
//! [`Instant`](std::time::Instant), a [`CancelToken`], or a token with a deadline.
//!
//! **A call that gives up has changed nothing**: no permit, item, arrival or wake-up is lost. One
//! compare-and-swap decides between a grant and each reason to give up, and the models in the
//! repository's `loom-tests` show it for every primitive.
//!
//! ```
//! use latchwork::{CancelToken, queue::Queue, queue::GetError};
//! use std::time::Duration;
//!
//! let orders: Queue<&str> = Queue::bounded(16);
//! let closing_time = CancelToken::new();
//!
//! let kitchen = {
//!     let (orders, closing_time) = (orders.clone(), closing_time.clone());
//!     std::thread::spawn(move || {
//!         let mut cooked = Vec::new();
//!         loop {
//!             match orders.get_within(closing_time.within(Duration::from_secs(3600))) {
//!                 Ok(order) => cooked.push(order),
//!                 Err(GetError::Cancelled) => return cooked,
//!                 Err(other) => panic!("{other}"),
//!             }
//!         }
//!     })
//! };
//! orders.put("soup")?;
//! while !orders.is_empty() {
//!     std::thread::yield_now();
//! }
//! closing_time.cancel();
//! assert_eq!(kitchen.join().unwrap(), ["soup"]);
//! # Ok::<(), latchwork::queue::PutError<&str>>(())
//! ```
//!
//! # Features
//!
//! `process` (default, Linux only): processes, shared memory and locks that survive `kill -9`.
//! Without it the crate is the thread half alone.
//!
//! `signals` (Unix only): Ctrl-C and other signals as a [`CancelToken`].
//!
//! `testing` (Linux only): victims that are killed or stopped at a chosen instruction, for tests of
//! structures in shared memory.
//!
//! `tracing`: a span for each task of a thread pool. `progress`: an `indicatif` bar that counts results as they come.

#![deny(missing_docs)]

#[cfg(all(
    feature = "process",
    target_os = "linux",
    not(target_pointer_width = "64")
))]
compile_error!("the process half needs a 64-bit target: build without the feature `process`");

mod error;
pub(crate) mod fork;
pub(crate) mod panic;
pub(crate) mod platform;
pub(crate) mod wait;

pub mod debug;
pub mod executor;
pub mod exit;
pub mod parallel;
pub mod pool;
pub mod queue;
pub mod select;
#[cfg(all(feature = "signals", unix, not(loom)))]
pub mod signals;
pub mod sync;
pub mod thread;
pub mod time;

pub use error::{GaveUp, Shutdown};
pub use wait::{CancelToken, Limit};

#[cfg(loom)]
#[doc(hidden)]
pub mod model;

#[cfg(all(feature = "testing", target_os = "linux", not(loom)))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(all(feature = "process", target_os = "linux", not(loom)))]
pub mod ipc;
#[cfg(all(feature = "process", target_os = "linux", not(loom)))]
pub mod process;
#[cfg(all(feature = "process", target_os = "linux", loom))]
pub(crate) mod shm;
#[cfg(all(feature = "process", target_os = "linux", not(loom)))]
pub mod shm;
#[cfg(all(
    feature = "testing",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(loom)
))]
pub mod testing;

#[cfg(all(feature = "process", loom))]
#[doc(hidden)]
pub use shm::models as shm_models;

/// The README's example runs too, and those of the guide.
#[cfg(all(doctest, feature = "process"))]
#[doc = include_str!("../README.md")]
struct Readme;
#[cfg(doctest)]
#[doc = include_str!("../docs/coming-from-python.md")]
struct ComingFromPython;
#[cfg(all(doctest, feature = "process"))]
#[doc = include_str!("../docs/coming-from-multiprocessing.md")]
struct ComingFromMultiprocessing;
#[cfg(doctest)]
#[doc = include_str!("../docs/which-queue.md")]
struct WhichQueue;
#[cfg(doctest)]
#[doc = include_str!("../docs/coming-from-concurrent-futures.md")]
struct ComingFromConcurrentFutures;
