//! Results of delivery attempts.

use serde::{Deserialize, Serialize};

/// Result of an attempt to deliver a webhook, as a coarse class. No further details are shown to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryResult {
    /// Delivered: the receiver answered 2xx.
    Delivered,
    /// The receiver is gone: it answered 410.
    Gone,
    /// The receiver answered 3xx. Redirects are never followed.
    #[serde(rename = "3xx")]
    Redirected,
    /// The receiver answered 4xx other than 410.
    #[serde(rename = "4xx")]
    Refused,
    /// The receiver answered 5xx.
    #[serde(rename = "5xx")]
    Failed,
    /// The receiver did not answer in time.
    Timeout,
    /// The host name does not resolve, or nothing accepts a connection at its address.
    Unreachable,
    /// The TLS handshake failed, or the certificate is not the host's.
    Tls,
    /// Not sent: the webhook URI is not an allowed [webhook target](super::webhook_target).
    Blocked,
    /// The answer is not HTTP or has a status outside 200 to 599, or the connection closed before it arrived.
    Protocol,
}

impl DeliveryResult {
    /// Every result.
    pub const ALL: [Self; 10] = [
        Self::Delivered,
        Self::Gone,
        Self::Redirected,
        Self::Refused,
        Self::Failed,
        Self::Timeout,
        Self::Unreachable,
        Self::Tls,
        Self::Blocked,
        Self::Protocol,
    ];

    /// Returns the result of an attempt that the receiver answered with this HTTP status.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            300..=399 => Self::Redirected,
            410 => Self::Gone,
            400..=499 => Self::Refused,
            500..=599 => Self::Failed,
            _ => Self::Protocol,
        }
    }

    /// Returns the result's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Gone => "gone",
            Self::Redirected => "3xx",
            Self::Refused => "4xx",
            Self::Failed => "5xx",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Blocked => "blocked",
            Self::Protocol => "protocol",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_serialized_as_its_name() {
        for result in DeliveryResult::ALL {
            let text = serde_json::to_string(&result).unwrap();
            assert_eq!(text, format!("{:?}", result.name()));
            assert_eq!(serde_json::from_str::<DeliveryResult>(&text).unwrap(), result);
        }
    }

    #[test]
    fn every_status_has_its_class() {
        let of = |status| DeliveryResult::of_status(status).name();
        assert_eq!([200, 204, 299].map(of), ["delivered"; 3]);
        assert_eq!([300, 304, 308, 399].map(of), ["3xx"; 4]);
        assert_eq!([400, 404, 409, 411, 499].map(of), ["4xx"; 5]);
        assert_eq!(of(410), "gone");
        assert_eq!([500, 503, 599].map(of), ["5xx"; 3]);
        assert_eq!([100, 101, 199, 600, 999].map(of), ["protocol"; 5]);
    }
}
