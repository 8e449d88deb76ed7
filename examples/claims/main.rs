//! What is claimed of threads, pools and processes in figures, measured here: claim, bound, measured, verdict.
//!
//! `cargo run --release --example claims -- --help` says what can be asked for. Where to read on:
//!
//! - `claim`: what a claim is, and when it is broken. `machine`: what this machine can give at all. `child`:
//!   what is measured in a process of its own.
//! - `threads`, `waits`, `futures`, `cpu`, `images`, `overheads`: the claims by theme.
//! - `options`: the command line.

mod child;
mod claim;
mod cpu;
mod futures;
mod images;
mod machine;
mod options;
mod overheads;
mod threads;
mod waits;

use claim::{Claim, Scale, Table};
use std::io::{self, Write};
use std::process::ExitCode;

const KEPT: u8 = 0;
const BROKEN: u8 = 1;
const IMPOSSIBLE: u8 = 2;

/// All claims, in the order of their numbers.
fn all() -> Vec<Claim> {
    let mut claims = [
        threads::CLAIMS,
        waits::CLAIMS,
        futures::CLAIMS,
        cpu::CLAIMS,
        images::CLAIMS,
        overheads::CLAIMS,
    ]
    .concat();
    claims.sort_by_key(|claim| claim.number);
    claims
}

fn main() -> ExitCode {
    if let Some(code) = child::answer() {
        return code;
    }
    let claims = all();
    let options = match options::parse(lexopt::Parser::from_env(), &claims) {
        Ok(Some(options)) => options,
        Ok(None) => {
            // To a closed pipe, too.
            let _ = write!(io::stdout(), "{}", options::help(&claims));
            return KEPT.into();
        }
        Err(error) => {
            eprintln!("claims: {error} (--help lists the options)");
            return IMPOSSIBLE.into();
        }
    };
    let scale = Scale::new(options.is_quick);
    let mut table = Table::begin(&scale);
    for claim in claims {
        if options.only.is_empty() || options.only.contains(&claim.number) {
            table.add(&claim, &scale);
        }
    }
    if table.end() { KEPT } else { BROKEN }.into()
}
