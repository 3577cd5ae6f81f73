//! Tests of functions that panic. The service's own functions should not, so these tests run programs that do so on
//! purpose. `infra/check_runtime.py` runs the same programs in AWS's own Lambda runtime.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sam_local::Options;
use serde_json::{Value, json};
use shared::app::Nothing;
use shared::domain::Error;
use shared::http::{Reply, Request};
use shared::platform::Deadline;
use shared::runtime::{Endpoint, serve, serve_event};

use crate::harness::{Tenure, options};

const SECRET: &str = "what a panic says may hold anything";

/// On the route `GET /block`, never returns; on `GET /allocate`, allocates memory without end. Only the
/// runtime's limits of time and memory end that.
fn misbehave(how: &str) {
    match how {
        "GET /block" => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        "GET /allocate" => {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            loop {
                // Large blocks are not touched by the allocator: many small ones take longer than the timeout.
                kept.push(Vec::with_capacity(64 << 20));
            }
        }
        _ => {}
    }
}

/// Handles a request; panics if its URL holds a token.
async fn handle(_: &'static Nothing, request: Request) -> Result<Reply, Error> {
    misbehave(request.route());
    assert!(!request.has_token_in_url(), "{SECRET}");
    Err(Error::AuthenticationRequired)
}

/// Handles an event; panics if it has no `routeKey`.
async fn handle_event(_: &'static Nothing, event: Value, _: Deadline) -> Result<Value, Error> {
    misbehave(event["routeKey"].as_str().expect(SECRET));
    Ok(event)
}

#[test]
#[ignore = "it is run by the other tests, as a function's program"]
fn request_function() {
    serve(Endpoint::new(handle)).unwrap();
}

#[test]
#[ignore = "it is run by the other tests, as a function's program"]
fn event_function() {
    serve_event(handle_event).unwrap();
}

/// Writes a script that runs the test `test` of this file in place of a function's binary; returns its path.
fn program(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (script, tests) = (directory.join(test), std::env::current_exe().unwrap());
    let run = format!(
        "#!/bin/sh\nexec '{}' --exact panics::{test} --ignored --nocapture\n",
        tests.display()
    );
    std::fs::write(&script, run).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// Returns options for the real functions, except that `binary` is replaced by the test `test` of this file.
fn options_with(binary: &str, test: &str, binaries: &Path) -> Options {
    let options = options();
    for program in std::fs::read_dir(&options.binaries).unwrap().map(Result::unwrap) {
        if program.file_name() != binary {
            std::os::unix::fs::symlink(program.path(), binaries.join(program.file_name())).unwrap();
        }
    }
    std::os::unix::fs::symlink(program(test), binaries.join(binary)).unwrap();
    Options { binaries: binaries.to_owned(), ..options }
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_in_a_request_is_answered_with_500() {
    let binaries = tempfile::tempdir().unwrap();
    let options = options_with("customer_list", "request_function", binaries.path());
    let tenure = Tenure::start_with(options).await;
    for _ in 0..2 {
        let answer = tenure.send(tenure.request("GET", "/v1.0/customers?token=canary")).await;
        assert_eq!(answer.refused(500), "INTERNAL");
        assert_eq!(answer.headers["deprecation"], "@1767225600");
        assert!(!answer.text.contains(SECRET), "{}", answer.text);
        let id = &answer.body["error"]["request_id"];
        let lines = tenure.stack.logs();
        let lines: Vec<Value> =
            lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let said: Vec<_> = lines.iter().filter(|line| line["request_id"] == *id).collect();
        let [failed, request] = said.as_slice() else { panic!("{said:?}") };
        assert_eq!(
            (&failed["message"], &failed["cause"]),
            (&"request failed".into(), &"panic".into())
        );
        assert_eq!((&request["message"], &request["status"]), (&"request".into(), &500.into()));
        let panicked = lines.iter().find(|line| line["message"] == "panic").unwrap();
        assert!(panicked["at"].as_str().unwrap().contains("panics.rs:"), "{panicked}");

        let answer = tenure.send(tenure.request("GET", "/v1.0/customers")).await;
        assert_eq!(answer.refused(401), "AUTHENTICATION_REQUIRED");
    }
    assert!(!tenure.stack.logs().iter().any(|line| line.contains(SECRET)));
    // The process survived, and Lambda saw no failure.
    let function = &tenure.stack.stats()["functions"]["CustomerListFunction"];
    assert_eq!((&function["cold_starts"], &function["errors"]), (&1.into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_in_an_event_fails_the_invocation() {
    let binaries = tempfile::tempdir().unwrap();
    let options = options_with("erasure_replay", "event_function", binaries.path());
    let tenure = Tenure::start_with(options).await;
    let path = "/2015-03-31/functions/ErasureReplayFunction/invocations";
    let answer = tenure.send(tenure.request("POST", path).json(&json!({}))).await;
    assert_eq!(answer.headers["x-amz-function-error"], "Unhandled");
    assert_eq!(answer.body["errorType"], "Runtime.ExitError", "{}", answer.text);
    assert!(!tenure.stack.logs().iter().any(|line| line.contains(SECRET)));
}
