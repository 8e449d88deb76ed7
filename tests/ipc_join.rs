//! `ipc::invite` and `ipc::join`: a program that is no worker shares memory over a unix socket.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;

use common::watchdog;
use latchwork::GaveUp;
use latchwork::ipc::{self, Event, LockError, Value};
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
const SOCKET: &str = "LATCHWORK_TEST_SOCKET";

/// The other program: joins, counts, and is killed with the lock in its hands.
#[test]
#[ignore = "run by a_program_that_joins_shares_and_dies"]
fn the_other_program() {
    // A test that fails leaves nobody behind.
    // SAFETY: a plain system call.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let path = std::env::var_os(SOCKET).expect("started by the test that needs it");
    let mut socket = UnixStream::connect(path).unwrap();
    ipc::join(&socket).unwrap();
    let mut length = [0; 1];
    socket.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; length[0].into()];
    socket.read_exact(&mut bytes).unwrap();
    let (value, event): (Value<u64>, Event) = postcard::from_bytes(&bytes).unwrap();
    value.update(|n| *n += 1).unwrap();
    let mut guard = value.lock().unwrap();
    *guard = 10;
    event.set().unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_program_that_joins_shares_and_dies() {
    watchdog(LIMIT, "join", || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut other = Command::new(std::env::current_exe().unwrap())
            .args(["the_other_program", "--exact", "--ignored"])
            .env(SOCKET, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (mut socket, _) = listener.accept().unwrap();
        let (value, event) = (Value::new(1_u64).unwrap(), Event::new().unwrap());
        ipc::invite(&socket).unwrap();
        let bytes = postcard::to_stdvec(&(&value, &event)).unwrap();
        socket.write_all(&[bytes.len() as u8]).unwrap();
        socket.write_all(&bytes).unwrap();
        event.wait().unwrap();
        let refused = value.lock_within(Duration::ZERO).unwrap_err();
        assert_eq!(refused.gave_up(), Some(GaveUp::TimedOut));
        let holder = value.holder().expect("it holds the lock");
        assert_eq!(holder.pid(), other.id());
        assert!(!holder.name().is_empty());
        other.kill().unwrap();
        other.wait().unwrap();
        let Err(LockError::OwnerDied(mut guard)) = value.lock() else {
            panic!("its death went unnoticed");
        };
        assert_eq!(*guard, 10);
        guard.mark_consistent();
    });
}

#[test]
fn what_is_no_invitation_is_refused() {
    watchdog(LIMIT, "no invitation", || {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"lw-tree0").unwrap();
        let error = ipc::join(&theirs).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        ours.write_all(b"lw-tree1").unwrap();
        let error = ipc::join(&theirs).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        ours.write_all(b"lw").unwrap();
        drop(ours);
        let error = ipc::join(&theirs).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}
