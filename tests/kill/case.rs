//! What is stepped: an operation with the object it is done to, and what must hold after its death.
//!
//! An object is a [`Subject`], made once in the parent; the same one serves every kill point of an
//! operation, so what a death leaves behind meets the next. A [`Case`] is one operation of it.

use std::time::Duration;

/// How the victim's operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Killed,
    Finished,
}

/// Whether the victim died with something in its hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Free,
    Held,
}

/// One object and those who survive its victims, which is the parent. An `Err` is something lost.
pub trait Subject: Sized {
    /// Before each victim is made.
    fn before(&mut self) {}

    /// What the victim waits for, if it waits: done while it sleeps, or at any earlier instruction, and
    /// at the latest when it is dead or resumed. It may be called twice.
    fn meanwhile(&mut self) {}

    /// The victim is dead. Do what it must not prevent, within a second; say what it left.
    fn after(&mut self, end: End) -> Result<Found, String>;

    /// The victim is stopped, and may hold anything. Try what it could prevent, for `limit`; it is lost
    /// if the limit is not kept, or something is taken from one who lives.
    fn beside(&mut self, limit: Duration) -> Result<(), String>;
}

/// One operation on one kind of object.
pub struct Case {
    pub name: &'static str,
    /// Whether the victim has a place in the roster before its operation begins.
    pub listed: bool,
    start: Box<dyn Fn() -> Box<dyn Trial> + Send>,
}

/// An operation. Runs in the victim, which is stepped from where it calls the second argument.
pub type Operation<S> = fn(&S, &dyn Fn());

impl Case {
    pub fn new<S: Subject + 'static>(
        name: &'static str,
        make: fn() -> S,
        operation: Operation<S>,
    ) -> Case {
        let start = move || {
            Box::new(Running {
                subject: make(),
                operation,
            }) as Box<dyn Trial>
        };
        Case {
            name,
            listed: true,
            start: Box::new(start),
        }
    }

    /// The victim has no place in the roster yet.
    pub fn unlisted(mut self) -> Case {
        self.listed = false;
        self
    }

    pub fn start(&self) -> Box<dyn Trial> {
        (self.start)()
    }
}

/// A case under way, whatever its subject is.
pub trait Trial {
    fn operate(&self, begin: &dyn Fn());
    fn before(&mut self);
    fn meanwhile(&mut self);
    fn after(&mut self, end: End) -> Result<Found, String>;
    fn beside(&mut self, limit: Duration) -> Result<(), String>;
}

struct Running<S> {
    subject: S,
    operation: Operation<S>,
}

impl<S: Subject> Trial for Running<S> {
    fn operate(&self, begin: &dyn Fn()) {
        (self.operation)(&self.subject, begin);
    }

    fn before(&mut self) {
        self.subject.before();
    }

    fn meanwhile(&mut self) {
        self.subject.meanwhile();
    }

    fn after(&mut self, end: End) -> Result<Found, String> {
        self.subject.after(end)
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        self.subject.beside(limit)
    }
}
