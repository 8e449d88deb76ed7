//! `ProcessPoolExecutor` through its public API, with real processes.

#![cfg(all(feature = "process", target_os = "linux"))]

mod common;

#[path = "process_pool/calls.rs"]
mod calls;
#[path = "process_pool/death.rs"]
mod death;
#[path = "process_pool/nested.rs"]
mod nested;
#[path = "process_pool/shared.rs"]
mod shared;
#[path = "process_pool/shutdown.rs"]
mod shutdown;
#[path = "process_pool/stage.rs"]
mod stage;
#[path = "process_pool/surroundings.rs"]
mod surroundings;
