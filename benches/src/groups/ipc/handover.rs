//! From one process to another and back: by locks, and by what is made for it.
//!
//! Two processes take turns. With locks, of which each must be unlocked by the process that locked it, there are
//! three: whose turn it is has two of them, gives up the one that the other waits for, and then waits
//! for the one that the other has. So a round trip is twice "unlock, and the other has it".

use super::mutexes::{CacheLines, Flock, Futex, Mutex, Plain, Robust, Semaphore};
use crate::run::{Metric, Workload, median};
use crate::shared::{Shared, Stage, crew};
use crate::work::nanos;
use latchwork::ipc::{Event, Lock};
use std::cell::UnsafeCell;
use std::hint;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Something by which two processes take turns. Made before they are forked.
trait Turns: 'static {
    type Side<'a>: Side;
    fn new() -> Self;
    /// Called once in each process. The first one has the first turn.
    fn side(&self, is_first: bool) -> Self::Side<'_>;
}

trait Side {
    /// Gives the turn to the other. Only who has it may do so.
    fn give(&mut self);
    /// Waits for it.
    fn take(&mut self);
}

/// See the head of this file.
struct ByLocks<M>([M; 3]);

struct Locks<'a, M: Mutex> {
    locks: &'a [M; 3],
    held: [Option<M::Guard<'a>>; 3],
    give: usize,
    take: usize,
}

impl<M: Mutex> Turns for ByLocks<M> {
    type Side<'a> = Locks<'a, M>;
    fn new() -> Self {
        ByLocks([M::new(), M::new(), M::new()])
    }
    fn side(&self, is_first: bool) -> Locks<'_, M> {
        self.0.iter().for_each(Mutex::join);
        let locks = &self.0;
        // Both count down from here: 0, 2, 1, 0, ...
        let (held, give, take) = match is_first {
            true => ([Some(locks[0].lock()), None, Some(locks[2].lock())], 0, 1),
            false => ([None, Some(locks[1].lock()), None], 1, 0),
        };
        Locks {
            locks,
            held,
            give,
            take,
        }
    }
}

impl<M: Mutex> Side for Locks<'_, M> {
    #[inline]
    fn give(&mut self) {
        self.held[self.give] = None;
        self.give = (self.give + 2) % 3;
    }
    #[inline]
    fn take(&mut self) {
        self.held[self.take] = Some(self.locks[self.take].lock());
        self.take = (self.take + 2) % 3;
    }
}

/// One event for each side.
struct ByEvents([Event; 2]);

struct Events<'a> {
    mine: &'a Event,
    others: &'a Event,
}

impl Turns for ByEvents {
    type Side<'a> = Events<'a>;
    fn new() -> Self {
        ByEvents([(), ()].map(|()| Event::new().expect("there is shared memory")))
    }
    fn side(&self, is_first: bool) -> Events<'_> {
        let [first, second] = &self.0;
        let (mine, others) = match is_first {
            true => (first, second),
            false => (second, first),
        };
        Events { mine, others }
    }
}

impl Side for Events<'_> {
    #[inline]
    fn give(&mut self) {
        self.others.set().expect("it is there");
    }
    #[inline]
    fn take(&mut self) {
        self.mine.wait().expect("it is there");
        self.mine.clear().expect("it is there");
    }
}

/// One semaphore for each side.
struct BySemaphores([Semaphore; 2]);

struct Semaphores<'a> {
    mine: &'a Semaphore,
    others: &'a Semaphore,
}

impl Turns for BySemaphores {
    type Side<'a> = Semaphores<'a>;
    fn new() -> Self {
        BySemaphores([Semaphore::with_permits(0), Semaphore::with_permits(0)])
    }
    fn side(&self, is_first: bool) -> Semaphores<'_> {
        let [first, second] = &self.0;
        let (mine, others) = match is_first {
            true => (first, second),
            false => (second, first),
        };
        Semaphores { mine, others }
    }
}

impl Side for Semaphores<'_> {
    #[inline]
    fn give(&mut self) {
        self.others.release();
    }
    #[inline]
    fn take(&mut self) {
        self.mine.acquire();
    }
}

/// A mutex, a condition variable, and whose turn it is.
struct ByCondition {
    mutex: Plain,
    shared: Shared<CacheLines<Condition>>,
}

struct Condition {
    changed: UnsafeCell<libc::pthread_cond_t>,
    firsts_turn: AtomicBool,
}

struct Waiter<'a> {
    turns: &'a ByCondition,
    is_first: bool,
}

impl Turns for ByCondition {
    type Side<'a> = Waiter<'a>;
    fn new() -> Self {
        let shared = Shared::new(CacheLines(Condition {
            // SAFETY: all zeros is a value of this union of integers.
            changed: UnsafeCell::new(unsafe { mem::zeroed() }),
            firsts_turn: AtomicBool::new(true),
        }));
        // SAFETY: attributes are initialised before they are used and are not needed afterwards; the
        // condition is known to nobody else yet, and its memory never moves.
        let results = unsafe {
            let mut attributes = mem::zeroed();
            [
                libc::pthread_condattr_init(&mut attributes),
                libc::pthread_condattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED),
                libc::pthread_cond_init(shared.0.changed.get(), &attributes),
                libc::pthread_condattr_destroy(&mut attributes),
            ]
        };
        assert_eq!(results, [0; 4]);
        ByCondition {
            mutex: Plain::new(),
            shared,
        }
    }
    fn side(&self, is_first: bool) -> Waiter<'_> {
        Waiter {
            turns: self,
            is_first,
        }
    }
}

impl Side for Waiter<'_> {
    #[inline]
    fn give(&mut self) {
        let condition = &self.turns.shared.0;
        let _guard = self.turns.mutex.lock();
        let others = !self.is_first;
        condition.firsts_turn.store(others, Ordering::Relaxed);
        // SAFETY: it is initialised.
        unsafe { libc::pthread_cond_signal(condition.changed.get()) };
    }
    #[inline]
    fn take(&mut self) {
        let condition = &self.turns.shared.0;
        let _guard = self.turns.mutex.lock();
        while condition.firsts_turn.load(Ordering::Relaxed) != self.is_first {
            let mutex = self.turns.mutex.raw();
            // SAFETY: both are initialised, and the mutex is locked by this thread.
            let woken = unsafe { libc::pthread_cond_wait(condition.changed.get(), mutex) };
            assert_eq!(woken, 0);
        }
    }
}

/// One workload, for whoever takes turns.
trait Measure: Copy + 'static {
    fn of<T: Turns>(self) -> f64;
}

fn by_locks(name: &str, metric: Metric, measure: impl Measure) -> Workload {
    Workload::new(format!("{name}, locks"), &[metric])
        .ours(move || measure.of::<ByLocks<Lock>>())
        .peer("pthread", move || measure.of::<ByLocks<Plain>>())
        .peer("pthread robust", move || measure.of::<ByLocks<Robust>>())
        .peer("sem_t", move || measure.of::<ByLocks<Semaphore>>())
        .peer("flock", move || measure.of::<ByLocks<Flock>>())
        .limit("bare futex", move || measure.of::<ByLocks<Futex>>())
}

fn by_signals(name: &str, metric: Metric, measure: impl Measure) -> Workload {
    Workload::new(format!("{name}, signals"), &[metric])
        .ours(move || measure.of::<ByEvents>())
        .peer("sem_t", move || measure.of::<BySemaphores>())
        .peer("pthread cond", move || measure.of::<ByCondition>())
}

pub fn workloads(sample: Duration) -> [Workload; 4] {
    let there_and_back = Metric::time("us/round trip");
    // Most of it is the kernel's and the machine's: not judged.
    let woken = Metric::time("wake us, median").shown();
    [
        by_locks("hand-over", there_and_back, RoundTrip(sample)),
        by_signals("hand-over", there_and_back, RoundTrip(sample)),
        by_locks("waking who sleeps", woken, Wake(sample)),
        by_signals("waking who sleeps", woken, Wake(sample)),
    ]
}

/// There and back, at once: who waits may spin.
#[derive(Clone, Copy)]
struct RoundTrip(Duration);

impl Measure for RoundTrip {
    fn of<T: Turns>(self) -> f64 {
        let turns = T::new();
        let is_last = Shared::new(AtomicBool::new(false));
        let counted = crew(self.0, 2, |index| {
            let mut side = turns.side(index == 0);
            let is_last = &is_last;
            move |stage: &Stage| {
                let mut trips = 0;
                if index == 0 {
                    while !is_last.load(Ordering::Relaxed) {
                        is_last.store(stage.is_over(), Ordering::Relaxed);
                        side.give();
                        side.take();
                        trips += 1;
                    }
                } else {
                    let mut is_over = false;
                    while !is_over {
                        side.take();
                        is_over = is_last.load(Ordering::Relaxed);
                        side.give();
                    }
                }
                trips
            }
        });
        counted.time.as_secs_f64() * 1e6 / counted.all() as f64
    }
}

/// From `give` to the moment when the other, which has slept for a while, has the turn. Who gives
/// it stays awake on its own processor until then, so the other is woken on another one, which was idle.
#[derive(Clone, Copy)]
struct Wake(Duration);

/// Kept for so long: everybody here has stopped spinning by then.
const ASLEEP_AFTER: u64 = 250_000;

impl Measure for Wake {
    fn of<T: Turns>(self) -> f64 {
        let turns = T::new();
        let is_last = Shared::new(AtomicBool::new(false));
        let given = Shared::new(AtomicU64::new(0));
        let counted = crew(self.0, 2, |index| {
            let mut side = turns.side(index == 0);
            let (is_last, given) = (&is_last, &given);
            move |stage: &Stage| {
                if index == 0 {
                    while !is_last.load(Ordering::Relaxed) {
                        let since = nanos();
                        while nanos() - since < ASLEEP_AFTER {
                            hint::spin_loop();
                        }
                        is_last.store(stage.is_over(), Ordering::Relaxed);
                        given.store(nanos(), Ordering::Relaxed);
                        side.give();
                        side.take();
                    }
                    return 0;
                }
                let mut wakes = Vec::new();
                let mut is_over = false;
                while !is_over {
                    side.take();
                    let woken = nanos() - given.load(Ordering::Relaxed);
                    wakes.push(woken as f64);
                    is_over = is_last.load(Ordering::Relaxed);
                    side.give();
                }
                median(&wakes) as u64
            }
        });
        counted.all() as f64 / 1e3
    }
}
