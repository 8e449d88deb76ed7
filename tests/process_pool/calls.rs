//! Calls that come back, in whatever way: values, panics, and bytes that make no sense.

use std::sync::Arc;

use latchwork::Limit;
use latchwork::executor::{
    Executor, ProcessPoolExecutor, SubmitRefusal, TaskError, ThreadPoolExecutor, as_completed,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::stage::{Meeting, guarded, meet, signal, stop};

fn square(n: u64) -> u64 {
    n * n
}

#[test]
fn a_task_runs_in_another_process_and_workers_are_used_again() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(3).unwrap();
        assert_eq!(
            pool.worker_pids(),
            [],
            "nobody is started before there is work"
        );
        let pid = |()| std::process::id();
        let first = pool.submit(pid, ()).unwrap().result().unwrap();
        assert_ne!(first, std::process::id());
        assert_eq!(pool.worker_pids(), [first]);
        for _ in 0..20 {
            assert_eq!(pool.submit(pid, ()).unwrap().result(), Ok(first));
        }
    });
}

#[test]
fn the_type_of_the_pool_is_the_only_difference_to_threads() {
    fn squares(pool: &impl Executor) -> Vec<u64> {
        let squares = pool.map(square, 0..100).unwrap();
        squares.map(Result::unwrap).collect()
    }
    guarded(|| {
        let expected: Vec<u64> = (0..100).map(square).collect();
        assert_eq!(squares(&ThreadPoolExecutor::new(2)), expected);
        assert_eq!(squares(&ProcessPoolExecutor::new(2).unwrap()), expected);
    });
}

#[test]
fn arguments_and_results_of_every_shape_arrive() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        Named { text: String, numbers: Vec<f64> },
        Nested(Option<Box<Shape>>),
    }
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let shape = Shape::Nested(Some(Box::new(Shape::Named {
            text: "ünïcode".into(),
            numbers: vec![1.5, -0.0, f64::MAX],
        })));
        for shape in [Shape::Unit, shape] {
            let wrap = |shape: Shape| Shape::Nested(Some(Box::new(shape)));
            let wrapped = pool.submit(wrap, shape.clone()).unwrap().result();
            assert_eq!(wrapped, Ok(wrap(shape)));
        }
        let error: Result<u8, String> = Err("an error type of one's own".into());
        let back = pool.submit(|error: Result<u8, String>| error, error.clone());
        assert_eq!(back.unwrap().result(), Ok(error));
    });
}

#[test]
fn a_panic_is_data_and_its_worker_goes_on() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let pid = |()| std::process::id();
        let before = pool.submit(pid, ()).unwrap().result();
        let fail = |n: u32| -> u32 { panic!("no luck with {n}") };
        let line = line!() - 1;
        let TaskError::Panicked(panic) = pool.submit(fail, 13).unwrap().result().unwrap_err()
        else {
            panic!("it panicked")
        };
        assert_eq!(panic.message, "no luck with 13");
        let place = format!("{}:{line}:", file!());
        assert!(panic.location.unwrap().starts_with(&place));
        assert!(panic.thread.unwrap().contains("-worker-0"));

        let odd = |()| -> u8 { std::panic::panic_any(7_u64) };
        let odd = pool.submit(odd, ()).unwrap().result().unwrap_err();
        assert!(matches!(odd, TaskError::Panicked(_)), "{odd:?}");
        assert_eq!(pool.submit(pid, ()).unwrap().result(), before);
    });
}

/// A value whose travel can be made to fail at each station.
#[derive(Debug, Clone, PartialEq)]
enum Awkward {
    Fine,
    /// Refuses to be encoded.
    Secret,
    /// Is encoded as something that is refused when it is decoded.
    Unreadable,
    /// Panics when it is decoded.
    Explosive,
}

impl Serialize for Awkward {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Awkward::Fine => serializer.serialize_u8(0),
            Awkward::Secret => Err(ser::Error::custom("it is a secret")),
            Awkward::Unreadable => serializer.serialize_u8(1),
            Awkward::Explosive => serializer.serialize_u8(2),
        }
    }
}

impl<'de> Deserialize<'de> for Awkward {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Awkward, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Awkward::Fine),
            1 => Err(de::Error::custom("it cannot be read")),
            _ => panic!("it explodes"),
        }
    }
}

#[test]
fn an_argument_that_cannot_be_encoded_comes_back_at_once() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let refused = pool.submit(|_: Awkward| (), Awkward::Secret).unwrap_err();
        assert_eq!(refused.value, Awkward::Secret);
        assert!(
            matches!(refused.reason, SubmitRefusal::Encode(_)),
            "{:?}",
            refused.reason
        );
        assert_eq!(pool.worker_pids(), [], "no worker was troubled");
    });
}

/// F18, F48: it costs the item, or its chunk, and no others.
#[test]
fn a_buffered_map_goes_on_after_an_argument_that_cannot_be_encoded() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let items = || [Awkward::Fine, Awkward::Secret, Awkward::Fine];
        let are_fine = |chunk: usize| {
            let map = pool.map_with(|_: Awkward| ()).chunk(chunk);
            let mut mapped = map.buffer(2).over(items());
            let ends: Vec<_> = mapped.by_ref().collect();
            assert!(mapped.refused().is_none());
            let is_fine = |end| match end {
                Ok(()) => true,
                Err(TaskError::Encode(_)) => false,
                other => panic!("{other:?}"),
            };
            ends.into_iter().map(is_fine).collect::<Vec<_>>()
        };
        assert_eq!(are_fine(1), [true, false, true]);
        assert_eq!(are_fine(2), [false, false, true]);
        let mapped = pool.map_with(|_: Awkward| ()).buffer(1).over(items());
        assert_eq!(mapped.filter(Result::is_ok).count(), 2);
    });
}

#[test]
fn what_cannot_be_encoded_or_decoded_on_the_way_fails_its_task_alone() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let pid = |()| std::process::id();
        let before = pool.submit(pid, ()).unwrap().result().unwrap();
        let argument = |awkward| pool.submit(|_: Awkward| (), awkward).unwrap().result();
        let result = |kind: u8| {
            let make = |kind: u8| match kind {
                0 => Awkward::Fine,
                1 => Awkward::Secret,
                2 => Awkward::Unreadable,
                _ => Awkward::Explosive,
            };
            pool.submit(make, kind).unwrap().result()
        };
        assert_eq!(argument(Awkward::Fine), Ok(()));
        assert!(matches!(
            argument(Awkward::Unreadable),
            Err(TaskError::Decode(_))
        ));
        assert!(matches!(
            argument(Awkward::Explosive),
            Err(TaskError::Panicked(_))
        ));
        assert_eq!(result(0), Ok(Awkward::Fine));
        assert!(matches!(result(1), Err(TaskError::Encode(_))));
        assert!(matches!(result(2), Err(TaskError::Decode(_))));
        let Err(TaskError::Decode(why)) = result(3) else {
            panic!("the reactor caught it")
        };
        assert!(why.contains("it explodes"), "{why}");
        assert_eq!(pool.submit(pid, ()).unwrap().result(), Ok(before));
    });
}

#[test]
fn large_values_travel_both_ways() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(2).unwrap();
        for size in [1 << 20, 64 << 20] {
            let text = "latchwork".repeat(size / 9);
            let there = pool
                .submit(|text: String| text.len(), text.clone())
                .unwrap();
            let back = |size: usize| "latchwork".repeat(size / 9);
            let back = pool.submit(back, size).unwrap();
            assert_eq!(there.result(), Ok(text.len()));
            assert!(back.result().unwrap() == text);
            let both = pool.submit(|text: String| text, text.clone()).unwrap();
            assert!(both.result().unwrap() == text);
        }
    });
}

#[test]
fn a_worker_that_stands_still_delays_nobody_else() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(2).unwrap();
        let meeting = Meeting::new();
        let both = [0; 2].map(|_| pool.submit(meet, meeting.place()).unwrap());
        let [idle, other] = [meeting.wait(), meeting.wait()];
        let (stopped_pid, other_pid) = (idle.pid, other.pid);
        idle.release();
        let mut both = as_completed(both, Limit::none());
        assert_eq!(both.next().unwrap().unwrap().result(), Ok(stopped_pid));

        // The only idle worker stands still, and no socket holds the whole argument.
        stop(stopped_pid);
        let echo = |text: String| (std::process::id(), text.len());
        let large = pool.submit(echo, "x".repeat(16 << 20)).unwrap();
        while !large.is_running() {
            std::thread::yield_now();
        }
        let small = pool.map(|n: u32| (std::process::id(), n), 0..50).unwrap();
        other.release();
        for (n, answer) in (0..).zip(small) {
            assert_eq!(answer, Ok((other_pid, n)));
        }
        assert!(large.is_running());
        signal(stopped_pid, libc::SIGCONT);
        assert_eq!(large.result(), Ok((stopped_pid, 16 << 20)));
    });
}

#[test]
fn what_is_queued_can_be_cancelled_what_runs_cannot() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let meeting = Meeting::new();
        let running = pool.submit(meet, meeting.place()).unwrap();
        let arrived = meeting.wait();
        // A task that ran although it was cancelled would arrive here and never be released.
        let queued = [0; 5].map(|_| pool.submit(meet, meeting.place()).unwrap());
        let last = pool.submit(square, 9).unwrap();
        assert!(!running.cancel());
        assert!(running.is_running());
        for future in queued {
            assert!(!future.is_running(), "queued is not running");
            assert!(future.cancel());
            assert!(future.is_done(), "at once, not when a worker is free");
            assert_eq!(future.result(), Err(TaskError::Cancelled));
        }
        let pid = arrived.pid;
        arrived.release();
        assert_eq!(running.result(), Ok(pid));
        assert_eq!(last.result(), Ok(81));
    });
}

#[test]
fn ten_thousand_tiny_tasks() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(2).unwrap();
        let results = pool.map(square, 0..10_000).unwrap();
        for (n, result) in (0..10_000).zip(results) {
            assert_eq!(result, Ok(n * n));
        }
        let state = format!("{pool:?}");
        assert!(
            state.contains("queued: 0, running: 0, done: 10000"),
            "{state}"
        );
    });
}

#[test]
fn many_submitters_each_get_their_own_answers() {
    guarded(|| {
        let pool = Arc::new(ProcessPoolExecutor::new(3).unwrap());
        let submitters = (0..8_u64).map(|submitter| {
            let pool = Arc::clone(&pool);
            std::thread::spawn(move || {
                for n in 0..200 {
                    let number = submitter << 32 | n;
                    assert_eq!(
                        pool.submit(|n: u64| n + 1, number).unwrap().result(),
                        Ok(number + 1)
                    );
                }
            })
        });
        for submitter in submitters.collect::<Vec<_>>() {
            submitter.join().unwrap();
        }
        assert!(pool.worker_pids().len() <= 3);
    });
}

#[test]
fn a_callback_may_submit_to_its_own_pool() {
    guarded(|| {
        let pool = Arc::new(ProcessPoolExecutor::new(1).unwrap());
        let (sender, receiver) = std::sync::mpsc::channel();
        let first = pool.submit(square, 3).unwrap();
        let again = Arc::clone(&pool);
        first.on_done(move |_| sender.send(again.submit(square, 4).unwrap()).unwrap());
        assert_eq!(receiver.recv().unwrap().result(), Ok(16));
        assert_eq!(first.result(), Ok(9));
    });
}

#[test]
fn debug_tells_the_state() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let meeting = Meeting::new();
        let running = pool.submit(meet, meeting.place()).unwrap();
        let arrived = meeting.wait();
        let queued = pool.submit(square, 1).unwrap();
        let state = format!("{pool:?}");
        let pid = arrived.pid;
        assert!(state.contains("state: \"open\""), "{state}");
        assert!(state.contains(&format!("workers: [{pid}]")), "{state}");
        assert!(state.contains("queued: 1, running: 1, done: 0"), "{state}");
        arrived.release();
        running.result().unwrap();
        queued.result().unwrap();
        pool.shutdown(latchwork::Shutdown::Drain);
        pool.join();
        let state = format!("{pool:?}");
        assert!(state.contains("state: \"shut down\""), "{state}");
        assert!(
            state.contains("workers: [], queued: 0, running: 0, done: 2"),
            "{state}"
        );
    });
}

/// Decodes like nothing, and does not like to be dropped.
#[derive(Serialize, Deserialize)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if latchwork::process::parent_pid().is_none() {
            panic!("dropped in the parent, on purpose");
        }
    }
}

#[test]
fn a_result_whose_drop_panics_harms_its_pool_as_little_as_its_worker() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        // Nobody waits for it, so it is dropped where it arrives.
        drop(pool.submit(|(): ()| Bomb, ()).unwrap());
        assert_eq!(pool.submit(square, 7).unwrap().result(), Ok(49));
    });
}
