//! `ipc::Barrier`: arriving first, in vain and last; abort and reset.

use super::{SOON, Task, at_length, comes_to};
use crate::case::{Case, End, Found, Subject};
use latchwork::ipc::{Barrier, BarrierError, BarrierWait, BrokenBarrier};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    let short = vec![Case::new("Barrier::abort", Awaited::new, |s, begin| {
        begin();
        s.pair.barrier.abort().unwrap();
    })];
    let long = vec![
        Case::new("Barrier::wait, arriving first", Met::new, |s, begin| {
            begin();
            let barrier = s.pair.barrier;
            barrier.wait_within(Duration::from_secs(20)).unwrap();
        }),
        Case::new("Barrier::wait_within, in vain", Lonely::new, |s, begin| {
            begin();
            let limit = Duration::from_millis(4);
            assert!(s.0.barrier.wait_within(limit).unwrap_err().is_timed_out());
        }),
        Case::new("Barrier::wait, arriving last", Awaited::new, |s, begin| {
            begin();
            assert!(s.pair.barrier.wait().unwrap().is_leader());
        }),
        Case::new("Barrier::reset", Awaited::new, |s, begin| {
            begin();
            s.pair.barrier.reset().unwrap();
        }),
    ];
    short.into_iter().chain(at_length(long)).collect()
}

/// A barrier for the victim and one other.
struct Pair {
    barrier: &'static Barrier,
}

impl Pair {
    fn new() -> Pair {
        Pair {
            // For the waits of the parent beside it; one a case.
            barrier: Box::leak(Box::new(Barrier::new(2).unwrap())),
        }
    }

    fn reset(&self) -> Result<Found, String> {
        let fails = |error| format!("survivors get \"{error}\"");
        self.barrier.reset().map_err(fails)?;
        match self.barrier.try_wait() {
            Ok(None) => Ok(Found::Free),
            other => Err(format!("reset, and then {other:?}")),
        }
    }
}

impl Subject for Pair {
    fn after(&mut self, _: End) -> Result<Found, String> {
        match self.barrier.wait_within(Duration::from_millis(5)) {
            // It had arrived once; or never.
            Err(BarrierError::Broken(BrokenBarrier::PartyDied)) => self.reset(),
            Err(error) if error.is_timed_out() => self.reset(),
            other => Err(format!("after a death, {other:?}")),
        }
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        // Not as a party: the victim would be let through, and nobody come for the next round.
        match self.barrier.is_broken() {
            Ok(false) => {}
            other => return Err(format!("broken, beside a stopped one: {other:?}")),
        }
        thread::sleep(limit);
        Ok(())
    }
}

/// One at which the parent arrives when the victim is there.
struct Met {
    pair: Pair,
    stops: Arc<AtomicBool>,
    other: Option<JoinHandle<()>>,
}

impl Met {
    fn new() -> Met {
        Met {
            pair: Pair::new(),
            stops: Arc::default(),
            other: None,
        }
    }
}

impl Subject for Met {
    fn before(&mut self) {
        self.stops.store(false, Relaxed);
    }

    fn meanwhile(&mut self) {
        let (barrier, stops) = (self.pair.barrier, self.stops.clone());
        self.other.get_or_insert_with(|| {
            thread::spawn(move || {
                while let Ok(None) = barrier.try_wait()
                    && !stops.load(Relaxed)
                {
                    thread::sleep(Duration::from_micros(100));
                }
            })
        });
    }

    fn after(&mut self, end: End) -> Result<Found, String> {
        self.stops.store(true, Relaxed);
        self.other.take().map(JoinHandle::join);
        self.pair.after(end)
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        self.pair.beside(limit)
    }
}

/// One at which nobody else arrives.
struct Lonely(Pair);

impl Lonely {
    fn new() -> Lonely {
        Lonely(Pair::new())
    }
}

impl Subject for Lonely {
    fn after(&mut self, end: End) -> Result<Found, String> {
        match (end, self.0.barrier.try_wait()) {
            (End::Finished, Ok(None)) => self.0.reset(),
            (End::Finished, other) => Err(format!("it gave up, and left {other:?}")),
            (End::Killed, _) => self.0.after(end),
        }
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        self.0.beside(limit)
    }
}

/// One at which a task of the parent has arrived.
struct Awaited {
    pair: Pair,
    waiter: Option<Task<Result<BarrierWait, BarrierError>>>,
}

impl Awaited {
    fn new() -> Awaited {
        Awaited {
            pair: Pair::new(),
            waiter: None,
        }
    }
}

impl Subject for Awaited {
    fn before(&mut self) {
        let mut waiter = Box::pin(self.pair.barrier.wait_async());
        assert!(comes_to(waiter.as_mut(), Duration::ZERO).is_none());
        self.waiter = Some(waiter);
    }

    fn after(&mut self, _: End) -> Result<Found, String> {
        let mut waiter = self.waiter.take().ok_or("nobody waits")?;
        let barrier = self.pair.barrier;
        let second = barrier.try_wait();
        let is_alone = matches!(second, Ok(None));
        if is_alone {
            // A reset sent the task away, or the round was over.
            barrier.abort().map_err(|error| error.to_string())?;
        }
        let first = comes_to(waiter.as_mut(), SOON);
        let expected = match (&first, &second) {
            // The victim was never there, and the parent has come in its place.
            (Some(Ok(_)), Ok(Some(_))) => true,
            // It was the last, and died then; or it died before.
            (
                Some(Ok(_) | Err(BarrierError::Broken(BrokenBarrier::PartyDied))),
                Err(BarrierError::Broken(BrokenBarrier::PartyDied)),
            ) => true,
            (
                Some(Err(BarrierError::Broken(BrokenBarrier::Aborted))),
                Err(BarrierError::Broken(BrokenBarrier::Aborted)),
            ) => true,
            (Some(Err(BarrierError::Broken(BrokenBarrier::Reset))), Ok(None)) => true,
            _ => false,
        };
        if !expected {
            return Err(format!(
                "the first to come gets {first:?}, the next {second:?}"
            ));
        }
        self.pair.reset()
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        // It may have got anywhere; what counts is that looking takes no longer than it may.
        let looks = self.pair.barrier.is_broken();
        looks.map_err(|error| error.to_string())?;
        thread::sleep(limit);
        Ok(())
    }
}
