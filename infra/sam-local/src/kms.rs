//! KMS: `Sign` and `GetPublicKey` for the template's signing keys on P-256.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use getrandom::SysRng;
use p256::{
    ecdsa::{DerSignature, SigningKey, signature::hazmat::RandomizedPrehashSigner as _},
    elliptic_curve::Generate as _,
    pkcs8::EncodePublicKey as _,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{aws, error::Error, iam::Access, state, template};

const SPEC: &str = "ECC_NIST_P256";
const USAGE: &str = "SIGN_VERIFY";
const ALGORITHM: &str = "ECDSA_SHA_256";

/// The template's keys.
pub(crate) struct Kms {
    keys: BTreeMap<String, Key>,
}

struct Key {
    definition: template::Key,
    /// The private key; `None` for a key that is not on P-256.
    material: Option<SigningKey>,
}

/// A refusal: KMS's error code and message.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) &'static str, pub(crate) String);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    key_id: String,
    message: Option<String>,
    message_type: Option<String>,
    signing_algorithm: Option<String>,
}

/// Returns the access for which the caller of `operation` needs permission: the action on the key that `body` names.
pub(crate) fn access(operation: &str, body: &[u8]) -> Access<'static> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let key = request["KeyId"].as_str().unwrap_or_default();
    let resource = if key.starts_with("arn:") { key.to_owned() } else { arn(key) };
    Access { action: format!("kms:{operation}"), resource, partitions: Vec::new() }
}

fn arn(id: &str) -> String {
    aws::arn("kms", &format!("key/{id}"))
}

impl Kms {
    /// Loads the keys that are kept in `directory`, if one is given, and generates the missing ones.
    pub(crate) fn open(
        definitions: Vec<template::Key>,
        directory: Option<&Path>,
    ) -> Result<Self, Error> {
        let file = directory.map(|directory| directory.join("keys.json"));
        let kept = file.as_deref().map(state::read).transpose()?.unwrap_or_default();
        let mut keys = BTreeMap::new();
        for definition in definitions {
            let on_p256 = definition.spec == SPEC;
            let material = match kept[&definition.id].as_str() {
                Some(kept) if on_p256 => Some(read(kept, &definition.id)?),
                None if on_p256 => Some(SigningKey::generate()),
                _ => None,
            };
            keys.insert(definition.id.clone(), Key { definition, material });
        }
        let kms = Self { keys };
        if let Some(file) = file
            && kms.material() != kept
        {
            state::write(&file, &kms.material())?;
        }
        Ok(kms)
    }

    /// Executes a call: `operation` is its name, `body` its request in JSON.
    pub(crate) fn call(&self, operation: &str, body: &[u8]) -> Result<Value, Refusal> {
        let request: Request = serde_json::from_slice(body)
            .map_err(|error| Refusal("SerializationException", error.to_string()))?;
        let key = self.find(&request.key_id)?;
        match operation {
            "GetPublicKey" => key.public(),
            "Sign" => key.sign(&request),
            _ => Err(Refusal("UnknownOperationException", format!("{operation} is not supported"))),
        }
    }

    /// Returns the key with this id or ARN.
    fn find(&self, id: &str) -> Result<&Key, Refusal> {
        let key = self.keys.get(id.strip_prefix(&arn("")).unwrap_or(id));
        key.ok_or_else(|| Refusal("NotFoundException", format!("Key '{id}' does not exist")))
    }

    /// Returns the private keys by key id, in base64, as the data directory keeps them.
    fn material(&self) -> Value {
        let secret = |key: &Key| Some(STANDARD.encode(key.material.as_ref()?.to_bytes()));
        let secrets =
            self.keys.iter().filter_map(|(id, key)| Some((id.clone(), secret(key)?.into())));
        secrets.collect::<Map<_, _>>().into()
    }
}

impl Key {
    fn arn(&self) -> String {
        arn(&self.definition.id)
    }

    fn public(&self) -> Result<Value, Refusal> {
        let template::Key { spec, usage, .. } = &self.definition;
        let refused = || {
            let message = format!("the local stack has no public key of spec {spec}");
            Refusal("UnsupportedOperationException", message)
        };
        let material = self.material.as_ref().ok_or_else(refused)?;
        let der = material.verifying_key().to_public_key_der().map_err(|_| refused())?;
        let mut answer = json!({
            "KeyId": self.arn(),
            "PublicKey": STANDARD.encode(der.as_bytes()),
            "CustomerMasterKeySpec": spec,
            "KeySpec": spec,
            "KeyUsage": usage,
        });
        if usage == USAGE {
            answer["SigningAlgorithms"] = json!([ALGORITHM]);
        }
        Ok(answer)
    }

    fn sign(&self, request: &Request) -> Result<Value, Refusal> {
        let unusable = |what: String| Refusal("InvalidKeyUsageException", what);
        let invalid = |what: &str| Refusal("ValidationException", what.to_owned());
        let template::Key { spec, usage, .. } = &self.definition;
        if usage != USAGE {
            return Err(unusable(format!("{} key usage is {usage}", self.arn())));
        }
        let algorithm = request.signing_algorithm.as_deref();
        let algorithm = algorithm.ok_or_else(|| invalid("signingAlgorithm must not be null"))?;
        let material = self.material.as_ref().filter(|_| algorithm == ALGORITHM);
        let material = material.ok_or_else(|| {
            unusable(format!("Algorithm {algorithm} is incompatible with {spec}"))
        })?;
        if request.message_type.as_deref() != Some("DIGEST") {
            return Err(invalid("the local stack signs messages of type DIGEST only"));
        }
        let digest = request.message.as_ref().and_then(|message| STANDARD.decode(message).ok());
        let digest = digest
            .filter(|digest| digest.len() == 32)
            .ok_or_else(|| invalid("Digest is invalid length for algorithm ECDSA_SHA_256"))?;
        // Randomised, as KMS does: nobody may rely on getting the same signature twice.
        let signature: DerSignature = material
            .sign_prehash_with_rng(&mut SysRng, &digest)
            .map_err(|error| Refusal("KMSInternalException", error.to_string()))?;
        Ok(json!({
            "KeyId": self.arn(),
            "Signature": STANDARD.encode(signature.as_bytes()),
            "SigningAlgorithm": ALGORITHM,
        }))
    }
}

fn read(kept: &str, id: &str) -> Result<SigningKey, Error> {
    let bytes = STANDARD.decode(kept).ok();
    bytes
        .and_then(|bytes| SigningKey::from_slice(&bytes).ok())
        .ok_or_else(|| Error::at(id, "the kept key is damaged; start once with --reset"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: Option<&Path>) -> Kms {
        let key = |id: &str, spec: &str, usage: &str| template::Key {
            id: id.into(),
            spec: spec.into(),
            usage: usage.into(),
        };
        let keys = vec![
            key("Signing", SPEC, USAGE),
            key("Agreeing", SPEC, "KEY_AGREEMENT"),
            key("Encrypting", "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
        ];
        Kms::open(keys, directory).unwrap()
    }

    fn sign(key: &str) -> Value {
        json!({
            "KeyId": key,
            "SigningAlgorithm": ALGORITHM,
            "MessageType": "DIGEST",
            "Message": STANDARD.encode([7; 32]),
        })
    }

    fn call(kms: &Kms, operation: &str, request: &Value) -> Result<Value, &'static str> {
        kms.call(operation, request.to_string().as_bytes()).map_err(|Refusal(kind, _)| kind)
    }

    #[test]
    fn a_wrong_call_is_refused_as_kms_refuses_it() {
        let kms = open(None);
        let with = |name: &str, value: Value| {
            let mut request = sign("Signing");
            request[name] = value;
            request
        };
        for (operation, request, refusal) in [
            ("Sign", sign("Nobody"), "NotFoundException"),
            ("GetPublicKey", json!({"KeyId": "Nobody"}), "NotFoundException"),
            ("GetPublicKey", json!({"KeyId": "Encrypting"}), "UnsupportedOperationException"),
            ("Sign", sign("Agreeing"), "InvalidKeyUsageException"),
            ("Sign", sign("Encrypting"), "InvalidKeyUsageException"),
            ("Sign", with("SigningAlgorithm", json!("ECDSA_SHA_384")), "InvalidKeyUsageException"),
            ("Sign", with("SigningAlgorithm", Value::Null), "ValidationException"),
            ("Sign", with("MessageType", json!("RAW")), "ValidationException"),
            ("Sign", with("Message", json!("short")), "ValidationException"),
            ("Sign", json!({}), "SerializationException"),
            ("ScheduleKeyDeletion", json!({"KeyId": "Signing"}), "UnknownOperationException"),
        ] {
            assert_eq!(call(&kms, operation, &request), Err(refusal), "{operation} {request}");
        }
    }

    #[test]
    fn a_key_is_found_by_its_id_and_its_arn() {
        let kms = open(None);
        let answer = call(&kms, "Sign", &sign("Signing")).unwrap();
        let arn = answer["KeyId"].as_str().unwrap();
        assert_eq!(arn, "arn:aws:kms:us-east-1:000000000000:key/Signing");
        let again = call(&kms, "Sign", &sign(arn)).unwrap();
        assert_ne!(again["Signature"], answer["Signature"]);
    }

    #[test]
    fn kept_keys_are_readable_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let public = |kms: &Kms| call(kms, "GetPublicKey", &json!({"KeyId": "Signing"})).unwrap();
        let first = public(&open(Some(directory.path())));
        assert_eq!(public(&open(Some(directory.path()))), first);
        assert_ne!(public(&open(None))["PublicKey"], first["PublicKey"]);
        let file = std::fs::metadata(directory.path().join("keys.json")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
}
