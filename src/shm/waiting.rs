//! The async way to wait for what lies in shared memory: an [`Operation`] that is run by being polled.
//!
//! Invariant: between two polls it holds nothing but its place among the sleepers. Dropping it gives
//! up: an attempt takes what is wanted or leaves everything as it was, and a wake-up that had come for
//! this future goes to another sleeper. Made by the primitives of `ipc`; `shm::wait` is its blocking
//! sibling, with the same looks and slices.

use super::sleepers::{self, Registration, Slice};
use super::wait::{Look, Operation, Step, Watch};
use crate::platform::atomic::AtomicU32;
use crate::platform::shared_futex::Ended;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How often a poll tries while the word keeps changing, before others have a turn.
const TRIES: u32 = 8;

/// An operation on the way to its output, on any runtime.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Waiting<'w, O> {
    operation: O,
    /// While it sleeps.
    registration: Option<Registration>,
    slice: Slice,
    look: Look,
    watch: Watch,
    _words: PhantomData<&'w AtomicU32>,
}

/// Nothing is pinned in it: an operation is called by plain reference.
impl<O> Unpin for Waiting<'_, O> {}

impl<'w, O: Operation<'w>> Waiting<'w, O> {
    /// Begins with the first poll.
    ///
    /// # Safety
    ///
    /// The words on which the operation wants to sleep lie in memory that stays mapped until the process
    /// ends: a future may be forgotten, and is slept for nevertheless.
    pub(crate) unsafe fn new(operation: O) -> Waiting<'w, O> {
        Waiting {
            operation,
            registration: None,
            slice: Slice::FIRST,
            look: Look::ANNOUNCE,
            watch: Watch::default(),
            _words: PhantomData,
        }
    }
}

impl<'w, O: Operation<'w>> Future for Waiting<'w, O> {
    type Output = O::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O::Output> {
        let this = self.get_mut();
        if let Some(registration) = &mut this.registration {
            let Some(ended) = registration.ended(cx.waker()) else {
                return Poll::Pending;
            };
            this.registration = None;
            this.note(ended);
        }
        for _ in 0..TRIES {
            let (word, expected) = match this.operation.attempt(this.look) {
                Step::Done(output) => return Poll::Ready(output),
                Step::Sleep { word, expected, .. } => (word, expected),
            };
            // SAFETY: it stays mapped, by the promise that was made to `new`.
            let word: &'static AtomicU32 = unsafe { &*std::ptr::from_ref(word) };
            match sleepers::register(word, expected, this.slice, cx.waker()) {
                Ok(registration) => {
                    this.registration = Some(registration);
                    return Poll::Pending;
                }
                Err(Ended::Expired) => {
                    this.note(Ended::Expired);
                    break;
                }
                Err(ended) => this.note(ended),
            }
        }
        // Somebody changes the word all the time, or there is no thread that would sleep.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<O> Waiting<'_, O> {
    fn note(&mut self, ended: Ended) {
        self.look = self.watch.after(ended, self.slice.length());
        if self.look.suspicious {
            self.slice = self.slice.longer();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::platform::atomic::Ordering;
    use crate::platform::shared_futex;
    use std::sync::mpsc;
    use std::task::Wake;
    use std::time::{Duration, Instant};

    struct Tell(mpsc::Sender<()>);

    impl Wake for Tell {
        fn wake(self: std::sync::Arc<Self>) {
            // Nobody listens any more at the end.
            let _ = self.0.send(());
        }
    }

    /// Done with the first suspicious look from `since` on.
    struct Suspicious(&'static AtomicU32, Instant);

    impl Operation<'static> for Suspicious {
        type Output = ();

        fn attempt(&mut self, look: Look) -> Step<'static, ()> {
            if look.suspicious && Instant::now() >= self.1 {
                return Step::Done(());
            }
            Step::Sleep {
                word: self.0,
                expected: self.0.load(Ordering::Relaxed),
                is_brief: false,
            }
        }
    }

    /// What others change meanwhile ends each sleep; the dead are found all the same.
    #[test]
    fn it_looks_around_though_it_is_woken_all_the_time() {
        static WORD: AtomicU32 = AtomicU32::new(0);
        let (sender, told) = mpsc::channel();
        let waker = std::sync::Arc::new(Tell(sender)).into();
        let begin = Instant::now() + Duration::from_millis(300);
        // First nothing ends a sleep, and the slices grow.
        let since = begin + Duration::from_millis(100);
        // SAFETY: the word is a static.
        let mut waiting = unsafe { Waiting::new(Suspicious(&WORD, since)) };
        let mut next = Instant::now();
        let mut is_done = || {
            let mut context = Context::from_waker(&waker);
            Pin::new(&mut waiting).poll(&mut context).is_ready()
        };
        while !is_done() {
            assert!(since.elapsed() < Duration::from_secs(3), "it never does");
            if Instant::now() < begin {
                told.recv().unwrap();
                next = Instant::now();
                continue;
            }
            next += Duration::from_millis(2);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            WORD.fetch_add(1, Ordering::Relaxed);
            shared_futex::wake(&WORD, u32::MAX);
            told.recv().unwrap();
        }
    }
}
