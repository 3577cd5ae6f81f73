//! Clients of the API that try a request again after 429 or 503, as every client must.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use tokio::time::sleep;

use super::{Scene, random};
use crate::Result;
use crate::client::Api;

/// Maximum number of tries of one request.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(150);

/// A client of the API that sends its token with each request.
pub(crate) struct Caller<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) api: &'a Api,
    pub(crate) token: &'a str,
}

/// A request that a [`Caller`] sends.
pub(crate) struct Call<'a> {
    /// Name under which the request is counted in the report.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) body: Option<Value>,
}

impl<'a> Call<'a> {
    pub(crate) fn get(name: &'static str, path: &'a str) -> Self {
        Self { name, method: Method::GET, path, body: None }
    }

    pub(crate) fn post(name: &'static str, path: &'a str, body: Value) -> Self {
        Self { name, method: Method::POST, path, body: Some(body) }
    }

    pub(crate) fn put(name: &'static str, path: &'a str, body: Value) -> Self {
        Self { name, method: Method::PUT, path, body: Some(body) }
    }

    pub(crate) fn delete(name: &'static str, path: &'a str) -> Self {
        Self { name, method: Method::DELETE, path, body: None }
    }
}

impl Caller<'_> {
    /// Sends a request until the answer is neither 429 nor 503; a POST or PUT has the same idempotency key
    /// each time. Returns the answer's body, or null if an earlier try has already taken effect. If the
    /// request is refused, or all tries get 429 or 503, records a problem and returns `None`.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Option<Value>> {
        let Call { name, method, path, body } = call;
        let key = format!("\"{:016x}\"", random()?);
        let with_key = [("idempotency-key", key.as_str())];
        let is_remembered = method == Method::POST || method == Method::PUT;
        let headers: &[(&str, &str)] = if is_remembered { &with_key } else { &[] };
        for tried in 0..TRIES {
            let started = Instant::now();
            let (status, answer) = self
                .api
                .call_with(method.clone(), path, self.token, headers, body.as_ref())
                .await?;
            self.scene.tally.answered(name, status, started.elapsed());
            match status {
                200..=299 => return Ok(Some(serde_json::from_slice(&answer).unwrap_or_default())),
                429 | 503 => sleep(PAUSE).await,
                404 if tried > 0 && method == Method::DELETE => return Ok(Some(Value::Null)),
                409 if is_issued(&answer) => return Ok(Some(Value::Null)),
                _ => {
                    let answer = String::from_utf8_lossy(&answer);
                    self.scene.tally.complain(format!("{name}: {status}: {answer}"));
                    return Ok(None);
                }
            }
        }
        self.scene.tally.complain(format!("{name}: not answered in {TRIES} tries"));
        Ok(None)
    }
}

/// Whether an answer 409 says that an earlier try of the same request has created the access key. That
/// try's answer, which alone contained the key's token, was lost.
fn is_issued(answer: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    answer["error"]["reason"] == "TOKEN_ALREADY_ISSUED"
}
