//! Plays Amazon SES: accepts `POST /v2/email/outbound-emails` and keeps each message, which is shown and never delivered.

use std::{fmt::Write as _, sync::Arc, sync::Mutex};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{aws::arn, clock::Clock, clock::unique_id, iam::Access, sync::lock};

/// Sends mail.
pub(crate) struct Ses {
    clock: Arc<Clock>,
    sent: Mutex<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    from_email_address: String,
    destination: Destination,
    content: Content,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    to_addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    simple: Simple,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Simple {
    subject: Text,
    body: Body,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    text: Option<Text>,
    html: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Text {
    data: String,
}

/// The action that a caller must be allowed. The stack's identities are domains.
pub(crate) fn access(body: &[u8]) -> Access<'static> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let from = request["FromEmailAddress"].as_str().unwrap_or_default();
    let domain = from.rsplit('@').next().unwrap_or_default().trim_end_matches('>');
    let resource = arn("ses", &format!("identity/{domain}"));
    Access { action: "ses:SendEmail".to_owned(), resource, partitions: Vec::new() }
}

impl Ses {
    pub(crate) fn new(clock: Arc<Clock>) -> Arc<Self> {
        Arc::new(Self { clock, sent: Mutex::default() })
    }

    /// Answers `SendEmail`. Fails with a message if the request is malformed or has no recipient.
    pub(crate) fn send(&self, body: &[u8]) -> Result<Value, String> {
        let request: Request = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if request.destination.to_addresses.is_empty() {
            return Err("Destination: there is no recipient".to_owned());
        }
        let Simple { subject, body } = request.content.simple;
        let data = |text: Option<Text>| text.map(|text| text.data);
        let id = unique_id();
        lock(&self.sent).push(json!({
            "id": id,
            "time": self.clock.now().to_string(),
            "from": request.from_email_address,
            "to": request.destination.to_addresses,
            "subject": subject.data,
            "text": data(body.text),
            "html": data(body.html),
        }));
        Ok(json!({ "MessageId": id }))
    }

    /// Every message that was sent, oldest first.
    pub(crate) fn sent(&self) -> Vec<Value> {
        lock(&self.sent).clone()
    }

    /// The same as a page for people. Messages are shown in frames that run no scripts; links open in a tab of their own.
    pub(crate) fn page(&self) -> String {
        let mut page =
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Mail</title>\
                        <style>body{font:16px/1.5 sans-serif;margin:2em auto;max-width:50em}\
                        iframe{width:100%;height:24em;border:1px solid #ccc}</style><h1>Mail</h1>"
                .to_owned();
        let sent = self.sent();
        if sent.is_empty() {
            page.push_str("<p>Nothing was sent.</p>");
        }
        for message in sent.iter().rev() {
            let text = |name: &str| escaped(message[name].as_str().unwrap_or_default());
            let to = escaped(message["to"][0].as_str().unwrap_or_default());
            // Written to a text: this cannot fail.
            let _ = write!(
                page,
                "<details><summary>{}: <b>{}</b>, to {to}</summary>\
                 <iframe title=\"{}\" sandbox=\"allow-popups allow-popups-to-escape-sandbox\" srcdoc=\"{}\"></iframe>\
                 </details>",
                text("time"),
                text("subject"),
                text("subject"),
                text("html"),
            );
        }
        page
    }
}

/// Text for HTML, between tags and in attributes with double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(to: &[&str]) -> Vec<u8> {
        let text = |text: &str| json!({"Charset": "UTF-8", "Data": text});
        let body = json!({"Text": text("Hello"), "Html": text("<p>Hello</p>")});
        json!({
            "FromEmailAddress": "Pets <no-reply@pets.example>",
            "Destination": {"ToAddresses": to},
            "Content": {"Simple": {"Subject": text("\"Hi\" <you>"), "Body": body}},
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn what_was_sent_is_shown_and_escaped() {
        let ses = Ses::new(Arc::new(Clock::open(None).unwrap()));
        assert!(ses.page().contains("Nothing was sent"));
        let answer = ses.send(&message(&["ann@example.com"])).unwrap();
        let sent = &ses.sent()[0];
        assert_eq!(
            (&sent["id"], &sent["to"][0]),
            (&answer["MessageId"], &json!("ann@example.com"))
        );
        assert_eq!((&sent["text"], &sent["html"]), (&json!("Hello"), &json!("<p>Hello</p>")));
        let page = ses.page();
        assert!(page.contains("&quot;Hi&quot; &lt;you&gt;"), "{page}");
        assert!(page.contains("srcdoc=\"&lt;p&gt;Hello&lt;/p&gt;\""), "{page}");
    }

    #[test]
    fn a_message_without_recipient_is_refused() {
        let ses = Ses::new(Arc::new(Clock::open(None).unwrap()));
        assert!(ses.send(&message(&[])).is_err() && ses.send(b"{}").is_err());
        assert!(ses.sent().is_empty());
    }

    #[test]
    fn the_sender_names_the_identity_that_a_policy_must_allow() {
        let access = access(&message(&["ann@example.com"]));
        assert_eq!(access.action, "ses:SendEmail");
        assert_eq!(access.resource, arn("ses", "identity/pets.example"));
    }
}
