//! Primitives that work between the processes of a tree, and unchanged between threads.
//!
//! A [`Lock`] or a [`Value`] is a handle to a block of shared memory. Clone it for another thread;
//! send it to a worker as part of an argument (it serialises with serde) and it is the same object
//! there. The process that made the object frees it when its last clone is dropped; what other
//! processes hold is answered with [`LockError::Gone`] from then on. If that process dies instead,
//! the object stays usable until a new one finds no other room.
//!
//! # When a process is killed
//!
//! Any process may be killed at any instruction, with SIGKILL. Nothing is left behind in the file
//! system, no lock stays locked, and nobody waits for the dead:
//!
//! * Killed while it held a lock: the next one that locks it gets [`LockError::OwnerDied`], with the
//!   guard in it, because what the lock protects may be half-changed. Look at it, repair it, say so
//!   with `mark_consistent`. Who drops the guard without saying so leaves the question to the next.
//! * Killed while it waited: nothing happens to the others.
//! * Stopped (SIGSTOP): it is alive and keeps what it holds.
//! * Replaced itself (`execve`): it is dead as far as its locks are concerned.
//!
//! A waiter notices a death at the end of its current slice of sleep, which is 1 ms at first and
//! 50 ms at most. It is the kernel that says who lives: each process holds a record lock
//! (`fcntl(2)`) that ends with it, so neither reused pids nor pid namespaces matter. A program that
//! closes descriptors it did not open gives that lock up; survivors then still find it through
//! /proc, if they may look there.
//!
//! # What it costs
//!
//! Locking and unlocking what nobody else wants is two atomic instructions and no system call. Who
//! waits for long wakes up 20 times a second to ask after the owner. A tree has room for 1,024
//! processes at one time, 4,094 objects, and 768 KiB for those of more than 32 bytes; the shared
//! memory, about 1 MiB, is allocated with the first object.
//!
//! # What it does not do
//!
//! The processes of a tree trust each other with *values*: whoever has the segment can write into
//! it. What is read from it to find one's way (sizes, places, names of owners) is checked, and
//! memory that no program of this layout can have written is [`LockError::Corrupt`].

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
mod value;

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
pub use value::{Value, ValueGuard};
