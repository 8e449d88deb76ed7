//! The checker can be believed: it agrees with the definition, and it finds faults that are known to be there.

use crate::linear::model::{How, Item, Model, Op, Order, Ret, Seen, Why};
use crate::linear::record::Subject;
use crate::linear::{Spec, linearize};
use crate::{Menu, history_of, seeds};
use latchwork::Shutdown;
use proptest::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Linearizable by the definition: one of all the orders will do.
fn by_definition(start: &Model, history: &[Seen]) -> bool {
    fn any(start: &Model, history: &[Seen], order: &mut Vec<usize>) -> bool {
        if order.len() == history.len() {
            return explains(start, history, order);
        }
        (0..history.len()).any(|n| {
            if order.contains(&n) {
                return false;
            }
            order.push(n);
            let found = any(start, history, order);
            order.pop();
            found
        })
    }
    any(start, history, &mut Vec::new())
}

fn explains(start: &Model, history: &[Seen], order: &[usize]) -> bool {
    let mut state = start.clone();
    let in_time = order.iter().enumerate().all(|(at, &n)| {
        let later = &order[at + 1..];
        later
            .iter()
            .all(|&m| history[m].returned > history[n].called)
    });
    in_time && order.len() == history.len() && {
        let mut order = order.iter();
        order.all(|&n| state.apply(&history[n].op) == history[n].ret)
    }
}

fn item(number: u32) -> Item {
    Item { rank: 0, number }
}

fn put(number: u32) -> Op {
    Op::Put(How::Try, item(number))
}

fn get() -> Op {
    Op::Get(How::Try)
}

fn got(number: u32) -> Ret {
    Ret::Got(item(number))
}

const EMPTY: Ret = Ret::No(Why::NotNow);
const FULL: Ret = Ret::No(Why::NotNow);
const SHUT: Ret = Ret::No(Why::ShutDown);

/// Operations with their answers, and when they were called and returned.
fn history(seen: &[(Op, Ret, u64, u64)]) -> Vec<Seen> {
    let seen = seen.iter().cloned().enumerate();
    seen.map(|(thread, (op, ret, called, returned))| Seen {
        thread,
        op,
        ret,
        called,
        returned,
    })
    .collect()
}

/// As [`history`], one after the other.
fn in_turn(seen: &[(Op, Ret)]) -> Vec<Seen> {
    let seen = (0..).step_by(2).zip(seen.iter().cloned());
    history(
        &seen
            .map(|(at, (op, ret))| (op, ret, at, at + 1))
            .collect::<Vec<_>>(),
    )
}

#[track_caller]
fn accepted(start: &Model, history: &[Seen]) {
    let order = linearize(start, history).expect("linearizable");
    assert!(explains(start, history, &order), "{order:?} is no reason");
}

#[track_caller]
fn rejected(start: &Model, history: &[Seen]) {
    let found = linearize(start, history);
    assert!(found.is_err(), "{found:?} is no reason");
}

fn fifo() -> Model {
    Model::new(Order::Fifo, None)
}

#[test]
fn items_that_swap_places_are_found() {
    let swapped = [
        (put(1), Ret::Done),
        (put(2), Ret::Done),
        (get(), got(2)),
        (get(), got(1)),
    ];
    rejected(&fifo(), &in_turn(&swapped));
    accepted(&Model::new(Order::Lifo, None), &in_turn(&swapped));
    rejected(&Model::new(Order::Priority, None), &in_turn(&swapped));
    // Puts that overlap have any order, and it is the same for all who look.
    let overlapping = |first, second| {
        history(&[
            (put(1), Ret::Done, 0, 3),
            (put(2), Ret::Done, 1, 2),
            (get(), got(first), 4, 5),
            (get(), got(second), 6, 7),
        ])
    };
    accepted(&fifo(), &overlapping(1, 2));
    accepted(&fifo(), &overlapping(2, 1));
}

#[test]
fn empty_though_an_item_was_surely_there_is_found() {
    for (how, why) in [
        (How::Try, Why::NotNow),
        (How::Within(9), Why::TimedOut),
        (How::Poll, Why::Pending),
    ] {
        let empty = (Op::Get(how), Ret::No(why));
        rejected(&fifo(), &in_turn(&[(put(1), Ret::Done), empty.clone()]));
        let (op, ret) = empty;
        let overlapping = [(put(1), Ret::Done, 0, 2), (op, ret, 1, 3)];
        accepted(&fifo(), &history(&overlapping));
    }
    // One was there all the time, though not the same one.
    let never_empty = [
        (put(1), Ret::Done, 0, 1),
        (put(2), Ret::Done, 2, 3),
        (get(), got(1), 4, 7),
        (get(), EMPTY, 5, 6),
    ];
    rejected(&fifo(), &history(&never_empty));
}

#[test]
fn items_out_of_nowhere_are_found() {
    let twice = [(put(1), Ret::Done), (get(), got(1)), (get(), got(1))];
    rejected(&fifo(), &in_turn(&twice));
    let too_early = [(get(), got(1)), (put(1), Ret::Done)];
    rejected(&fifo(), &in_turn(&too_early));
    let refused = [(put(1), FULL), (get(), got(1))];
    rejected(&Model::new(Order::Fifo, Some(1)), &in_turn(&refused));
    // Both got it in the same moment.
    let by_both = [
        (put(1), Ret::Done, 0, 1),
        (get(), got(1), 2, 4),
        (get(), got(1), 3, 5),
    ];
    rejected(&fifo(), &history(&by_both));
}

#[test]
fn lost_items_and_wrong_counts_are_found() {
    rejected(
        &fifo(),
        &in_turn(&[(put(1), Ret::Done), (Op::Rest, Ret::All(vec![]))]),
    );
    accepted(
        &fifo(),
        &in_turn(&[(put(1), Ret::Done), (Op::Rest, Ret::All(vec![item(1)]))]),
    );
    rejected(
        &fifo(),
        &in_turn(&[(put(1), Ret::Done), (Op::Len, Ret::Number(0))]),
    );
    // No instant had two in it, though it began with one, and ended with one.
    let never_two = |len| {
        history(&[
            (put(1), Ret::Done, 0, 1),
            (get(), got(1), 3, 4),
            (put(2), Ret::Done, 5, 6),
            (Op::Len, Ret::Number(len), 2, 7),
        ])
    };
    accepted(&fifo(), &never_two(0));
    accepted(&fifo(), &never_two(1));
    rejected(&fifo(), &never_two(2));
}

#[test]
fn a_bound_that_is_not_kept_is_found() {
    let bound = Model::new(Order::Fifo, Some(1));
    rejected(&bound, &in_turn(&[(put(1), FULL)]));
    accepted(&bound, &in_turn(&[(put(1), Ret::Done), (put(2), FULL)]));
    rejected(
        &bound,
        &in_turn(&[(put(1), Ret::Done), (put(2), Ret::Done)]),
    );
    rejected(
        &bound,
        &in_turn(&[(put(1), Ret::Done), (Op::IsFull, Ret::Is(false))]),
    );
}

#[test]
fn a_shutdown_that_is_not_kept_is_found() {
    let shut = |how, left: &[u32]| {
        let left = left.iter().map(|&n| item(n)).collect();
        (Op::Shutdown(how), Ret::All(left))
    };
    use Shutdown::{Drain, Immediate};
    rejected(&fifo(), &in_turn(&[shut(Drain, &[]), (put(1), Ret::Done)]));
    rejected(&fifo(), &in_turn(&[shut(Drain, &[]), (get(), EMPTY)]));
    accepted(
        &fifo(),
        &in_turn(&[shut(Drain, &[]), (put(1), SHUT), (get(), SHUT)]),
    );
    let served = [
        (put(1), Ret::Done),
        shut(Drain, &[]),
        (get(), got(1)),
        (get(), SHUT),
    ];
    accepted(&fifo(), &in_turn(&served));
    let kept = [(put(1), Ret::Done), shut(Immediate, &[1]), (get(), got(1))];
    rejected(&fifo(), &in_turn(&kept));
}

#[test]
fn equals_that_change_places_are_found() {
    let ranked = |rank, number| Item { rank, number };
    let order_of = |first, second| {
        in_turn(&[
            (Op::Put(How::Try, ranked(2, 1)), Ret::Done),
            (Op::Put(How::Try, ranked(1, 2)), Ret::Done),
            (Op::Put(How::Try, ranked(1, 3)), Ret::Done),
            (get(), Ret::Got(ranked(1, first))),
            (get(), Ret::Got(ranked(1, second))),
            (get(), Ret::Got(ranked(2, 1))),
        ])
    };
    accepted(&Model::new(Order::Priority, None), &order_of(2, 3));
    rejected(&Model::new(Order::Priority, None), &order_of(3, 2));
}

#[derive(Clone, Debug)]
struct Blur {
    op: Op,
    /// Two instants, and one between them at which it happens: to be put in order with the others'.
    ends: (u16, u16),
    happens: u16,
    /// Another answer than the right one.
    lie: Option<Ret>,
}

fn op() -> impl Strategy<Value = Op> {
    let how = || prop_oneof![Just(How::Try), Just(How::Within(0)), Just(How::Poll)];
    let item = (0u8..2, 0u32..4).prop_map(|(rank, number)| Item { rank, number });
    prop_oneof![
        6 => (how(), item).prop_map(|(how, item)| Op::Put(how, item)),
        6 => how().prop_map(Op::Get),
        1 => Just(Op::Len),
        1 => Just(Op::IsFull),
        1 => Just(Op::Shutdown(Shutdown::Drain)),
        1 => Just(Op::Shutdown(Shutdown::Immediate)),
        1 => Just(Op::Rest),
    ]
}

fn ret() -> impl Strategy<Value = Ret> {
    let item = || (0u8..2, 0u32..4).prop_map(|(rank, number)| Item { rank, number });
    prop_oneof![
        Just(Ret::Done),
        item().prop_map(Ret::Got),
        Just(EMPTY),
        Just(SHUT),
        (0usize..3).prop_map(Ret::Number),
        proptest::collection::vec(item(), 0..2).prop_map(Ret::All),
    ]
}

fn blur() -> impl Strategy<Value = Blur> {
    let lie = proptest::option::weighted(0.15, ret());
    (op(), any::<(u16, u16)>(), any::<u16>(), lie).prop_map(|(op, ends, part, lie)| {
        let (from, to) = (ends.0.min(ends.1), ends.0.max(ends.1));
        Blur {
            op,
            ends: (from, to),
            happens: from + ((u32::from(to - from) * u32::from(part)) >> 16) as u16,
            lie,
        }
    })
}

/// Answers that are right if each operation happens when its blur says so, but for the lies.
fn blurred(start: &Model, blurs: &[Blur]) -> Vec<Seen> {
    // All instants are different: twice as many as there are ends, and ties go by number.
    let mut instants: Vec<(u16, usize, usize)> = Vec::new();
    for (n, blur) in blurs.iter().enumerate() {
        instants.extend([
            (blur.ends.0, n, 0),
            (blur.happens, n, 1),
            (blur.ends.1, n, 2),
        ]);
    }
    instants.sort_unstable();
    let at = |n, which| {
        let place = instants.iter().position(|&(_, m, w)| (m, w) == (n, which));
        place.expect("an instant of each") as u64
    };
    let mut state = start.clone();
    let mut rets = vec![None; blurs.len()];
    for &(_, n, which) in &instants {
        if which == 1 {
            rets[n] = Some(state.apply(&blurs[n].op));
        }
    }
    let blurs = blurs.iter().zip(rets).enumerate();
    blurs
        .map(|(n, (blur, ret))| Seen {
            thread: n,
            op: blur.op.clone(),
            ret: blur.lie.clone().or(ret).expect("each has happened"),
            called: at(n, 0),
            returned: at(n, 2),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn agrees_with_the_definition(
        order in prop_oneof![Just(Order::Fifo), Just(Order::Lifo), Just(Order::Priority)],
        capacity in proptest::option::of(1usize..3),
        blurs in proptest::collection::vec(blur(), 0..7),
    ) {
        let start = Model::new(order, capacity);
        let history = blurred(&start, &blurs);
        let found = linearize(&start, &history);
        prop_assert_eq!(found.is_ok(), by_definition(&start, &history));
        if let Ok(order) = &found {
            prop_assert!(explains(&start, &history, order));
        }
        if blurs.iter().all(|blur| blur.lie.is_none()) {
            prop_assert!(found.is_ok());
        }
    }
}

/// The model behind a lock, with one thing wrong.
struct Faulty {
    model: Mutex<Model>,
    fault: Fault,
    operations: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Once in a hundred operations, a get takes the item that should leave last.
    WrongEnd,
    /// Once in a hundred, a get finds nothing.
    Blind,
    /// Once in a hundred, a put puts nothing.
    Forgetful,
    /// A get looks, and comes back later to take what it has seen.
    Torn,
    /// Once in a hundred, a length is one too many.
    Miscounting,
}

impl Subject<Model> for Faulty {
    fn run(&self, op: &Op) -> Ret {
        let nth = self.operations.fetch_add(1, Ordering::Relaxed);
        let now = nth % 100 == 50;
        let apply = |op: &Op| self.model.lock().unwrap().apply(op);
        match (self.fault, op) {
            (Fault::WrongEnd, Op::Get(_)) if now => {
                let last = self.model.lock().unwrap().take_last();
                last.map_or_else(|| apply(op), Ret::Got)
            }
            (Fault::Blind, Op::Get(how)) if now => Ret::No(how.in_vain()),
            (Fault::Forgetful, Op::Put(..)) if now => Ret::Done,
            (Fault::Torn, Op::Get(_)) => {
                let seen = self.model.lock().unwrap().clone().apply(op);
                thread::yield_now();
                apply(op);
                seen
            }
            _ => match apply(op) {
                Ret::Number(len) if self.fault == Fault::Miscounting && now => Ret::Number(len + 1),
                right => right,
            },
        }
    }
}

/// How many rounds it takes to find the fault.
fn rounds_to_find(fault: Fault, order: Order) -> Option<usize> {
    let start = Model::new(order, Some(3));
    // Faults that are rare come round after round, not at the same operation of each.
    let mut operations = 0;
    seeds().position(|seed| {
        let subject = Faulty {
            model: Mutex::new(start.clone()),
            fault,
            operations: AtomicUsize::new(operations),
        };
        let history = history_of(&subject, Menu::Fifo, seed);
        operations = subject.operations.into_inner();
        linearize(&start, &history).is_err()
    })
}

#[test]
fn faults_are_found_where_they_are() {
    use Fault::{Blind, Forgetful, Miscounting, Torn, WrongEnd};
    for order in [Order::Fifo, Order::Lifo, Order::Priority] {
        assert_eq!(rounds_to_find(Fault::None, order), None);
        for fault in [WrongEnd, Blind, Forgetful, Torn, Miscounting] {
            let found = rounds_to_find(fault, order);
            assert!(found.is_some(), "{fault:?} goes unnoticed with {order:?}");
        }
    }
}
