//! The one thread of a pool that touches its processes.
//!
//! It sleeps in one `epoll` on the desk's bell, each worker's socket and each worker's pidfd, tells
//! [`Dispatch`] what happened and carries out what that decides. Invariants: it never blocks on a
//! worker (reads and writes take what there is), so one slow or stopped worker delays nobody; a
//! process is reaped before its entry goes, so no zombie and no descriptor outlives the pool; an
//! answer that was written before its worker died counts, because the socket is read to its end
//! before the death is believed.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::desk::Desk;
use super::dispatch::{Action, Dispatch, Ended as Aftermath, WorkerId};
use super::job::Job;
use crate::executor::TaskError;
use crate::panic::report;
use crate::platform::above_standard;
use crate::process::serve::ReplyHeader;
use crate::process::spawn::{Ended, Worker};
use crate::process::wire::{self, Fill, Outgoing, Reader};

/// Everything that the reactor's thread owns.
pub(super) struct Reactor {
    desk: Arc<Desk>,
    epoll: OwnedFd,
    dispatch: Dispatch<Job>,
    lines: HashMap<WorkerId, Line>,
    /// What workers' names begin with.
    prefix: String,
    done: u64,
    pids_changed: bool,
}

/// One worker: its process and the way to talk to it.
struct Line {
    worker: Worker,
    /// `None` once the worker was told to leave, or hung up.
    socket: Option<OwnedFd>,
    reader: Reader,
    outgoing: Option<Outgoing>,
    /// The socket is also watched for room to write.
    awaits_room: bool,
    greeted: bool,
    /// What it said when it refused to serve.
    refusal: Option<String>,
}

/// What one worker may be sent before it is the others' turn.
const WRITE_AT_ONCE: usize = 4 << 20;
/// How often one worker is read before it is the others' turn; each time takes what has come.
const READS_AT_ONCE: usize = 16;

/// What an event is about: a worker's id and one of these, in one `u64`.
const SOCKET: u64 = 0;
const PROCESS: u64 = 1;
const BELL: u64 = u64::MAX;

fn token(id: WorkerId, what: u64) -> EventData {
    EventData::new_u64(id << 1 | what)
}

impl Reactor {
    pub(super) fn new(desk: Arc<Desk>, max_workers: usize, prefix: String) -> io::Result<Reactor> {
        let epoll = above_standard(epoll::create(epoll::CreateFlags::CLOEXEC)?)?;
        epoll::add(
            &epoll,
            desk.bell(),
            EventData::new_u64(BELL),
            EventFlags::IN,
        )?;
        Ok(Reactor {
            desk,
            epoll,
            dispatch: Dispatch::new(max_workers),
            lines: HashMap::new(),
            prefix,
            done: 0,
            pids_changed: false,
        })
    }

    /// Runs the pool until it is shut down, or broken, and its last process is gone.
    pub(super) fn run(&mut self) {
        let mut events = Vec::with_capacity(64);
        loop {
            let collected = self.desk.collect();
            let asleep = collected.is_empty();
            for job in collected.jobs {
                self.dispatch.submit(job);
            }
            if let Some(pending) = collected.shutdown {
                for job in self.dispatch.shutdown(pending) {
                    self.complete(|| job.fail(TaskError::Cancelled));
                }
            }
            self.step();
            self.publish();
            if self.dispatch.is_finished() {
                return;
            }
            self.wait(&mut events, asleep);
            for event in events.drain(..) {
                self.handle(event.data.u64(), event.flags);
            }
        }
    }

    /// Waits for events; without `asleep` only looks whether there are any.
    fn wait(&self, events: &mut Vec<epoll::Event>, asleep: bool) {
        let now = Instant::now();
        let limit = match self.dispatch.deadline(now) {
            _ if !asleep => Some(Duration::ZERO),
            // A millisecond late rather than a busy loop before a deadline that is not quite over.
            Some(at) => Some(at.saturating_duration_since(now) + Duration::from_millis(1)),
            None => None,
        };
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        match epoll::wait(&self.epoll, spare_capacity(events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => panic!("waiting for workers failed: {error}"),
        }
    }

    fn handle(&mut self, token: u64, flags: EventFlags) {
        if token == BELL {
            self.desk.hush();
            return;
        }
        let id = token >> 1;
        if token & 1 == PROCESS {
            self.bury(id);
            return;
        }
        if flags.contains(EventFlags::OUT) {
            self.flush(id);
        }
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            self.write_off(id);
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.read(id);
        }
    }

    /// Carries out what the state machine decides, until it decides nothing more.
    fn step(&mut self) {
        loop {
            let actions = self.dispatch.step(Instant::now());
            if actions.is_empty() {
                return;
            }
            for action in actions {
                match action {
                    Action::Spawn(id) => self.spawn(id),
                    Action::Send(id, frame) => self.send(id, Outgoing::new(frame, 0)),
                    Action::Close(id) => self.close(id),
                    Action::Kill(id) => {
                        if let Some(line) = self.lines.get(&id) {
                            line.worker.kill();
                        }
                    }
                }
            }
        }
    }

    fn spawn(&mut self, id: WorkerId) {
        let started = Worker::spawn(&format!("{}{id}", self.prefix));
        let started = started.and_then(|(mut worker, socket, outgoing)| {
            match self.watch(id, &worker, &socket) {
                Ok(()) => Ok((worker, socket, outgoing)),
                Err(error) => {
                    worker.kill();
                    worker.reap();
                    Err(error)
                }
            }
        });
        match started {
            Ok((worker, socket, outgoing)) => {
                let line = Line {
                    worker,
                    socket: Some(socket),
                    reader: Reader::default(),
                    outgoing: None,
                    awaits_room: false,
                    greeted: false,
                    refusal: None,
                };
                self.lines.insert(id, line);
                self.pids_changed = true;
                self.send(id, outgoing);
            }
            Err(error) => {
                let ended = self.dispatch.ended(id, &error.to_string(), Instant::now());
                self.clear_up(ended, 0, Ended::Unknown);
            }
        }
    }

    fn watch(&self, id: WorkerId, worker: &Worker, socket: &OwnedFd) -> io::Result<()> {
        epoll::add(&self.epoll, socket, token(id, SOCKET), EventFlags::IN)?;
        epoll::add(
            &self.epoll,
            worker.pidfd(),
            token(id, PROCESS),
            EventFlags::IN,
        )?;
        Ok(())
    }

    fn send(&mut self, id: WorkerId, outgoing: Outgoing) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.outgoing = Some(outgoing);
            self.flush(id);
        }
    }

    /// Writes what the worker takes, and asks to be told when it takes more.
    fn flush(&mut self, id: WorkerId) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        let (Some(socket), Some(outgoing)) = (&line.socket, &mut line.outgoing) else {
            return;
        };
        let awaits_room = match outgoing.pump(socket, SendFlags::DONTWAIT, WRITE_AT_ONCE) {
            Ok(true) => {
                if !outgoing.is_small() {
                    line.outgoing = None;
                }
                false
            }
            Ok(false) => true,
            Err(_) => {
                self.take_back(id, false);
                return self.hung_up(id);
            }
        };
        // Most frames leave in one piece: no system call for what has not changed.
        if line.awaits_room == awaits_room {
            return;
        }
        line.awaits_room = awaits_room;
        let interest = if awaits_room {
            EventFlags::IN | EventFlags::OUT
        } else {
            EventFlags::IN
        };
        if epoll::modify(&self.epoll, socket, token(id, SOCKET), interest).is_err() {
            self.hung_up(id);
        }
    }

    /// Reads what the worker has sent, and believes what makes sense. Whether there may be more.
    fn read(&mut self, id: WorkerId) -> bool {
        for _ in 0..READS_AT_ONCE {
            let Some(line) = self.lines.get_mut(&id) else {
                return false;
            };
            let Some(socket) = &line.socket else {
                return false;
            };
            // Out of the line while the frames in it are served: serving needs all of `self`.
            let mut reader = std::mem::take(&mut line.reader);
            let filled = reader.fill(socket, RecvFlags::DONTWAIT);
            let served = filled.and_then(|fill| {
                while let Some(body) = reader.frame()? {
                    self.serve(id, body)?;
                    reader.consume();
                }
                Ok(fill)
            });
            if let Some(line) = self.lines.get_mut(&id) {
                line.reader = reader;
            }
            match served {
                Ok(Fill::More) => {}
                Ok(Fill::Drained) => return false,
                Ok(end @ (Fill::Closed | Fill::Unread)) => {
                    self.take_back(id, end == Fill::Unread);
                    self.hung_up(id);
                    return false;
                }
                Err(error) => {
                    self.distrust(id, &error);
                    return false;
                }
            }
        }
        true
    }

    /// Serves one frame of a worker.
    fn serve(&mut self, id: WorkerId, body: &[u8]) -> io::Result<()> {
        let Some(line) = self.lines.get_mut(&id) else {
            return Ok(());
        };
        if !line.greeted {
            line.worker.check(body).map_err(io::Error::other)?;
            line.greeted = true;
            self.dispatch.ready(id);
            return Ok(());
        }
        let (reply, result) = wire::split::<ReplyHeader>(body)?;
        if self.dispatch.running(id).map(Job::number) != Some(reply.task) {
            return Err(wire::corrupt("an answer that nobody asked for"));
        }
        if let Some(job) = self.dispatch.answered(id) {
            if let Some(line) = self.lines.get_mut(&id) {
                line.outgoing = None;
            }
            // The worker gets its next task before this one's result is unpacked and its
            // callbacks run: they take time, and the worker has nothing to do.
            self.step();
            self.complete(|| job.answer(reply.outcome, result));
        }
        Ok(())
    }

    /// A worker that talks nonsense is ended: nothing that it says later can be trusted.
    fn distrust(&mut self, id: WorkerId, error: &io::Error) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.refusal.get_or_insert_with(|| error.to_string());
            line.worker.kill();
        }
        self.hung_up(id);
    }

    /// A task that a worker cannot have begun, because it has not read all of it, is not lost with it.
    fn take_back(&mut self, id: WorkerId, unread: bool) {
        let Some(line) = self.lines.get_mut(&id).filter(|line| line.greeted) else {
            return;
        };
        let frame = line.outgoing.take();
        if let Some(frame) = frame.and_then(|frame| frame.take_back(unread)) {
            self.dispatch.unread(id, frame, Instant::now());
        }
    }

    fn hung_up(&mut self, id: WorkerId) {
        self.close(id);
        self.dispatch.lost(id, Instant::now());
    }

    fn close(&mut self, id: WorkerId) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.outgoing = None;
            if let Some(socket) = line.socket.take() {
                // Explicitly, because a forked copy of the descriptor would keep it in the set.
                let _ = epoll::delete(&self.epoll, socket);
            }
        }
    }

    /// Gives a worker that is known to be going no further task, whatever it has still to say.
    fn write_off(&mut self, id: WorkerId) {
        if self.lines.get(&id).is_some_and(|line| line.greeted) {
            self.dispatch.lost(id, Instant::now());
        }
    }

    /// Reads a dead worker's last words, takes its status and completes its task.
    fn bury(&mut self, id: WorkerId) {
        self.write_off(id);
        while self.read(id) {}
        self.close(id);
        let Some(mut line) = self.lines.remove(&id) else {
            return;
        };
        let _ = epoll::delete(&self.epoll, line.worker.pidfd());
        let exit = line.worker.reap();
        self.pids_changed = true;
        let why = match (line.refusal, exit) {
            (Some(refusal), _) => refusal,
            (None, Ended::Signal(signal)) => format!("it was killed by signal {signal}"),
            (None, Ended::Code(code)) => format!("it exited with code {code}"),
            (None, Ended::Unknown) => "it vanished".to_owned(),
        };
        let ended = self.dispatch.ended(id, &why, Instant::now());
        self.clear_up(ended, line.worker.pid(), exit);
    }

    /// Completes what the end of a process leaves behind.
    fn clear_up(&mut self, ended: Aftermath<Job>, pid: u32, exit: Ended) {
        if let Some(job) = ended.task {
            self.complete(|| job.died(pid, exit));
        }
        if let Some(broken) = ended.broken {
            let late = self.desk.break_down(&broken.reason);
            for job in broken.pending.into_iter().chain(late) {
                self.complete(|| job.fail(TaskError::Broken(broken.reason.clone())));
            }
        }
    }

    /// Completes one task, with word of it on the desk first: who sees a result sees it counted.
    fn complete(&mut self, complete: impl FnOnce()) {
        self.done += 1;
        self.publish();
        // A waker, and the drop of a result that nobody wants, are the user's code.
        report("what waits for a task", complete);
    }

    fn publish(&mut self) {
        let changed = std::mem::take(&mut self.pids_changed);
        let pids = changed.then(|| self.lines.values().map(|line| line.worker.pid()).collect());
        self.desk.publish(self.dispatch.census(), self.done, pids);
    }
}

/// Only after a panic of this thread are there lines left, and then nobody else will end them.
impl Drop for Reactor {
    fn drop(&mut self) {
        for line in self.lines.values_mut() {
            line.worker.kill();
            line.worker.reap();
        }
        self.lines.clear();
        self.pids_changed = true;
        self.publish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags};

    fn wait_for(fd: impl std::os::fd::AsFd) {
        let mut watched = [PollFd::new(&fd, PollFlags::IN)];
        while rustix::event::poll(&mut watched, None) == Err(Errno::INTR) {}
    }

    fn with_running_task<R: crate::executor::Portable>(
        f: fn(()) -> R,
    ) -> (Reactor, crate::executor::TaskFuture<R>) {
        let mut reactor = Reactor::new(Arc::new(Desk::new().unwrap()), 1, "unit-".into()).unwrap();
        let (job, future) = Job::new(f, &()).unwrap();
        reactor.dispatch.submit(job);
        reactor.step();
        while !future.is_running() {
            wait_for(reactor.lines[&0].socket.as_ref().unwrap());
            reactor.read(0);
            reactor.step();
        }
        (reactor, future)
    }

    #[test]
    fn an_answer_that_was_written_before_the_death_counts() {
        let (mut reactor, future) = with_running_task(|()| 7_u8);
        wait_for(reactor.lines[&0].socket.as_ref().unwrap());
        reactor.lines[&0].worker.kill();
        wait_for(reactor.lines[&0].worker.pidfd());
        reactor.bury(0);
        assert_eq!(future.result(), Ok(7));
    }

    #[test]
    fn a_reactor_that_is_dropped_leaves_no_process() {
        let (reactor, future) = with_running_task(|()| {
            loop {
                std::thread::park()
            }
        });
        let _: &crate::executor::TaskFuture<()> = &future;
        let pid = reactor.lines[&0].worker.pid();
        drop(reactor);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
