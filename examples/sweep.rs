//! What processes that are killed leave in shared memory, and how it goes away.
//!
//!     cargo run --example sweep
//!
//! A child makes named memory and is killed with `kill -9`: it has no chance to clean up. What was to end with the child
//! is gone for everybody at once; what was not stays, with its bytes, for whoever wants to carry on from it, and
//! for `sweep` to remove when nobody does.

#[path = "shared/checks.rs"]
mod checks;

use checks::Checks;
use latchwork::shm::{Kept, SharedMemory, ShmScope, Swept, sweep_prefix};
use std::error::Error;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::{env, io, thread};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => parent(),
        (Some("child"), Some(prefix)) => child(&prefix),
        _ => Err("it takes no arguments".into()),
    }
}

/// Makes memory in every way there is, says so, and waits for the end.
fn child(prefix: &str) -> Result<ExitCode, Box<dyn Error>> {
    let results = SharedMemory::open_or_create(&format!("{prefix}results"), 800)?;
    for (n, place) in (0_u64..).zip(results.slice_of::<u64>(..)?.atomics()) {
        place.store(n * n, std::sync::atomic::Ordering::Relaxed);
    }
    let scope = ShmScope::new();
    let _frames = scope.create(&format!("{prefix}frames"), 1 << 20)?;
    let settings = SharedMemory::options().track(false);
    let _settings = settings.create(&format!("{prefix}settings"), 64)?;
    println!("ready");
    io::stdout().flush()?;
    loop {
        thread::park();
    }
}

fn parent() -> Result<ExitCode, Box<dyn Error>> {
    let mut checks = Checks::default();
    let prefix = format!("example-{}-", std::process::id());
    let name = |what: &str| format!("{prefix}{what}");

    println!("a child at work:");
    let mut child = start(&prefix)?;
    let swept = show(sweep_prefix(&prefix)?);
    let in_use = |(_, why): &&(String, Kept)| *why == Kept::InUse;
    checks.claim(
        "nothing that a living process has open is removed",
        swept.removed.is_empty() && swept.kept.iter().filter(in_use).count() == 2,
    );

    println!("\nthe child is killed:");
    child.kill()?;
    child.wait()?;
    let frames = SharedMemory::open(&name("frames"));
    checks.claim(
        "what was to end with it cannot be opened any more",
        frames.is_err_and(|error| error.kind() == ErrorKind::NotFound),
    );
    {
        let results = SharedMemory::open(&name("results"))?;
        let squares = results.slice_of::<u64>(..)?;
        checks.claim(
            "what it had done can be carried on from",
            squares.len() == 100 && squares.get(99) == Some(99 * 99),
        );
        let swept = show(sweep_prefix(&prefix)?);
        checks.claim(
            "and is kept while somebody does",
            swept.kept.contains(&(name("results"), Kept::InUse)),
        );
    }

    println!("\nnobody has it open:");
    let swept = show(sweep_prefix(&prefix)?);
    checks.claim(
        "what is left is removed",
        swept.removed == [name("results")],
    );
    checks.claim(
        "but for what is to outlive its users",
        swept.kept == [(name("settings"), Kept::Untracked)],
    );
    SharedMemory::open(&name("settings"))?.unlink()?;
    checks.claim(
        "in the end there is nothing",
        sweep_prefix(&prefix)? == Swept::default(),
    );
    Ok(checks.end())
}

/// A child that has made its memory.
fn start(prefix: &str) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["child", prefix]).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut line = String::new();
    let output = child.stdout.take().ok_or("a child without output")?;
    BufReader::new(output).read_line(&mut line)?;
    match line.trim() {
        "ready" => Ok(child),
        _ => Err("the child could not make its memory".into()),
    }
}

fn show(swept: Swept) -> Swept {
    for name in &swept.removed {
        println!("    {name}: removed");
    }
    for (name, why) in &swept.kept {
        println!("    {name}: kept, {why:?}");
    }
    swept
}
