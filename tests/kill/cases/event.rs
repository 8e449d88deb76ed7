//! `ipc::Event`: set, clear, and waits that are ended or not.

use super::{SOON, at_length};
use crate::case::{Case, End, Found, Subject};
use latchwork::ipc::Event;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    let short = vec![
        Case::new("Event::set", Flag::new, |s, begin| {
            begin();
            s.event.set().unwrap();
        }),
        Case::new("Event::clear", Flag::new, |s, begin| {
            s.event.set().unwrap();
            begin();
            s.event.clear().unwrap();
        }),
        Case::new("Event::wait_within, in vain", Flag::new, |s, begin| {
            begin();
            let limit = Duration::from_millis(4);
            assert!(s.event.wait_within(limit).is_err());
        }),
    ];
    let long = vec![Case::new("Event::wait", Set::new, |s, begin| {
        begin();
        s.flag.event.wait_within(Duration::from_secs(20)).unwrap();
    })];
    short.into_iter().chain(at_length(long)).collect()
}

/// An event that is down when the victim comes.
struct Flag {
    event: &'static Event,
}

impl Flag {
    fn new() -> Flag {
        Flag {
            // For the thread that sets it; one a case.
            event: Box::leak(Box::new(Event::new().unwrap())),
        }
    }
}

impl Subject for Flag {
    fn before(&mut self) {
        self.event.clear().unwrap();
    }

    fn after(&mut self, _: End) -> Result<Found, String> {
        let fails = |error| format!("survivors get \"{error}\"");
        self.event.set().map_err(fails)?;
        self.event.wait_within(SOON).map_err(fails)?;
        self.event.clear().map_err(fails)?;
        match self.event.wait_within(Duration::ZERO) {
            Err(error) if error.gave_up().is_some() => Ok(Found::Free),
            other => Err(format!("cleared, and a wait comes to {other:?}")),
        }
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        match self.event.wait_within(limit) {
            Ok(()) => Ok(()),
            Err(error) if error.gave_up().is_some() => Ok(()),
            Err(error) => Err(format!("beside a stopped one there is \"{error}\"")),
        }
    }
}

/// One that is set while the victim waits.
struct Set {
    flag: Flag,
    setter: Option<JoinHandle<()>>,
}

impl Set {
    fn new() -> Set {
        Set {
            flag: Flag::new(),
            setter: None,
        }
    }
}

impl Subject for Set {
    fn before(&mut self) {
        self.flag.before();
    }

    fn meanwhile(&mut self) {
        // On a thread of its own: the victim may stand inside, and then a set waits for it to go on.
        let event = self.flag.event;
        let set = || thread::spawn(|| drop(event.set()));
        self.setter.get_or_insert_with(set);
    }

    fn after(&mut self, end: End) -> Result<Found, String> {
        self.setter.take().map(JoinHandle::join);
        self.flag.after(end)
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        self.flag.beside(limit)
    }
}
