//! Time, as the engine has it: what is to happen at an instant, and whose clock says when that is.
//!
//! A sleep with a deadline needs none of this, because whoever waits under one sleeps until then. Alarms are
//! for what nobody sleeps for: a timer, a task that waits, an item that becomes due. They lie in a
//! [`wheel`], one for each [`timeline`]: the machine's, which one thread turns for the whole process, and those that
//! tests drive. On a driven [`clock`] deadlines of sleeps are alarms, too.

mod alarm;
mod armed;
mod clock;
pub(crate) mod machine;
mod timeline;
mod wheel;

pub(crate) use alarm::{Alarm, Ring};
pub(crate) use clock::{Clock, DrivenDeadline, Entered, now, now_if_driven};
pub(crate) use timeline::Timeline;
