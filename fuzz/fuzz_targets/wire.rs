//! See `latchwork::fuzzing::wire`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| latchwork::fuzzing::wire(data));
