//! Queues between the threads (and tasks) of one process.
//!
//! | you want | take |
//! |---|---|
//! | first in, first out, with a bound | [`Queue::bounded`] |
//! | first in, first out, without one | [`Queue::unbounded`] (Python's `maxsize=0`) |

mod error;
mod fifo;

pub use error::{GetError, PutError};
pub(crate) use fifo::PutRequest;
pub use fifo::{Iter, Queue};
