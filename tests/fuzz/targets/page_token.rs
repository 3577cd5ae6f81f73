//! Fuzzes [`fuzz::page_token`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::page_token(bytes));
