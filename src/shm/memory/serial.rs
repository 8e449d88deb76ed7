//! Shared memory as part of a message: by its name.
//!
//! Invariant: what is deserialised is the memory that was serialised, or an error; other memory that
//! has got the same name meanwhile has another id. Used through serde.

use super::{Backing, SharedMemory};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::io;

#[derive(Serialize, Deserialize)]
#[serde(rename = "SharedMemory")]
struct Reference {
    name: String,
    len: u64,
    mode: u32,
    /// `None` for memory of other programs.
    id: Option<[u64; 2]>,
}

/// As its name. What was made for one handle, that it is unlinked on drop, or locked in memory, does not travel.
///
/// Anonymous memory is an error: [`send`](SharedMemory::send) it over a socket.
impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Backing::Named(named) = &self.backing else {
            return Err(S::Error::custom(
                "memory without a name is sent over a socket, with `SharedMemory::send`",
            ));
        };
        let reference = Reference {
            name: named.name().shown().to_owned(),
            len: self.len() as u64,
            mode: self.mode,
            id: named.header().map(|header| header.id),
        };
        reference.serialize(serializer)
    }
}

/// Opens it. An error if there is no memory of that name any more, or another's.
///
/// It is opened with the [mode](super::MemoryOptions::mode) that the sender had: whoever sends it says who may
/// write the memory, so take it only from those whom you trust with that.
impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reference = Reference::deserialize(deserializer)?;
        let name = &reference.name;
        opened(&reference).map_err(|error| D::Error::custom(format!("memory `{name}`: {error}")))
    }
}

fn opened(reference: &Reference) -> io::Result<SharedMemory> {
    let options = SharedMemory::options().mode(reference.mode);
    let memory = match reference.id {
        Some(_) => options.open(&reference.name)?,
        None => options.open_foreign(&reference.name)?,
    };
    let id = match &memory.backing {
        Backing::Named(named) => named.header().map(|header| header.id),
        Backing::Anonymous(_) => None,
    };
    if id != reference.id || memory.len() as u64 != reference.len {
        // The memory that was sent is gone, whatever has its name now.
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(memory)
}
