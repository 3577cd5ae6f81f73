//! The AWS SDK's HTTP client: HTTP/1.1 only. The SDK's own client includes HTTP/2, which would make up a
//! ninth of every function's package.

use std::fmt::Display;
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::Response;
use http_body_util::BodyExt as _;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{Client, connect};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{config, tls};
use crate::domain::Error;

/// Root certificates of Amazon Trust Services.
const AMAZON: &[u8] = include_bytes!("amazon_roots.pem");

/// Timeout for connecting; a whole attempt has two seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// HTTPS client with a connection pool, adapted to the SDK's traits.
#[derive(Clone, Debug)]
struct Https(Client<HttpsConnector<connect::HttpConnector>, SdkBody>);

/// Returns a client for the SDK, with a connection pool of its own.
pub fn http_client() -> Result<SharedHttpClient, Error> {
    let tls = tls::trusting(roots()?).map_err(internal)?;
    let mut tcp = connect::HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(https);
    Ok(SharedHttpClient::new(Https(client)))
}

/// Returns the root certificates that AWS endpoints chain to. The system's 140 root certificates are not
/// used, since parsing them would take half of a cold start. If `SSL_CERT_FILE` is set, returns the
/// certificates in that file.
fn roots() -> Result<RootCertStore, Error> {
    if config::optional("SSL_CERT_FILE").is_some() {
        return Ok(tls::system_roots());
    }
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(AMAZON) {
        roots.add(root.map_err(internal)?).map_err(internal)?;
    }
    Ok(roots)
}

fn broken(error: impl Into<BoxError>) -> ConnectorError {
    ConnectorError::io(error.into())
}

fn internal(error: impl Display) -> Error {
    Error::Internal(error.to_string())
}

impl HttpClient for Https {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Https {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let answer = self.0.request(request);
        HttpConnectorFuture::new(async move {
            // The whole response is read here, so that a response that breaks off counts as a connection
            // error, like all other failures on the way: the SDK tries again.
            let (head, body) = answer.await.map_err(broken)?.into_parts();
            let body = body.collect().await.map_err(broken)?;
            HttpResponse::try_from(Response::from_parts(head, SdkBody::from(body.to_bytes())))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::retry::RetryConfig;
    use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Region};
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{\"TableNames\":[]}";

    const BROKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{\"Tab";

    /// Accepts one connection for each element of `connections` and sends its responses, one per request.
    /// Then closes the connection without notice, as happens while Lambda has frozen a function.
    async fn serve(listener: TcpListener, connections: &[&[&str]]) {
        for answers in connections {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            for answer in *answers {
                let (mut line, mut length) = (String::new(), 0);
                while line != "\r\n" {
                    line.clear();
                    stream.read_line(&mut line).await.unwrap();
                    let header = line.to_lowercase();
                    if let Some(value) = header.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                stream.read_exact(&mut vec![0; length]).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }

    /// Makes `calls` calls to a server that sends the responses in `connections`, one list per connection.
    /// Checks that all calls succeed and that the client opens exactly these connections.
    async fn every_call_succeeds(calls: usize, connections: &'static [&'static [&'static str]]) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .allow_no_auth()
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
            .http_client(http_client().unwrap())
            .endpoint_url(format!("http://127.0.0.1:{port}"));
        let client = aws_sdk_dynamodb::Client::from_conf(config.build());
        let server = tokio::spawn(serve(listener, connections));
        for _ in 0..calls {
            client.list_tables().send().await.unwrap();
        }
        server.await.unwrap();
    }

    #[tokio::test]
    async fn connections_are_kept_and_those_that_are_closed_are_replaced() {
        every_call_succeeds(5, &[&[WHOLE; 3], &[WHOLE; 2]]).await;
    }

    #[tokio::test]
    async fn interrupted_requests_are_sent_again() {
        every_call_succeeds(2, &[&[WHOLE, BROKEN], &[WHOLE]]).await;
    }
}
