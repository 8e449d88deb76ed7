//! A pool of three connections to a database, and more threads than that: what people take r2d2 or HikariCP for.
//!
//! `cargo run --release --example connection_pool`. The database is SQLite, in a temporary folder; its connections
//! count themselves, so that "three at most" is counted where they are opened and closed. In Python this would be a
//! `Semaphore(3)`, a `Lock` around a list, and a context manager that returns.

#[path = "../shared/checks.rs"]
mod checks;
mod link;

use checks::Checks;
use latchwork::pool::{GetError, Pooled, ResourcePool};
use latchwork::queue::SimpleQueue;
use link::{Link, Open};
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 3;
const CLIENTS: usize = 8;
const QUERIES: usize = 8;
const HOUR: Duration = Duration::from_secs(3600);

type Links = ResourcePool<Link, rusqlite::Error>;

fn main() -> ExitCode {
    let mut checks = Checks::default();
    match run(&mut checks) {
        Ok(()) => checks.end(),
        Err(error) => {
            eprintln!("connection_pool: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(checks: &mut Checks) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (path, open) = (folder.path().join("orders.db"), Arc::new(Open::default()));
    let count = Arc::clone(&open);
    let pool: Links = ResourcePool::builder(CONNECTIONS, move || Link::open(&path, &count))
        // Before a connection is lent again: does the database still answer?
        .check(|link: &mut Link| link.query_row("SELECT 1", [], |_| Ok(())))
        // As one comes back: what its user has left unfinished is undone.
        .reset(|link| link.is_autocommit() || link.execute_batch("ROLLBACK").is_ok())
        .max_age(HOUR)
        .build();
    let journal = "PRAGMA journal_mode = WAL; CREATE TABLE orders (client INTEGER, number INTEGER)";
    pool.get()?.execute_batch(journal)?;

    crowd(&pool, &open, checks)?;
    broken(&pool, checks)?;
    panicking(&pool, checks)?;
    out_of_time(&pool, checks)?;
    in_order(&pool, checks)?;

    let stats = pool.stats();
    println!("\nhow long they waited for a connection:\n{}", stats.waits);
    println!(
        "\n{} opened, lent again {} times, {} found broken, {} gave up",
        stats.created, stats.recycled, stats.retired.failed_check, stats.timed_out
    );
    let lent = stats.created + stats.recycled;
    checks.claim(
        "every wait is in the histogram",
        stats.waits.count() == lent,
    );

    let last = pool.get()?;
    pool.close();
    checks.claim(
        "after closing nothing is lent",
        matches!(pool.get(), Err(GetError::Closed)),
    );
    drop(last);
    checks.claim(
        "and nothing is left open",
        pool.join_within(HOUR).is_ok() && open.now.load(SeqCst) == 0,
    );
    Ok(())
}

fn orders(pool: &Links) -> Result<usize, Box<dyn Error>> {
    let link = pool.get()?;
    Ok(link.query_row("SELECT count(*) FROM orders", [], |row| row.get(0))?)
}

/// Eight clients with eight queries each, each of 5 to 15 ms.
fn crowd(pool: &Links, open: &Open, checks: &mut Checks) -> Result<(), Box<dyn Error>> {
    println!("{CLIENTS} clients with {QUERIES} queries each, {CONNECTIONS} connections:");
    let start = Instant::now();
    let client = |client: usize| -> Result<Duration, Box<dyn Error + Send + Sync>> {
        let mut busy = Duration::ZERO;
        for number in 0..QUERIES {
            let link = pool.get()?;
            let start = Instant::now();
            link.execute("INSERT INTO orders VALUES (?1, ?2)", [client, number])?;
            // What the client does with the answer while it has the connection.
            thread::sleep(Duration::from_millis(
                5 + (client * 7 + number * 3) as u64 % 11,
            ));
            busy += start.elapsed();
        }
        Ok(busy)
    };
    let busy: Vec<_> = thread::scope(|s| {
        let clients = [0, 1, 2, 3, 4, 5, 6, 7].map(|number| s.spawn(move || client(number)));
        clients
            .into_iter()
            .map(|it| it.join().expect("a client does not panic"))
            .collect()
    });
    let busy: Duration = busy
        .into_iter()
        .sum::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let took = start.elapsed();
    checks.claim(
        format!("all {} orders are there", CLIENTS * QUERIES),
        orders(pool)? == CLIENTS * QUERIES,
    );
    let most = open.most.load(SeqCst);
    checks.claim(
        format!("at most {most} connections were open at once"),
        most == CONNECTIONS && pool.stats().created == CONNECTIONS as u64,
    );
    let least = busy / CONNECTIONS as u32;
    checks.claim(
        format!("they were in use all the time: {took:.0?}, and {least:.0?} is the least"),
        took >= least && took < least * 3,
    );
    Ok(())
}

/// One that has broken down is replaced before anybody sees it.
fn broken(pool: &Links, checks: &mut Checks) -> Result<(), Box<dyn Error>> {
    println!("\na connection that breaks down:");
    let link = pool.get()?;
    link.break_down();
    let refused = link.query_row("SELECT 1", [], |_| Ok(()));
    checks.claim(
        format!(
            "it says: {}",
            refused
                .err()
                .map_or("nothing".to_owned(), |error| error.to_string())
        ),
        link.query_row("SELECT 1", [], |_| Ok(())).is_err(),
    );
    drop(link);
    let before = pool.stats();
    let all = [pool.get()?, pool.get()?, pool.get()?];
    let work = all
        .iter()
        .all(|link| link.query_row("SELECT 1", [], |_| Ok(())).is_ok());
    let stats = pool.stats();
    checks.claim(
        "the next three all work: one was opened in its place",
        work && stats.retired.failed_check == 1 && stats.created == before.created + 1,
    );
    Ok(())
}

/// A client that panics in a transaction returns its connection, without the transaction.
fn panicking(pool: &Links, checks: &mut Checks) -> Result<(), Box<dyn Error>> {
    println!("\na client that panics in the middle of a transaction:");
    let before = orders(pool)?;
    let client = pool.clone();
    let died = thread::spawn(move || {
        let link = client.get().expect("there is one");
        link.execute_batch("BEGIN; DELETE FROM orders")
            .expect("it works");
        panic!("on purpose");
    });
    checks.claim("it has panicked", died.join().is_err());
    let stats = pool.stats();
    checks.claim(
        "its connection is back",
        stats.in_use == 0 && stats.idle == CONNECTIONS,
    );
    checks.claim("what it had deleted is there", orders(pool)? == before);
    Ok(())
}

/// Who has no time to wait gets an error, and nothing else happens.
fn out_of_time(pool: &Links, checks: &mut Checks) -> Result<(), Box<dyn Error>> {
    println!("\na client in a hurry:");
    let all = [pool.get()?, pool.get()?, pool.get()?];
    let (start, limit) = (Instant::now(), Duration::from_millis(20));
    let gave_up = pool.get_within(limit).map(drop);
    checks.claim(
        format!("it has waited {:.0?} and heard: time-out", start.elapsed()),
        gave_up == Err(GetError::TimedOut) && start.elapsed() >= limit,
    );
    drop(all);
    checks.claim(
        "nothing is lost by it",
        pool.stats().idle == CONNECTIONS && pool.try_get().is_ok(),
    );
    Ok(())
}

/// First come, first served.
fn in_order(pool: &Links, checks: &mut Checks) -> Result<(), Box<dyn Error>> {
    println!("\nsix clients that come one after the other:");
    let mut all = vec![pool.get()?, pool.get()?, pool.get()?];
    let served = SimpleQueue::new();
    thread::scope(|s| {
        for client in 0..6 {
            let served = &served;
            s.spawn(move || {
                let link = pool.get().expect("it is lent in the end");
                served.put(client);
                drop(link);
            });
            while latchwork::debug::waits().len() <= client {
                thread::yield_now();
            }
        }
        // One connection goes from hand to hand.
        Pooled::discard(all.pop().expect("there are three"));
    });
    let order: Vec<_> = std::iter::from_fn(|| served.try_get()).collect();
    checks.claim(
        format!("served as they came: {order:?}"),
        order == [0, 1, 2, 3, 4, 5],
    );
    Ok(())
}
