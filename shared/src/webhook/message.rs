//! Builds webhook requests and signs them: as Standard Webhooks prescribes
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>), and in the
//! header `X-VoIPBIN-Signature`.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;

use crate::domain::value::WebhookMethod;
use crate::domain::webhook::{Webhook, WebhookSecret};
use crate::domain::{Actor, Error, Timestamp};
use crate::store::outbox::OutboxEntry;

/// Headers and body of one webhook request.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    timestamp: Timestamp,
    /// Position in the account's sequence of events, which has no gaps. `None` for an event of an erased
    /// account.
    sequence: Option<u64>,
    /// Actor that caused the event; of an operator only the type and the role, without ids.
    actor: Actor,
    data: Value,
}

impl Message {
    /// Builds and signs the request that delivers `event` to `webhook`. `now` is the time in the signature;
    /// the body is the same at every attempt, and empty with the method `GET`.
    pub(super) fn new(
        event: &OutboxEntry,
        webhook: &Webhook,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let payload = Payload {
            name: &event.name,
            timestamp: event.tm_event,
            sequence: event.sequence,
            actor: event.actor.seen_by_owner_of(event.customer_id),
            data: event.data(),
        };
        let body = match webhook.method {
            WebhookMethod::Get => String::new(),
            _ => serde_json::to_string(&payload)
                .map_err(|error| Error::Internal(error.to_string()))?,
        };
        let (id, seconds) = (event.id.to_string(), now.seconds().to_string());
        let mut headers = vec![
            ("webhook-signature", signatures(&webhook.secrets, &id, &seconds, &body)?),
            ("webhook-id", id),
            ("webhook-timestamp", seconds),
        ];
        if let Some(secret) = webhook.secrets.first() {
            let signature = hmac(secret.expose().as_bytes(), &[&body])?;
            headers
                .push(("x-voipbin-signature", format!("sha256={}", HEXLOWER.encode(&signature))));
        }
        if !body.is_empty() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        Ok(Self { headers, body })
    }
}

/// Returns the value of the header `webhook-signature`: one signature per secret, the newest first.
fn signatures(
    secrets: &[WebhookSecret],
    id: &str,
    seconds: &str,
    body: &str,
) -> Result<String, Error> {
    let sign = |secret: &WebhookSecret| {
        let key = secret.key().ok_or_else(|| Error::Internal("a secret has no key".to_owned()))?;
        let signature = hmac(&key, &[id, ".", seconds, ".", body])?;
        Ok(format!("v1,{}", BASE64.encode(&signature)))
    };
    Ok(secrets.iter().map(sign).collect::<Result<Vec<_>, Error>>()?.join(" "))
}

fn hmac(key: &[u8], parts: &[&str]) -> Result<Vec<u8>, Error> {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    let mut mac = mac.map_err(|error| Error::Internal(error.to_string()))?;
    for part in parts {
        mac.update(part.as_bytes());
    }
    Ok(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example is from the reference implementations of the Standard Webhooks specification.
    #[test]
    fn signature_matches_the_standard_webhooks_example() {
        let secret = WebhookSecret::trusted("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let signed = signatures(
            &[secret],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
