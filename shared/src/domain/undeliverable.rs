//! Undeliverable addresses: after a message to it bounced or was marked as spam, an address gets no mail for
//! a while.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Why an address gets no mail for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndeliverableReason {
    /// The recipient's mail server refused a message permanently: there is no such mailbox.
    Bounced,
    /// The recipient marked a message as spam.
    Complained,
}

/// Record of an address that gets no mail for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undeliverable {
    /// Why the address gets no mail.
    pub reason: UndeliverableReason,
    /// When the message bounced or was marked as spam.
    pub tm: Timestamp,
}

impl UndeliverableReason {
    /// Returns how long the address gets no mail: 90 days after a bounce, since the mailbox may be created
    /// again, and a year after a complaint.
    #[must_use]
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::Bounced => Duration::from_hours(90 * 24),
            Self::Complained => Duration::from_hours(365 * 24),
        }
    }
}

impl Undeliverable {
    /// Returns when the address gets mail again.
    #[must_use]
    pub fn until(self) -> Timestamp {
        self.tm.plus(self.reason.lifetime())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_mail_again_after_90_days_or_a_year() {
        let at = |text| Timestamp::parse(text).unwrap();
        let tm = at("2026-01-01T00:00:00Z");
        let until = |reason| Undeliverable { reason, tm }.until();
        assert_eq!(until(UndeliverableReason::Bounced), at("2026-04-01T00:00:00Z"));
        assert_eq!(until(UndeliverableReason::Complained), at("2027-01-01T00:00:00Z"));
    }
}
