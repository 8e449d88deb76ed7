//! `ShmScope`: named memory that ends with its owner.
//!
//! Invariant: every name in the scope was made by it, as memory that is unlinked on drop. Called by
//! programs.

use super::{MemoryOptions, SharedMemory};
use std::fmt;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Owns named memory, and takes all the names away when it is dropped.
///
/// The names are for others to open while the scope lives; who has opened the memory keeps it. If the
/// process is killed, the names end with it all the same: nobody can open them any more once no other
/// process has them open, and the next [`sweep`](super::sweep()) removes the files. Whoever makes memory of such a name
/// finds it free.
///
/// Threads may share the scope. A forked child that drops it leaves the parent's names alone.
///
/// ```
/// use latchwork::shm::{SharedMemory, ShmScope};
///
/// # fn main() -> std::io::Result<()> {
/// let scope = ShmScope::new();
/// let frames = scope.create_unique(1 << 16)?;
/// // Another process, by the name that it was told:
/// let name = frames.name().unwrap();
/// let seen = SharedMemory::open(name)?;
/// assert_eq!(seen.len(), 1 << 16);
/// drop(scope);
/// assert!(SharedMemory::open(name).is_err());
/// # Ok(())
/// # }
/// ```
///
/// Python: `multiprocessing.managers.SharedMemoryManager`, without a server, so there is none that a
/// Ctrl-C could reach.
#[doc(alias = "SharedMemoryManager")]
pub struct ShmScope {
    options: MemoryOptions,
    blocks: Mutex<Vec<Arc<SharedMemory>>>,
}

impl ShmScope {
    /// An empty scope.
    pub fn new() -> ShmScope {
        ShmScope::with_options(SharedMemory::options())
    }

    /// An empty scope whose memory is made in this way.
    pub fn with_options(options: MemoryOptions) -> ShmScope {
        ShmScope {
            options: options.unlink_on_drop(true),
            blocks: Mutex::default(),
        }
    }

    /// Makes memory as [`SharedMemory::create`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn create(&self, name: &str, len: usize) -> io::Result<Arc<SharedMemory>> {
        self.options.create(name, len).map(|made| self.add(made))
    }

    /// Makes memory as [`SharedMemory::create_unique`] does.
    ///
    /// # Errors
    ///
    /// As there.
    #[doc(alias = "SharedMemory")]
    pub fn create_unique(&self, len: usize) -> io::Result<Arc<SharedMemory>> {
        self.options.create_unique(len).map(|made| self.add(made))
    }

    fn add(&self, memory: SharedMemory) -> Arc<SharedMemory> {
        let memory = Arc::new(memory);
        self.lock().push(memory.clone());
        memory
    }

    /// What was made here, oldest first.
    pub fn blocks(&self) -> Vec<Arc<SharedMemory>> {
        self.lock().clone()
    }

    /// Takes the names away, as dropping the scope does, and says whether that went well.
    ///
    /// # Errors
    ///
    /// The first, after all have been tried. That a name had been taken away before is none.
    #[doc(alias = "shutdown")]
    pub fn close(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        let blocks = self.blocks.get_mut();
        let blocks = mem::take(blocks.unwrap_or_else(PoisonError::into_inner));
        let mut outcome = Ok(());
        for block in blocks {
            match block.end_name() {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    outcome = outcome.and(Err(error));
                }
                _ => {}
            }
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<SharedMemory>>> {
        // A push either has happened or not.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ShmScope {
    fn drop(&mut self) {
        // `close` is for who wants to know; a sweep does what could not be done.
        let _ = self.end();
    }
}

/// Shows what is in it.
impl fmt::Debug for ShmScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShmScope").field(&self.blocks()).finish()
    }
}

impl Default for ShmScope {
    fn default() -> ShmScope {
        ShmScope::new()
    }
}
