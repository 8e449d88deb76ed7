//! Futures of tasks: what one occupies, awaiting one, and what there is for many.
//!
//! A promise without a pool is a row without ours until there is a public one: it goes where
//! `promises` says so.

mod measures;

use super::pool::contenders::{
    AsyncExecutor, Blocking, Ours, Rayon, RustyPool, TokioAsync, TokioBlocking,
};
use super::pool::{PYTHON, SCRIPT};
use crate::python;
use crate::run::{Metric, Workload};
use std::time::Duration;

/// Our futures, and everybody's who has some, at one workload.
macro_rules! with_futures {
    ($workload:expr, |$P:ident| $ours:expr, |$Q:ident| $theirs:expr) => {{
        macro_rules! with {
            ($contender:ty, $name:ident, $sample:expr) => {
                move || {
                    type $name = $contender;
                    $sample
                }
            };
        }
        $workload
            .ours(with!(Ours, $P, $ours))
            .peer("tokio spawn_blocking", with!(TokioBlocking, $Q, $theirs))
            .peer("tokio spawn", with!(TokioAsync, $Q, $theirs))
            .peer("async-executor", with!(AsyncExecutor, $Q, $theirs))
            .peer("rusty_pool", with!(RustyPool, $Q, $theirs))
            .peer("rayon + oneshot", with!(Rayon, $Q, $theirs))
    }};
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    // A short sample is a look whether everything runs.
    let many = if sample < Duration::from_millis(60) {
        10_000
    } else {
        100_000
    };
    let batch = [Metric::time("us/batch")];
    vec![
        with_futures!(
            Workload::new(
                format!("{many} behind a busy worker"),
                &[Metric::time("bytes each, of a word captured").shown()]
            ),
            |P| measures::bytes_each::<P>(many),
            |P| measures::bytes_each::<P>(many)
        ),
        promises(sample),
        with_futures!(
            Workload::new(
                "await round trip",
                &[Metric::time("us/round trip"), Metric::time("p50 us")]
            ),
            |P| measures::awaited::<P>(sample),
            |P| measures::awaited::<P>(sample)
        )
        .peer("blocking (threads as it likes)", move || {
            measures::awaited::<Blocking>(sample)
        }),
        and_python(
            with_futures!(
                Workload::new("1,000 as they complete", &batch),
                |P| measures::batches::<P>(sample, measures::as_completed),
                |P| measures::batches::<P>(sample, measures::unordered::<P>)
            )
            .peer("tokio JoinSet", move || {
                measures::batches_of_join_set(sample, measures::join_next)
            }),
            "completed",
            sample,
        ),
        and_python(
            with_futures!(
                Workload::new("all of 1,000", &batch),
                |P| measures::batches::<P>(sample, measures::all),
                |P| measures::batches::<P>(sample, measures::join_all::<P>)
            )
            .peer("tokio JoinSet", move || {
                measures::batches_of_join_set(sample, measures::join_set)
            }),
            "all",
            sample,
        ),
        and_python(
            with_futures!(
                Workload::new("1,000 with a callback each", &batch),
                |P| measures::batches::<P>(sample, measures::callbacks),
                |P| measures::batches::<P>(sample, measures::watched::<P>)
            ),
            "callbacks",
            sample,
        ),
    ]
}

/// A promise that one thread makes, completes and takes the result of: nobody ever waits.
fn promises(sample: Duration) -> Workload {
    Workload::new("promise, complete, result", &[Metric::time("ns/promise")])
        .ours(move || {
            measures::promised(sample, |value| {
                let (promise, future) = latchwork::executor::promise();
                promise.complete(value).expect("nobody has cancelled it");
                future.result().expect("it was given")
            })
        })
        .peer("tokio oneshot", move || {
            measures::promised(sample, |value| {
                let (sender, mut receiver) = tokio::sync::oneshot::channel();
                sender.send(value).expect("the receiver lives");
                receiver.try_recv().expect("it was sent")
            })
        })
        .peer("futures oneshot", move || {
            measures::promised(sample, |value| {
                let (sender, mut receiver) = futures::channel::oneshot::channel();
                sender.send(value).expect("the receiver lives");
                let sent = receiver.try_recv().expect("the sender has not gone unused");
                sent.expect("it was sent")
            })
        })
        .peer("async-channel of 1", move || {
            measures::promised(sample, |value| {
                let (sender, receiver) = async_channel::bounded(1);
                sender.try_send(value).expect("there is room");
                receiver.try_recv().expect("it was sent")
            })
        })
        .peer("std sync_channel(1)", move || {
            measures::promised(sample, |value| {
                let (sender, receiver) = std::sync::mpsc::sync_channel(1);
                sender.send(value).expect("the receiver lives");
                receiver.recv().expect("it was sent")
            })
        })
}

/// Python does the same, where there is one.
fn and_python(workload: Workload, name: &'static str, sample: Duration) -> Workload {
    if python::is_there() {
        workload.peer(PYTHON, move || SCRIPT.sample::<1>(name, sample))
    } else {
        workload
    }
}
