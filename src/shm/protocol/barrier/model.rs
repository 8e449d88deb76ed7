//! What the loom models need of a barrier: participants who can be killed at chosen moments.
//!
//! Used by loom-tests/tests/ipc_barrier.rs only.

use super::{Arrival, BrokenBarrier, Gate, Passage, Status, load, store};
use crate::shm::monitor::model::{Model, Sleeps};
use crate::shm::refusal::Refusal;
use crate::shm::wait::{Look, Operation};
use crate::shm::word::model::Tree;
use std::mem;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Through { index: u32, is_leader: bool },
    Broken(BrokenBarrier),
    GaveUp,
}

/// A barrier and those who use it, named 0 to 3.
pub struct BarrierModel(Model<Gate>);

impl BarrierModel {
    pub fn new(parties: usize) -> BarrierModel {
        let gate = Gate::new();
        gate.begin(Gate::is_for(parties).unwrap());
        BarrierModel(Model::new(gate))
    }

    pub fn wait(&self, who: u32) -> Ended {
        self.wait_for(who, u32::MAX, false)
    }

    /// Sleeps at most `sleeps` times, and then leaves or breaks the barrier.
    pub fn wait_for(&self, who: u32, sleeps: u32, breaks: bool) -> Ended {
        let seat = self.0.seat(who);
        let arrival = Arrival::new(&seat, false);
        ended(arrival.wait(&mut Sleeps(sleeps), &mut Sleeps(u32::MAX), breaks))
    }

    /// Waits, and runs `action` if it comes last.
    pub fn wait_with(&self, who: u32, action: impl FnOnce()) -> Ended {
        let seat = self.0.seat(who);
        let for_ever = &mut Sleeps(u32::MAX);
        let passage = Arrival::new(&seat, true).wait(&mut Sleeps(u32::MAX), for_ever, false);
        match passage {
            Ok(Passage::Acts(arrived)) => {
                action();
                ended(arrived.conclude(&seat, false))
            }
            other => ended(other),
        }
    }

    /// Arrives, and is killed before it sleeps, or before it runs the action.
    pub fn arrive_and_die(&self, who: u32, acts: bool) {
        let seat = self.0.seat(who);
        let mut arrival = Arrival::new(&seat, acts);
        let _ = arrival.attempt(Look::ANNOUNCE);
        mem::forget(arrival);
        self.die(who);
    }

    /// Killed inside: it is written down as a member, and its arrival does not count yet.
    pub fn half_arrive_and_die(&self, who: u32) {
        let me = Tree::name(who);
        self.0
            .die_inside(who, |gate| gate.members.set(me, 1).unwrap());
    }

    /// Killed inside, as the last, with everything done but the end of the round.
    pub fn end_the_round_and_die(&self, who: u32) {
        let me = Tree::name(who);
        self.0.die_inside(who, |gate| {
            gate.members.set(me, 1).unwrap();
            gate.put(gate.round().unwrap().next());
        });
    }

    /// Killed inside a reset, before it is over.
    pub fn half_reset_and_die(&self, who: u32) {
        self.0.die_inside(who, |gate| {
            let round = gate.round().unwrap();
            gate.put(round.in_status(Status::Resetting(BrokenBarrier::Reset)));
            store(&gate.cuts[1], load(&gate.cuts[0]));
        });
    }

    pub fn abort(&self, who: u32) {
        Gate::abort(&self.0.seat(who)).unwrap();
    }

    pub fn reset(&self, who: u32) {
        Gate::reset(&self.0.seat(who)).unwrap();
    }

    pub fn waiting(&self) -> u32 {
        self.0.state().waiting().unwrap()
    }

    pub fn why_broken(&self) -> Option<BrokenBarrier> {
        self.0.state().why_broken().unwrap()
    }

    fn die(&self, who: u32) {
        self.0.die(who);
    }
}

fn ended(passage: Result<Passage, Refusal>) -> Ended {
    match passage {
        Ok(Passage::Through(index, is_leader)) => Ended::Through { index, is_leader },
        Ok(Passage::Broken(why)) => Ended::Broken(why),
        Ok(Passage::Acts(_)) => unreachable!("there is no action"),
        Err(Refusal::GaveUp(_)) => Ended::GaveUp,
        Err(other) => panic!("{other:?}"),
    }
}
