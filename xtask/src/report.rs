//! The verdict: a table with a row a part, the failures by name, and the closing line.
//!
//! The closing line `N passed, N failed, N skipped` is read by machines: its form is fixed, and it
//! is the last line of standard output. It counts single tests and models; a check that has no
//! finer grain (formatting, one clippy run, one example) counts as one.

use std::iter::Sum;
use std::ops::Add;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Count {
    /// One check without finer grain.
    pub fn one(passed: bool) -> Count {
        Count {
            passed: passed.into(),
            failed: (!passed).into(),
            skipped: 0,
        }
    }

    fn closing_line(self) -> String {
        let Count {
            passed,
            failed,
            skipped,
        } = self;
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl Add for Count {
    type Output = Count;
    fn add(self, other: Count) -> Count {
        Count {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Count>>(counts: I) -> Count {
        counts.fold(Count::default(), Count::add)
    }
}

/// What a part found out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub count: Count,
    /// What failed, by name.
    pub failures: Vec<String>,
    /// Whatever else the reader should know: why it was skipped, how much was explored.
    pub remark: String,
}

impl Outcome {
    /// One check without finer grain, called `name` if it failed.
    pub fn check(name: &str, passed: bool) -> Outcome {
        let failures = if passed {
            Vec::new()
        } else {
            vec![name.to_owned()]
        };
        Outcome {
            count: Count::one(passed),
            failures,
            remark: String::new(),
        }
    }

    pub fn skipped(why: &str) -> Outcome {
        let count = Count {
            skipped: 1,
            ..Count::default()
        };
        Outcome {
            count,
            failures: Vec::new(),
            remark: format!("skipped: {why}"),
        }
    }

    /// Both together; remarks one after the other.
    pub fn and(mut self, other: Outcome) -> Outcome {
        self.count = self.count + other.count;
        self.failures.extend(other.failures);
        if !self.remark.is_empty() && !other.remark.is_empty() {
            self.remark += "; ";
        }
        self.remark += &other.remark;
        self
    }
}

#[derive(Default)]
pub struct Report {
    rows: Vec<(&'static str, Duration, Outcome)>,
}

impl Report {
    /// Announces a part, runs it, and keeps what it found out. A part that failed stops nothing.
    pub fn part(&mut self, name: &'static str, what: &str, run: impl FnOnce() -> Outcome) {
        println!("\n==> {name}: {what}");
        let start = Instant::now();
        let outcome = run();
        let took = start.elapsed();
        let remark = if outcome.remark.is_empty() {
            ""
        } else {
            &format!(" ({})", outcome.remark)
        };
        println!(
            "<== {name}: {} in {}{remark}",
            outcome.count.closing_line(),
            seconds(took)
        );
        self.rows.push((name, took, outcome));
    }

    /// Prints the verdict; the exit code is 1 when anything failed.
    pub fn conclude(&self) -> ExitCode {
        println!(
            "\n{:<13} {:>9} {:>7} {:>7} {:>8}",
            "part", "time", "passed", "failed", "skipped"
        );
        for (name, took, Outcome { count, remark, .. }) in &self.rows {
            let line = format!(
                "{name:<13} {:>9} {:>7} {:>7} {:>8}  {remark}",
                seconds(*took),
                count.passed,
                count.failed,
                count.skipped
            );
            println!("{}", line.trim_end());
        }
        let total: Duration = self.rows.iter().map(|(_, took, _)| took).sum();
        println!("{:<13} {:>9}\n", "together", seconds(total));
        for (name, _, outcome) in &self.rows {
            for failure in &outcome.failures {
                println!("FAILED {name}: {failure}");
            }
        }
        let count: Count = self.rows.iter().map(|(_, _, outcome)| outcome.count).sum();
        println!("{}", count.closing_line());
        if count.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_has_the_form_that_machines_read() {
        let count = Count {
            passed: 12,
            failed: 0,
            skipped: 3,
        };
        assert_eq!(count.closing_line(), "12 passed, 0 failed, 3 skipped");
    }

    #[test]
    fn outcomes_add_up() {
        let both = Outcome::check("a", true).and(Outcome::check("b", false));
        assert_eq!(
            both.count,
            Count {
                passed: 1,
                failed: 1,
                skipped: 0
            }
        );
        assert_eq!(both.failures, ["b"]);
        let all = both
            .and(Outcome::skipped("no c"))
            .and(Outcome::skipped("no d"));
        assert_eq!(
            all.count,
            Count {
                passed: 1,
                failed: 1,
                skipped: 2
            }
        );
        assert_eq!(all.remark, "skipped: no c; skipped: no d");
    }
}
