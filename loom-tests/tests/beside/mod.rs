//! What models of queues have in common.

use loom::thread;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Does something with a handle on another modelled thread.
pub fn beside<Q: Clone + Send + 'static, R: Send + 'static>(
    handle: &Q,
    work: impl FnOnce(&Q) -> R + Send + 'static,
) -> thread::JoinHandle<R> {
    let handle = handle.clone();
    thread::spawn(move || work(&handle))
}

/// Polls once, and nobody hears of a wake-up.
#[allow(dead_code, reason = "not every file has tasks")]
pub fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
