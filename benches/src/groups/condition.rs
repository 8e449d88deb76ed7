//! Condition variables: notified for nobody, handed back and forth, broadcast, and timed out.

use crate::run::{Metric, Workload};
use crate::work::nanos_a_call;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::{Duration, Instant};

/// A mutex around numbers, and what waits for them to change.
trait Condvar: Send + Sync + 'static {
    type Mutex: Send + Sync + 'static;
    type Guard<'a>: Deref<Target = State> + DerefMut;

    fn new() -> Self;
    fn mutex() -> Self::Mutex;
    fn lock(mutex: &Self::Mutex) -> Self::Guard<'_>;
    fn wait<'a>(&self, guard: Self::Guard<'a>) -> Self::Guard<'a>;
    fn wait_for<'a>(&self, guard: Self::Guard<'a>, time: Duration) -> Self::Guard<'a>;
    fn notify_one(&self);
    fn notify_all(&self);
}

#[derive(Default)]
struct State {
    round: u64,
    /// Whose turn it is; how many have acknowledged the round.
    turn: usize,
    is_over: bool,
}

impl Condvar for latchwork::sync::Condition {
    type Mutex = latchwork::sync::Lock<State>;
    type Guard<'a> = latchwork::sync::LockGuard<'a, State>;

    fn new() -> Self {
        latchwork::sync::Condition::new()
    }
    fn mutex() -> Self::Mutex {
        latchwork::sync::Lock::default()
    }
    fn lock(mutex: &Self::Mutex) -> Self::Guard<'_> {
        mutex.lock()
    }
    fn wait<'a>(&self, mut guard: Self::Guard<'a>) -> Self::Guard<'a> {
        latchwork::sync::Condition::wait(self, &mut guard);
        guard
    }
    fn wait_for<'a>(&self, mut guard: Self::Guard<'a>, time: Duration) -> Self::Guard<'a> {
        let _ = self.wait_within(&mut guard, time);
        guard
    }
    fn notify_one(&self) {
        latchwork::sync::Condition::notify_one(self);
    }
    fn notify_all(&self) {
        latchwork::sync::Condition::notify_all(self);
    }
}

impl Condvar for std::sync::Condvar {
    type Mutex = std::sync::Mutex<State>;
    type Guard<'a> = std::sync::MutexGuard<'a, State>;

    fn new() -> Self {
        std::sync::Condvar::new()
    }
    fn mutex() -> Self::Mutex {
        std::sync::Mutex::default()
    }
    fn lock(mutex: &Self::Mutex) -> Self::Guard<'_> {
        mutex.lock().expect("nothing panics inside")
    }
    fn wait<'a>(&self, guard: Self::Guard<'a>) -> Self::Guard<'a> {
        std::sync::Condvar::wait(self, guard).expect("nothing panics inside")
    }
    fn wait_for<'a>(&self, guard: Self::Guard<'a>, time: Duration) -> Self::Guard<'a> {
        let waited = self.wait_timeout(guard, time);
        waited.expect("nothing panics inside").0
    }
    fn notify_one(&self) {
        std::sync::Condvar::notify_one(self);
    }
    fn notify_all(&self) {
        std::sync::Condvar::notify_all(self);
    }
}

/// parking_lot's and usync's, which look alike.
macro_rules! like_parking_lot {
    ($($library:ident)*) => {$(
        impl Condvar for $library::Condvar {
            type Mutex = $library::Mutex<State>;
            type Guard<'a> = $library::MutexGuard<'a, State>;

            fn new() -> Self {
                $library::Condvar::new()
            }
            fn mutex() -> Self::Mutex {
                $library::Mutex::default()
            }
            fn lock(mutex: &Self::Mutex) -> Self::Guard<'_> {
                mutex.lock()
            }
            fn wait<'a>(&self, mut guard: Self::Guard<'a>) -> Self::Guard<'a> {
                $library::Condvar::wait(self, &mut guard);
                guard
            }
            fn wait_for<'a>(&self, mut guard: Self::Guard<'a>, time: Duration) -> Self::Guard<'a> {
                $library::Condvar::wait_for(self, &mut guard, time);
                guard
            }
            fn notify_one(&self) {
                $library::Condvar::notify_one(self);
            }
            fn notify_all(&self) {
                $library::Condvar::notify_all(self);
            }
        }
    )*};
}
like_parking_lot!(parking_lot usync);

/// `pthread_cond_t`, with the monotonic clock as everybody else has it.
struct Pthread(Box<UnsafeCell<libc::pthread_cond_t>>);

// SAFETY: made for being shared.
unsafe impl Send for Pthread {}
// SAFETY: as above.
unsafe impl Sync for Pthread {}

struct PthreadMutex {
    mutex: Box<UnsafeCell<libc::pthread_mutex_t>>,
    state: UnsafeCell<State>,
}

// SAFETY: `mutex` is made for being shared, and `state` is reached through guards only, under `mutex`.
unsafe impl Send for PthreadMutex {}
// SAFETY: as above.
unsafe impl Sync for PthreadMutex {}

/// Proves that this thread holds the mutex.
struct PthreadGuard<'a>(&'a PthreadMutex);

impl Deref for PthreadGuard<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        // SAFETY: the mutex is ours.
        unsafe { &*self.0.state.get() }
    }
}

impl DerefMut for PthreadGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        // SAFETY: the mutex is ours, and the guard borrowed uniquely.
        unsafe { &mut *self.0.state.get() }
    }
}

impl Drop for PthreadGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: the mutex is ours.
        unsafe { libc::pthread_mutex_unlock(self.0.mutex.get()) };
    }
}

impl Condvar for Pthread {
    type Mutex = PthreadMutex;
    type Guard<'a> = PthreadGuard<'a>;

    fn new() -> Self {
        let condvar = Box::new(UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER));
        let mut clock = std::mem::MaybeUninit::uninit();
        // SAFETY: `clock` is initialised first and destroyed last, and nobody knows `condvar` yet.
        unsafe {
            assert_eq!(libc::pthread_condattr_init(clock.as_mut_ptr()), 0);
            libc::pthread_condattr_setclock(clock.as_mut_ptr(), libc::CLOCK_MONOTONIC);
            assert_eq!(libc::pthread_cond_init(condvar.get(), clock.as_ptr()), 0);
            libc::pthread_condattr_destroy(clock.as_mut_ptr());
        }
        Pthread(condvar)
    }
    fn mutex() -> PthreadMutex {
        PthreadMutex {
            mutex: Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER)),
            state: UnsafeCell::default(),
        }
    }
    fn lock(mutex: &PthreadMutex) -> PthreadGuard<'_> {
        // SAFETY: initialised, and stays where it is.
        let locked = unsafe { libc::pthread_mutex_lock(mutex.mutex.get()) };
        assert_eq!(locked, 0);
        PthreadGuard(mutex)
    }
    fn wait<'a>(&self, guard: Self::Guard<'a>) -> Self::Guard<'a> {
        // SAFETY: both are initialised, and the mutex is ours.
        unsafe { libc::pthread_cond_wait(self.0.get(), guard.0.mutex.get()) };
        guard
    }
    fn wait_for<'a>(&self, guard: Self::Guard<'a>, time: Duration) -> Self::Guard<'a> {
        let mut until = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `until` is a place for the time; the rest as in `wait`.
        unsafe {
            libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut until);
            let nanos = until.tv_nsec + i64::from(time.subsec_nanos());
            until.tv_sec += time.as_secs() as i64 + nanos / 1_000_000_000;
            until.tv_nsec = nanos % 1_000_000_000;
            libc::pthread_cond_timedwait(self.0.get(), guard.0.mutex.get(), &until);
        }
        guard
    }
    fn notify_one(&self) {
        // SAFETY: initialised.
        unsafe { libc::pthread_cond_signal(self.0.get()) };
    }
    fn notify_all(&self) {
        // SAFETY: initialised.
        unsafe { libc::pthread_cond_broadcast(self.0.get()) };
    }
}

/// One measurement, for whichever contender.
trait Measure: Copy + 'static {
    fn of<C: Condvar>(self) -> f64;
}

fn all(workload: Workload, measure: impl Measure) -> Workload {
    workload
        .ours(move || measure.of::<latchwork::sync::Condition>())
        .peer("std", move || measure.of::<std::sync::Condvar>())
        .peer("parking_lot", move || measure.of::<parking_lot::Condvar>())
        .peer("usync", move || measure.of::<usync::Condvar>())
        .peer("pthread", move || measure.of::<Pthread>())
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let mut workloads = vec![all(
        Workload::new("notify_one, nobody waits", &[Metric::time("ns/notify")]),
        ForNobody(sample),
    )];
    for (place, cores) in [
        ("unpinned", None),
        ("1 core", Some(1)),
        ("2 cores", Some(2)),
    ] {
        workloads.push(all(
            Workload::new(
                format!("ping-pong {place}"),
                &[Metric::time("us/round trip")],
            ),
            PingPong { sample, cores },
        ));
    }
    let pauses = [
        ("", Duration::ZERO),
        (" asleep", Duration::from_micros(200)),
    ];
    for (state, pause) in pauses {
        for waiters in [2, 8] {
            workloads.push(all(
                Workload::new(
                    format!("notify_all {waiters} waiters{state}"),
                    &[Metric::rate("broadcasts/s")],
                ),
                Broadcast {
                    sample,
                    waiters,
                    pause,
                },
            ));
        }
    }
    workloads.push(all(
        Workload::new("wait 1us, nobody notifies", &[Metric::rate("time-outs/s")]),
        TimeOut(sample),
    ));
    workloads
}

#[derive(Clone, Copy)]
struct ForNobody(Duration);

impl Measure for ForNobody {
    fn of<C: Condvar>(self) -> f64 {
        let condvar = C::new();
        let condvar = black_box(&condvar);
        nanos_a_call(self.0, || condvar.notify_one())
    }
}

#[derive(Clone, Copy)]
struct TimeOut(Duration);

impl Measure for TimeOut {
    fn of<C: Condvar>(self) -> f64 {
        let (condvar, mutex) = (C::new(), C::mutex());
        let mut guard = C::lock(&mutex);
        let mut calls = 0_u64;
        let start = Instant::now();
        while start.elapsed() < self.0 {
            guard = condvar.wait_for(guard, Duration::from_micros(1));
            calls += 1;
        }
        calls as f64 / start.elapsed().as_secs_f64()
    }
}

/// Two threads, one mutex, a condition for each: only one of them can go on.
#[derive(Clone, Copy)]
struct PingPong {
    sample: Duration,
    /// How many cores the two have for themselves: one for both, or one for each.
    cores: Option<usize>,
}

impl Measure for PingPong {
    fn of<C: Condvar>(self) -> f64 {
        let (turns, mutex) = ([C::new(), C::new()], C::mutex());
        let play = |me: usize, end: Option<Instant>| {
            let mut rounds = 0_u64;
            let mut guard = C::lock(&mutex);
            loop {
                while guard.turn != me {
                    guard = turns[me].wait(guard);
                }
                guard.turn = 1 - me;
                guard.is_over |= end.is_some_and(|end| Instant::now() >= end);
                turns[1 - me].notify_one();
                if guard.is_over {
                    return rounds;
                }
                rounds += 1;
            }
        };
        thread::scope(|s| {
            let cores = self.cores;
            s.spawn(move || {
                pin(cores, 1);
                play(1, None)
            });
            let first = s.spawn(move || {
                pin(cores, 0);
                let start = Instant::now();
                let rounds = play(0, Some(start + self.sample));
                start.elapsed().as_secs_f64() * 1e6 / rounds.max(1) as f64
            });
            first.join().expect("it only plays")
        })
    }
}

/// Keeps the current thread, which ends with its measurement, on one of the first cores it may run on.
fn pin(cores: Option<usize>, who: usize) {
    let Some(cores) = cores else { return };
    let allowed = sched_getaffinity(None).expect("a thread may ask where it runs");
    let mut usable = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    // With a single core there is no other to go to.
    if let Some(cpu) = usable.nth(who % cores) {
        let mut only = CpuSet::new();
        only.set(cpu);
        sched_setaffinity(None, &only).expect("a core it may run on");
    }
}

/// A round: a broadcast that all waiters acknowledge.
#[derive(Clone, Copy)]
struct Broadcast {
    sample: Duration,
    waiters: usize,
    /// Before each round, so that all have gone to sleep; not counted.
    pause: Duration,
}

impl Measure for Broadcast {
    fn of<C: Condvar>(self) -> f64 {
        let (begun, all_done, mutex) = (C::new(), C::new(), C::mutex());
        let follow = || {
            let mut seen = 0;
            let mut guard = C::lock(&mutex);
            while !guard.is_over {
                if guard.round == seen {
                    guard = begun.wait(guard);
                    continue;
                }
                seen = guard.round;
                guard.turn += 1;
                if guard.turn == self.waiters {
                    all_done.notify_one();
                }
            }
        };
        thread::scope(|s| {
            for _ in 0..self.waiters {
                s.spawn(follow);
            }
            let mut rounds = 0_u64;
            let mut time = Duration::ZERO;
            let start = Instant::now();
            while start.elapsed() < self.sample {
                if !self.pause.is_zero() {
                    thread::sleep(self.pause);
                }
                let begin = Instant::now();
                let mut guard = C::lock(&mutex);
                guard.round += 1;
                guard.turn = 0;
                begun.notify_all();
                while guard.turn < self.waiters {
                    guard = all_done.wait(guard);
                }
                drop(guard);
                time += begin.elapsed();
                rounds += 1;
            }
            C::lock(&mutex).is_over = true;
            begun.notify_all();
            rounds as f64 / time.as_secs_f64()
        })
    }
}
