//! Events: set and waited for by one thread, back and forth between two, and what sleeping costs.

use crate::place::{Pin, Pinned};
use crate::run::{Metric, Workload, median};
use crate::usage::Usage;
use crate::work::nanos_a_call;
use rustix::thread::futex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A flag that one thread sets, and another waits for and takes down again.
trait Flag: 'static {
    type Setter: Send;
    type Waiter;
    /// Called by the thread that is going to wait.
    fn pair() -> (Self::Setter, Self::Waiter);
    fn set(setter: &Self::Setter);
    fn take(waiter: &Self::Waiter);
}

struct Ours;

impl Flag for Ours {
    type Setter = Arc<latchwork::sync::Event>;
    type Waiter = Arc<latchwork::sync::Event>;
    fn pair() -> (Self::Setter, Self::Waiter) {
        let event = Arc::new(latchwork::sync::Event::new());
        (Arc::clone(&event), event)
    }
    #[inline]
    fn set(event: &Self::Setter) {
        event.set();
    }
    #[inline]
    fn take(event: &Self::Waiter) {
        event.wait();
        event.clear();
    }
}

struct Std;

impl Flag for Std {
    type Setter = Arc<(std::sync::Mutex<bool>, std::sync::Condvar)>;
    type Waiter = Self::Setter;
    fn pair() -> (Self::Setter, Self::Waiter) {
        let flag = Self::Setter::default();
        (Arc::clone(&flag), flag)
    }
    #[inline]
    fn set(flag: &Self::Setter) {
        *flag.0.lock().expect("nothing panics inside") = true;
        flag.1.notify_all();
    }
    #[inline]
    fn take(flag: &Self::Waiter) {
        let is_set = flag.0.lock().expect("nothing panics inside");
        let is_set = flag.1.wait_while(is_set, |is_set| !*is_set);
        *is_set.expect("nothing panics inside") = false;
    }
}

/// parking_lot and usync have the same interface.
macro_rules! flag {
    ($name:ident, $mutex:ty, $condvar:ty) => {
        struct $name;

        impl Flag for $name {
            type Setter = Arc<($mutex, $condvar)>;
            type Waiter = Self::Setter;
            fn pair() -> (Self::Setter, Self::Waiter) {
                let flag = Self::Setter::default();
                (Arc::clone(&flag), flag)
            }
            #[inline]
            fn set(flag: &Self::Setter) {
                *flag.0.lock() = true;
                flag.1.notify_all();
            }
            #[inline]
            fn take(flag: &Self::Waiter) {
                let mut is_set = flag.0.lock();
                while !*is_set {
                    flag.1.wait(&mut is_set);
                }
                *is_set = false;
            }
        }
    };
}

flag!(ParkingLot, parking_lot::Mutex<bool>, parking_lot::Condvar);
flag!(Usync, usync::Mutex<bool>, usync::Condvar);

/// A flag beside std's token.
struct Park;

impl Flag for Park {
    type Setter = (Arc<AtomicBool>, thread::Thread);
    type Waiter = Arc<AtomicBool>;
    fn pair() -> (Self::Setter, Self::Waiter) {
        let flag = Arc::new(AtomicBool::new(false));
        ((Arc::clone(&flag), thread::current()), flag)
    }
    #[inline]
    fn set((flag, waiter): &Self::Setter) {
        flag.store(true, Ordering::Release);
        waiter.unpark();
    }
    #[inline]
    fn take(flag: &Self::Waiter) {
        while !flag.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

struct Crossbeam;

impl Flag for Crossbeam {
    type Setter = crossbeam_utils::sync::Unparker;
    type Waiter = crossbeam_utils::sync::Parker;
    fn pair() -> (Self::Setter, Self::Waiter) {
        let parker = crossbeam_utils::sync::Parker::new();
        (parker.unparker().clone(), parker)
    }
    #[inline]
    fn set(unparker: &Self::Setter) {
        unparker.unpark();
    }
    #[inline]
    fn take(parker: &Self::Waiter) {
        parker.park();
    }
}

/// The least that sleeps: one word for one waiter, and no spinning.
struct Futex;

const DOWN: u32 = 0;
const UP: u32 = 1;
const ASLEEP: u32 = 2;

impl Flag for Futex {
    type Setter = Arc<AtomicU32>;
    type Waiter = Arc<AtomicU32>;
    fn pair() -> (Self::Setter, Self::Waiter) {
        let word = Arc::new(AtomicU32::new(DOWN));
        (Arc::clone(&word), word)
    }
    #[inline]
    fn set(word: &Self::Setter) {
        if word.swap(UP, Ordering::Release) == ASLEEP {
            let _ = futex::wake(word, futex::Flags::PRIVATE, 1);
        }
    }
    #[inline]
    fn take(word: &Self::Waiter) {
        while word.swap(DOWN, Ordering::Acquire) != UP {
            let asleep = word.compare_exchange(DOWN, ASLEEP, Ordering::Relaxed, Ordering::Relaxed);
            if asleep.is_ok() {
                let _ = futex::wait(word, futex::Flags::PRIVATE, ASLEEP, None);
            }
        }
    }
}

/// It never sleeps, and so is no use for waits that are not short.
struct Yield;

impl Flag for Yield {
    type Setter = Arc<AtomicBool>;
    type Waiter = Arc<AtomicBool>;
    fn pair() -> (Self::Setter, Self::Waiter) {
        let flag = Arc::new(AtomicBool::new(false));
        (Arc::clone(&flag), flag)
    }
    #[inline]
    fn set(flag: &Self::Setter) {
        flag.store(true, Ordering::Release);
    }
    #[inline]
    fn take(flag: &Self::Waiter) {
        while !flag.load(Ordering::Acquire) {
            thread::yield_now();
        }
        flag.store(false, Ordering::Relaxed);
    }
}

/// Everybody at one workload; `$sample` is called with the type as its parameter.
macro_rules! everybody {
    ($workload:expr, |$F:ident| $sample:expr) => {{
        macro_rules! with {
            ($contender:ty) => {
                move || {
                    type $F = $contender;
                    $sample
                }
            };
        }
        $workload
            .ours(with!(Ours))
            .peer("std Mutex+Condvar", with!(Std))
            .peer("parking_lot Mutex+Condvar", with!(ParkingLot))
            .peer("usync Mutex+Condvar", with!(Usync))
            .peer("thread::park", with!(Park))
            .peer("crossbeam Parker", with!(Crossbeam))
            .limit("raw futex", with!(Futex))
            .limit("yield", with!(Yield))
    }};
}

/// A second, or a fifth of one when it is only tried whether everything runs.
fn long(sample: Duration) -> Duration {
    if sample < Duration::from_millis(20) {
        Duration::from_millis(200)
    } else {
        Duration::from_secs(1)
    }
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let long = long(sample);
    let mut workloads = vec![
        everybody!(
            Workload::new("set, nobody waiting", &[Metric::time("ns/set")]),
            |F| set::<F>(sample)
        ),
        everybody!(
            Workload::new("set+wait, already set", &[Metric::time("ns/set+wait")]),
            |F| set_and_take::<F>(sample)
        ),
    ];
    for pinned in Pinned::ALL {
        workloads.push(everybody!(
            Workload::new(
                format!("ping-pong {}", pinned.name()),
                &[Metric::time("us/round trip")]
            ),
            |F| ping_pong::<F>(sample, pinned)
        ));
    }
    workloads.push(everybody!(
        Workload::new("waking who has slept", &[Metric::time("us, median")]),
        |F| wake::<F>(sample)
    ));
    let name = format!("waiting {} ms", long.as_millis());
    workloads.push(everybody!(
        Workload::new(name, &[Metric::time("per mille of a core")]),
        |F| processor_time::<F>(long)
    ));
    workloads
}

fn set<F: Flag>(sample: Duration) -> f64 {
    let (setter, _waiter) = F::pair();
    nanos_a_call(sample, || F::set(&setter))
}

fn set_and_take<F: Flag>(sample: Duration) -> f64 {
    let (setter, waiter) = F::pair();
    nanos_a_call(sample, || {
        F::set(&setter);
        F::take(&waiter);
    })
}

fn ping_pong<F: Flag>(sample: Duration, pinned: Pinned) -> f64 {
    const BATCH: u32 = 16;
    let [here, there] = pinned.places();
    let _pin = here.map(Pin::to);
    let is_over = AtomicBool::new(false);
    let (send, receive) = mpsc::channel();
    let (pong, my_turn) = F::pair();
    thread::scope(|scope| {
        scope.spawn(|| {
            let pong = pong;
            let _pin = there.map(Pin::to);
            let (ping, your_turn) = F::pair();
            send.send(ping).expect("it is waited for");
            loop {
                F::take(&your_turn);
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                F::set(&pong);
            }
        });
        let ping = receive.recv().expect("it is sent first of all");
        let mut trips = 0;
        let start = Instant::now();
        while start.elapsed() < sample {
            for _ in 0..BATCH {
                F::set(&ping);
                F::take(&my_turn);
            }
            trips += BATCH;
        }
        let took = start.elapsed();
        is_over.store(true, Ordering::Relaxed);
        F::set(&ping);
        took.as_secs_f64() * 1e6 / f64::from(trips)
    })
}

/// From `set` to the return of the wait, when the waiter has slept for a while.
fn wake<F: Flag>(sample: Duration) -> f64 {
    const ASLEEP_BY_NOW: Duration = Duration::from_micros(300);
    let times = usize::max(10, sample.div_duration_f64(ASLEEP_BY_NOW) as usize);
    let (send, receive) = mpsc::channel();
    let (woken, when) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (setter, waiter) = F::pair();
            send.send(setter).expect("it is waited for");
            for _ in 0..times {
                F::take(&waiter);
                woken.send(Instant::now()).expect("it is waited for");
            }
        });
        let setter = receive.recv().expect("it is sent first of all");
        let latencies = (0..times).map(|_| {
            thread::sleep(ASLEEP_BY_NOW);
            let set = Instant::now();
            F::set(&setter);
            let woken = when.recv().expect("it was woken");
            woken.duration_since(set).as_secs_f64() * 1e6
        });
        median(&latencies.collect::<Vec<_>>())
    })
}

/// What a wait of so long takes of a core, in whole parts of a thousand and at least one: a few
/// microseconds of spinning more or less at its beginning are no difference.
fn processor_time<F: Flag>(wait: Duration) -> f64 {
    let (send, receive) = mpsc::channel();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            let (setter, waiter) = F::pair();
            send.send(setter).expect("it is waited for");
            let ((), used) = Usage::of(|| F::take(&waiter));
            (used.cpu.div_duration_f64(wait) * 1e3).ceil().max(1.0)
        });
        let setter = receive.recv().expect("it is sent first of all");
        thread::sleep(wait);
        F::set(&setter);
        waiting.join().expect("it only waits")
    })
}
