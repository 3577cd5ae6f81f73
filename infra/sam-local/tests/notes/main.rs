//! Runs the template of a small application that stores notes, from end to end: route, table, stream, bus, rule,
//! schedule.

#![cfg(test)]

mod function;
mod http;

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use axum::{Router, routing::get};
use sam_local::{Kept, Options, Stack};
use serde_json::{Value, json};
use tempfile::TempDir;

const DAY: i64 = 24 * 60 * 60;

/// Runs as a process of one of the template's functions; it tests nothing.
#[test]
#[ignore = "run by the stack, as a function's executable"]
fn function_process() {
    function::serve();
}

fn template() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/notes/template.yaml")
}

/// Returns a directory with the functions' executables: scripts that run this very program as a function.
fn binaries() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    for binary in ["add", "publish", "count", "report"] {
        let file = directory.path().join(binary);
        let script = format!(
            "#!/bin/sh\nBINARY={binary} exec '{}' --exact function_process --ignored --nocapture\n",
            program.display()
        );
        std::fs::write(&file, script).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory
}

/// Sends a request without a body to the stack; returns status, header lines and body.
async fn request(
    stack: &Stack,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> http::Answer {
    let (url, method, path) = (stack.url().to_owned(), method.to_owned(), path.to_owned());
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let headers: Vec<_> = headers.iter().map(own).collect();
    let send = move || http::send(&url, &method, &path, &headers, "");
    tokio::task::spawn_blocking(send).await.unwrap()
}

fn count(stack: &Stack) -> Value {
    let items = stack.sinks().items("Notes").unwrap();
    items.iter().find(|item| item["id"]["S"] == "count").map_or(Value::Null, |one| one["n"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_template_runs_from_end_to_end() {
    let binaries = binaries();
    let stack = Stack::start(Options::in_memory(template(), binaries.path())).await.unwrap();
    let mut heard = stack.listen();

    let added = request(&stack, "POST", "/notes/first", &[]).await;
    assert_eq!((added.status, added.body.as_str()), (200, r#"{"noted":"first"}"#));
    assert!(stack.settle().await);
    let events = stack.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["bus"], "notes");
    assert_eq!(events[0]["rules"], json!(["CountFunctionAdded"]));
    assert_eq!(events[0]["event"]["detail"], json!({"id": "first"}));
    assert_eq!(heard.try_recv().unwrap(), events[0]["event"]);
    assert_eq!(count(&stack), json!({"N": "1"}));

    let fired = stack.advance_clock(DAY).await.unwrap();
    assert_eq!(fired["schedules"], json!({"ReportFunctionDaily": {"count": "1"}}));
    assert_eq!(stack.stats()["functions"]["ReportFunction"]["dynamodb"]["calls"]["GetItem"], 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_without_a_policy_is_refused_by_the_table() {
    let binaries = binaries();
    let stack = Stack::start(Options::in_memory(template(), binaries.path())).await.unwrap();
    let answer = request(&stack, "GET", "/forbidden", &[]).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"count":null}"#));
    let refused = &stack.sinks().permissions()["refused"];
    assert_eq!(refused[0]["function"], "ForbiddenFunction");
    assert_eq!(refused[0]["action"], "dynamodb:GetItem");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_by_the_gateway() {
    let binaries = binaries();
    let stack = Stack::start(Options::in_memory(template(), binaries.path())).await.unwrap();
    let origin = ("origin", "https://notes.example");
    let asks = ("access-control-request-method", "POST");
    let answer = request(&stack, "OPTIONS", "/notes/first", &[origin, asks]).await;
    assert_eq!(answer.status, 204);
    assert!(answer.has_header("access-control-allow-origin: https://notes.example"));
    assert!(answer.has_header("access-control-allow-headers: content-type"));
    let answer = request(&stack, "POST", "/notes/first", &[origin]).await;
    assert!(answer.has_header("access-control-allow-origin: https://notes.example"));
    assert_eq!(stack.stats()["functions"]["AddFunction"]["invocations"], 1, "of the POST");
    stack.stop().await;
}

/// In DNS rebinding, a page's own host name is pointed to this machine, so that the browser takes the stack for the
/// page's own origin.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_refused_under_another_host_name() {
    let binaries = binaries();
    let mut options = Options::in_memory(template(), binaries.path());
    options.routes = Router::new().route("/docs", get(async || "documentation"));
    let stack = Stack::start(options).await.unwrap();
    let port = stack.url().rsplit(':').next().unwrap();
    let database = stack.database_url();
    let status = async |url: &str, method: &str, path: &str, host: &str| {
        let (url, method, path) = (url.to_owned(), method.to_owned(), path.to_owned());
        let headers = vec![("host".to_owned(), host.to_owned())];
        let send = move || http::send(&url, &method, &path, &headers, "").status;
        tokio::task::spawn_blocking(send).await.unwrap()
    };
    for (url, method, path) in [
        (stack.url(), "POST", "/notes/first"),
        (stack.url(), "GET", "/nowhere"),
        (stack.url(), "GET", "/docs"),
        (stack.url(), "GET", "/_local/stats"),
        (stack.url(), "GET", "/_local/nothing"),
        (database, "GET", "/"),
        (database, "GET", "/nothing"),
    ] {
        for host in ["attacker.example", "127.0.0.1.attacker.example", "10.0.0.1", "localhost."] {
            let host = format!("{host}:{port}");
            assert_eq!(status(url, method, path, &host).await, 403, "{method} {path} at {host}");
        }
        assert_eq!(status(url, method, path, "a b").await, 400, "{method} {path}");
    }
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"] {
        let host = format!("{host}:{port}");
        assert_eq!(status(stack.url(), "GET", "/docs", &host).await, 200, "{host}");
        assert_eq!(status(stack.url(), "POST", "/notes/first", &host).await, 200, "{host}");
    }
    stack.stop().await;
}

/// The stack's own pages are those that a function or the stack itself answers with, under any loopback name.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_stack_move_its_clock_and_nothing_else() {
    let binaries = binaries();
    let stack = Stack::start(Options::in_memory(template(), binaries.path())).await.unwrap();
    let port = stack.url().rsplit(':').next().unwrap();
    let status = async |method: &str, path: &str, host: &str, origin: &str| {
        let host = format!("{host}:{port}");
        let headers = [("host", host.as_str()), ("origin", origin)];
        request(&stack, method, path, &headers).await.status
    };
    for host in ["127.0.0.1", "localhost"] {
        let own = format!("http://{host}:{port}");
        assert_eq!(status("GET", "/_local/clock", host, &own).await, 200, "{host}");
        // The request is admitted: it fails only because it has no body.
        assert_eq!(status("POST", "/_local/clock", host, &own).await, 400, "{host}");
        assert_eq!(status("GET", "/_local/mail", host, &own).await, 403, "{host}");
        assert_eq!(status("POST", "/_local/faults", host, &own).await, 403, "{host}");
    }
    for origin in [
        "null",
        "https://attacker.example",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        &format!("https://127.0.0.1:{port}"),
        &format!("http://localhost:{port}"),
        &format!("http://127.0.0.1:{port}.attacker.example"),
    ] {
        assert_eq!(status("POST", "/_local/clock", "127.0.0.1", origin).await, 403, "{origin}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_json_for_programs_and_a_page_for_people() {
    let binaries = binaries();
    let stack = Stack::start(Options::in_memory(template(), binaries.path())).await.unwrap();
    let json = request(&stack, "GET", "/_local/clock", &[]).await;
    assert!(json.body.starts_with("{\"now\":"), "{}", json.body);
    let page = request(&stack, "GET", "/_local/clock", &[("accept", "text/html,*/*")]).await;
    assert!(page.body.contains("+30 days"), "{}", page.body);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self'") && policy.contains("connect-src 'self'"));
    let script = request(&stack, "GET", "/_local/clock.js", &[]).await;
    assert!(script.has_header("content-type: text/javascript; charset=utf-8"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_to_show_is_bounded() {
    let binaries = binaries();
    let kept = Kept { events: 2, log_lines: 3, ..Kept::ALL };
    let options = Options { kept, ..Options::in_memory(template(), binaries.path()) };
    let stack = Stack::start(options).await.unwrap();
    for note in ["first", "second", "third"] {
        assert_eq!(request(&stack, "POST", &format!("/notes/{note}"), &[]).await.status, 200);
        assert!(stack.settle().await);
    }
    let ids: Vec<_> =
        stack.events().iter().map(|seen| seen["event"]["detail"]["id"].clone()).collect();
    assert_eq!(ids, ["second", "third"]);
    assert_eq!(stack.logs().len(), 3);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_violates_its_pattern_stops_the_start() {
    let binaries = binaries();
    let mut options = Options::in_memory(template(), binaries.path());
    options.parameters = [("Greeting".to_owned(), "Noted".to_owned())].into();
    let error = Stack::start(options).await.err().expect("a refusal").to_string();
    assert_eq!(
        error,
        "template.yaml: the parameter Greeting must match [a-z]+, and \"Noted\" does not"
    );
}
