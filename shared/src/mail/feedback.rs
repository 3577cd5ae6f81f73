//! Bounces and complaints, as SES publishes them to the event bus
//! (<https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html>).

use std::fmt;

use serde::Deserialize;

use crate::app::App;
use crate::domain::Error;
use crate::domain::undeliverable::{Undeliverable, UndeliverableReason};
use crate::domain::value::{Email, FromText as _};
use crate::platform::metrics::{self, Metric};

/// Notification from SES that a message bounced or that a recipient complained, that is, marked it as spam.
/// Other fields are ignored.
#[derive(Deserialize)]
pub struct Feedback {
    bounce: Option<Bounce>,
    complaint: Option<Complaint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    bounce_type: String,
    bounced_recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    complained_recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: String,
}

impl fmt::Debug for Feedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Feedback(…)")
    }
}

impl Feedback {
    /// Returns why no more mail is to be sent to the message's recipients. `None` if the failure may be
    /// temporary: a full mailbox or an unreachable server may accept the next message.
    fn reason(&self) -> Option<UndeliverableReason> {
        match (&self.complaint, &self.bounce) {
            (Some(_), _) => Some(UndeliverableReason::Complained),
            (None, Some(bounce)) if bounce.bounce_type == "Permanent" => {
                Some(UndeliverableReason::Bounced)
            }
            _ => None,
        }
    }

    /// Returns the addresses of the message's recipients.
    fn recipients(&self) -> impl Iterator<Item = Email> {
        let complained = self.complaint.iter().flat_map(|one| &one.complained_recipients);
        let bounced = self.bounce.iter().flat_map(|one| &one.bounced_recipients);
        let recipients = complained.chain(bounced);
        recipients.filter_map(|one| Email::from_text(&one.email_address).ok())
    }

    /// Records that no more mail is to be sent to the recipients, if the message bounced permanently or was
    /// marked as spam.
    pub async fn record(&self, app: &App) -> Result<(), Error> {
        let Some(reason) = self.reason() else { return Ok(()) };
        let now = app.now();
        for email in self.recipients() {
            app.store.record_undeliverable(&email, Undeliverable { reason, tm: now }, now).await?;
        }
        metrics::emit(now, &[metric(reason)]);
        Ok(())
    }
}

const fn metric(reason: UndeliverableReason) -> Metric {
    match reason {
        UndeliverableReason::Bounced => ("MailBounced", "Count", 1),
        UndeliverableReason::Complained => ("MailComplained", "Count", 1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn feedback(detail: Value) -> Feedback {
        serde_json::from_value(detail).unwrap()
    }

    fn bounce(bounce_type: &str) -> Feedback {
        let recipients = json!([{"emailAddress": "ann@example.com", "status": "5.1.1"}]);
        let bounce = json!({"bounceType": bounce_type, "bouncedRecipients": recipients});
        feedback(json!({"eventType": "Bounce", "bounce": bounce, "mail": {}}))
    }

    #[test]
    fn only_permanent_bounces_and_complaints_stop_mail() {
        assert_eq!(bounce("Permanent").reason(), Some(UndeliverableReason::Bounced));
        assert_eq!(bounce("Transient").reason(), None);
        assert_eq!(bounce("Undetermined").reason(), None);
        let recipients = json!([{"emailAddress": "ann@example.com"}]);
        let complaint = json!({"complaint": {"complainedRecipients": recipients}});
        assert_eq!(feedback(complaint).reason(), Some(UndeliverableReason::Complained));
        assert_eq!(feedback(json!({"eventType": "Delivery", "delivery": {}})).reason(), None);
    }

    #[test]
    fn each_reason_moves_a_metric_of_its_own() {
        assert_eq!(metric(UndeliverableReason::Bounced), ("MailBounced", "Count", 1));
        assert_eq!(metric(UndeliverableReason::Complained), ("MailComplained", "Count", 1));
    }

    #[test]
    fn recipients_that_are_no_addresses_are_ignored() {
        let recipients =
            json!([{"emailAddress": "postmaster"}, {"emailAddress": "ann@example.com"}]);
        let bounce = json!({"bounceType": "Permanent", "bouncedRecipients": recipients});
        let recipients: Vec<_> = feedback(json!({ "bounce": bounce })).recipients().collect();
        assert_eq!(recipients, [Email::from_text("ann@example.com").unwrap()]);
    }
}
