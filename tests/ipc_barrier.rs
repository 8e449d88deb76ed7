//! `ipc::Barrier` between threads and between processes (rows S14 to S18, S28, S33).

#![cfg(all(feature = "process", target_os = "linux"))]

#[path = "common/asleep.rs"]
mod asleep;
mod common;
#[path = "kill/scratch.rs"]
mod scratch;
#[path = "common/storm.rs"]
mod storm;
#[path = "kill/victim.rs"]
mod victim;

use asleep::{asleep, until_asleep};
use common::{block_on, pending, ready, watchdog};
use latchwork::executor::{Executor, ProcessPoolExecutor};
use latchwork::ipc::{
    AccessError, Barrier, BarrierAction, BarrierError, BrokenBarrier, Event, Value,
};
use latchwork::{CancelToken, GaveUp};
use scratch::scratch;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};
use storm::{is_granted_in_a_storm, times_out_in_a_storm};
use victim::{Victim, sleep_for_ever, timed, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

#[track_caller]
fn why<T: std::fmt::Debug>(result: Result<T, BarrierError>) -> BrokenBarrier {
    result.unwrap_err().broken().expect("it is broken")
}

/// Waits until so many have arrived.
fn until_waiting(barrier: &Barrier<impl BarrierAction>, n: usize) {
    wait_until(|| barrier.waiting().unwrap() == n);
}

/// S14, S17: the parties have numbers, and one of them was last.
#[test]
fn all_get_through_with_different_numbers() {
    watchdog(LIMIT, "numbers", || {
        let barrier = Barrier::new(40).unwrap();
        assert_eq!(barrier.parties().unwrap(), 40);
        for _ in 0..3 {
            let passed: Vec<_> = thread::scope(|scope| {
                let wait = || barrier.wait().unwrap();
                let threads: Vec<_> = (0..40).map(|_| scope.spawn(wait)).collect();
                threads.into_iter().map(|it| it.join().unwrap()).collect()
            });
            let mut numbers: Vec<_> = passed.iter().map(|it| it.index()).collect();
            numbers.sort();
            assert_eq!(numbers, (0..40).collect::<Vec<_>>());
            assert_eq!(passed.iter().filter(|it| it.is_leader()).count(), 1);
        }
    });
}

/// S14.
#[test]
fn a_barrier_is_for_a_sensible_number() {
    for parties in [0, 4097, usize::MAX] {
        let error = Barrier::new(parties).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    let alone = Barrier::new(1).unwrap();
    for _ in 0..3 {
        let passed = alone.wait().unwrap();
        assert_eq!((passed.index(), passed.is_leader()), (0, true));
    }
    assert!(Barrier::new(4096).unwrap().try_wait().unwrap().is_none());
}

/// S16: 1,000 passes of five processes in lock-step.
#[test]
fn a_thousand_passes_with_five_processes() {
    watchdog(LIMIT, "1,000 passes", || {
        let barrier = Barrier::new(5).unwrap();
        let told = scratch();
        let pass = || {
            for round in 0..1000 {
                told[0].fetch_add(1, SeqCst);
                let passed = barrier.wait().unwrap();
                let arrived = told[0].load(SeqCst);
                assert!((5 * (round + 1)..=5 * (round + 1) + 4).contains(&arrived));
                told[1 + usize::from(passed.is_leader())].fetch_add(1, SeqCst);
            }
        };
        let others: Vec<_> = (0..4)
            .map(|_| {
                Victim::new(|| {
                    pass();
                    // The end of one that is slower to get here breaks nothing: nobody comes again.
                    sleep_for_ever()
                })
            })
            .collect();
        pass();
        wait_until(|| told[1].load(SeqCst) + told[2].load(SeqCst) == 5000);
        assert_eq!(told[2].load(SeqCst), 1000, "one of each round came last");
        others.into_iter().for_each(Victim::kill);
    });
}

/// S14, S18: threads and processes at one barrier.
#[test]
fn threads_and_processes_meet() {
    watchdog(LIMIT, "mixed", || {
        let barrier = Barrier::new(4).unwrap();
        let wait = || {
            for _ in 0..100 {
                barrier.wait().unwrap();
            }
        };
        let processes: Vec<_> = (0..2)
            .map(|_| {
                Victim::new(|| {
                    wait();
                    assert!(barrier.leave().unwrap());
                })
            })
            .collect();
        thread::scope(|scope| {
            scope.spawn(wait);
            scope.spawn(wait);
        });
        processes.into_iter().for_each(Victim::join);
    });
}

/// S14: whoever waits and whoever comes is told of a death, and a reset heals it.
#[test]
fn a_waiter_that_is_killed_breaks_the_barrier() {
    watchdog(LIMIT, "waiter killed", || {
        let barrier = Barrier::new(3).unwrap();
        for round in 0..10 {
            let victim = Victim::new(|| drop(barrier.wait()));
            until_waiting(&barrier, 1);
            if round % 2 == 0 {
                thread::scope(|scope| {
                    let waiter = asleep(scope, || barrier.wait());
                    until_waiting(&barrier, 2);
                    victim.kill();
                    let (result, took) = timed(|| waiter.join().unwrap());
                    assert_eq!(why(result), BrokenBarrier::PartyDied);
                    assert!(took < Duration::from_secs(1), "noticed after {took:?}");
                });
            } else {
                victim.kill();
            }
            let (result, took) = timed(|| barrier.wait());
            assert_eq!(why(result), BrokenBarrier::PartyDied);
            assert!(took < Duration::from_secs(1), "noticed after {took:?}");
            assert!(barrier.is_broken().unwrap());
            assert_eq!(why(barrier.try_wait()), BrokenBarrier::PartyDied);
            barrier.reset().unwrap();
            assert!(!barrier.is_broken().unwrap());
            assert!(barrier.try_wait().unwrap().is_none());
        }
    });
}

/// S14: no round is completed after the death of one who had arrived in it.
#[test]
fn the_last_to_arrive_notices_a_death() {
    watchdog(LIMIT, "last notices", || {
        let barrier = Barrier::new(2).unwrap();
        let victim = Victim::new(|| drop(barrier.wait()));
        until_waiting(&barrier, 1);
        victim.kill();
        assert_eq!(why(barrier.wait()), BrokenBarrier::PartyDied);
    });
}

/// S14: killed between two rounds, when it waited for nobody.
#[test]
fn a_member_that_is_killed_breaks_the_next_round() {
    watchdog(LIMIT, "member killed", || {
        let barrier = Barrier::new(2).unwrap();
        let told = scratch();
        let member = Victim::new(|| {
            barrier.wait().unwrap();
            told[0].store(1, SeqCst);
            sleep_for_ever()
        });
        barrier.wait().unwrap();
        wait_until(|| told[0].load(SeqCst) == 1);
        let limit = Duration::from_millis(100);
        assert!(barrier.wait_within(limit).unwrap_err().is_timed_out());
        member.kill();
        assert_eq!(why(barrier.wait()), BrokenBarrier::PartyDied);
    });
}

/// S14: one that has left is free to end, and so is one that never got through.
#[test]
fn who_is_no_member_may_end() {
    watchdog(LIMIT, "no member", || {
        let barrier = Barrier::new(2).unwrap();
        let leaver = Victim::new(|| {
            barrier.wait().unwrap();
            assert!(barrier.leave().unwrap());
        });
        barrier.wait().unwrap();
        leaver.join();
        let visitor = Victim::new(|| {
            let limit = Duration::from_millis(1);
            assert!(barrier.wait_within(limit).unwrap_err().is_timed_out());
            assert!(barrier.try_wait().unwrap().is_none());
        });
        visitor.join();
        let limit = Duration::from_millis(150);
        assert!(barrier.wait_within(limit).unwrap_err().is_timed_out());
        thread::scope(|scope| {
            let waiter = asleep(scope, || barrier.wait());
            until_waiting(&barrier, 1);
            assert!(!barrier.leave().unwrap(), "a thread of this process waits");
            barrier.wait().unwrap();
            waiter.join().unwrap().unwrap();
        });
        assert!(barrier.leave().unwrap());
    });
}

/// S14: a stopped party is waited for, within limits.
#[test]
fn a_stopped_party_is_not_dead() {
    watchdog(LIMIT, "stopped", || {
        let barrier = Barrier::new(2).unwrap();
        let party = Victim::new(|| {
            barrier.wait().unwrap();
            barrier.wait().unwrap();
        });
        barrier.wait().unwrap();
        until_waiting(&barrier, 1);
        until_asleep(party.pid);
        party.stop();
        // It has arrived, so it may as well be stopped.
        barrier.wait().unwrap();
        let limit = Duration::from_millis(150);
        assert!(barrier.wait_within(limit).unwrap_err().is_timed_out());
        party.signal(libc::SIGCONT);
        party.join();
    });
}

/// S14: four processes go through as fast as they can, and one is killed, anywhere.
#[test]
fn random_kills_leave_nobody_stuck() {
    watchdog(LIMIT, "random kills", || {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let barrier = Barrier::new(4).unwrap();
        let told = scratch();
        for round in 0..40 {
            let before = told[0].load(SeqCst);
            let go_round = || {
                loop {
                    match barrier.wait() {
                        Ok(_) => drop(told[0].fetch_add(1, SeqCst)),
                        Err(BarrierError::Broken(BrokenBarrier::PartyDied)) => break,
                        Err(other) => panic!("{other}"),
                    }
                }
            };
            let mut parties: Vec<_> = (0..4).map(|_| Victim::new(go_round)).collect();
            wait_until(|| told[0].load(SeqCst) > before + 8);
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            thread::sleep(Duration::from_micros(random % 2000));
            parties.swap_remove(round % 4).kill();
            let ((), took) = timed(|| parties.into_iter().for_each(Victim::join));
            assert!(took < Duration::from_secs(2), "stuck for {took:?}");
            assert_eq!(why(barrier.wait()), BrokenBarrier::PartyDied);
            barrier.reset().unwrap();
        }
    });
}

/// S14: a limit takes the arrival back, or breaks the barrier when asked to.
#[test]
fn who_gives_up_leaves_or_breaks() {
    watchdog(LIMIT, "gives up", || {
        let barrier = Barrier::new(3).unwrap();
        for limit in [0, 1, 70].map(Duration::from_millis) {
            let began = Instant::now();
            assert!(barrier.wait_within(limit).unwrap_err().is_timed_out());
            assert!(began.elapsed() >= limit);
            assert_eq!(barrier.waiting().unwrap(), 0);
        }
        // The lowest number is given to the next when its owner leaves.
        let token = CancelToken::new();
        thread::scope(|scope| {
            let leaver = asleep(scope, || barrier.wait_within(&token));
            until_waiting(&barrier, 1);
            let stays = asleep(scope, || barrier.wait());
            until_waiting(&barrier, 2);
            token.cancel();
            assert!(leaver.join().unwrap().unwrap_err().is_cancelled());
            let again = asleep(scope, || barrier.wait());
            until_waiting(&barrier, 2);
            assert_eq!(barrier.wait().unwrap().index(), 2);
            assert_eq!(stays.join().unwrap().unwrap().index(), 1);
            assert_eq!(again.join().unwrap().unwrap().index(), 0);
        });
        let breaker = Victim::new(|| {
            let limit = Duration::from_millis(20);
            let error = barrier.wait_within_or_break(limit).unwrap_err();
            assert_eq!(error.gave_up(), Some(GaveUp::TimedOut));
        });
        assert_eq!(why(barrier.wait()), BrokenBarrier::TimedOut);
        breaker.join();
        assert_eq!(why(barrier.wait()), BrokenBarrier::TimedOut);
        barrier.reset().unwrap();
        assert!(
            barrier
                .wait_within_or_break(&token)
                .unwrap_err()
                .is_cancelled()
        );
        assert_eq!(why(barrier.wait()), BrokenBarrier::Cancelled);
    });
}

/// S14.
#[test]
fn abort_and_reset_send_away_who_waits() {
    watchdog(LIMIT, "abort, reset", || {
        let barrier = Barrier::new(2).unwrap();
        let party = |expected| {
            let barrier = &barrier;
            let party = Victim::new(move || assert_eq!(why(barrier.wait()), expected));
            until_waiting(barrier, 1);
            party
        };
        let aborted = party(BrokenBarrier::Aborted);
        barrier.abort().unwrap();
        aborted.join();
        assert_eq!(why(barrier.wait()), BrokenBarrier::Aborted);
        barrier.reset().unwrap();
        for _ in 0..10 {
            let reset = party(BrokenBarrier::Reset);
            barrier.reset().unwrap();
            reset.join();
            assert!(!barrier.is_broken().unwrap());
        }
        // Stopped through an abort and many resets: it is told how its own round ended.
        let slow = party(BrokenBarrier::Aborted);
        slow.stop();
        barrier.abort().unwrap();
        for _ in 0..7 {
            barrier.reset().unwrap();
        }
        slow.signal(libc::SIGCONT);
        slow.join();
    });
}

/// S14: who was let through hears nothing of what came later.
#[test]
fn who_was_let_through_is_through() {
    watchdog(LIMIT, "let through", || {
        let barrier = Barrier::new(2).unwrap();
        let slow = Victim::new(|| assert_eq!(barrier.wait().unwrap().index(), 0));
        until_waiting(&barrier, 1);
        until_asleep(slow.pid);
        slow.stop();
        assert!(barrier.try_wait().unwrap().unwrap().is_leader());
        barrier.abort().unwrap();
        barrier.reset().unwrap();
        barrier.reset().unwrap();
        slow.signal(libc::SIGCONT);
        slow.join();
    });
}

/// Set before the forks, for the actions below.
static TOLD: OnceLock<&[AtomicU64; 8]> = OnceLock::new();
/// Where the kinds of action find what they need.
const RUNS: usize = 0;
const RUNNER: usize = 1;
const RELEASED: usize = 2;
const PANICS: usize = 3;
const STAYS: usize = 4;
const FORKS: usize = 5;
const ENDS: usize = 6;

fn told(place: usize) -> &'static AtomicU64 {
    &TOLD.get_or_init(scratch)[place]
}

struct Note;

impl BarrierAction for Note {
    fn run() {
        assert_eq!(told(RELEASED).load(SeqCst) % 3, 0, "somebody has gone on");
        told(RUNS).fetch_add(1, SeqCst);
        told(RUNNER).store(std::process::id().into(), SeqCst);
    }
}

/// S15: in the process that arrives last, before anybody goes on.
#[test]
fn the_action_runs_in_the_process_that_arrives_last() {
    watchdog(LIMIT, "action", || {
        let barrier = Barrier::<Note>::with_action(3).unwrap();
        told(RUNS);
        let others: Vec<_> = (0..2)
            .map(|_| {
                Victim::new(|| {
                    for _ in 0..200 {
                        let runs = told(RUNS).load(SeqCst);
                        let passed = barrier.wait().unwrap();
                        assert_eq!(told(RUNS).load(SeqCst), runs + 1);
                        let is_runner = told(RUNNER).load(SeqCst) == u64::from(std::process::id());
                        assert_eq!(passed.is_leader(), is_runner);
                        told(RELEASED).fetch_add(1, SeqCst);
                        // Nobody begins the next round before all have looked.
                        wait_until(|| told(RELEASED).load(SeqCst) >= 3 * (runs + 1));
                    }
                    sleep_for_ever()
                })
            })
            .collect();
        for round in 0..200 {
            let passed = barrier.wait().unwrap();
            assert_eq!(told(RUNS).load(SeqCst), round + 1);
            let is_runner = told(RUNNER).load(SeqCst) == u64::from(std::process::id());
            assert_eq!(passed.is_leader(), is_runner);
            told(RELEASED).fetch_add(1, SeqCst);
            wait_until(|| told(RELEASED).load(SeqCst) >= 3 * (round + 1));
        }
        others.into_iter().for_each(Victim::kill);
    });
}

struct Panic;

impl BarrierAction for Panic {
    fn run() {
        if told(PANICS).load(SeqCst) != 0 {
            panic!("on purpose");
        }
    }
}

/// S15.
#[test]
fn an_action_that_panics_breaks_the_barrier() {
    watchdog(LIMIT, "panic", || {
        let barrier = Barrier::<Panic>::with_action(2).unwrap();
        told(PANICS).store(1, SeqCst);
        let other = Victim::new(|| {
            assert_eq!(why(barrier.wait()), BrokenBarrier::ActionPanicked);
            assert_eq!(why(barrier.wait()), BrokenBarrier::ActionPanicked);
        });
        until_waiting(&barrier, 1);
        let wait = std::panic::AssertUnwindSafe(|| barrier.wait());
        let panicked = std::panic::catch_unwind(wait);
        assert_eq!(
            *panicked.unwrap_err().downcast::<&str>().unwrap(),
            "on purpose"
        );
        other.join();
        told(PANICS).store(0, SeqCst);
        barrier.reset().unwrap();
        assert!(barrier.try_wait().unwrap().is_none());
    });
}

struct Stay;

impl BarrierAction for Stay {
    fn run() {
        told(STAYS).fetch_add(1, SeqCst);
        wait_until(|| told(STAYS).load(SeqCst) == 0);
    }
}

/// S15, S14: killed while it runs the action; and while one runs, nobody can leave.
#[test]
fn a_process_that_is_killed_in_the_action_breaks_the_barrier() {
    watchdog(LIMIT, "killed in the action", || {
        let barrier = Barrier::<Stay>::with_action(2).unwrap();
        told(STAYS).store(0, SeqCst);
        thread::scope(|scope| {
            let waiter = asleep(scope, || {
                let (result, took) = timed(|| barrier.wait_within(Duration::from_millis(30)));
                (why(result), took)
            });
            until_waiting(&barrier, 1);
            let runner = Victim::new(|| drop(barrier.wait()));
            wait_until(|| told(STAYS).load(SeqCst) == 1 || waiter.is_finished());
            assert_eq!(barrier.waiting().unwrap(), 0);
            let limit = Duration::from_millis(60);
            assert!(barrier.wait_within(limit).unwrap_err().is_timed_out());
            let outside = barrier.wait_within_or_break(Duration::from_millis(5));
            assert!(outside.unwrap_err().is_timed_out());
            assert!(!barrier.is_broken().unwrap(), "by one who had not arrived");
            runner.kill();
            let (why, took) = waiter.join().unwrap();
            assert_eq!(why, BrokenBarrier::PartyDied);
            assert!(took >= limit, "it left while the action ran");
        });
        assert_eq!(why(barrier.wait()), BrokenBarrier::PartyDied);
    });
}

struct End;

impl BarrierAction for End {
    fn run() {
        told(ENDS).store(1, SeqCst);
        wait_until(|| told(ENDS).load(SeqCst) == 0);
    }
}

/// S14, S15: nobody goes through with one who has died meanwhile.
#[test]
fn a_party_that_is_killed_while_the_action_runs_breaks_the_barrier() {
    watchdog(LIMIT, "killed beside the action", || {
        let barrier = Barrier::<End>::with_action(2).unwrap();
        told(ENDS).store(0, SeqCst);
        let party = Victim::new(|| drop(barrier.wait()));
        until_waiting(&barrier, 1);
        thread::scope(|scope| {
            let runner = scope.spawn(|| barrier.wait());
            wait_until(|| told(ENDS).load(SeqCst) == 1);
            party.kill();
            told(ENDS).store(0, SeqCst);
            assert_eq!(why(runner.join().unwrap()), BrokenBarrier::PartyDied);
        });
        // It had arrived, and waits for nobody now.
        assert!(barrier.leave().unwrap());
    });
}

struct Fork;

impl BarrierAction for Fork {
    fn run() {
        // SAFETY: the child returns from here and then ends, without the parent's locks.
        if unsafe { libc::fork() } != 0 {
            wait_until(|| told(FORKS).load(SeqCst) != 0);
        }
    }
}

/// S15, S32: the child of a fork in the action is not the one that runs it.
#[test]
fn a_child_that_is_forked_in_the_action_lets_nobody_through() {
    watchdog(LIMIT, "forked in the action", || {
        let barrier = Barrier::<Fork>::with_action(2).unwrap();
        let told = told(FORKS);
        told.store(0, SeqCst);
        let this = std::process::id();
        thread::scope(|scope| {
            let waiter = asleep(scope, || barrier.wait().map(|_| told.load(SeqCst)));
            until_waiting(&barrier, 1);
            let passed = barrier.wait();
            if std::process::id() != this {
                thread::sleep(Duration::from_millis(50));
                told.store(1 + u64::from(passed.is_ok()), SeqCst);
                // SAFETY: ends the child here.
                unsafe { libc::_exit(0) };
            }
            assert!(passed.unwrap().is_leader());
            assert_eq!(
                waiter.join().unwrap().unwrap(),
                1,
                "before the action's end"
            );
        });
    });
}

/// Two rounds, and in between what the other has said.
fn exchange((barrier, words, place): (Barrier<Count>, Value<[u64; 3]>, usize)) -> u64 {
    words
        .update(|words| words[place] = 10 + place as u64)
        .unwrap();
    WORDS.set(words.clone()).unwrap();
    barrier.wait().unwrap();
    let all = words.get().unwrap();
    assert_eq!(all[2], 1, "the action has run once");
    barrier.leave().unwrap();
    all[1 - place]
}

/// The action's way to what the processes share.
static WORDS: OnceLock<Value<[u64; 3]>> = OnceLock::new();

struct Count;

impl BarrierAction for Count {
    fn run() {
        WORDS.wait().update(|words| words[2] += 1).unwrap();
    }
}

/// S15, S18: with workers, that were started from scratch and got the barrier as an argument.
#[test]
fn the_action_goes_with_the_handle() {
    watchdog(LIMIT, "workers", || {
        let barrier = Barrier::<Count>::with_action(2).unwrap();
        let words = Value::new([0_u64; 3]).unwrap();
        let pool = ProcessPoolExecutor::new(2).unwrap();
        let answers = [0, 1].map(|place| {
            let argument = (barrier.clone(), words.clone(), place);
            pool.submit(exchange, argument).unwrap()
        });
        let answers = answers.map(|answer| answer.result().unwrap());
        assert_eq!(answers, [11, 10]);
    });
}

/// S28, S33.
#[test]
fn a_storm_of_signals_neither_ends_nor_stretches_a_wait() {
    watchdog(LIMIT, "storm", || {
        let barrier = Barrier::new(2).unwrap();
        let error = times_out_in_a_storm(|limit| barrier.wait_within(limit)).unwrap_err();
        assert!(error.is_timed_out());
        is_granted_in_a_storm(
            || barrier.wait().unwrap(),
            || assert!(barrier.wait().unwrap().is_leader()),
        );
    });
}

#[test]
fn who_waits_when_the_maker_drops_it_is_told() {
    watchdog(LIMIT, "gone", || {
        let barrier = Barrier::new(2).unwrap();
        let bytes = postcard::to_stdvec(&barrier).unwrap();
        let visitor: Barrier = postcard::from_bytes(&bytes).unwrap();
        assert!(postcard::from_bytes::<Event>(&bytes).is_err());
        let shown = "Barrier { waiting: 0, parties: 2, broken: false }";
        assert_eq!(format!("{visitor:?}"), shown);
        thread::scope(|scope| {
            let waiter = asleep(scope, || visitor.wait());
            until_waiting(&barrier, 1);
            drop(barrier);
            let result = waiter.join().unwrap();
            assert!(matches!(result, Err(BarrierError::Gone)), "{result:?}");
        });
        assert!(matches!(visitor.abort(), Err(AccessError::Gone)));
        assert!(matches!(visitor.parties(), Err(AccessError::Gone)));
        assert_eq!(format!("{visitor:?}"), "Barrier(gone)");
    });
}

/// S14: a future that is dropped was never there; one that is killed with its process was.
#[test]
fn futures_arrive_and_take_it_back() {
    watchdog(LIMIT, "futures", || {
        let barrier = Barrier::<Nothing>::with_action(3).unwrap();
        let dropped = pending(barrier.wait_async());
        let stays = pending(barrier.wait_async());
        assert_eq!(barrier.waiting().unwrap(), 2);
        drop(dropped);
        assert_eq!(barrier.waiting().unwrap(), 1);
        let process = Victim::new(|| {
            assert!(!barrier.wait().unwrap().is_leader());
            sleep_for_ever()
        });
        until_waiting(&barrier, 2);
        let last = ready(barrier.wait_async()).unwrap();
        assert_eq!((last.index(), last.is_leader()), (2, true));
        assert_eq!(block_on(stays).unwrap().index(), 1);
        let told = pending(barrier.wait_async());
        process.kill();
        assert_eq!(why(block_on(told)), BrokenBarrier::PartyDied);
    });
}

struct Nothing;

impl BarrierAction for Nothing {
    fn run() {}
}
