//! What must not compile, and what the compiler says instead.

#[test]
fn guards_in_other_threads() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/lock_*.rs");
    cases.compile_fail("tests/compile_fail/rwlock_*.rs");
}

#[test]
fn permits() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/semaphore_*.rs");
}

#[test]
fn levels_of_a_reentrant_lock() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/rlock_*.rs");
}

#[test]
fn values_of_threads() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/local_*.rs");
}

#[cfg(all(feature = "process", target_os = "linux"))]
#[test]
fn tasks_for_processes() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/process_*.rs");
}

#[cfg(all(feature = "process", target_os = "linux"))]
#[test]
fn what_processes_share() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/ipc_*.rs");
}

#[test]
fn threads() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/thread_*.rs");
}

#[test]
fn tasks_that_borrow() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/pool_*.rs");
}
