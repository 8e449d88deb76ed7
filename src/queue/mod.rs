//! Queues between the threads (and tasks) of one process.
//!
//! | you want | take |
//! |---|---|
//! | first in, first out, with a bound | [`Queue::bounded`] |
//! | first in, first out, without one | [`Queue::unbounded`] (Python's `maxsize=0`) |
//! | the same with a put that takes no lock, and nothing else | [`SimpleQueue`] |

mod error;
mod fifo;
mod simple;

pub use error::{GetError, PutError};
pub use fifo::{Iter, Queue};
pub use simple::{SimpleQueue, SimpleTryIter};
