//! A thread as the system sees it: how it starts, its number, its name.

use super::std_passage::through;
use std::io;

/// Starts a thread that nobody joins; with the system's stack size if that is 0.
///
/// # Safety
///
/// Nothing that `f` borrows may end before `f` has returned or been dropped.
pub(crate) unsafe fn spawn_unchecked<'a>(
    name: &str,
    stack_size: usize,
    f: impl FnOnce() + Send + 'a,
) -> io::Result<()> {
    let mut builder = std::thread::Builder::new().name(name.to_owned());
    if stack_size > 0 {
        builder = builder.stack_size(stack_size);
    }
    through(f, |f| {
        // SAFETY: the caller's promise; and nothing is returned that could be borrowed.
        unsafe { builder.spawn_unchecked(|| f.run()) }.map(drop)
    })
}

/// The kernel's number for the current thread.
#[cfg(target_os = "linux")]
pub(crate) fn native_id() -> Option<u32> {
    // SAFETY: it takes nothing and always succeeds.
    Some(unsafe { libc::gettid() } as u32)
}

/// The kernel's number for the program's first thread.
#[cfg(target_os = "linux")]
pub(crate) fn main_native_id() -> Option<u32> {
    Some(std::process::id())
}

/// Unknown here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn native_id() -> Option<u32> {
    None
}

/// Unknown here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn main_native_id() -> Option<u32> {
    None
}

/// What the system keeps of a name, in bytes.
const SYSTEM_NAME: usize = 15;

/// Tells the system what the current thread is called now.
#[cfg(target_os = "linux")]
pub(crate) fn set_system_name(name: &str) {
    let kept = &name[..name.floor_char_boundary(SYSTEM_NAME)];
    let Ok(name) = std::ffi::CString::new(kept) else {
        return;
    };
    // SAFETY: this thread, which is alive, and a string that ends with a zero byte. A refusal, as when
    // /proc is not there, leaves the old name, which nothing depends on.
    unsafe { libc::pthread_setname_np(libc::pthread_self(), name.as_ptr()) };
}

/// std has told the system the name that the current thread was started with, but may have cut a character
/// in two.
pub(crate) fn mend_system_name(name: &str) {
    if !name.is_char_boundary(SYSTEM_NAME.min(name.len())) {
        set_system_name(name);
    }
}

/// There is no such call that all systems share.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_system_name(_name: &str) {}
