//! Operations without a group: what the primitives cost while nobody waits.

use super::{Operation, repeat};
use latchwork::sync::{Condition, Event, Semaphore};
use std::cell::UnsafeCell;
use std::mem;

pub const ALONE: &[Operation] = &[
    Operation {
        name: "semaphore acquire+release",
        contender: "latchwork",
        times: |times| {
            repeat(times, Semaphore::new(1), |semaphore| {
                drop(semaphore.acquire().expect("nobody closes it"));
            });
        },
    },
    Operation {
        name: "semaphore acquire+release",
        contender: "std Mutex+Condvar",
        times: |times| {
            let semaphore = (std::sync::Mutex::new(1), std::sync::Condvar::new());
            repeat(times, semaphore, |(permits, released)| {
                let mut left = permits.lock().expect("nothing panics inside");
                while *left == 0 {
                    left = released.wait(left).expect("nothing panics inside");
                }
                *left -= 1;
                drop(left);
                *permits.lock().expect("nothing panics inside") += 1;
                released.notify_one();
            });
        },
    },
    Operation {
        name: "semaphore acquire+release",
        contender: "parking_lot Mutex+Condvar",
        times: |times| {
            let semaphore = (parking_lot::Mutex::new(1), parking_lot::Condvar::new());
            repeat(times, semaphore, |(permits, released)| {
                let mut left = permits.lock();
                while *left == 0 {
                    released.wait(&mut left);
                }
                *left -= 1;
                drop(left);
                *permits.lock() += 1;
                released.notify_one();
            });
        },
    },
    Operation {
        name: "semaphore acquire+release",
        contender: "sem_t",
        times: |times| {
            // SAFETY: all zeros is a valid value of this struct of bytes and integers.
            let zeroed = || unsafe { mem::zeroed::<libc::sem_t>() };
            let semaphore = Box::new(UnsafeCell::new(zeroed()));
            // SAFETY: this thread alone knows it, and the box keeps it in place from here on.
            unsafe { libc::sem_init(semaphore.get(), 0, 1) };
            repeat(times, semaphore, |semaphore| {
                // SAFETY: it is initialised.
                unsafe {
                    libc::sem_wait(semaphore.get());
                    libc::sem_post(semaphore.get());
                }
            });
        },
    },
    Operation {
        name: "event set+wait+clear",
        contender: "latchwork",
        times: |times| {
            repeat(times, Event::new(), |event| {
                event.set();
                event.wait();
                event.clear();
            });
        },
    },
    Operation {
        name: "event set+wait+clear",
        contender: "std Mutex+Condvar",
        times: |times| {
            let event = (std::sync::Mutex::new(false), std::sync::Condvar::new());
            repeat(times, event, |(flag, set)| {
                *flag.lock().expect("nothing panics inside") = true;
                set.notify_all();
                let mut is_set = flag.lock().expect("nothing panics inside");
                while !*is_set {
                    is_set = set.wait(is_set).expect("nothing panics inside");
                }
                drop(is_set);
                *flag.lock().expect("nothing panics inside") = false;
            });
        },
    },
    Operation {
        name: "event set+wait+clear",
        contender: "parking_lot Mutex+Condvar",
        times: |times| {
            let event = (parking_lot::Mutex::new(false), parking_lot::Condvar::new());
            repeat(times, event, |(flag, set)| {
                *flag.lock() = true;
                set.notify_all();
                let mut is_set = flag.lock();
                while !*is_set {
                    set.wait(&mut is_set);
                }
                drop(is_set);
                *flag.lock() = false;
            });
        },
    },
    Operation {
        name: "condition notify_one, nobody waits",
        contender: "latchwork",
        times: |times| {
            repeat(times, Condition::new(), |condition| {
                condition.notify_one();
            });
        },
    },
    Operation {
        name: "condition notify_one, nobody waits",
        contender: "std",
        times: |times| {
            repeat(times, std::sync::Condvar::new(), |condition| {
                condition.notify_one();
            });
        },
    },
    Operation {
        name: "condition notify_one, nobody waits",
        contender: "parking_lot",
        times: |times| {
            repeat(times, parking_lot::Condvar::new(), |condition| {
                condition.notify_one();
            });
        },
    },
    Operation {
        name: "condition notify_one, nobody waits",
        contender: "usync",
        times: |times| {
            repeat(times, usync::Condvar::new(), |condition| {
                condition.notify_one();
            });
        },
    },
];
