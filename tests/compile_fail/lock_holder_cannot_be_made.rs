//! Guards come from taken locks only: nobody can name a holder for a set of free ones.

use latchwork::sync::{ByTask, Lock, LockSet};

fn forge<'a, S: LockSet<'a>>(locks: S) {
    let holder = ByTask { _unforgeable: () };
    let _guards = locks.guards(holder);
}

fn main() {
    let lock = Lock::new(0);
    forge([&lock]);
}
