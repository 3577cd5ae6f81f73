//! How the AWS SDK is set up: from Lambda's own environment, without looking anywhere else for
//! credentials, a region or an endpoint.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::config;
use crate::domain::Error;

/// The SDK's crates have no type in common for their configuration.
macro_rules! config {
    ($sdk:ident, $endpoint:literal) => {{
        let mut builder = $sdk::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region()?)
            .credentials_provider(credentials()?)
            .timeout_config(timeouts())
            .retry_config(RetryConfig::standard())
            .http_client(http_client());
        builder.set_endpoint_url(config::optional($endpoint));
        Ok(builder.build())
    }};
}

pub(super) fn dynamodb_config() -> Result<aws_sdk_dynamodb::Config, Error> {
    config!(aws_sdk_dynamodb, "AWS_ENDPOINT_URL_DYNAMODB")
}

pub(crate) fn eventbridge_config() -> Result<aws_sdk_eventbridge::Config, Error> {
    config!(aws_sdk_eventbridge, "AWS_ENDPOINT_URL_EVENTBRIDGE")
}

pub(crate) fn kms_config() -> Result<aws_sdk_kms::Config, Error> {
    config!(aws_sdk_kms, "AWS_ENDPOINT_URL_KMS")
}

fn region() -> Result<Region, Error> {
    Ok(Region::new(config::required("AWS_REGION")?))
}

/// The role's credentials. Lambda renews them by starting another process.
fn credentials() -> Result<Credentials, Error> {
    let id = config::required("AWS_ACCESS_KEY_ID")?;
    let secret = config::required("AWS_SECRET_ACCESS_KEY")?;
    Ok(Credentials::new(id, secret, config::optional("AWS_SESSION_TOKEN"), None, "environment"))
}

/// Three tries fit into the shortest function's time.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .build()
}

fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}
