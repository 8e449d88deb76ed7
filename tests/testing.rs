//! `latchwork::testing`: victims that end where they should, and what is noticed of what they leave.

#![cfg(all(feature = "testing", target_os = "linux"))]

mod common;
#[path = "kill/scratch.rs"]
mod scratch;

use common::watchdog;
use latchwork::testing::{
    Baseline, Course, Fate, Leak, Leaks, Step, Stepper, Victim, killed_after, stopped_after, timed,
};
use scratch::scratch;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

/// Baselines are of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Raises two words one after the other, thirty times.
fn count(told: &[AtomicU64; 8]) {
    for _ in 0..30 {
        told[0].fetch_add(1, Ordering::SeqCst);
        told[1].fetch_add(1, Ordering::SeqCst);
    }
}

fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// The victim gets exactly as far as the steps allow, and every place between two increments is hit.
#[test]
fn a_victim_is_killed_after_so_many_instructions() {
    let _alone = alone();
    watchdog(LIMIT, "killed after", || {
        let told = scratch();
        let (mut before, mut between, mut last) = (0, 0, 0);
        for steps in 0.. {
            told[0].store(0, Ordering::SeqCst);
            told[1].store(0, Ordering::SeqCst);
            // SAFETY: atomics only.
            let fate = unsafe { killed_after(steps, || told, count).unwrap() };
            let [first, second] = [0, 1].map(|n| told[n].load(Ordering::SeqCst));
            assert!(first == second || first == second + 1);
            assert!(first + second >= last, "more steps, less done");
            last = first + second;
            before += u64::from(first == 0);
            between += u64::from(first != second);
            if fate == Fate::Finished || first == 2 {
                break;
            }
        }
        assert!(before > 0 && between >= 2, "{before} {between}");
        // SAFETY: as above.
        let fate = unsafe { killed_after(1_000_000, || told, count).unwrap() };
        assert_eq!(fate, Fate::Finished);
    });
}

/// By a course it is the same instruction as by steps.
#[test]
fn a_course_leads_to_the_same_place_as_steps() {
    let _alone = alone();
    watchdog(LIMIT, "course", || {
        let told = scratch();
        let victim = || {
            told[0].store(0, Ordering::SeqCst);
            told[1].store(0, Ordering::SeqCst);
            let victim = |begin: &dyn Fn()| {
                begin();
                count(told);
            };
            // SAFETY: atomics only.
            unsafe { Stepper::fork(victim).unwrap() }
        };
        let course = Course::record(victim(), || panic!("it never sleeps")).unwrap();
        assert!(course.len() > 400);
        for goal in (0..course.len() - 50).step_by(course.len() / 9) {
            let mut walker = course.begin(victim());
            assert_eq!(walker.advance(goal).unwrap(), Step::Ran);
            assert_eq!(walker.position(), goal);
            let stepper = walker.into_stepper();
            let place = stepper.place().unwrap();
            stepper.kill();
            let led = [0, 1].map(|n| told[n].load(Ordering::SeqCst));
            let mut stepper = victim();
            for _ in 0..goal {
                assert_eq!(stepper.step().unwrap(), Step::Ran);
            }
            assert_eq!(stepper.place().unwrap(), place, "after {goal}");
            stepper.kill();
            assert_eq!(led, [0, 1].map(|n| told[n].load(Ordering::SeqCst)));
        }
        let mut walker = course.begin(victim());
        assert_eq!(walker.advance(usize::MAX).unwrap(), Step::Finished);
    });
}

#[test]
fn a_stopped_victim_stands_still_and_goes_on() {
    let _alone = alone();
    watchdog(LIMIT, "stopped after", || {
        let told = scratch();
        // SAFETY: atomics only.
        let victim = unsafe { stopped_after(300, || told, count).unwrap() };
        let victim = victim.expect("300 instructions do not count to 30");
        let seen = told[1].load(Ordering::SeqCst);
        assert!(seen < 30);
        sleep(Duration::from_millis(20));
        assert_eq!(told[1].load(Ordering::SeqCst), seen);
        victim.resume().unwrap();
        assert!(victim.join().unwrap().success());
        assert_eq!(told[1].load(Ordering::SeqCst), 30);
        // SAFETY: as above.
        let done = unsafe { stopped_after(1_000_000, || told, count).unwrap() };
        assert!(done.is_none());
    });
}

/// A sleep is one instruction: the victim is seen asleep, can be woken, killed or stopped there.
#[test]
fn a_sleeping_victim_is_told_from_a_busy_one() {
    let _alone = alone();
    watchdog(LIMIT, "asleep", || {
        let told = scratch();
        let (mut read, write) = std::io::pipe().unwrap();
        let sleeper = || {
            let victim = |begin: &dyn Fn()| {
                begin();
                let mut byte = [0];
                std::io::Read::read_exact(&mut &read, &mut byte).unwrap();
                told[0].fetch_add(u64::from(byte[0]), Ordering::SeqCst);
            };
            // SAFETY: a pipe and an atomic.
            let mut stepper = unsafe { Stepper::fork(victim).unwrap() };
            while stepper.step().unwrap() == Step::Ran {}
            assert_eq!(stepper.step().unwrap(), Step::Asleep);
            stepper
        };
        sleeper().kill();
        let stopped = sleeper().stop().unwrap();
        std::io::Write::write_all(&mut &write, &[7]).unwrap();
        sleep(Duration::from_millis(20));
        assert_eq!(told[0].load(Ordering::SeqCst), 0);
        stopped.resume().unwrap();
        assert!(stopped.join().unwrap().success());
        assert_eq!(told[0].load(Ordering::SeqCst), 7);
        let mut woken = sleeper();
        std::io::Write::write_all(&mut &write, &[1]).unwrap();
        while woken.step().unwrap() != Step::Finished {}
        assert_eq!(told[0].load(Ordering::SeqCst), 8);
        read = std::io::pipe().unwrap().0;
        drop(read);
    });
}

#[test]
fn a_victim_that_fails_is_an_error_that_says_how() {
    let _alone = alone();
    watchdog(LIMIT, "failing victims", || {
        let killed = |work: fn()| {
            // SAFETY: no work at all.
            unsafe { killed_after(10_000_000, || (), |()| work()).unwrap_err() }.to_string()
        };
        // SAFETY: plain system calls.
        let exits = killed(|| unsafe { libc::_exit(3) });
        assert!(exits.contains("status 3"), "{exits}");
        // SAFETY: as above.
        let dies = killed(|| assert_eq!(unsafe { libc::raise(libc::SIGTERM) }, 0));
        assert!(dies.contains("signal 15"), "{dies}");
        // SAFETY: no work at all.
        let never = unsafe { Stepper::fork(|_| ()).unwrap_err() };
        assert!(never.to_string().contains("never began"), "{never}");
    });
}

#[test]
fn a_victim_ends_with_its_owner() {
    let _alone = alone();
    watchdog(LIMIT, "victims", || {
        let for_ever = || loop {
            sleep(Duration::from_secs(1));
        };
        let before = Baseline::take().unwrap();
        // SAFETY: it sleeps.
        let mut victim = unsafe { Victim::fork(for_ever).unwrap() };
        let pid = victim.pid();
        assert!(victim.try_join().unwrap().is_none());
        victim.stop().unwrap();
        drop(victim);
        before.check().unwrap();
        assert!(!std::fs::exists(format!("/proc/{pid}")).unwrap());
        // SAFETY: it does nothing.
        let status = unsafe { Victim::fork(|| ()).unwrap().join().unwrap() };
        assert!(status.success());
    });
}

/// Each kind of thing that can be left behind is noticed, and named; and is no fault when it has gone.
#[test]
fn what_is_left_behind_is_noticed() {
    let _alone = alone();
    watchdog(LIMIT, "baseline", || {
        let before = Baseline::take().unwrap();
        before.check().unwrap();
        let complaint = || Leaks(before.leaks().unwrap()).to_string();

        let file = tempfile::tempfile().unwrap();
        assert!(complaint().contains("a descriptor of"), "{}", complaint());
        drop(file);

        let name = format!("/dev/shm/latchwork-testing-{}", std::process::id());
        std::fs::write(&name, "x").unwrap();
        assert!(complaint().contains(&name), "{}", complaint());
        std::fs::remove_file(&name).unwrap();

        // SAFETY: it does nothing.
        let zombie = unsafe { Victim::fork(|| ()).unwrap() };
        let pid = zombie.pid().to_string();
        assert!(complaint().contains(&pid), "{}", complaint());
        drop(zombie);

        // SAFETY: plain system calls; the descriptor is closed with the file.
        let memory = unsafe {
            let fd = libc::memfd_create(c"left".as_ptr(), libc::MFD_CLOEXEC);
            libc::posix_fallocate(fd, 0, 1 << 20);
            <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(fd)
        };
        assert!(complaint().contains("1048576 bytes"), "{}", complaint());
        let roomy = before.clone().with_slack(1 << 20);
        let leaks = roomy.leaks().unwrap();
        assert!(matches!(leaks[..], [Leak::Descriptor(_)]), "{leaks:?}");
        let error = before.check().unwrap_err().to_string();
        assert!(error.contains("bytes"), "{error}");
        drop(memory);
        before.check().unwrap();
    });
}

#[test]
fn time_spent_is_told_and_time_off_the_processor_is_not() {
    let ((), slept) = timed(|| sleep(Duration::from_millis(30)));
    assert!(slept >= Duration::from_millis(25), "{slept:?}");
    // Eight threads on two processors or so: each waits for most of the time.
    std::thread::scope(|scope| {
        let spin = || {
            let began = Instant::now();
            let ((), took) = timed(|| {
                while began.elapsed() < Duration::from_millis(200) {
                    black_box(());
                }
            });
            took
        };
        let threads = std::thread::available_parallelism().unwrap().get() * 4;
        let spinners: Vec<_> = (0..threads).map(|_| scope.spawn(spin)).collect();
        let times = spinners.into_iter().map(|spinner| spinner.join().unwrap());
        let shortest = times.min().unwrap();
        assert!(shortest < Duration::from_millis(150), "{shortest:?}");
    });
}
