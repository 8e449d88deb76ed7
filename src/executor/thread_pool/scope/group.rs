//! [`Group`]: tasks of one scope that succeed or fail together.
//!
//! The tasks lie in the group's own list. In the pool there are runners, as many as there are tasks or may run at a time; each
//! takes one task after the other. Invariant: while there is a task in the list, there is a runner that has
//! not yet found the list empty; and whoever takes a task out of the list enters what came of it, once.

use super::job::ScopedWork;
use super::ledger::{Ledger, ScopeEnding};
use super::{GroupError, Scope};
use crate::executor::{TaskError, ThreadPoolExecutor};
use crate::panic::{catch, report};
use crate::platform::Mutex;
use crate::sync::completion::Completion;
use crate::wait::OwnedLimit;
use crate::{CancelToken, GaveUp, Limit};
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::Arc;

/// How a group runs; from [`ThreadPoolExecutor::group`]. Its three ends are its policies:
///
/// * [`all`](GroupBuilder::all): every task must succeed.
/// * [`first`](GroupBuilder::first): one success is enough.
/// * [`collect`](GroupBuilder::collect): each has its own result.
///
/// What has not started when it is decided does not start; what runs is told by the group's [`token`](Group::token), and
/// waited for: a group, like every scope, returns when all has ended.
///
/// # Source
///
/// Go's [`errgroup`](https://pkg.go.dev/golang.org/x/sync/errgroup); Python's `asyncio.TaskGroup`; the joiners of
/// Java's `StructuredTaskScope`.
///
/// ```
/// use latchwork::executor::{GroupError, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::new(4);
/// let words = ["1", "2", "three", "4"];
/// let parsed = pool.group().limit(2).all(|group| {
///     for word in &words {
///         group.spawn(|| word.parse::<u32>());
///     }
/// });
/// assert!(matches!(parsed, Err(GroupError::Failed(_))));
///
/// let any = pool.group().first(|group| {
///     for word in &words[2..] {
///         group.spawn(|| word.parse::<u32>());
///     }
/// });
/// assert_eq!(any, Ok(4));
/// ```
#[must_use = "a builder does nothing until its group is run"]
pub struct GroupBuilder<'p> {
    pool: &'p ThreadPoolExecutor,
    most: usize,
    limit: Limit<'p>,
}

/// Decides when a group is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    AllSucceed,
    FirstSuccess,
    Collect,
}

impl<'p> GroupBuilder<'p> {
    pub(super) fn new(pool: &'p ThreadPoolExecutor) -> GroupBuilder<'p> {
        GroupBuilder {
            pool,
            most: usize::MAX,
            limit: Limit::none(),
        }
    }

    /// At most so many of its tasks run at a time. Spawning does not wait for that.
    ///
    /// # Panics
    ///
    /// If it is 0.
    pub fn limit(mut self, tasks: usize) -> GroupBuilder<'p> {
        self.most = NonZeroUsize::new(tasks)
            .expect("a group runs a task at a time at least")
            .get();
        self
    }

    /// When it is reached, what has not started does not start, and the token is cancelled. It is looked at before each
    /// task, and while the group waits for its tasks, which is after its body.
    pub fn within(mut self, limit: impl Into<Limit<'p>>) -> GroupBuilder<'p> {
        self.limit = limit.into();
        self
    }

    /// Runs `body`, which spawns tasks, and gives their values, in the order in which they were spawned.
    ///
    /// # Errors
    ///
    /// The first error or panic, after which nothing starts any more; or that the limit was reached.
    ///
    /// # Panics
    ///
    /// With the panic of the body.
    #[track_caller]
    pub fn all<'env, T, E, F>(self, body: F) -> Result<Vec<T>, GroupError<E>>
    where
        T: Send + 'env,
        E: Send + 'env,
        F: for<'scope> FnOnce(&Group<'scope, 'env, T, E>),
    {
        let Outcome {
            results, decided, ..
        } = self.run(Policy::AllSucceed, Location::caller(), body);
        match decided {
            Some(error) => Err(error),
            None => results.into_iter().collect(),
        }
    }

    /// Runs `body`, which spawns tasks, and gives the value of the first that succeeds. After that nothing starts any
    /// more.
    ///
    /// # Errors
    ///
    /// That none succeeded: all errors, in the order in which the tasks were spawned. Without tasks there are none.
    ///
    /// # Panics
    ///
    /// With the panic of the body.
    #[track_caller]
    #[doc(alias = "race")]
    #[doc(alias = "any")]
    pub fn first<'env, T, E, F>(self, body: F) -> Result<T, Vec<GroupError<E>>>
    where
        T: Send + 'env,
        E: Send + 'env,
        F: for<'scope> FnOnce(&Group<'scope, 'env, T, E>),
    {
        let outcome = self.run(Policy::FirstSuccess, Location::caller(), body);
        match outcome.winner {
            Some(value) => Ok(value),
            None => Err(outcome
                .results
                .into_iter()
                .filter_map(Result::err)
                .collect()),
        }
    }

    /// Runs `body`, which spawns tasks, and gives the result of each, in the order in which they were spawned.
    ///
    /// # Panics
    ///
    /// With the panic of the body.
    #[track_caller]
    pub fn collect<'env, T, E, F>(self, body: F) -> Vec<Result<T, GroupError<E>>>
    where
        T: Send + 'env,
        E: Send + 'env,
        F: for<'scope> FnOnce(&Group<'scope, 'env, T, E>),
    {
        self.run(Policy::Collect, Location::caller(), body).results
    }

    fn run<'env, T, E, F>(
        self,
        policy: Policy,
        place: &'static Location<'static>,
        body: F,
    ) -> Outcome<T, E>
    where
        T: Send + 'env,
        E: Send + 'env,
        F: for<'scope> FnOnce(&Group<'scope, 'env, T, E>),
    {
        self.pool.scope(|scope| {
            let group = Group {
                scope,
                shared: Arc::new(Shared {
                    policy,
                    most: self.most,
                    limit: OwnedLimit::new(self.limit),
                    token: CancelToken::new(),
                    end: Completion::new(),
                    state: Mutex::new(State {
                        pending: VecDeque::new(),
                        results: Vec::new(),
                        runners: 0,
                        open: 1,
                        is_over: false,
                        decided: None,
                        winner: None,
                    }),
                }),
            };
            let result = catch_unwind(AssertUnwindSafe(|| body(&group)));
            if result.is_err() {
                group.shared.is_over(|| GroupError::Cancelled);
            }
            group.wait(place, &self.limit);
            if let Err(payload) = result {
                resume_unwind(payload);
            }
            group.shared.outcome()
        })
    }
}

impl fmt::Debug for GroupBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupBuilder")
            .field("limit", &self.most)
            .field("within", &self.limit)
            .finish_non_exhaustive()
    }
}

/// What came of a group.
struct Outcome<T, E> {
    results: Vec<Result<T, GroupError<E>>>,
    /// The error that ended a group in which all must succeed, or which ran out of time.
    decided: Option<GroupError<E>>,
    winner: Option<T>,
}

/// Where the tasks of a group are spawned; from a [`GroupBuilder`]. A clone is the same group: a task that spawns captures one.
pub struct Group<'scope, 'env: 'scope, T, E> {
    scope: &'scope Scope<'scope, 'env>,
    shared: Arc<Shared<'scope, T, E>>,
}

type Function<'scope, T, E> = Box<dyn FnOnce() -> Result<T, E> + Send + 'scope>;

struct Shared<'scope, T, E> {
    policy: Policy,
    most: usize,
    limit: OwnedLimit,
    token: CancelToken,
    end: Completion<ScopeEnding>,
    state: Mutex<State<'scope, T, E>>,
}

struct State<'scope, T, E> {
    /// Those that nobody has begun, by their number.
    pending: VecDeque<(usize, Function<'scope, T, E>)>,
    /// By number; none while it has not ended, or where the value has won.
    results: Vec<Option<Result<T, GroupError<E>>>>,
    runners: usize,
    /// Tasks that have not ended, plus one for the body.
    open: usize,
    /// Nothing starts any more.
    is_over: bool,
    decided: Option<GroupError<E>>,
    winner: Option<T>,
}

impl<'scope, T: Send + 'scope, E: Send + 'scope> Group<'scope, '_, T, E> {
    /// Has a worker run `f`, unless the group is over by then: then it ends as [`GroupError::Cancelled`].
    pub fn spawn<F>(&self, f: F)
    where
        F: FnOnce() -> Result<T, E> + Send + 'scope,
    {
        {
            let mut state = self.shared.state.lock();
            if state.is_over {
                state.results.push(Some(Err(GroupError::Cancelled)));
                drop(state);
                return;
            }
            let number = state.results.len();
            state.results.push(None);
            state.pending.push_back((number, Box::new(f)));
            state.open += 1;
            if state.runners == self.shared.most {
                return;
            }
            state.runners += 1;
        }
        self.scope.enter(Runner(Arc::clone(&self.shared)));
    }

    /// Cancelled as soon as the group is over, for those that run to look at and to wait under.
    pub fn token(&self) -> &CancelToken {
        &self.shared.token
    }

    /// As if the group had been decided otherwise: nothing starts any more, and the token is cancelled. In a group in
    /// which all must succeed that is an error if a task had not started.
    pub fn cancel(&self) {
        self.shared.is_over(|| GroupError::Cancelled);
    }

    fn wait(&self, place: &'static Location<'static>, limit: &Limit<'_>) {
        let shared = &self.shared;
        shared.ends(1);
        if self.scope.pool.is_left_behind() {
            // The scope says so.
            return;
        }
        if limit.is_none() {
            let _expecting = self.scope.help();
            return shared.wait(place);
        }
        // Under a limit nothing is run here, because that could not be cut short.
        if let Err(why) = shared.end.wait_at_within(place, limit) {
            shared.gives_up(why);
            shared.wait(place);
        }
    }
}

impl<T, E> Shared<'_, T, E> {
    /// Blocks until all have ended.
    fn wait(&self, place: &'static Location<'static>) {
        while !self.end.is_done() {
            self.end.wait_in_any_case(place);
        }
    }

    /// Nothing starts any more; what has not ends with `why`.
    fn is_over(&self, why: impl Fn() -> GroupError<E>) {
        let pending = {
            let mut state = self.state.lock();
            state.is_over = true;
            let pending = std::mem::take(&mut state.pending);
            for (number, _) in &pending {
                state.results[*number] = Some(Err(why()));
            }
            pending
        };
        self.token.cancel();
        let count = pending.len();
        // What they had captured is the user's.
        for (_, function) in pending {
            report("what a task that never ran had captured", || drop(function));
        }
        self.ends(count);
    }

    /// The limit has been reached.
    fn gives_up(&self, why: GaveUp) {
        self.state
            .lock()
            .decided
            .get_or_insert(GroupError::GaveUp(why));
        self.is_over(|| GroupError::GaveUp(why));
    }

    /// So many tasks have ended, or the body.
    fn ends(&self, count: usize) {
        let is_last = {
            let mut state = self.state.lock();
            state.open -= count;
            count > 0 && state.open == 0
        };
        if is_last {
            self.end.complete();
        }
    }

    /// A task has ended.
    fn note(&self, number: usize, result: Result<T, GroupError<E>>) {
        let is_decisive = match (self.policy, &result) {
            (Policy::AllSucceed, Err(_)) | (Policy::FirstSuccess, Ok(_)) => true,
            _ => false,
        };
        {
            let state = &mut *self.state.lock();
            match (self.policy, result) {
                (Policy::AllSucceed, Err(error)) if state.decided.is_none() => {
                    state.decided = Some(error);
                }
                (Policy::FirstSuccess, Ok(value)) if state.winner.is_none() => {
                    state.winner = Some(value);
                }
                (_, result) => state.results[number] = Some(result),
            }
        }
        if is_decisive {
            self.is_over(|| GroupError::Cancelled);
        }
        self.ends(1);
    }

    /// Called when all have ended.
    fn outcome(&self) -> Outcome<T, E> {
        let state = &mut *self.state.lock();
        Outcome {
            results: state.results.drain(..).flatten().collect(),
            decided: state.decided.take(),
            winner: state.winner.take(),
        }
    }
}

/// Takes tasks out of a group's list until there is none.
struct Runner<'scope, T, E>(Arc<Shared<'scope, T, E>>);

impl<T: Send, E: Send> ScopedWork for Runner<'_, T, E> {
    fn run(self, _ledger: &Ledger) -> bool {
        let shared = &*self.0;
        let mut is_good = true;
        loop {
            let next = {
                let mut state = shared.state.lock();
                let next = state.pending.pop_front();
                if next.is_none() {
                    state.runners -= 1;
                }
                next
            };
            let Some((number, function)) = next else {
                return is_good;
            };
            let result = match shared.limit.borrowed().check() {
                Ok(()) => match catch(function) {
                    Ok(result) => result.map_err(GroupError::Failed),
                    Err(panic) => Err(GroupError::Panicked(panic)),
                },
                Err(why) => {
                    report("what a task that never ran had captured", || drop(function));
                    shared.gives_up(why);
                    Err(GroupError::GaveUp(why))
                }
            };
            is_good &= result.is_ok();
            shared.note(number, result);
        }
    }

    /// The pool runs nothing any more.
    fn give_up(self, why: &TaskError, _ledger: &Ledger) {
        let shared = &*self.0;
        {
            let mut state = shared.state.lock();
            state.runners -= 1;
            if shared.policy == Policy::AllSucceed && !state.pending.is_empty() {
                state.decided.get_or_insert(GroupError::NotRun(why.clone()));
            }
        }
        shared.is_over(|| GroupError::NotRun(why.clone()));
    }
}

impl<T, E> Clone for Group<'_, '_, T, E> {
    fn clone(&self) -> Self {
        Group {
            scope: self.scope,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T, E> fmt::Debug for Group<'_, '_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("Group")
            .field("pending", &state.pending.len())
            .field("is_over", &state.is_over)
            .finish_non_exhaustive()
    }
}
