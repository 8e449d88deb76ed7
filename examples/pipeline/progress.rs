//! How far a run is: a bar on a terminal, a few lines elsewhere, nothing if so asked.
//!
//! Keeps: at most eleven lines a run, however many pictures. It writes to standard error, so that
//! standard output is the report alone. Used by [`Tally`](crate::run::Tally).

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};

const LINES: usize = 10;

pub enum Progress {
    Bar(ProgressBar),
    Lines { title: &'static str, total: usize },
    Never,
}

impl Progress {
    pub fn new(title: &'static str, total: usize, is_wanted: bool) -> Progress {
        if !is_wanted {
            return Progress::Never;
        }
        if !io::stderr().is_terminal() {
            return Progress::Lines { title, total };
        }
        let bar = ProgressBar::new(total as u64);
        let style = "{prefix} {wide_bar} {pos}/{len} pictures, {eta} left {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_prefix(title);
        Progress::Bar(bar)
    }

    /// Another picture has ended; so many have now, and so many of them have failed.
    pub fn step(&self, ended: usize, failed: usize) {
        match self {
            Progress::Bar(bar) => {
                if failed > 0 {
                    bar.set_message(format!("({failed} failed)"));
                }
                bar.set_position(ended as u64);
            }
            Progress::Lines { title, total } => {
                if ended.is_multiple_of(total.div_ceil(LINES)) || ended == *total {
                    say(&format!(
                        "{title}: {ended} of {total} pictures, {failed} failed"
                    ));
                }
            }
            Progress::Never => {}
        }
    }

    /// The last word about this run.
    pub fn finish(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// A line on standard error. If nobody reads it, the work goes on.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
