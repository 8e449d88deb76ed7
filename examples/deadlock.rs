//! Two threads that take two locks in opposite orders: how the deadlock is reported when it forms, three ways out, and
//! how not to get into it.
//!
//! `cargo run --release --example deadlock`. A wait without a limit that closes a circle is reported, in release builds
//! too; what happens then is the program's choice. A wait with a limit ends by itself, so it is never part of a
//! deadlock: `debug::wait_graph` shows it all the same.

#[path = "shared/checks.rs"]
mod checks;

use checks::Checks;
use latchwork::debug::{self, Deadlock, OnDeadlock};
use latchwork::queue::SimpleQueue;
use latchwork::sync::{Barrier, Lock, lock_all};
use latchwork::thread::{Builder, JoinHandle};
use latchwork::{CancelToken, GaveUp};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// Two accounts, and a place where both threads have their first lock.
struct Bank {
    checking: Lock<i64>,
    savings: Lock<i64>,
    both_hold_one: Barrier,
}

impl Bank {
    fn new() -> Arc<Bank> {
        Arc::new(Bank {
            checking: Lock::new(100),
            savings: Lock::new(100),
            both_hold_one: Barrier::new(2),
        })
    }

    fn total(&self) -> i64 {
        let (checking, savings) = lock_all((&self.checking, &self.savings));
        *checking + *savings
    }

    /// Takes the locks one after the other, with the other thread in between: the classic mistake.
    fn transfer(&self, from: &Lock<i64>, to: &Lock<i64>) {
        let mut from = from.lock();
        self.both_hold_one.wait().expect("both come");
        let mut to = to.lock();
        *from -= 10;
        *to += 10;
    }
}

/// Both at once, in opposite directions.
fn both_transfer(bank: &Arc<Bank>) -> [JoinHandle<()>; 2] {
    let start = |name: &str, transfer: fn(&Bank)| {
        let bank = Arc::clone(bank);
        // The program's end does not wait for a daemon, should it never get out.
        let builder = Builder::new().name(name).daemon(true);
        builder
            .spawn(move || transfer(&bank))
            .expect("two threads are not too many")
    };
    [
        start("saver", |bank| bank.transfer(&bank.checking, &bank.savings)),
        start("spender", |bank| {
            bank.transfer(&bank.savings, &bank.checking)
        }),
    ]
}

fn main() -> ExitCode {
    let mut checks = Checks::default();
    told(&mut checks);
    one_gives_way(&mut checks);
    one_is_called_off(&mut checks);
    one_runs_out_of_time(&mut checks);
    never_in_the_first_place(&mut checks);
    checks.end()
}

/// A hook hears of it in the moment in which it forms.
fn told(checks: &mut Checks) {
    println!("told by a hook:");
    let reports = Arc::new(SimpleQueue::<(Deadlock, Instant)>::new());
    let hook = Arc::clone(&reports);
    debug::on_deadlock(OnDeadlock::Call(Arc::new(move |deadlock| {
        hook.put((deadlock.clone(), Instant::now()));
    })));
    let threads = both_transfer(&Bank::new());
    let Ok((deadlock, _at)) = reports.get_within(PATIENCE) else {
        return checks.claim("the deadlock is reported", false);
    };
    println!("{deadlock}");
    let waits = deadlock.waits();
    let longest = waits.iter().map(|wait| wait.waited).max();
    let longest = longest.unwrap_or_default();
    checks.claim(
        format!("it is reported {longest:.0?} after the first of them began to wait"),
        longest < Duration::from_secs(5),
    );
    let [first, second] = waits else {
        return checks.claim("two threads are in it", false);
    };
    checks.claim(
        "each waits for what the other one holds",
        first.owner == second.thread && second.owner == first.thread,
    );
    let name = |wait: &debug::Wait| wait.thread.as_ref()?.name.clone();
    let mut names = [name(first), name(second)].map(Option::unwrap_or_default);
    names.sort();
    checks.claim(
        "both are named, with the line they wait in",
        names == ["saver", "spender"] && first.place.file().ends_with("deadlock.rs"),
    );
    checks.claim(
        "a wait without a limit goes on: both are still there",
        threads.iter().all(JoinHandle::is_alive),
    );
}

/// The thread that would close the circle panics instead; as it unwinds the other one goes on.
fn one_gives_way(checks: &mut Checks) {
    println!("\nbroken by a panic of the one that would close the circle:");
    debug::on_deadlock(OnDeadlock::Panic);
    let bank = Bank::new();
    let ends = both_transfer(&bank).map(JoinHandle::join);
    let panics: Vec<_> = ends.into_iter().filter_map(Result::err).collect();
    for panic in &panics {
        println!("{panic}");
    }
    checks.claim("one of the two has panicked", panics.len() == 1);
    checks.claim(
        "the other has done its transfer, and no money is lost",
        bank.total() == 200 && *bank.checking.lock() != 100,
    );
}

/// Somebody looks at the wait graph and calls one of them off.
fn one_is_called_off(checks: &mut Checks) {
    println!("\nbroken from outside, with a cancel token:");
    let bank = Bank::new();
    let stop = CancelToken::new();
    let thread = |name: &str, is_saver: bool| {
        let (bank, stop) = (Arc::clone(&bank), stop.clone());
        let transfer = move || {
            let (from, to) = match is_saver {
                true => (&bank.checking, &bank.savings),
                false => (&bank.savings, &bank.checking),
            };
            let mut from = from.lock();
            bank.both_hold_one.wait().expect("both come");
            // Only the saver can be called off.
            let mut to = match is_saver {
                true => to.lock_within(&stop)?,
                false => to.lock_within(PATIENCE)?,
            };
            *from -= 10;
            *to += 10;
            Ok(())
        };
        let thread = Builder::new().name(name).spawn(transfer);
        thread.expect("two threads are not too many")
    };
    let threads = [thread("saver", true), thread("spender", false)];
    let graph = loop {
        let graph = debug::wait_graph();
        // The two of the first scene are still at it.
        let at_a_lock = graph.waits().iter().filter(|wait| wait.kind == "Lock");
        if at_a_lock.count() == 4 {
            break graph;
        }
        std::thread::yield_now();
    };
    print!("{graph}");
    stop.cancel();
    let [saver, spender] = threads.map(|thread| thread.join().expect("none panics"));
    checks.claim(
        "the saver was called off, and had changed nothing",
        saver == Err(GaveUp::Cancelled),
    );
    checks.claim(
        "the spender then had both locks",
        spender == Ok(()) && *bank.checking.lock() == 110 && bank.total() == 200,
    );
}

/// Both have a limit and try again: it works, but each round that fails costs somebody's limit.
fn one_runs_out_of_time(checks: &mut Checks) {
    println!("\nbroken by a limit:");
    let bank = Bank::new();
    let other = {
        let bank = Arc::clone(&bank);
        std::thread::spawn(move || {
            let _savings = bank.savings.lock();
            bank.both_hold_one.wait().expect("both come");
            // It waits longer than the other one.
            bank.checking.lock_within(PATIENCE).map(drop)
        })
    };
    let checking = bank.checking.lock();
    bank.both_hold_one.wait().expect("both come");
    let start = Instant::now();
    let limit = Duration::from_millis(50);
    let gave_up = bank.savings.lock_within(limit).map(drop);
    checks.claim(
        format!(
            "who gives up after {limit:?} has waited {:.0?}",
            start.elapsed()
        ),
        gave_up == Err(GaveUp::TimedOut) && start.elapsed() >= limit,
    );
    drop(checking);
    let other = other.join().expect("it does not panic");
    checks.claim("who has more patience gets both", other == Ok(()));
}

/// `lock_all` takes both or waits holding neither, in whatever order they are named.
fn never_in_the_first_place(checks: &mut Checks) {
    println!("\nthe cure, both locks at once:");
    const ROUNDS: i64 = 10_000;
    let reports = Arc::new(SimpleQueue::<String>::new());
    let hook = Arc::clone(&reports);
    debug::on_deadlock(OnDeadlock::Call(Arc::new(move |deadlock| {
        hook.put(deadlock.to_string());
    })));
    let bank = Bank::new();
    let (checking, savings) = (&bank.checking, &bank.savings);
    let start = Instant::now();
    std::thread::scope(|s| {
        let transfer = |from: &Lock<i64>, to: &Lock<i64>| {
            for _ in 0..ROUNDS {
                let (mut from, mut to) = lock_all((from, to));
                *from -= 1;
                *to += 1;
            }
        };
        s.spawn(move || transfer(checking, savings));
        s.spawn(move || transfer(savings, checking));
    });
    let took = start.elapsed();
    checks.claim(
        format!("{ROUNDS} transfers each way, in {took:.0?}, and all the money is there"),
        bank.total() == 200 && *bank.checking.lock() == 100,
    );
    checks.claim("no deadlock", reports.try_get().is_none());
}
