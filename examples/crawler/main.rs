//! A crawler: a hundred linked pages over real HTTP, twenty of them at a time, with retries, and a way to stop.
//!
//! `cargo run --release --example crawler -- [--pages N] [--workers N] [--latency MS] [--fault-rate P] [--seed N]`. It
//! crawls a site of its own three times: when all is well, with trouble on purpose, and stopped in the middle.
//!
//! - `crawl`: the crawler itself. Begin here: a `DelayQueue` is its frontier, a `ThreadPoolExecutor` its crew.
//! - `site`: what is crawled, and what goes wrong there.

#[path = "../shared/checks.rs"]
mod checks;
mod crawl;
mod site;

use checks::Checks;
use crawl::{Found, Plan, crawl};
use latchwork::CancelToken;
use lexopt::prelude::*;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use site::{Server, Site};
use std::error::Error;
use std::process::ExitCode;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

const INTERRUPTED: u8 = 130;

/// A request takes at most so long. Far more than the latency, so that a busy machine is no fault.
const TIMEOUT: Duration = Duration::from_millis(500);

struct Options {
    pages: usize,
    workers: usize,
    latency: Duration,
    fault_rate: f64,
    seed: u64,
}

fn main() -> ExitCode {
    match options()
        .map_err(Into::into)
        .and_then(|options| run(&options))
    {
        Ok(code) => code,
        Err(error) => {
            eprintln!("crawler: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, lexopt::Error> {
    fn number<N: FromStr + PartialOrd>(
        parser: &mut lexopt::Parser,
        least: N,
        most: N,
    ) -> Result<N, lexopt::Error> {
        let value = parser.value()?;
        let text = value.to_string_lossy();
        match text.parse() {
            Ok(number) if number >= least && number <= most => Ok(number),
            _ => Err(format!("{text:?} is no number in its range").into()),
        }
    }
    let mut options = Options {
        pages: 100,
        workers: 20,
        latency: Duration::from_millis(50),
        fault_rate: 0.2,
        seed: 1,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("pages") => options.pages = number(&mut parser, 1, 10_000)?,
            Long("workers") => options.workers = number(&mut parser, 1, 500)?,
            Long("latency") => {
                options.latency = Duration::from_millis(number(&mut parser, 0, 200)?)
            }
            Long("fault-rate") => options.fault_rate = number(&mut parser, 0.0, 1.0)?,
            Long("seed") => options.seed = number(&mut parser, 0, u64::MAX)?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let stop = CancelToken::new();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stopped = stop.clone();
    thread::spawn(move || {
        for _ in signals.forever() {
            if !stopped.cancel() {
                // Asked for twice.
                signal_hook::low_level::exit(INTERRUPTED.into());
            }
        }
    });

    let mut checks = Checks::default();
    all_is_well(options, &stop, &mut checks)?;
    trouble(options, &stop, &mut checks)?;
    stopped_in_the_middle(options, &stop, &mut checks)?;
    if stop.is_cancelled() {
        return Ok(INTERRUPTED.into());
    }
    Ok(checks.end())
}

/// The site with its server, and the plan to crawl it.
fn serve(
    options: &Options,
    fault_rate: f64,
    stop: &CancelToken,
) -> Result<(Server, Plan), Box<dyn Error>> {
    let site = Site {
        pages: options.pages,
        known: options.workers.min(options.pages),
        latency: options.latency,
        fault_rate,
        seed: options.seed,
    };
    let known = (0..site.known).map(site::path).collect();
    // A few more threads than crawlers: one may still be busy with a client that has given up.
    let server = Server::start(site, options.workers + 4)?;
    let plan = Plan {
        address: server.address(),
        known,
        workers: options.workers,
        timeout: TIMEOUT,
        attempts: 4,
        backoff: Duration::from_millis(20),
        stop: stop.child(),
        stop_after: None,
    };
    Ok((server, plan))
}

/// N pages of the same latency, W at a time: nobody can do it in less than N / W rounds.
fn all_is_well(
    options: &Options,
    stop: &CancelToken,
    checks: &mut Checks,
) -> Result<(), Box<dyn Error>> {
    let Options {
        pages,
        workers,
        latency,
        ..
    } = *options;
    println!("{pages} pages of {latency:?} each, {workers} workers:");
    let (server, plan) = serve(options, 0.0, stop)?;
    let found = crawl(&plan)?;
    print(&found);
    let rounds = pages.div_ceil(workers) as u32;
    let least = latency * rounds;
    checks.claim(
        "every page was fetched",
        found.fetched.len() == pages && found.failed.is_empty(),
    );
    checks.claim(
        format!(
            "{:.0?} is not much more than {rounds} rounds, {least:?}",
            found.wall
        ),
        found.wall >= least && found.wall < least * 2 + Duration::from_millis(200),
    );
    let most = server.most_at_once();
    checks.claim(
        format!("at most {most} requests at a time"),
        most <= workers,
    );
    checks.claim(
        "nobody was asked for the same page twice",
        found.requests == pages as u64 + found.retries,
    );
    Ok(())
}

/// Some pages fail, once or for ever. What comes of it is known before.
fn trouble(
    options: &Options,
    stop: &CancelToken,
    checks: &mut Checks,
) -> Result<(), Box<dyn Error>> {
    println!(
        "\nthe same, where {:.0} % of the pages have a fault:",
        options.fault_rate * 100.0
    );
    let (server, plan) = serve(options, options.fault_rate, stop)?;
    let found = crawl(&plan)?;
    print(&found);
    let expected = server.site().expected(plan.attempts);
    let failed: Vec<_> = found.failed.keys().cloned().collect();
    checks.claim(
        format!(
            "{} pages came, as many as can be reached",
            found.fetched.len()
        ),
        found.fetched.iter().eq(&expected.fetched),
    );
    checks.claim(
        format!("{} failed, which always fail", failed.len()),
        failed.iter().eq(&expected.failed),
    );
    checks.claim(
        format!(
            "{} retries, where there are {} faults to get over",
            found.retries, expected.retries
        ),
        found.retries >= expected.retries,
    );
    let most = server.most_at_once();
    checks.claim(
        format!("at most {most} requests at a time"),
        most <= options.workers,
    );
    Ok(())
}

/// A token, as Ctrl-C would cancel it, ends the crawl; what was found is there, and what was not is known.
fn stopped_in_the_middle(
    options: &Options,
    stop: &CancelToken,
    checks: &mut Checks,
) -> Result<(), Box<dyn Error>> {
    let after = options.pages / 3;
    println!("\nthe same, stopped after {after} pages:");
    let (_server, mut plan) = serve(options, options.fault_rate, stop)?;
    plan.stop_after = Some(after);
    let found = crawl(&plan)?;
    print(&found);
    let tried = found.fetched.len() + found.failed.len();
    checks.claim(
        format!("{tried} pages were tried, {} were not", found.left.len()),
        tried >= after && found.left.len() + tried == found.known,
    );
    let late = found.since_stop.unwrap_or_default();
    checks.claim(
        format!("it ended {late:.0?} after it was told to, which one request may take"),
        late < TIMEOUT + Duration::from_secs(1),
    );
    Ok(())
}

fn print(found: &Found) {
    let speed_up = found.busy.as_secs_f64() / found.wall.as_secs_f64().max(1e-9);
    let rows = [
        (
            "pages",
            format!(
                "{} fetched, {} failed, {} not tried",
                found.fetched.len(),
                found.failed.len(),
                found.left.len()
            ),
        ),
        (
            "requests",
            format!("{}, {} of them again", found.requests, found.retries),
        ),
        ("elapsed", format!("{:.3} s", found.wall.as_secs_f64())),
        ("one by one", format!("{:.3} s", found.busy.as_secs_f64())),
        ("speed-up", format!("{speed_up:.1}")),
    ];
    for (name, value) in rows {
        println!("  {name:<12} {value}");
    }
    for (page, why) in &found.failed {
        println!("  {page}: {why}");
    }
}
