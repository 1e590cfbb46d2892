#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| queqiao::fuzzing::read_salvage(data));
