//! Measures something in a process of its own: this program again, told by its environment what.
//!
//! Keeps: what is measured there has no past. Memory that earlier claims gave back would serve later ones, and a
//! process looks only once how many CPUs it has.

use crate::{threads, waits};
use std::env;
use std::process::{Command, ExitCode};
use std::str::FromStr;

const QUESTION: &str = "LATCHWORK_CLAIMS_CHILD";

/// Answers, if that is what this process was started for: figures on standard output.
pub fn answer() -> Option<ExitCode> {
    let question = env::var(QUESTION).ok()?;
    let figures = match question.split_whitespace().collect::<Vec<_>>()[..] {
        ["pool"] => vec![threads::threads_by_default() as f64],
        ["threads", count, stack] => threads::waiting(number(count), number(stack)).into(),
        ["tasks", count, millis] => waits::waiting(number(count), number(millis)).into(),
        _ => return Some(ExitCode::FAILURE),
    };
    for figure in figures {
        println!("{figure}");
    }
    Some(ExitCode::SUCCESS)
}

fn number<T: FromStr>(text: &str) -> T {
    let number = text.parse().ok();
    number.expect("a number, as the parent writes it")
}

/// The figures that such a process answers with.
///
/// # Panics
///
/// If it has none.
pub fn ask<const N: usize>(question: &str) -> [f64; N] {
    let output = Command::new("/proc/self/exe")
        .env(QUESTION, question)
        .output();
    let output = output.expect("this program starts").stdout;
    let figures = String::from_utf8_lossy(&output);
    let figures = figures.split_whitespace().map(str::parse);
    let figures: Vec<f64> = figures.collect::<Result<_, _>>().expect("numbers");
    figures.try_into().expect("as many as are asked for")
}
