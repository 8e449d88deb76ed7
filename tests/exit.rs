//! `exit`: how a program ends. Rows T17, T18, T19, T41, T49, T55, F36, F37, P66, P67, N37 of the behaviour list.
//!
//! A program without libtest: a scenario is this very program, started again, with a real `main` that returns,
//! panics, or is left, and what counts is what it printed and its status. The tests are run one by one below,
//! and say so as libtest does.

mod common;
#[path = "exit/program.rs"]
mod program;
#[path = "exit/scenarios.rs"]
mod scenarios;

use common::watchdog;
use program::{SCENARIO, ended, run, run_all};
use std::process::ExitCode;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    if let Ok(scenario) = std::env::var(SCENARIO) {
        return scenarios::play(&scenario);
    }
    run_all(TESTS, |name, test| watchdog(LIMIT, name, test))
}

macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        const TESTS: &[(&str, fn())] = &[$((stringify!($name), $name)),+];
    };
}
tests![
    everything_ends_in_order,
    a_long_task_is_not_cut_off,
    a_panic_in_main_ends_in_order_and_keeps_its_status,
    the_status_is_what_was_asked_for,
    whoever_asks_for_the_end_while_it_comes_is_not_waited_for,
    a_hook_that_asks_for_the_end_does_not_wait_for_others_who_ask,
    the_macro_keeps_what_main_returns,
    threads_started_by_threads_are_waited_for,
    hooks_come_by_priority_and_can_be_taken_back,
    a_program_has_one_guard,
    a_guard_may_be_in_another_thread,
    an_end_that_gives_up_says_who_is_left,
    pools_refuse_and_finish,
    a_pool_that_is_built_while_the_end_comes_refuses,
    timers_end_after_the_threads,
    a_daemon_can_be_joined_at_the_end,
    daemons_neither_keep_the_program_nor_crash_its_end,
    a_child_of_a_fork_has_an_end_of_its_own,
];

/// T17, T18, T19, F36: the steps, in their order.
fn everything_ends_in_order() {
    let lines = [
        "main returns, exiting: false",
        "a hook: exiting: true",
        "a hook that panics",
        "a hook that registers another",
        "the hook of a hook",
        "the first hook",
        "task 1",
        "task 2",
        "task 3",
        "a thread, after the tasks",
        "a thread that it has started",
        "the end: no thread is started at the program's end",
        "the end: the executor has been shut down",
        "the end: too late for a hook, which said 7",
        "the first hook of the end",
    ];
    let ended = run("in_order");
    assert_eq!(ended.lines(), lines, "{ended:?}");
    assert_eq!(ended.status, Some(0));
    assert!(
        ended
            .stderr
            .contains("a hook at the program's end panicked: on purpose"),
        "{ended:?}"
    );
}

/// N37: with the guard all steps are done; without it the program ends in the middle.
fn a_long_task_is_not_cut_off() {
    assert_eq!(run("long_task"), ended(0, "step 100\n"));
    let cut = run("long_task_without_a_guard");
    assert_eq!((cut.status, &*cut.stdout), (Some(0), ""));
}

fn a_panic_in_main_ends_in_order_and_keeps_its_status() {
    let ended = run("panic");
    assert_eq!(ended.lines(), ["a thread", "the end"]);
    assert_eq!(ended.status, Some(101));
    assert!(ended.stderr.contains("on purpose"));
}

fn the_status_is_what_was_asked_for() {
    assert_eq!(run("code_in_main"), ended(7, "a thread\nthe end\n"));
    assert_eq!(
        run("code_in_a_hook"),
        ended(7, "a hook\nthe other hook\na thread\nthe end\n")
    );
    assert_eq!(run("code_in_a_thread"), ended(7, "a thread\nthe end\n"));
    assert_eq!(run("code_without_a_guard"), ended(7, "a thread\nthe end\n"));
    assert_eq!(
        run("code_in_a_task"),
        ended(7, "a task\nanother task\nthe end\n")
    );
}

/// Many ask at once, from threads and tasks that would be waited for; `main` returns meanwhile.
fn whoever_asks_for_the_end_while_it_comes_is_not_waited_for() {
    for _ in 0..20 {
        assert_eq!(run("many_ask"), ended(7, "a hook\nthe end\n"));
    }
}

/// They wait until the hooks have been called, and the hook has the rest done, which waits for them.
fn a_hook_that_asks_for_the_end_does_not_wait_for_others_who_ask() {
    for asks in ["a_hook_and_a_thread_ask", "a_hook_and_a_task_ask"] {
        assert_eq!(run(asks), ended(7, "a hook\nthe end\n"), "{asks}");
    }
}

fn the_macro_keeps_what_main_returns() {
    assert_eq!(run("macro_unit"), ended(0, "a thread\n"));
    let failed = run("macro_result");
    assert_eq!((failed.status, &*failed.stdout), (Some(1), "a thread\n"));
    assert_eq!(failed.stderr, "Error: \"no luck\"\n");
    assert_eq!(run("macro_code"), ended(9, "a thread\n"));
}

/// T18, T55: also those that are started while others are waited for.
fn threads_started_by_threads_are_waited_for() {
    let lines: String = (0..20).map(|n| format!("generation {n}\n")).collect();
    assert_eq!(run("generations"), ended(0, &lines));
}

/// P66, P67.
fn hooks_come_by_priority_and_can_be_taken_back() {
    let lines =
        "10, the later\n10\n0, the later\n0\n-5\ncancelled in time: true, too late: false\n";
    assert_eq!(run("priorities"), ended(0, lines));
}

fn a_program_has_one_guard() {
    let ended = run("two_guards");
    assert_eq!(ended.status, Some(101), "{ended:?}");
    let stdout = &ended.stdout;
    assert!(stdout.starts_with("the program's exit guard has been made at tests/exit/"));
    assert!(
        ended
            .stderr
            .contains("the program's exit guard has been made at")
    );
    assert!(
        stdout.ends_with("a thread\n"),
        "the first one works: {stdout}"
    );
}

fn a_guard_may_be_in_another_thread() {
    assert_eq!(
        run("guard_elsewhere"),
        ended(0, "a thread\nthe end\nthe guard's thread goes on\n")
    );
}

/// `shutdown_within`, and a guard with a limit.
fn an_end_that_gives_up_says_who_is_left() {
    let ended = run("gives_up");
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let lines = ended.lines();
    assert_eq!(
        lines[0],
        "the program's end has not come (the deadline passed before the wait was over)"
    );
    assert!(lines[1].starts_with("  not done: stuck with 1 of 1 threads at work and 1 tasks"));
    assert_eq!(lines[2], "  not called: 1 hook");
    assert!(
        lines[4].starts_with("  still alive: endless (thread "),
        "{ended:?}"
    );
    assert_eq!(
        lines[5..],
        ["  not called: 1 hook", "the end", "done"],
        "{ended:?}"
    );
    let ended = run("guard_gives_up");
    assert_eq!((ended.status, &*ended.stdout), (Some(0), ""), "{ended:?}");
    assert!(
        ended.stderr.contains("still alive: endless (thread "),
        "{ended:?}"
    );
}

/// F36, F37: what was accepted is done, and then nothing is; nor by a pool that is built then.
fn pools_refuse_and_finish() {
    let lines = "refused: the executor has been shut down\n\
        a late pool: the executor has been shut down\n\
        50 tasks done\n";
    assert_eq!(run("pools"), ended(0, lines));
}

/// T41: a daemon is not frozen at the end, so its join is what it always is.
/// F36: no pool slips through between its making and its entry.
fn a_pool_that_is_built_while_the_end_comes_refuses() {
    for _ in 0..20 {
        let said = "0 pools accept\nall have ended: true\n";
        assert_eq!(run("pools_built_late"), ended(0, said));
    }
}

fn timers_end_after_the_threads() {
    let lines = [
        "a timer",
        "a timer that was running",
        "the timer was lost before its time had come",
        "the timer was lost before its time had come",
    ];
    let ended = run("timers");
    assert_eq!(ended.lines(), lines, "{ended:?}");
    assert_eq!(ended.status, Some(0));
}

fn a_daemon_can_be_joined_at_the_end() {
    assert_eq!(
        run("join_a_daemon"),
        ended(0, "joined: 7\nstill alive: TimedOut\n")
    );
}

/// T49: many programs end while daemons are in the middle of everything.
fn daemons_neither_keep_the_program_nor_crash_its_end() {
    for _ in 0..200 {
        assert_eq!(run("daemons"), ended(0, "the end\n"));
    }
}

/// P66: the hooks of a parent are not its child's.
#[cfg(unix)]
fn a_child_of_a_fork_has_an_end_of_its_own() {
    let ended = run("fork");
    let lines = ended.lines();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(
        lines[..2],
        ["the child's thread", "the child's hook"],
        "{ended:?}"
    );
    assert_eq!(
        lines[2..],
        ["the parent's thread", "the parent's hook"],
        "{ended:?}"
    );
}
#[cfg(not(unix))]
fn a_child_of_a_fork_has_an_end_of_its_own() {}
