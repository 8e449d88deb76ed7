//! Histories of real threads.

use super::{Operation, Spec};
use fastrand::Rng;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What is looked at: something that many threads may ask to do things.
pub trait Subject<S: Spec>: Sync {
    fn run(&self, op: &S::Op) -> S::Ret;
}

/// Runs `programs`, each on a thread of its own and all at once, and when they have ended `epilogue`.
///
/// Between operations the threads yield, or wait a moment, as `seed` has it. The same seed makes the same
/// programs dawdle at the same places, and not the same history.
pub fn record<S>(
    subject: &impl Subject<S>,
    seed: u64,
    programs: &[Vec<S::Op>],
    epilogue: &[S::Op],
) -> Vec<Operation<S::Op, S::Ret>>
where
    S: Spec<Op: Clone + Send + Sync, Ret: Send>,
{
    let clock = AtomicU64::new(0);
    let begin = Barrier::new(programs.len());
    let run = |thread, op: &S::Op| {
        let called = clock.fetch_add(1, Ordering::SeqCst);
        let ret = subject.run(op);
        let returned = clock.fetch_add(1, Ordering::SeqCst);
        Operation {
            thread,
            op: op.clone(),
            ret,
            called,
            returned,
        }
    };
    let run_all = &|(thread, program): (usize, &Vec<S::Op>)| -> Vec<_> {
        let mut rng = Rng::with_seed(seed.wrapping_add(thread as u64));
        begin.wait();
        let operations = program.iter().map(|op| {
            dawdle(&mut rng);
            run(thread, op)
        });
        operations.collect()
    };
    let mut history: Vec<_> = thread::scope(|s| {
        let programs = programs.iter().enumerate();
        let threads: Vec<_> = programs
            .map(|program| s.spawn(move || run_all(program)))
            .collect();
        let histories = threads.into_iter().map(|t| t.join().unwrap());
        histories.flatten().collect()
    });
    history.extend(epilogue.iter().map(|op| run(programs.len(), op)));
    history
}

/// Passes a moment, or none.
fn dawdle(rng: &mut Rng) {
    match rng.u8(..8) {
        0..3 => {}
        3..6 => thread::yield_now(),
        _ => (0..rng.u16(..2000)).for_each(|_| std::hint::spin_loop()),
    }
}
