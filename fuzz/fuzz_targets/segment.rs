//! See `latchwork::fuzzing::segment`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchwork::fuzzing::segment(data));
