//! Tests of the webhook sender against receivers of every kind, all on loopback. A [`Script`] says to which
//! addresses a name resolves, and which listener stands for a public address.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::Sender;
use super::network::Network;
use super::retry_after::RetryAfter;
use super::send::{Attempt, MAX_BYTES, bounded, client_config, exchange, request};
use crate::domain::value::{FromText as _, WebhookMethod, WebhookUri};
use crate::domain::webhook_target::{Loopback, TargetPolicy};
use crate::domain::{DeliveryResult, public_address::is_public};

const PUBLIC: &str = "93.184.216.34";
const HOSTILE: &str = include_str!("../../../tests/data/webhook_uris_hostile.json");
const GOOD: &str = include_str!("../../../tests/data/webhook_uris_good.json");

/// A scripted network. Each look-up of a name returns the next of `answers` (the last one again and again),
/// and a connection to an address goes to its listener.
#[derive(Debug, Default)]
pub(super) struct Script {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    listeners: BTreeMap<IpAddr, SocketAddr>,
    asked: AtomicUsize,
    connected: Mutex<Vec<SocketAddr>>,
}

impl Script {
    pub(super) fn resolve(&self, _: &str) -> Vec<IpAddr> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.answers.lock().unwrap();
        let more = answers.len() > 1;
        if more { answers.pop_front() } else { answers.front().cloned() }.unwrap_or_default()
    }

    pub(super) fn connect(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        self.connected.lock().unwrap().push(address);
        let listener = self.listeners.get(&address.ip()).copied();
        listener.ok_or(io::ErrorKind::ConnectionRefused.into())
    }

    fn connected(&self) -> Vec<String> {
        self.connected.lock().unwrap().iter().map(ToString::to_string).collect()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Certificate authority that issues the receivers' certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Returns the TLS acceptor of a receiver with a certificate for `name`.
    fn acceptor(&self, name: &str) -> TlsAcceptor {
        self.acceptor_with(CertificateParams::new([name.to_owned()]).unwrap())
    }

    fn acceptor_with(&self, params: CertificateParams) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        acceptor(certificate.der().clone(), &key)
    }

    /// Returns a sender that trusts this authority.
    fn sender(&self, script: &Arc<Script>) -> Sender {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Sender {
            network: Network::Scripted(Arc::clone(script)),
            targets: TargetPolicy::default(),
            tls: OnceLock::from(Arc::new(client_config(roots).unwrap())),
        }
    }
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A receiver of webhooks: its address on loopback, the requests that it received, and the number of its
/// connections.
#[derive(Clone)]
struct Receiver {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Starts a receiver that calls `answer` to respond to each request.
    async fn start<F, Answered>(tls: Option<TlsAcceptor>, answer: F) -> Self
    where
        F: Fn(Box<dyn Io>) -> Answered + Send + Sync + 'static,
        Answered: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (own, answer) = (receiver.clone(), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                own.connections.fetch_add(1, Ordering::Relaxed);
                let (own, answer, tls) = (own.clone(), Arc::clone(&answer), tls.clone());
                tokio::spawn(async move {
                    let mut stream: Box<dyn Io> = match tls {
                        None => Box::new(stream),
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                    };
                    let request = read_request(&mut stream).await;
                    own.requests.lock().unwrap().push(request);
                    answer(stream).await;
                });
            }
        });
        receiver
    }

    /// Starts a receiver that responds to every request with these bytes and closes the connection.
    async fn answering(tls: Option<TlsAcceptor>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(tls, move |mut stream| {
            let bytes = bytes.clone();
            async move {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn request(&self) -> String {
        self.requests.lock().unwrap().last().unwrap().clone()
    }
}

/// Reads a request as it was sent: head and body.
async fn read_request(stream: &mut Box<dyn Io>) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text.into_owned();
            }
        }
        // A handshake where none is expected; it has no end to wait for.
        let is_handshake = bytes.first() == Some(&22);
        if is_handshake || stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
    }
}

fn addresses(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|address| address.parse().unwrap()).collect()
}

/// Returns a script in which successive look-ups of a name return `answers`, and every public address among
/// them leads to `listener`.
fn script(answers: &[&[&str]], listener: SocketAddr) -> Arc<Script> {
    let answers: VecDeque<_> = answers.iter().map(|list| addresses(list)).collect();
    let all = answers.iter().flatten().filter(|address| is_public(**address));
    let listeners = all.map(|address| (*address, listener)).collect();
    Arc::new(Script { answers: Mutex::new(answers), listeners, ..Script::default() })
}

fn uri(text: &str) -> WebhookUri {
    WebhookUri::from_text(text).unwrap()
}

async fn post(sender: &Sender, to: &str) -> &'static str {
    sender.send(WebhookMethod::Post, &uri(to), &[], "{}").await.result.name()
}

/// Sends one request over TLS to `https://hook.example/`, which leads to `receiver`; returns its result.
async fn result_over_tls(authority: &Authority, receiver: &Receiver) -> &'static str {
    let script = script(&[&[PUBLIC]], receiver.address);
    post(&authority.sender(&script), "https://hook.example/").await
}

/// Sends one request without TLS to a receiver on loopback, as on the local stack; returns its result.
async fn local_result(receiver: &Receiver) -> &'static str {
    post(&local(&[]), &format!("http://{}/", receiver.address)).await
}

fn local(hosts: &[(&str, &[&str])]) -> Sender {
    let hosts = hosts.iter().map(|(name, list)| ((*name).to_owned(), addresses(list)));
    Sender {
        network: Network::Local(hosts.collect()),
        targets: TargetPolicy::new(Loopback::Allowed, []),
        tls: OnceLock::new(),
    }
}

/// Starts a receiver that must never get a connection: tests check that it got none.
async fn canary() -> Receiver {
    Receiver::answering(None, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
}

#[tokio::test]
async fn result_is_the_status_class() {
    let authority = Authority::new();
    for (status, expected) in [
        (200, "delivered"),
        (204, "delivered"),
        (299, "delivered"),
        (300, "3xx"),
        (304, "3xx"),
        (400, "4xx"),
        (401, "4xx"),
        (404, "4xx"),
        (410, "gone"),
        (429, "4xx"),
        (500, "5xx"),
        (503, "5xx"),
        (600, "protocol"),
        (101, "protocol"),
    ] {
        let answer = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n");
        let tls = authority.acceptor("hook.example");
        let receiver = Receiver::answering(Some(tls), answer).await;
        assert_eq!(result_over_tls(&authority, &receiver).await, expected, "{status}");
    }
}

#[tokio::test]
async fn request_has_the_message_and_nothing_that_identifies_the_sender() {
    let authority = Authority::new();
    let tls = authority.acceptor("hook.example");
    let receiver = Receiver::answering(Some(tls), "HTTP/1.1 200 OK\r\n\r\n").await;
    let script = script(&[&[PUBLIC]], receiver.address);
    let sender = authority.sender(&script);
    let to = uri("https://Hook.Example:443/a/../b?c=d");
    let headers = [("webhook-id", "msg_1".to_owned()), ("content-type", "application/json".into())];

    let sent = sender.send(WebhookMethod::Put, &to, &headers, r#"{"a":1}"#).await;
    assert_eq!(sent.result, DeliveryResult::Delivered);
    let request = receiver.request().to_ascii_lowercase();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let (line, rest) = head.split_once("\r\n").unwrap();
    assert_eq!(line, "put /b?c=d http/1.1");
    let mut headers: Vec<_> = rest.split("\r\n").collect();
    headers.sort_unstable();
    let agent = format!("user-agent: tenure-webhook/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        headers,
        [
            "connection: close",
            "content-length: 7",
            "content-type: application/json",
            "host: hook.example",
            &agent,
            "webhook-id: msg_1",
        ]
    );
    assert_eq!(body, r#"{"a":1}"#);

    let sent = sender.send(WebhookMethod::Get, &to, &[], "").await;
    assert_eq!(sent.result, DeliveryResult::Delivered);
    let request = receiver.request().to_ascii_lowercase();
    assert!(request.starts_with("get /b?c=d http/1.1\r\n"), "{request}");
    assert!(!request.contains("content-length") && request.ends_with("\r\n\r\n"), "{request}");
    assert_eq!(receiver.connections(), 2, "no connection is used twice");
    assert_eq!(script.connected(), [format!("{PUBLIC}:443"), format!("{PUBLIC}:443")]);
}

#[tokio::test]
async fn requests_that_http_cannot_carry_are_blocked() {
    let authority = Authority::new();
    let canary = canary().await;
    let script = script(&[&[PUBLIC]], canary.address);
    let sender = authority.sender(&script);
    let to = uri("https://hook.example/");
    let line = [("webhook-id", "a\r\nhost: b".to_owned())];
    for sent in [
        sender.send(WebhookMethod::Post, &to, &line, "").await,
        sender.send(WebhookMethod::None, &to, &[], "").await,
    ] {
        assert_eq!(sent, DeliveryResult::Blocked.into());
    }
    assert_eq!((script.asked(), canary.connections()), (0, 0));
}

#[test]
fn every_accepted_uri_makes_a_request() {
    for text in serde_json::from_str::<Vec<String>>(GOOD).unwrap() {
        let target = uri(&text).target(&TargetPolicy::default()).unwrap();
        let request = request(WebhookMethod::Post, &target, &[], "{}").expect(&text);
        assert_eq!(request.uri(), target.path(), "{text}");
    }
}

/// URIs like these may be stored: they were set before the rules existed, or written directly to the table.
#[tokio::test]
async fn hostile_uris_are_blocked_before_dns_is_asked() {
    let authority = Authority::new();
    let canary = canary().await;
    let mut script = Script::default();
    script.answers.lock().unwrap().push_back(addresses(&["127.0.0.1"]));
    for address in ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "0.0.0.0", PUBLIC] {
        script.listeners.insert(address.parse().unwrap(), canary.address);
    }
    let script = Arc::new(script);
    let sender = authority.sender(&script);
    let mut hostile: Vec<String> = serde_json::from_str(HOSTILE).unwrap();
    assert!(hostile.len() >= 300);
    hostile.push(format!("http://{}/", canary.address));
    hostile.push(format!("https://{}/", canary.address));
    hostile.push(String::new());
    for text in hostile {
        let sent =
            sender.send(WebhookMethod::Post, &WebhookUri::trusted(text.clone()), &[], "{}").await;
        assert_eq!(sent, DeliveryResult::Blocked.into(), "{text:?}");
    }
    assert_eq!(script.asked(), 0);
    assert_eq!(script.connected(), [""; 0]);
    assert_eq!(canary.connections(), 0);
}

/// URIs like these may be stored: they were set when the API had another host name, or written directly to
/// the table.
#[tokio::test]
async fn the_apis_own_hosts_are_blocked_before_dns_is_asked() {
    let authority = Authority::new();
    let receiver =
        Receiver::answering(Some(authority.acceptor("hook.example")), "HTTP/1.1 200 OK\r\n\r\n");
    let script = script(&[&[PUBLIC]], receiver.await.address);
    let own = ["API.Example.com", "a1.execute-api.us-east-1.amazonaws.com"].map(str::to_owned);
    let targets = TargetPolicy::new(Loopback::Refused, own);
    let sender = Sender { targets, ..authority.sender(&script) };
    for own in [
        "https://api.example.com/v1.0/customer/webhook_test",
        "https://API.example.com:443/",
        "https://a1.execute-api.us-east-1.amazonaws.com/",
    ] {
        assert_eq!(post(&sender, own).await, "blocked", "{own}");
    }
    assert_eq!((script.asked(), script.connected()), (0, Vec::new()));
    assert_eq!(post(&sender, "https://hook.example/").await, "delivered");
}

#[tokio::test]
async fn one_address_that_is_not_public_blocks_the_name() {
    let authority = Authority::new();
    let canary = canary().await;
    let answers: [&[&str]; 14] = [
        &["10.0.0.1"],
        &["127.0.0.1"],
        &["169.254.169.254"],
        &[PUBLIC, "10.0.0.1"],
        &["10.0.0.1", PUBLIC],
        &[PUBLIC, "8.8.8.8", "1.1.1.1", "9.9.9.9", "127.0.0.1"],
        &["2606:4700::1", "fd00::1"],
        &[PUBLIC, "::1"],
        &["fe80::1"],
        &["::ffff:8.8.8.8"],
        &["64:ff9b::808:808"],
        &["2002:7f00:1::"],
        &[PUBLIC, "0.0.0.0"],
        &["100.64.0.1"],
    ];
    for answer in answers {
        let script = script(&[answer], canary.address);
        let sent = post(&authority.sender(&script), "https://hook.example/").await;
        assert_eq!(sent, "blocked", "{answer:?}");
        assert_eq!(script.connected(), [""; 0], "{answer:?}");
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn each_attempt_resolves_anew_and_connects_to_the_checked_address() {
    let authority = Authority::new();
    let tls = authority.acceptor("hook.example");
    let receiver = Receiver::answering(Some(tls), "HTTP/1.1 200 OK\r\n\r\n").await;
    // The address is public when it is checked; a second look-up would return a private one.
    let script = script(&[&[PUBLIC], &["127.0.0.1"]], receiver.address);
    let sender = authority.sender(&script);
    assert_eq!(post(&sender, "https://hook.example/").await, "delivered");
    assert_eq!(script.asked(), 1);
    assert_eq!(post(&sender, "https://hook.example/").await, "blocked");
    assert_eq!(script.asked(), 2);
    assert_eq!(script.connected(), [format!("{PUBLIC}:443")]);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn dead_names_and_addresses_are_unreachable() {
    let authority = Authority::new();
    let tls = authority.acceptor("hook.example");
    let receiver = Receiver::answering(Some(tls), "HTTP/1.1 200 OK\r\n\r\n").await;
    let none = script(&[&[]], receiver.address);
    assert_eq!(post(&authority.sender(&none), "https://hook.example/").await, "unreachable");

    let with_dead = |count: usize| {
        let dead = ["8.8.8.8", "1.1.1.1", "9.9.9.9"];
        let answer = [&dead[..count], &[PUBLIC]].concat();
        let answers = Mutex::new([addresses(&answer)].into());
        let listeners = [(PUBLIC.parse().unwrap(), receiver.address)].into();
        Arc::new(Script { answers, listeners, ..Script::default() })
    };
    let script = with_dead(2);
    assert_eq!(post(&authority.sender(&script), "https://hook.example/").await, "delivered");
    assert_eq!(script.connected().len(), 3);
    // If a name resolves to a thousand addresses, only a few of them are tried.
    let script = with_dead(3);
    assert_eq!(post(&authority.sender(&script), "https://hook.example/").await, "unreachable");
    assert_eq!(script.connected().len(), 3);
}

#[tokio::test]
async fn addresses_of_both_families_are_connected_to() {
    let authority = Authority::new();
    for address in ["8.8.8.8", "2606:4700:4700::1111"] {
        let tls = authority.acceptor(address);
        let receiver = Receiver::answering(Some(tls), "HTTP/1.1 200 OK\r\n\r\n").await;
        let script = script(&[&[address]], receiver.address);
        let ip: IpAddr = address.parse().unwrap();
        let host = if ip.is_ipv6() { format!("[{address}]") } else { address.to_owned() };
        let sent = post(&authority.sender(&script), &format!("https://{host}/")).await;
        assert_eq!(sent, "delivered", "{address}");
        assert_eq!(script.asked(), 0);
        assert_eq!(script.connected(), [SocketAddr::new(ip, 443).to_string()]);
        assert!(receiver.request().contains(&format!("host: {host}\r\n")));
    }
    let tls = authority.acceptor("hook.example");
    let receiver = Receiver::answering(Some(tls), "HTTP/1.1 200 OK\r\n\r\n").await;
    let script = script(&[&["2606:4700::1"]], receiver.address);
    assert_eq!(post(&authority.sender(&script), "https://hook.example/").await, "delivered");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let authority = Authority::new();
    let canary = canary().await;
    for status in [301, 302, 303, 307, 308] {
        for location in [
            format!("http://{}/", canary.address),
            format!("https://{}/", canary.address),
            "https://other.example/".to_owned(),
            "/elsewhere".to_owned(),
            "file:///etc/passwd".to_owned(),
        ] {
            let answer = format!(
                "HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
            );
            let tls = authority.acceptor("hook.example");
            let receiver = Receiver::answering(Some(tls), answer).await;
            let script = script(&[&[PUBLIC]], receiver.address);
            let sent = post(&authority.sender(&script), "https://hook.example/").await;
            assert_eq!(sent, "3xx", "{status} {location}");
            assert_eq!(script.connected(), [format!("{PUBLIC}:443")]);
            assert_eq!((script.asked(), receiver.connections()), (1, 1));
        }
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn certificate_must_be_valid_for_the_host() {
    let (authority, other) = (Authority::new(), Authority::new());
    let ok = "HTTP/1.1 200 OK\r\n\r\n";
    let params = || CertificateParams::new(["hook.example".to_owned()]).unwrap();
    let mut expired = params();
    expired.not_before = date_time_ymd(2020, 1, 1);
    expired.not_after = date_time_ymd(2021, 1, 1);
    let mut not_yet = params();
    not_yet.not_before = date_time_ymd(4000, 1, 1);
    let key = KeyPair::generate().unwrap();
    let self_signed = params().self_signed(&key).unwrap();
    for (what, tls) in [
        ("self-signed", Some(acceptor(self_signed.der().clone(), &key))),
        ("signed by another", Some(other.acceptor("hook.example"))),
        ("expired", Some(authority.acceptor_with(expired))),
        ("not valid yet", Some(authority.acceptor_with(not_yet))),
        ("for another host", Some(authority.acceptor("other.example"))),
        ("for the address", Some(authority.acceptor(PUBLIC))),
        ("not encrypted", None),
    ] {
        let receiver = Receiver::answering(tls, ok).await;
        assert_eq!(result_over_tls(&authority, &receiver).await, "tls", "{what}");
        let said = receiver.requests.lock().unwrap().concat();
        assert!(!said.contains("POST"), "{what}: sent all the same");
    }
    let receiver = Receiver::answering(Some(authority.acceptor("hook.example")), ok).await;
    assert_eq!(result_over_tls(&authority, &receiver).await, "delivered");
}

#[tokio::test]
async fn answers_that_are_not_http_are_protocol_errors() {
    for (what, bytes) in [
        ("nothing", &b""[..]),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("HTTP/2", b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64"),
        ("HTTP/0.9", b"<html>hello</html>"),
        ("half a head", b"HTTP/1.1 200 OK\r\nx: "),
        ("no status", b"HTTP/1.1 abc OK\r\n\r\n"),
        (
            "more headers than 1,000",
            &[b"HTTP/1.1 200 OK\r\n", "a: b\r\n".repeat(1_001).as_bytes(), b"\r\n"].concat(),
        ),
        ("a header too long", &[b"HTTP/1.1 200 OK\r\na: ", "b".repeat(40_000).as_bytes()].concat()),
    ] {
        let receiver = Receiver::answering(None, bytes).await;
        assert_eq!(local_result(&receiver).await, "protocol", "{what}");
    }
}

#[tokio::test]
async fn old_and_odd_but_legal_answers_are_understood() {
    let many =
        |name: &str, count: usize| format!("{name}: some-value-of-usual-length\r\n").repeat(count);
    let mut refused = Vec::new();
    for (what, answer) in [
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n".to_owned()),
        (
            "HTTP/1.0 with a body",
            "HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nok".to_owned(),
        ),
        ("an empty reason phrase", "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n".to_owned()),
        ("no reason phrase", "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n".to_owned()),
        ("a reason phrase above ASCII", "HTTP/1.1 200 D\u{e9}j\u{e0} vu\r\n\r\n".to_owned()),
        ("a folded header", "HTTP/1.1 200 OK\r\nx: a\r\n  b\r\n\tc\r\n\r\n".to_owned()),
        ("a header folded at its start", "HTTP/1.1 200 OK\r\nx:\r\n a\r\n\r\n".to_owned()),
        ("an empty header", "HTTP/1.1 200 OK\r\nx:\r\ny: \r\n\r\n".to_owned()),
        ("tabs around a value", "HTTP/1.1 200 OK\r\nx:\ta\t\r\n\r\n".to_owned()),
        ("bytes above ASCII", "HTTP/1.1 200 OK\r\nx: \u{fc}\r\n\r\n".to_owned()),
        (
            "every character of a token",
            "HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~0Z: a\r\n\r\n".to_owned(),
        ),
        ("a space before the colon", "HTTP/1.1 200 OK\r\nx : a\r\n\r\n".to_owned()),
        ("lines that end in LF", "HTTP/1.1 200 OK\nx: a\n\n".to_owned()),
        ("a line that is no header", "HTTP/1.1 200 OK\r\n<oops>\r\nx: a\r\n\r\n".to_owned()),
        ("a hundred headers", format!("HTTP/1.1 200 OK\r\n{}\r\n", many("x", 100))),
        ("five hundred headers", format!("HTTP/1.1 200 OK\r\n{}\r\n", many("x", 500))),
        ("a header of 20 KB", format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(20_000))),
        (
            "an informational answer first",
            "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".to_owned(),
        ),
        ("204 without a length", "HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
        (
            "a chunked body",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_owned(),
        ),
        ("less body than announced", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok".to_owned()),
    ] {
        let receiver = Receiver::answering(None, answer).await;
        let result = local_result(&receiver).await;
        if result != "delivered" {
            refused.push((what, result));
        }
    }
    assert_eq!(refused, []);
}

#[tokio::test]
async fn retry_after_comes_back_whole_and_folded() {
    let minute = Some(RetryAfter::Delay(Duration::from_mins(1)));
    for (answer, expected) in [
        ("HTTP/1.1 503 Busy\r\nretry-after: 60\r\n\r\n", minute),
        ("HTTP/1.0 429\r\nRetry-After: 60\r\n\r\n", minute),
        ("HTTP/1.1 503 Busy\r\nretry-after:\r\n  60\r\n\r\n", minute),
        ("HTTP/1.1 503 Busy\r\n\r\n", None),
        ("HTTP/1.1 500 Oops\r\nretry-after: 60\r\n\r\n", None),
    ] {
        let receiver = Receiver::answering(None, answer).await;
        let to = uri(&format!("http://{}/", receiver.address));
        let attempt = local(&[]).send(WebhookMethod::Post, &to, &[], "{}").await;
        assert_eq!(attempt.retry_after, expected, "{answer}");
    }
}

/// Writes `start`, and then `more` again and again until the reader closes the connection; counts the bytes.
async fn flood(mut stream: Box<dyn Io>, start: &str, more: Vec<u8>, written: Arc<AtomicUsize>) {
    let mut next = start.as_bytes().to_vec();
    while stream.write_all(&next).await.is_ok() {
        written.fetch_add(next.len(), Ordering::Relaxed);
        assert!(written.load(Ordering::Relaxed) < 1 << 30, "it never stops reading");
        next.clone_from(&more);
    }
}

/// Returns the result of a request whose response never ends. The kernel buffers a few MB that are never
/// read.
async fn result_of_flood(start: &'static str, more: Vec<u8>) -> &'static str {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let receiver =
        Receiver::start(None, move |stream| flood(stream, start, more.clone(), Arc::clone(&count)))
            .await;
    let begun = Instant::now();
    let outcome = local_result(&receiver).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(written.load(Ordering::Relaxed) < 32 << 20, "{written:?}");
    outcome
}

#[tokio::test]
async fn endless_answers_are_cut_off() {
    let zeros = vec![0; 4096];
    let long = "HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n";
    assert_eq!(result_of_flood(long, zeros.clone()).await, "delivered");
    let bomb = "HTTP/1.1 500 Oops\r\ncontent-encoding: gzip\r\n\r\n\x1f\x08";
    assert_eq!(result_of_flood(bomb, zeros).await, "5xx");
    let chunked = "HTTP/1.1 410 Gone\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(result_of_flood(chunked, b"1\r\na\r\n".repeat(500)).await, "gone");
    let trailers = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n";
    assert_eq!(result_of_flood(trailers, b"a: b\r\n".repeat(500)).await, "delivered");
    let informational = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100).into_bytes();
    assert_eq!(result_of_flood("", informational).await, "protocol");
    let hints = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(100);
    assert_eq!(result_of_flood("", hints).await, "protocol");
    assert_eq!(result_of_flood("HTTP/1.1 200 OK\r\n", b"a: b\r\n".repeat(500)).await, "protocol");
    assert_eq!(result_of_flood("", vec![b'x'; 4096]).await, "protocol");
}

/// Uses a pipe in memory: with a socket, the kernel would buffer bytes that are never read, and falsify the
/// count.
#[tokio::test]
async fn reads_end_at_the_byte_limit() {
    let (near, far) = tokio::io::duplex(512);
    let written = Arc::new(AtomicUsize::new(0));
    let writing = tokio::spawn(flood(
        Box::new(far),
        "HTTP/1.1 200 OK\r\n\r\n",
        vec![0; 64],
        Arc::clone(&written),
    ));
    let target = uri("https://hook.example/").target(&TargetPolicy::default()).unwrap();
    let request = request(WebhookMethod::Post, &target, &[], "{}").unwrap();
    let mut attempt = Attempt::from(DeliveryResult::Timeout);
    exchange(bounded(near), request, &mut attempt).await.unwrap();
    assert_eq!(attempt, DeliveryResult::Delivered.into());
    writing.await.unwrap();
    let most = usize::try_from(MAX_BYTES).unwrap() + 512;
    let written = written.load(Ordering::Relaxed);
    assert!((most - 1024..=most).contains(&written), "{written}");
}

/// Starts a receiver that sends `start`, and then the bytes of `trickle` over and over, one per second.
async fn slow(start: &'static str, trickle: &'static [u8]) -> Receiver {
    Receiver::start(None, move |mut stream| async move {
        let _ = stream.write_all(start.as_bytes()).await;
        for byte in trickle.iter().cycle() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn slow_receivers_time_out_after_fifteen_seconds() {
    for (start, trickle, expected) in [
        ("", &b""[..], "timeout"),
        ("", b"HTTP/1.1 200 OK\r\nx: yyyyyyyyyyyyyy", "timeout"),
        ("HTTP/1.1 200 OK\r\n", b"a", "timeout"),
        ("HTTP/1.1 103 Early Hints\r\n\r\n", b"", "timeout"),
        // The result is already known from the head.
        ("HTTP/1.1 200 OK\r\n\r\n", b"a", "delivered"),
        ("HTTP/1.1 503 Busy\r\n\r\n", b"", "5xx"),
    ] {
        let receiver = slow(start, trickle).await;
        let begun = Instant::now();
        assert_eq!(local_result(&receiver).await, expected, "{start}");
        let seconds = begun.elapsed().as_secs_f64();
        assert!((14.9..15.2).contains(&seconds), "{start}: {seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn missing_tls_handshake_times_out() {
    let authority = Authority::new();
    let receiver = Receiver::start(None, |stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let begun = Instant::now();
    assert_eq!(result_over_tls(&authority, &receiver).await, "timeout");
    assert!(begun.elapsed() < Duration::from_secs(16));
}

#[tokio::test]
async fn local_network_reaches_loopback_only() {
    let receiver = Receiver::answering(None, "HTTP/1.1 200 OK\r\n\r\n").await;
    let port = receiver.address.port();
    let sender = local(&[
        ("public.example", &[PUBLIC]),
        ("private.example", &["10.0.0.1"]),
        ("own.example", &["127.0.0.1"]),
    ]);
    assert_eq!(post(&sender, &format!("http://127.0.0.1:{port}/")).await, "delivered");
    assert_eq!(post(&sender, &format!("http://localhost:{port}/")).await, "delivered");
    assert_eq!(receiver.connections(), 2);
    for (to, expected) in [
        ("https://nowhere.example/", "unreachable"),
        ("https://public.example/", "unreachable"),
        ("https://93.184.216.34/", "unreachable"),
        ("https://[2606:4700:4700::1111]/", "unreachable"),
        ("https://private.example/", "blocked"),
        ("https://own.example/", "blocked"),
    ] {
        let begun = Instant::now();
        assert_eq!(post(&sender, to).await, expected, "{to}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{to}");
    }
    let sender = Sender { targets: TargetPolicy::default(), ..local(&[]) };
    assert_eq!(post(&sender, &format!("http://127.0.0.1:{port}/")).await, "blocked");
    assert_eq!(receiver.connections(), 2);
}
