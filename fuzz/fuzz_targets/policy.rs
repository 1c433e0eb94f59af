#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| meshguard_differential::fuzz::policy(bytes));
