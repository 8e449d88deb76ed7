//! Where a worker begins: before `main`, and never reaching it.
//!
//! The loader calls [`enter`] in every process of a program that links this crate. Without the
//! marker in the environment it returns at once, for the price of one `getenv`. With it, this
//! process is a worker: it takes its control socket from stdin, shakes hands with its parent and
//! serves until the parent is gone. Invariant: a process with a marker never runs `main`.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use rustix::net::{AddressFamily, SendFlags, SocketType};

use super::handshake::{Greeting, Hello, Nonce};
use super::image::Image;
use super::spawn::MARKER;
use super::wire::{self, Outgoing, Reader};

/// The status of a worker that cannot be one (`EX_SOFTWARE`).
const UNUSABLE: i32 = 70;

/// What a worker knows about itself.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) parent: u32,
    pub(crate) depth: u32,
}

static IDENTITY: OnceLock<Identity> = OnceLock::new();

/// What this process is as a worker; `None` in a process that is none.
pub(crate) fn identity() -> Option<&'static Identity> {
    IDENTITY.get()
}

/// Runs before `main` and before every other thread that this program starts.
#[used]
#[unsafe(link_section = ".init_array")]
static ENTRY: extern "C" fn() = at_load;

extern "C" fn at_load() {
    enter();
}

/// Returns in every process but a worker, where it never does.
pub(crate) fn enter() {
    let Some(marker) = std::env::var_os(MARKER) else {
        return;
    };
    // The environment of a privileged program is written by whoever started it.
    // SAFETY: `getauxval` only reads.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        refuse("a program with more rights than its caller starts no workers");
    }
    if !Image::main().contains(super::function::anchor()) {
        // A copy of this crate in a shared library: the marker is for the program's own copy.
        return;
    }
    if IDENTITY.get().is_some() {
        // A worker's task that calls `init` again, with a marker of its own making.
        return;
    }
    // SAFETY: at load no other thread exists; `init` asks for the same, at the top of main.
    unsafe { std::env::remove_var(MARKER) };
    let nonce = marker.to_str().and_then(Nonce::parse);
    let Some(nonce) = nonce else {
        refuse(&format!(
            "{MARKER} is not a worker's marker; it is set by latchwork alone"
        ));
    };
    match begin(nonce) {
        Ok(never) => match never {},
        Err(error) => refuse(&error.to_string()),
    }
}

/// Reports why this worker cannot go on, and ends it.
pub(crate) fn refuse(reason: &str) -> ! {
    let pid = std::process::id();
    // Nothing can be done about a closed stderr here.
    let _ = writeln!(io::stderr(), "latchwork worker {pid}: {reason}");
    std::process::exit(UNUSABLE)
}

fn begin(nonce: Nonce) -> io::Result<std::convert::Infallible> {
    occupy_standard_streams()?;
    let socket = take_socket().map_err(|error| {
        let message = format!("started as a worker, but stdin is not a control socket: {error}");
        io::Error::new(error.kind(), message)
    })?;
    calm_signals();
    let mut reader = Reader::default();
    let Some((hello, descriptors)) = Hello::receive(socket.as_fd(), &mut reader)? else {
        // The parent died, or changed its mind, before this process was under way.
        std::process::exit(0);
    };
    let build = Image::main().build_id()?;
    let accepted = hello.check(&build, nonce).and_then(|()| {
        super::adopt(descriptors).map_err(|error| format!("cannot adopt shared memory: {error}"))
    });
    if let Err(reason) = accepted {
        let _ = greet(&socket, &Greeting::Refused(reason.clone()));
        refuse(&reason);
    }
    let identity = IDENTITY.get_or_init(|| Identity {
        name: hello.name,
        parent: hello.parent,
        depth: hello.depth,
    });
    show_name(&identity.name);
    if let Err(error) = super::serve::watch(&socket, hello.parent) {
        let reason = format!("cannot watch the parent process: {error}");
        let _ = greet(&socket, &Greeting::Refused(reason.clone()));
        refuse(&reason);
    }
    if greet(&socket, &Greeting::Ready { build, nonce }).is_err() {
        std::process::exit(0);
    }
    super::serve::serve(socket, reader, hello.key)
}

/// Nothing that is opened from here on may become what the task writes its output to.
fn occupy_standard_streams() -> io::Result<()> {
    let flags = rustix::fs::OFlags::RDWR;
    loop {
        let fd = rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty())?;
        if std::os::fd::AsRawFd::as_raw_fd(&fd) > 2 {
            return Ok(());
        }
        std::mem::forget(fd);
    }
}

/// Moves the control socket out of the way of the task's own stdin, which is empty.
fn take_socket() -> io::Result<OwnedFd> {
    let stdin = rustix::stdio::stdin();
    let unix = rustix::net::sockopt::socket_domain(stdin)? == AddressFamily::UNIX;
    let stream = rustix::net::sockopt::socket_type(stdin)? == SocketType::STREAM;
    if !unix || !stream {
        return Err(io::Error::other("it is a socket of another kind"));
    }
    let socket = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(socket)
}

fn greet(socket: &OwnedFd, greeting: &Greeting) -> io::Result<()> {
    let frame = wire::frame(greeting).map_err(io::Error::other)?;
    Outgoing::new(frame, 0)
        .pump(socket, SendFlags::empty(), usize::MAX)
        .map(drop)
}

/// Leaves the decision about Ctrl-C to the parent and turns a closed pipe into an error.
fn calm_signals() {
    extern "C" fn nothing(_signal: libc::c_int) {}
    // SAFETY: the actions are fully initialised, and a handler that does nothing is safe at any
    // moment. No other thread of this process exists yet that could change them meanwhile.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGINT, std::ptr::null(), &mut action);
        // Who ignores it wants it ignored below too. A handler, unlike that, ends with an exec,
        // so a command that a task starts can be interrupted as usual.
        if action.sa_sigaction != libc::SIG_IGN {
            action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(libc::SIGINT, &action, std::ptr::null_mut());
        }
    }
}

/// Gives the process the worker's name where `ps` and `top` show the short one.
fn show_name(name: &str) {
    let short: String = name.chars().filter(|c| *c != '\0').take(15).collect();
    if let Ok(short) = std::ffi::CString::new(short) {
        // A name is a courtesy: without it the worker works as well.
        let _ = rustix::thread::set_name(&short);
    }
}
