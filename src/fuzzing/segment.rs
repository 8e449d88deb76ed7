//! A descriptor that a peer sent, said to be a segment.

use super::{Feed, scribble};
use crate::shm::segment::{Kind, Segment};
use rustix::fs::{MemfdFlags, SealFlags};
use std::io::ErrorKind;
use std::os::fd::AsFd;

/// What a segment of the test is long.
const LEN: usize = 8192;

/// Attaches to a memfd whose size, seals and header are as `data` says.
pub fn segment(data: &[u8]) {
    let mut feed = Feed(data);
    let shape = feed.u8();
    let fd = if shape & 1 == 0 {
        // A good one, to be spoilt.
        let made = Segment::create(Kind::Arena, LEN, [feed.u64(), feed.u64()]).unwrap();
        made.fd().try_clone_to_owned().unwrap()
    } else {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("fuzzed", flags).unwrap();
        let len = if shape & 2 == 0 {
            LEN as u64
        } else {
            feed.number() % (1 << 40)
        };
        rustix::fs::ftruncate(&fd, len).unwrap();
        let seals = SealFlags::from_bits_truncate(feed.u8().into());
        // Some cannot be set together, or not here.
        let _ =
            rustix::fs::fcntl_add_seals(&fd, seals & !SealFlags::WRITE & !SealFlags::FUTURE_WRITE);
        fd
    };
    while !feed.is_empty() {
        let offset = u64::from(feed.u8());
        let count = usize::from(feed.u8() % 16);
        scribble(fd.as_fd(), offset, feed.up_to(count));
    }
    match Segment::attach(fd, Kind::Arena, LEN) {
        Ok(segment) => {
            assert!(segment.pointer(0, LEN).is_some() && segment.pointer(1, LEN).is_none());
            let end = segment.pointer(LEN - 1, 1).unwrap();
            // SAFETY: the last byte of the mapping.
            unsafe { end.write_volatile(end.read_volatile()) };
        }
        // Sealed against writing it cannot be mapped.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}"),
    }
}
