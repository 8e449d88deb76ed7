//! Who the current thread is: its place in the registry, from its first step to its last.
//!
//! A thread that this crate has started is known before its function runs. One that others have started
//! becomes known when it asks who it is. Both are told of their end by the platform, after the destructors
//! of their thread-locals: until then they are alive, and these destructors may ask too. Whoever asks even
//! later gets a record that is in no registry.

use super::record::{Origin, Record};
use super::registry::registry;
use crate::platform::{self, thread_id};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::Arc;

enum Current {
    /// It has not asked yet.
    Unknown,
    /// Without a destructor, so that it is there for the destructors of others; [`end`] drops it.
    Known(ManuallyDrop<Arc<Record>>),
    /// Its end has been told.
    Ended,
}

platform::thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(Current::Unknown) };
}

/// Looks without changing anything.
fn with<R>(f: impl FnOnce(&Current) -> R) -> R {
    CURRENT.with(|current| {
        let seen = current.replace(Current::Unknown);
        let result = f(&seen);
        current.set(seen);
        result
    })
}

/// The current thread's record, if it is known.
pub(super) fn record() -> Option<Arc<Record>> {
    with(|current| match current {
        Current::Known(record) => Some(Arc::clone(record)),
        Current::Unknown | Current::Ended => None,
    })
}

/// Is this the current thread's?
pub(super) fn is(record: &Record) -> bool {
    with(|current| matches!(current, Current::Known(this) if std::ptr::eq(&***this, record)))
}

/// The current thread's record; makes it known.
pub(super) fn ask() -> Arc<Record> {
    if let Some(record) = record() {
        return record;
    }
    let native = platform::native_id();
    if native.is_some() && native == platform::main_native_id() {
        return begin_as_main();
    }
    let has_ended = with(|current| matches!(current, Current::Ended));
    if has_ended || !platform::at_thread_end(end) {
        // Nobody would take it out of the registry.
        let record = Arc::new(Record::new(0, Origin::Foreign, true, "ended"));
        record.set_numbers(native.unwrap_or(0), thread_id());
        record.ended.complete();
        return record;
    }
    let name = platform::thread_name(thread_id());
    let record =
        registry().enter_foreign(|number| name.unwrap_or_else(|| format!("Dummy-{number}")));
    set(Arc::clone(&record));
    record
}

/// The current thread is the program's first, from now on if nobody knew.
pub(crate) fn begin_as_main() -> Arc<Record> {
    let main = registry().enter_main(MAIN, platform::native_id().unwrap_or(0));
    set(Arc::clone(&main));
    main
}

/// The first thread's name, as std has it.
pub(super) const MAIN: &str = "main";

/// The current thread is the one that was started with this record. Whether the platform will tell of its
/// end; else whoever runs it has to.
pub(super) fn begin(record: &Arc<Record>) -> bool {
    set(Arc::clone(record));
    platform::mend_system_name(&record.name());
    record.ended.is_up_to(thread_id());
    platform::at_thread_end(end)
}

pub(super) fn set(record: Arc<Record>) {
    record.set_numbers(platform::native_id().unwrap_or(0), thread_id());
    CURRENT.with(|current| current.set(Current::Known(ManuallyDrop::new(record))));
}

/// The current thread has ended: it leaves the registry, and then those who wait for its end are told.
pub(super) fn end() {
    let known = CURRENT.with(|current| current.replace(Current::Ended));
    if let Current::Known(record) = known {
        let record = ManuallyDrop::into_inner(record);
        registry().leave(&record);
        record.ended.complete();
    }
}
