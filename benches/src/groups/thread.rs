//! Threads: starting and joining them, and values that each has for itself.

use crate::run::{Metric, Workload};
use crate::work::{micros_mean_and_median, nanos_a_call};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

/// A way to start a thread, and to wait for its end.
trait Threads: 'static {
    type Handle;
    fn spawn(f: fn() -> u64) -> Self::Handle;
    fn join(handle: Self::Handle) -> u64;
}

struct Ours;

impl Threads for Ours {
    type Handle = latchwork::thread::JoinHandle<u64>;
    fn spawn(f: fn() -> u64) -> Self::Handle {
        latchwork::thread::spawn(f)
    }
    fn join(handle: Self::Handle) -> u64 {
        handle.join().expect("it does not panic")
    }
}

struct Std;

impl Threads for Std {
    type Handle = thread::JoinHandle<u64>;
    fn spawn(f: fn() -> u64) -> Self::Handle {
        thread::spawn(f)
    }
    fn join(handle: Self::Handle) -> u64 {
        handle.join().expect("it does not panic")
    }
}

/// The value: made at the first look, and with something to drop.
type Value = Box<Cell<u64>>;

fn value() -> Value {
    Box::new(Cell::new(0))
}

#[inline]
fn count(value: &Value) {
    value.set(value.get() + 1);
}

/// How many are looked at in turn.
const MANY: usize = 8;

/// Values of the current thread, by number.
trait Locals: 'static {
    /// Looks at the value and changes it.
    fn look(number: usize);
    /// The same with one that the compiler knows.
    fn look_at_one();
}

impl Locals for Ours {
    #[inline]
    fn look(number: usize) {
        use latchwork::thread::Local;
        static LOCALS: [Local<Value>; MANY] = [const { Local::with_init(value) }; MANY];
        LOCALS[number].with(count).expect("the thread lives");
    }
    #[inline]
    fn look_at_one() {
        use latchwork::thread::Local;
        static LOCAL: Local<Value> = Local::with_init(value);
        LOCAL.with(count).expect("the thread lives");
    }
}

/// The same, with a reference that is kept for a while.
struct OursHeld;

impl Locals for OursHeld {
    #[inline]
    fn look(number: usize) {
        use latchwork::thread::Local;
        static LOCALS: [Local<Value>; MANY] = [const { Local::new() }; MANY];
        count(&LOCALS[number].get_or_init(value));
    }
    #[inline]
    fn look_at_one() {
        use latchwork::thread::Local;
        static LOCAL: Local<Value> = Local::new();
        count(&LOCAL.get_or_init(value));
    }
}

impl Locals for Std {
    #[inline]
    fn look(number: usize) {
        thread_local! {
            static V0: Value = value();
            static V1: Value = value();
            static V2: Value = value();
            static V3: Value = value();
            static V4: Value = value();
            static V5: Value = value();
            static V6: Value = value();
            static V7: Value = value();
        }
        match number {
            0 => V0.with(count),
            1 => V1.with(count),
            2 => V2.with(count),
            3 => V3.with(count),
            4 => V4.with(count),
            5 => V5.with(count),
            6 => V6.with(count),
            _ => V7.with(count),
        }
    }
    #[inline]
    fn look_at_one() {
        thread_local! { static ONE: Value = value(); }
        ONE.with(count);
    }
}

/// It keeps the values of threads that have ended, for those that come.
struct Crate;

impl Locals for Crate {
    #[inline]
    fn look(number: usize) {
        use thread_local::ThreadLocal;
        static LOCALS: LazyLock<[ThreadLocal<Value>; MANY]> = LazyLock::new(Default::default);
        count(LOCALS[number].get_or(value));
    }
    #[inline]
    fn look_at_one() {
        use thread_local::ThreadLocal;
        static LOCAL: ThreadLocal<Value> = ThreadLocal::new();
        count(LOCAL.get_or(value));
    }
}

/// Those who make values at one workload.
macro_rules! makers {
    ($workload:expr, |$L:ident| $sample:expr) => {{
        macro_rules! with {
            ($contender:ty) => {
                move || {
                    type $L = $contender;
                    $sample
                }
            };
        }
        $workload
            .ours(with!(Ours))
            .peer("std thread_local!", with!(Std))
            .limit("ours, get_or_init", with!(OursHeld))
    }};
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let mut workloads: Vec<_> = [1, 8]
        .map(|alive| {
            let name = if alive == 1 {
                "spawn+join".to_owned()
            } else {
                format!("spawn+join, {alive} alive")
            };
            let metrics = [
                Metric::time("us/thread, mean"),
                Metric::time("us/thread, median"),
            ];
            Workload::new(name, &metrics)
                .ours(move || spawn_and_join::<Ours>(sample, alive))
                .peer("std", move || spawn_and_join::<Std>(sample, alive))
        })
        .into();
    workloads.extend([
        makers!(
            Workload::new("local access", &[Metric::time("ns/access")]),
            |L| access(sample, 1, |_| apart::<L>())
        )
        .peer("thread_local", move || {
            access(sample, 1, |_| apart::<Crate>())
        }),
        // std's check is made once, before the loop, and the counts are added up in a register.
        makers!(
            Workload::new(
                "local access, in a loop that the compiler sees",
                &[Metric::time("ns/access")]
            ),
            |L| access(sample, 1, |_| L::look_at_one())
        )
        .peer("thread_local", move || {
            access(sample, 1, |_| Crate::look_at_one())
        }),
        makers!(
            Workload::new(
                "local access, 8 locals in turn",
                &[Metric::time("ns/access")]
            ),
            |L| access(sample, MANY, L::look)
        )
        .peer("thread_local", move || access(sample, MANY, Crate::look)),
    ]);
    // A new thread finds the values of one that has ended in `thread_local`'s.
    workloads.push(
        makers!(
            Workload::new(
                "first access in a new thread",
                &[Metric::time("ns/first access")]
            ),
            |L| first_access::<L>(sample)
        )
        .limit("thread_local", move || first_access::<Crate>(sample)),
    );
    workloads
}

/// So many are started, and then joined.
fn spawn_and_join<T: Threads>(sample: Duration, alive: usize) -> [f64; 2] {
    let mut handles = Vec::with_capacity(alive);
    let round = || {
        handles.extend((0..alive).map(|_| T::spawn(|| black_box(1))));
        let sum: u64 = handles.drain(..).map(T::join).sum();
        assert_eq!(sum, alive as u64);
    };
    micros_mean_and_median(sample, round).map(|micros| micros / alive as f64)
}

/// A look that begins with nothing known, as one in the midst of other code does. The call is in the figure.
#[inline(never)]
fn apart<L: Locals>() {
    L::look_at_one();
}

/// In a thread of its own, so that nobody has looked before.
fn access(sample: Duration, locals: usize, look: impl Fn(usize) + Send + 'static) -> f64 {
    let measure = move || {
        let a_round = nanos_a_call(sample, || (0..locals).for_each(|n| look(black_box(n))));
        a_round / locals as f64
    };
    thread::spawn(measure).join().expect("it only measures")
}

/// From the first look at a value to the last of eight, in threads that do nothing else.
fn first_access<L: Locals>(sample: Duration) -> f64 {
    let begun = Instant::now();
    let (mut looks, mut nanos) = (0, 0.0);
    while begun.elapsed() < sample {
        let look = || {
            let begun = Instant::now();
            (0..MANY).for_each(|n| L::look(black_box(n)));
            begun.elapsed().as_secs_f64() * 1e9
        };
        nanos += thread::spawn(look).join().expect("it only looks");
        looks += MANY;
    }
    nanos / looks as f64
}
