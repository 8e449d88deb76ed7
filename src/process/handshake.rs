//! The first two frames between a parent and its worker.
//!
//! The parent says who it is and hands over its descriptors ([`Hello`]); the worker checks that
//! both run the same build of the same protocol and that this socket belongs to the marker in its
//! environment, and answers ([`Greeting`]). Each side refuses the other with a reason that a person
//! can act on. Called by `spawn` on the parent's side and by `entry` on the worker's.

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::SendFlags;
use serde::{Deserialize, Serialize};

use super::function::SealKey;
use super::image::BuildId;
use super::wire::{self, Outgoing, Reader};
use crate::platform::parcel;

/// Stands first in a [`Hello`] in every version, so that strangers and other versions are told apart.
const GREETER: [u8; 8] = *b"latchwrk";
/// Changes with every change of a frame's meaning; the crate's version guards against forgetting.
const PROTOCOL: &str = concat!(env!("CARGO_PKG_VERSION"), " protocol 1");
/// Pools inside workers of pools inside workers: beyond this it is a recursion without an end.
pub(crate) const DEEPEST: u32 = 8;

/// Ties the marker in a worker's environment to one socket.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Nonce([u8; 16]);

impl Nonce {
    pub(crate) fn fresh() -> io::Result<Nonce> {
        super::spawn::random().map(Nonce)
    }

    pub(crate) fn parse(text: &str) -> Option<Nonce> {
        let well_formed = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let value = u128::from_str_radix(text, 16)
            .ok()
            .filter(|_| well_formed)?;
        Some(Nonce(value.to_be_bytes()))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}

/// What a worker learns from its parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) build: BuildId,
    pub(crate) nonce: Nonce,
    pub(crate) key: SealKey,
    /// The parent's process id in the parent's pid namespace.
    pub(crate) parent: u32,
    /// How many workers stand between this one and the first process, itself included.
    pub(crate) depth: u32,
    pub(crate) name: String,
    /// How many descriptors travel beside this frame.
    pub(crate) descriptors: u32,
}

/// A worker's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Greeting {
    /// It serves from now on.
    Ready { build: BuildId, nonce: Nonce },
    /// It exits instead.
    Refused(String),
}

impl Hello {
    /// Sends the greeting and `descriptors`; what the socket did not take at once comes back.
    pub(crate) fn send(
        &self,
        socket: BorrowedFd<'_>,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<Outgoing> {
        let frame = wire::append(wire::begin(), &(GREETER, PROTOCOL))
            .and_then(|frame| wire::append(frame, self))
            .map(wire::finish)
            .map_err(io::Error::other)?;
        let sent = parcel::send(socket, &frame, descriptors, SendFlags::DONTWAIT)?;
        Ok(Outgoing::new(frame, sent))
    }

    /// Waits for the greeting. `None` when the parent closed before it said anything.
    pub(crate) fn receive(
        socket: BorrowedFd<'_>,
        reader: &mut Reader,
    ) -> io::Result<Option<(Hello, Vec<OwnedFd>)>> {
        let mut descriptors = Vec::new();
        loop {
            if let Some(body) = reader.frame()? {
                let hello = Hello::parse(body)?;
                reader.consume();
                if hello.descriptors as usize != descriptors.len() {
                    return Err(wire::corrupt("its descriptors did not arrive"));
                }
                return Ok(Some((hello, descriptors)));
            }
            let mut bytes = [0; 4096];
            let received = match parcel::receive(socket, &mut bytes, &mut descriptors) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                received => received?,
            };
            if received == 0 {
                return Ok(None);
            }
            reader.push(&bytes[..received]);
        }
    }

    pub(crate) fn parse(body: &[u8]) -> io::Result<Hello> {
        let Ok(((GREETER, protocol), rest)) = wire::split::<([u8; 8], String)>(body) else {
            return Err(wire::corrupt("it is not a greeting"));
        };
        if protocol != PROTOCOL {
            let message = format!("the parent speaks latchwork {protocol}, the worker {PROTOCOL}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        match wire::split(rest)? {
            (hello, []) => Ok(hello),
            _ => Err(wire::corrupt("the greeting is longer than it should be")),
        }
    }

    /// Whether a worker that runs `build` and was started with `nonce` belongs to this parent.
    pub(crate) fn check(&self, build: &BuildId, nonce: Nonce) -> Result<(), String> {
        if self.nonce != nonce {
            return Err(
                "the control socket does not belong to the marker in the environment".into(),
            );
        }
        same_build(&self.build, build)?;
        if self.depth > DEEPEST {
            return Err(too_deep());
        }
        Ok(())
    }
}

impl Greeting {
    /// Whether the worker that sent this serves from now on, and otherwise why not.
    pub(crate) fn check(self, build: &BuildId, nonce: Nonce) -> Result<(), String> {
        match self {
            Greeting::Refused(reason) => Err(reason),
            Greeting::Ready { nonce: theirs, .. } if theirs != nonce => {
                Err("the worker answered with another worker's nonce".into())
            }
            Greeting::Ready { build: theirs, .. } => same_build(build, &theirs),
        }
    }
}

/// What to say to a pool that would be nested too deep.
pub(crate) fn too_deep() -> String {
    format!("worker processes are nested more than {DEEPEST} deep")
}

fn same_build(parent: &BuildId, worker: &BuildId) -> Result<(), String> {
    if parent == worker {
        return Ok(());
    }
    Err(format!(
        "the worker runs another build of the program than its parent \
         (parent {parent:02x?}, worker {worker:02x?})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::fd::AsFd;

    fn pair() -> (OwnedFd, OwnedFd) {
        rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .unwrap()
    }

    fn hello() -> Hello {
        Hello {
            build: BuildId::Note(vec![1, 2, 3]),
            nonce: Nonce([5; 16]),
            key: SealKey::own().unwrap(),
            parent: 12,
            depth: 1,
            name: "worker".into(),
            descriptors: 0,
        }
    }

    #[test]
    fn a_greeting_arrives_with_its_descriptors() {
        let (near, far) = pair();
        let (token, other_end) = pair();
        let hello = Hello {
            descriptors: 1,
            ..hello()
        };
        hello.send(near.as_fd(), &[token.as_fd()]).unwrap();
        drop(token);
        let mut reader = Reader::default();
        let (got, descriptors) = Hello::receive(far.as_fd(), &mut reader).unwrap().unwrap();
        assert_eq!((got.nonce, got.name), (hello.nonce, hello.name));
        let [arrived] = &descriptors[..] else {
            panic!("one descriptor was sent")
        };
        rustix::io::write(arrived, b"x").unwrap();
        assert_eq!(rustix::io::read(&other_end, &mut [0; 4]).unwrap(), 1);
        let flags = rustix::io::fcntl_getfd(arrived).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn a_greeting_whose_descriptors_were_lost_is_refused() {
        let (near, far) = pair();
        Hello {
            descriptors: 2,
            ..hello()
        }
        .send(near.as_fd(), &[])
        .unwrap();
        assert!(Hello::receive(far.as_fd(), &mut Reader::default()).is_err());
    }

    #[test]
    fn another_protocol_is_named_in_the_refusal() {
        let frame = wire::append(Vec::new(), &(GREETER, "0.0.0 protocol 0")).unwrap();
        assert!(
            Hello::parse(&frame)
                .unwrap_err()
                .to_string()
                .contains("0.0.0 protocol 0")
        );
    }

    #[test]
    fn each_mismatch_is_refused_by_name() {
        let hello = hello();
        let build = hello.build.clone();
        assert_eq!(hello.check(&build, hello.nonce), Ok(()));
        assert!(
            hello
                .check(&build, Nonce([6; 16]))
                .unwrap_err()
                .contains("marker")
        );
        let other = BuildId::Note(vec![9]);
        assert!(
            hello
                .check(&other, hello.nonce)
                .unwrap_err()
                .contains("another build")
        );
        let deep = Hello {
            depth: DEEPEST + 1,
            ..hello.clone()
        };
        assert!(
            deep.check(&build, hello.nonce)
                .unwrap_err()
                .contains("nested")
        );
        let ready = |build, nonce| Greeting::Ready { build, nonce };
        assert_eq!(
            ready(build.clone(), hello.nonce).check(&build, hello.nonce),
            Ok(())
        );
        assert!(
            ready(other, hello.nonce)
                .check(&build, hello.nonce)
                .is_err()
        );
        assert!(
            ready(build.clone(), Nonce([6; 16]))
                .check(&build, hello.nonce)
                .is_err()
        );
        let refused = Greeting::Refused("because".into());
        assert_eq!(refused.check(&build, hello.nonce), Err("because".into()));
    }

    #[test]
    fn a_nonce_is_exactly_its_own_text() {
        let nonce = Nonce::fresh().unwrap();
        assert_eq!(Nonce::parse(&nonce.to_string()), Some(nonce));
        for text in [
            "",
            "12",
            "+2345678901234567890123456789012",
            &"g".repeat(32),
        ] {
            assert_eq!(Nonce::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_never_taken_for_a_greeting(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Hello::parse(&bytes).is_err());
            let mut marked = wire::append(Vec::new(), &(GREETER, PROTOCOL)).unwrap();
            marked.extend(bytes);
            let _ = Hello::parse(&marked);
        }
    }
}
