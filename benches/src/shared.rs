//! Memory and processes that share it: for what is measured between processes and not between threads.
//!
//! The processes are forks of this one, so they have whatever was mapped before. They do nothing but what
//! is measured and system calls, and leave without running this program's exit handlers. One that
//! fails, or does not end, ends this program: a figure without it would be a figure of something else.

use crate::work::nanos;
use std::io;
use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A value in memory of its own, which processes that are forked from now on share.
pub struct Shared<T: ?Sized>(NonNull<T>);

// SAFETY: it owns its value like a box.
unsafe impl<T: ?Sized + Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub fn new(value: T) -> Shared<T> {
        let memory = map(size_of::<T>()).cast::<T>();
        // SAFETY: room for a `T`, and aligned for any, as it begins at a page.
        unsafe { memory.write(value) };
        Shared(memory)
    }
}

impl Shared<[u8]> {
    /// So many zeros.
    pub fn bytes(len: usize) -> Shared<[u8]> {
        Shared(NonNull::slice_from_raw_parts(map(len), len))
    }

    pub fn as_ptr(&self) -> *mut [u8] {
        self.0.as_ptr()
    }
}

/// Zeroed memory, from the beginning of a page on.
fn map(len: usize) -> NonNull<u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let memory = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED, "{}", io::Error::last_os_error());
    NonNull::new(memory.cast()).expect("not at address zero")
}

impl<T: ?Sized> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: written in `new`, mapped as long as this is there.
        unsafe { self.0.as_ref() }
    }
}

impl<T: ?Sized> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: this process's last use of its value and of the mapping from `new`.
        unsafe {
            let len = mem::size_of_val(self.0.as_ref());
            self.0.drop_in_place();
            libc::munmap(self.0.as_ptr().cast(), len);
        }
    }
}

/// A forked process. Killed when dropped before its end.
pub struct Fork {
    pid: libc::pid_t,
    has_ended: bool,
}

impl Fork {
    pub fn new(work: impl FnOnce()) -> Fork {
        // SAFETY: the child does what the head of this file says, and is not to outlive this process.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", io::Error::last_os_error()),
            0 => {
                // SAFETY: a plain system call.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let worked = catch_unwind(AssertUnwindSafe(work));
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(i32::from(worked.is_err())) }
            }
            pid => Fork {
                pid,
                has_ended: false,
            },
        }
    }

    pub fn pid(&self) -> libc::pid_t {
        self.pid
    }

    /// Its next change of state, as wait(2) tells it: an end, or a stop if it is traced.
    pub fn wait(&mut self) -> libc::c_int {
        self.wait_with(0).expect("a blocking wait has a result")
    }

    fn wait_with(&mut self, options: libc::c_int) -> Option<libc::c_int> {
        let mut status = 0;
        // SAFETY: waits for our own child, which was not reaped.
        let got = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL | options) };
        assert_ne!(got, -1, "waitpid: {}", io::Error::last_os_error());
        self.has_ended = got == self.pid && !libc::WIFSTOPPED(status);
        (got == self.pid).then_some(status)
    }

    /// Whether it has ended by itself; one that failed ends this program.
    pub fn has_succeeded(&mut self) -> bool {
        let status = self.wait_with(libc::WNOHANG);
        assert!(
            matches!(status, None | Some(0)),
            "a process that was measured failed: {status:?}"
        );
        self.has_ended
    }

    pub fn signal(&self, signal: libc::c_int) {
        assert!(!self.has_ended);
        // SAFETY: a child that was not reaped keeps its pid.
        assert_eq!(unsafe { libc::kill(self.pid, signal) }, 0);
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        if !self.has_ended {
            self.signal(libc::SIGKILL);
            while !self.has_ended {
                self.wait();
            }
        }
    }
}

/// What a process of a [`crew`] sees of the others.
pub struct Stage {
    ready: AtomicU32,
    has_begun: AtomicBool,
    is_over: AtomicBool,
    seats: [Seat; MOST],
}

const MOST: usize = 8;

/// What one process did. Its cache lines are its own.
#[derive(Default)]
#[repr(align(128))]
struct Seat {
    begun: AtomicU64,
    ended: AtomicU64,
    figure: AtomicU64,
}

impl Stage {
    /// Waits until everybody has come this far.
    fn begin(&self, index: usize) {
        self.ready.fetch_add(1, Ordering::AcqRel);
        while !self.has_begun.load(Ordering::Acquire) {
            thread::yield_now();
        }
        self.seats[index].begun.store(nanos(), Ordering::Relaxed);
    }

    #[inline]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// For a process that knows by itself when it is.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// What processes counted, and how long they took, from the first one's begin to the last one's end.
pub struct Counted {
    pub each: Vec<u64>,
    pub time: Duration,
}

impl Counted {
    pub fn all(&self) -> u64 {
        self.each.iter().sum()
    }

    pub fn a_second(&self) -> f64 {
        self.all() as f64 / self.time.as_secs_f64()
    }

    /// What the least served has of all, times the number of processes: 1 when all are served alike.
    pub fn least_share(&self) -> f64 {
        let least = self.each.iter().copied().min().unwrap_or(0);
        (least * self.each.len() as u64) as f64 / self.all() as f64
    }
}

/// Runs so many processes together for about `sample`. Each calls `prepare` with its index, and then
/// what that returned, until the stage says that it is over; that returns what it counted.
pub fn crew<W: FnOnce(&Stage) -> u64>(
    sample: Duration,
    processes: usize,
    prepare: impl Fn(usize) -> W,
) -> Counted {
    const PATIENCE: Duration = Duration::from_secs(60);
    let stage = Shared::new(Stage {
        ready: AtomicU32::new(0),
        has_begun: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
        seats: Default::default(),
    });
    let mut forks: Vec<Fork> = (0..processes)
        .map(|index| {
            Fork::new(|| {
                let work = prepare(index);
                stage.begin(index);
                let figure = work(&stage);
                let seat = &stage.seats[index];
                seat.ended.store(nanos(), Ordering::Relaxed);
                seat.figure.store(figure, Ordering::Relaxed);
            })
        })
        .collect();
    let started = Instant::now();
    let mut wait_for = |condition: &dyn Fn(&mut Fork) -> bool| {
        loop {
            // All of them each time: any may have failed.
            let mut is_met = true;
            for fork in &mut forks {
                is_met &= condition(fork);
            }
            if is_met {
                return;
            }
            let waited = started.elapsed();
            assert!(
                waited < sample + PATIENCE,
                "a process that is measured hangs"
            );
            thread::sleep(Duration::from_micros(200));
        }
    };
    wait_for(&|fork| {
        assert!(!fork.has_succeeded(), "a process ended before it began");
        stage.ready.load(Ordering::Acquire) == processes as u32
    });
    stage.has_begun.store(true, Ordering::Release);
    thread::sleep(sample);
    stage.end();
    wait_for(&|fork| fork.has_ended || fork.has_succeeded());
    let of_all = |field: fn(&Seat) -> &AtomicU64| {
        let seats = stage.seats[..processes].iter();
        seats.map(move |seat| field(seat).load(Ordering::Relaxed))
    };
    let begun = of_all(|seat| &seat.begun).min().expect("somebody");
    let ended = of_all(|seat| &seat.ended).max().expect("somebody");
    Counted {
        each: of_all(|seat| &seat.figure).collect(),
        time: Duration::from_nanos(ended - begun),
    }
}

/// How often each process of [`calls`] calls before the clock starts.
pub const WARM_UP: u64 = 100;

/// Runs so many processes together for about `sample`; each calls over and over what `operation` makes for it.
pub fn calls<F: FnMut()>(
    sample: Duration,
    processes: usize,
    operation: impl Fn(usize) -> F,
) -> Counted {
    crew(sample, processes, |index| {
        let mut operation = operation(index);
        (0..WARM_UP).for_each(|_| operation());
        move |stage: &Stage| {
            let mut calls = 0;
            // Once at least, as there is no ratio to nothing.
            loop {
                operation();
                calls += 1;
                if stage.is_over() {
                    return calls;
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    const SAMPLE: Duration = Duration::from_millis(10);

    #[test]
    fn processes_see_one_memory_and_what_each_counts_is_summed_up() {
        let sum = Shared::new(AtomicU64::new(0));
        let counted = crew(SAMPLE, 3, |index| {
            let sum = &sum;
            move |stage: &Stage| {
                let mut count = 0;
                while !stage.is_over() || count == 0 {
                    sum.fetch_add(1, Ordering::Relaxed);
                    count += 1;
                    if index == 0 && count == 5 {
                        break;
                    }
                }
                count
            }
        });
        assert_eq!(counted.all(), sum.load(Ordering::Relaxed));
        assert_eq!(counted.each.len(), 3);
        assert!(counted.each[0] <= 5 && counted.each.iter().all(|&count| count > 0));
        assert!(counted.time >= SAMPLE, "{:?}", counted.time);
        assert!(counted.least_share() < 1.0);
    }

    #[test]
    fn a_process_that_fails_is_an_error() {
        for fails in [1, 2] {
            let failed = catch_unwind(|| {
                crew(SAMPLE, 2, |index| {
                    // Its own message would look as if this test failed.
                    let leave = move |when| {
                        if (index, when) == (1, fails) {
                            // SAFETY: ends the child at once.
                            unsafe { libc::_exit(1) }
                        }
                    };
                    leave(1);
                    move |_: &Stage| {
                        leave(2);
                        1
                    }
                })
            });
            assert!(failed.is_err());
        }
    }
}
