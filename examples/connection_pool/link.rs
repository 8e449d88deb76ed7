//! A connection to the database that counts itself.
//!
//! Keeps: it is counted from before it is opened until after it has been closed, so the count is never too small.

use rusqlite::Connection;
use rusqlite::hooks::{AuthContext, Authorization};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// How many connections are open, and were at most.
#[derive(Default)]
pub struct Open {
    pub now: AtomicUsize,
    pub most: AtomicUsize,
}

/// A connection that counts itself while it is open.
pub struct Link {
    database: Connection,
    /// After the database, so that it is counted until it has been closed.
    _counted: Counted,
}

struct Counted(Arc<Open>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

impl Link {
    pub fn open(path: &Path, open: &Arc<Open>) -> rusqlite::Result<Link> {
        let now = open.now.fetch_add(1, SeqCst) + 1;
        open.most.fetch_max(now, SeqCst);
        let counted = Counted(Arc::clone(open));
        let database = Connection::open(path)?;
        database.busy_timeout(Duration::from_secs(10))?;
        Ok(Link {
            database,
            _counted: counted,
        })
    }

    /// From now on the database answers nothing on it.
    pub fn break_down(&self) {
        let deny = |_: AuthContext<'_>| Authorization::Deny;
        self.database.authorizer(Some(deny));
    }
}

impl Deref for Link {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.database
    }
}
