//! The one door to loom for every model in `tests/`: sets the bounds, counts what was explored.
//!
//! A model that passed says nothing until it is known how much it explored, so each prints one line,
//! `model NAME: N interleavings at preemption bound B in T s`, which `cargo xtask` adds up.
//! Exploration is always complete within the bound: loom's own limits on time and permutations end a
//! model early *and call that success*, so they are switched off here whatever the environment says.

// rustdoc is given no `--cfg`, and finds no doc tests here either.
#[cfg(not(any(loom, doc, doctest)))]
compile_error!("run cargo inside loom-tests/, whose .cargo/config.toml sets `--cfg loom`");

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Preemptions explored per interleaving when `LOOM_MAX_PREEMPTIONS` does not say.
const DEFAULT_BOUND: usize = 2;

/// Runs `f` once for each interleaving of its threads within the preemption bound.
///
/// `name` is the hazard the model explores ("a grant that races its time-out"), not the type under
/// test. The bound comes from `LOOM_MAX_PREEMPTIONS`, 2 when it is not set.
///
/// # Panics
///
/// When an interleaving panics, deadlocks or leaks, with loom's report; when the model has only one
/// interleaving, since it then proves nothing that a plain test would not; and when
/// `LOOM_MAX_PREEMPTIONS` is not a number.
pub fn model(name: &str, f: impl Fn() + Sync + Send + 'static) {
    model_at_least(0, name, f);
}

/// As [`model`], for a hazard that takes at least so many preemptions to show.
pub fn model_at_least(least: usize, name: &str, f: impl Fn() + Sync + Send + 'static) {
    let bound = preemption_bound().max(least);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.max_duration = None;
    builder.max_permutations = None;

    // std's atomic, not loom's: the count must live across interleavings.
    let begun = Arc::new(AtomicUsize::new(0));
    let tally = Tally {
        name,
        begun: Arc::clone(&begun),
    };
    let start = Instant::now();
    builder.check(move || {
        begun.fetch_add(1, Ordering::Relaxed);
        f();
        // loom takes its statics, the lot among them, down when the first thread ends. A worker that has
        // told of its end may still be about to unlock a bucket.
        latchwork::model::join_threads();
    });

    let explored = tally.count();
    drop(tally);
    let took = start.elapsed().as_secs_f64();
    println!("model {name}: {explored} interleavings at preemption bound {bound} in {took:.1} s");
    assert!(
        explored > 1,
        "model {name} has a single interleaving: nothing in it races"
    );
}

/// Runs `f` in one order, whichever: for what comes before a race and after it, and has models of its own.
///
/// It is the whole model that does not vary meanwhile, not only the calling thread.
pub fn quietly<R>(f: impl FnOnce() -> R) -> R {
    loom::stop_exploring();
    let result = f();
    loom::explore();
    result
}

fn preemption_bound() -> usize {
    match std::env::var("LOOM_MAX_PREEMPTIONS") {
        Ok(bound) => bound
            .parse()
            .expect("LOOM_MAX_PREEMPTIONS must be a number"),
        Err(_) => DEFAULT_BOUND,
    }
}

/// Says which interleaving failed when loom unwinds out of a model.
struct Tally<'a> {
    name: &'a str,
    begun: Arc<AtomicUsize>,
}

impl Tally<'_> {
    fn count(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "model {}: failed in interleaving {}",
                self.name,
                self.count()
            );
        }
    }
}
