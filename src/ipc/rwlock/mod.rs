//! `ipc::RwLock`: a value in shared memory that many processes may read at a time, or one may change.
//!
//! Who may come in is decided by `shm::protocol::rwlock`; this file gives that faces.

mod guard;
mod room;

pub use guard::{ReadGuard, WriteGuard};

use super::{AccessError, LockError};
use crate::Limit;
use crate::shm::ledger::Corrupt;
use crate::shm::monitor::{Home, poll};
use crate::shm::protocol::rwlock::{Access, Admitted, Occupied};
use crate::shm::word::Owner;
use crate::shm::{Tree, tree};
use bytemuck::Pod;
use room::Room;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::marker::PhantomData;

/// A value that the processes of a tree share: many may read at a time, or one may change it.
///
/// `T` is plain data, as for a [`Value`](super::Value). Without a value, `RwLock<()>`, it protects what it
/// is agreed to protect.
///
/// * **Ownership.** A guard is its process's, and may be dropped in any thread of it.
/// * **Fairness.** Neither side keeps the other out. A writer that waits for readers keeps new ones out
///   until it has been in. When a writer leaves, readers who sleep have the next turn: no writer
///   comes in before one of them has, or 4 ms have passed. Among writers, and among readers, there is no
///   order. A reader that must not wait for writers who wait, because its thread reads already, calls
///   [`read_recursive`](RwLock::read_recursive).
/// * **Death.** A killed reader is taken out: a writer who waits for it notices within 50 ms. A killed
///   writer is replaced by whoever comes next, who gets [`LockError::OwnerDied`] with the guard in it;
///   so does everybody, readers as well as writers, until a *writer* says
///   [`mark_consistent`](WriteGuard::mark_consistent). A writer that is killed while it *waits*, or
///   that gives up or is stopped, keeps readers out for at most 100 ms longer.
/// * **Stopped** (SIGSTOP). It keeps what it holds. Who is stopped in the middle of an operation, some
///   dozen instructions long, holds the others up until it goes on: waiting keeps to its limits then,
///   but giving back waits.
/// * **Fork.** The child of a fork is not inside. Guards that it inherits do nothing when dropped, and
///   what they show is not protected.
/// * **Cost.** With nobody in the way: two compare-and-swaps and a swap to come in, the same to leave,
///   no system call. Memory: 8 KiB and the value.
///
/// Asking for [`write`](RwLock::write) with a guard in hand waits for ever. There is no upgradable
/// reader; [`WriteGuard::downgrade`] makes a writer a reader. Python has no such lock.
///
/// ```
/// use latchwork::ipc::RwLock;
///
/// # fn main() -> std::io::Result<()> {
/// let limits = RwLock::new([10_u32, 20])?;
/// {
///     let (one, two) = (limits.read().unwrap(), limits.read().unwrap());
///     assert_eq!(one[0] + two[1], 30);
///     assert!(limits.try_write().unwrap().is_none());
/// }
/// let mut writer = limits.write().unwrap();
/// writer[0] = 11;
/// let reader = writer.downgrade().unwrap();
/// assert_eq!(*reader, [11, 20]);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "shared_mutex")]
#[doc(alias = "ReaderWriterLock")]
pub struct RwLock<T: Pod = ()> {
    room: Room,
    _value: PhantomData<T>,
}

type Reading<'a, T> = Result<ReadGuard<'a, T>, LockError<ReadGuard<'a, T>>>;
type Writing<'a, T> = Result<WriteGuard<'a, T>, LockError<WriteGuard<'a, T>>>;

impl<T: Pod> RwLock<T> {
    /// Puts `value` into the shared memory of this process's tree.
    ///
    /// # Errors
    ///
    /// As for [`Value::new`](super::Value::new).
    pub fn new(value: T) -> io::Result<RwLock<T>> {
        RwLock::create(tree()?, value)
    }

    pub(crate) fn create(tree: &'static Tree, value: T) -> io::Result<RwLock<T>> {
        Room::create(tree, value).map(RwLock::in_room)
    }

    fn in_room(room: Room) -> RwLock<T> {
        RwLock {
            room,
            _value: PhantomData,
        }
    }
}

/// Reading.
impl<T: Pod> RwLock<T> {
    /// Waits until nobody writes or waits to write, and reads.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied) holds the guard; otherwise the lock is not held and the
    /// [error](LockError) says why.
    #[inline]
    #[doc(alias = "lock_shared")]
    pub fn read(&self) -> Reading<'_, T> {
        self.read_within(Limit::none())
    }

    /// Reads if nobody alive writes or waits to write, and returns `None` otherwise. Never waits.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read).
    #[inline]
    pub fn try_read(&self) -> Result<Option<ReadGuard<'_, T>>, LockError<ReadGuard<'_, T>>> {
        self.try_to_read(true)
    }

    /// Reads, waiting as long as `limit` says. A cancellation is noticed within 50 ms.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](LockError::GaveUp) when the limit is reached, else as for [`read`](RwLock::read).
    #[inline]
    #[doc(alias = "try_read_for")]
    pub fn read_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Reading<'_, T> {
        let admission = self.room.wait(Access::read(&self.room, true), limit.into());
        self.reading(admission?)
    }

    /// Reads without blocking a thread, on any runtime.
    ///
    /// The waiting is done by one thread of the process for all its futures. Dropping the future gives
    /// up, and loses nobody else's turn.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read).
    pub async fn read_async(&self) -> Reading<'_, T> {
        let admission = self.room.wait_async(Access::read(&self.room, true)).await;
        self.reading(admission?)
    }

    /// As [`read`](RwLock::read), but waits for a writer inside only, never for one that waits.
    ///
    /// So it never waits in a thread that reads already. It can keep a writer waiting for as long as
    /// such reads overlap: use it for the second guard, not for the first.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read).
    #[inline]
    pub fn read_recursive(&self) -> Reading<'_, T> {
        self.read_recursive_within(Limit::none())
    }

    /// As [`try_read`](RwLock::try_read), whoever waits to write.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read).
    #[inline]
    pub fn try_read_recursive(
        &self,
    ) -> Result<Option<ReadGuard<'_, T>>, LockError<ReadGuard<'_, T>>> {
        self.try_to_read(false)
    }

    /// As [`read_recursive`](RwLock::read_recursive), waiting as long as `limit` says.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](LockError::GaveUp) when the limit is reached, else as for [`read`](RwLock::read).
    #[inline]
    pub fn read_recursive_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Reading<'_, T> {
        let limit = limit.into();
        let admission = self.room.wait(Access::read(&self.room, false), limit);
        self.reading(admission?)
    }

    fn try_to_read(
        &self,
        yields: bool,
    ) -> Result<Option<ReadGuard<'_, T>>, LockError<ReadGuard<'_, T>>> {
        match poll(Access::read(&self.room, yields))? {
            Some(admission) => self.reading(admission).map(Some),
            None => Ok(None),
        }
    }

    #[inline]
    fn reading(&self, admission: Result<Admitted, Corrupt>) -> Reading<'_, T> {
        let admitted = admission.map_err(|Corrupt| LockError::Corrupt)?;
        granted(ReadGuard::new(&self.room, admitted), admitted.is_consistent)
    }
}

/// Writing.
impl<T: Pod> RwLock<T> {
    /// Waits until nobody is inside, and writes.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read).
    #[inline]
    #[doc(alias = "lock_exclusive")]
    pub fn write(&self) -> Writing<'_, T> {
        self.write_within(Limit::none())
    }

    /// Writes if nobody alive is inside, and returns `None` otherwise, or if it is the turn of readers who
    /// sleep. Never waits.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read).
    #[inline]
    pub fn try_write(&self) -> Result<Option<WriteGuard<'_, T>>, LockError<WriteGuard<'_, T>>> {
        match poll(Access::write(&self.room))? {
            Some(admission) => self.writing(admission).map(Some),
            None => Ok(None),
        }
    }

    /// Writes, waiting as long as `limit` says. A cancellation is noticed within 50 ms.
    ///
    /// # Errors
    ///
    /// [`GaveUp`](LockError::GaveUp) when the limit is reached, else as for [`read`](RwLock::read).
    #[inline]
    #[doc(alias = "try_write_for")]
    pub fn write_within<'l>(&self, limit: impl Into<Limit<'l>>) -> Writing<'_, T> {
        let admission = self.room.wait(Access::write(&self.room), limit.into());
        self.writing(admission?)
    }

    /// Writes without blocking a thread, on any runtime; as [`read_async`](RwLock::read_async).
    ///
    /// A future that is dropped, or not polled for long, keeps new readers out for at most 100 ms.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read).
    pub async fn write_async(&self) -> Writing<'_, T> {
        let admission = self.room.wait_async(Access::write(&self.room)).await;
        self.writing(admission?)
    }

    #[inline]
    fn writing(&self, admission: Result<Admitted, Corrupt>) -> Writing<'_, T> {
        let admitted = admission.map_err(|Corrupt| LockError::Corrupt)?;
        granted(
            WriteGuard::new(&self.room, admitted),
            admitted.is_consistent,
        )
    }
}

/// For reports: the answers may be outdated when they arrive, and count the dead that nobody has missed.
impl<T: Pod> RwLock<T> {
    /// Is anybody inside?
    ///
    /// # Errors
    ///
    /// [`Gone`](AccessError::Gone) if the process that made the lock has dropped it.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> Result<bool, AccessError> {
        Ok(self.room.occupied()? != Occupied::Free)
    }

    /// Does anybody write?
    ///
    /// # Errors
    ///
    /// As for [`is_locked`](RwLock::is_locked).
    #[doc(alias = "is_locked_exclusive")]
    pub fn is_write_locked(&self) -> Result<bool, AccessError> {
        Ok(matches!(self.room.occupied()?, Occupied::Written { .. }))
    }

    /// How many guards of readers there are.
    ///
    /// # Errors
    ///
    /// As for [`is_locked`](RwLock::is_locked).
    pub fn reader_count(&self) -> Result<u32, AccessError> {
        Ok(match self.room.occupied()? {
            Occupied::Read { guards } => guards,
            _ => 0,
        })
    }
}

#[inline]
fn granted<G>(guard: G, is_consistent: bool) -> Result<G, LockError<G>> {
    if is_consistent {
        Ok(guard)
    } else {
        Err(LockError::OwnerDied(guard))
    }
}

impl<T: Pod> Clone for RwLock<T> {
    fn clone(&self) -> Self {
        RwLock::in_room(self.room.clone())
    }
}

/// Says who is inside, and does not show the value: a `Debug` that waits would be no help.
impl<T: Pod> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.room.occupied() {
            Err(_) => f.write_str("RwLock(gone)"),
            Ok(Occupied::Free) => f.write_str("RwLock(free)"),
            Ok(Occupied::Read { guards }) => write!(f, "RwLock({guards} reading)"),
            Ok(Occupied::Written { by }) => {
                let pid = Owner::from_bits(by).and_then(|by| self.room.roster().pid_of(by));
                match pid {
                    Some(pid) => write!(f, "RwLock(written by process {pid})"),
                    None => f.write_str("RwLock(written by a process that has died)"),
                }
            }
        }
    }
}

impl<T: Pod> Serialize for RwLock<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.room.serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for RwLock<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Room::deserialize::<T, D>(deserializer).map(RwLock::in_room)
    }
}
