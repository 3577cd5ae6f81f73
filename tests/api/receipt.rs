//! Receipts of erasures are signed, and can be verified with the published keys.

use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::{Client, Config};
use data_encoding::BASE64URL_NOPAD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use sam_local::{Data, Options};
use serde_json::{Value, json};
use shared::domain::Actor;
use shared::domain::erasure::{self, Reason};
use shared::domain::owned::Kind;
use shared::domain::receipt::{Edition, Receipt};
use shared::domain::{Erasure, Error, Id, Timestamp};
use shared::platform::http_client;
use shared::signature::Signer;

use crate::harness::{Template, Tenure, options};

const PATH: &str = "/v1.0/erasure-keys";

async fn keys(tenure: &Tenure) -> Value {
    tenure.send(tenure.request("GET", PATH)).await.ok()
}

/// Returns a signer with the credentials of the purge, so that the stack counts its calls as the purge's.
fn signer(url: &str, key: &str) -> Signer {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("PurgeRunFunction", "test", None, None, "test"))
        .endpoint_url(url)
        .retry_config(RetryConfig::disabled())
        .http_client(http_client().unwrap())
        .build();
    Signer::new(Client::from_conf(config), key.to_owned())
}

/// Returns the ledger, the record of an erasure, shortly before the erasure finishes.
fn ledger() -> Erasure {
    let at = |text| Timestamp::parse(text).unwrap();
    let customer = Id::parse("5e4a0680-804e-11ec-8477-2fea5968d85b").unwrap();
    let request = erasure::ErasureRequest {
        reason: Reason::Unregister,
        by: Actor::PURGE,
        tm_request: at("2026-10-01T08:00:00Z"),
        tm_due: at("2026-10-31T08:00:00Z"),
        plan: None,
    };
    Erasure {
        request: Some(request),
        tm_claim: Some(at("2026-10-31T08:10:00Z")),
        epoch: 1,
        found: [(Kind::Agent, 1), (Kind::Number, 1_001)].into(),
        ..Erasure::blank(customer)
    }
}

fn receipt(ledger: &Erasure) -> Receipt<'_> {
    let tm_finish = Timestamp::parse("2026-10-31T08:10:02Z").unwrap();
    Receipt::new(ledger, &[], &["name", "email"], tm_finish, Edition::First)
}

/// Splits a JWS into the text that is signed and the signature.
fn parts(jws: &str) -> (&str, Vec<u8>) {
    let (signed, signature) = jws.rsplit_once('.').unwrap();
    (signed, BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap())
}

fn json_of(segment: &str) -> Value {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(segment.as_bytes()).unwrap()).unwrap()
}

/// Returns the claims of a JWS without verifying its signature.
pub(crate) fn claims_of(jws: &str) -> Value {
    json_of(jws.split('.').nth(1).unwrap())
}

/// Whether a key of a JWKS verifies the signature of a JWS, with another implementation than the one that
/// signs.
fn is_signed(jws: &str, key: &Value) -> bool {
    let coordinate = |name: &str| BASE64URL_NOPAD.decode(key[name].as_str().unwrap().as_bytes());
    let point = [vec![4], coordinate("x").unwrap(), coordinate("y").unwrap()].concat();
    let (signed, signature) = parts(jws);
    let signature = Signature::from_slice(&signature).unwrap();
    VerifyingKey::from_sec1_bytes(&point).unwrap().verify(signed.as_bytes(), &signature).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_keys_are_public_and_fetched_once() {
    let tenure = Tenure::start().await;
    tenure.stack.reset_stats();
    let answer = tenure.send(tenure.request("GET", PATH)).await;
    assert_eq!(answer.headers["cache-control"], "public, max-age=3600");
    assert_eq!(answer.headers["content-type"], "application/json");
    let set = answer.ok();
    let [key] = set["keys"].as_array().unwrap().as_slice() else { panic!("{set}") };
    assert_eq!(key.as_object().unwrap().len(), 7, "{key}");
    for (name, value) in [("kty", "EC"), ("crv", "P-256"), ("use", "sig"), ("alg", "ES256")] {
        assert_eq!(key[name], value, "{key}");
    }
    for name in ["x", "y", "kid"] {
        assert_eq!(key[name].as_str().unwrap().len(), 43, "{key}");
    }

    // Credentials are ignored.
    for call in [
        tenure.request("GET", PATH).bearer("vbs_nonsense"),
        tenure.request("GET", &format!("{PATH}?token=vbs_nonsense")).bearer("vb_nonsense"),
    ] {
        assert_eq!(tenure.send(call).await.ok(), set);
    }
    let function = &tenure.stack.stats()["functions"]["ErasureKeysFunction"];
    assert_eq!(function["dynamodb"]["calls"], json!({}));
    assert_eq!(function["kms"], json!({"GetPublicKey": 1}), "the public key is fetched once");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_key_is_kept_with_the_data() {
    let directory = tempfile::tempdir().unwrap();
    let kept =
        |reset| Options { data: Data::Directory(directory.path().to_owned()), reset, ..options() };
    let first = Tenure::start_with(kept(false)).await;
    let before = keys(&first).await;
    drop(first);
    let second = Tenure::start_with(kept(false)).await;
    assert_eq!(keys(&second).await, before);
    drop(second);
    let afresh = Tenure::start_with(kept(true)).await;
    assert_ne!(keys(&afresh).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_verifies_with_the_published_key() {
    let tenure = Tenure::start().await;
    let set = keys(&tenure).await;
    let signer = signer(tenure.stack.database_url(), "ReceiptKey");
    let jws = signer.sign(&receipt(&ledger())).await.unwrap();

    let key = &set["keys"][0];
    let (header, payload) = parts(&jws).0.split_once('.').unwrap();
    let expected = json!({"alg": "ES256", "typ": "erasure-receipt+jwt", "kid": key["kid"]});
    assert_eq!(json_of(header), expected);
    assert_eq!(json_of(payload), serde_json::to_value(receipt(&ledger())).unwrap());
    assert!(is_signed(&jws, key));
    let stranger = keys(&Tenure::start().await).await;
    assert!(!is_signed(&jws, &stranger["keys"][0]));

    // A second signature has the same content, and the public key is not fetched again.
    let again = signer.sign(&receipt(&ledger())).await.unwrap();
    assert_eq!(parts(&again).0, parts(&jws).0);
    assert!(is_signed(&again, key));
    let calls = &tenure.stack.stats()["functions"]["PurgeRunFunction"]["kms"];
    assert_eq!(*calls, json!({"GetPublicKey": 1, "Sign": 2}));

    // Verified with an independent library by infra/check_receipts.py.
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(directory.join("receipt.jws"), jws).unwrap();
    std::fs::write(directory.join("erasure-keys.json"), set.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_signing_key_is_still_published() {
    let replaced = Template::edited(|text| {
        let key = text.find("  ReceiptKey:\n").unwrap();
        let end = key + text[key..].find("\n\n").unwrap();
        let old = text[key..end].replace("  ReceiptKey:", "  OldReceiptKey:");
        format!("{}\n\n{old}{}", &text[..end], &text[end..])
            .replace(
                "RECEIPT_KEY_IDS: !Ref ReceiptKey",
                "RECEIPT_KEY_IDS: 'ReceiptKey,OldReceiptKey'",
            )
            .replace(
                "Resource: !GetAtt ReceiptKey.Arn",
                "Resource: [!GetAtt ReceiptKey.Arn, !GetAtt OldReceiptKey.Arn]",
            )
    });
    let tenure = Tenure::start_with(replaced.options()).await;
    let set = keys(&tenure).await;
    let [new, old] = set["keys"].as_array().unwrap().as_slice() else { panic!("{set}") };
    for (key, id) in [(new, "ReceiptKey"), (old, "OldReceiptKey")] {
        let signed =
            signer(tenure.stack.database_url(), id).sign(&receipt(&ledger())).await.unwrap();
        assert!(is_signed(&signed, key), "{id}");
    }
    assert_ne!(new["kid"], old["kid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_signing_key_is_a_retryable_error() {
    let keyless = Template::edited(|text| {
        text.replace("RECEIPT_KEY_IDS: !Ref ReceiptKey", "RECEIPT_KEY_IDS: Nobody")
    });
    let tenure = Tenure::start_with(keyless.options()).await;
    let answer = tenure.send(tenure.request("GET", PATH)).await;
    assert_eq!(answer.refused(503), "SERVICE_UNAVAILABLE");
    assert_eq!(answer.headers["retry-after"], "1");

    let url = tenure.stack.database_url().to_owned();
    for (url, key) in [(url.as_str(), "Nobody"), ("http://127.0.0.1:1", "ReceiptKey")] {
        let refused = signer(url, key).sign(&receipt(&ledger())).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{key}: {refused:?}");
    }
}
