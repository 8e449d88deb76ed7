//! The end of a pool: drained, cancelled, dropped, and waited for.

use std::sync::Arc;
use std::time::Duration;

use latchwork::executor::{Executor, ProcessPoolExecutor, SubmitRefusal, TaskError};
use latchwork::{GaveUp, Shutdown};

use crate::stage::{Meeting, Watched, guarded, meet};

#[test]
fn drain_runs_what_was_accepted_and_refuses_what_comes_later() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let meeting = Meeting::new();
        let running = pool.submit(meet, meeting.place()).unwrap();
        let arrived = meeting.wait();
        let queued = [1, 2, 3].map(|n: u32| pool.submit(|n| n * 2, n).unwrap());
        pool.shutdown(Shutdown::Drain);
        let refused = pool.submit(|text: String| text, "mine".into()).unwrap_err();
        assert_eq!(refused.value, "mine");
        assert_eq!(refused.reason, SubmitRefusal::ShutDown);
        assert_eq!(
            pool.join_within(Duration::from_millis(20)),
            Err(GaveUp::TimedOut)
        );
        let worker = Watched::new(arrived.pid);
        arrived.release();
        running.result().unwrap();
        assert_eq!(queued.map(|task| task.result().unwrap()), [2, 4, 6]);
        pool.join();
        worker.wait_for_end();
        assert_eq!(pool.worker_pids(), []);
        assert_eq!(pool.join_within(Duration::ZERO), Ok(()), "joined is joined");
    });
}

#[test]
fn immediate_cancels_what_waits_and_lets_the_running_finish() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let meeting = Meeting::new();
        let running = pool.submit(meet, meeting.place()).unwrap();
        let arrived = meeting.wait();
        let queued = [1, 2, 3].map(|n: u32| pool.submit(|n| n * 2, n).unwrap());
        pool.shutdown(Shutdown::Drain);
        pool.shutdown(Shutdown::Immediate);
        for task in queued {
            assert_eq!(task.result(), Err(TaskError::Cancelled));
        }
        assert!(!running.is_done());
        arrived.release();
        running.result().unwrap();
        pool.join();
    });
}

#[test]
fn a_pool_that_never_worked_ends_at_once() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(4).unwrap();
        pool.shutdown(Shutdown::Immediate);
        pool.join();
        drop(pool);
        drop(ProcessPoolExecutor::new(4).unwrap());
    });
}

#[test]
fn drop_runs_what_was_accepted() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(2).unwrap();
        let tasks: Vec<_> = (0..200_u32)
            .map(|n| pool.submit(|n| n + 1, n).unwrap())
            .collect();
        drop(pool);
        for (n, task) in (0..).zip(tasks) {
            assert!(task.is_done());
            assert_eq!(task.result(), Ok(n + 1));
        }
    });
}

#[test]
fn a_worker_killed_while_the_pool_drains_is_replaced() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let meeting = Meeting::new();
        let victim = pool.submit(meet, meeting.place()).unwrap();
        let arrived = meeting.wait();
        let queued = [1, 2, 3].map(|n: u32| pool.submit(|n| n * 2, n).unwrap());
        pool.shutdown(Shutdown::Drain);
        arrived.kill();
        assert!(matches!(victim.result(), Err(TaskError::WorkerDied(_))));
        assert_eq!(queued.map(|task| task.result().unwrap()), [2, 4, 6]);
        pool.join();
    });
}

#[test]
fn a_pool_may_be_dropped_by_its_own_callback() {
    guarded(|| {
        let pool = Arc::new(ProcessPoolExecutor::new(1).unwrap());
        let meeting = Meeting::new();
        let task = pool.submit(meet, meeting.place()).unwrap();
        let arrived = meeting.wait();
        let worker = Watched::new(arrived.pid);
        let (dropped, was_dropped) = std::sync::mpsc::channel();
        let last = Arc::clone(&pool);
        task.on_done(move |_| {
            drop(last);
            dropped.send(()).unwrap();
        });
        drop(pool);
        arrived.release();
        was_dropped.recv().unwrap();
        worker.wait_for_end();
    });
}

#[test]
fn a_worker_that_does_not_leave_is_killed() {
    extern "C" fn hang() {
        loop {
            std::thread::park();
        }
    }
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        // SAFETY: the handler has the right signature and is never unloaded.
        let hang_at_exit = |()| unsafe { libc::atexit(hang) };
        assert_eq!(pool.submit(hang_at_exit, ()).unwrap().result(), Ok(0));
        let worker = Watched::new(pool.worker_pids()[0]);
        drop(pool);
        worker.wait_for_end();
    });
}
