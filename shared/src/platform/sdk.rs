//! Configuration of the AWS SDK, from Lambda's environment only: no other source of credentials, region or endpoint is
//! searched.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::{ReconnectMode, RetryConfig};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig,
};

use super::config;
use super::http_client::http_client;
use crate::domain::Error;

/// Builds the configuration of one of the SDK's crates, which have no common type for it.
macro_rules! config {
    ($sdk:ident, $endpoint:literal) => {
        config!($sdk, $endpoint, retries())
    };
    ($sdk:ident, $endpoint:literal, $retries:expr) => {{
        let mut builder = $sdk::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region()?)
            .credentials_provider(credentials()?)
            .timeout_config(timeouts())
            .retry_config($retries)
            // An attempt times out long before.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(http_client()?);
        builder.set_endpoint_url(config::optional($endpoint));
        Ok(builder.build())
    }};
}

pub(crate) fn dynamodb_config() -> Result<aws_sdk_dynamodb::Config, Error> {
    config!(aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB")
}

pub(crate) fn eventbridge_config() -> Result<aws_sdk_eventbridge::Config, Error> {
    config!(aws_sdk_eventbridge, "AWS_ENDPOINT_URL_EVENTBRIDGE")
}

pub(crate) fn kms_config() -> Result<aws_sdk_kms::Config, Error> {
    config!(aws_sdk_kms, "AWS_ENDPOINT_URL_KMS")
}

/// Returns the configuration of SES, without retries by the SDK: if the response is lost, the message may
/// have been sent nevertheless, so the calling code decides whether to send it again.
pub(crate) fn ses_config() -> Result<aws_sdk_sesv2::Config, Error> {
    config!(aws_sdk_sesv2, "AWS_ENDPOINT_URL_SESV2", RetryConfig::disabled())
}

fn region() -> Result<Region, Error> {
    Ok(Region::new(config::required("AWS_REGION")?))
}

/// Returns the credentials of the function's execution role. Lambda renews them by starting another process.
fn credentials() -> Result<Credentials, Error> {
    let id = config::required("AWS_ACCESS_KEY_ID")?;
    let secret = config::required("AWS_SECRET_ACCESS_KEY")?;
    Ok(Credentials::new(id, secret, config::optional("AWS_SESSION_TOKEN"), None, "environment"))
}

/// Retry policy: up to four tries of a request that was throttled or not answered. The second try follows after up to
/// 50 ms, since the SDK's default of a second would keep the caller waiting. Connections are reused even after errors:
/// this client does not tell the SDK which connection a request used, so the SDK could not drop it, and would only log
/// an error after each timeout.
fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(4)
        .with_initial_backoff(Duration::from_millis(50))
        .with_reconnect_mode(ReconnectMode::ReuseAllConnections)
}

/// Returns the timeout of each try, 2 s, with which four tries fit into the shortest function timeout.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(2)).build()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::{AlertDescription, Error as TlsError, ServerConfig};

    use super::*;

    #[tokio::test]
    async fn only_certificates_of_amazon_are_trusted() {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = aws_sdk_dynamodb::Client::from_conf(
            aws_sdk_dynamodb::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("us-east-1"))
                .allow_no_auth()
                .retry_config(RetryConfig::disabled())
                .http_client(http_client().unwrap())
                .endpoint_url(format!("https://localhost:{port}"))
                .build(),
        );
        let accept = async {
            let (stream, _) = listener.accept().await.unwrap();
            TlsAcceptor::from(Arc::new(server)).accept(stream).await.map(drop)
        };
        let (asked, accepted) = tokio::join!(client.list_tables().send(), accept);
        assert!(asked.is_err());
        let alert: io::Error = accepted.expect_err("the handshake fails");
        let alert = alert.get_ref().and_then(|error| error.downcast_ref::<TlsError>()).cloned();
        assert_eq!(alert, Some(TlsError::AlertReceived(AlertDescription::UnknownCA)));
    }
}
