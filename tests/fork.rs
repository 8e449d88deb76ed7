//! What is promised to the child of a `fork`: row T20 of the behaviour list, and the section "Forking" of
//! `latchwork::exit`.
//!
//! Each child is a real one, of a process with many threads; it answers with its exit status, and one that
//! does not answer within ten seconds is killed, which is a failure.

#![cfg(target_os = "linux")]

mod common;

use common::{block_on, pending, until_parked, watchdog};
use latchwork::debug::{self, OnDeadlock};
use latchwork::executor::{
    Executor, SubmitRefusal, TaskError, ThreadPoolExecutor, as_completed, promise,
};
use latchwork::queue::{DelayQueue, Delayed, PriorityQueue, Queue};
use latchwork::sync::{Barrier, Condition, Event, Lock, RLock, RwLock, Semaphore};
use latchwork::time::{Timer, TimerError, sleep_async};
use latchwork::{CancelToken, GaveUp, Limit, Shutdown, thread};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);
const CHILD_LIMIT: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(5);

/// Runs `body` in a forked child and waits for it. `Err` says what became of it instead of a good end.
fn in_child(body: impl FnOnce()) -> Result<(), String> {
    // SAFETY: what the child does then is what this file is about.
    match unsafe { libc::fork() } {
        -1 => panic!("{}", std::io::Error::last_os_error()),
        0 => {
            let outcome = catch_unwind(AssertUnwindSafe(body));
            if let Err(panic) = &outcome {
                say(panic.as_ref());
            }
            // SAFETY: ends the child, without running what belongs to its parent.
            unsafe { libc::_exit(i32::from(outcome.is_err())) }
        }
        pid => end_of(pid),
    }
}

/// What a child's panic said, past libtest's capture, which goes with the child.
fn say(panic: &(dyn Any + Send)) {
    let literal = panic.downcast_ref::<&str>().copied();
    let made = panic.downcast_ref::<String>().map(String::as_str);
    let said = literal.or(made).unwrap_or("nothing");
    let line = format!("a child panicked: {said}\n");
    // SAFETY: reads the line.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
}

fn end_of(pid: i32) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: a child of ours, for which nobody else waits.
        match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } {
            0 if start.elapsed() > CHILD_LIMIT => {
                // SAFETY: it has not been waited for, so the number is still its.
                unsafe {
                    libc::kill(pid, libc::SIGKILL);
                    libc::waitpid(pid, &mut status, 0);
                }
                return Err("it hung".to_owned());
            }
            0 => std::thread::sleep(Duration::from_micros(200)),
            _ if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 => return Ok(()),
            _ => return Err(format!("its status is {status:#x}")),
        }
    }
}

/// Everything that a program may want to do, with nothing that was there before.
fn use_everything() {
    let count = Arc::new(Lock::new(0));
    let places = Arc::new(Semaphore::new(1));
    let all_here = Arc::new(Barrier::new(3));
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (count, places) = (Arc::clone(&count), Arc::clone(&places));
            let all_here = Arc::clone(&all_here);
            thread::spawn(move || {
                all_here.wait().unwrap();
                for _ in 0..100 {
                    let _place = places.acquire().unwrap();
                    *count.lock() += 1;
                }
            })
        })
        .collect();
    workers
        .into_iter()
        .for_each(|worker| worker.join().unwrap());
    assert_eq!(*count.lock(), 300);

    let queue = Queue::bounded(1);
    let putter = {
        let queue = queue.clone();
        thread::spawn(move || (0..200).for_each(|n| queue.put(n).unwrap()))
    };
    assert_eq!((0..200).map(|_| queue.get().unwrap()).sum::<i32>(), 19_900);
    putter.join().unwrap();

    let event = Arc::new(Event::new());
    assert_eq!(event.wait_within(SHORT), Err(GaveUp::TimedOut));
    let token = CancelToken::new();
    assert_eq!(
        event.wait_within(token.within(SHORT)),
        Err(GaveUp::TimedOut)
    );
    let setter = {
        let (event, token) = (Arc::clone(&event), token.clone());
        thread::spawn(move || {
            event.set();
            token.cancel();
        })
    };
    event.wait();
    setter.join().unwrap();
    assert!(token.is_cancelled());

    let (turn, changed) = (Lock::new(0), Condition::new());
    let table = RwLock::new(0);
    std::thread::scope(|s| {
        for me in 0..2 {
            let (turn, changed, table) = (&turn, &changed, &table);
            s.spawn(move || {
                for round in 0..20 {
                    let mut turn = turn.lock();
                    changed.wait_while(&mut turn, |turn| *turn % 2 != me);
                    *turn += 1;
                    *table.write() += round;
                    changed.notify_all();
                }
            });
        }
    });
    assert_eq!(*table.read(), 380);

    let pool = ThreadPoolExecutor::new(2);
    let squares = pool.map(|n| n * n, 1..=10u64).unwrap();
    assert_eq!(squares.map(Result::unwrap).sum::<u64>(), 385);

    let hour = Timer::after(HOUR, || ());
    assert_eq!(Timer::after(SHORT, || 7).join().unwrap(), 7);
    assert!(hour.cancel().is_prevented());
    block_on(sleep_async(SHORT));
    let delayed = DelayQueue::unbounded();
    delayed.put(Delayed::after(SHORT, 1)).unwrap();
    assert_eq!(delayed.get().unwrap().item, 1);
}

/// Threads that keep every kind of thing busy, until dropped.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    things: Arc<Things>,
}

struct Things {
    lock: Lock<u64>,
    rlock: RLock<()>,
    fair: Lock<u64>,
    table: RwLock<u64>,
    queue: Queue<u64>,
    tight: Queue<u64>,
    ordered: PriorityQueue<u64>,
    event: Event,
    places: Semaphore,
    turn: Lock<u64>,
    changed: Condition,
}

impl Load {
    fn start() -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let things = Arc::new(Things {
            lock: Lock::new(0),
            rlock: RLock::new(()),
            fair: Lock::fair(0),
            table: RwLock::new(0),
            queue: Queue::unbounded(),
            tight: Queue::bounded(1),
            ordered: PriorityQueue::unbounded(),
            event: Event::new(),
            places: Semaphore::new(1),
            turn: Lock::new(0),
            changed: Condition::new(),
        });
        let threads = (0..8)
            .map(|n| {
                let (stop, things) = (Arc::clone(&stop), Arc::clone(&things));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        match n {
                            5 => hammer_timers(),
                            0..5 => things.hammer(n),
                            // Locks every bucket in turn, and the directory for each name.
                            _ => {
                                drop(debug::waits());
                                std::thread::sleep(Duration::from_micros(100));
                            }
                        }
                    }
                })
            })
            .collect();
        Load {
            stop,
            threads,
            things,
        }
    }
}

impl Things {
    fn hammer(&self, n: u64) {
        *self.lock.lock() += 1;
        drop(self.rlock.lock());
        *self.fair.lock() += 1;
        if n.is_multiple_of(3) {
            *self.table.write() += 1;
        } else {
            let _ = *self.table.read();
        }
        if n.is_multiple_of(2) {
            self.queue.put(n).unwrap();
            let _ = self.tight.put_within(n, SHORT);
            self.ordered.put(n).unwrap();
            self.event.set();
        } else {
            let _ = self.queue.get_within(SHORT);
            let _ = self.tight.get_within(SHORT);
            let _ = self.ordered.get_within(SHORT);
            self.event.clear();
        }
        let _ = self.event.wait_within(Duration::from_micros(100));
        drop(self.places.acquire().unwrap());
        let mut turn = self.turn.lock();
        *turn += 1;
        self.changed.notify_all();
        let _ = self
            .changed
            .wait_while_within(&mut turn, |turn| turn.is_multiple_of(2), SHORT);
        drop(turn);
        let token = CancelToken::new();
        let child = token.child();
        token.cancel();
        assert!(child.is_cancelled());
        if self.lock.lock().is_multiple_of(16) {
            thread::spawn(|| ()).join().unwrap();
        }
    }
}

fn hammer_timers() {
    let far = Timer::after(HOUR, || ());
    let near = Timer::after(Duration::from_micros(20), || 1);
    far.reset(HOUR / 2);
    drop(near.join_within(Duration::from_micros(30)));
    assert!(far.cancel().is_prevented());
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// T20: whatever the threads of the parent were doing, the child can do everything.
#[test]
fn a_child_of_busy_threads_can_do_everything() {
    watchdog(LIMIT, "a_child_of_busy_threads", || {
        let load = Load::start();
        for round in 0..200 {
            let body = || {
                assert!(debug::waits().is_empty(), "{:?}", debug::waits());
                use_everything();
            };
            in_child(body).unwrap_or_else(|why| panic!("child {round}: {why}"));
        }
        drop(load);
        use_everything();
    });
}

/// A timer is called in one process; an item becomes due in both, and so does a sleep's end.
#[test]
fn timers_are_the_parents_and_what_becomes_due_is_everybodys() {
    struct Tells(mpsc::Sender<&'static str>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }
    watchdog(LIMIT, "timers_are_the_parents", || {
        let (send, told) = mpsc::channel();
        let tells = Tells(send.clone());
        let timer = Timer::after(Duration::from_millis(300), move || {
            let _ = tells.0.send("called");
        });
        let again = Timer::every(Duration::from_millis(100)).run(move |_| {
            let _ = send.send("again");
        });
        let delayed = DelayQueue::unbounded();
        delayed.put(Delayed::after(SHORT, 1)).unwrap();
        let mut sleeping = pending(sleep_async(SHORT));
        let mut got = pending(delayed.get_async());
        let child = || {
            assert!(matches!(timer.join(), Err(TimerError::Lost)));
            assert!(matches!(again.join(), Err(TimerError::Lost)));
            assert_eq!(block_on(got.as_mut()).unwrap().item, 1);
            block_on(sleeping.as_mut());
            assert_eq!(Timer::after(Duration::ZERO, || 1).join().unwrap(), 1);
            assert!(told.try_recv().is_err(), "neither called nor dropped");
        };
        in_child(child).unwrap();
        assert!(told.iter().any(|what| what == "called"));
        assert_eq!(told.iter().find(|what| *what != "again"), Some("dropped"));
    });
}

/// What other threads of the parent waited for can be used; they are not in the way.
#[test]
fn what_others_only_waited_for_can_be_used() {
    watchdog(LIMIT, "what_others_only_waited_for", || {
        let queue = Queue::unbounded();
        let places = Arc::new(Semaphore::fair(0));
        let locks = Arc::new([Lock::new(0), Lock::fair(0)]);
        let changed = Arc::new((Lock::new(false), Condition::new()));
        let held = locks.each_ref().map(Lock::lock);
        let mut waiters = Vec::new();
        for _ in 0..2 {
            let (queue, places) = (queue.clone(), Arc::clone(&places));
            waiters.push(std::thread::spawn(move || queue.get().unwrap()));
            waiters.push(std::thread::spawn(move || {
                places.acquire().unwrap().forget();
                0
            }));
            for n in 0..2 {
                let locks = Arc::clone(&locks);
                waiters.push(std::thread::spawn(move || *locks[n].lock()));
            }
            let changed = Arc::clone(&changed);
            waiters.push(std::thread::spawn(move || {
                changed
                    .1
                    .wait_while(&mut changed.0.lock(), |changed| !*changed);
                0
            }));
        }
        while debug::waits().len() < waiters.len() {
            std::thread::yield_now();
        }

        let child = || {
            assert!(debug::waits().is_empty());
            drop(held);
            // Each time a newcomer waits, and is found: not those who are not here.
            std::thread::scope(|s| {
                s.spawn(|| assert_eq!(queue.get(), Ok(7)));
                s.spawn(|| drop(places.acquire().unwrap()));
                s.spawn(|| {
                    changed
                        .1
                        .wait_while(&mut changed.0.lock(), |changed| !*changed)
                });
                while debug::waits().len() < 3 {
                    std::thread::yield_now();
                }
                queue.put(7).unwrap();
                places.release(1).unwrap();
                *changed.0.lock() = true;
                changed.1.notify_one();
            });
            for lock in &*locks {
                let held = lock.lock();
                std::thread::scope(|s| {
                    let workers = [(); 2].map(|()| s.spawn(|| *lock.lock() += 1));
                    until_parked("Lock", lock, 2);
                    drop(held);
                    let _ = workers.map(|worker| worker.join().unwrap());
                });
                assert_eq!(*lock.lock(), 2);
            }
        };
        in_child(child).unwrap();

        // In the parent nothing has changed.
        let _ = [1, 2].map(|n| queue.put(n).unwrap());
        places.release(2).unwrap();
        *changed.0.lock() = true;
        changed.1.notify_all();
        let ends: i32 = waiters
            .into_iter()
            .map(|waiter| waiter.join().unwrap())
            .sum();
        assert_eq!(ends, 3);
    });
}

/// What a thread that is not here holds stays locked: a wait with a limit ends, one without is told.
#[test]
fn a_wait_for_what_another_thread_held_is_told() {
    watchdog(LIMIT, "a_wait_for_what_another_held", || {
        let lock = Arc::new(Lock::new(0));
        let table = Arc::new(RwLock::new(0));
        let rlock = Arc::new(RLock::new(0));
        let (release, wait) = mpsc::channel::<()>();
        let (ready, is_ready) = mpsc::channel();
        let holder = {
            let (lock, table, rlock) = (Arc::clone(&lock), Arc::clone(&table), Arc::clone(&rlock));
            let holder = std::thread::Builder::new().name("holder".to_owned());
            let hold = move || {
                let _held = (lock.lock(), table.write(), rlock.lock());
                ready.send(()).unwrap();
                let _ = wait.recv();
            };
            holder.spawn(hold).unwrap()
        };
        is_ready.recv().unwrap();
        let free = Lock::new(0);

        let child = || {
            debug::on_deadlock(OnDeadlock::Panic);
            assert_eq!(lock.lock_within(SHORT).err(), Some(GaveUp::TimedOut));
            assert!(table.try_read().is_none() && rlock.try_lock().is_none());
            let waits: [&dyn Fn(); 3] = [&|| *lock.lock() += 1, &|| *table.write() += 1, &|| {
                drop(rlock.lock())
            }];
            for wait in waits {
                let told = catch_unwind(AssertUnwindSafe(wait)).unwrap_err();
                let told = told.downcast_ref::<String>().unwrap();
                assert!(
                    told.starts_with("deadlock: a thread waits for one that did not come along")
                );
                assert!(told.ends_with("`holder`"), "{told}");
            }
            // Told in every thread, and however often; and only then.
            let other = thread::spawn({
                let lock = Arc::clone(&lock);
                move || *lock.lock() += 1
            });
            assert!(
                other
                    .join()
                    .unwrap_err()
                    .to_string()
                    .contains("did not come along")
            );
            let held = free.lock();
            std::thread::scope(|s| {
                s.spawn(|| *free.lock() += 1);
                until_parked("Lock", &free, 1);
                drop(held);
            });
            assert_eq!(*free.lock(), 1);

            let (send, told) = mpsc::channel();
            debug::on_deadlock(OnDeadlock::Call(Arc::new(move |deadlock| {
                let _ = send.send((deadlock.is_circle(), deadlock.waits()[0].owner.clone()));
            })));
            let waiter = thread::Builder::new().daemon(true);
            drop(waiter.spawn(move || *lock.lock() += 1).unwrap());
            let (is_circle, owner) = told.recv().unwrap();
            assert!(!is_circle);
            assert_eq!(owner.unwrap().name.as_deref(), Some("holder"));
        };
        in_child(child).unwrap();
        drop(release);
        holder.join().unwrap();
    });
}

/// T20: in the child there is one thread, the first, and the others have ended.
#[test]
fn the_thread_that_forks_is_the_only_one() {
    watchdog(LIMIT, "the_thread_that_forks", || {
        let (release, wait) = mpsc::channel::<()>();
        let other = thread::Builder::new()
            .name("other")
            .spawn(move || wait.recv().is_err());
        let other = other.unwrap();
        let info = other.thread().clone();
        let forks = move || {
            let before = thread::current();
            let outcome = in_child(|| {
                assert_eq!(thread::active_count(), 1);
                let this = thread::current();
                assert!(this.is_main() && this.is_alive() && !this.is_daemon());
                assert_eq!(thread::enumerate(), std::slice::from_ref(&this));
                assert_eq!(thread::main(), Some(this.clone()));
                assert_eq!(this.name(), before.name());
                assert_eq!(this.native_id().unwrap().get(), std::process::id());
                assert!(!info.is_alive());
                info.wait().unwrap();
                assert_eq!(other.join(), Err(thread::JoinError::LeftBehind));

                let (release, wait) = mpsc::channel::<()>();
                let new = thread::spawn(move || wait.recv().is_err());
                assert_eq!(thread::active_count(), 2);
                drop(release);
                assert_eq!(new.join(), Ok(true));
                assert_eq!(thread::active_count(), 1);
            });
            assert_eq!(thread::current(), before);
            outcome
        };
        // From a thread of this crate, and from one of others that has not asked who it is.
        thread::spawn(forks).join().unwrap().unwrap();
        let foreign = || in_child(|| assert_eq!(thread::enumerate(), [thread::current()]));
        std::thread::spawn(foreign).join().unwrap().unwrap();
        drop(release);
    });
}

/// A pool does not come along: it refuses, and what it has not finished is lost, not waited for.
#[test]
fn a_pool_refuses_in_the_child_and_its_tasks_are_lost() {
    watchdog(LIMIT, "a_pool_refuses", || {
        let (release, wait) = mpsc::channel::<()>();
        let pool = ThreadPoolExecutor::new(1);
        let done = pool.spawn(|| 1).unwrap();
        done.wait();
        let running = pool.spawn(move || wait.recv().is_err()).unwrap();
        while !running.is_running() {
            std::thread::yield_now();
        }
        let pending = pool.spawn(|| 3).unwrap();
        let child = || {
            let refused = pool.spawn(|| ()).unwrap_err();
            assert!(
                matches!(refused.reason, SubmitRefusal::Broken(_)),
                "{refused:?}"
            );
            assert_eq!(done.result(), Ok(1));
            assert_eq!(running.result(), Err(TaskError::Lost));
            assert!(pending.is_done());
            assert_eq!(pending.result(), Err(TaskError::Lost));
            pool.shutdown(Shutdown::Immediate);
            pool.join();
            assert!(format!("{pool:?}").contains("left behind"));
            use_everything();
        };
        in_child(child).unwrap();
        drop(release);
        drop(pool);

        // A task that forks: its child does not go on with the tasks of the pool.
        let pool = ThreadPoolExecutor::new(1);
        let forked = pool.spawn(|| in_child(use_everything)).unwrap();
        let next = pool.spawn(|| 2).unwrap();
        forked.result().unwrap().unwrap();
        assert_eq!(next.result(), Ok(2));
    });
}

/// What was to be awaited one after the other when the process forked ends in the child, too.
#[test]
fn who_awaits_the_parents_tasks_hears_that_they_are_lost() {
    watchdog(LIMIT, "who_awaits_the_parents", || {
        let (_promises, futures): (Vec<_>, Vec<_>) =
            [promise::<u8>(), promise()].into_iter().unzip();
        let mut completed = as_completed(futures, Limit::none());
        let child = || {
            let first = block_on(completed.next_async()).unwrap().unwrap();
            assert_eq!(first.result(), Err(TaskError::Lost));
            let second = completed.next().unwrap().unwrap();
            assert_eq!(second.result(), Err(TaskError::Lost));
        };
        in_child(child).unwrap();
    });
}

/// Children of children, each with threads and locks of its own generation.
#[test]
fn generations() {
    fn descend(depth: u32) {
        let lock = Arc::new(Lock::new(0));
        let its = Arc::clone(&lock);
        let (ready, is_ready) = mpsc::channel();
        let holder = thread::Builder::new().daemon(true).spawn(move || {
            let _held = its.lock();
            ready.send(()).unwrap();
            std::thread::park();
        });
        drop(holder.unwrap());
        is_ready.recv().unwrap();
        if depth > 0 {
            in_child(|| {
                assert_eq!(lock.lock_within(SHORT).err(), Some(GaveUp::TimedOut));
                descend(depth - 1);
            })
            .unwrap();
        } else {
            use_everything();
        }
    }
    watchdog(LIMIT, "generations", || in_child(|| descend(4)).unwrap());
}

/// What others were in the middle of may be told or end the child, but never hangs.
#[test]
fn what_others_were_in_the_middle_of_never_hangs() {
    watchdog(LIMIT, "what_others_were_in_the_middle_of", || {
        let load = Load::start();
        let things = Arc::clone(&load.things);
        let mut ends = [0; 2];
        for round in 0..150 {
            let body = || {
                debug::on_deadlock(OnDeadlock::Panic);
                let uses: [&(dyn Fn() + Sync); 6] = [
                    &|| *things.lock.lock() += 1,
                    &|| drop(things.rlock.lock()),
                    &|| *things.fair.lock() += 1,
                    &|| things.queue.put(1).unwrap(),
                    &|| {
                        let _ = things.tight.put_within(1, SHORT);
                    },
                    &|| drop(things.places.acquire_within(SHORT)),
                ];
                std::thread::scope(|s| {
                    for _ in 0..2 {
                        s.spawn(|| {
                            for used in uses.iter().cycle().take(60) {
                                let _ = catch_unwind(AssertUnwindSafe(used));
                            }
                        });
                    }
                });
            };
            match in_child(body) {
                Ok(()) => ends[0] += 1,
                // SIGABRT, with or without a core.
                Err(status) if status.contains("0x6") || status.contains("0x86") => ends[1] += 1,
                Err(why) => panic!("child {round}: {why}"),
            }
        }
        assert!(ends[0] > 0, "{ends:?}");
    });
}

/// Names and hooks are the whole process's, and others may be looking at them while it forks.
#[test]
fn names_and_hooks_can_be_used_whatever_others_do_with_them() {
    watchdog(LIMIT, "names_and_hooks", || {
        let stop = AtomicBool::new(false);
        let here = thread::current();
        thread::scope(|s| {
            drop(s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(here.name());
                }
            }));
            drop(s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    thread::set_panic_hook(|_| ());
                }
            }));
            drop(s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    thread::on_start(|_| ()).remove();
                    thread::on_exit(|_| ()).remove();
                }
            }));
            for round in 0..100 {
                let body = || {
                    assert_eq!(thread::current().name(), here.name());
                    drop(thread::take_panic_hook());
                    thread::on_start(|_| ()).remove();
                    thread::on_exit(|_| ()).remove();
                    thread::spawn(|| ()).join().unwrap();
                };
                let outcome = in_child(body);
                if outcome.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                outcome.unwrap_or_else(|why| panic!("child {round}: {why}"));
            }
            stop.store(true, Ordering::Relaxed);
        });
        drop(thread::take_panic_hook());
    });
}

/// A fork in the middle of a join, or of a loop: the child does what nobody had begun, and panics where it would have to
/// wait for who did not come along.
#[test]
fn what_others_had_begun_is_left_behind() {
    // The end of a child: a good one if it has panicked as it should.
    let end = |outcome: Result<(), Box<dyn Any + Send>>| -> ! {
        let panic = outcome.err();
        let said = panic.and_then(|panic| panic.downcast_ref::<&str>().copied());
        let is_good = said.is_some_and(|said| said.contains("left behind"));
        // SAFETY: as in `in_child`.
        unsafe { libc::_exit(i32::from(!is_good)) }
    };
    watchdog(LIMIT, "what_others_had_begun", move || {
        let pool = ThreadPoolExecutor::new(2);
        // Nobody has come to it.
        let alone = ThreadPoolExecutor::new(1);
        let child = alone.fork_join(
            || {
                in_child(|| {
                    let both = latchwork::parallel::join(|| 1, || 2);
                    assert_eq!(both, (1, 2));
                    let squares = latchwork::parallel::map_collect(0..100, |n| n * n);
                    assert_eq!(squares.len(), 100);
                    use_everything();
                })
            },
            || (),
        );
        child.0.unwrap();
        // The other half has begun elsewhere.
        let (begun, goes_on) = (Event::new(), Event::new());
        let child = AtomicBool::new(false);
        let mut ended = Ok(());
        pool.install(|| {
            let mut join = || {
                latchwork::parallel::join(
                    || {
                        begun.wait();
                        // SAFETY: as in `in_child`.
                        match unsafe { libc::fork() } {
                            0 => child.store(true, Ordering::Relaxed),
                            pid => {
                                ended = end_of(pid);
                                goes_on.set();
                            }
                        }
                    },
                    || {
                        begun.set();
                        goes_on.wait();
                    },
                );
            };
            let joined = catch_unwind(AssertUnwindSafe(&mut join));
            if child.load(Ordering::Relaxed) {
                end(joined);
            }
        });
        ended.unwrap();
        // The caller's is the first item; what was begun elsewhere never comes.
        let (begun, goes_on) = (Event::new(), Event::new());
        let caller = std::thread::current().id();
        let child = AtomicBool::new(false);
        let ended = std::sync::Mutex::new(Ok(()));
        let mut collect = || {
            let job = latchwork::parallel::parallel(0..2)
                .on(&pool)
                .jobs(latchwork::parallel::Jobs::N(2))
                .batch(latchwork::parallel::Batch::N(1));
            let work = |_| {
                if std::thread::current().id() != caller {
                    begun.set();
                    goes_on.wait();
                    return;
                }
                begun.wait();
                // SAFETY: as in `in_child`.
                match unsafe { libc::fork() } {
                    0 => child.store(true, Ordering::Relaxed),
                    pid => {
                        *ended.lock().unwrap() = end_of(pid);
                        goes_on.set();
                    }
                }
            };
            job.map(work).collect().unwrap();
        };
        let collected = catch_unwind(AssertUnwindSafe(&mut collect));
        if child.load(Ordering::Relaxed) {
            end(collected);
        }
        collected.unwrap();
        ended.into_inner().unwrap().unwrap();
    });
}
