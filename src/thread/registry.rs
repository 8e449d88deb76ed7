//! The registry of all threads that are known, and the door that a thread's start goes through.
//!
//! One short mutex decides everything: who is alive, how many of them the end of the program has to wait
//! for, and whether threads may still be started. Invariants:
//!
//! 1. A thread is in here from before its start until before its end is told to anybody, so one that has
//!    been joined is never listed.
//! 2. `awaited` is the number of living threads that were started here and are no daemons, but for those
//!    which wait for the others themselves.
//! 3. The door is closed by somebody who finds `awaited` at zero, in the same step. So a start either comes
//!    before that, and is waited for, or is refused.
//!
//! Called by the start and the end of threads, by [`current`](super::current) for threads of others, and by
//! the end of the program.

#[cfg(all(unix, not(loom)))]
pub(crate) mod fork;

use super::current;
use super::record::{Origin, Record};
use crate::platform::{Mutex, const_fn};
use crate::sync::completion::{Completion, Ending};
use crate::wait::Kind;
use crate::{GaveUp, Limit};
use std::collections::BTreeMap;
use std::ptr;
use std::sync::Arc;

/// The last of the threads that are waited for has ended.
struct AllEnded;

impl Ending for AllEnded {
    const KIND: &'static Kind = &Kind {
        name: "all threads",
        owner: None,
    };
}

/// See the head of this file.
pub(crate) struct Registry {
    state: Mutex<State>,
}

struct State {
    /// By id, which is the order of starting.
    live: BTreeMap<u64, Arc<Record>>,
    last_id: u64,
    main: Option<Arc<Record>>,
    is_exiting: bool,
    is_closed: bool,
    awaited: usize,
    /// In a forked child: threads of the parent, whose end has not been told yet.
    #[cfg(all(unix, not(loom)))]
    vanished: Vec<Arc<Record>>,
    /// What whoever waits for `awaited` to be zero waits for; the next zero takes it.
    zero: Option<Arc<Completion<AllEnded>>>,
}

/// Nothing is started any more.
#[derive(Debug)]
pub(crate) struct Closed;

#[cfg(not(loom))]
static REGISTRY: Registry = Registry::new();
#[cfg(loom)]
loom::lazy_static! {
    static ref REGISTRY: Registry = Registry::new();
}

/// The program's one.
pub(crate) fn registry() -> &'static Registry {
    &REGISTRY
}

impl Registry {
    const_fn! {
        pub(crate) fn new() -> Registry {
            Registry {
                state: Mutex::new(State {
                    live: BTreeMap::new(),
                    last_id: 0,
                    main: None,
                    is_exiting: false,
                    is_closed: false,
                    awaited: 0,
                    #[cfg(all(unix, not(loom)))]
                    vanished: Vec::new(),
                    zero: None,
                }),
            }
        }
    }

    /// A thread is about to be started.
    ///
    /// # Errors
    ///
    /// If the door is closed.
    pub(crate) fn enter(&self, is_daemon: bool, name: &str) -> Result<Arc<Record>, Closed> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Closed);
        }
        let record = state.new_record(Origin::Started, is_daemon, name);
        if record.is_waited_for() {
            state.awaited += 1;
        }
        Ok(state.insert(record))
    }

    /// A thread that others have started is alive; nobody waits for it.
    pub(crate) fn enter_foreign(&self, name: impl FnOnce(u64) -> String) -> Arc<Record> {
        let mut state = self.state.lock();
        let name = name(state.last_id + 1);
        let record = state.new_record(Origin::Foreign, true, &name);
        state.insert(record)
    }

    /// The program's first thread, which never leaves; made known by the first call, with the system's
    /// number, or 0.
    pub(crate) fn enter_main(&self, name: &str, native: u32) -> Arc<Record> {
        let mut state = self.state.lock();
        if let Some(main) = &state.main {
            return Arc::clone(main);
        }
        let record = state.new_record(Origin::Main, false, name);
        record.set_numbers(native, 0);
        let main = state.insert(record);
        state.main = Some(Arc::clone(&main));
        main
    }

    /// A thread is about to tell of its end, or could not be started.
    pub(crate) fn leave(&self, record: &Record) {
        let mut state = self.state.lock();
        if !state.has(record) {
            return;
        }
        let gone = state.live.remove(&record.id.as_u64());
        if record.is_waited_for() {
            self.one_less(state);
        }
        // With nothing locked.
        drop(gone);
    }

    /// The first thread, if it is known.
    pub(crate) fn main(&self) -> Option<Arc<Record>> {
        self.state.lock().main.clone()
    }

    /// Who is alive, the oldest first.
    pub(crate) fn live(&self) -> Vec<Arc<Record>> {
        self.state.lock().live.values().cloned().collect()
    }

    /// How many are alive.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().live.len()
    }

    /// The last id that was given to anybody.
    pub(crate) fn last_id(&self) -> u64 {
        self.state.lock().last_id
    }

    /// The end of the program has begun. Threads may be started until
    /// [`wait_for_non_daemons`](Registry::wait_for_non_daemons) returns.
    pub(crate) fn begin_exit(&self) {
        self.state.lock().is_exiting = true;
    }

    /// Has the end of the program begun?
    pub(crate) fn is_exiting(&self) -> bool {
        self.state.lock().is_exiting
    }

    /// Blocks until no thread is alive that was started here and is no daemon, and closes the door in the
    /// same step: from then on every start is refused. Threads that are started meanwhile are waited for;
    /// the caller itself is not, nor are others who are in this call.
    ///
    /// # Errors
    ///
    /// Why it gave up; then nothing has changed.
    #[track_caller]
    pub(crate) fn wait_for_non_daemons<'l>(
        &self,
        limit: impl Into<Limit<'l>>,
    ) -> Result<(), GaveUp> {
        let limit = limit.into();
        let _aside = Aside::step(self);
        loop {
            let zero = {
                let mut state = self.state.lock();
                if state.is_closed || state.awaited == 0 {
                    state.is_closed = true;
                    return Ok(());
                }
                let zero = state
                    .zero
                    .get_or_insert_with(|| Arc::new(Completion::new()));
                Arc::clone(zero)
            };
            // Somebody may have been started since this zero, so it is only a reason to look again.
            zero.wait_within(limit)?;
        }
    }

    fn one_less(&self, mut state: impl std::ops::DerefMut<Target = State>) {
        state.awaited -= 1;
        if state.awaited > 0 {
            return;
        }
        let zero = state.zero.take();
        drop(state);
        if let Some(zero) = zero {
            zero.complete();
        }
    }
}

impl State {
    fn has(&self, record: &Record) -> bool {
        let live = self.live.get(&record.id.as_u64());
        live.is_some_and(|live| ptr::eq(&**live, record))
    }

    fn new_record(&mut self, origin: Origin, is_daemon: bool, name: &str) -> Record {
        self.last_id += 1;
        Record::new(self.last_id, origin, is_daemon, name)
    }

    fn insert(&mut self, record: Record) -> Arc<Record> {
        let record = Arc::new(record);
        self.live.insert(record.id.as_u64(), Arc::clone(&record));
        record
    }
}

/// A thread that waits for the others is not waited for meanwhile: two of them would do so for ever.
struct Aside<'r>(Option<&'r Registry>);

impl Aside<'_> {
    fn step(registry: &Registry) -> Aside<'_> {
        let current = current::record().filter(|record| record.is_waited_for());
        let state = registry.state.lock();
        let counts = current.is_some_and(|record| state.has(&record));
        if counts {
            registry.one_less(state);
        }
        Aside(counts.then_some(registry))
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        if let Some(registry) = self.0 {
            registry.state.lock().awaited += 1;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_waited_for() {
        let registry = Registry::new();
        let daemon = registry.enter(true, "daemon").unwrap();
        let foreign = registry.enter_foreign(|number| format!("Dummy-{number}"));
        let main = registry.enter_main("main", 7);
        assert!(
            Arc::ptr_eq(&main, &registry.enter_main("main", 0)),
            "there is one"
        );
        assert_eq!(&*foreign.name(), "Dummy-2");
        assert_eq!(registry.count(), 3);
        let worker = registry.enter(false, "worker").unwrap();
        let gave_up = registry.wait_for_non_daemons(Duration::ZERO);
        assert_eq!(gave_up, Err(GaveUp::TimedOut));
        let late = registry
            .enter(false, "late")
            .expect("that has changed nothing");
        assert!(!registry.is_exiting());
        registry.begin_exit();
        assert!(registry.is_exiting());
        registry.leave(&worker);
        registry.leave(&worker);
        assert!(registry.wait_for_non_daemons(Duration::ZERO).is_err());
        registry.leave(&late);
        assert_eq!(registry.wait_for_non_daemons(Duration::ZERO), Ok(()));
        assert!(registry.enter(false, "too late").is_err());
        assert!(registry.enter(true, "too late").is_err());
        assert_eq!(registry.wait_for_non_daemons(Duration::ZERO), Ok(()));
        registry.leave(&daemon);
        assert_eq!(registry.count(), 2, "the first and the foreign one");
    }

    #[test]
    fn two_threads_that_wait_for_all_do_not_wait_for_each_other() {
        let registry = Arc::new(Registry::new());
        let waiters = [0, 1].map(|_| registry.enter(false, "waits").unwrap());
        let waiters = waiters.map(|record| {
            let registry = Arc::clone(&registry);
            std::thread::spawn(move || {
                current::begin(&record);
                registry.wait_for_non_daemons(LIMIT).unwrap();
                registry.leave(&record);
            })
        });
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(registry.state.lock().awaited, 0);
    }
}
