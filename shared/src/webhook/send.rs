//! The HTTP client of webhooks. Each request has its own connection, to an IP address that was checked after
//! the name was resolved for this attempt. Callers learn only the class of the response's status and its
//! `Retry-After`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Request, Response, uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::network::Network;
use super::retry_after::RetryAfter;
use crate::domain::value::{WebhookMethod, WebhookUri};
use crate::domain::webhook_target::{Loopback, TargetPolicy, WebhookTarget};
use crate::domain::{DeliveryResult, Error};
use crate::platform::{config, tls};

/// Timeout of an attempt, from resolving the name to reading the last byte: 15 seconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// Timeout for connecting to one address: 4 seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Maximum number of a name's addresses to which one attempt tries to connect.
const MAX_ADDRESSES: usize = 3;

/// Maximum number of bytes that one attempt reads, including the TLS handshake and the body.
pub(super) const MAX_BYTES: u64 = 64 * 1024;

/// Maximum size of a response's head (status line and header fields), in bytes.
const MAX_HEAD: usize = 32 * 1024;

/// Maximum number of header fields in a response.
const MAX_HEADERS: usize = 1_000;

const USER_AGENT_VALUE: &str = concat!("Tenure-Webhook/", env!("CARGO_PKG_VERSION"));

/// HTTP client that sends webhooks.
#[derive(Debug)]
pub struct Sender {
    pub(super) network: Network,
    pub(super) targets: TargetPolicy,
    /// TLS configuration, built for the first connection: reading the system's root certificates takes a while.
    pub(super) tls: OnceLock<Arc<ClientConfig>>,
}

/// Result of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Class of the response's status, or why there was no response.
    pub result: DeliveryResult,
    /// The `Retry-After` of a response with status 429 or 503; `None` if there is none.
    pub retry_after: Option<RetryAfter>,
}

impl From<DeliveryResult> for Attempt {
    fn from(result: DeliveryResult) -> Self {
        Self { result, retry_after: None }
    }
}

impl<B> From<&Response<B>> for Attempt {
    fn from(answer: &Response<B>) -> Self {
        Self {
            result: DeliveryResult::of_status(answer.status().as_u16()),
            retry_after: RetryAfter::of(answer),
        }
    }
}

impl Sender {
    /// Returns a sender that resolves no names and connects to loopback addresses only.
    #[must_use]
    pub fn loopback_only() -> Self {
        Self {
            network: Network::Local(BTreeMap::new()),
            targets: TargetPolicy::new(Loopback::Allowed, []),
            tls: OnceLock::new(),
        }
    }

    /// Builds a sender from the environment variables of the function.
    pub fn from_environment() -> Result<Self, Error> {
        Ok(Self {
            network: Network::from_environment()?,
            targets: config::targets()?,
            tls: OnceLock::new(),
        })
    }

    /// Sends one request. `headers` are the webhook's own, with names in lower case; the headers that HTTP
    /// needs are added.
    ///
    /// The head of the response decides the result. The body is read, up to the limits, and dropped: some
    /// receivers fail if nobody reads it.
    pub async fn send(
        &self,
        method: WebhookMethod,
        uri: &WebhookUri,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> Attempt {
        let Some(target) = uri.target(&self.targets) else {
            return DeliveryResult::Blocked.into();
        };
        let Some(request) = request(method, &target, headers, body) else {
            return DeliveryResult::Blocked.into();
        };
        let mut attempt = Attempt::from(DeliveryResult::Timeout);
        match timeout(ATTEMPT_TIMEOUT, self.attempt(&target, request, &mut attempt)).await {
            Ok(Err(failure)) => failure.into(),
            Ok(Ok(())) | Err(_) => attempt,
        }
    }

    /// Connects, sends the request and reads the response. Sets `attempt` as soon as the head of the response
    /// has been read; returns an error only if that does not happen.
    async fn attempt(
        &self,
        target: &WebhookTarget,
        request: Request<Full<Bytes>>,
        attempt: &mut Attempt,
    ) -> Result<(), DeliveryResult> {
        let addresses = self.addresses(target).await?;
        let stream = bounded(self.connect(target, &addresses).await?);
        if target.is_loopback() {
            return exchange(stream, request, attempt).await;
        }
        let connector = TlsConnector::from(self.tls()?);
        let connection = connector.connect(server_name(target)?, stream).await;
        exchange(connection.map_err(|_| DeliveryResult::Tls)?, request, attempt).await
    }

    /// Resolves the target's host. Fails with `Blocked` if any of its addresses is one that webhooks must not
    /// be sent to.
    async fn addresses(&self, target: &WebhookTarget) -> Result<Vec<IpAddr>, DeliveryResult> {
        let addresses = match target.addresses() {
            Some(addresses) => addresses,
            None => self.network.resolve(target.host()).await,
        };
        if addresses.is_empty() {
            Err(DeliveryResult::Unreachable)
        } else if addresses.iter().all(|address| target.admits(*address)) {
            Ok(addresses)
        } else {
            Err(DeliveryResult::Blocked)
        }
    }

    async fn connect(
        &self,
        target: &WebhookTarget,
        addresses: &[IpAddr],
    ) -> Result<TcpStream, DeliveryResult> {
        for address in addresses.iter().take(MAX_ADDRESSES) {
            let connecting = self.network.connect(SocketAddr::new(*address, target.port()));
            if let Ok(Ok(stream)) = timeout(CONNECT_TIMEOUT, connecting).await {
                return Ok(stream);
            }
        }
        Err(DeliveryResult::Unreachable)
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, DeliveryResult> {
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let config = client_config(tls::system_roots()).map_err(|_| DeliveryResult::Tls)?;
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(config))))
    }
}

/// Builds the TLS configuration. Session resumption is off, because it would let a receiver recognise the
/// sender.
pub(super) fn client_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let mut config = tls::trusting(roots)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn server_name(target: &WebhookTarget) -> Result<ServerName<'static>, DeliveryResult> {
    match target.addresses().as_deref() {
        Some([address, ..]) => Ok(ServerName::from(*address)),
        _ => ServerName::try_from(target.host().to_owned()).map_err(|_| DeliveryResult::Blocked),
    }
}

/// Builds the HTTP request. `None` if the webhook's method is `None` (webhooks are off), or if the path or a
/// header value is not valid in HTTP.
pub(super) fn request(
    method: WebhookMethod,
    target: &WebhookTarget,
    headers: &[(&'static str, String)],
    body: &str,
) -> Option<Request<Full<Bytes>>> {
    if method == WebhookMethod::None {
        return None;
    }
    let path = uri::PathAndQuery::try_from(target.path()).ok()?;
    let mut request = Request::builder()
        .method(method.name())
        .uri(path)
        .header(HOST, target.authority())
        .header(USER_AGENT, USER_AGENT_VALUE)
        .header(CONNECTION, "close");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(Full::from(body.to_owned())).ok()
}

/// Limits what can be read from `stream` to [`MAX_BYTES`]: the reading half then reports the end of the
/// stream.
pub(super) fn bounded(stream: impl AsyncRead + AsyncWrite) -> impl AsyncRead + AsyncWrite + Unpin {
    let (read, write) = tokio::io::split(stream);
    tokio::io::join(read.take(MAX_BYTES), write)
}

/// Sends a request over a new connection and reads the response. The connection is not reused.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
    attempt: &mut Attempt,
) -> Result<(), DeliveryResult> {
    let handshake = client().handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|_| DeliveryResult::Protocol)?;
    let mut work = pin!(async {
        let answer = sender.send_request(request).await.map_err(|_| DeliveryResult::Protocol)?;
        *attempt = Attempt::from(&answer);
        let mut body = answer.into_body();
        while let Some(Ok(_)) = body.frame().await {}
        Ok(())
    });
    tokio::select! {
        biased;
        done = &mut work => done,
        _ = connection => work.await,
    }
}

/// Builds an HTTP/1 client that tolerates the responses of old and careless servers: it ignores malformed
/// headers, and accepts folded header lines (RFC 9112, section 5.2). Only the status has to be valid.
fn client() -> http1::Builder {
    let mut client = http1::Builder::new();
    client
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true);
    client
}
