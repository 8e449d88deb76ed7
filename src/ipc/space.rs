//! `ipc::Space`: objects that processes find by name.
//!
//! The file, its users and its directory are `shm::space`'s; this file gives them a face, and says what
//! each object is made of.

use super::array::bytes;
use super::{
    Array, Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, RwLock, Semaphore, Value,
};
use crate::shm::Tree;
use crate::shm::handle::{Address, Handle};
use crate::shm::named::name::Name;
use crate::shm::space::{self, ObjectKind, Shape};
use bytemuck::Pod;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::io;

/// A named place for locks, values and other objects, for processes that have nothing else in common.
///
/// The processes of a tree share what they make without names, by sending it. Processes that do not know
/// each other open a space by its name, and in it objects by theirs: whoever comes first makes the object,
/// the others have the same.
///
/// * **Names.** A space is the file `/dev/shm/latchwork@NAME`; its name is at most 245 bytes long and
///   has no `/` and no NUL. That of an object has 1 to 64 bytes, of any kind.
/// * **Life.** An object stays as long as its space: it belongs to no process. A space stays until it is
///   [unlinked](Space::unlink), or [swept](crate::shm::sweep()) when no process has it open. A process that has opened
///   it has it until it ends. It takes memory as its objects need it.
/// * **Death.** As for all of [`ipc`](super): who is killed with a lock leaves it to the next one, who is told. Killed while it
///   makes a space or an object, it leaves nothing that has a name.
/// * **Fork.** The child has the space, too, and what its parent has locked it has not.
/// * **Trust.** Only files of this user that nobody else can write are opened. Who may write the file can also
///   shorten it, and whoever then touches what is missing dies of SIGBUS.
///
/// ```
/// use latchwork::ipc::Space;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = format!("example-{}", std::process::id());
/// // In any program of this user:
/// let app = Space::open_or_create(&name)?;
/// let hits = app.value("hits", 0_u64)?;
/// hits.update(|n| *n += 1).unwrap();
/// let jobs = app.lock("jobs")?;
/// drop(jobs.lock().unwrap());
///
/// // In another:
/// let hits = Space::open(&name)?.value("hits", 0_u64)?;
/// assert_eq!(hits.get().unwrap(), 1);
/// # app.unlink()?;
/// # Ok(())
/// # }
/// ```
///
/// Python has no such thing: `multiprocessing.Lock` cannot be opened by name. POSIX's `sem_open` can.
#[derive(Clone, Copy)]
#[doc(alias = "sem_open")]
pub struct Space(&'static space::Space);

impl Space {
    /// Opens the space of this name, made now if there is none. Of several processes that do so at the same
    /// time one makes it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no name; `PermissionDenied` if the space is another user's, or can be written by
    /// others; `InvalidData` if it is not of this crate's making, or another version's, or the copy of a space that
    /// this process has open; `StorageFull` or
    /// `OutOfMemory` if there is no memory or address space for it.
    pub fn open_or_create(name: &str) -> io::Result<Space> {
        space::open_or_create(&Name::of_space(name)?).map(Space)
    }

    /// Opens the space of this name.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none, else as for [`open_or_create`](Space::open_or_create).
    pub fn open(name: &str) -> io::Result<Space> {
        space::open(&Name::of_space(name)?).map(Space)
    }

    /// Takes the name away. Those who have the space open keep it, and its objects; who asks for the name finds
    /// none.
    ///
    /// # Errors
    ///
    /// `NotFound` if somebody has done so before; `ResourceBusy` if a process has been stopped while it did the
    /// same.
    pub fn unlink(&self) -> io::Result<()> {
        self.0.remove()
    }

    /// The lock of this name, made now if there is none.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no name, or that of another kind of object; `ResourceBusy` if a process has been
    /// stopped while it made an object; `InvalidData` if the space is corrupt; else as for [`Lock::new`].
    pub fn lock(&self, name: &str) -> io::Result<Lock> {
        self.object(name, ObjectKind::Lock, NOTHING, |tree| {
            Handle::holding(tree, &[], 1).map(Lock::from_handle)
        })
    }

    /// The value of this name, made with `initial` if there is none.
    ///
    /// A value is known by its size and alignment: one of another type of the same two is opened as that.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Space::lock), and `InvalidInput` if the value has another size or alignment.
    pub fn value<T: Pod>(&self, name: &str, initial: T) -> io::Result<Value<T>> {
        self.object(name, ObjectKind::Value, plain::<T>(), |tree| {
            let bytes = bytemuck::bytes_of(&initial);
            Handle::holding(tree, bytes, align_of::<T>()).map(Value::from_handle)
        })
    }

    /// The array of this name, made of so many zeroed elements if there is none.
    ///
    /// As a [value](Space::value) it is known by its size, of all elements together, and their alignment.
    ///
    /// # Errors
    ///
    /// As for [`value`](Space::value), and as for [`Array::zeroed`].
    pub fn array<T: Pod>(&self, name: &str, len: usize) -> io::Result<Array<T>> {
        let shape = (bytes::<T>(len)? as u64, align_of::<T>() as u32);
        self.object_of(name, ObjectKind::Array, shape, len as u64, |tree| {
            Array::create(tree, len)
        })
    }

    /// The event of this name, made unset if there is none.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Space::lock).
    pub fn event(&self, name: &str) -> io::Result<Event> {
        self.object(name, ObjectKind::Event, NOTHING, Event::create)
    }

    /// The reentrant lock of this name, made now if there is none.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Space::lock).
    pub fn rlock(&self, name: &str) -> io::Result<RLock> {
        self.object(name, ObjectKind::RLock, NOTHING, RLock::create)
    }

    /// The read-write lock of this name, made around `initial` if there is none.
    ///
    /// # Errors
    ///
    /// As for [`value`](Space::value).
    pub fn rwlock<T: Pod>(&self, name: &str, initial: T) -> io::Result<RwLock<T>> {
        self.object(name, ObjectKind::RwLock, plain::<T>(), |tree| {
            RwLock::create(tree, initial)
        })
    }

    /// The semaphore of this name, made with so many permits if there is none.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Space::lock), and as for [`Semaphore::new`].
    pub fn semaphore(&self, name: &str, permits: u32) -> io::Result<Semaphore> {
        self.object(name, ObjectKind::Semaphore, NOTHING, |tree| {
            Semaphore::create(tree, permits)
        })
    }

    /// The bounded semaphore of this name, made full if there is none.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Space::lock), as for [`BoundedSemaphore::new`], and `InvalidInput` if there is one of
    /// another capacity.
    pub fn bounded_semaphore(&self, name: &str, capacity: u32) -> io::Result<BoundedSemaphore> {
        let shape = (capacity.into(), 0);
        self.object(name, ObjectKind::BoundedSemaphore, shape, |tree| {
            BoundedSemaphore::create(tree, capacity)
        })
    }

    /// The condition of this name, made now if there is none.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Space::lock).
    pub fn condition(&self, name: &str) -> io::Result<Condition> {
        self.object(name, ObjectKind::Condition, NOTHING, Condition::create)
    }

    /// The barrier of this name, made for so many parties if there is none.
    ///
    /// # Errors
    ///
    /// As for [`lock`](Space::lock), as for [`Barrier::new`], and `InvalidInput` if there is one for another
    /// number of parties.
    pub fn barrier(&self, name: &str, parties: usize) -> io::Result<Barrier> {
        let shape = (parties as u64, 0);
        self.object(name, ObjectKind::Barrier, shape, |tree| {
            Barrier::create(tree, parties)
        })
    }

    fn object<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        kind: ObjectKind,
        shape: (u64, u32),
        make: impl FnOnce(&'static Tree) -> io::Result<T>,
    ) -> io::Result<T> {
        self.object_of(name, kind, shape, (), make)
    }

    /// Every object of `ipc` is its address when it travels, and `rest`, which the shape has been compared by.
    /// So it is here, too: what was made is written down as what it serialises to, and opened by deserialising
    /// that, with all checks of its type.
    fn object_of<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        kind: ObjectKind,
        (len, align): (u64, u32),
        rest: impl Serialize,
        make: impl FnOnce(&'static Tree) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut made = None;
        let address = self.0.object(name, Shape { kind, len, align }, || {
            let object = made.insert(make(self.0.tree())?);
            // Whatever follows the address is left over.
            recoded::<T, Address>(object)
        })?;
        made.map_or_else(|| recoded(&(address, rest)), Ok)
    }
}

/// The rest of the shape of what has none.
const NOTHING: (u64, u32) = (0, 0);

/// That of plain data.
fn plain<T>() -> (u64, u32) {
    (size_of::<T>() as u64, align_of::<T>() as u32)
}

/// One that serialises to the same as the other.
fn recoded<A: Serialize, B: DeserializeOwned>(from: &A) -> io::Result<B> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let bytes = postcard::to_stdvec(from).map_err(invalid)?;
    postcard::from_bytes(&bytes).map_err(invalid)
}

/// Shows its name.
impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Space")
            .field(&self.0.name().shown())
            .finish()
    }
}
