//! Real processes and real wake-ups: what rows A15 (futures), S10, S22 (the dead), S18 (threads and processes
//! mixed) and S32 (forks) of the behaviour list need of the sleepers.
//!
//! Each test runs in a forked child, which has them to itself.

use super::*;
use crate::executor::LocalExecutor;
use child::{Child, in_child, within};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Wake};

mod child;
mod forks;
mod lack;
mod locks;
mod mutex;

const LONGEST: Slice = Slice::ALL[Slice::COUNT - 1];
const LIMIT: Duration = Duration::from_secs(30);

/// So many words that this process and its children map.
fn words(n: usize) -> &'static [AtomicU32] {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice, of zeros, which nobody unmaps.
    unsafe {
        let at = mmap_anonymous(std::ptr::null_mut(), 4 * n, protection, MapFlags::SHARED);
        std::slice::from_raw_parts(at.unwrap().cast(), n)
    }
}

fn word() -> &'static AtomicU32 {
    &words(1)[0]
}

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn counter() -> (Waker, Arc<Count>) {
    let count = Arc::<Count>::default();
    (Waker::from(count.clone()), count)
}

fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

fn is_asleep() -> bool {
    matches!(sleepers().state.lock().thread, Thread::Asleep { .. })
}

/// Registers with the longest slice, and waits until the thread sleeps on the word.
fn asleep_on(word: &'static AtomicU32, waker: &Waker) -> Registration {
    let expected = word.load(Ordering::SeqCst);
    let registration = register(word, expected, LONGEST, waker).unwrap();
    until(|| is_asleep() && child::is_thread_asleep("latchwork-ipc"));
    registration
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Waits for a future in this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    LocalExecutor::new().run(future)
}

#[test]
fn a_wake_up_by_another_process_is_heard_before_the_slice_is_over() {
    within(LIMIT, "heard", || {
        const ROUNDS: u32 = 300;
        in_child(|| {
            let ball = word();
            let other = Child::new(|| {
                for n in 0..ROUNDS {
                    while ball.load(Ordering::SeqCst) == 2 * n {
                        shared_futex::wait(ball, 2 * n, LONGEST.length());
                    }
                    ball.store(2 * n + 2, Ordering::SeqCst);
                    shared_futex::wake(ball, 1);
                }
            });
            let began = Instant::now();
            for n in 0..ROUNDS {
                ball.store(2 * n + 1, Ordering::SeqCst);
                shared_futex::wake(ball, 1);
                let (waker, count) = counter();
                if let Ok(mut place) = register(ball, 2 * n + 1, LONGEST, &waker) {
                    until(|| count.get() > 0);
                    assert!(place.ended(&waker).is_some());
                }
                until(|| ball.load(Ordering::SeqCst) == 2 * n + 2);
            }
            other.join();
            // By slices alone each round would take 50 ms.
            let took = began.elapsed();
            assert!(took < ROUNDS * LONGEST.length() / 3, "{took:?}");
        });
    });
}

#[test]
fn everybody_who_waits_for_a_word_hears_of_a_wake_up_for_one() {
    within(LIMIT, "everybody", || {
        in_child(|| {
            loop {
                let word = word();
                let (waker, count) = counter();
                let mut all: Vec<_> = (0..5).map(|_| asleep_on(word, &waker)).collect();
                let began = Instant::now();
                // Nothing has changed, so looking would not tell. Unless the thread has just moved on, it sleeps.
                let woken = shared_futex::wake(word, 1);
                until(|| count.get() == 5);
                // By their slices they would be told much later.
                if woken == 1 && began.elapsed() < LONGEST.length() / 4 {
                    let ended = all.iter_mut().map(|place| place.ended(&waker));
                    assert!(ended.into_iter().all(|how| how == Some(Ended::Woken)));
                    break;
                }
            }
        });
    });
}

/// Starts a thread that sleeps on the word for longer than the test may take, and waits until it
/// does.
fn another_sleeper(word: &'static AtomicU32) -> std::thread::JoinHandle<()> {
    let expected = word.load(Ordering::SeqCst);
    let sleep = move || {
        let ended = shared_futex::wait(word, expected, 2 * LIMIT);
        assert_eq!(ended, Ended::Woken);
    };
    let builder = std::thread::Builder::new().name("other".into());
    let thread = builder.spawn(sleep).unwrap();
    until(|| child::is_thread_asleep("other"));
    thread
}

#[test]
fn a_wake_up_that_nobody_here_waits_for_any_more_is_passed_on() {
    within(LIMIT, "passed on", || {
        in_child(|| {
            for _ in 0..20 {
                let word = word();
                let place = asleep_on(word, Waker::noop());
                let other = another_sleeper(word);
                drop(place);
                // The thread came first, and so it is the one that is woken, unless it has just moved on.
                shared_futex::wake(word, 1);
                other.join().unwrap();
            }
        });
    });
}

#[test]
fn a_wake_up_that_has_reached_a_dropped_future_is_passed_on() {
    within(LIMIT, "dropped", || {
        in_child(|| {
            let mut hits = 0;
            while hits < 10 {
                let word = word();
                let (waker, count) = counter();
                let place = asleep_on(word, &waker);
                let other = another_sleeper(word);
                shared_futex::wake(word, 1);
                until(|| count.get() == 1);
                hits += usize::from(!other.is_finished());
                drop(place);
                // By the slice, and not by the wake-up, which then has reached the other.
                other.join().unwrap();
            }
        });
    });
}

#[test]
fn a_waker_that_panics_ends_nothing() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("a bad waker, on purpose");
        }
    }
    within(LIMIT, "bad waker", || {
        in_child(|| {
            let words = words(2);
            let (waker, count) = counter();
            let bad = Waker::from(Arc::new(Bad));
            let _places = [
                asleep_on(&words[0], &bad),
                asleep_on(&words[0], &waker),
                asleep_on(&words[1], &waker),
            ];
            words[0].store(1, Ordering::SeqCst);
            shared_futex::wake(&words[0], 1);
            until(|| count.get() >= 1);
            words[1].store(1, Ordering::SeqCst);
            shared_futex::wake(&words[1], 1);
            until(|| count.get() >= 2);
        });
    });
}

#[test]
fn a_word_that_has_changed_already_is_not_waited_for() {
    let word = word();
    let refused = register(word, 1, LONGEST, Waker::noop());
    assert_eq!(refused.unwrap_err(), Ended::Changed);
}
