//! A client of the API: adds the token to calls, retries them within bounds, reads lists page by page, and turns error
//! answers into errors.

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use data_encoding::HEXLOWER;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use ureq::http::{Method, Request, Response, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::error::Error;
use crate::profile::Secret;
use crate::show;
use crate::wire::{Envelope, Page, Refusal};

/// Maximum duration of one attempt of a call. It exceeds the 30 seconds after which the gateway gives up.
const TIMEOUT: Duration = Duration::from_secs(40);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of an answer: 16 MiB, several times the largest one of the API.
const MAX_ANSWER: u64 = 16 << 20;
/// Maximum number of retries of a call.
const RETRIES: u32 = 4;
/// Maximum total time that a call waits before its retries.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// Number of rows per page: the API's maximum.
const PAGE: usize = 100;

/// Base URL of an API: `https`, or `http` to this machine only, so that no token crosses a network
/// unencrypted.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Url(String);

impl std::str::FromStr for Url {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let uri: Uri = url.parse().map_err(|_| "is no URL, such as https://api.example.com")?;
        let authority = uri.authority().ok_or("is no URL, such as https://api.example.com")?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err("must have neither user nor query: the token is kept in the profile");
        }
        match (uri.scheme_str(), authority.host()) {
            (Some(scheme @ "https"), _)
            | (Some(scheme @ "http"), "127.0.0.1" | "localhost" | "[::1]") => {
                Ok(Self(format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/'))))
            }
            _ => Err("must begin with https:// (http:// is accepted on this machine only)"),
        }
    }
}

impl TryFrom<String> for Url {
    type Error = &'static str;

    fn try_from(url: String) -> Result<Self, Self::Error> {
        url.parse()
    }
}

impl From<Url> for String {
    fn from(url: Url) -> Self {
        url.0
    }
}

impl Url {
    /// Returns the address as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request to the API, before it is sent.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<String>,
    idempotency_key: Option<String>,
    retries: u32,
}

impl Call {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            idempotency_key: None,
            retries: RETRIES,
        }
    }

    /// Returns a `GET` request for `path`.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Returns a `POST` request to `path`.
    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    /// Returns a `PUT` request to `path`.
    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    /// Returns a `DELETE` request for `path`.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Sets the body.
    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self
    }

    /// Adds an idempotency key to the call, so that it takes effect once, however often it is sent.
    pub(crate) fn idempotent(mut self) -> Result<Self, Error> {
        let mut key = [0; 16];
        SystemRandom::new()
            .fill(&mut key)
            .map_err(|_| Error::Usage("The system gives no random numbers.".to_owned()))?;
        self.idempotency_key = Some(format!("\"{}\"", HEXLOWER.encode(&key)));
        Ok(self)
    }

    /// Switches off retries: the call is sent once.
    pub(crate) const fn once(mut self) -> Self {
        self.retries = 0;
        self
    }

    fn uri(&self, url: &Url) -> String {
        let query = self.query.iter().map(|(name, value)| {
            format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
        });
        let query = query.collect::<Vec<_>>().join("&");
        format!("{}{}{}{query}", url.0, self.path, if query.is_empty() { "" } else { "?" })
    }
}

/// An answer of the API: a JSON document.
#[derive(Debug)]
pub(crate) struct Answer(String);

impl Answer {
    /// Returns the document exactly as the API sent it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Deserializes the document.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        read(&self.0)
    }
}

/// Deserializes a document of the API.
pub(crate) fn read<T: DeserializeOwned>(document: &str) -> Result<T, Error> {
    // The message of serde may quote the answer, which may contain personal data.
    serde_json::from_str(document).map_err(|problem| {
        Error::Unreachable(format!(
            "The answer is not what this version of tenure reads (line {}, column {}).",
            problem.line(),
            problem.column()
        ))
    })
}

/// A failed attempt of a call: the error, and how long to wait before the next attempt. The wait is `None` if a retry
/// is useless.
struct Failure {
    error: Error,
    retry_after: Option<Duration>,
}

/// Limits on the retries of one call: the number of retries left, and the total waiting time left.
struct Patience {
    retries: u32,
    wait: Duration,
}

impl Patience {
    const fn new(retries: u32) -> Self {
        Self { retries, wait: MAX_WAIT }
    }

    /// Whether to retry after `wait`. If so, deducts the retry and its wait from what is left.
    fn allows(&mut self, wait: Duration) -> bool {
        let allowed = self.retries > 0 && wait <= self.wait;
        if allowed {
            self.retries -= 1;
            self.wait -= wait;
        }
        allowed
    }
}

/// Sends calls to one installation.
pub(crate) struct Client {
    agent: Agent,
    url: Url,
    token: Option<Secret>,
}

impl Client {
    /// Returns a client that sends no token.
    pub(crate) fn anonymous(url: Url) -> Self {
        let https = url.0.starts_with("https:");
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("tenure/", env!("CARGO_PKG_VERSION")));
        if https {
            // An error means that an earlier client has installed this provider already.
            let _ = rustls::crypto::ring::default_provider().install_default();
            config = config.tls_config(TlsConfig::builder().root_certs(system_roots()).build());
        } else {
            // No proxy sees what goes to this machine in the clear.
            config = config.proxy(None);
        }
        Self { agent: config.build().into(), url, token: None }
    }

    /// Returns a client that sends this token.
    pub(crate) fn with_token(url: Url, token: Secret) -> Self {
        Self { token: Some(token), ..Self::anonymous(url) }
    }

    /// Sends a call; after status 429 or 503, a timeout or a broken connection, retries it within bounds.
    pub(crate) fn send(&self, call: &Call) -> Result<Answer, Error> {
        let mut patience = Patience::new(call.retries);
        loop {
            let failure = match self.attempt(call) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            match failure.retry_after {
                Some(wait) if patience.allows(wait) => {
                    show::note(&format!(
                        "The API cannot answer now; trying again in {} s.",
                        wait.as_secs()
                    ));
                    thread::sleep(wait);
                }
                _ => return Err(failure.error),
            }
        }
    }

    /// Gets the rows of a list page by page, at most `limit` of them, and passes each page to `show`. Returns
    /// whether the list has more rows.
    pub(crate) fn pages(
        &self,
        path: &str,
        query: &[(&'static str, String)],
        limit: Option<usize>,
        mut show: impl FnMut(&[Box<RawValue>]) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let (mut token, mut left) = (String::new(), limit.unwrap_or(usize::MAX));
        loop {
            let mut call = Call::get(path).query("page_size", left.min(PAGE).to_string());
            call.query.extend(query.iter().cloned());
            if !token.is_empty() {
                call = call.query("page_token", token.as_str());
            }
            let page: Page = self.send(&call)?.read()?;
            let rows = &page.result[..page.result.len().min(left)];
            show(rows)?;
            left -= rows.len();
            if page.next_page_token.is_empty() || left == 0 {
                return Ok(!page.next_page_token.is_empty());
            }
            if page.next_page_token == token {
                return Err(Error::Unreachable(
                    "The list does not end: the API names the same next page again.".to_owned(),
                ));
            }
            token = page.next_page_token;
        }
    }

    fn attempt(&self, call: &Call) -> Result<Answer, Failure> {
        let mut response = self.exchange(call).map_err(|problem| self.no_answer(&problem))?;
        let (status, wait) = (response.status().as_u16(), retry_after(&response));
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let body = body.map_err(|problem| self.no_answer(&problem))?;
        if (200..300).contains(&status) {
            return Ok(Answer(body));
        }
        let retry_after = matches!(status, 429 | 503).then_some(wait);
        Err(Failure { error: refusal(status, &body, &self.url), retry_after })
    }

    fn exchange(&self, call: &Call) -> Result<Response<Body>, ureq::Error> {
        let mut request = Request::builder()
            .method(&call.method)
            .uri(call.uri(&self.url))
            .header("accept", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        if let Some(key) = &call.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        match &call.body {
            Some(body) => self
                .agent
                .run(request.header("content-type", "application/json").body(body.as_str())?),
            None => self.agent.run(request.body(())?),
        }
    }

    fn no_answer(&self, problem: &ureq::Error) -> Failure {
        let may_pass = match problem {
            // A closed port and a certificate that is not trusted stay so for longer than a call is retried.
            ureq::Error::Io(why) => {
                !matches!(why.kind(), ErrorKind::ConnectionRefused | ErrorKind::InvalidData)
            }
            ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => true,
            _ => false,
        };
        Failure {
            error: Error::Unreachable(format!(
                "{} does not answer: {problem}. Check the address and the network.",
                self.url.0
            )),
            retry_after: may_pass.then_some(Duration::from_secs(1)),
        }
    }
}

/// Returns the wait that the header `Retry-After` asks for: at least a second, which is also the default.
fn retry_after(response: &Response<Body>) -> Duration {
    let seconds =
        response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1).max(1))
}

/// Returns the error for an answer with this status.
fn refusal(status: u16, body: &str, url: &Url) -> Error {
    let Ok(Envelope { error }) = serde_json::from_str(body) else {
        return Error::Unreachable(format!(
            "{} answered with status {status}, and not as Tenure does. Check the address, or try again later.",
            url.0
        ));
    };
    classify(status, error)
}

fn classify(status: u16, refusal: Refusal) -> Error {
    match (status, refusal.reason.as_str()) {
        (401, _) => Error::SignedOut(refusal.to_string()),
        (412, _) | (409, "PLAN_OUTDATED") => Error::Changed(refusal),
        (500 | 503, _) => Error::Broken(refusal),
        _ => Error::Refused(refusal),
    }
}

/// Returns the root certificates that the system trusts.
fn system_roots() -> RootCerts {
    let found = rustls_native_certs::load_native_certs().certs;
    found
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect::<Vec<_>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Read as _, Write as _};
    use std::net::TcpListener;

    fn code(status: u16, reason: &str) -> u8 {
        let body = format!(
            r#"{{"error": {{"status": "S", "reason": "{reason}", "message": "M", "request_id": "R"}}}}"#
        );
        refusal(status, &body, &"http://localhost".parse().unwrap()).exit_code()
    }

    #[test]
    fn statuses_have_their_exit_codes() {
        for (status, reason, expected) in [
            (400, "INVALID_ARGUMENT", 1),
            (401, "INVALID_CREDENTIALS", 3),
            (403, "PERMISSION_DENIED", 1),
            (404, "CUSTOMER_NOT_FOUND", 1),
            (409, "LEGAL_HOLD", 1),
            (409, "PLAN_OUTDATED", 4),
            (412, "ETAG_MISMATCH", 4),
            (429, "DELETION_LIMIT", 1),
            (500, "INTERNAL", 5),
            (503, "SERVICE_UNAVAILABLE", 5),
        ] {
            assert_eq!(code(status, reason), expected, "{status} {reason}");
        }
    }

    #[test]
    fn an_answer_of_something_else_is_not_quoted() {
        let error =
            refusal(502, "<html>mail@example.com</html>", &"http://localhost".parse().unwrap());
        assert_eq!(error.exit_code(), 5);
        assert!(!error.to_string().contains("example.com"), "{error}");
    }

    #[test]
    fn retries_end_by_number_and_by_time() {
        let second = Duration::from_secs(1);
        let mut patience = Patience::new(RETRIES);
        assert_eq!((0..10).filter(|_| patience.allows(second)).count(), RETRIES as usize);
        let mut patience = Patience::new(RETRIES);
        assert!(
            !patience.allows(MAX_WAIT + second)
                && patience.allows(MAX_WAIT)
                && !patience.allows(second)
        );
        assert!(!Patience::new(0).allows(second));
    }

    #[test]
    fn tokens_do_not_travel_in_the_clear() {
        for good in [
            "https://api.example.com",
            "https://api.example.com/prod/",
            "http://127.0.0.1:3000",
            "http://localhost:3000/",
        ] {
            assert!(good.parse::<Url>().is_ok(), "{good}");
        }
        for bad in [
            "http://api.example.com",
            "http://127.0.0.1.example.com",
            "api.example.com",
            "https://a:b@c",
            "ftp://c",
            "https://c?token=x",
        ] {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_kept_in_one_form() {
        for (url, kept) in [
            ("HTTPS://api.example.com/prod/", "https://api.example.com/prod"),
            ("https://api.example.com/#part", "https://api.example.com"),
            ("http://[::1]:3000/", "http://[::1]:3000"),
        ] {
            assert_eq!(url.parse::<Url>().unwrap().as_str(), kept);
        }
    }

    #[test]
    fn a_broken_connection_is_retried_and_an_untrusted_certificate_is_not() {
        let client = Client::anonymous("http://localhost".parse().unwrap());
        let is_retried = |kind: ErrorKind| {
            client.no_answer(&ureq::Error::Io(io::Error::from(kind))).retry_after.is_some()
        };
        assert!(is_retried(ErrorKind::ConnectionReset) && is_retried(ErrorKind::UnexpectedEof));
        // rustls reports a certificate as invalid data.
        assert!(!is_retried(ErrorKind::InvalidData) && !is_retried(ErrorKind::ConnectionRefused));
    }

    #[test]
    fn a_redirect_is_an_error_and_its_target_gets_no_request() {
        let [server, target] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [url, location] =
            [&server, &target].map(|listener| format!("http://{}", listener.local_addr().unwrap()));
        let answered = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            write!(stream, "HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        let client = Client::with_token(url.parse().unwrap(), Secret::new("vbs_1".to_owned()));
        let error = client.send(&Call::get("/v1.0/me").once()).unwrap_err();
        answered.join().unwrap();
        assert_eq!(error.exit_code(), 5);
        target.set_nonblocking(true).unwrap();
        assert_eq!(target.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn query_values_are_encoded() {
        let call = Call::get("/v1.0/customers").query("name", "A&b=ü c").query("deleted", "true");
        assert_eq!(
            call.uri(&"http://localhost/".parse().unwrap()),
            "http://localhost/v1.0/customers?name=A%26b%3D%C3%BC%20c&deleted=true"
        );
    }

    #[test]
    fn an_idempotency_key_is_a_quoted_string_of_its_own() {
        let key = || Call::post("/").idempotent().unwrap().idempotency_key.unwrap();
        assert!(key().starts_with('"') && key().len() == 34 && key() != key());
    }
}
