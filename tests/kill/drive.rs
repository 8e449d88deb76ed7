//! Drivers: a victim for each instruction of a case, killed there or stopped there.
//!
//! Nothing here knows what is stepped. A fault does not end a run, so that its row says how many there
//! are; the caller fails on any.

use crate::case::{Case, End, Found, Trial};
use crate::cases::be_listed;
use latchwork::testing::{Step, Stepper, timed};
use std::fmt;
use std::time::{Duration, Instant};

/// In which time survivors must have got on, and a resumed victim, too.
const PROGRESS: Duration = Duration::from_secs(1);
/// What survivors are ready to wait for a stopped one, and how much later they may come back.
const PATIENCE: Duration = Duration::from_millis(8);
const TARDINESS: Duration = Duration::from_millis(150);

/// Which instructions.
#[derive(Clone, Copy)]
pub enum Points {
    /// Each one, or as many as can be reached with so many steps in all: a loop over a large
    /// block makes a run of each of its instructions cost as much as all before it.
    All { steps: usize },
    /// So many, evenly spread, and fewer if they cost more steps than this.
    About { points: usize, steps: usize },
}

impl Points {
    /// How far apart they are in an operation of `length` instructions. The n-th costs n strides.
    fn stride(self, length: usize) -> usize {
        let (points, steps) = match self {
            Points::All { steps } => (length, steps),
            Points::About { points, steps } => (points, steps),
        };
        let affordable = 2 * steps / length.max(1);
        // Odd, so that it does not keep step with a loop.
        length / points.min(affordable).max(1) | 1
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
    // All of it once, to know how long it is. What spins takes longer some times than others, so the
    // end is where a victim finishes, at about that length.
    row.instructions = one_point(case, &mut *trial, usize::MAX, &mut row, &mut blow).unwrap_or(0);
    row.stride = points.stride(row.instructions);
    let mut steps = 0;
    loop {
        let finished = one_point(case, &mut *trial, steps, &mut row, &mut blow);
        row.points += usize::from(finished.is_none());
        let is_end = match finished {
            Some(_) => steps >= row.instructions,
            None => steps > 2 * row.instructions,
        };
        if is_end || row.stuck > 3 {
            break;
        }
        steps += row.stride;
    }
    row.took = began.elapsed();
    row
}

/// One victim. Some number of instructions if it finished before the `steps` were used up.
fn one_point(
    case: &Case,
    trial: &mut dyn Trial,
    steps: usize,
    row: &mut Row,
    blow: Blow<'_>,
) -> Option<usize> {
    trial.before();
    let victim = |begin: &dyn Fn()| {
        if case.listed {
            be_listed();
        }
        trial.operate(begin);
    };
    // SAFETY: cases are made of operations on shared memory, the allocator and system calls.
    let mut stepper = unsafe { Stepper::fork(victim) }.expect("the victim begins");
    // What the victim waits for happens when it sleeps; for every other victim, in the middle.
    let act_at = (steps % 2 == 1).then_some(steps / 2);
    for nth in 0..steps {
        if act_at == Some(nth) {
            trial.meanwhile();
        }
        loop {
            match stepper
                .step()
                .unwrap_or_else(|error| panic!("{}: {error}", case.name))
            {
                Step::Finished => {
                    trial.meanwhile();
                    look_after(trial, End::Finished, row, nth);
                    return Some(nth);
                }
                Step::Asleep if nth + 1 < steps => trial.meanwhile(),
                Step::Asleep | Step::Ran => break,
            }
        }
    }
    blow(trial, stepper, row, steps);
    None
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
