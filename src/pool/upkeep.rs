//! What is done to idle resources while nobody asks for them: stale ones are dropped, new ones made in advance.
//!
//! Keeps: whoever waits for a resource comes first; this stops when there is no turn to be had.

use super::core::Core;
use super::error::Refused;
use super::resource::{Resource, discard};
use super::stats::Why;
use std::sync::Arc;
use std::time::Instant;

impl<T> Core<T> {
    /// Drops up to so many stale ones, as long as nobody waits for a turn.
    pub(super) fn drop_stale(self: &Arc<Self>, most: usize) -> usize {
        let now = self.policy.clock();
        let mut dropped = 0;
        while dropped < most
            && let Ok(_turn) = self.try_turn()
            && let Some((resource, why)) = self.take_stale(now)
        {
            self.retire(resource, why);
            dropped += 1;
        }
        dropped
    }

    fn take_stale(&self, now: Option<Instant>) -> Option<(Resource<T>, Why)> {
        let mut state = self.state.lock();
        let mut verdicts = state.idle.iter().map(|it| self.policy.is_stale(it, now));
        let (place, why) = verdicts
            .by_ref()
            .enumerate()
            .find_map(|(place, why)| Some((place, why?)))?;
        drop(verdicts);
        Some((state.idle.remove(place)?, why))
    }

    /// Makes resources until so many are idle, as long as there are turns to be had; returns how many.
    pub(super) fn fill<E>(
        self: &Arc<Self>,
        wanted: usize,
        factory: &dyn Fn() -> Result<T, E>,
    ) -> Result<usize, E> {
        let (mut turns, mut made) = (Vec::new(), 0);
        loop {
            let alive = {
                let state = self.state.lock();
                if state.is_closed || state.idle.len() >= wanted {
                    return Ok(made);
                }
                // The rule at the head of this file.
                (turns.len() > state.idle.len()).then(|| self.alive.add_owned())
            };
            let Some(alive) = alive else {
                match self.try_turn() {
                    Ok(turn) => turns.push(turn),
                    Err(_) => return Ok(made),
                }
                continue;
            };
            let resource = match self.make(factory, alive) {
                Ok(resource) => resource,
                Err(Refused::Factory(error)) => return Err(error),
                Err(Refused::Closed) => return Ok(made),
            };
            let dropped = {
                let mut state = self.state.lock();
                let verdict = state.is_closed.then_some(Why::Closed).map_or(Ok(()), Err);
                state.shelve(resource, verdict)
            };
            discard(dropped);
            made += 1;
        }
    }
}
