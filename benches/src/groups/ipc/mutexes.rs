//! Who excludes processes: the locks that are compared, and the least that could be one.

use crate::shared::Shared;
use rustix::fs::{FlockOperation, MemfdFlags, Mode, OFlags, flock, memfd_create, open};
use rustix::io::Errno;
use rustix::thread::futex;
use std::cell::UnsafeCell;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Made before the processes that use it are forked.
pub trait Mutex: Send + Sync + 'static {
    /// Unlocks when dropped.
    type Guard<'a>;
    fn new() -> Self;
    /// Called in each forked process before its first use there.
    fn join(&self) {}
    fn lock(&self) -> Self::Guard<'_>;
    /// What cannot be had at once is an error here: it is asked for where nobody has it.
    fn try_lock(&self) -> Self::Guard<'_>;
}

impl Mutex for latchwork::ipc::Lock {
    type Guard<'a> = latchwork::ipc::LockGuard<'a>;
    fn new() -> Self {
        latchwork::ipc::Lock::new().expect("there is shared memory")
    }
    #[inline]
    fn lock(&self) -> Self::Guard<'_> {
        self.lock().expect("nobody dies")
    }
    #[inline]
    fn try_lock(&self) -> Self::Guard<'_> {
        self.try_lock().expect("nobody dies").expect("it is free")
    }
}

/// The C library's mutex for processes; `ROBUST` ones tell of an owner's death.
pub struct Pthread<const ROBUST: bool>(Shared<CacheLines<UnsafeCell<libc::pthread_mutex_t>>>);

pub type Plain = Pthread<false>;
pub type Robust = Pthread<true>;

/// What shares them with nothing, so that luck with neighbours decides nothing.
#[repr(align(128))]
pub struct CacheLines<T>(pub T);

// SAFETY: all that is done with the mutex is what it is there for.
unsafe impl<const ROBUST: bool> Send for Pthread<ROBUST> {}
// SAFETY: as above.
unsafe impl<const ROBUST: bool> Sync for Pthread<ROBUST> {}

impl<const ROBUST: bool> Pthread<ROBUST> {
    /// Makes of the bytes at `mutex` a mutex for processes.
    ///
    /// # Safety
    ///
    /// Nobody else knows `mutex` yet, and it stays where it is.
    pub unsafe fn initialise(mutex: *mut libc::pthread_mutex_t) {
        // SAFETY: attributes are initialised before they are used and are not needed afterwards; the
        // mutex is by the caller's promise this call's alone.
        let results = unsafe {
            let mut attributes = mem::zeroed();
            let made = libc::pthread_mutexattr_init(&mut attributes);
            let shared =
                libc::pthread_mutexattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED);
            let robust = match ROBUST {
                true => {
                    libc::pthread_mutexattr_setrobust(&mut attributes, libc::PTHREAD_MUTEX_ROBUST)
                }
                false => 0,
            };
            let mutex = libc::pthread_mutex_init(mutex, &attributes);
            libc::pthread_mutexattr_destroy(&mut attributes);
            [made, shared, robust, mutex]
        };
        assert_eq!(results, [0; 4]);
    }

    /// For those who wait with it on a condition variable.
    pub fn raw(&self) -> *mut libc::pthread_mutex_t {
        self.0.0.get()
    }
}

pub struct PthreadGuard<'a, const ROBUST: bool>(&'a Pthread<ROBUST>);

impl<const ROBUST: bool> Mutex for Pthread<ROBUST> {
    type Guard<'a> = PthreadGuard<'a, ROBUST>;
    fn new() -> Self {
        // SAFETY: all zeros is a value of this union of integers.
        let mutex = Shared::new(CacheLines(UnsafeCell::new(unsafe { mem::zeroed() })));
        // SAFETY: nobody else knows it yet, and its memory never moves.
        unsafe { Self::initialise(mutex.0.get()) };
        Pthread(mutex)
    }
    #[inline]
    fn lock(&self) -> Self::Guard<'_> {
        // SAFETY: it is initialised, and nothing here locks it twice.
        let locked = unsafe { libc::pthread_mutex_lock(self.raw()) };
        assert_eq!(locked, 0);
        PthreadGuard(self)
    }
    #[inline]
    fn try_lock(&self) -> Self::Guard<'_> {
        // SAFETY: it is initialised.
        let locked = unsafe { libc::pthread_mutex_trylock(self.raw()) };
        assert_eq!(locked, 0);
        PthreadGuard(self)
    }
}

impl<const ROBUST: bool> Drop for PthreadGuard<'_, ROBUST> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard came with the lock.
        unsafe { libc::pthread_mutex_unlock(self.0.raw()) };
    }
}

/// The C library's semaphore for processes, with a permit.
pub struct Semaphore(Shared<CacheLines<UnsafeCell<libc::sem_t>>>);

// SAFETY: all that is done with the semaphore is what it is there for.
unsafe impl Send for Semaphore {}
// SAFETY: as above.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    pub fn with_permits(permits: u32) -> Semaphore {
        // SAFETY: all zeros is a value of this union of bytes and an integer.
        let semaphore = Shared::new(CacheLines(UnsafeCell::new(unsafe { mem::zeroed() })));
        // SAFETY: nobody else knows it yet, and its memory never moves.
        let made = unsafe { libc::sem_init(semaphore.0.get(), 1, permits) };
        assert_eq!(made, 0);
        Semaphore(semaphore)
    }

    #[inline]
    pub fn acquire(&self) {
        // SAFETY: it is initialised. A signal may end the call early.
        while unsafe { libc::sem_wait(self.0.0.get()) } != 0 {
            assert_eq!(
                Errno::from_io_error(&io::Error::last_os_error()),
                Some(Errno::INTR)
            );
        }
    }

    #[inline]
    pub fn release(&self) {
        // SAFETY: it is initialised.
        unsafe { libc::sem_post(self.0.0.get()) };
    }
}

pub struct Permit<'a>(&'a Semaphore);

impl Mutex for Semaphore {
    type Guard<'a> = Permit<'a>;
    fn new() -> Self {
        Semaphore::with_permits(1)
    }
    #[inline]
    fn lock(&self) -> Permit<'_> {
        self.acquire();
        Permit(self)
    }
    #[inline]
    fn try_lock(&self) -> Permit<'_> {
        // SAFETY: it is initialised.
        let acquired = unsafe { libc::sem_trywait(self.0.0.get()) };
        assert_eq!(acquired, 0);
        Permit(self)
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.release();
    }
}

/// A lock of the kernel's on a file: what scripts use. The kernel gives it back when its owner dies.
pub struct Flock {
    made: OwnedFd,
    /// The forked process's own.
    joined: OnceLock<OwnedFd>,
}

impl Flock {
    #[inline]
    fn file(&self) -> &OwnedFd {
        self.joined.get().unwrap_or(&self.made)
    }
}

impl Mutex for Flock {
    type Guard<'a> = FlockGuard<'a>;
    fn new() -> Self {
        Flock {
            made: memfd_create("latchwork-benches", MemfdFlags::CLOEXEC).expect("there is memory"),
            joined: OnceLock::new(),
        }
    }
    fn join(&self) {
        // The lock belongs to the open file, which forks share; this opens another.
        let path = format!("/proc/self/fd/{}", self.made.as_raw_fd());
        let opened = open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        let joined = self.joined.set(opened.expect("it is ours"));
        joined.expect("a process joins once");
    }
    #[inline]
    fn lock(&self) -> FlockGuard<'_> {
        flock(self.file(), FlockOperation::LockExclusive).expect("the kernel locks it");
        FlockGuard(self)
    }
    #[inline]
    fn try_lock(&self) -> FlockGuard<'_> {
        flock(self.file(), FlockOperation::NonBlockingLockExclusive).expect("it is free");
        FlockGuard(self)
    }
}

pub struct FlockGuard<'a>(&'a Flock);

impl Drop for FlockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        flock(self.0.file(), FlockOperation::Unlock).expect("it is locked");
    }
}

/// The least that sleeps: one compare-and-swap, one swap, and the futex when somebody is in the way. No
/// owner, no limit, no spinning; whoever dies holding it holds it for ever.
pub struct Futex(Shared<CacheLines<AtomicU32>>);

const FREE: u32 = 0;
const HELD: u32 = 1;
const WAITED_FOR: u32 = 2;

impl Futex {
    #[cold]
    fn wait(&self) {
        let word = &self.0.0;
        // Held by whoever finds it free, as if others waited: they may.
        while word.swap(WAITED_FOR, Ordering::Acquire) != FREE {
            match futex::wait(word, futex::Flags::empty(), WAITED_FOR, None) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => panic!("futex: {error}"),
            }
        }
    }
}

pub struct FutexGuard<'a>(&'a AtomicU32);

impl Mutex for Futex {
    type Guard<'a> = FutexGuard<'a>;
    fn new() -> Self {
        Futex(Shared::new(CacheLines(AtomicU32::new(FREE))))
    }
    #[inline]
    fn lock(&self) -> FutexGuard<'_> {
        let word = &self.0.0;
        let locked = word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed);
        if locked.is_err() {
            self.wait();
        }
        FutexGuard(word)
    }
    #[inline]
    fn try_lock(&self) -> FutexGuard<'_> {
        let word = &self.0.0;
        let locked = word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed);
        assert!(locked.is_ok());
        FutexGuard(word)
    }
}

impl Drop for FutexGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        #[cold]
        fn wake(word: &AtomicU32) {
            futex::wake(word, futex::Flags::empty(), 1).expect("the futex wakes");
        }
        if self.0.swap(FREE, Ordering::Release) == WAITED_FOR {
            wake(self.0);
        }
    }
}
