//! How soon a waiter that sleeps learns that the owner was killed.

use super::mutexes::{Mutex, Robust};
use crate::run::{Metric, Workload, median};
use crate::shared::{Fork, Shared};
use latchwork::ipc::{Lock, LockError};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Of how many deaths a sample is made.
const DEATHS: usize = 20;

/// Waiters have slept for so long, at least, when the first owner dies: long enough for one that looks around less
/// and less often to have come to the longest time between.
const ASLEEP: Duration = Duration::from_millis(100);

/// From one death to the next: no multiple of how often anybody looks around.
const BETWEEN: Duration = Duration::from_millis(7);

trait Inherited: Mutex {
    /// Locks, and returns whether an owner died holding it.
    fn inherit(&self) -> bool;
}

impl Inherited for Lock {
    fn inherit(&self) -> bool {
        match self.lock() {
            Ok(_) => false,
            Err(LockError::OwnerDied(mut guard)) => {
                guard.mark_consistent();
                true
            }
            Err(other) => panic!("{other}"),
        }
    }
}

impl Inherited for Robust {
    fn inherit(&self) -> bool {
        // SAFETY: it is initialised, and this thread does not hold it.
        let locked = unsafe { libc::pthread_mutex_lock(self.raw()) };
        assert!(locked == 0 || locked == libc::EOWNERDEAD);
        let has_died = locked == libc::EOWNERDEAD;
        // SAFETY: it is locked by this thread.
        unsafe {
            if has_died {
                libc::pthread_mutex_consistent(self.raw());
            }
            libc::pthread_mutex_unlock(self.raw());
        }
        has_died
    }
}

/// The kernel tells robust mutexes at once, and has to be asked about ours: not judged.
pub fn workload() -> Workload {
    let metrics = [
        Metric::time("ms, median").shown(),
        Metric::time("ms, worst").shown(),
    ];
    Workload::new("death noticed", &metrics)
        .ours(noticed::<Lock>)
        .peer("pthread robust", noticed::<Robust>)
}

/// From the kill to the moment when the waiter has the lock and knows, in milliseconds: median and worst.
fn noticed<M: Inherited>() -> [f64; 2] {
    let locks: Vec<M> = (0..DEATHS).map(|_| M::new()).collect();
    let held = Shared::new(AtomicU32::new(0));
    let owner = |lock: &M| {
        Fork::new(|| {
            let _guard = lock.lock();
            held.fetch_add(1, Ordering::AcqRel);
            loop {
                // SAFETY: a plain system call.
                unsafe { libc::pause() };
            }
        })
    };
    let mut owners: Vec<Fork> = locks.iter().map(owner).collect();
    while held.load(Ordering::Acquire) < DEATHS as u32 {
        let have_ended = owners.iter_mut().any(Fork::has_succeeded);
        assert!(!have_ended, "an owner has ended before it was killed");
        thread::yield_now();
    }
    thread::scope(|scope| {
        let waiters: Vec<_> = locks
            .iter()
            .map(|lock| scope.spawn(|| (lock.inherit(), Instant::now())))
            .collect();
        thread::sleep(ASLEEP);
        let killed: Vec<Instant> = owners
            .iter()
            .map(|owner| {
                thread::sleep(BETWEEN);
                let now = Instant::now();
                owner.signal(libc::SIGKILL);
                now
            })
            .collect();
        let noticed = waiters.into_iter().zip(killed).map(|(waiter, killed)| {
            let (has_died, at) = waiter.join().expect("it only waits");
            assert!(has_died && at > killed, "it did not wait for a dead one");
            (at - killed).as_secs_f64() * 1e3
        });
        let noticed: Vec<f64> = noticed.collect();
        let worst = noticed.iter().copied().fold(0.0, f64::max);
        [median(&noticed), worst]
    })
}
