//! The only place that names `std::sync::atomic`, the futex, loom and the clock.
