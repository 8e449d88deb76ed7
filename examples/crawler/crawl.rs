//! The crawler: a frontier of pages to visit, and a crew that visits them.
//!
//! The frontier is a queue whose items can be got from an instant on: a page that was just found is due at once, in
//! the order in which they were found, and one that has failed is due again after a while. So nobody sleeps for a
//! retry, and the crew works on meanwhile. It counts its items as work: a page is acknowledged after the links on it
//! are in the frontier, so when nothing is unfinished the crawl has ended, and not just run dry for a moment.

use latchwork::executor::{ThreadPoolExecutor, as_completed};
use latchwork::queue::{DelayQueue, Delayed};
use latchwork::sync::Lock;
use latchwork::{CancelToken, Limit, Shutdown};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone)]
pub struct Plan {
    pub address: SocketAddr,
    /// Where to begin.
    pub known: Vec<String>,
    /// So many requests at a time.
    pub workers: usize,
    /// One request takes at most so long.
    pub timeout: Duration,
    /// A page is given up after so many.
    pub attempts: u32,
    /// The pause before the second one; it doubles each time.
    pub backoff: Duration,
    pub stop: CancelToken,
    /// Cancels `stop` after so many pages.
    pub stop_after: Option<usize>,
}

#[derive(Default)]
pub struct Found {
    pub fetched: BTreeSet<String>,
    /// Pages that were given up, and what went wrong the last time.
    pub failed: BTreeMap<String, String>,
    /// Pages that were in the frontier when the crawl was stopped.
    pub left: BTreeSet<String>,
    /// How many pages were heard of.
    pub known: usize,
    pub requests: u64,
    pub retries: u64,
    pub wall: Duration,
    /// What the requests took together.
    pub busy: Duration,
    /// How long it took to end after it was stopped.
    pub since_stop: Option<Duration>,
}

struct Visit {
    page: String,
    /// How often it has been tried before.
    tries: u32,
}

struct Crawl {
    plan: Plan,
    agent: ureq::Agent,
    frontier: DelayQueue<Visit>,
    seen: Lock<BTreeSet<String>>,
    found: Lock<Found>,
}

/// Follows links, breadth first, until there is nothing more to visit or `stop` is cancelled.
pub fn crawl(plan: &Plan) -> Result<Found, Box<dyn Error>> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(plan.timeout))
        // The server is this program: whatever proxy the environment names cannot reach it.
        .proxy(None)
        .build();
    let crawl = Arc::new(Crawl {
        plan: plan.clone(),
        agent: config.into(),
        frontier: DelayQueue::unbounded(),
        seen: Lock::default(),
        found: Lock::default(),
    });
    let pool = ThreadPoolExecutor::builder()
        .max_workers(plan.workers)
        .thread_name_prefix("crawler")
        .build();
    let start = Instant::now();
    plan.known.iter().for_each(|page| crawl.discover(page));
    let crew: Vec<_> = (0..plan.workers)
        .map(|_| {
            let crawl = Arc::clone(&crawl);
            pool.spawn(move || crawl.work())
        })
        .collect::<Result<_, _>>()
        .map_err(|refused| refused.to_string())?;

    // Until every page is done with, or somebody has had enough.
    let stopped = crawl
        .frontier
        .join_within(&plan.stop)
        .err()
        .map(|_| Instant::now());
    let left = crawl.frontier.shutdown(Shutdown::Immediate);
    for member in as_completed(crew, Limit::none()) {
        // Its requests have a limit each, so this ends soon.
        member?.result()?;
    }
    let mut found = std::mem::take(&mut *crawl.found.lock());
    let left = left.into_iter().map(|visit| visit.item.page);
    found.left.extend(left);
    found.known = crawl.seen.lock().len();
    found.wall = start.elapsed();
    found.since_stop = stopped.map(|at| at.elapsed());
    Ok(found)
}

impl Crawl {
    /// One of the crew, until the frontier is shut down.
    fn work(&self) {
        while let Ok(task) = self.frontier.get_task() {
            // Acknowledged as `task` is dropped: after its links have been put.
            self.visit(&task.item);
        }
    }

    fn discover(&self, page: &str) {
        if self.seen.lock().insert(page.to_owned()) {
            self.put(Delayed::at(Instant::now(), visit(page, 0)));
        }
    }

    /// What comes too late, because the crawl has been stopped, is left over.
    fn put(&self, visit: Delayed<Visit>) {
        if let Err(refused) = self.frontier.put(visit) {
            let page = refused.into_inner().item.page;
            self.found.lock().left.insert(page);
        }
    }

    fn visit(&self, Visit { page, tries }: &Visit) {
        let start = Instant::now();
        let text = self.fetch(page);
        let took = start.elapsed();
        if let Ok(text) = &text {
            links(text).for_each(|link| self.discover(link));
        }
        let mut found = self.found.lock();
        found.requests += 1;
        found.retries += u64::from(*tries > 0);
        found.busy += took;
        match text {
            Ok(_) => {
                found.fetched.insert(page.clone());
            }
            Err(why) if tries + 1 == self.plan.attempts => {
                found.failed.insert(page.clone(), why);
            }
            Err(_) => {
                drop(found);
                let pause = self.plan.backoff * 2_u32.pow(*tries);
                self.put(Delayed::after(pause, visit(page, tries + 1)));
                return;
            }
        }
        let done = found.fetched.len() + found.failed.len();
        drop(found);
        if self.plan.stop_after.is_some_and(|after| done >= after) {
            self.plan.stop.cancel();
        }
    }

    fn fetch(&self, page: &str) -> Result<String, String> {
        let url = format!("http://{}{page}", self.plan.address);
        let answer = self.agent.get(&url).call();
        let text = answer.and_then(|mut answer| answer.body_mut().read_to_string());
        text.map_err(|error| error.to_string())
    }
}

fn visit(page: &str, tries: u32) -> Visit {
    Visit {
        page: page.to_owned(),
        tries,
    }
}

/// Where a page leads.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("href=\"").skip(1);
    targets.filter_map(|rest| rest.split_once('"').map(|(target, _)| target))
}
