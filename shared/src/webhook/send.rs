//! The HTTP client that webhooks are sent with: one request, to an address that was checked for this
//! very attempt, and of the answer nothing but its class.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Request, uri};
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
use crate::domain::value::{WebhookMethod, WebhookUri};
use crate::domain::webhook_target::{Loopback, Target};
use crate::domain::{DeliveryResult, Error};
use crate::platform::{config, tls};

/// How long an attempt may take, from looking up the name to the last byte that is read.
const LIMIT: Duration = Duration::from_secs(15);

/// How long one address may take to accept a connection, and how many are tried.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);
const MOST_ADDRESSES: usize = 3;

/// How much is read, whatever it is: the handshake, heads, the body.
pub(super) const MOST_BYTES: u64 = 64 * 1024;

/// How long the head of the answer may be.
const MOST_HEAD: usize = 16 * 1024;

const AGENT: &str = concat!("Tenure-Webhook/", env!("CARGO_PKG_VERSION"));

/// Sends webhooks.
#[derive(Debug)]
pub struct Sender {
    pub(super) network: Network,
    pub(super) loopback: Loopback,
    /// Reading the system's root certificates takes a while: done when the first connection needs it.
    pub(super) tls: OnceLock<Arc<ClientConfig>>,
}

impl Sender {
    /// A sender that resolves no name and connects to nothing but the machine itself.
    #[must_use]
    pub const fn to_this_machine() -> Self {
        Self {
            network: Network::Local(BTreeMap::new()),
            loopback: Loopback::Allowed,
            tls: OnceLock::new(),
        }
    }

    /// A sender for where this runs.
    pub fn from_environment() -> Result<Self, Error> {
        Ok(Self {
            network: Network::from_environment()?,
            loopback: config::loopback()?,
            tls: OnceLock::new(),
        })
    }

    /// Sends one request and tells what came of it. `headers` are in lower case and those of the message;
    /// what HTTP needs is added.
    ///
    /// The head of the answer decides. Its body is read as far as the limits allow, for the sake of
    /// receivers that stop working when nobody listens, and thrown away.
    pub async fn send(
        &self,
        method: WebhookMethod,
        uri: &WebhookUri,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> DeliveryResult {
        let Some(target) = uri.target(self.loopback) else { return DeliveryResult::Blocked };
        let Some(request) = request(method, &target, headers, body) else {
            return DeliveryResult::Blocked;
        };
        let mut outcome = DeliveryResult::Timeout;
        let attempt = self.attempt(&target, request, &mut outcome);
        match timeout(LIMIT, attempt).await {
            Ok(Err(failure)) => failure,
            Ok(Ok(())) | Err(_) => outcome,
        }
    }

    /// Sets `outcome` as soon as it is known, and fails only before that.
    async fn attempt(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        outcome: &mut DeliveryResult,
    ) -> Result<(), DeliveryResult> {
        let addresses = self.addresses(target).await?;
        let stream = bounded(self.connect(target, &addresses).await?);
        if target.is_loopback() {
            return exchange(stream, request, outcome).await;
        }
        let connector = TlsConnector::from(self.tls()?);
        let connection = connector.connect(server_name(target)?, stream).await;
        exchange(connection.map_err(|_| DeliveryResult::Tls)?, request, outcome).await
    }

    /// Where the target is now. One address that it may not be at, and it is nowhere.
    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, DeliveryResult> {
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
        target: &Target,
        addresses: &[IpAddr],
    ) -> Result<TcpStream, DeliveryResult> {
        for address in addresses.iter().take(MOST_ADDRESSES) {
            let connecting = self.network.connect(SocketAddr::new(*address, target.port()));
            if let Ok(Ok(stream)) = timeout(CONNECT_LIMIT, connecting).await {
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

/// Nothing is kept between connections: a session that is resumed could be recognised.
pub(super) fn client_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let mut config = tls::trusting(roots)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn server_name(target: &Target) -> Result<ServerName<'static>, DeliveryResult> {
    match target.addresses().as_deref() {
        Some([address, ..]) => Ok(ServerName::from(*address)),
        _ => ServerName::try_from(target.host().to_owned()).map_err(|_| DeliveryResult::Blocked),
    }
}

/// `None` if the method is none, or a header is none that HTTP can carry.
pub(super) fn request(
    method: WebhookMethod,
    target: &Target,
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
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(Full::from(body.to_owned())).ok()
}

/// A stream that ends when enough was read.
pub(super) fn bounded(stream: impl AsyncRead + AsyncWrite) -> impl AsyncRead + AsyncWrite + Unpin {
    let (read, write) = tokio::io::split(stream);
    tokio::io::join(read.take(MOST_BYTES), write)
}

/// One request and its answer. The connection ends with it.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
    outcome: &mut DeliveryResult,
) -> Result<(), DeliveryResult> {
    let handshake = http1::Builder::new().max_buf_size(MOST_HEAD).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|_| DeliveryResult::Protocol)?;
    let mut work = pin!(async {
        let answer = sender.send_request(request).await.map_err(|_| DeliveryResult::Protocol)?;
        *outcome = DeliveryResult::of_status(answer.status().as_u16());
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
