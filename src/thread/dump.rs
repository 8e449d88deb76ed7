//! What all threads are doing, for whoever looks into a program that hangs, and whether any was left behind.

use super::info::ThreadInfo;
use super::record::Origin;
use super::{enumerate, registry::registry};
use crate::Limit;
use crate::debug::{Wait, waits};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::Location;

/// All threads that are known, and what each of them waits for and since when: a line a thread, and below it a
/// line a wait.
///
/// Threads that nobody has started by this crate and that have not asked who they are appear if they wait for
/// something of this crate. It costs nothing until it is called, and may mix moments that are some
/// microseconds apart. No stacks: those a debugger shows, by the native numbers.
///
/// # Source
///
/// Python's [`faulthandler.dump_traceback(all_threads=True)`](
/// https://docs.python.org/3/library/faulthandler.html#faulthandler.dump_traceback).
///
/// ```
/// use latchwork::{debug, sync::Event, thread};
/// use std::sync::Arc;
///
/// let event = Arc::new(Event::new());
/// let its = Arc::clone(&event);
/// let worker = thread::Builder::new().name("worker").spawn(move || its.wait())?;
/// while !debug::dump_threads().contains("for Event") {
///     thread::yield_now();
/// }
/// event.set();
/// worker.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "dump_traceback")]
#[doc(alias = "_current_frames")]
pub fn dump_threads() -> String {
    let mut by_thread = BTreeMap::<u32, Vec<Wait>>::new();
    let mut tasks = Vec::new();
    for wait in waits() {
        match &wait.thread {
            Some(thread) => by_thread.entry(thread.id).or_default().push(wait),
            None => tasks.push(wait),
        }
    }
    let mut dump = String::new();
    for thread in enumerate() {
        let daemon = if thread.is_daemon() { ", daemon" } else { "" };
        let foreign = if thread.is_foreign() { ", foreign" } else { "" };
        let state = thread.record.state();
        let name = thread.to_string();
        let name = name.escape_debug();
        let _ = write!(dump, "`{name}`: thread {}", thread.id());
        if let Some(native) = thread.native_id() {
            let _ = write!(dump, ", native {native}");
        }
        let _ = writeln!(dump, ", {state}{daemon}{foreign}");
        let number = thread.record.number();
        for wait in number
            .and_then(|number| by_thread.remove(&number))
            .into_iter()
            .flatten()
        {
            let _ = writeln!(dump, "    {wait}");
        }
    }
    for wait in by_thread.into_values().flatten().chain(tasks) {
        let _ = writeln!(dump, "not listed:\n    {wait}");
    }
    dump
}

/// The threads that this crate has started and that are alive. A handle that was dropped makes no
/// difference.
///
/// # Source
///
/// `threading._dangling`, by which Python's own tests find what they have left behind.
#[doc(alias = "_dangling")]
pub fn live_threads() -> Vec<ThreadInfo> {
    let started = |thread: &ThreadInfo| thread.record.origin == Origin::Started;
    enumerate().into_iter().filter(started).collect()
}

/// Runs `f`, and then waits, at most as long as `limit` says, until no thread is alive that was started by this
/// crate meanwhile; for tests. Returns what `f` returned.
///
/// It cannot tell who has started a thread, so nobody else should at the same time: a test that uses it has a
/// file of its own, or runs alone.
///
/// # Panics
///
/// With the names of the threads that are left.
///
/// ```
/// use latchwork::{debug, thread};
/// use std::time::Duration;
///
/// let sum = debug::assert_no_leaked_threads(Duration::from_secs(10), || {
///     let worker = thread::spawn(|| 1 + 1);
///     worker.join()
/// });
/// assert_eq!(sum, Ok(2));
/// ```
#[track_caller]
pub fn assert_no_leaked_threads<'l, R>(limit: impl Into<Limit<'l>>, f: impl FnOnce() -> R) -> R {
    let caller = Location::caller();
    let before = registry().last_id();
    let result = f();
    let limit = limit.into();
    let mut left = Vec::new();
    // One by one: what they start meanwhile has greater numbers, and its turn comes.
    let mut seen = before;
    while let Some(next) = live_threads()
        .into_iter()
        .find(|thread| thread.id().as_u64() > seen)
    {
        seen = next.id().as_u64();
        if next.wait_within(limit).is_err() {
            left.push(format!("{next:#}"));
        }
    }
    assert!(
        left.is_empty(),
        "threads left behind by {caller}: {}",
        left.join(", ")
    );
    result
}
