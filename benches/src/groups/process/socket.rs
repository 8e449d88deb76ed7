//! Limits: a byte stream between two processes, eight bytes there and back.

use super::{WORKERS, myself};
use crate::work::{calls_a_second, micros_mean_and_median};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A process that sends back what it is sent plus one.
struct Echo {
    socket: Option<UnixStream>,
    child: Child,
}

impl Echo {
    fn start() -> Echo {
        let (socket, other) = UnixStream::pair().expect("a socketpair");
        let child = myself("socketpair")
            .stdin(OwnedFd::from(other))
            .spawn()
            .expect("it starts");
        Echo {
            socket: Some(socket),
            child,
        }
    }

    fn send(&mut self, argument: u64) {
        let socket = self.socket.as_mut().expect("open until dropped");
        socket
            .write_all(&argument.to_ne_bytes())
            .expect("the child reads");
    }

    fn receive(&mut self) -> u64 {
        let mut answer = [0; 8];
        let socket = self.socket.as_mut().expect("open until dropped");
        socket.read_exact(&mut answer).expect("the child answers");
        u64::from_ne_bytes(answer)
    }

    fn round_trip(&mut self, argument: u64) -> u64 {
        self.send(argument);
        self.receive()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.socket.take()); // The child ends when its input does.
        let _ = self.child.wait();
    }
}

/// The child's side: standard input is its end of the socketpair.
pub fn echo() -> io::Result<()> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut argument = [0; 8];
    while socket.read_exact(&mut argument).is_ok() {
        socket.write_all(&(u64::from_ne_bytes(argument) + 1).to_ne_bytes())?;
    }
    Ok(())
}

pub fn start() -> f64 {
    let begin = Instant::now();
    let mut echoes: Vec<Echo> = (0..WORKERS).map(|_| Echo::start()).collect();
    for echo in &mut echoes {
        echo.send(1);
    }
    for echo in &mut echoes {
        assert_eq!(echo.receive(), 2);
    }
    begin.elapsed().as_secs_f64() * 1e3
}

pub fn round_trips(sample: Duration) -> [f64; 2] {
    let mut echo = Echo::start();
    let mut argument = echo.round_trip(0);
    micros_mean_and_median(sample, || argument = echo.round_trip(argument))
}

/// A thread for each process, one item at a time.
pub fn items_a_second(sample: Duration) -> f64 {
    let ready = Mutex::new(Vec::new());
    for _ in 0..WORKERS {
        let mut echo = Echo::start();
        echo.round_trip(0);
        ready.lock().expect("nothing panics inside").push(echo);
    }
    calls_a_second(sample, WORKERS, || {
        let mut echo = ready
            .lock()
            .expect("nothing panics inside")
            .pop()
            .expect("one each");
        move || assert_eq!(echo.round_trip(1), 2)
    })
}
