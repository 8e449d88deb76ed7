//! Drivers: a victim for each instruction of a case, killed there or stopped there.
//!
//! Nothing here knows what is stepped. A fault does not end a run, so that its row says how many there
//! are; the caller fails on any.

use crate::case::{Case, End, Found, Trial};
use crate::cases::be_listed;
use latchwork::testing::{Course, Step, Stepper, timed};
use std::fmt;
use std::time::{Duration, Instant};

/// In which time survivors must have got on, and a resumed victim, too.
const PROGRESS: Duration = Duration::from_secs(1);
/// What survivors are ready to wait for a stopped one, and how much later they may come back.
const PATIENCE: Duration = Duration::from_millis(8);
const TARDINESS: Duration = Duration::from_millis(150);
/// After how many points that were not reached the course is recorded anew.
const MISSES: usize = 4;

/// Which instructions.
#[derive(Clone, Copy)]
pub enum Points {
    All,
    /// So many, evenly spread.
    About(usize),
}

impl Points {
    /// How far apart they are in an operation of `length` instructions.
    fn stride(self, length: usize) -> usize {
        match self {
            Points::All => 1,
            // Odd, so that it does not keep step with a loop.
            Points::About(points) => length.div_ceil(points) | 1,
        }
    }
}

/// What a run came to.
pub struct Row {
    pub case: String,
    pub instructions: usize,
    pub stride: usize,
    pub points: usize,
    /// Victims that died, or were stopped, with something in their hands.
    pub held: usize,
    pub stuck: usize,
    pub lost: usize,
    pub faults: Vec<String>,
    pub took: Duration,
}

impl Row {
    pub fn new(case: String) -> Row {
        Row {
            case,
            instructions: 0,
            stride: 1,
            points: 0,
            held: 0,
            stuck: 0,
            lost: 0,
            faults: Vec::new(),
            took: Duration::ZERO,
        }
    }

    pub fn stuck(&mut self, what: String) {
        self.stuck += 1;
        self.fault(what);
    }

    pub fn lost(&mut self, what: String) {
        self.lost += 1;
        self.fault(what);
    }

    fn fault(&mut self, what: String) {
        if self.faults.len() < 5 {
            self.faults.push(format!("{}: {what}", self.case));
        }
    }
}

pub const HEADING: &str = "kill case                                instructions stride points   held  stuck   lost      s";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kill {:<35} {:>12} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6.1}",
            self.case,
            self.instructions,
            self.stride,
            self.points,
            self.held,
            self.stuck,
            self.lost,
            self.took.as_secs_f64()
        )
    }
}

/// Kills a victim at each point of the case; survivors must get on, and nothing be lost.
pub fn kills(case: &Case, points: Points) -> Row {
    each_point(case, "killed", points, |trial, stepper, row, steps| {
        stepper.kill();
        trial.meanwhile();
        look_after(trial, End::Killed, row, steps);
    })
}

/// Stops a victim at each point of the case; survivors' limits must be kept and nothing be taken from
/// it. Resumed, it must finish as if nothing had happened.
pub fn stops(case: &Case, points: Points) -> Row {
    each_point(case, "stopped", points, |trial, stepper, row, steps| {
        let mut victim = stepper.stop().expect("the victim stops");
        let (outcome, took) = timed(|| trial.beside(PATIENCE));
        if let Err(what) = outcome {
            row.lost(format!("{what}, stopped after {steps} steps"));
        }
        if took > PATIENCE + TARDINESS {
            row.stuck(format!(
                "a limit of {PATIENCE:?} took {took:?}, {steps} steps"
            ));
        }
        victim.resume().expect("the victim resumes");
        trial.meanwhile();
        let resumed = Instant::now();
        let ended = loop {
            match victim.try_join().expect("the victim is ours") {
                // A busy machine may keep the victim waiting, so that it gets more than survivors.
                None if resumed.elapsed() < 5 * PROGRESS => {
                    std::thread::sleep(Duration::from_micros(100));
                }
                ended => break ended,
            }
        };
        match ended {
            None => {
                row.stuck(format!("the victim hangs, stopped after {steps} steps"));
                victim.kill();
                look_after(trial, End::Killed, row, steps);
            }
            Some(status) if !status.success() => {
                row.lost(format!(
                    "the victim failed ({status}), stopped after {steps} steps"
                ));
                look_after(trial, End::Killed, row, steps);
            }
            Some(_) => look_after(trial, End::Finished, row, steps),
        }
    })
}

/// What a driver does to a victim that stands where it should be.
type Blow<'a> = &'a mut dyn FnMut(&mut dyn Trial, Stepper, &mut Row, usize);

fn each_point(
    case: &Case,
    how: &str,
    points: Points,
    mut blow: impl FnMut(&mut dyn Trial, Stepper, &mut Row, usize),
) -> Row {
    let mut row = Row::new(format!("{}, {how}", case.name));
    let began = Instant::now();
    be_listed();
    let mut trial = case.start();
    let mut course = record(case, &mut *trial, &mut row);
    row.instructions = course.len();
    row.stride = points.stride(course.len());
    let (mut goal, mut missed) = (0, 0);
    while goal < course.len() && row.stuck <= 3 {
        // What the victim waits for happens when it sleeps; for every other victim, on its way.
        let acts_at = (row.points % 2 == 1).then_some(goal / 2);
        if one_point(
            case,
            &course,
            &mut *trial,
            (goal, acts_at),
            &mut row,
            &mut blow,
        ) {
            row.points += 1;
        } else if acts_at.is_none() {
            missed += 1;
            // What the dead have left may have made the way another one.
            if missed % MISSES == 0 {
                course = record(case, &mut *trial, &mut row);
            }
        }
        goal += row.stride;
    }
    row.took = began.elapsed();
    row
}

/// Lets one victim finish, and keeps its course.
fn record(case: &Case, trial: &mut dyn Trial, row: &mut Row) -> Course {
    trial.before();
    let first = victim(case, trial);
    let course = Course::record(first, || trial.meanwhile());
    let course = course.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    trial.meanwhile();
    look_after(trial, End::Finished, row, course.len());
    course
}

fn victim(case: &Case, trial: &dyn Trial) -> Stepper {
    let victim = |begin: &dyn Fn()| {
        if case.listed {
            be_listed();
        }
        trial.operate(begin);
    };
    // SAFETY: cases are made of operations on shared memory, the allocator and system calls.
    unsafe { Stepper::fork(victim) }.expect("the victim begins")
}

/// One victim, struck after `goal` instructions; `false` if it has finished before.
fn one_point(
    case: &Case,
    course: &Course,
    trial: &mut dyn Trial,
    (goal, mut acts_at): (usize, Option<usize>),
    row: &mut Row,
    blow: Blow<'_>,
) -> bool {
    trial.before();
    let mut walker = course.begin(victim(case, trial));
    loop {
        let next = acts_at.unwrap_or(goal);
        match walker
            .advance(next)
            .unwrap_or_else(|error| panic!("{}: {error}", case.name))
        {
            Step::Finished => {
                trial.meanwhile();
                look_after(trial, End::Finished, row, goal);
                return false;
            }
            Step::Asleep if walker.is_there(goal) => break,
            Step::Asleep => trial.meanwhile(),
            Step::Ran if acts_at.take().is_some() => trial.meanwhile(),
            Step::Ran => break,
        }
    }
    blow(trial, walker.into_stepper(), row, goal);
    true
}

fn look_after(trial: &mut dyn Trial, end: End, row: &mut Row, steps: usize) {
    let (outcome, took) = timed(|| trial.after(end));
    if took > PROGRESS {
        row.stuck(format!(
            "{end:?} after {steps} steps, survivors took {took:?}"
        ));
    }
    match outcome {
        Ok(Found::Free) => {}
        Ok(Found::Held) if end == End::Killed => row.held += 1,
        Ok(Found::Held) => row.lost(format!("finished, yet it died, after {steps} steps")),
        Err(what) => row.lost(format!("{what}, {end:?} after {steps} steps")),
    }
}
