//! Processes that end before their time: workers, their parents, and those that never start.

use std::process::{Command, Stdio};

use latchwork::executor::{
    Executor, Exit, ProcessPoolExecutor, SubmitRefusal, TaskError, WorkerDied,
};

use crate::stage::{Meeting, Watched, guarded, in_own_process, meet, signal, stop};

fn death(result: Result<impl std::fmt::Debug, TaskError>) -> WorkerDied {
    match result {
        Err(TaskError::WorkerDied(death)) => death,
        other => panic!("its worker died, but {other:?}"),
    }
}

#[test]
fn a_killed_worker_costs_exactly_its_own_task() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(2).unwrap();
        let meeting = Meeting::new();
        let tasks = [0; 2].map(|_| pool.submit(meet, meeting.place()).unwrap());
        let queued = pool.map(|n: u32| (std::process::id(), n), 0..20).unwrap();
        let [victim, survivor] = [meeting.wait(), meeting.wait()];
        let (dead, alive) = (victim.pid, survivor.pid);
        victim.kill();
        // The queue goes on with the replacement alone: the survivor is still in its task.
        for (n, result) in (0..).zip(queued) {
            let (pid, answer) = result.unwrap();
            assert_eq!(answer, n);
            assert!(pid != dead && pid != alive);
        }
        survivor.release();
        let mut results = tasks.map(|task| (task.id(), task.result()));
        results.sort_by_key(|(_, result)| result.is_err());
        let [(_, survived), (id, died)] = results;
        assert_eq!(survived, Ok(alive));
        let died = death(died);
        assert_eq!(
            (died.task, died.pid, died.exit),
            (id, dead, Exit::Signal(libc::SIGKILL))
        );
        assert!(!pool.worker_pids().contains(&dead));
    });
}

#[test]
fn every_way_to_end_a_process_from_within_is_told_apart() {
    #[expect(unconditional_recursion)]
    fn overflow(depth: u64) -> u64 {
        let frame = [depth; 512];
        std::hint::black_box(&frame);
        overflow(depth + 1) + frame[depth as usize % 512]
    }
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let exit = |code: i32| -> u8 { std::process::exit(code) };
        assert_eq!(
            death(pool.submit(exit, 3).unwrap().result()).exit,
            Exit::Code(3)
        );
        assert_eq!(
            death(pool.submit(exit, 0).unwrap().result()).exit,
            Exit::Code(0)
        );
        let abort = |()| -> u8 { std::process::abort() };
        let aborted = death(pool.submit(abort, ()).unwrap().result());
        assert_eq!(aborted.exit, Exit::Signal(libc::SIGABRT));
        let overflowed = death(pool.submit(overflow, 0).unwrap().result());
        assert!(matches!(overflowed.exit, Exit::Signal(_)), "{overflowed:?}");
        assert_eq!(pool.submit(|n: u8| n, 1).unwrap().result(), Ok(1));
    });
}

#[test]
fn a_task_whose_argument_got_only_halfway_is_run_by_the_next_worker() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let pid = pool
            .submit(|()| std::process::id(), ())
            .unwrap()
            .result()
            .unwrap();
        stop(pid);
        let large = pool
            .submit(|text: String| text.len(), "x".repeat(32 << 20))
            .unwrap();
        while !large.is_running() {
            std::thread::yield_now();
        }
        // It is this worker's, and cannot have been read, let alone begun.
        signal(pid, libc::SIGKILL);
        assert_eq!(large.result(), Ok(32 << 20));
        assert_ne!(pool.worker_pids(), [pid]);
        assert_eq!(pool.submit(|n: u8| n, 1).unwrap().result(), Ok(1));
    });
}

#[test]
fn a_task_that_closes_its_workers_descriptors_costs_that_task() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let close_all = |()| {
            // SAFETY: not sound for a program that goes on; this one cannot even answer.
            unsafe { libc::close_range(3, libc::c_uint::MAX, 0) }
        };
        let closed = death(pool.submit(close_all, ()).unwrap().result());
        assert!(
            matches!(closed.exit, Exit::Signal(_) | Exit::Code(_)),
            "{closed:?}"
        );
        assert_eq!(pool.submit(|n: u8| n, 1).unwrap().result(), Ok(1));
    });
}

#[test]
fn a_worker_that_talks_nonsense_is_killed_and_costs_its_task() {
    fn babble(_: ()) {
        for fd in 3..16 {
            let noise = b"this is not a frame";
            // What this process opened itself is close-on-exec; of that, only the control socket
            // is a socket.
            // SAFETY: `send` reads the bytes given; on what is no socket it fails.
            unsafe {
                if libc::fcntl(fd, libc::F_GETFD) == libc::FD_CLOEXEC {
                    libc::send(fd, noise.as_ptr().cast(), noise.len(), libc::MSG_NOSIGNAL);
                }
            }
        }
    }
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let killed = death(pool.submit(babble, ()).unwrap().result());
        assert_eq!(killed.exit, Exit::Signal(libc::SIGKILL));
        assert_eq!(pool.submit(|n: u8| n, 1).unwrap().result(), Ok(1));
    });
}

#[test]
fn kills_under_load_cost_no_more_tasks_than_workers() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(3).unwrap();
        let double = |n: u32| (std::process::id(), n * 2);
        let (mut killed, mut died) = (0, 0);
        for (n, result) in (0..3_000).zip(pool.map(double, 0..3_000).unwrap()) {
            match result {
                Ok((pid, doubled)) => {
                    assert_eq!(doubled, n * 2);
                    // Only workers that have answered: killing those that start is another test.
                    if n % 50 == 0 {
                        // SAFETY: `kill` touches no memory of this process. The worker may have
                        // been killed before, and reaped.
                        killed += u32::from(unsafe { libc::kill(pid as i32, libc::SIGKILL) } == 0);
                    }
                }
                Err(TaskError::WorkerDied(_)) => died += 1,
                Err(other) => panic!("task {n}: {other:?}"),
            }
        }
        assert!(
            killed >= 2,
            "the load was over before anybody could be killed"
        );
        assert!(died <= killed, "{killed} kills cost {died} tasks");
    });
}

/// Makes this test binary a parent that can be killed: it starts workers and waits.
const DOOMED: &str = "LATCHWORK_TEST_DOOMED";

#[test]
fn workers_go_with_their_parent_even_in_the_middle_of_a_task() {
    fn nested(place: String) -> u32 {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        pool.submit(meet, place).unwrap().result().unwrap()
    }
    guarded(|| {
        if let Ok(place) = std::env::var(DOOMED) {
            let pool = ProcessPoolExecutor::new(3).unwrap();
            let idle = pool.submit(|()| (), ()).unwrap();
            idle.result().unwrap();
            let task = pool.submit(meet, place.clone()).unwrap();
            let grandchild = pool.submit(nested, place).unwrap();
            let _ = (task.result(), grandchild.result());
            unreachable!("it is killed before");
        }
        let meeting = Meeting::new();
        let test = "death::workers_go_with_their_parent_even_in_the_middle_of_a_task";
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(DOOMED, meeting.place())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let workers = [meeting.wait(), meeting.wait()];
        let mut watched: Vec<_> = workers.iter().map(|at| Watched::new(at.pid)).collect();
        watched.extend(children_of(parent.id()).into_iter().map(Watched::new));
        assert_eq!(
            watched.len(),
            4,
            "both in the meeting, and the parent's own two"
        );
        parent.kill().unwrap();
        for process in &watched {
            process.wait_for_end();
        }
        parent.wait().unwrap();
    });
}

fn children_of(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let list = std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap();
        children.extend(
            list.split_whitespace()
                .map(|pid| pid.parse::<u32>().unwrap()),
        );
    }
    children
}

#[test]
fn nothing_is_left_behind() {
    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }
    fn threads() -> usize {
        std::fs::read_dir("/proc/self/task").unwrap().count()
    }
    fn round() {
        let pool = ProcessPoolExecutor::new(3).unwrap();
        let meeting = Meeting::new();
        let victim = pool.submit(meet, meeting.place()).unwrap();
        let deaths = [0; 3].map(|_| {
            pool.submit(|()| -> u8 { std::process::exit(1) }, ())
                .unwrap()
        });
        meeting.wait().kill();
        death(victim.result());
        for task in deaths {
            death(task.result());
        }
        assert_eq!(
            pool.map(|n: u8| n, 0..20)
                .unwrap()
                .filter(Result::is_ok)
                .count(),
            20
        );
    }
    in_own_process(
        |command| command,
        || {
            // What a process keeps from its first pool on is not a leak; what each leaves is.
            round();
            let before = (descriptors(), threads());
            for _ in 0..5 {
                round();
            }
            assert_eq!((descriptors(), threads()), before);
            // SAFETY: waits for no child in particular and asks for no status.
            let waited = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
            let error = std::io::Error::last_os_error().raw_os_error();
            assert_eq!(
                (waited, error),
                (-1, Some(libc::ECHILD)),
                "a child or a zombie is left"
            );
        },
    );
}

/// Makes workers of this binary die before they are ready.
const STILLBORN: &str = "LATCHWORK_TEST_STILLBORN";

#[used]
#[unsafe(link_section = ".init_array.00200")]
static BEFORE_THE_WORKER: extern "C" fn() = {
    extern "C" fn die_if_told() {
        if std::env::var_os(STILLBORN).is_some() && std::env::var_os("LATCHWORK_WORKER").is_some() {
            std::process::exit(33);
        }
    }
    die_if_told
};

fn broken_in_time(says: &str) {
    let pool = ProcessPoolExecutor::new(3).unwrap();
    let tasks = [0; 10].map(|_| pool.submit(|()| (), ()).unwrap());
    for task in tasks {
        match task.result() {
            Err(TaskError::Broken(why)) => assert!(why.contains(says), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    let refused = pool.submit(|n: u32| n, 7).unwrap_err();
    assert_eq!(refused.value, 7);
    assert!(
        matches!(refused.reason, SubmitRefusal::Broken(_)),
        "{:?}",
        refused.reason
    );
    assert!(format!("{pool:?}").contains("broken"));
    pool.join();
    assert_eq!(pool.worker_pids(), []);
}

#[test]
fn workers_that_die_at_start_break_the_pool_instead_of_hanging_it() {
    in_own_process(
        |command| command.env(STILLBORN, "1"),
        || broken_in_time("exited with code 33"),
    );
}

#[test]
fn a_system_that_gives_no_process_breaks_the_pool_instead_of_hanging_it() {
    in_own_process(
        |command| command,
        || {
            let pool = ProcessPoolExecutor::new(1).unwrap();
            let mut taken = Vec::new();
            // SAFETY: the limit is a plain value; lowering it is what the test is about.
            unsafe {
                let limit = libc::rlimit {
                    rlim_cur: 64,
                    rlim_max: 64,
                };
                assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
            }
            while let Ok(file) = std::fs::File::open("/dev/null") {
                taken.push(file);
            }
            let task = pool.submit(|()| (), ()).unwrap();
            assert!(matches!(task.result(), Err(TaskError::Broken(_))));
            drop(taken);
            drop(pool);
            let fresh = ProcessPoolExecutor::new(1).unwrap();
            assert_eq!(fresh.submit(|n: u8| n, 1).unwrap().result(), Ok(1));
        },
    );
}

#[test]
fn an_answer_to_another_call_is_not_believed() {
    fn forge(_: ()) -> u8 {
        // A whole and well-formed reply, "task u64::MAX returned 9".
        let body = [&[0xff; 9][..], &[1, 0, 9]].concat();
        let frame = [&b"LWf1"[..], &(body.len() as u64).to_le_bytes(), &body].concat();
        // SAFETY: `send` reads the bytes given; on what is no socket it fails.
        (3..16).for_each(|fd| unsafe {
            if libc::fcntl(fd, libc::F_GETFD) == libc::FD_CLOEXEC {
                libc::send(fd, frame.as_ptr().cast(), frame.len(), libc::MSG_NOSIGNAL);
            }
        });
        loop {
            std::thread::park();
        }
    }
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let killed = death(pool.submit(forge, ()).unwrap().result());
        assert_eq!(killed.exit, Exit::Signal(libc::SIGKILL));
    });
}

#[test]
fn a_dead_workers_socket_is_not_watched_for_the_sake_of_a_forked_copy() {
    fn watched() -> usize {
        let entries = std::fs::read_dir("/proc/self/fdinfo").unwrap();
        let infos =
            entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default());
        infos.map(|info| info.matches("tfd:").count()).sum()
    }
    in_own_process(
        |command| command,
        || {
            let pool = ProcessPoolExecutor::new(1).unwrap();
            let before = watched();
            pool.submit(|()| (), ()).unwrap().result().unwrap();
            // SAFETY: the child makes one system call at a time until it is killed.
            let copy = unsafe { libc::fork() };
            if copy == 0 {
                loop {
                    // SAFETY: as above.
                    unsafe { libc::pause() };
                }
            }
            death(
                pool.submit(|()| -> u8 { std::process::exit(1) }, ())
                    .unwrap()
                    .result(),
            );
            let after = watched();
            signal(copy as u32, libc::SIGKILL);
            // SAFETY: our own child.
            unsafe { libc::waitpid(copy, std::ptr::null_mut(), 0) };
            assert_eq!(after, before);
        },
    );
}

/// As `DOOMED`: a parent of which a forked child keeps copies of all descriptors.
const COPIED: &str = "LATCHWORK_TEST_COPIED";

#[test]
fn a_worker_goes_with_its_parent_although_a_forked_child_keeps_the_socket() {
    guarded(|| {
        if let Ok(place) = std::env::var(COPIED) {
            let pool = ProcessPoolExecutor::new(1).unwrap();
            pool.submit(|()| (), ()).unwrap().result().unwrap();
            // SAFETY: the child makes system calls only.
            if unsafe { libc::fork() } == 0 {
                // SAFETY: as above. Ends by itself, later than the test.
                unsafe {
                    libc::alarm(120);
                    loop {
                        libc::pause();
                    }
                }
            }
            let _ = pool.submit(meet, place).unwrap().result();
            unreachable!("it is killed before");
        }
        let meeting = Meeting::new();
        let test = "death::a_worker_goes_with_its_parent_although_a_forked_child_keeps_the_socket";
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(COPIED, meeting.place())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let arrived = meeting.wait();
        let worker = Watched::new(arrived.pid);
        let copy = children_of(parent.id())
            .into_iter()
            .find(|pid| *pid != arrived.pid)
            .unwrap();
        parent.kill().unwrap();
        parent.wait().unwrap();
        worker.wait_for_end();
        signal(copy, libc::SIGKILL);
    });
}

#[test]
fn a_task_that_its_worker_never_read_is_run_by_the_next_one() {
    guarded(|| {
        let pool = ProcessPoolExecutor::new(1).unwrap();
        let pid = pool
            .submit(|()| std::process::id(), ())
            .unwrap()
            .result()
            .unwrap();
        stop(pid);
        let unread = pool.submit(|n: u64| (std::process::id(), n), 5).unwrap();
        // Sent, to a worker that stands still and is then killed.
        while !format!("{pool:?}").contains("running: 1") {
            std::thread::yield_now();
        }
        assert!(unread.is_running());
        signal(pid, libc::SIGKILL);
        let (another, n) = unread.result().unwrap();
        assert_eq!(n, 5);
        assert_ne!(another, pid);
    });
}
