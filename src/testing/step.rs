//! Stepping a victim through an operation, to end it at a chosen instruction.
//!
//! Invariant: between two calls the victim stands still, stopped by the tracer, or is asleep in a
//! system call: nothing of it runs that was not asked for. The kernel ties a tracer to its thread, so
//! a [`Stepper`] stays on one.

use super::Victim;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::time::{Duration, Instant};

/// What became of a victim that was allowed a number of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Killed before its work was done.
    Killed,
    /// The work was done before the steps ran out.
    Finished,
}

/// What one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One instruction was executed.
    Ran,
    /// The instruction is a system call in which the victim sleeps. The next step waits on for it.
    Asleep,
    /// The victim has done its work and exited.
    Finished,
}

/// A victim that executes one instruction at a time. Killed when dropped.
#[derive(Debug)]
pub struct Stepper {
    victim: Victim,
    /// In a system call that has not returned.
    asleep: bool,
    /// Asleep while running to some place, and not in a step.
    running: bool,
    /// The instruction executed last, and how often in a row before.
    repeated: (usize, u32),
    /// A signal that has to be delivered with the next step.
    signal: libc::c_int,
    _processor: Processor,
    /// The tracer is a thread.
    _not_send: PhantomData<*mut ()>,
}

/// How long a system call may take before its sleeper is called asleep.
const BRIEF: Duration = Duration::from_millis(1);

/// How often a repeating instruction is stepped before the rest of it is done at once.
const REPETITIONS: u32 = 3;

/// Runs `prepare` and then `work` in a forked child and kills it `steps` instructions into `work`.
///
/// If the last of these instructions is a system call that sleeps, the victim is killed asleep. Sleeps
/// before that are waited for, so they have to end by themselves; use a [`Stepper`] where they do not.
///
/// # Errors
///
/// What the system says if it has no process to spare or lets nobody trace, and an error that tells how
/// the victim ended if it panicked or was killed by something else.
///
/// # Safety
///
/// As for [`Victim::fork`].
pub unsafe fn killed_after<P>(
    steps: usize,
    prepare: impl FnOnce() -> P,
    work: impl FnOnce(P),
) -> io::Result<Fate> {
    // SAFETY: the caller's promise.
    let mut stepper = unsafe { Stepper::fork(in_two_parts(prepare, work))? };
    match stepper.steps(steps)? {
        Step::Finished => Ok(Fate::Finished),
        _ => {
            stepper.kill();
            Ok(Fate::Killed)
        }
    }
}

/// As [`killed_after`], but the victim is stopped (SIGSTOP) there instead, and returned.
///
/// [`Victim::resume`] lets it finish its work. `None` if the work was done before the steps ran out.
///
/// # Errors
///
/// As for [`killed_after`].
///
/// # Safety
///
/// As for [`Victim::fork`].
pub unsafe fn stopped_after<P>(
    steps: usize,
    prepare: impl FnOnce() -> P,
    work: impl FnOnce(P),
) -> io::Result<Option<Victim>> {
    // SAFETY: the caller's promise.
    let mut stepper = unsafe { Stepper::fork(in_two_parts(prepare, work))? };
    match stepper.steps(steps)? {
        Step::Finished => Ok(None),
        _ => stepper.stop().map(Some),
    }
}

fn in_two_parts<P>(prepare: impl FnOnce() -> P, work: impl FnOnce(P)) -> impl FnOnce(&dyn Fn()) {
    |begin| {
        let prepared = prepare();
        begin();
        work(prepared);
    }
}

impl Stepper {
    /// Forks a child that runs `victim` and stands still where that calls its argument.
    ///
    /// # Errors
    ///
    /// As for [`killed_after`]; also if the victim never calls its argument.
    ///
    /// # Safety
    ///
    /// As for [`Victim::fork`].
    pub unsafe fn fork(victim: impl FnOnce(&dyn Fn())) -> io::Result<Stepper> {
        // A step is two switches between tracer and victim, several times cheaper on one processor.
        let processor = Processor::stay();
        // SAFETY: the caller's promise; what is added are plain system calls.
        let victim = unsafe {
            Victim::fork(|| {
                victim(&|| {
                    libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                    libc::raise(libc::SIGSTOP);
                });
            })?
        };
        let mut stepper = Stepper {
            victim,
            asleep: false,
            running: false,
            repeated: (0, 0),
            signal: 0,
            _processor: processor,
            _not_send: PhantomData,
        };
        let status = stepper.victim.wait(libc::WUNTRACED)?;
        match stepper.judge(status.unwrap_or(0))? {
            Step::Finished => Err(io::Error::other("the victim never began its operation")),
            _ => {
                // It is the stop that was asked for, no signal to deliver.
                stepper.signal = 0;
                Ok(stepper)
            }
        }
    }

    /// Lets the victim execute one instruction.
    ///
    /// Of one that repeats itself (`rep movsb`) it is one repetition, three times; then all the rest.
    ///
    /// # Errors
    ///
    /// As for [`killed_after`].
    pub fn step(&mut self) -> io::Result<Step> {
        if self.asleep {
            return self.wait_for_stop(true);
        }
        let place = self.place()?;
        let code = self.code(place);
        self.repeated = match self.repeated {
            (last, times) if last == place => (place, times + 1),
            _ => (place, 0),
        };
        let repeats_on = self.repeated.1 >= REPETITIONS;
        if let Some(next) = machine::behind_repetition(code, place).filter(|_| repeats_on)
            && self.break_at(Some(next)).is_ok()
        {
            let step = self.go_on(libc::PTRACE_CONT, false);
            self.break_at(None)?;
            return step;
        }
        self.go_on(libc::PTRACE_SINGLESTEP, machine::is_system_call(code))
    }

    /// Lets the victim run until it is about to execute the instruction at `address`, at least one
    /// instruction further on. Much quicker than steps, for the processor itself looks out.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the processor cannot be told to, else as for [`killed_after`].
    pub fn run_to(&mut self, address: usize) -> io::Result<Step> {
        if !self.asleep {
            // The victim may be where it is to go.
            match self.step()? {
                Step::Ran if self.place()? == address => return Ok(Step::Ran),
                Step::Ran => {}
                other => return Ok(other),
            }
            self.break_at(Some(address))?;
            self.running = true;
            return self.go_on(libc::PTRACE_CONT, true);
        }
        self.wait_for_stop(true)
    }

    /// The address of the instruction that comes next.
    ///
    /// # Errors
    ///
    /// What the system says; it tells nothing of a victim that is asleep.
    pub fn place(&self) -> io::Result<usize> {
        // SAFETY: any bytes are a valid set of registers.
        let mut registers: libc::user_regs_struct = unsafe { mem::zeroed() };
        let mut place = libc::iovec {
            iov_base: (&raw mut registers).cast(),
            iov_len: size_of_val(&registers),
        };
        // SAFETY: the kernel writes at most `iov_len` bytes into `registers`.
        let got = unsafe {
            libc::ptrace(
                libc::PTRACE_GETREGSET,
                self.victim.pid(),
                libc::NT_PRSTATUS,
                &raw mut place,
            )
        };
        match got {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(machine::place(&registers)),
        }
    }

    /// Steps until `steps` instructions were executed; asleep in the last of them is done with it.
    fn steps(&mut self, steps: usize) -> io::Result<Step> {
        for nth in 1..=steps {
            loop {
                match self.step()? {
                    Step::Finished => return Ok(Step::Finished),
                    Step::Asleep if nth < steps => {}
                    Step::Asleep | Step::Ran => break,
                }
            }
        }
        Ok(Step::Ran)
    }

    /// Kills the victim where it stands.
    pub fn kill(self) {
        self.victim.kill();
    }

    /// Leaves the victim stopped by SIGSTOP where it stands, and no longer traced.
    ///
    /// # Errors
    ///
    /// What the system says, and `NotFound` if the victim has ended.
    pub fn stop(mut self) -> io::Result<Victim> {
        if self.asleep {
            // It has to stand still before it can be let go. The signal is what ends the sleep.
            self.victim.signal(libc::SIGSTOP)?;
            let status = self.victim.wait(0)?;
            self.judge(status.unwrap_or(0))?;
            if self.running {
                self.break_at(None)?;
            }
        }
        self.trace(libc::PTRACE_DETACH, libc::SIGSTOP as usize)?;
        self.victim.stopped()?;
        Ok(self.victim)
    }

    /// Reads a status of wait(2).
    fn judge(&mut self, status: libc::c_int) -> io::Result<Step> {
        if libc::WIFSTOPPED(status) {
            self.signal = match libc::WSTOPSIG(status) {
                // What a step ends with.
                libc::SIGTRAP => 0,
                signal => signal,
            };
            return Ok(Step::Ran);
        }
        match status {
            0 => Ok(Step::Finished),
            _ if libc::WIFEXITED(status) => {
                let code = libc::WEXITSTATUS(status);
                Err(io::Error::other(format!(
                    "the victim failed: status {code}"
                )))
            }
            _ => {
                let signal = libc::WTERMSIG(status);
                Err(io::Error::other(format!(
                    "the victim died of signal {signal}"
                )))
            }
        }
    }

    /// Waits for the end of a step, but not for a victim that sleeps.
    fn wait_awhile(&mut self) -> io::Result<Option<libc::c_int>> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.victim.wait(libc::WNOHANG)? {
                return Ok(Some(status));
            }
            if began.elapsed() >= BRIEF && self.is_asleep() {
                // Looked at in this order, what ended in between is noticed.
                return self.victim.wait(libc::WNOHANG);
            }
            std::thread::sleep(Duration::from_micros(20));
        }
    }

    /// Whether the victim is blocked in the kernel, and not merely kept off the processor.
    fn is_asleep(&self) -> bool {
        let stat = std::fs::read(format!("/proc/{}/stat", self.victim.pid())).unwrap_or_default();
        let end_of_name = stat.iter().rposition(|&byte| byte == b')');
        matches!(
            end_of_name.and_then(|end| stat.get(end + 2)),
            Some(b'S' | b'D')
        )
    }

    /// The first bytes of the instruction at `place`; whatever cannot be read is no instruction of note.
    fn code(&self, place: usize) -> u64 {
        // SAFETY: reads a word of the victim's memory.
        let word = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.victim.pid(), place, 0) };
        word.cast_unsigned()
    }

    /// Tells the processor where the victim has to stop, or that it need not.
    fn break_at(&self, address: Option<usize>) -> io::Result<()> {
        machine::break_at(self.victim.pid(), address)
    }

    /// Sets the victim going and waits until it stands still or is found asleep.
    fn go_on(&mut self, request: libc::c_uint, may_sleep: bool) -> io::Result<Step> {
        let signal = mem::take(&mut self.signal);
        self.trace(request, signal as usize)?;
        self.wait_for_stop(may_sleep)
    }

    fn wait_for_stop(&mut self, may_sleep: bool) -> io::Result<Step> {
        let status = match may_sleep {
            // An instruction that is no system call ends at once.
            false => self.victim.wait(0)?,
            true => self.wait_awhile()?,
        };
        self.asleep = status.is_none();
        let step = status.map_or(Ok(Step::Asleep), |status| self.judge(status))?;
        if self.running && step == Step::Ran {
            if self.signal != 0 {
                // On its way there, for a handler or its death.
                return self.go_on(libc::PTRACE_CONT, true);
            }
            self.running = false;
            self.break_at(None)?;
        }
        Ok(step)
    }

    fn trace(&self, request: libc::c_uint, argument: usize) -> io::Result<()> {
        // SAFETY: the victim is our stopped tracee; neither request touches memory of ours.
        match unsafe { libc::ptrace(request, self.victim.pid(), 0, argument) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

/// What differs between processors.
#[cfg(target_arch = "x86_64")]
mod machine {
    use std::{io, mem};

    pub(super) fn place(registers: &libc::user_regs_struct) -> usize {
        registers.rip as usize
    }

    pub(super) fn is_system_call(code: u64) -> bool {
        code as u16 == 0x050F
    }

    /// Where a string instruction with a `rep` prefix ends, if `code` is one.
    pub(super) fn behind_repetition(code: u64, place: usize) -> Option<usize> {
        let [prefix, second, third, ..] = code.to_le_bytes();
        let is_wide = second & 0xF0 == 0x40;
        let operation = if is_wide { third } else { second };
        let repeats =
            matches!(prefix, 0xF2 | 0xF3) && matches!(operation, 0xA4..=0xA7 | 0xAA..=0xAF);
        repeats.then(|| place + 2 + usize::from(is_wide))
    }

    /// Uses the first debug register.
    pub(super) fn break_at(pid: u32, address: Option<usize>) -> io::Result<()> {
        const FIRST: usize = mem::offset_of!(libc::user, u_debugreg);
        const CONTROL: usize = FIRST + 7 * 8;
        let poke = |place: usize, value: usize| {
            // SAFETY: a register of our stopped tracee, no memory of ours.
            match unsafe { libc::ptrace(libc::PTRACE_POKEUSER, pid, place, value) } {
                -1 => Err(io::Error::from(io::ErrorKind::Unsupported)),
                _ => Ok(()),
            }
        };
        poke(CONTROL, 0)?;
        if let Some(address) = address {
            poke(FIRST, address)?;
            poke(CONTROL, 1)?;
        }
        Ok(())
    }
}

/// What differs between processors.
#[cfg(target_arch = "aarch64")]
mod machine {
    use std::io;

    pub(super) fn place(registers: &libc::user_regs_struct) -> usize {
        registers.pc as usize
    }

    pub(super) fn is_system_call(code: u64) -> bool {
        code as u32 == 0xD400_0001
    }

    pub(super) fn behind_repetition(_code: u64, _place: usize) -> Option<usize> {
        None
    }

    pub(super) fn break_at(_pid: u32, _address: Option<usize>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Keeps the calling thread, and the children it makes, on one processor; dropping ends that for it.
#[derive(Debug)]
struct Processor {
    before: Option<libc::cpu_set_t>,
}

impl Processor {
    fn stay() -> Processor {
        const SIZE: usize = size_of::<libc::cpu_set_t>();
        // SAFETY: a set is plain bits, and both calls are about the calling thread only.
        unsafe {
            let mut before: libc::cpu_set_t = mem::zeroed();
            if libc::sched_getaffinity(0, SIZE, &raw mut before) == -1 {
                return Processor { before: None };
            }
            let mut one: libc::cpu_set_t = mem::zeroed();
            libc::CPU_SET(libc::sched_getcpu().max(0) as usize, &mut one);
            libc::sched_setaffinity(0, SIZE, &raw const one);
            Processor {
                before: Some(before),
            }
        }
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // SAFETY: as above.
            unsafe { libc::sched_setaffinity(0, size_of_val(before), before) };
        }
    }
}
