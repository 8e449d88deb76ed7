//! The way of an operation, instruction by instruction, and how to get far along it without walking.
//!
//! To kill at each of n instructions by steps alone takes n²/2 of them. A course knows from one victim
//! where each instruction was; the next is let run to a place shortly before its end that it meets early
//! or seldom, and steps the rest. Its path may differ a little, by what the allocator or the
//! clock says: then it is killed elsewhere, or finishes.

use super::{Step, Stepper};
use std::collections::HashMap;
use std::io;

/// How far before the goal to look for a place to run to.
const WALK: usize = 256;

/// Where each instruction of an operation was when it was recorded.
#[derive(Clone, Debug)]
pub struct Course {
    places: Vec<usize>,
    /// At which positions each place was met.
    met: HashMap<usize, Vec<usize>>,
}

/// A victim on a [`Course`].
#[derive(Debug)]
pub struct Walker<'a> {
    course: &'a Course,
    stepper: Stepper,
    /// How many instructions are behind it.
    at: usize,
    /// Runs: to which place, how many meetings with it are still to come, and the position then.
    run: Option<(usize, usize, usize)>,
}

impl Course {
    /// Lets the victim do all of its work and records the way. `asleep` is called whenever it sleeps, to
    /// do what it waits for.
    ///
    /// # Errors
    ///
    /// As for [`killed_after`](super::killed_after).
    pub fn record(mut stepper: Stepper, mut asleep: impl FnMut()) -> io::Result<Course> {
        let mut places = Vec::new();
        loop {
            let place = stepper.place()?;
            let step = loop {
                match stepper.step()? {
                    Step::Asleep => asleep(),
                    step => break step,
                }
            };
            places.push(place);
            if step == Step::Finished {
                break;
            }
        }
        let mut met: HashMap<usize, Vec<usize>> = HashMap::new();
        for (position, &place) in places.iter().enumerate() {
            met.entry(place).or_default().push(position);
        }
        Ok(Course { places, met })
    }

    /// How many instructions it has.
    #[allow(clippy::len_without_is_empty, reason = "nothing takes no instruction")]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Sends a victim on the course, which stands at its beginning.
    pub fn begin(&self, stepper: Stepper) -> Walker<'_> {
        Walker {
            course: self,
            stepper,
            at: 0,
            run: None,
        }
    }

    /// Where to run to on the way from `at` to `goal`, in how many meetings, and which position that is;
    /// nothing if it is as quick to walk.
    fn leap(&self, at: usize, goal: usize) -> Option<(usize, usize, usize)> {
        let goal = goal.min(self.places.len());
        // The last instruction is walked, and so is the first of a run.
        let last = goal.checked_sub(1).filter(|&last| last > at + 1)?;
        let candidates = (at + 2).max(last.saturating_sub(WALK))..=last;
        let cost = |&(_, meetings, position): &(usize, usize, usize)| meetings + goal - position;
        candidates
            .map(|position| {
                let place = self.places[position];
                let met = &self.met[&place];
                let before = |position: usize| met.partition_point(|&other| other < position);
                (place, before(position + 1) - before(at + 1), position)
            })
            .min_by_key(cost)
            .filter(|leap| 2 * cost(leap) < goal - at)
    }
}

impl Walker<'_> {
    /// Goes on until `goal` instructions were executed since the beginning.
    ///
    /// [`Asleep`](Step::Asleep) if the victim sleeps on the way: call it again. If it sleeps in the last
    /// of these instructions, [`is_there`](Walker::is_there) says so.
    ///
    /// # Errors
    ///
    /// As for [`killed_after`](super::killed_after).
    pub fn advance(&mut self, goal: usize) -> io::Result<Step> {
        while self.at < goal {
            if self.run.is_none() {
                self.run = self.course.leap(self.at, goal);
            }
            let step = match self.run {
                None => self.stepper.step()?,
                Some((place, ..)) => match self.stepper.run_to(place) {
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                        // `run_to` made one step before it found out.
                        self.run = None;
                        Step::Ran
                    }
                    step => step?,
                },
            };
            match (step, self.run) {
                (Step::Ran, None) => self.at += 1,
                (Step::Ran, Some((_, 1, position))) => {
                    self.at = position;
                    self.run = None;
                }
                (Step::Ran, Some((place, meetings, position))) => {
                    self.run = Some((place, meetings - 1, position));
                }
                (other, _) => return Ok(other),
            }
        }
        Ok(Step::Ran)
    }

    /// Whether a victim that sleeps has got as far as `goal`, but for waking up.
    pub fn is_there(&self, goal: usize) -> bool {
        self.run.is_none() && self.at + 1 >= goal
    }

    /// How many instructions are behind it, by the course.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The victim, where it stands.
    pub fn into_stepper(self) -> Stepper {
        self.stepper
    }
}
