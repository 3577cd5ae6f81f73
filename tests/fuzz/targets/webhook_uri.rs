//! Fuzzes [`fuzz::webhook_uri`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::webhook_uri(bytes));
