//! Those who loop and fork, each by its own means.

use super::WORKERS;
use crate::groups::pool::task;
use latchwork::executor::ThreadPoolExecutor;
use latchwork::parallel;
use rayon::iter::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::thread;

pub trait Loops: 'static {
    fn start() -> Self;
    /// The results of a task of so many steps for each of `0..items`, in order.
    fn map(&self, items: u64, steps: u32) -> Vec<u64>;
    fn sum(&self, numbers: &Arc<Vec<u64>>) -> u64;
    /// The body is called for each of `0..items`, of which the later take longer.
    fn for_each<F: Fn(u64) + Send + Sync + 'static>(&self, items: u64, body: Arc<F>);
}

pub trait Forks: 'static {
    fn start() -> Self;
    /// Fibonacci's number, by two forks a level, as long as `n` is above the cutoff.
    fn fib(&self, n: u32, cutoff: u32) -> u64;
}

pub struct Ours(ThreadPoolExecutor);

impl Loops for Ours {
    fn start() -> Self {
        Ours(ThreadPoolExecutor::new(WORKERS))
    }
    fn map(&self, items: u64, steps: u32) -> Vec<u64> {
        let map = || parallel::map_collect(0..items, |item| task(item, steps));
        self.0.install(map)
    }
    fn sum(&self, numbers: &Arc<Vec<u64>>) -> u64 {
        let sum = || parallel::map_reduce(&numbers[..], |number| *number, || 0, |a, b| a + b);
        self.0.install(sum)
    }
    fn for_each<F: Fn(u64) + Send + Sync + 'static>(&self, items: u64, body: Arc<F>) {
        self.0
            .install(|| parallel::for_each(0..items, |item| body(item)));
    }
}

impl Forks for Ours {
    fn start() -> Self {
        Ours(ThreadPoolExecutor::new(WORKERS))
    }
    fn fib(&self, n: u32, cutoff: u32) -> u64 {
        fn fib(n: u32, cutoff: u32) -> u64 {
            if n < 2 || n <= cutoff {
                return fib_alone(n);
            }
            let (a, b) = parallel::join(|| fib(n - 1, cutoff), || fib(n - 2, cutoff));
            a + b
        }
        self.0.install(|| fib(n, cutoff))
    }
}

pub struct Rayon(rayon::ThreadPool);

fn rayon_pool() -> Rayon {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(WORKERS);
    Rayon(builder.build().expect("threads start"))
}

impl Loops for Rayon {
    fn start() -> Self {
        rayon_pool()
    }
    fn map(&self, items: u64, steps: u32) -> Vec<u64> {
        let map = || (0..items).into_par_iter().map(|item| task(item, steps));
        self.0.install(|| map().collect())
    }
    fn sum(&self, numbers: &Arc<Vec<u64>>) -> u64 {
        self.0.install(|| numbers.par_iter().sum())
    }
    fn for_each<F: Fn(u64) + Send + Sync + 'static>(&self, items: u64, body: Arc<F>) {
        self.0
            .install(|| (0..items).into_par_iter().for_each(|item| body(item)));
    }
}

impl Forks for Rayon {
    fn start() -> Self {
        rayon_pool()
    }
    fn fib(&self, n: u32, cutoff: u32) -> u64 {
        fn fib(n: u32, cutoff: u32) -> u64 {
            if n < 2 || n <= cutoff {
                return fib_alone(n);
            }
            let (a, b) = rayon::join(|| fib(n - 1, cutoff), || fib(n - 2, cutoff));
            a + b
        }
        self.0.install(|| fib(n, cutoff))
    }
}

/// Half of the loop for each of two threads, started for it.
pub struct Halves;

/// What `half` makes of each half of `0..items`.
fn in_halves<R: Send>(items: u64, half: impl Fn(Range<u64>) -> R + Sync) -> [R; 2] {
    let half = &half;
    thread::scope(|scope| {
        let second = scope.spawn(move || half(items / 2..items));
        let first = half(0..items / 2);
        [first, second.join().expect("it does not panic")]
    })
}

impl Loops for Halves {
    fn start() -> Self {
        Halves
    }
    fn map(&self, items: u64, steps: u32) -> Vec<u64> {
        in_halves(items, |half| {
            half.map(|item| task(item, steps)).collect::<Vec<_>>()
        })
        .concat()
    }
    fn sum(&self, numbers: &Arc<Vec<u64>>) -> u64 {
        let half = |half: Range<u64>| {
            let half = half.start as usize..half.end as usize;
            numbers[half].iter().sum::<u64>()
        };
        in_halves(numbers.len() as u64, half).iter().sum()
    }
    fn for_each<F: Fn(u64) + Send + Sync + 'static>(&self, items: u64, body: Arc<F>) {
        in_halves(items, |half| half.for_each(|item| body(item)));
    }
}

pub struct Chili(chili::ThreadPool);

impl Forks for Chili {
    fn start() -> Self {
        Chili(chili::ThreadPool::with_config(chili::Config {
            // The thread that asks is one of them.
            thread_count: NonZero::new(WORKERS),
            ..chili::Config::default()
        }))
    }
    fn fib(&self, n: u32, cutoff: u32) -> u64 {
        fn fib(scope: &mut chili::Scope<'_>, n: u32, cutoff: u32) -> u64 {
            if n < 2 || n <= cutoff {
                return fib_alone(n);
            }
            let (a, b) = scope.join(
                |scope| fib(scope, n - 1, cutoff),
                |scope| fib(scope, n - 2, cutoff),
            );
            a + b
        }
        fib(&mut self.0.scope(), n, cutoff)
    }
}

/// One thread, and no forks.
pub struct Alone;

impl Forks for Alone {
    fn start() -> Self {
        Alone
    }
    fn fib(&self, n: u32, _: u32) -> u64 {
        fib_alone(n)
    }
}

fn fib_alone(n: u32) -> u64 {
    if n < 2 {
        u64::from(n)
    } else {
        fib_alone(n - 1) + fib_alone(n - 2)
    }
}
