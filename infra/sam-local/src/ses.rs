//! Emulates Amazon SES: accepts `POST /v2/email/outbound-emails`, and keeps each message for display instead
//! of delivering it.
//!
//! A message to the bounce or complaint address of SES's mailbox simulator puts a bounce or complaint event
//! on the default bus, as if the message's configuration set had an event destination there. A message
//! without a configuration set causes no event.

use std::{fmt::Write as _, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{aws::arn, clock::Clock, clock::unique_id, history::History, iam::Access};

/// The stack's Amazon SES, with the messages that functions have sent.
pub(crate) struct Ses {
    clock: Arc<Clock>,
    sent: History<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    from_email_address: String,
    destination: Destination,
    content: Content,
    configuration_set_name: Option<String>,
}

/// A bounce or complaint event about a message, which SES puts on the default bus.
#[derive(Debug)]
pub(crate) struct Feedback {
    pub(crate) detail_type: &'static str,
    pub(crate) detail: Value,
}

/// The domain of SES's mailbox simulator.
const SIMULATOR: &str = "simulator.amazonses.com";

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

/// Returns the accesses for which the caller of `SendEmail` needs permission: the action on the sender's
/// identity, and on the configuration set if the request names one. The sender's identity is always a domain
/// here.
pub(crate) fn accesses(body: &[u8]) -> Vec<Access<'static>> {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let from = request["FromEmailAddress"].as_str().unwrap_or_default();
    let domain = from.rsplit('@').next().unwrap_or_default().trim_end_matches('>');
    let set = request["ConfigurationSetName"].as_str();
    let names =
        [Some(format!("identity/{domain}")), set.map(|set| format!("configuration-set/{set}"))];
    let access = |name: String| Access {
        action: "ses:SendEmail".to_owned(),
        resource: arn("ses", &name),
        partitions: Vec::new(),
    };
    names.into_iter().flatten().map(access).collect()
}

/// Returns the bounce or complaint event that a message to `address` with the configuration set `set` causes.
/// Only two addresses of the mailbox simulator cause one; `None` for any other address.
fn feedback(address: &str, set: &str) -> Option<Feedback> {
    let (name, domain) = address.split_once('@')?;
    if domain != SIMULATOR {
        return None;
    }
    let recipients = json!([{"emailAddress": address}]);
    let (detail_type, event_type, name, what) = match name {
        "bounce" => {
            let bounce = json!({"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": recipients});
            ("Email Bounced", "Bounce", "bounce", bounce)
        }
        "complaint" => {
            let complaint = json!({"complainedRecipients": recipients});
            ("Email Complaint Received", "Complaint", "complaint", complaint)
        }
        _ => return None,
    };
    let tags = json!({"ses:configuration-set": [set]});
    let mail = json!({"destination": [address], "tags": tags});
    Some(Feedback {
        detail_type,
        detail: json!({"eventType": event_type, name: what, "mail": mail}),
    })
}

impl Ses {
    pub(crate) fn new(clock: Arc<Clock>, kept: usize) -> Arc<Self> {
        Arc::new(Self { clock, sent: History::new(kept) })
    }

    /// Handles `SendEmail`. Returns the response, and the events that SES emits about the message afterwards.
    /// Fails with a message if the request is malformed or has no recipient.
    pub(crate) fn send(&self, body: &[u8]) -> Result<(Value, Vec<Feedback>), String> {
        let request: Request = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if request.destination.to_addresses.is_empty() {
            return Err("Destination: there is no recipient".to_owned());
        }
        let told = request.configuration_set_name.as_deref().map_or_else(Vec::new, |set| {
            let addresses = request.destination.to_addresses.iter();
            addresses.filter_map(|address| feedback(address, set)).collect()
        });
        let Simple { subject, body } = request.content.simple;
        let data = |text: Option<Text>| text.map(|text| text.data);
        let id = unique_id();
        self.sent.push(json!({
            "id": id,
            "time": self.clock.now().to_string(),
            "from": request.from_email_address,
            "to": request.destination.to_addresses,
            "subject": subject.data,
            "text": data(body.text),
            "html": data(body.html),
        }));
        Ok((json!({ "MessageId": id }), told))
    }

    /// Returns the messages that were sent, oldest first.
    pub(crate) fn sent(&self) -> Vec<Value> {
        self.sent.entries()
    }

    /// Returns an HTML page with the sent messages, newest first. Messages are shown in frames that run no scripts;
    /// links open in a tab of their own.
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
            let html = message["html"].as_str().unwrap_or_default();
            let html = escaped(&html.replace("<a ", "<a target=\"_blank\" "));
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
                html,
            );
        }
        page
    }
}

/// Escapes `text` for HTML, between tags and in attributes with double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(to: &[&str]) -> Vec<u8> {
        let text = |text: &str| json!({"Charset": "UTF-8", "Data": text});
        let html = "<p>Hello</p><a href=\"/pets\">See</a>";
        let body = json!({"Text": text("Hello"), "Html": text(html)});
        json!({
            "FromEmailAddress": "Pets <no-reply@pets.example>",
            "Destination": {"ToAddresses": to},
            "Content": {"Simple": {"Subject": text("\"Hi\" <you>"), "Body": body}},
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn sent_messages_are_shown_and_escaped() {
        let ses = Ses::new(Arc::new(Clock::open(None).unwrap()), usize::MAX);
        assert!(ses.page().contains("Nothing was sent"));
        let (answer, told) = ses.send(&message(&["ann@example.com"])).unwrap();
        assert!(told.is_empty(), "{told:?}");
        let sent = &ses.sent()[0];
        assert_eq!(
            (&sent["id"], &sent["to"][0]),
            (&answer["MessageId"], &json!("ann@example.com"))
        );
        assert_eq!(sent["text"], "Hello");
        assert!(sent["html"].as_str().unwrap().starts_with("<p>Hello</p>"), "{sent}");
        let page = ses.page();
        assert!(page.contains("&quot;Hi&quot; &lt;you&gt;"), "{page}");
        assert!(page.contains("srcdoc=\"&lt;p&gt;Hello&lt;/p&gt;"), "{page}");
        // Links open in a tab of their own: the page in a frame could not be left.
        assert!(
            page.contains("&lt;a target=&quot;_blank&quot; href=&quot;/pets&quot;&gt;"),
            "{page}"
        );
    }

    #[test]
    fn a_message_without_recipient_is_refused() {
        let ses = Ses::new(Arc::new(Clock::open(None).unwrap()), usize::MAX);
        assert!(ses.send(&message(&[])).is_err() && ses.send(b"{}").is_err());
        assert!(ses.sent().is_empty());
    }

    #[test]
    fn the_sender_names_the_identity_that_a_policy_must_allow() {
        let [access] = accesses(&message(&["ann@example.com"])).try_into().unwrap();
        assert_eq!(access.action, "ses:SendEmail");
        assert_eq!(access.resource, arn("ses", "identity/pets.example"));
    }

    #[test]
    fn the_mailbox_simulator_bounces_and_complains_where_a_configuration_set_tells_of_it() {
        let ses = Ses::new(Arc::new(Clock::open(None).unwrap()), usize::MAX);
        let to = [
            "bounce@simulator.amazonses.com",
            "ann@example.com",
            "complaint@simulator.amazonses.com",
        ];
        let mut request: Value = serde_json::from_slice(&message(&to)).unwrap();
        assert!(ses.send(request.to_string().as_bytes()).unwrap().1.is_empty());
        request["ConfigurationSetName"] = json!("pets");
        let request = request.to_string();
        let (_, told) = ses.send(request.as_bytes()).unwrap();
        let types: Vec<_> = told.iter().map(|one| one.detail_type).collect();
        assert_eq!(types, ["Email Bounced", "Email Complaint Received"]);
        let detail = &told[0].detail;
        assert_eq!(detail["bounce"]["bouncedRecipients"][0]["emailAddress"], to[0]);
        assert_eq!(detail["mail"]["tags"]["ses:configuration-set"], json!(["pets"]));
        let resources: Vec<_> =
            accesses(request.as_bytes()).into_iter().map(|one| one.resource).collect();
        assert_eq!(
            resources,
            ["identity/pets.example", "configuration-set/pets"].map(|one| arn("ses", one))
        );
    }
}
