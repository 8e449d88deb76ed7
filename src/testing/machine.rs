//! What stepping needs of the processor: where a victim is, what it does next, where it has to stop.
//!
//! Everything that differs between architectures is in here. Called by `testing::step`.

use std::mem;

pub(super) use imp::{behind_repetition, break_at, is_system_call, place};

#[cfg(target_arch = "x86_64")]
mod imp {
    use std::io;
    use std::mem;

    pub(crate) fn place(registers: &libc::user_regs_struct) -> usize {
        registers.rip as usize
    }

    pub(crate) fn is_system_call(code: u64) -> bool {
        code as u16 == 0x050F
    }

    /// Where a string instruction with a `rep` prefix ends, if `code` is one.
    pub(crate) fn behind_repetition(code: u64, place: usize) -> Option<usize> {
        let [prefix, second, third, ..] = code.to_le_bytes();
        let is_wide = second & 0xF0 == 0x40;
        let operation = if is_wide { third } else { second };
        let repeats =
            matches!(prefix, 0xF2 | 0xF3) && matches!(operation, 0xA4..=0xA7 | 0xAA..=0xAF);
        repeats.then(|| place + 2 + usize::from(is_wide))
    }

    /// Uses the first debug register.
    pub(crate) fn break_at(pid: u32, address: Option<usize>) -> io::Result<()> {
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

#[cfg(target_arch = "aarch64")]
mod imp {
    use std::io;

    pub(crate) fn place(registers: &libc::user_regs_struct) -> usize {
        registers.pc as usize
    }

    pub(crate) fn is_system_call(code: u64) -> bool {
        code as u32 == 0xD400_0001
    }

    pub(crate) fn behind_repetition(_code: u64, _place: usize) -> Option<usize> {
        None
    }

    pub(crate) fn break_at(_pid: u32, _address: Option<usize>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Keeps the calling thread, and the children it makes, on one processor; dropping ends that for it.
#[derive(Debug)]
pub(super) struct Processor {
    before: Option<libc::cpu_set_t>,
}

impl Processor {
    pub(super) fn stay() -> Processor {
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
