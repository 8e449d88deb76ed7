//! Engine 2: shared memory.
