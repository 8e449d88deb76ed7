//! See `latchwork::fuzzing::handle`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchwork::fuzzing::handle(data));
