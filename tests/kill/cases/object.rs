//! Objects themselves: made and dropped, cloned, sent and received.

use super::SOON;
use crate::case::{Case, End, Found, Subject};
use latchwork::ipc::Value;
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("Value::new and drop", Neighbour::new, |_, begin| {
            begin();
            drop(Value::new([1_u64; 16]).unwrap());
        }),
        Case::new(
            "Value::new and drop, 200 KiB",
            Neighbour::new,
            |_, begin| {
                let big = [1_u8; 200 << 10];
                begin();
                drop(Value::new(big).unwrap());
            },
        ),
        Case::new("Value::clone and drop", Neighbour::new, |s, begin| {
            begin();
            let clone = s.kept.clone();
            assert_eq!(clone.get().unwrap(), [7; 16]);
        }),
        Case::new("Value serialised", Neighbour::new, |s, begin| {
            begin();
            assert_eq!(postcard::to_stdvec(&s.kept).unwrap(), s.sent);
        }),
        Case::new("Value deserialised, read", Neighbour::new, |s, begin| {
            begin();
            let received: Value<[u64; 16]> = postcard::from_bytes(&s.sent).unwrap();
            assert_eq!(received.get().unwrap(), [7; 16]);
        }),
    ]
}

/// An object that stays while others beside it come and go.
struct Neighbour {
    kept: Value<[u64; 16]>,
    sent: Vec<u8>,
}

impl Neighbour {
    fn new() -> Neighbour {
        let kept = Value::new([7; 16]).unwrap();
        Neighbour {
            sent: postcard::to_stdvec(&kept).unwrap(),
            kept,
        }
    }

    fn look(&mut self, limit: Duration) -> Result<Found, String> {
        let made = Value::new([2_u64; 16]).map_err(|error| format!("no room: {error}"))?;
        let made = made
            .get()
            .map_err(|error| format!("the new one: {error}"))?;
        if made != [2; 16] {
            return Err(format!("the new one is {made:?}"));
        }
        let (guard, found) = super::inherit(self.kept.lock_within(limit))?;
        if *guard != [7; 16] {
            return Err(format!("the one beside it is {guard:?}"));
        }
        Ok(found)
    }
}

impl Subject for Neighbour {
    fn after(&mut self, _: End) -> Result<Found, String> {
        self.look(SOON)
    }

    fn beside(&mut self, limit: Duration) -> Result<(), String> {
        super::free_or_held(self.kept.lock_within(limit))?;
        let made = Value::new([3_u64; 16]).map_err(|error| format!("no room: {error}"))?;
        match made.get() {
            Ok(all) if all == [3; 16] => Ok(()),
            other => Err(format!("the new one is {other:?}")),
        }
    }
}
