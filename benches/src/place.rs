//! Where two threads run: on one core, on two, or wherever the system likes.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

#[derive(Clone, Copy, PartialEq)]
pub enum Pinned {
    No,
    ToTwoCores,
    ToOneCore,
}

impl Pinned {
    pub const ALL: [Pinned; 3] = [Pinned::No, Pinned::ToTwoCores, Pinned::ToOneCore];

    pub fn name(self) -> &'static str {
        match self {
            Pinned::No => "unpinned",
            Pinned::ToTwoCores => "2 cores",
            Pinned::ToOneCore => "1 core",
        }
    }

    /// Where the first and the second thread run; `None` for anywhere, also when there is no other
    /// core to go to.
    pub fn places(self) -> [Option<CpuSet>; 2] {
        let allowed = sched_getaffinity(None).expect("a thread may ask where it runs");
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let first = cores.next();
        let second = match self {
            Pinned::No => None,
            Pinned::ToOneCore => first,
            Pinned::ToTwoCores => cores.next(),
        };
        let Some((first, second)) = first.zip(second) else {
            return [None, None];
        };
        [first, second].map(|core| {
            let mut place = CpuSet::new();
            place.set(core);
            Some(place)
        })
    }
}

/// The current thread, kept in its place until this is dropped.
pub struct Pin(CpuSet);

impl Pin {
    pub fn to(place: CpuSet) -> Pin {
        let before = sched_getaffinity(None).expect("a thread may ask where it runs");
        sched_setaffinity(None, &place).expect("it is one of those allowed");
        Pin(before)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        sched_setaffinity(None, &self.0).expect("it was there before");
    }
}
