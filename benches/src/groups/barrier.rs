//! Barriers: how many rounds a second, and what a long wait costs the processor.

use crate::run::{Metric, Workload};
use crate::usage::Usage;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// One thread's side of a barrier.
trait Barrier: Send + 'static {
    fn sides(parties: usize) -> Vec<Self>
    where
        Self: Sized;
    fn wait(&mut self);
}

fn shared<B>(barrier: B, parties: usize) -> Vec<Arc<B>> {
    let barrier = Arc::new(barrier);
    vec![barrier; parties]
}

impl Barrier for Arc<latchwork::sync::Barrier> {
    fn sides(parties: usize) -> Vec<Self> {
        shared(latchwork::sync::Barrier::new(parties), parties)
    }
    #[inline]
    fn wait(&mut self) {
        latchwork::sync::Barrier::wait(self).expect("nobody breaks it");
    }
}

impl Barrier for Arc<std::sync::Barrier> {
    fn sides(parties: usize) -> Vec<Self> {
        shared(std::sync::Barrier::new(parties), parties)
    }
    #[inline]
    fn wait(&mut self) {
        std::sync::Barrier::wait(self);
    }
}

impl Barrier for hurdles::Barrier {
    fn sides(parties: usize) -> Vec<Self> {
        vec![hurdles::Barrier::new(parties); parties]
    }
    #[inline]
    fn wait(&mut self) {
        hurdles::Barrier::wait(self);
    }
}

struct Pthread(UnsafeCell<libc::pthread_barrier_t>);

// SAFETY: a pthread barrier is made to be used by several threads at the same time.
unsafe impl Send for Pthread {}
// SAFETY: as above.
unsafe impl Sync for Pthread {}

impl Barrier for Arc<Pthread> {
    fn sides(parties: usize) -> Vec<Self> {
        let parties_in_c = parties.try_into().expect("a handful");
        let mut barrier = MaybeUninit::uninit();
        // SAFETY: it is given memory of its type, and moved only before anybody has used it.
        let result = unsafe {
            libc::pthread_barrier_init(barrier.as_mut_ptr(), std::ptr::null(), parties_in_c)
        };
        assert_eq!(result, 0);
        // SAFETY: initialised above.
        let barrier = Pthread(UnsafeCell::new(unsafe { barrier.assume_init() }));
        shared(barrier, parties)
    }
    #[inline]
    fn wait(&mut self) {
        // SAFETY: it is alive and initialised.
        unsafe { libc::pthread_barrier_wait(self.0.get()) };
    }
}

impl Drop for Pthread {
    fn drop(&mut self) {
        // SAFETY: initialised, and nobody waits: this was the last reference.
        unsafe { libc::pthread_barrier_destroy(self.0.get()) };
    }
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let mut workloads = Vec::new();
    for parties in [2, 4, 8] {
        workloads.push(
            Workload::new(format!("rounds t={parties}"), &[Metric::rate("barriers/s")])
                .ours(move || rounds_a_second::<Arc<latchwork::sync::Barrier>>(sample, parties))
                .peer("std", move || {
                    rounds_a_second::<Arc<std::sync::Barrier>>(sample, parties)
                })
                .peer("hurdles", move || {
                    rounds_a_second::<hurdles::Barrier>(sample, parties)
                })
                .peer("pthread", move || {
                    rounds_a_second::<Arc<Pthread>>(sample, parties)
                }),
        );
    }
    workloads.push(
        Workload::new("one waits 200ms", &[Metric::time("us of CPU").shown()])
            .ours(cpu_of_a_long_wait::<Arc<latchwork::sync::Barrier>>)
            .peer("std", cpu_of_a_long_wait::<Arc<std::sync::Barrier>>)
            .peer("pthread", cpu_of_a_long_wait::<Arc<Pthread>>)
            .limit("hurdles", cpu_of_a_long_wait::<hurdles::Barrier>),
    );
    workloads
}

fn rounds_a_second<B: Barrier>(sample: Duration, parties: usize) -> f64 {
    // The clock is looked at now and then only; a round may take 100 ns.
    const BATCH: u64 = 16;
    // All have to stop after the same round. One of them names it, in the round before.
    let last = AtomicU64::new(u64::MAX);
    let mut sides = B::sides(parties);
    let mut clock = sides.pop().expect("there are parties");
    thread::scope(|scope| {
        for mut side in sides {
            let last = &last;
            scope.spawn(move || {
                side.wait();
                let mut round = 0;
                while round != last.load(Ordering::Relaxed) {
                    side.wait();
                    round += 1;
                }
            });
        }
        clock.wait();
        let start = Instant::now();
        let mut round = 0;
        while round % BATCH != 0 || start.elapsed() < sample {
            clock.wait();
            round += 1;
        }
        last.store(round + 2, Ordering::Relaxed);
        clock.wait();
        clock.wait();
        (round + 2) as f64 / start.elapsed().as_secs_f64()
    })
}

/// What a thread uses of the processor while it waits for one that comes 200 ms later.
fn cpu_of_a_long_wait<B: Barrier>() -> f64 {
    let mut sides = B::sides(2);
    let mut late = sides.pop().expect("two");
    let mut early = sides.pop().expect("two");
    thread::scope(|scope| {
        let waiter = scope.spawn(move || Usage::of(|| early.wait()));
        thread::sleep(Duration::from_millis(200));
        late.wait();
        let ((), used) = waiter.join().expect("it only waits");
        used.cpu.as_secs_f64() * 1e6
    })
}
