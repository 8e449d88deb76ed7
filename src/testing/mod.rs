//! Death on demand, for tests of what must survive it.
//!
//! A structure in shared memory that outlives the processes which use it makes a promise about every
//! instruction: wherever a process is killed or stopped, the others carry on. Such a promise is not
//! shown by killing at random, where the narrow places are hardly ever hit. Here a forked child, the
//! [`Victim`], is stepped through an operation instruction by instruction, and killed
//! ([`killed_after`]) or stopped ([`stopped_after`]) at the one that the test names; for all of them in
//! turn, until the operation ends before the steps do. What survivors make of it is the test's to say;
//! [`timed`] tells how long it took them, [`Baseline`] what was left behind.
//!
//! ```
//! use latchwork::ipc::{LockError, Value};
//! use latchwork::testing::{Baseline, Fate, killed_after, timed};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let counter = Value::new(0_u64)?;
//! let before = Baseline::take()?;
//! let mut count = 0;
//! for steps in (0..).step_by(97) {
//!     // SAFETY: the victim works on memory that it shares and on its own, and takes no lock that
//!     // another thread of this process could have held during the fork.
//!     let fate = unsafe {
//!         killed_after(steps, || drop(counter.try_lock()), |()| {
//!             counter.update(|n| *n += 1).unwrap();
//!         })?
//!     };
//!     let (seen, took) = timed(|| match counter.lock_within(Duration::from_secs(1)) {
//!         Ok(guard) => *guard,
//!         Err(LockError::OwnerDied(mut guard)) => {
//!             guard.mark_consistent();
//!             *guard
//!         }
//!         Err(other) => panic!("{other} after {steps} steps"),
//!     });
//!     assert!(took < Duration::from_secs(1));
//!     assert!(seen == count || seen == count + 1);
//!     count = seen;
//!     if fate == Fate::Finished {
//!         break;
//!     }
//! }
//! before.check()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! * **Forks.** A victim is a copy of this process with one thread: the one that made it. A lock that
//!   another thread held at that moment is never released in the victim. Operations on shared memory,
//!   system calls and the allocator of glibc are fine; printing, the environment and whatever else
//!   the other threads use is not.
//! * **Time.** A step takes some microseconds, so an operation runs a thousand times slower than it
//!   would, and all kill points of a long one by steps alone take minutes: a [`Course`] knows the way, and
//!   the victim runs most of it. A limit of a millisecond may be over before it is looked at.
//!   Operations that spin for a time take more or fewer instructions each time; a kill point is a
//!   number of instructions, not a place.
//! * **System calls** are one instruction. A victim that sleeps in one is killed or stopped there,
//!   asleep; [`Stepper::step`] says [`Asleep`](Step::Asleep), so that a test can wake it.
//! * **Instructions that repeat themselves** (`rep movsb`) are stepped three repetitions far, and then
//!   done at once.
//! * **Machines.** x86-64, where it is tested, and AArch64. There, instructions that reserve an address
//!   (`ldxr`, `stxr`) fail for ever when stepped: build for a processor with atomic instructions
//!   (`-C target-feature=+lse`).
//! * **Tracing** must be allowed: some sandboxes forbid `ptrace(2)`, and a debugger of the test cannot
//!   follow into victims.

mod baseline;
mod course;
mod machine;
mod step;
mod timed;
mod victim;

pub use baseline::{Baseline, Leak, Leaks};
pub use course::{Course, Walker};
pub use step::{Fate, Step, Stepper, killed_after, stopped_after};
pub use timed::timed;
pub use victim::Victim;
