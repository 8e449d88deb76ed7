//! Frames on a stream socket: a mark, a length, and that many bytes.
//!
//! Invariant: no byte of a peer is believed before it is checked, and memory is taken in proportion
//! to the bytes that have arrived, never to the length that was announced. [`Reader`] and
//! [`Outgoing`] do no I/O of their own choosing, so the parent's non-blocking side, the worker's
//! blocking one and the tests share them.

use std::io;
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Stands before every frame: a reader that lost its place notices at once.
const MARK: [u8; 4] = *b"LWf1";
/// The mark and a little-endian `u64` length.
const HEADER: usize = 12;
/// Longer frames are a damaged header, whatever it says: no machine holds a value of a tebibyte.
const LONGEST: u64 = 1 << 40;
/// What one read asks for, and what a reader keeps between frames.
const CHUNK: usize = 64 * 1024;
/// The biggest frame that is kept after it has left: less than a socket's buffer holds.
const KEPT: usize = 64 * 1024;

/// A frame under construction: the header's place, then whatever the caller appends.
pub(crate) fn begin() -> Vec<u8> {
    let mut frame = Vec::with_capacity(128);
    frame.extend_from_slice(&MARK);
    frame.extend_from_slice(&[0; 8]);
    frame
}

/// Appends `value` to a frame under construction.
pub(crate) fn append<T: Serialize + ?Sized>(
    frame: Vec<u8>,
    value: &T,
) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_extend(value, frame)
}

/// Fills in the length: the frame may be sent.
pub(crate) fn finish(mut frame: Vec<u8>) -> Vec<u8> {
    let length = (frame.len() - HEADER) as u64;
    frame[MARK.len()..HEADER].copy_from_slice(&length.to_le_bytes());
    frame
}

/// A whole frame that holds one value.
pub(crate) fn frame<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, postcard::Error> {
    append(begin(), value).map(finish)
}

/// Takes a value off the front of a frame's body and gives back the rest.
pub(crate) fn split<T: DeserializeOwned>(body: &[u8]) -> io::Result<(T, &[u8])> {
    postcard::take_from_bytes(body).map_err(corrupt)
}

/// The error for bytes that no correct peer sends.
pub(crate) fn corrupt(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("corrupt frame: {what}"))
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Bytes, and perhaps more behind them.
    More,
    /// Bytes, and nothing behind them for now.
    Drained,
    /// The peer has closed; nothing will come any more.
    Closed,
    /// As `Closed`, and some of what was sent to it lay unread.
    Unread,
}

/// Collects bytes until they make a frame.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
}

impl Reader {
    /// Adds bytes that were read elsewhere.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// One read from `socket`. A non-blocking one that has nothing reports `Drained`.
    pub(crate) fn fill(&mut self, socket: impl AsFd, flags: RecvFlags) -> io::Result<Fill> {
        self.reserve()?;
        let room = self.bytes.capacity() - self.bytes.len();
        loop {
            return match rustix::net::recv(&socket, spare_capacity(&mut self.bytes), flags) {
                Ok((_, 0)) => Ok(Fill::Closed),
                Ok((_, got)) if got == room => Ok(Fill::More),
                Ok(_) | Err(Errno::AGAIN) => Ok(Fill::Drained),
                Err(Errno::INTR) => continue,
                Err(Errno::CONNRESET) => Ok(Fill::Unread),
                Err(error) => Err(error.into()),
            };
        }
    }

    /// The body of the frame at the front, once it is complete.
    pub(crate) fn frame(&self) -> io::Result<Option<&[u8]>> {
        Ok(match self.announced()? {
            Some(length) if self.bytes.len() - HEADER >= length => {
                Some(&self.bytes[HEADER..HEADER + length])
            }
            _ => None,
        })
    }

    /// Forgets the frame at the front, which must be complete.
    pub(crate) fn consume(&mut self) {
        if let Ok(Some(length)) = self.announced() {
            let end = (HEADER + length).min(self.bytes.len());
            self.bytes.drain(..end);
            self.bytes.shrink_to(CHUNK);
        }
    }

    /// The length in the header at the front, once the header is there and makes sense.
    fn announced(&self) -> io::Result<Option<usize>> {
        let mark = &self.bytes[..self.bytes.len().min(MARK.len())];
        if !MARK.starts_with(mark) {
            return Err(corrupt("it does not begin like one"));
        }
        let Some(length) = self.bytes.get(MARK.len()..HEADER) else {
            return Ok(None);
        };
        let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
        match usize::try_from(length) {
            Ok(fits) if length <= LONGEST => Ok(Some(fits)),
            _ => Err(corrupt(format_args!("it announces {length} bytes"))),
        }
    }

    /// Makes room for the next read: at most as much again as has already arrived.
    fn reserve(&mut self) -> io::Result<()> {
        let missing = match self.announced()? {
            Some(length) => (HEADER + length).saturating_sub(self.bytes.len()),
            None => CHUNK,
        };
        let room = missing.clamp(CHUNK, self.bytes.len().max(CHUNK));
        self.bytes
            .try_reserve_exact(room)
            .map_err(|_| io::ErrorKind::OutOfMemory.into())
    }
}

/// A frame on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    frame: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    /// A finished frame, of which `sent` bytes have already left.
    pub(crate) fn new(frame: Vec<u8>, sent: usize) -> Outgoing {
        Outgoing { frame, sent }
    }

    /// The frame, if the peer cannot have read all of it: some of it has not left, or `unread` says
    /// that some of what has left was not read.
    pub(crate) fn take_back(self, unread: bool) -> Option<Vec<u8>> {
        (self.sent < self.frame.len() || unread).then_some(self.frame)
    }

    /// Whether it is worth keeping after it has left, for the case that the peer dies without
    /// reading it. What is bigger than a socket's buffer has been read for the most part.
    pub(crate) fn is_small(&self) -> bool {
        self.frame.len() <= KEPT
    }

    /// Writes as much as `socket` takes, and about `most` bytes; `true` when the frame has left.
    pub(crate) fn pump(
        &mut self,
        socket: impl AsFd,
        flags: SendFlags,
        most: usize,
    ) -> io::Result<bool> {
        let pause = self.sent.saturating_add(most);
        while self.sent < self.frame.len() {
            if self.sent >= pause {
                return Ok(false);
            }
            // NOSIGNAL: a dead peer is an error here, never a SIGPIPE in the embedding program.
            let end = pause.min(self.frame.len());
            let piece = &self.frame[self.sent..end];
            match rustix::net::send(&socket, piece, flags | SendFlags::NOSIGNAL) {
                Ok(sent) => self.sent += sent,
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(reader: &mut Reader) -> io::Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        while let Some(body) = reader.frame()? {
            frames.push(body.to_vec());
            reader.consume();
        }
        Ok(frames)
    }

    fn raw(body: &[u8]) -> Vec<u8> {
        let mut frame = begin();
        frame.extend_from_slice(body);
        finish(frame)
    }

    proptest! {
        #[test]
        fn frames_survive_every_split_of_the_stream(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
            cuts in prop::collection::vec(1_usize..50, 1..200),
        ) {
            let stream: Vec<u8> = bodies.iter().flat_map(|body| raw(body)).collect();
            let mut reader = Reader::default();
            let mut seen = Vec::new();
            let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                reader.push(now);
                seen.extend(read_all(&mut reader).unwrap());
                rest = later;
            }
            prop_assert_eq!(seen, bodies);
        }

        #[test]
        fn garbage_is_an_error_or_waits_but_never_panics_nor_takes_memory(
            marked in any::<bool>(),
            bytes in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut reader = Reader::default();
            if marked {
                reader.push(&MARK);
            }
            reader.push(&bytes);
            let _ = read_all(&mut reader);
            if reader.reserve().is_ok() {
                prop_assert!(reader.bytes.capacity() <= 4 * CHUNK);
            }
        }

        #[test]
        fn values_round_trip(value in any::<(u64, String, Option<Vec<i32>>)>()) {
            let mut reader = Reader::default();
            reader.push(&frame(&value).unwrap());
            let body = reader.frame().unwrap().unwrap();
            let (back, rest) = split::<(u64, String, Option<Vec<i32>>)>(body).unwrap();
            prop_assert_eq!(back, value);
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn an_absurd_length_is_refused_before_its_bytes_arrive() {
        let mut reader = Reader::default();
        reader.push(&MARK);
        reader.push(&u64::MAX.to_le_bytes());
        assert_eq!(
            reader.frame().unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn a_large_announcement_alone_takes_no_memory() {
        let mut reader = Reader::default();
        reader.push(&MARK);
        reader.push(&LONGEST.to_le_bytes());
        assert_eq!(reader.frame().unwrap(), None);
        reader.reserve().unwrap();
        assert!(reader.bytes.capacity() <= 2 * CHUNK);
    }

    #[test]
    fn a_reader_gives_memory_back_after_a_large_frame() {
        let mut reader = Reader::default();
        reader.push(&raw(&vec![1; 40 * CHUNK]));
        assert_eq!(read_all(&mut reader).unwrap().len(), 1);
        assert!(reader.bytes.capacity() <= CHUNK);
    }

    #[test]
    fn a_stalled_peer_takes_part_of_a_frame_and_the_rest_later() {
        let (near, far) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let body = vec![7_u8; 5_000_000];
        let mut outgoing = Outgoing::new(raw(&body), 0);
        let mut reader = Reader::default();
        assert!(
            !outgoing
                .pump(&near, SendFlags::DONTWAIT, usize::MAX)
                .unwrap(),
            "no buffer holds that much"
        );
        loop {
            let done = (outgoing.pump(&near, SendFlags::DONTWAIT, 10_000)).unwrap();
            while reader.fill(&far, RecvFlags::DONTWAIT).unwrap() == Fill::More {}
            if done {
                break;
            }
        }
        while reader.frame().unwrap().is_none() {
            reader.fill(&far, RecvFlags::DONTWAIT).unwrap();
        }
        assert_eq!(reader.frame().unwrap(), Some(&body[..]));
        drop(near);
        assert_eq!(reader.fill(&far, RecvFlags::empty()).unwrap(), Fill::Closed);
    }
}
