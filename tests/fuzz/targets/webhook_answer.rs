//! Fuzzes [`fuzz::webhook_answer`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::webhook_answer(bytes));
