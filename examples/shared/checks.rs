//! What an example claims, and whether it is so.
//!
//! Keeps: one claim that is not so makes the program's exit code 1. Used by `main` of most examples.

use std::fmt::Display;
use std::process::ExitCode;

#[derive(Default)]
pub struct Checks {
    made: usize,
    failed: usize,
}

impl Checks {
    /// Prints the claim, and whether it is so.
    pub fn claim(&mut self, claim: impl Display, is_so: bool) {
        self.made += 1;
        self.failed += usize::from(!is_so);
        println!("  {}  {claim}", if is_so { "ok" } else { "NO" });
    }

    /// The last line, and the exit code.
    pub fn end(&self) -> ExitCode {
        let held = self.made - self.failed;
        println!("\n{held} of {} claims hold", self.made);
        ExitCode::from(u8::from(self.failed > 0))
    }
}
