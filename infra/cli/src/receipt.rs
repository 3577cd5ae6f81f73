//! Verifies receipts offline, by RFC 7515 and 7518: a JWS in compact serialization, signed with ES256.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// Header parameter `typ` of every receipt. It tells receipts from other JWSs that the same key has signed.
const TYPE: &str = "erasure-receipt+jwt";
const ISSUER: &str = "tenure";

/// Why a receipt is not genuine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotGenuine {
    /// The text is not a JWS in compact serialization, its algorithm is not ES256, it has critical extensions
    /// (`crit`), or its header or claims cannot be read.
    Malformed,
    /// The receipt's key id (`kid`) is not among the given keys.
    Key,
    /// The signature does not match: the text was changed, or another key signed it.
    Signature,
    /// The signature is valid, but the JWS is not a receipt: its `typ` is not `erasure-receipt+jwt`.
    Type,
    /// The issuer (`iss`) is not Tenure.
    Issuer,
    /// The receipt is of another account.
    Account,
    /// The receipt does not supersede the given earlier receipt.
    Superseded,
}

impl Display for NotGenuine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is no receipt, or was changed since it was signed",
            Self::Key => "it names a key that is not among these; if the keys are old, fetch them again, from the service itself",
            Self::Signature => "it was changed since it was signed, or another key signed it",
            Self::Type => "it was signed, but not as a receipt",
            Self::Issuer => "it was signed, but not issued by Tenure",
            Self::Account => "it was signed, but for another account",
            Self::Superseded => "it was signed, but it supersedes another receipt, or none",
        })
    }
}

/// The public keys that verify receipts, by id.
#[derive(Debug)]
pub(crate) struct Keys(BTreeMap<String, [u8; 65]>);

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    crv: Option<String>,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
    kid: Option<String>,
}

impl Keys {
    /// Reads a JSON Web Key Set (RFC 7517), as returned by `GET /v1.0/erasure-keys`. Skips keys that are not
    /// P-256 keys with an id. `None` if the text is no key set, or if no key is left.
    pub(crate) fn read(set: &str) -> Option<Self> {
        let set: KeySet = serde_json::from_str(set).ok()?;
        let keys: BTreeMap<_, _> = set.keys.into_iter().filter_map(Key::point).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }
}

impl Key {
    /// Returns the key's id and its point in SEC 1's uncompressed form; `None` if it is no P-256 key with an id.
    fn point(self) -> Option<(String, [u8; 65])> {
        let mut point = [4; 65];
        let (x, y) = point[1..].split_at_mut(32);
        for (coordinate, place) in [(&self.x, x), (&self.y, y)] {
            place.copy_from_slice(
                BASE64URL_NOPAD
                    .decode(coordinate.as_bytes())
                    .ok()
                    .filter(|bytes| bytes.len() == 32)?
                    .as_slice(),
            );
        }
        (self.kty == "EC" && self.crv.as_deref() == Some("P-256")).then_some((self.kid?, point))
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    typ: Option<String>,
    /// Extensions that a verifier must understand. None is supported, so a receipt with this field is refused.
    crit: Option<IgnoredAny>,
}

/// A receipt whose signature, type and issuer were verified.
#[derive(Debug)]
pub(crate) struct Receipt {
    /// The claims, as JSON.
    pub(crate) text: String,
    /// The claims that the commands read.
    pub(crate) claims: Claims,
}

/// The claims of a receipt: the statements that its signature covers.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    /// Id of the account.
    pub(crate) sub: String,
    pub(crate) round: Option<u64>,
    #[serde(rename = "final", default = "yes")]
    pub(crate) is_final: bool,
    supersedes: Option<String>,
    #[serde(default)]
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) tm_request: Option<String>,
    pub(crate) tm_finish: Option<String>,
    pub(crate) requested_by: Option<String>,
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) covers: Covers,
    #[serde(default)]
    pub(crate) retained: Vec<Retained>,
    pub(crate) not_covered: Option<NotCovered>,
}

/// Returns the default of the claim `final`: earlier versions signed only final receipts, and left the claim out.
const fn yes() -> bool {
    true
}

/// Systems that a receipt covers besides the installation's own tables: the participants (external systems
/// that keep data for accounts), with their answers.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Covers {
    #[serde(default)]
    pub(crate) participants: Vec<Covered>,
}

/// A participant's report on its erasure of the account's data: the state, and the numbers of items found and deleted.
#[derive(Debug, Deserialize)]
pub(crate) struct Covered {
    pub(crate) name: String,
    pub(crate) state: Option<String>,
    pub(crate) found: Option<u64>,
    pub(crate) deleted: Option<u64>,
}

/// Data that a participant keeps after the erasure: kind, number, legal ground, and end of the retention.
#[derive(Debug, Deserialize)]
pub(crate) struct Retained {
    pub(crate) participant: String,
    pub(crate) kind: String,
    pub(crate) count: u64,
    pub(crate) ground: String,
    pub(crate) until: Option<String>,
}

/// Data that a receipt does not cover: backups, until they expire.
#[derive(Debug, Deserialize)]
pub(crate) struct NotCovered {
    pub(crate) backups_until: Option<String>,
}

/// Verifies a receipt: one of the keys must have signed it, its type must be that of a receipt, and its
/// issuer must be Tenure.
pub(crate) fn verify(receipt: &str, keys: &Keys) -> Result<Receipt, NotGenuine> {
    let (signed, signature) = receipt.rsplit_once('.').ok_or(NotGenuine::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(NotGenuine::Malformed)?;
    let header: Header = json(&decode(header)?)?;
    if header.alg != "ES256" || header.crit.is_some() {
        return Err(NotGenuine::Malformed);
    }
    let point = keys.0.get(&header.kid).ok_or(NotGenuine::Key)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decode(signature)?)
        .map_err(|_| NotGenuine::Signature)?;
    if header.typ.as_deref() != Some(TYPE) {
        return Err(NotGenuine::Type);
    }
    let text = String::from_utf8(decode(payload)?).map_err(|_| NotGenuine::Malformed)?;
    let claims: Claims = json(text.as_bytes())?;
    if claims.iss == ISSUER { Ok(Receipt { text, claims }) } else { Err(NotGenuine::Issuer) }
}

impl Receipt {
    /// Checks that the receipt is of this account.
    pub(crate) fn is_of(&self, account: &str) -> Result<(), NotGenuine> {
        if self.claims.sub == account { Ok(()) } else { Err(NotGenuine::Account) }
    }

    /// Checks that the receipt replaces the receipt `earlier`.
    pub(crate) fn replaces(&self, earlier: &str) -> Result<(), NotGenuine> {
        let hash = HEXLOWER.encode(digest(&SHA256, earlier.as_bytes()).as_ref());
        if self.claims.supersedes == Some(hash) { Ok(()) } else { Err(NotGenuine::Superseded) }
    }

    /// Whether the receipt replaces an earlier one.
    pub(crate) const fn is_superseding(&self) -> bool {
        self.claims.supersedes.is_some()
    }
}

/// Decodes base64url strictly: padding, blanks and leftover bits are refused, so that each text has one encoding.
fn decode(segment: &str) -> Result<Vec<u8>, NotGenuine> {
    BASE64URL_NOPAD.decode(segment.as_bytes()).map_err(|_| NotGenuine::Malformed)
}

fn json<T: DeserializeOwned>(text: &[u8]) -> Result<T, NotGenuine> {
    serde_json::from_slice(text).map_err(|_| NotGenuine::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::{Value, json};

    struct Signer(EcdsaKeyPair);

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let key =
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            Self(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random)
                    .unwrap(),
            )
        }

        fn keys(&self) -> Keys {
            let point = self.0.public_key().as_ref();
            let [x, y] = [&point[1..33], &point[33..]].map(|bytes| BASE64URL_NOPAD.encode(bytes));
            let key = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "k", "use": "sig", "alg": "ES256"});
            Keys::read(&json!({"keys": [{"kty": "RSA", "n": "AQAB"}, key]}).to_string()).unwrap()
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let [header, claims] =
                [header, claims].map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes()));
            let signed = format!("{header}.{claims}");
            let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
        }
    }

    fn header() -> Value {
        json!({"alg": "ES256", "typ": TYPE, "kid": "k"})
    }

    fn claims() -> Value {
        json!({"iss": "tenure", "sub": "01a22973", "counts": {"numbers": 2}, "round": 1, "final": true, "supersedes": null, "new": {}})
    }

    #[test]
    fn a_genuine_receipt_is_read() {
        let signer = Signer::new();
        let receipt = verify(&signer.sign(&header(), &claims()), &signer.keys()).unwrap();
        assert_eq!(
            (receipt.claims.sub.as_str(), receipt.claims.counts["numbers"]),
            ("01a22973", 2)
        );
        assert_eq!(
            (receipt.is_of("01a22973"), receipt.is_of("other")),
            (Ok(()), Err(NotGenuine::Account))
        );
    }

    #[test]
    fn a_changed_byte_is_refused_at_every_place() {
        let signer = Signer::new();
        let (receipt, keys) = (signer.sign(&header(), &claims()), signer.keys());
        for place in 0..receipt.len() {
            for other in (0..128).filter(|byte| *byte != receipt.as_bytes()[place]) {
                let mut changed = receipt.clone().into_bytes();
                changed[place] = other;
                assert!(
                    verify(&String::from_utf8(changed).unwrap(), &keys).is_err(),
                    "byte {place} as {other}"
                );
            }
        }
    }

    #[test]
    fn a_shorter_or_longer_text_is_refused() {
        let signer = Signer::new();
        let (receipt, keys) = (signer.sign(&header(), &claims()), signer.keys());
        for end in 0..receipt.len() {
            assert!(verify(&receipt[..end], &keys).is_err(), "{end} bytes");
        }
        for added in ["A", "=", ".", ".A", " "] {
            assert!(verify(&format!("{receipt}{added}"), &keys).is_err(), "{added}");
        }
    }

    #[test]
    fn what_is_signed_as_something_else_is_no_receipt() {
        let signer = Signer::new();
        let with = |name: &str, value: Value| {
            let mut header = header();
            header[name] = value;
            verify(&signer.sign(&header, &claims()), &signer.keys()).unwrap_err()
        };
        assert_eq!(with("typ", json!("JWT")), NotGenuine::Type);
        assert_eq!(with("typ", Value::Null), NotGenuine::Type);
        assert_eq!(with("alg", json!("none")), NotGenuine::Malformed);
        assert_eq!(with("crit", json!(["b64"])), NotGenuine::Malformed);
        assert_eq!(with("kid", json!("another")), NotGenuine::Key);
        let mut foreign = claims();
        foreign["iss"] = json!("somebody");
        assert_eq!(
            verify(&signer.sign(&header(), &foreign), &signer.keys()).unwrap_err(),
            NotGenuine::Issuer
        );
        assert_eq!(
            verify(&signer.sign(&header(), &claims()), &Signer::new().keys()).unwrap_err(),
            NotGenuine::Signature
        );
    }

    #[test]
    fn a_superseding_receipt_names_the_one_before() {
        let signer = Signer::new();
        let first = signer.sign(&header(), &claims());
        let mut later = claims();
        later["supersedes"] = json!(HEXLOWER.encode(digest(&SHA256, first.as_bytes()).as_ref()));
        let last = verify(&signer.sign(&header(), &later), &signer.keys()).unwrap();
        assert_eq!(
            (last.replaces(&first), last.replaces("another")),
            (Ok(()), Err(NotGenuine::Superseded))
        );
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"keys": []}"#,
            r#"{"keys": [{"kty": "RSA"}]}"#,
            r#"{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "k"}]}"#,
        ] {
            assert!(Keys::read(text).is_none(), "{text}");
        }
    }
}
