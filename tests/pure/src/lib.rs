//! The pure parts of `shared`, which compile in seconds without the rest: for tools that build them hundreds of times
//! (cargo-mutants) or in another way (cargo-fuzz). The files are those of `shared`.

#![allow(dead_code, reason = "what the rest of shared uses")]

#[path = "../../../shared/src/domain/mod.rs"]
pub mod domain;
#[path = "../../../shared/src/http/mod.rs"]
pub mod http;

#[path = "../../../shared/src/webhook/retry_after.rs"]
pub mod retry_after;

/// Returns the time or delay that the `Retry-After` header of a 429 or 503 answer asks for. Returns `None` for other
/// answers, and if the header is missing or malformed.
#[must_use]
pub fn retry_after<B>(answer: &::http::Response<B>) -> Option<retry_after::RetryAfter> {
    retry_after::RetryAfter::of(answer)
}
