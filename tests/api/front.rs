//! A deployment behind a front, that is, a proxy: `CloudFront` (`infra/front.yaml`), or any other.

use sam_local::Options;
use shared::domain::digest::sha256;
use shared::domain::value::FromText as _;
use shared::domain::{Id, PlainToken, Username};

use crate::harness::{Answer, Tenure, options, options_with};

const SECRET: &str = "front-secret-of-this-test";

/// Starts a stack that expects a front, with `more` as additional template parameters.
async fn start(more: &[(&str, &str)]) -> Tenure {
    let digest = sha256(SECRET);
    let parameters = [
        ("OriginSecretDigests", digest.as_str()),
        ("DomainName", "api.example.com"),
        ("CertificateArn", "arn:aws:acm:us-east-1:123456789012:certificate/a"),
        ("InvalidTokensPerMinute", "1"),
    ];
    let parameters = parameters.iter().chain(more);
    let parameters =
        parameters.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Tenure::start_with(Options { parameters, ..options() }).await
}

/// Requests `/v1.0/me` as `CloudFront` forwards it: with the secret that only the front knows, and the
/// viewer's address and port. The token is well-formed, but nobody's.
async fn me(tenure: &Tenure, secret: &str, viewer: &str) -> Answer {
    me_with(tenure, [("x-origin-secret", secret), ("cloudfront-viewer-address", viewer)]).await
}

async fn me_with(tenure: &Tenure, headers: [(&str, &str); 2]) -> Answer {
    let id = "01900000-0000-7000-8000-000000000000";
    let login = Username::from_text("nobody").unwrap().login_key();
    let token = PlainToken::session(Id::parse(id).unwrap(), Id::parse(id).unwrap(), login, [7; 32]);
    let request = tenure.request("GET", "/v1.0/me").bearer(token.expose());
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    tenure.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_front_the_viewers_network_is_limited_and_not_the_fronts() {
    let tenure = start(&[]).await;
    me(&tenure, SECRET, "198.51.100.7:1001").await.refused(401);
    assert_eq!(me(&tenure, SECRET, "198.51.100.7:1002").await.status, 429);
    me(&tenure, SECRET, "198.51.100.8:1001").await.refused(401);
    me(&tenure, SECRET, "2001:db8::1:1001").await.refused(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_any_proxy_the_network_is_limited_that_its_own_header_names() {
    let tenure =
        start(&[("TrustedProxyHeader", "X-Proxy-Secret"), ("ClientAddressHeader", "X-Real-IP")])
            .await;
    let me = async |address: &str| {
        me_with(&tenure, [("x-proxy-secret", SECRET), ("x-real-ip", address)]).await
    };
    me("198.51.100.7").await.refused(401);
    assert_eq!(me("198.51.100.7").await.status, 429);
    me("198.51.100.8").await.refused(401);
    // Headers of another kind of front are worth nothing here: any client could send them.
    let answer =
        me_with(&tenure, [("x-origin-secret", SECRET), ("x-real-ip", "198.51.100.9")]).await;
    assert_eq!(answer.refused(404), "ROUTE_NOT_FOUND");
    let answer = me_with(&tenure, [("x-proxy-secret", "guessed"), ("x-real-ip", "198.51.100.9")]);
    assert_eq!(answer.await.refused(404), "ROUTE_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_bypass_the_front_get_404() {
    let tenure = start(&[]).await;
    for secret in ["", "another", &sha256(SECRET)] {
        let answer = me(&tenure, secret, "198.51.100.7:1001").await;
        assert_eq!(answer.refused(404), "ROUTE_NOT_FOUND", "{secret}");
    }
    for (method, path) in [("GET", "/ping"), ("POST", "/auth/login"), ("GET", "/nowhere")] {
        let answer = tenure.send(tenure.request(method, path)).await;
        assert_eq!(answer.refused(404), "ROUTE_NOT_FOUND", "{path}");
    }
}

/// Without a front, the headers that a front would send are ignored: any client could send them.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_front_its_headers_are_ignored() {
    let tenure = Tenure::start_with(options_with("InvalidTokensPerMinute", "1")).await;
    me(&tenure, SECRET, "198.51.100.7:1001").await.refused(401);
    assert_eq!(me(&tenure, SECRET, "198.51.100.8:1001").await.status, 429);
}
