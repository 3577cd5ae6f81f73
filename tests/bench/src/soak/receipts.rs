//! Verification of signed receipts with the published keys, by another implementation than the one that signs
//! them.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

use crate::Result;
use crate::client::Api;

/// The published public keys, as uncompressed points of the curve P-256.
pub(crate) struct Keys(Vec<Vec<u8>>);

impl Keys {
    pub(crate) async fn fetch(api: &Api) -> Result<Self> {
        let (_, set) = api.call(http::Method::GET, "/v1.0/erasure-keys", "", None).await?;
        let set: Value = serde_json::from_slice(&set)?;
        let point = |key: &Value| -> Option<Vec<u8>> {
            let coordinate =
                |name: &str| BASE64URL_NOPAD.decode(key[name].as_str()?.as_bytes()).ok();
            Some([vec![4], coordinate("x")?, coordinate("y")?].concat())
        };
        let keys: Vec<_> = set["keys"].as_array().into_iter().flatten().filter_map(point).collect();
        if keys.is_empty() { Err("no key verifies receipts".into()) } else { Ok(Self(keys)) }
    }

    /// Returns the claims of a receipt; `None` if none of the keys signed it.
    pub(crate) fn verify(&self, receipt: &str) -> Option<Value> {
        let (signed, signature) = receipt.rsplit_once('.')?;
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        let is_by = |point: &Vec<u8>| {
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(signed.as_bytes(), &signature).is_ok()
        };
        let claims = BASE64URL_NOPAD.decode(signed.split_once('.')?.1.as_bytes()).ok()?;
        let claims = serde_json::from_slice(&claims).ok()?;
        self.0.iter().any(is_by).then_some(claims)
    }
}

/// Returns the SHA-256 hash of a receipt, in hex. The receipt that supersedes it refers to it by this hash.
pub(crate) fn hash(receipt: &str) -> String {
    HEXLOWER.encode(digest(&SHA256, receipt.as_bytes()).as_ref())
}
