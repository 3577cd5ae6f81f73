//! Servers through which functions' processes reach the embedded DynamoDB: over HTTP, and over TLS with a
//! certificate of our own.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::serve::{Listener, ListenerExt as _};
use http_body_util::BodyExt as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use sam_local::Tables;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use crate::Result;

/// Files in which Linux distributions keep the root certificates that the system trusts.
const SYSTEM_ROOTS: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Root certificates that our functions trust on Lambda.
const AMAZON_ROOTS: &str = include_str!("../../../shared/src/platform/amazon_roots.pem");

/// The tables, served over HTTP and over TLS.
pub(crate) struct Front {
    http: SocketAddr,
    https: SocketAddr,
    meter: Arc<Meter>,
    /// PEM file with only the bench's own root certificate, which signs the TLS server's certificate.
    pub(crate) root: PathBuf,
    /// PEM file with the bench's own root certificate and the few of Amazon that our functions trust.
    pub(crate) few: PathBuf,
    /// PEM file with the bench's own root certificate and all that the system trusts, for processes that load
    /// the system's certificates.
    pub(crate) roots: PathBuf,
}

/// Counters of the bytes transferred, without TLS and headers, and of the events written to the outbox.
#[derive(Default)]
pub(crate) struct Meter {
    sent: AtomicU64,
    received: AtomicU64,
    events: AtomicU64,
}

/// Values of a [`Meter`]: bytes sent to DynamoDB, bytes received from it, events written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) events: u64,
}

impl Front {
    /// Serves the tables by HTTP and HTTPS, and writes to `directory` the certificates that client processes
    /// must trust.
    pub(crate) async fn open(tables: &Tables, directory: &Path) -> Result<Self> {
        let meter = Arc::new(Meter::default());
        let routes = tables.router().layer(from_fn_with_state(Arc::clone(&meter), count));
        let plain = TcpListener::bind("127.0.0.1:0").await?;
        let http = plain.local_addr()?;
        let plain = plain.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        serve(plain, routes.clone());

        let (acceptor, root) = certificate()?;
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        let https = tcp.local_addr()?;
        serve(Tls::listen(tcp, acceptor)?, routes);

        let system = SYSTEM_ROOTS.iter().find_map(|file| fs::read_to_string(file).ok());
        let file = |name: &str, others: &str| {
            let path = directory.join(name);
            fs::write(&path, format!("{others}\n{root}")).map(|()| path)
        };
        Ok(Self {
            http,
            https,
            meter,
            few: file("few.pem", AMAZON_ROOTS)?,
            roots: file("roots.pem", &system.unwrap_or_default())?,
            root: file("root.pem", "")?,
        })
    }

    /// Returns the URL of the tables, over HTTP or TLS.
    pub(crate) fn url(&self, tls: bool) -> String {
        if tls {
            format!("https://localhost:{}", self.https.port())
        } else {
            format!("http://localhost:{}", self.http.port())
        }
    }

    pub(crate) fn read_meter(&self) -> Reading {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Reading {
            sent: read(&self.meter.sent),
            received: read(&self.meter.received),
            events: read(&self.meter.events),
        }
    }
}

fn serve<L: Listener<Addr: std::fmt::Debug>>(listener: L, routes: Router) {
    tokio::spawn(async move {
        let _ = axum::serve(listener, routes).await;
    });
}

async fn count(State(meter): State<Arc<Meter>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return axum::http::StatusCode::BAD_REQUEST.into_response();
    };
    let body = body.to_bytes();
    let events = String::from_utf8_lossy(&body).matches("\"OutboxTable\"").count();
    let add = |counter: &AtomicU64, count: u64| counter.fetch_add(count, Ordering::Relaxed);
    add(&meter.sent, body.len() as u64);
    add(&meter.events, events as u64);
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    add(&meter.received, body.len() as u64);
    // DynamoDB sends this checksum with every answer, and Go's SDK verifies it.
    parts.headers.insert("x-amz-crc32", crc32fast::hash(&body).into());
    Response::from_parts(parts, Body::from(body))
}

/// Returns a TLS acceptor with a certificate for this machine, and the root certificate that signed it, as PEM.
fn certificate() -> Result<(TlsAcceptor, String)> {
    let mut root = CertificateParams::default();
    root.distinguished_name.push(DnType::CommonName, "Tenure bench root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "localhost");
    let certificate = leaf.signed_by(&key, &root)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), pem(root.der())))
}

fn pem(certificate: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(certificate);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines: Vec<_> = lines.collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// A listener that does TLS handshakes concurrently, so that a slow one delays no other connection.
struct Tls {
    ready: mpsc::Receiver<TlsStream<TcpStream>>,
    address: SocketAddr,
}

impl Tls {
    fn listen(tcp: TcpListener, acceptor: TlsAcceptor) -> io::Result<Self> {
        let (accepted, ready) = mpsc::channel(16);
        let address = tcp.local_addr()?;
        tokio::spawn(async move {
            while let Ok((connection, _)) = tcp.accept().await {
                let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
                tokio::spawn(async move {
                    let _ = connection.set_nodelay(true);
                    if let Ok(secured) = acceptor.accept(connection).await {
                        let _ = accepted.send(secured).await;
                    }
                });
            }
        });
        Ok(Self { ready, address })
    }
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => (connection, self.address),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}
