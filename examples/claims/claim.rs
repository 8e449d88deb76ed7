//! What a claim is: a number, a check that measures, and lines that each hold their bound or not.
//!
//! Keeps: a claim is broken only if three tries broke it. A machine that does other things as well breaks
//! any bound in time now and then, and nothing but waiting makes a bound hold that does not: so the best
//! try is the one that is shown, and which one it was.

use crate::machine::{Others, cpus};
use std::fmt;
use std::time::Duration;

#[derive(Clone, Copy)]
pub struct Claim {
    pub number: u32,
    pub what: &'static str,
    pub check: fn(&Scale) -> Vec<Line>,
}

impl Claim {
    pub fn name(&self) -> String {
        format!("N{}", self.number)
    }
}

/// How much is measured, and how strictly.
pub struct Scale {
    pub is_quick: bool,
    /// Threads that can run at once.
    pub cpus: usize,
}

impl Scale {
    pub fn new(is_quick: bool) -> Scale {
        Scale {
            is_quick,
            cpus: cpus(),
        }
    }

    pub fn pick<T>(&self, whole: T, quick: T) -> T {
        if self.is_quick { quick } else { whole }
    }

    /// A time that is claimed to be enough. A quick run has a busy machine, and no optimised build.
    pub fn enough(&self, seconds: f64) -> f64 {
        self.pick(seconds, seconds * 2.0 + 0.2)
    }

    /// The part of what the machine can give that must be reached.
    pub fn part(&self) -> f64 {
        self.pick(0.95, 0.4)
    }
}

/// What was measured, and what it had to be.
pub struct Line {
    what: String,
    bound: Bound,
    measured: f64,
    unit: Unit,
    /// Where the bound comes from, if not from the claim itself.
    note: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
    Between(f64, f64),
    Exactly(f64),
    /// Shown for comparison.
    None,
    /// Nothing was measured; the note says why.
    Absent,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    Seconds,
    Times,
    Megabytes,
    Count,
}

impl Line {
    fn new(what: impl Into<String>, bound: Bound, measured: f64, unit: Unit) -> Line {
        Line {
            what: what.into(),
            bound,
            measured,
            unit,
            note: String::new(),
        }
    }

    pub fn at_most(what: impl Into<String>, bound: f64, measured: f64, unit: Unit) -> Line {
        Line::new(what, Bound::AtMost(bound), measured, unit)
    }

    pub fn at_least(what: impl Into<String>, bound: f64, measured: f64, unit: Unit) -> Line {
        Line::new(what, Bound::AtLeast(bound), measured, unit)
    }

    /// A time that cannot be shorter, because that much is slept in it, and must not be longer.
    pub fn time(what: impl Into<String>, least: Duration, most: f64, measured: Duration) -> Line {
        let bound = Bound::Between(least.as_secs_f64(), most);
        Line::new(what, bound, measured.as_secs_f64(), Unit::Seconds)
    }

    pub fn exactly(what: impl Into<String>, expected: usize, counted: usize) -> Line {
        let bound = Bound::Exactly(expected as f64);
        Line::new(what, bound, counted as f64, Unit::Count)
    }

    /// What is true or not.
    pub fn holds(what: impl Into<String>, holds: bool) -> Line {
        Line::exactly(what, 1, usize::from(holds))
    }

    pub fn shown(what: impl Into<String>, measured: f64, unit: Unit) -> Line {
        Line::new(what, Bound::None, measured, unit)
    }

    /// What cannot be measured, and why not.
    pub fn absent(what: impl Into<String>, why: impl Into<String>) -> Line {
        Line::new(what, Bound::Absent, 0.0, Unit::Count).because(why)
    }

    pub fn because(mut self, note: impl Into<String>) -> Line {
        self.note = note.into();
        self
    }

    fn is_broken(&self) -> bool {
        !match self.bound {
            Bound::AtMost(bound) => self.measured <= bound,
            Bound::AtLeast(bound) => self.measured >= bound,
            Bound::Between(least, most) => (least..=most).contains(&self.measured),
            Bound::Exactly(bound) => self.measured == bound,
            Bound::None | Bound::Absent => true,
        }
    }

    fn bound(&self) -> String {
        let quantity = |figure| Quantity(figure, self.unit);
        match self.bound {
            Bound::AtMost(bound) => format!("<= {}", quantity(bound)),
            Bound::AtLeast(bound) => format!(">= {}", quantity(bound)),
            Bound::Between(least, most) => format!("{} .. {}", quantity(least), quantity(most)),
            Bound::Exactly(bound) => format!("= {}", quantity(bound)),
            Bound::None | Bound::Absent => String::new(),
        }
    }
}

/// A figure with its unit, in as many digits as say something.
struct Quantity(f64, Unit);

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quantity(figure, unit) = *self;
        match unit {
            Unit::Seconds if figure.is_infinite() => f.write_str("never"),
            Unit::Seconds if figure.abs() >= 1.0 => write!(f, "{figure:.3} s"),
            Unit::Seconds if figure.abs() >= 1e-3 => write!(f, "{:.2} ms", figure * 1e3),
            Unit::Seconds if figure.abs() >= 1e-6 => write!(f, "{:.2} us", figure * 1e6),
            Unit::Seconds => write!(f, "{:.2} ns", figure * 1e9),
            Unit::Times => write!(f, "{figure:.2}x"),
            Unit::Megabytes => write!(f, "{figure:.1} MB"),
            Unit::Count => write!(f, "{figure}"),
        }
    }
}

/// Prints claims as they are checked, and remembers which are broken.
pub struct Table {
    others: Others,
    claims: usize,
    broken: Vec<String>,
}

const TRIES: usize = 3;

impl Table {
    pub fn begin(scale: &Scale) -> Table {
        let size = scale.pick(
            "whole",
            "quick: small sizes, generous bounds; see the release build without --quick",
        );
        println!("{} CPUs, {size}\n", scale.cpus);
        println!(
            "{:<5} {:<52} {:<24} {:>12}  verdict",
            "claim", "what", "bound", "measured"
        );
        Table {
            others: Others::begin(),
            claims: 0,
            broken: Vec::new(),
        }
    }

    pub fn add(&mut self, claim: &Claim, scale: &Scale) {
        println!("{:<5} {}", claim.name(), claim.what);
        let broken_in = |lines: &[Line]| lines.iter().filter(|line| line.is_broken()).count();
        let mut best = (claim.check)(scale);
        let mut tries = 1;
        let mut best_try = 1;
        while broken_in(&best) > 0 && tries < TRIES {
            tries += 1;
            let lines = (claim.check)(scale);
            if broken_in(&lines) < broken_in(&best) {
                (best, best_try) = (lines, tries);
            }
        }
        for line in &best {
            print_line(line, best_try);
        }
        self.claims += 1;
        if broken_in(&best) > 0 {
            self.broken.push(claim.name());
        }
    }

    /// Whether all bounds hold.
    pub fn end(self) -> bool {
        let others = self.others.part() * 100.0;
        println!("\nmeanwhile, other programs used {others:.0} % of the CPUs");
        match &self.broken[..] {
            [] => println!("{} claims, no bound is broken", self.claims),
            broken => println!(
                "{} claims, broken in each of {TRIES} tries: {}",
                self.claims,
                broken.join(", ")
            ),
        }
        self.broken.is_empty()
    }
}

fn print_line(line: &Line, tries: usize) {
    let (measured, verdict) = match line.bound {
        Bound::Absent => ("-".to_owned(), "not here".to_owned()),
        _ => {
            let measured = Quantity(line.measured, line.unit).to_string();
            let verdict = match (line.bound, line.is_broken()) {
                (Bound::None, _) => "shown".to_owned(),
                (_, true) => "BROKEN".to_owned(),
                (_, false) if tries > 1 => format!("holds, try {tries}"),
                (_, false) => "holds".to_owned(),
            };
            (measured, verdict)
        }
    };
    let note = match &line.note[..] {
        "" => String::new(),
        note => format!(" ({note})"),
    };
    println!(
        "      {:<52} {:<24} {measured:>12}  {verdict}{note}",
        line.what,
        line.bound()
    );
}
