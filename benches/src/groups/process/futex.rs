//! Limits: a word in shared memory, and a futex to sleep on. No spinning: two sleeps, two wakes.

use super::{WORKERS, myself};
use crate::work::micros_mean_and_median;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::thread::futex;
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Both sides count this word up in turn: odd asks, even answers.
struct Word {
    memory: *mut c_void,
}

const SIZE: usize = 4096;

/// Ends the child; no count comes near it.
const END: u32 = u32::MAX;

impl Word {
    fn map(memfd: impl AsFd) -> io::Result<Word> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let memory = unsafe { mmap(ptr::null_mut(), SIZE, access, MapFlags::SHARED, memfd, 0)? };
        Ok(Word { memory })
    }

    fn count(&self) -> &AtomicU32 {
        // SAFETY: the mapping is page-aligned, zeroed, larger than the word, lives as long as self,
        // and both processes use it as an atomic only.
        unsafe { &*self.memory.cast() }
    }

    /// Stores `next` for the other side and wakes it.
    fn pass(&self, next: u32) -> io::Result<()> {
        // Pairs with the acquire in `wait_while`.
        self.count().store(next, Ordering::Release);
        futex::wake(self.count(), futex::Flags::empty(), 1)?;
        Ok(())
    }

    /// Sleeps until the count is no longer `old`, and returns what it is.
    fn wait_while(&self, old: u32) -> io::Result<u32> {
        loop {
            let count = self.count().load(Ordering::Acquire);
            if count != old {
                return Ok(count);
            }
            match futex::wait(self.count(), futex::Flags::empty(), old, None) {
                Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this size, and the references from `count` borrow self.
        let _ = unsafe { munmap(self.memory, SIZE) };
    }
}

/// A process that counts an odd word up to the next even number.
struct Echo {
    word: Word,
    child: Child,
}

impl Echo {
    fn start() -> io::Result<Echo> {
        let memfd: OwnedFd = memfd_create("latchwork-benches", MemfdFlags::CLOEXEC)?;
        ftruncate(&memfd, SIZE as u64)?;
        let word = Word::map(&memfd)?;
        let child = myself("futex").stdin(memfd).spawn()?;
        Ok(Echo { word, child })
    }

    fn ask(&self) -> io::Result<()> {
        self.word
            .pass(self.word.count().load(Ordering::Relaxed) + 1)
    }

    fn answer(&self) -> io::Result<()> {
        let asked = self.word.count().load(Ordering::Relaxed) | 1;
        self.word.wait_while(asked).map(drop)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.word.pass(END);
        let _ = self.child.wait();
    }
}

/// The child's side: standard input is the memfd.
pub fn echo() -> io::Result<()> {
    let word = Word::map(io::stdin())?;
    let mut answered = 0;
    loop {
        match word.wait_while(answered)? {
            END => return Ok(()),
            asked => {
                answered = asked + 1;
                word.pass(answered)?;
            }
        }
    }
}

pub fn start() -> f64 {
    let begin = Instant::now();
    let start = || Echo::start().expect("it starts");
    let echoes: Vec<Echo> = (0..WORKERS).map(|_| start()).collect();
    for echo in &echoes {
        echo.ask().expect("the futex wakes");
    }
    for echo in &echoes {
        echo.answer().expect("the child answers");
    }
    begin.elapsed().as_secs_f64() * 1e3
}

pub fn round_trips(sample: Duration) -> [f64; 2] {
    let echo = Echo::start().expect("it starts");
    let round_trip = || {
        echo.ask().expect("the futex wakes");
        echo.answer().expect("the child answers");
    };
    round_trip();
    micros_mean_and_median(sample, round_trip)
}
