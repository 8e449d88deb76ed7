//! Models of the barrier that processes share, each named after the hazard it explores.
//!
//! A modelled process is a thread; slices end only when somebody dies, so in the models without a
//! death a lost wake-up leaves somebody asleep and loom reports it.

#![cfg(loom)]

use latchwork::shm_models::{BarrierModel, BrokenBarrier, Ended};
use latchwork_loom_tests::model;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;

const DIED: Ended = Ended::Broken(BrokenBarrier::PartyDied);

fn spawn<T: 'static>(
    barrier: &Arc<BarrierModel>,
    work: impl FnOnce(&BarrierModel) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let barrier = barrier.clone();
    thread::spawn(move || work(&barrier))
}

#[track_caller]
fn through(ended: Ended) -> (u32, bool) {
    match ended {
        Ended::Through { index, is_leader } => (index, is_leader),
        other => panic!("{other:?}"),
    }
}

fn is_through(ended: Ended) -> bool {
    matches!(ended, Ended::Through { .. })
}

#[test]
fn a_round_ends_for_all_who_are_on_their_way_to_sleep() {
    model(
        "ipc barrier: a round ends for all who are on their way to sleep",
        || {
            let barrier = Arc::new(BarrierModel::new(3));
            let others = [1, 2].map(|who| spawn(&barrier, move |barrier| barrier.wait(who)));
            let mut all = vec![through(barrier.wait(0))];
            all.extend(others.map(|other| through(other.join().unwrap())));
            all.sort();
            assert_eq!(all, [(0, false), (1, false), (2, true)]);
        },
    );
}

#[test]
fn rounds_do_not_mix() {
    model("ipc barrier: rounds do not mix", || {
        let barrier = Arc::new(BarrierModel::new(2));
        let rounds = Arc::new(AtomicUsize::new(0));
        let other = spawn(&barrier, {
            let rounds = rounds.clone();
            move |barrier| {
                for round in 0..2 {
                    rounds.fetch_add(1, Relaxed);
                    through(barrier.wait(1));
                    assert!(rounds.load(Relaxed) >= 2 * (round + 1));
                }
            }
        });
        for round in 0..2 {
            rounds.fetch_add(1, Relaxed);
            through(barrier.wait(0));
            assert!(rounds.load(Relaxed) >= 2 * (round + 1));
        }
        other.join().unwrap();
        assert_eq!(barrier.waiting(), 0);
    });
}

#[test]
fn the_last_arrival_meets_one_who_gives_up() {
    model(
        "ipc barrier: the last arrival meets one who gives up",
        || {
            let barrier = Arc::new(BarrierModel::new(2));
            let other = spawn(&barrier, |barrier| barrier.wait_for(1, 0, false));
            let mine = barrier.wait_for(0, 0, false);
            let both = [mine, other.join().unwrap()];
            assert!(
                both.map(is_through) == [true; 2] || both == [Ended::GaveUp; 2],
                "{both:?}"
            );
            assert_eq!((barrier.waiting(), barrier.why_broken()), (0, None));
        },
    );
}

#[test]
fn the_last_arrival_meets_one_who_breaks_it() {
    model(
        "ipc barrier: the last arrival meets one who breaks it",
        || {
            let barrier = Arc::new(BarrierModel::new(2));
            let other = spawn(&barrier, |barrier| barrier.wait_for(1, 0, true));
            let mine = barrier.wait(0);
            match other.join().unwrap() {
                Ended::GaveUp => {
                    assert_eq!(mine, Ended::Broken(BrokenBarrier::TimedOut));
                    assert!(barrier.why_broken().is_some());
                }
                other => assert!(is_through(other) && is_through(mine)),
            }
        },
    );
}

#[test]
fn who_was_let_through_is_not_told_of_the_reset_that_follows() {
    model(
        "ipc barrier: who was let through is not told of the reset that follows",
        || {
            let barrier = Arc::new(BarrierModel::new(2));
            let other = spawn(&barrier, |barrier| through(barrier.wait(1)));
            through(barrier.wait(0));
            barrier.reset(0);
            other.join().unwrap();
        },
    );
}

#[test]
fn a_reset_meets_an_arrival() {
    model("ipc barrier: a reset meets an arrival", || {
        let barrier = Arc::new(BarrierModel::new(2));
        let other = spawn(&barrier, |barrier| barrier.wait(1));
        barrier.reset(0);
        let early = barrier.waiting() == 0;
        barrier.abort(0);
        match other.join().unwrap() {
            // It had come before the reset, and was sent away; or after, and waited for the abort.
            Ended::Broken(BrokenBarrier::Reset) => assert!(early),
            Ended::Broken(BrokenBarrier::Aborted) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn the_action_is_over_before_anybody_goes_on() {
    model(
        "ipc barrier: the action is over before anybody goes on",
        || {
            let barrier = Arc::new(BarrierModel::new(2));
            let acted = Arc::new(AtomicUsize::new(0));
            let work = |who| {
                let acted = acted.clone();
                move |barrier: &BarrierModel| {
                    through(barrier.wait_with(who, || {
                        acted.fetch_add(1, Relaxed);
                    }));
                    assert_eq!(acted.load(Relaxed), 1);
                }
            };
            let other = spawn(&barrier, work(1));
            work(0)(&barrier);
            other.join().unwrap();
        },
    );
}

#[test]
fn a_member_is_killed_after_its_arrival() {
    model("ipc barrier: a member is killed after its arrival", || {
        let barrier = Arc::new(BarrierModel::new(2));
        let victim = spawn(&barrier, |barrier| barrier.arrive_and_die(1, false));
        let first = barrier.wait(0);
        assert!(is_through(first) || first == DIED, "{first:?}");
        assert_eq!(barrier.wait(0), DIED);
        victim.join().unwrap();
        barrier.reset(0);
        assert_eq!(barrier.wait_for(0, 0, false), Ended::GaveUp);
    });
}

#[test]
fn a_member_is_killed_in_its_arrival() {
    model("ipc barrier: a member is killed in its arrival", || {
        let barrier = Arc::new(BarrierModel::new(2));
        let victim = spawn(&barrier, |barrier| barrier.half_arrive_and_die(1));
        assert_eq!(barrier.wait(0), DIED);
        victim.join().unwrap();
    });
}

#[test]
fn the_last_is_killed_before_it_wakes_the_others() {
    model(
        "ipc barrier: the last is killed before it wakes the others",
        || {
            let barrier = Arc::new(BarrierModel::new(2));
            let victim = spawn(&barrier, |barrier| {
                while barrier.waiting() == 0 {
                    thread::yield_now();
                }
                barrier.end_the_round_and_die(1);
            });
            assert!(is_through(barrier.wait(0)));
            victim.join().unwrap();
            assert_eq!(barrier.wait(0), DIED);
        },
    );
}

#[test]
fn the_last_is_killed_in_the_action() {
    model("ipc barrier: the last is killed in the action", || {
        let barrier = Arc::new(BarrierModel::new(2));
        let victim = spawn(&barrier, |barrier| barrier.arrive_and_die(1, true));
        let first = barrier.wait_with(0, || {});
        assert!(is_through(first) || first == DIED, "{first:?}");
        victim.join().unwrap();
        assert_eq!(barrier.wait_with(0, || {}), DIED);
    });
}

#[test]
fn who_resets_is_killed_in_the_middle() {
    model("ipc barrier: who resets is killed in the middle", || {
        let barrier = Arc::new(BarrierModel::new(2));
        let other = spawn(&barrier, |barrier| barrier.wait(1));
        barrier.half_reset_and_die(0);
        barrier.abort(2);
        match other.join().unwrap() {
            Ended::Broken(BrokenBarrier::Reset | BrokenBarrier::Aborted) => {}
            other => panic!("{other:?}"),
        }
    });
}
