//! JSON Web Keys (RFC 7517).

use data_encoding::BASE64URL_NOPAD;
use p256::PublicKey;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::pkcs8::DecodePublicKey as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A JSON Web Key Set (RFC 7517, section 5).
#[derive(Debug, Serialize)]
pub struct Jwks {
    /// The public keys, one per KMS key.
    pub keys: Vec<Jwk>,
}

/// A public P-256 key that verifies ES256 signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    y: String,
    kid: String,
    r#use: &'static str,
    alg: &'static str,
}

impl Jwk {
    /// Reads a `SubjectPublicKeyInfo` (RFC 5480). `None` if it holds no P-256 key.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let point = PublicKey::from_public_key_der(der).ok()?.to_sec1_point(false);
        let coordinate = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let (x, y) = (coordinate(point.x()?), coordinate(point.y()?));
        let kid = thumbprint(&x, &y);
        Some(Self { kty: "EC", crv: "P-256", x, y, kid, r#use: "sig", alg: "ES256" })
    }

    /// Returns the key id: the key's thumbprint (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

/// Returns the thumbprint (RFC 7638): SHA-256 of the required members in alphabetical order.
fn thumbprint(x: &str, y: &str) -> String {
    let key = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    BASE64URL_NOPAD.encode(&Sha256::digest(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    /// A P-256 `SubjectPublicKeyInfo`: its fixed prefix, followed by the public key of RFC 6979, A.2.5.
    const DER: &str = concat!(
        "3059301306072a8648ce3d020106082a8648ce3d030107034200",
        "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
    );

    fn read(hex: &str) -> Option<Jwk> {
        Jwk::from_der(&HEXLOWER.decode(hex.as_bytes()).unwrap())
    }

    #[test]
    fn jwk_of_the_rfc_6979_key() {
        assert_eq!(
            serde_json::to_value(read(DER).unwrap()).unwrap(),
            serde_json::json!({
                "kty": "EC",
                "crv": "P-256",
                "x": "YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y",
                "y": "eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk",
                "kid": "DOvxvJiAdIqVWIkFt5hDtCunXLF0BV4-JGv4f-ALSm0",
                "use": "sig",
                "alg": "ES256",
            })
        );
    }

    #[test]
    fn keys_not_on_p256_are_rejected() {
        let off_the_curve = format!("{}98", DER.strip_suffix("99").unwrap());
        let other_curve = DER.replace("2a8648ce3d030107", "2a8648ce3d030108");
        for der in [&off_the_curve, &other_curve, &DER[..60], ""] {
            assert_eq!(read(der), None, "{der}");
        }
    }
}
