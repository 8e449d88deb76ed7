//! Orders of events that the pool's state machine must survive, without a process in sight.

use std::cell::Cell;
use std::rc::Rc;

use super::Action::{Close, Kill, Send, Spawn};
use super::*;

/// A task that is its own message, with a switch that cancels it.
#[derive(Clone, Debug)]
struct Numbered(u32, Rc<Cell<bool>>);

impl Task for Numbered {
    type Message = u32;
    fn start(&mut self) -> Option<u32> {
        (!self.1.get()).then_some(self.0)
    }
    fn take_back(&mut self, message: u32) -> bool {
        assert_eq!(message, self.0);
        true
    }
}

struct Pool {
    dispatch: Dispatch<Numbered>,
    now: Instant,
}

impl Pool {
    fn new(max_workers: usize) -> Pool {
        Pool {
            dispatch: Dispatch::new(max_workers),
            now: Instant::now(),
        }
    }

    /// A pool whose workers, with ids from 0, have all served a task and are idle.
    fn with_ready(workers: u32) -> Pool {
        let mut pool = Pool::new(workers as usize);
        let ids = 0..u64::from(workers);
        pool.submit(0..workers);
        assert_eq!(pool.step(), ids.clone().map(Spawn).collect::<Vec<_>>());
        ids.clone().for_each(|id| pool.dispatch.ready(id));
        assert_eq!(pool.step().len(), workers as usize);
        for id in ids {
            assert!(pool.dispatch.answered(id).is_some());
        }
        pool
    }

    fn submit(&mut self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.dispatch.submit(Numbered(number, Rc::default()));
        }
    }

    fn step(&mut self) -> Vec<Action<u32>> {
        self.dispatch.step(self.now)
    }

    fn ended(&mut self, id: WorkerId) -> Ended<Numbered> {
        self.dispatch.ended(id, "it said why", self.now)
    }

    fn ended_with(&mut self, id: WorkerId) -> Option<u32> {
        self.ended(id).task.map(|task| task.0)
    }

    fn answered(&mut self, id: WorkerId) -> Option<u32> {
        self.dispatch.answered(id).map(|task| task.0)
    }

    fn deadline_in(&self) -> Option<Duration> {
        self.dispatch.deadline(self.now).map(|at| at - self.now)
    }
}

#[test]
fn workers_start_on_demand_and_idle_ones_are_used_again() {
    let mut pool = Pool::new(4);
    assert_eq!(pool.step(), []);
    pool.submit([1]);
    assert_eq!(pool.step(), [Spawn(0)]);
    assert_eq!(
        pool.step(),
        [],
        "one task needs one worker, however often it is asked"
    );
    pool.dispatch.ready(0);
    assert_eq!(pool.step(), [Send(0, 1)]);
    assert_eq!(pool.answered(0), Some(1));
    pool.submit([2]);
    assert_eq!(pool.step(), [Send(0, 2)]);
    assert_eq!(
        pool.deadline_in(),
        None,
        "a running task has all the time it wants"
    );
}

#[test]
fn no_more_processes_than_allowed_and_one_task_each() {
    let mut pool = Pool::new(2);
    pool.submit(1..=5);
    assert_eq!(pool.step(), [Spawn(0), Spawn(1)]);
    pool.dispatch.ready(1);
    assert_eq!(pool.step(), [Send(1, 1)]);
    pool.dispatch.ready(0);
    assert_eq!(pool.step(), [Send(0, 2)]);
    assert_eq!(pool.step(), []);
    let census = Census {
        queued: 3,
        running: 2,
    };
    assert_eq!(pool.dispatch.census(), census);
    pool.dispatch.lost(0, pool.now);
    assert_eq!(
        pool.dispatch.census(),
        census,
        "its task is not given up before it ended"
    );
    assert_eq!(pool.step(), [], "a dying process still counts");
    assert_eq!(pool.ended_with(0), Some(2));
    assert_eq!(pool.step(), [Spawn(2)]);
}

#[test]
fn what_is_queued_can_be_cancelled_until_a_worker_takes_it() {
    let mut pool = Pool::new(1);
    let cancelled = Numbered(1, Rc::default());
    pool.dispatch.submit(cancelled.clone());
    pool.submit([2]);
    pool.step();
    cancelled.1.set(true);
    pool.dispatch.ready(0);
    assert_eq!(pool.step(), [Send(0, 2)]);
}

#[test]
fn a_death_costs_its_own_task_and_is_replaced_at_once() {
    let mut pool = Pool::with_ready(2);
    pool.submit(10..13);
    assert_eq!(pool.step(), [Send(1, 10), Send(0, 11)]);
    let ended = pool.ended(0);
    assert_eq!(ended.task.unwrap().0, 11);
    assert!(ended.broken.is_none());
    assert_eq!(
        pool.step(),
        [Spawn(2)],
        "it had started, so nothing speaks for a pause"
    );
    pool.dispatch.ready(2);
    assert_eq!(pool.step(), [Send(2, 12)]);
    assert_eq!(pool.dispatch.running(1).unwrap().0, 10);
}

#[test]
fn an_idle_death_costs_nothing_and_is_replaced_when_needed() {
    let mut pool = Pool::with_ready(1);
    assert_eq!(pool.ended_with(0), None);
    assert_eq!(pool.step(), []);
    pool.submit([7]);
    assert_eq!(pool.step(), [Spawn(1)]);
}

#[test]
fn a_worker_that_closes_its_socket_is_killed_if_it_does_not_end() {
    let mut pool = Pool::with_ready(1);
    pool.submit([7]);
    pool.step();
    pool.dispatch.lost(0, pool.now);
    pool.dispatch.lost(0, pool.now);
    assert_eq!(pool.step(), []);
    assert_eq!(pool.deadline_in(), Some(DEATH_GRACE));
    pool.now += DEATH_GRACE;
    assert_eq!(pool.step(), [Kill(0)]);
    assert_eq!(pool.step(), [], "once is enough");
    assert_eq!(pool.deadline_in(), None);
    assert_eq!(pool.ended_with(0), Some(7));
}

#[test]
fn a_worker_that_never_gets_ready_is_killed_and_counts_as_failed() {
    let mut pool = Pool::new(1);
    pool.submit([1]);
    pool.step();
    assert_eq!(pool.deadline_in(), Some(START_GRACE));
    pool.now += START_GRACE;
    assert_eq!(pool.step(), [Kill(0)]);
    assert_eq!(pool.ended_with(0), None);
    assert_eq!(pool.step(), [], "not before a pause");
    assert_eq!(pool.deadline_in(), Some(FIRST_PAUSE));
    pool.now += FIRST_PAUSE;
    assert_eq!(pool.step(), [Spawn(1)]);
}

#[test]
fn failing_starts_are_tried_one_by_one_ever_more_slowly_and_then_break_the_pool() {
    let mut pool = Pool::new(3);
    pool.submit(1..=9);
    assert_eq!(pool.step(), [Spawn(0), Spawn(1), Spawn(2)]);
    for id in 0..3 {
        assert!(pool.ended(id).broken.is_none());
    }
    let mut last_pause = Duration::ZERO;
    // Three at once had one cause and counted once.
    for attempt in 2..=START_ATTEMPTS {
        assert_eq!(pool.step(), []);
        let pause = pool.deadline_in().unwrap();
        assert!(pause > last_pause);
        last_pause = pause;
        pool.now += pause;
        let [Spawn(id)] = pool.step()[..] else {
            panic!("one start at a time")
        };
        let broken = pool.ended(id).broken;
        assert_eq!(broken.is_some(), attempt == START_ATTEMPTS);
        if let Some(broken) = broken {
            assert_eq!(broken.pending.len(), 9);
            assert!(broken.reason.contains("it said why"));
        }
    }
    assert!(pool.dispatch.is_finished());
}

#[test]
fn a_start_that_succeeds_forgives_the_failures_before() {
    let mut pool = Pool::new(2);
    pool.submit(1..=4);
    pool.step();
    pool.ended(0);
    pool.dispatch.ready(1);
    assert_eq!(pool.step(), [Send(1, 1), Spawn(2)]);
}

#[test]
fn a_pool_with_a_working_worker_does_not_break() {
    let mut pool = Pool::new(2);
    pool.submit(1..=4);
    pool.step();
    pool.dispatch.ready(0);
    let mut dying = 1;
    for _ in 0..3 * START_ATTEMPTS {
        assert!(pool.ended(dying).broken.is_none());
        pool.step();
        pool.now += LONGEST_PAUSE;
        let actions = pool.step();
        let [Spawn(id)] = actions[..] else {
            panic!("{actions:?}")
        };
        dying = id;
    }
    let own_death = pool.ended(0);
    assert!(
        own_death.broken.is_none(),
        "it had started: its death is no failed start"
    );
    assert!(pool.ended(dying).broken.is_some(), "but now nobody is left");
}

#[test]
fn draining_serves_what_is_queued_and_then_lets_everybody_go() {
    let mut pool = Pool::with_ready(2);
    pool.submit([1, 2, 3]);
    assert!(pool.dispatch.shutdown(Shutdown::Drain).is_empty());
    assert_eq!(pool.step(), [Send(1, 1), Send(0, 2)]);
    pool.answered(0);
    assert_eq!(pool.step(), [Send(0, 3)]);
    pool.answered(1);
    assert_eq!(pool.step(), [Close(1)]);
    pool.answered(0);
    assert_eq!(pool.step(), [Close(0)]);
    pool.ended(1);
    assert!(!pool.dispatch.is_finished());
    pool.ended(0);
    assert!(pool.dispatch.is_finished());
}

#[test]
fn a_drain_survives_the_death_of_its_last_worker() {
    let mut pool = Pool::with_ready(1);
    pool.submit([1, 2]);
    pool.step();
    pool.dispatch.shutdown(Shutdown::Drain);
    assert_eq!(pool.ended_with(0), Some(1));
    assert_eq!(pool.step(), [Spawn(1)]);
    pool.dispatch.ready(1);
    assert_eq!(pool.step(), [Send(1, 2)]);
}

#[test]
fn immediate_gives_back_the_queue_and_lets_the_running_finish() {
    let mut pool = Pool::with_ready(1);
    pool.submit([1, 2, 3]);
    pool.step();
    pool.dispatch.shutdown(Shutdown::Drain);
    let cancelled = pool.dispatch.shutdown(Shutdown::Immediate);
    assert_eq!(
        cancelled.iter().map(|task| task.0).collect::<Vec<_>>(),
        [2, 3]
    );
    assert_eq!(pool.step(), []);
    assert_eq!(pool.answered(0), Some(1));
    assert_eq!(pool.step(), [Close(0)]);
}

#[test]
fn who_does_not_leave_in_time_is_killed() {
    let mut pool = Pool::with_ready(1);
    pool.dispatch.shutdown(Shutdown::Drain);
    assert_eq!(pool.step(), [Close(0)]);
    pool.now += LEAVE_GRACE;
    assert_eq!(pool.step(), [Kill(0)]);
    pool.ended(0);
    assert!(pool.dispatch.is_finished());
}

#[test]
fn workers_still_starting_at_shutdown_are_let_go_and_do_not_count_as_failed() {
    let mut pool = Pool::new(2);
    pool.submit([1]);
    pool.step();
    assert_eq!(pool.dispatch.shutdown(Shutdown::Immediate).len(), 1);
    assert_eq!(pool.step(), [Close(0)]);
    pool.dispatch.ready(0);
    assert!(pool.ended(0).broken.is_none());
    assert_eq!(pool.dispatch.failures, 0);
    assert!(pool.dispatch.is_finished());
}

#[test]
fn a_stale_report_of_a_worker_that_is_gone_changes_nothing() {
    let mut pool = Pool::with_ready(1);
    pool.ended(0);
    pool.dispatch.ready(0);
    pool.dispatch.lost(0, pool.now);
    assert_eq!(pool.answered(0), None);
    assert_eq!(pool.ended_with(0), None);
    pool.submit([1]);
    assert_eq!(pool.step(), [Spawn(1)]);
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing() {
    let mut pool = Pool::with_ready(1);
    assert_eq!(pool.answered(0), None);
    pool.submit([1, 2]);
    assert_eq!(pool.step(), [Send(0, 1)], "it is idle once, not twice");
}
