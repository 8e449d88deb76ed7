//! [`default_pool`]: where the work of those goes who are in no pool.

use crate::executor::ThreadPoolExecutor;
use std::sync::OnceLock;

pub(super) fn default_pool() -> &'static ThreadPoolExecutor {
    static POOL: OnceLock<ThreadPoolExecutor> = OnceLock::new();
    POOL.get_or_init(|| {
        ThreadPoolExecutor::builder()
            .thread_name_prefix("parallel")
            .build()
    })
}
