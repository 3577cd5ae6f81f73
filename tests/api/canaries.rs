//! Search for leaks. When a test's stack is dropped, its log, errors, response headers, events, dead letters
//! and outbox are searched for tokens, passwords and personal data.
//!
//! A *canary* is a text that must not appear there: any text that a test sends in a body or as a credential,
//! and any token or ticket that it receives, unless the text is too short or too common to be recognised.
//! Canaries are searched for in upper and lower case, hexadecimal, base 64, percent encoding and JSON
//! escapes.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use data_encoding::{BASE64_NOPAD, HEXLOWER};
use http::Request;
use sam_local::Sinks;
use serde_json::{Value, json};

use crate::harness::{Answer, Tenure, new_customer, options, quick, ticket_of};

/// Fields whose values are not canaries: constants of the API, and the names of participants, which appear in
/// events.
const OWN_WORDS: [&str; 4] = ["confirmation_phrase", "participant", "status", "webhook_method"];

/// Fields of responses whose values are secrets, and therefore canaries.
const SECRETS: [&str; 2] = ["token", "webhook_secret"];

/// Number of characters of a canary that are searched for, from its beginning. In a token, this part contains
/// enough of the secret for the token to be recognised.
const LONGEST: usize = 48;

/// The canaries of a stack, and the output in which they must not appear.
pub(crate) struct Canaries {
    sinks: Sinks,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    canaries: BTreeSet<String>,
    /// Bodies of error responses, and the headers of all responses. A `Link` header that holds a ticket is
    /// left out.
    said: Vec<String>,
    request_ids: HashSet<String>,
}

impl Canaries {
    pub(crate) fn new(sinks: Sinks) -> Self {
        Self { sinks, seen: Mutex::default() }
    }

    /// Collects canaries from a request.
    pub(crate) fn sent(&self, request: &Request<Vec<u8>>) {
        let mut texts = Vec::new();
        for value in request.headers().get_all("authorization") {
            let value = String::from_utf8_lossy(value.as_bytes());
            texts.push(value.split_once(' ').map_or(&*value, |(_, token)| token).to_owned());
        }
        let query = request.uri().query().unwrap_or_default();
        let query = url::form_urlencoded::parse(query.as_bytes());
        let credentials = query.filter(|(name, _)| name == "token" || name == "accesskey");
        texts.extend(credentials.map(|(_, value)| value.into_owned()));
        // Requests to the stack's control endpoints hold no secrets of clients.
        let is_clients = !request.uri().path().starts_with("/_local/");
        if let Ok(body) = serde_json::from_slice(request.body())
            && is_clients
        {
            collect(&body, &mut texts);
        }
        let canaries = texts.into_iter().filter(|text| is_recognisable(text)).map(beginning);
        self.seen.lock().unwrap().canaries.extend(canaries);
    }

    /// Collects canaries and output from a response.
    pub(crate) fn answered(&self, answer: &Answer) {
        let mut seen = self.seen.lock().unwrap();
        let secrets = SECRETS.iter().filter_map(|name| answer.body[name].as_str());
        // The project account has no webhook secret.
        let secrets = secrets.filter(|secret| !secret.is_empty());
        seen.canaries.extend(secrets.map(|secret| beginning(secret.to_owned())));
        let mut headers = answer.headers.clone();
        if let Some(ticket) = ticket_of(&headers) {
            seen.canaries.insert(ticket);
            headers.remove("link");
        }
        seen.said.push(format!("{headers:?}"));
        if answer.status >= 400 {
            seen.said.push(answer.text.clone());
        }
        let id = answer.headers.get("x-request-id").and_then(|id| id.to_str().ok());
        seen.request_ids.extend(id.map(str::to_owned));
    }

    /// Returns all output of the stack, by where it goes: log, responses, events, dead letters, outbox.
    fn sinks(&self) -> [(&'static str, Vec<String>); 5] {
        let texts = |values: Vec<Value>| values.iter().map(Value::to_string).collect();
        let mut outbox = self.sinks.items("OutboxTable").expect("the outbox can be read");
        outbox.iter_mut().for_each(break_seal);
        [
            ("the log", self.all_logs()),
            ("an answer", self.seen.lock().unwrap().said.clone()),
            ("an event", texts(own_events(self.sinks.events()))),
            ("a dead letter", texts(self.sinks.dead_letters())),
            ("the outbox", texts(outbox)),
        ]
    }

    /// Returns the log once it has a line for every request, or after two seconds: a function logs before it
    /// responds, but the stack may read the line later.
    fn all_logs(&self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            let lines = self.sinks.logs();
            let logged: HashSet<String> =
                lines.iter().filter_map(|line| request_id(line)).collect();
            let complete = self.seen.lock().unwrap().request_ids.is_subset(&logged);
            if complete || Instant::now() > deadline {
                return lines;
            }
            std::thread::yield_now();
        }
    }

    /// Returns a description of every leak.
    fn leaks(&self) -> Vec<String> {
        let needles = Needles::new(&self.seen.lock().unwrap().canaries);
        let mut leaks = Vec::new();
        for (name, texts) in self.sinks() {
            for text in texts {
                leaks.extend(
                    needles.found_in(&text).map(|canary| format!("{canary:?} in {name}: {text}")),
                );
            }
        }
        leaks
    }
}

/// Removes events that AWS itself emits: an SES event about a bounce includes the e-mail address.
fn own_events(mut events: Vec<Value>) -> Vec<Value> {
    events.retain(|seen| seen["event"]["source"] != "aws.ses");
    events
}

/// Removes from an outbox item the attributes that may hold secrets or personal data for up to a day: the
/// webhook URI and secrets of a deleted account (tested in `webhooks.rs`), the addresses that mail goes to,
/// and the fields of a sign-up (tested in `signup.rs`).
pub(crate) fn break_seal(event: &mut Value) {
    for name in ["farewell_uri", "farewell_secrets", "mail_to", "sign_up", "email"] {
        event.as_object_mut().expect("an item").remove(name);
    }
}

impl Drop for Canaries {
    fn drop(&mut self) {
        // A test that has failed already reports its own error.
        if !std::thread::panicking() {
            let leaks = self.leaks();
            assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
        }
    }
}

fn request_id(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    line["request_id"].as_str().map(str::to_owned)
}

/// Adds every string in `value` to `texts`, except the values of the fields [`OWN_WORDS`].
fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(fields) => {
            let sent = fields.iter().filter(|(name, _)| !OWN_WORDS.contains(&name.as_str()));
            sent.for_each(|(_, value)| collect(value, texts));
        }
        _ => {}
    }
}

/// Whether `text` is so long or unusual that its occurrence in the output can only be a leak.
fn is_recognisable(text: &str) -> bool {
    let length = text.chars().count();
    let plain_word =
        length < 12 && text.trim_end_matches([':', '/']).chars().all(char::is_alphabetic);
    let plain_number = length < 9 && text.chars().all(|c| c.is_ascii_digit() || c == '-');
    let known_anyway =
        text.parse::<uuid::Uuid>().is_ok() || text.parse::<jiff::Timestamp>().is_ok();
    length >= 5 && !plain_word && !plain_number && !known_anyway
}

/// Returns the part of a canary that is searched for: its first [`LONGEST`] characters.
fn beginning(text: String) -> String {
    text.chars().take(LONGEST).collect()
}

/// Whether `canary` occurs in `text`, plain or in any of the encodings that the search knows.
pub(crate) fn shows(canary: &str, text: &str) -> bool {
    Needles::new(&[canary.to_owned()].into()).found_in(text).next().is_some()
}

/// A set of canaries, prepared for the search in all encodings.
struct Needles {
    /// Plain text and hexadecimal, in lower case: these are searched for without regard to case.
    folded: Forms,
    /// Base 64, which is searched for with regard to case.
    exact: Forms,
}

struct Forms {
    canaries: Vec<String>,
    search: AhoCorasick,
}

impl Needles {
    fn new(canaries: &BTreeSet<String>) -> Self {
        let folded = |canary: &str| {
            let hex = HEXLOWER.encode(canary.as_bytes());
            vec![canary.to_lowercase(), hex]
        };
        Self { folded: Forms::new(canaries, folded), exact: Forms::new(canaries, base64) }
    }

    fn found_in(&self, text: &str) -> impl Iterator<Item = String> {
        let mut found = BTreeSet::new();
        for view in [text.to_owned(), unescaped(text)] {
            let decoded =
                percent_encoding::percent_decode_str(&view).decode_utf8_lossy().replace('+', " ");
            self.exact.add_found(&view.replace('-', "+").replace('_', "/"), &mut found);
            self.folded.add_found(&view.to_lowercase(), &mut found);
            self.folded.add_found(&decoded.to_lowercase(), &mut found);
        }
        found.into_iter()
    }
}

impl Forms {
    fn new(canaries: &BTreeSet<String>, forms: impl Fn(&str) -> Vec<String>) -> Self {
        let all = canaries
            .iter()
            .flat_map(|canary| forms(canary).into_iter().map(move |form| (form, canary.clone())));
        let (forms, canaries): (Vec<String>, Vec<String>) = all.unzip();
        Self { canaries, search: AhoCorasick::new(forms).expect("a search for canaries") }
    }

    fn add_found(&self, text: &str, found: &mut BTreeSet<String>) {
        let matches = self.search.find_iter(text);
        found.extend(matches.map(|hit| self.canaries[hit.pattern().as_usize()].clone()));
    }
}

/// Returns the forms that `canary` can have if a text that contains it is encoded in base 64. The form
/// depends on the position in the text modulo three, so there are three; each leaves out the characters that
/// depend on neighbouring bytes.
fn base64(canary: &str) -> Vec<String> {
    let at = |shift: usize| {
        let bytes = [&[0; 2][..shift], canary.as_bytes()].concat();
        let encoded = BASE64_NOPAD.encode(&bytes);
        let whole = bytes.len() * 8 / 6;
        encoded.get([0, 2, 3][shift]..whole).unwrap_or_default().to_owned()
    };
    (0..3).map(at).filter(|form| form.len() >= 8).collect()
}

/// Returns all strings of a JSON text, unescaped, one per line; and those of JSON texts inside its strings.
fn unescaped(text: &str) -> String {
    fn push(value: &Value, into: &mut String) {
        match value {
            Value::String(text) => {
                let _ = writeln!(into, "{text}");
                if let Ok(inner @ (Value::Array(_) | Value::Object(_))) = serde_json::from_str(text)
                {
                    push(&inner, into);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| push(value, into)),
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                let _ = writeln!(into, "{name}");
                push(value, into);
            }),
            _ => {}
        }
    }
    let mut texts = String::new();
    if let Ok(value) = serde_json::from_str(text) {
        push(&value, &mut texts);
    }
    texts
}

#[test]
fn canary_is_found_in_every_encoding() {
    let canary = "Zoë \"Q\" <zoe@example.com>";
    let needles = Needles::new(&BTreeSet::from([canary.to_owned()]));
    let found = |text: &str| needles.found_in(text).next().is_some();
    let nested = json!({"cause": json!({"email": canary}).to_string()}).to_string();
    let escaped = r#"{"a":"Zo\u00eb \"Q\" \u003czoe@example.com>"}"#;
    let percent: String =
        canary.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02x}"));
    let form: String = url::form_urlencoded::byte_serialize(canary.as_bytes()).collect();
    for text in [canary, &canary.to_uppercase(), &nested, escaped, &percent, &form] {
        assert!(found(&format!("x{text}y")) || found(text), "{text}");
    }
    assert!(found(&HEXLOWER.encode(canary.as_bytes()).to_uppercase()));
    for around in ["", "a", "ab", "abc"] {
        let encoded = BASE64_NOPAD.encode(format!("{around}{canary}{around}").as_bytes());
        assert!(found(&encoded), "{encoded}");
        assert!(found(&encoded.replace('+', "-").replace('/', "_")), "{encoded}");
    }
    assert!(!found("Zoë") && !found(r#"{"status":"PERMISSION_DENIED"}"#));
}

/// Sends canaries to every route: in every field and parameter, and in malformed bodies. The assertion is the
/// search for leaks when the stack is dropped.
#[tokio::test(flavor = "multi_thread")]
async fn input_is_never_echoed_into_logs_events_or_errors() {
    let tenure = Tenure::start_with(quick(options())).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "canary-1").await;
    let key = tenure.access_key(&account.token).await;
    let good = new_customer("canary-2");
    let mut bodies = vec![json!({"expire": 86_400, "canary-name": "canary-value"})];
    for (name, value) in good.as_object().unwrap() {
        for odd in [json!([value]), json!({"canary-key-1": value}), json!(format!("{value}\u{0}"))]
        {
            bodies.push(json!({ name: odd }));
        }
    }
    let broken = [
        good.to_string().replace('}', ""),
        format!("{good}{good}"),
        good.to_string().replace("\"name\"", "name"),
        good.to_string().replacen(r#"":""#, r#"":"\ud800"#, 1),
    ];
    let routes: Vec<String> = tenure.stack.routes().to_vec();
    for route in &routes {
        let (method, path) = route.split_once(' ').unwrap_or(("GET", "/canary-path-1"));
        let path = path.replace("{id}", "canary-path-id").replace("{kind}", "numbers");
        let path = path.replace("{ticket}", "canary-path-ticket");
        for token in [&admin, &account.token, &key] {
            let in_query = format!("{path}?token={token}&canary=canary-query-1");
            tenure.send(tenure.request(method, &in_query)).await;
            tenure.call(&format!("{token}x"), method, &path).await;
            tenure.call(&token.to_uppercase(), method, &path).await;
        }
        for body in &bodies {
            tenure.call_with(&admin, method, &path, body.clone()).await;
        }
        for body in &broken {
            for content_type in ["application/json", "text/plain"] {
                let call = tenure.request(method, &path).bearer(&admin);
                let call =
                    call.header("content-type", content_type).header("user-agent", "canary-agent");
                tenure
                    .send(call.header("x-request-id", "canary request").body(body.as_bytes()))
                    .await;
            }
        }
    }
    assert!(tenure.stack.settle().await);
}
