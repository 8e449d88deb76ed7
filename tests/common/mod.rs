//! What every test file shares: the watchdog that turns a hang into a failure with a name.
//!
//! A test of things that wait can fail by never ending. libtest would then sit there until the
//! machine that runs it gives up, without saying which test it was; so each such test runs its body
//! under [`watchdog`].

use std::any::Any;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Runs `body` on a thread called `name` and returns what it returns.
///
/// A panic of the body goes on in the caller, so `#[should_panic]` and assertion messages work as
/// usual. A body that has not ended after `limit` cannot be stopped: the report (which test, where
/// it was called, every thread of the process with its state) goes to the real standard error, past
/// libtest's capture, and the process aborts.
///
/// Generous limits cost nothing; ten seconds for a test that takes milliseconds leaves room for a
/// loaded machine.
#[track_caller]
pub fn watchdog<T, F>(limit: Duration, name: &str, body: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let caller = Location::caller();
    let (done, outcome) = mpsc::sync_channel::<Result<T, Box<dyn Any + Send>>>(1);
    let worker = thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Sent from inside the thread, not left to `join`: join has no time limit.
            let _ = done.send(panic::catch_unwind(AssertUnwindSafe(body)));
        })
        .expect("the watchdog needs one thread");

    match outcome.recv_timeout(limit) {
        Ok(Ok(value)) => {
            worker.join().expect("the body's panics were caught");
            value
        }
        Ok(Err(panic)) => panic::resume_unwind(panic),
        Err(RecvTimeoutError::Timeout) => bark(limit, name, caller),
        Err(RecvTimeoutError::Disconnected) => unreachable!("the body's outcome is always sent"),
    }
}

/// Reports the hang and ends the process.
fn bark(limit: Duration, name: &str, caller: &Location<'_>) -> ! {
    let mut report = format!("\nwatchdog: `{name}` ({caller}) is still running after {limit:?}\n");
    for (id, thread, state) in threads() {
        let _ = writeln!(report, "  thread {id} `{thread}`: {state}");
    }
    // Not eprintln!: its output would be captured, and lost with the abort.
    let _ = std::io::stderr().write_all(report.as_bytes());
    std::process::abort();
}

/// Every thread of this process: id, name (the kernel keeps 15 bytes of it), state. Empty where
/// there is no `/proc`.
fn threads() -> Vec<(String, String, String)> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| {
            let status = std::fs::read_to_string(task.path().join("status")).ok()?;
            let field = |key| status.lines().find_map(|line| line.strip_prefix(key));
            let id = task.file_name().to_string_lossy().into_owned();
            let [name, state] = [field("Name:")?, field("State:")?].map(|f| f.trim().to_owned());
            Some((id, name, state))
        })
        .collect()
}

/// Waits until `n` callers are parked on a primitive of this kind whose word lies in `owner`, so
/// that a test can act on waiters that are known to wait.
#[allow(dead_code, reason = "not every test file waits for waiters")]
pub fn until_parked<T: ?Sized>(kind: &str, owner: &T, n: usize) {
    let start = std::ptr::from_ref(owner).cast::<u8>().addr();
    let range = start..start + size_of_val(owner).max(1);
    loop {
        let waits = latchwork::debug::waits();
        let parked = waits
            .iter()
            .filter(|wait| wait.kind == kind && range.contains(&wait.address));
        if parked.count() == n {
            return;
        }
        thread::yield_now();
    }
}

/// Runs a future on this thread.
#[allow(dead_code, reason = "not every test file has futures")]
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        let mut context = std::task::Context::from_waker(&waker);
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => thread::park(),
        }
    }
}

/// Polls a future once.
#[allow(dead_code, reason = "not every test file has futures")]
pub fn poll<F: Future>(
    future: std::pin::Pin<&mut F>,
    waker: &std::task::Waker,
) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(waker))
}

/// A waker that panics, as nobody's should.
#[allow(dead_code, reason = "not every test file has futures")]
pub fn bad_waker() -> std::task::Waker {
    struct Bad;
    impl std::task::Wake for Bad {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("a bad waker, on purpose");
        }
    }
    std::sync::Arc::new(Bad).into()
}

/// A waker that counts, and its count.
#[allow(dead_code, reason = "not every test file has futures")]
pub fn counting_waker() -> (
    std::task::Waker,
    std::sync::Arc<std::sync::atomic::AtomicUsize>,
) {
    struct Count(std::sync::Arc<std::sync::atomic::AtomicUsize>);
    impl std::task::Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let count = std::sync::Arc::default();
    let waker = std::sync::Arc::new(Count(std::sync::Arc::clone(&count))).into();
    (waker, count)
}

/// Starts a thread and returns when it is known to be parked somewhere in `wait`.
#[allow(dead_code, reason = "not every test file waits for waiters")]
#[track_caller]
pub fn parked<'s, T: Send + 's>(
    scope: &'s thread::Scope<'s, '_>,
    wait: impl FnOnce() -> T + Send + 's,
) -> thread::ScopedJoinHandle<'s, T> {
    let (tell, told) = mpsc::sync_channel(1);
    let handle = scope.spawn(move || {
        tell.send(latchwork::debug::current_thread()).unwrap();
        wait()
    });
    let waiter = Some(told.recv().unwrap());
    while latchwork::debug::waits()
        .iter()
        .all(|wait| wait.thread != waiter)
    {
        assert!(!handle.is_finished(), "it does not wait");
        thread::yield_now();
    }
    handle
}

/// A future that has been polled once and has to wait.
#[allow(dead_code, reason = "not every test file has futures")]
#[track_caller]
pub fn pending<F: Future>(future: F) -> std::pin::Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!(
        poll(future.as_mut(), std::task::Waker::noop()).is_pending(),
        "it does not wait"
    );
    future
}

/// What a future comes to that need not wait.
#[allow(dead_code, reason = "not every test file has futures")]
#[track_caller]
pub fn ready<F: Future>(future: F) -> F::Output {
    match poll(std::pin::pin!(future), std::task::Waker::noop()) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it waits"),
    }
}
