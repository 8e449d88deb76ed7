//! See `latchwork::fuzzing::arena`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchwork::fuzzing::arena(data));
