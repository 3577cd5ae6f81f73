//! Signed erasure receipts and the public keys that verify them.
//!
//! A signed receipt is a JSON Web Signature in compact serialization (RFC 7515), which any JOSE library
//! verifies. The private key never leaves AWS KMS.

mod jwk;

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use data_encoding::BASE64URL_NOPAD;
use futures_util::future::try_join_all;
use p256::ecdsa::Signature;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use crate::app::Build;
use crate::domain::Error;
use crate::domain::receipt::Receipt;
use crate::platform::aws::{self, Call as _};
use crate::platform::{config, sdk};
pub use jwk::{Jwk, Jwks};

/// The `typ` header of a receipt, so that no other JWS passes for one (RFC 8725, section 3.11).
pub const TYPE: &str = "erasure-receipt+jwt";

/// Signs erasure receipts with AWS KMS.
#[derive(Debug)]
pub struct Signer {
    kms: Client,
    key: String,
    kid: OnceCell<String>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

impl Build for Signer {
    fn build() -> Result<Self, Error> {
        Ok(Self::new(Client::from_conf(sdk::kms_config()?), config::required("RECEIPT_KEY_ID")?))
    }
}

impl Signer {
    /// Returns a signer that uses the KMS key with the id `key`. Its key spec must be `ECC_NIST_P256` and its
    /// key usage `SIGN_VERIFY`.
    #[must_use]
    pub const fn new(kms: Client, key: String) -> Self {
        Self { kms, key, kid: OnceCell::const_new() }
    }

    /// Signs a receipt and returns the JWS. ECDSA is randomized: the same receipt has a different
    /// signature each time.
    pub async fn sign(&self, receipt: &Receipt<'_>) -> Result<String, Error> {
        let header = Header { alg: "ES256", typ: TYPE, kid: self.kid().await? };
        let signed = format!("{}.{}", segment(&header)?, segment(receipt)?);
        let answer = self
            .kms
            .sign()
            .key_id(&self.key)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .message_type(MessageType::Digest)
            .message(Blob::new(Sha256::digest(signed.as_bytes()).to_vec()))
            .call()
            .await
            .map_err(unavailable)?;
        let der = answer.signature.unwrap_or_else(|| Blob::new(""));
        // KMS returns ASN.1 DER; a JWS has r and s concatenated (RFC 7518, section 3.4).
        let signature = Signature::from_der(der.as_ref())
            .map_err(|_| Error::Internal("KMS gave no ECDSA signature".to_owned()))?;
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature.to_bytes())))
    }

    /// Returns the key id for the JWS header `kid`: the thumbprint of the public key. KMS is asked once per
    /// process.
    async fn kid(&self) -> Result<&str, Error> {
        let ask = || async { Ok(public_key(&self.kms, &self.key).await?.kid().to_owned()) };
        self.kid.get_or_try_init(ask).await.map(String::as_str)
    }
}

/// Public keys of the KMS keys that sign receipts now or did so earlier.
#[derive(Debug)]
pub struct PublicKeys {
    kms: Client,
    keys: Vec<String>,
    set: OnceCell<Jwks>,
}

impl Build for PublicKeys {
    fn build() -> Result<Self, Error> {
        let kms = Client::from_conf(sdk::kms_config()?);
        let keys = config::required("RECEIPT_KEY_IDS")?.split(',').map(str::to_owned).collect();
        Ok(Self { kms, keys, set: OnceCell::new() })
    }
}

impl PublicKeys {
    /// Returns the key set. KMS is asked once per process, because a key never changes.
    pub async fn get(&self) -> Result<&Jwks, Error> {
        let ask = || async {
            let keys = self.keys.iter().map(|key| public_key(&self.kms, key));
            Ok(Jwks { keys: try_join_all(keys).await? })
        };
        self.set.get_or_try_init(ask).await
    }
}

async fn public_key(kms: &Client, key: &str) -> Result<Jwk, Error> {
    let answer = kms.get_public_key().key_id(key).call().await.map_err(unavailable)?;
    let der = answer.public_key.unwrap_or_else(|| Blob::new(""));
    Jwk::from_der(der.as_ref())
        .ok_or_else(|| Error::Internal("the receipts' key is not a P-256 key".to_owned()))
}

/// Returns `part` as a segment of a JWS: JSON in base64url.
fn segment(part: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_vec(part).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(BASE64URL_NOPAD.encode(&json))
}

fn unavailable<E: ProvideErrorMetadata, R>(error: SdkError<E, R>) -> Error {
    aws::failure("KMS", &error)
}
