//! Handles that were serialised by somebody who makes things up.

use super::Feed;
use crate::ipc::{Lock, Value};
use serde::Serialize;
use std::sync::LazyLock;

/// What there is to be mistaken for.
static OBJECTS: LazyLock<(Lock, Value<u64>, Value<[u8; 100]>)> = LazyLock::new(|| {
    let values = (Value::new(1), Value::new([1; 100]));
    (Lock::new().unwrap(), values.0.unwrap(), values.1.unwrap())
});

/// Deserialises, and does with what came out whatever can be done.
pub fn handle(data: &[u8]) {
    let mut feed = Feed(data);
    let objects = &*OBJECTS;
    let kind = feed.u8();
    let forged;
    let bytes = if kind & 1 == 0 {
        feed.up_to(usize::MAX)
    } else {
        // The arena's name is no secret to a peer.
        let real = encode(&objects.0);
        let (arena, ..): ([u64; 2], u32, u32) = postcard::from_bytes(&real).unwrap();
        forged = encode(&(arena, feed.number() as u32, feed.number() as u32));
        &forged
    };
    match kind / 2 % 4 {
        0 => {
            if let Ok(lock) = postcard::from_bytes::<Lock>(bytes) {
                let _ = (format!("{lock:?}"), lock.is_locked());
                drop(lock.try_lock());
            }
        }
        1 => {
            if let Ok(value) = postcard::from_bytes::<Value<u64>>(bytes) {
                let _ = (format!("{value:?}"), value.is_locked());
                drop(value.set(2));
            }
        }
        2 => {
            if let Ok(value) = postcard::from_bytes::<Value<[u8; 100]>>(bytes) {
                drop(value.get());
                drop(value.set([2; 100]));
            }
        }
        _ => {
            if let Ok(values) = postcard::from_bytes::<Vec<Value<[u8; 60_000]>>>(bytes) {
                values.iter().for_each(|value| drop(value.get()));
            }
        }
    }
    // Whatever was forged, one's own object is there and of its own type.
    assert!(matches!(objects.2.get().unwrap()[..], [1, ..] | [2, ..]));
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap()
}
