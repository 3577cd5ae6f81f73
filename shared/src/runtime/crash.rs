//! Panics: the request under way is answered with 500, and the process starts anew.
//!
//! Panics do not unwind (`infra/decisions/0037-abort-on-panic-and-link-without-lto.md`), so the panic hook
//! answers the request in progress and replaces the process by a new one. If there is no request, the process
//! ends, and Lambda starts another.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::panic::PanicHookInfo;
use std::process::{Command, abort};
use std::sync::Mutex;

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::{Body, Response};
use lambda_runtime_api_client::{PooledClient, body, build_request};

use crate::platform::log::LogEntry;

/// The response to send if the latest request panics. It is kept even after the request is answered, which
/// does no harm: Lambda refuses a second response to the same request.
static LAST_WORD: Mutex<Option<LastWord>> = Mutex::new(None);

struct LastWord {
    invocation: String,
    answer: Box<dyn FnOnce() -> Response<Body> + Send>,
}

/// Installs the panic hook: a panic of any thread ends this process.
pub(super) fn watch() {
    std::panic::set_hook(Box::new(crash));
}

/// Registers the `answer` to send if `invocation` panics.
pub(super) fn would_answer(
    invocation: String,
    answer: impl FnOnce() -> Response<Body> + Send + 'static,
) {
    if let Ok(mut last_word) = LAST_WORD.lock() {
        *last_word = Some(LastWord { invocation, answer: Box::new(answer) });
    }
}

fn crash(panic: &PanicHookInfo<'_>) {
    // A panic's message may contain anything; its location does not.
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    LogEntry::Panic { at: &at }.log();
    // The response is taken out, so that a panic in this hook finds none. The lock is not waited for, as this
    // very thread may hold it.
    let last_word = LAST_WORD.try_lock().ok().and_then(|mut last_word| last_word.take());
    if let Some(last_word) = last_word
        && last_word.say().is_ok()
    {
        // Returns only if it fails. The process is replaced and not ended, because Lambda might report the
        // end of the process instead of the response.
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
        // In a thread of its own: this one may be inside a Tokio runtime, where no other can be started.
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

/// Replaces this process by a new one of the same program.
fn begin_anew() -> io::Error {
    match std::env::current_exe() {
        Ok(program) => Command::new(program).args(std::env::args_os().skip(1)).exec(),
        Err(error) => error,
    }
}
