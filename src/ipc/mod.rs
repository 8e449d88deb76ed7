//! Primitives that work between processes, and unchanged between threads.
//!
//! * [`Lock`], [`RLock`], [`RwLock`]; [`Condition`]; [`Semaphore`], [`BoundedSemaphore`]; [`Event`]; [`Barrier`].
//! * [`Value`] and [`Array`]: plain data, each with a lock of its own; [`Synchronized`], under one you have.
//! * [`RawValue`], [`RawArray`], [`Shared`] atomics, and [`SharedSlice`], the view of them: without a lock.
//! * [`Space`]: objects that processes find by name. [`invite`] and [`join`]: programs that meet at a socket.
//!
//! Each is a handle to a block of memory that all processes of a *tree* share: those that come from one
//! another, by fork or as workers of a [`ProcessPoolExecutor`](crate::executor::ProcessPoolExecutor), and those
//! that have joined. Clone a handle for another thread; send it to another process of the tree by whatever
//! way (it serialises with serde, and carries no descriptor), and it is the same object there. In a process of
//! another tree it does not deserialise.
//!
//! The process that made the object frees it when its last clone is dropped; what other processes hold is
//! answered with [`LockError::Gone`] or [`AccessError::Gone`] from then on. (What is used without a lock stays as long as
//! any living process has a handle.) If that process dies instead, the object stays usable until its room
//! is needed.
//!
//! What waits has four faces: `lock()`, `try_lock()`, `lock_within(limit)`, `lock_async()`, and so on. Times are of
//! the monotonic clock. A cancellation is noticed within 50 ms. Futures need no runtime: one thread of
//! the process, started by the first of them that has to wait, sleeps for all.
//!
//! # When a process is killed
//!
//! Any process may be killed at any instruction, with SIGKILL. Nothing is left behind in the file
//! system (but for a named [`Space`], which is there to stay), no lock stays locked, and nobody waits for the dead:
//!
//! * Killed while it held a lock: the next one that locks it gets [`LockError::OwnerDied`], with the
//!   guard in it, because what the lock protects may be half-changed. Look at it, repair it, say so
//!   with `mark_consistent`. Who drops the guard without saying so leaves the question to the next.
//! * Killed with permits of a semaphore: they come back. As a reader: its share does. As a party of a barrier: that
//!   is [broken](BrokenBarrier::PartyDied).
//! * Killed in the middle of a `set`, a `notify` or a `release`: it has happened or it has not.
//! * Killed while it waited: nothing happens to the others.
//! * Stopped (SIGSTOP): it is alive and keeps what it holds. If it is stopped within the few dozen instructions in
//!   which it changes a semaphore, say, the others cannot use that one until it goes on; their limits are kept,
//!   with up to 50 ms on top, and so long a `try_` may stand there.
//! * Replaced itself (`execve`): it is dead as far as its locks are concerned.
//!
//! A waiter notices a death at the end of its current slice of sleep, which is 1 ms at first, grows to a
//! sixteenth of the time waited so far (for a future: half of it), and is 50 ms at most. It is the kernel that says who lives: each process holds a record lock
//! (`fcntl(2)`) that ends with it, so neither reused pids nor pid namespaces matter. A program that
//! closes descriptors it did not open gives that lock up; survivors then still find it through
//! /proc, if they may look there.
//!
//! # Signal handlers
//!
//! Nothing here is for them: a handler that interrupts its own thread in the middle of an operation would wait
//! for that thread, and so for ever.
//!
//! # What it costs
//!
//! Locking and unlocking what nobody else wants is two atomic instructions and no system call; an operation of
//! another primitive is as much, twice for an acquisition that is given back. Who
//! waits for long wakes up 20 times a second to ask after the owner. A tree has room for 1,024
//! processes at one time, a million small objects and 64 GiB, of which what is in use is real memory, allocated a quarter
//! of a megabyte at a time; that of objects of 64 KiB and more is given back when they are dropped. A semaphore, a
//! barrier, a lock of readers and writers, and what is used without a lock, take 8 KiB each, to count by process.
//!
//! # What it does not do
//!
//! The processes of a tree trust each other with *values*: whoever has the segment can write into
//! it. What a guard lends is plain memory, `&mut T`: a process that writes there without the lock makes a data race
//! in all others, and no check can prevent that. What is read from the segment to find one's way (sizes, places, names of owners) is checked, and
//! memory that no program of this layout can have written is [`LockError::Corrupt`]. Who gets a lock
//! is whoever is quick: there is no queue. Deadlocks between processes are not reported; [`Lock::holder`] and its like
//! tell who holds what.

mod array;
mod barrier;
mod condition;
mod element_error;
mod error;
mod event;
mod integer;
mod join;
mod lock;
mod pinned;
mod racy;
mod raw_array;
mod raw_value;
mod rlock;
mod rwlock;
mod semaphore;
#[cfg(feature = "ndarray")]
mod shaped;
mod shared;
mod shared_bytes;
mod shared_slice;
mod space;
mod synchronized;
mod usage;
mod value;

pub use crate::shm::arena::Usage;
pub use crate::shm::holder::Holder;
pub use array::{Array, ArrayGuard};
pub use barrier::{Barrier, BarrierAction, BarrierError, BarrierWait, BrokenBarrier, NoAction};
pub use condition::{Condition, ConditionGuard, TaskGuard};
pub use element_error::ElementError;
pub use error::{AccessError, LockError};
pub use event::Event;
pub use integer::{Atomic, Integer};
pub use join::{invite, join};
pub use lock::{Lock, LockGuard};
pub use raw_array::RawArray;
pub use raw_value::RawValue;
pub use rlock::{RLock, RLockGuard};
pub use rwlock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::{AcquireError, BoundedSemaphore, Permit, ReleaseError, Semaphore};
pub use shared::Shared;
pub use shared_bytes::SharedBytes;
pub use shared_slice::{Misfit, OutOfBounds, SharedIter, SharedSlice};
pub use space::Space;
pub use synchronized::{Synchronized, SynchronizedGuard};
pub use usage::usage;
pub use value::{Value, ValueGuard};
