//! See `latchwork::fuzzing::word`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchwork::fuzzing::word(data));
