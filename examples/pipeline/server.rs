//! The other end of the wire: an HTTP server on a loopback port that hands out one folder.
//!
//! Keeps: it serves the pictures it was started with and nothing else, so no path leads out of the
//! folder. A picture's fault comes from [`Faults`] alone: a client that is not served by a fault is
//! served promptly. For that it has one thread for each client thread, and a connection carries one
//! request: a thread is free again as soon as its client has what it wants, or has given up.

use crate::faults::{Fault, Faults};
use crate::pictures::Name;
use latchwork::CancelToken;
use percent_encoding::percent_decode_str;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A broken picture is so many bytes of the real one. Cut further on, a JPEG would still be decoded,
/// with grey for what is missing.
const BROKEN_LENGTH: usize = 48;

/// The longest request that is understood.
const REQUEST_LENGTH: usize = 16 * 1024;

/// A request must have come by then; ours come at once.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// How often a stalled connection looks whether the server is closing.
const STALL_SLICE: Duration = Duration::from_millis(50);

/// What to serve, and how badly.
pub struct Offer {
    pub folder: PathBuf,
    pub names: HashSet<Name>,
    pub latency: Duration,
    pub faults: Faults,
}

pub struct Server {
    address: SocketAddr,
    closing: CancelToken,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Serves `offer` with so many threads until it is dropped. Once `stop` is cancelled nobody is
    /// kept waiting any more.
    pub fn start(offer: Offer, threads: usize, stop: &CancelToken) -> io::Result<Server> {
        let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
        let offer = Arc::new(offer);
        let mut server = Server {
            address: listener.local_addr()?,
            closing: stop.child(),
            threads: Vec::new(),
        };
        for number in 0..threads {
            let (listener, offer) = (Arc::clone(&listener), Arc::clone(&offer));
            let closing = server.closing.clone();
            let thread = thread::Builder::new().name(format!("server-{number}"));
            server
                .threads
                .push(thread.spawn(move || serve(&listener, &offer, &closing))?);
        }
        Ok(server)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closing.cancel();
        for _ in &self.threads {
            // Somebody to accept, for a thread that waits for that.
            let _ = TcpStream::connect(self.address);
        }
        for thread in self.threads.drain(..) {
            // A server thread that panicked has said so; its client has noticed.
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, offer: &Offer, closing: &CancelToken) {
    while !closing.is_cancelled() {
        match listener.accept() {
            // The client has gone: it timed out, or is closing down. It reports that, not we.
            Ok((connection, _)) => drop(answer(connection, offer, closing)),
            // Too many open files, say: others will be closed.
            Err(_) => thread::sleep(STALL_SLICE),
        }
    }
}

/// Serves the one request of a connection.
fn answer(mut connection: TcpStream, offer: &Offer, closing: &CancelToken) -> io::Result<()> {
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(REQUEST_LIMIT))?;
    let Some(path) = requested(&mut connection)? else {
        return respond(&mut connection, 400, &[]);
    };
    let name = Path::new(OsStr::from_bytes(&path));
    // A wait, not a sleep: closing ends it.
    let _ = closing.wait_within(offer.latency);
    let fault = offer.faults.of(name);
    match fault {
        Some(Fault::Http500) => return respond(&mut connection, 500, &[]),
        Some(Fault::Stall) => return stall(&mut connection, closing),
        Some(Fault::Broken | Fault::Killed) | None => {}
    }
    match body(offer, name) {
        Ok(mut body) => {
            if fault == Some(Fault::Broken) {
                body.truncate(BROKEN_LENGTH);
            }
            respond(&mut connection, 200, &body)
        }
        Err(status) => respond(&mut connection, status, &[]),
    }
}

/// The path that is asked for, without its first slash; `None` if that is no request for one.
fn requested(connection: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    while text.len() < REQUEST_LENGTH {
        let mut part = [0; 1024];
        let length = connection.read(&mut part)?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(&part[..length]);
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&text) {
            Ok(httparse::Status::Partial) => {}
            Ok(httparse::Status::Complete(_)) if request.method == Some("GET") => {
                let path = request.path.and_then(|path| path.strip_prefix('/'));
                return Ok(path.map(|path| percent_decode_str(path).collect()));
            }
            _ => break,
        }
    }
    Ok(None)
}

/// The picture's bytes, or the status that says why not.
fn body(offer: &Offer, name: &Path) -> Result<Vec<u8>, u16> {
    if !offer.names.contains(name) {
        return Err(404);
    }
    std::fs::read(offer.folder.join(name)).map_err(|error| match error.kind() {
        ErrorKind::NotFound => 404,
        ErrorKind::PermissionDenied => 403,
        _ => 500,
    })
}

fn respond(connection: &mut TcpStream, status: u16, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    // Clients go by the number; the phrase after it may be empty.
    let head =
        format!("HTTP/1.1 {status} \r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    connection.write_all(&[head.as_bytes(), body].concat())
}

/// Answers nothing for as long as the client waits.
fn stall(connection: &mut TcpStream, closing: &CancelToken) -> io::Result<()> {
    connection.set_read_timeout(Some(STALL_SLICE))?;
    while !closing.is_cancelled() {
        match connection.read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Hung up.
            _ => break,
        }
    }
    Ok(())
}
