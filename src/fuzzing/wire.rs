//! Frames from a parent, or from a worker.

use super::Feed;
use crate::process::function::{self, SealKey};
use crate::process::handshake::{Greeting, Hello};
use crate::process::serve::{CallHeader, ReplyHeader};
use crate::process::wire::{Reader, begin, finish, split};

/// Reads a stream of frames, in pieces, and takes each for everything that a frame can be.
pub fn wire(data: &[u8]) {
    let mut feed = Feed(data);
    let mut reader = Reader::default();
    while !feed.is_empty() {
        let count = usize::from(feed.u8());
        if feed.u8() % 2 == 0 {
            reader.push(feed.up_to(count));
        } else {
            let mut frame = begin();
            frame.extend_from_slice(feed.up_to(count));
            reader.push(&finish(frame));
        }
        loop {
            match reader.frame() {
                Ok(Some(body)) => read(body),
                Ok(None) => break,
                // The socket is closed after this.
                Err(_) => return,
            }
            reader.consume();
        }
    }
}

fn read(body: &[u8]) {
    let _ = Hello::parse(body);
    let _ = split::<Greeting>(body);
    let _ = split::<ReplyHeader>(body);
    let _ = split::<(u64, String, Option<Vec<i32>>)>(body);
    if let Ok((call, _)) = split::<CallHeader>(body) {
        let key = SealKey::own().unwrap();
        // It is never run: nobody but the holder of the key can have named a function.
        assert!(function::resolve(&call.name, call.seal, &key).is_err());
    }
}
