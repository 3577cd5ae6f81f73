//! What becomes of a function that panics, which is a defect of ours.
//!
//! Nothing unwinds (`infra/decisions/0037-abort-on-panic-and-link-without-lto.md`): the request under way is answered
//! from here, and the process begins anew. Without a request it ends, and Lambda starts another.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::panic::PanicHookInfo;
use std::process::{Command, abort};
use std::sync::Mutex;

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::{Body, Response};
use lambda_runtime_api_client::{PooledClient, body, build_request};

use crate::platform::log::LogEntry;

/// The answer to the request that came last. It is not taken back when that is answered: by then Lambda
/// refuses it.
static LAST_WORD: Mutex<Option<LastWord>> = Mutex::new(None);

struct LastWord {
    invocation: String,
    answer: Box<dyn FnOnce() -> Response<Body> + Send>,
}

/// From here on, a panic of any thread ends this process.
pub(super) fn watch() {
    std::panic::set_hook(Box::new(crash));
}

/// Until the next request, a panic is answered with `answer`: it is `invocation` that waits for it.
pub(super) fn would_answer(
    invocation: String,
    answer: impl FnOnce() -> Response<Body> + Send + 'static,
) {
    if let Ok(mut last_word) = LAST_WORD.lock() {
        *last_word = Some(LastWord { invocation, answer: Box::new(answer) });
    }
}

fn crash(panic: &PanicHookInfo<'_>) {
    // What a panic says may hold anything, where it happened does not.
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    LogEntry::Panic { at: &at }.log();
    // Taken, so that a panic in here finds none; not waited for, as nobody would let go of it.
    let last_word = LAST_WORD.try_lock().ok().and_then(|mut last_word| last_word.take());
    if let Some(last_word) = last_word
        && last_word.say().is_ok()
    {
        // Returns only if that cannot be. Of a process that ends, Lambda may report the end and not the answer.
        let _ = begin_anew();
    }
    abort();
}

impl LastWord {
    fn say(self) -> super::Result {
        let (head, body) = (self.answer)().into_parts();
        let mut response = ApiGatewayV2httpResponse::default();
        response.status_code = head.status.as_u16().into();
        response.headers = head.headers;
        response.body = Some(body);
        let body = body::Body::from(serde_json::to_vec(&response)?);
        let path = format!("/2018-06-01/runtime/invocation/{}/response", self.invocation);
        let request = build_request().method("POST").uri(path).body(body)?;
        // This thread may be in the middle of a runtime, which would have no other.
        let posted = std::thread::spawn(|| -> Result<_, lambda_runtime::Error> {
            let client = PooledClient::builder().build();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(client.call(request))?.status())
        });
        match posted.join() {
            Ok(Ok(status)) if status.is_success() => Ok(()),
            _ => Err("nobody waits for the answer".into()),
        }
    }
}

/// Runs the same program in this process, with nothing of what it had in memory.
fn begin_anew() -> io::Error {
    match std::env::current_exe() {
        Ok(program) => Command::new(program).args(std::env::args_os().skip(1)).exec(),
        Err(error) => error,
    }
}
