//! What is crawled: a site of linked pages behind a small HTTP server on a loopback port, with faults on purpose.
//!
//! Keeps: a page's fault is decided by its number and the seed alone, and how often it strikes is counted by page; so
//! what a crawl must come to is known before. A connection carries one request.

use latchwork::CancelToken;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

/// Links on a page to others that are found there first.
const FAN: usize = 4;

pub struct Site {
    pub pages: usize,
    /// Those that a crawl begins with.
    pub known: usize,
    /// The server thinks so long before each answer.
    pub latency: Duration,
    pub fault_rate: f64,
    pub seed: u64,
}

#[derive(Clone, Copy)]
enum Fault {
    /// Status 500, so many times.
    Broken(u32),
    /// The connection is reset, so many times.
    Reset(u32),
    /// The body never comes to an end, once.
    Slow,
}

/// What a crawl must come to.
#[derive(Default)]
pub struct Expected {
    pub fetched: BTreeSet<String>,
    pub failed: BTreeSet<String>,
    pub retries: u64,
}

pub fn path(page: usize) -> String {
    format!("/page/{page}")
}

impl Site {
    fn fault(&self, page: usize) -> Option<Fault> {
        let mut hasher = DefaultHasher::new();
        (self.seed, page).hash(&mut hasher);
        let mut dice = fastrand::Rng::with_seed(hasher.finish());
        if dice.f64() >= self.fault_rate {
            return None;
        }
        Some(match dice.u32(..6) {
            0 => Fault::Broken(u32::MAX),
            1 | 2 => Fault::Broken(dice.u32(1..=2)),
            3 | 4 => Fault::Reset(dice.u32(1..=2)),
            _ => Fault::Slow,
        })
    }

    /// Pages that a page links to, one of them known already.
    fn links(&self, page: usize) -> impl Iterator<Item = usize> {
        let first = self.known + page * FAN;
        [0].into_iter()
            .chain((first..first + FAN).filter(|page| *page < self.pages))
    }

    fn text(&self, page: usize) -> String {
        let links = self
            .links(page)
            .map(|to| format!("<a href=\"{}\">{to}</a>\n", path(to)));
        format!("<title>{page}</title>\n{}", links.collect::<String>())
    }

    /// Follows the links without a network.
    pub fn expected(&self, attempts: u32) -> Expected {
        let mut expected = Expected::default();
        let mut ahead: Vec<usize> = (0..self.known).collect();
        while let Some(page) = ahead.pop() {
            let strikes = match self.fault(page) {
                None => 0,
                Some(Fault::Slow) => 1,
                Some(Fault::Broken(times) | Fault::Reset(times)) => times,
            };
            expected.retries += u64::from(strikes.min(attempts - 1));
            if strikes >= attempts {
                expected.failed.insert(path(page));
                continue;
            }
            expected.fetched.insert(path(page));
            // Only the first link leads back.
            ahead.extend(self.links(page).skip(1));
        }
        expected
    }
}

/// What the server's threads share.
struct Shared {
    site: Site,
    /// How often each page was asked for.
    asked: Vec<AtomicU32>,
    now: AtomicUsize,
    most: AtomicUsize,
    closing: CancelToken,
}

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Serves with so many threads until it is dropped.
    pub fn start(site: Site, threads: usize) -> io::Result<Server> {
        let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
        let asked = (0..site.pages).map(|_| AtomicU32::new(0)).collect();
        let mut server = Server {
            address: listener.local_addr()?,
            shared: Arc::new(Shared {
                site,
                asked,
                now: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
                closing: CancelToken::new(),
            }),
            threads: Vec::new(),
        };
        for number in 0..threads {
            let (listener, shared) = (Arc::clone(&listener), Arc::clone(&server.shared));
            let serve = move || {
                while !shared.closing.is_cancelled() {
                    match listener.accept() {
                        // A client that has gone knows better than the server why.
                        Ok((connection, _)) => drop(shared.serve(connection)),
                        // Too many open files, say: others will be closed.
                        Err(_) => std::thread::sleep(Duration::from_millis(10)),
                    }
                }
            };
            let thread = std::thread::Builder::new().name(format!("server-{number}"));
            server.threads.push(thread.spawn(serve)?);
        }
        Ok(server)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn site(&self) -> &Site {
        &self.shared.site
    }

    /// So many requests were being answered at the same time.
    pub fn most_at_once(&self) -> usize {
        self.shared.most.load(SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closing.cancel();
        for _ in &self.threads {
            // Somebody to accept, for a thread that waits for that.
            drop(TcpStream::connect(self.address));
        }
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn serve(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(Duration::from_secs(2)))?;
        let Some((length, page)) = requested(&connection)? else {
            return respond(&mut connection, 404, "");
        };
        let Some(asked) = self.asked.get(page) else {
            return respond(&mut connection, 404, "");
        };
        let before = asked.fetch_add(1, SeqCst);
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        // A wait, not a sleep: closing ends it.
        let _ = self.closing.wait_within(self.site.latency);
        // Before the client can have an answer, and with it the next question.
        self.now.fetch_sub(1, SeqCst);
        self.answer(&mut connection, length, page, before)
    }

    /// `before`: how often the page was asked for before.
    fn answer(
        &self,
        connection: &mut TcpStream,
        length: usize,
        page: usize,
        before: u32,
    ) -> io::Result<()> {
        let text = self.site.text(page);
        let fault = self.site.fault(page);
        if let Some(Fault::Reset(times)) = fault
            && before < times
        {
            // Closed with the request unread, the connection is reset.
            return Ok(());
        }
        io::Read::read_exact(connection, &mut vec![0; length])?;
        match fault {
            Some(Fault::Broken(times)) if before < times => respond(connection, 500, ""),
            Some(Fault::Slow) if before == 0 => self.drip(connection),
            _ => respond(connection, 200, &text),
        }
    }

    /// A byte now and then, until the client has enough of it.
    fn drip(&self, connection: &mut TcpStream) -> io::Result<()> {
        connection.write_all(b"HTTP/1.1 200 \r\nContent-Length: 1000000\r\n\r\n")?;
        while self.closing.wait_within(Duration::from_millis(20)).is_err() {
            connection.write_all(b".")?;
        }
        Ok(())
    }
}

/// The length of the request and the page that it is for, if it is for one. Leaves it unread.
fn requested(connection: &TcpStream) -> io::Result<Option<(usize, usize)>> {
    let mut text = [0; 4096];
    loop {
        let length = connection.peek(&mut text)?;
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&text[..length]) {
            Ok(httparse::Status::Complete(length)) => {
                let path = request.path.and_then(|path| path.strip_prefix("/page/"));
                return Ok(path.and_then(|page| Some((length, page.parse().ok()?))));
            }
            // The rest comes in a moment; a peek would return the beginning at once.
            Ok(httparse::Status::Partial) if length > 0 && length < text.len() => {
                std::thread::sleep(Duration::from_millis(1));
            }
            _ => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

fn respond(connection: &mut TcpStream, status: u16, text: &str) -> io::Result<()> {
    let length = text.len();
    let head =
        format!("HTTP/1.1 {status} \r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    connection.write_all(&[head.as_bytes(), text.as_bytes()].concat())
}
