//! The fuzzer's entry points, fed by a fixed seed: what needs no fuzzer to be found stays found.
//!
//! `fuzz/` has the same functions as targets of `cargo fuzz`. A case that it finds belongs into
//! [`FOUND`].

#![cfg(all(feature = "testing", target_os = "linux"))]

mod common;

use common::watchdog;
use latchwork::fuzzing;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
/// What each entry point gets: so many cases, or as many as there are in this time.
const CASES: u64 = 20_000;
const TIME: Duration = Duration::from_secs(2);

type Target = fn(&[u8]);

/// What the fuzzer once found, with the target that failed on it.
const FOUND: &[(&str, Target, &[u8])] = &[];

/// Pseudo-random bytes, up to 300 of them, the same for the same case.
fn case(nth: u64) -> Vec<u8> {
    let mut random = nth.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let len = next() % 300;
    // Small values name kinds, counts and small numbers, so they are what leads deeper.
    let byte = |random: u64| match random % 3 {
        0 => random.to_le_bytes()[4] % 8,
        _ => random.to_le_bytes()[3],
    };
    (0..len).map(|_| byte(next())).collect()
}

fn feed(name: &'static str, target: Target) {
    watchdog(LIMIT, name, move || {
        let began = Instant::now();
        let (mut done, mut slowest) = (0, Duration::ZERO);
        for nth in 1..=CASES {
            let data = case(nth);
            let start = Instant::now();
            if let Err(why) = panic::catch_unwind(AssertUnwindSafe(|| target(&data))) {
                eprintln!("{name}, case {nth}: {data:?}");
                panic::resume_unwind(why);
            }
            slowest = slowest.max(start.elapsed());
            done = nth;
            if began.elapsed() > TIME {
                break;
            }
        }
        println!("{name}: {done} cases, the slowest took {slowest:?}");
        assert!(done >= 50, "only {done}");
    });
}

#[test]
fn segments_from_anybody() {
    feed("segment", fuzzing::segment);
}

#[test]
fn an_arena_that_others_write_into() {
    feed("arena", fuzzing::arena);
}

#[test]
fn a_word_and_a_roster_that_others_write_into() {
    feed("word", fuzzing::word);
}

#[test]
fn handles_from_anybody() {
    feed("handle", fuzzing::handle);
}

#[test]
fn frames_from_anybody() {
    feed("wire", fuzzing::wire);
}

#[test]
fn what_was_found_once_is_harmless_now() {
    for (name, target, data) in FOUND {
        println!("{name}");
        target(data);
    }
}
