//! Acknowledgements: the request bodies in which [participants](super::participant) report how far they have
//! erased their data about an account, and the limits of such a report.

use serde::{Deserialize, Deserializer};

use super::participation::{Answer, AnswerStatus, Retained};
use super::time::Round;
use super::value::{
    BoundedText, Count, FromText, Integer, NonBlank, deserialize_present, deserialize_text,
};
use super::{Error, Timestamp};

/// Maximum number of entries in `retained`: the kinds of items that a participant keeps despite the erasure.
pub const MAX_RETAINED: usize = 10;

/// Maximum total length, in bytes, of the kinds of retained items and the grounds for keeping them in one
/// acknowledgement. The kinds and grounds of all participants are copied into the account's erasure receipts,
/// and all receipts of an account are stored in one item of at most
/// [400 KB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
pub const MAX_RETAINED_BYTES: usize = 1_000;

/// A participant's report on its part in an account's erasure, as the body of a request. It contains no
/// personal data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    status: AnswerStatus,
    /// Round of the erasure that the report is about (an account that a restore brought back is erased again
    /// in a new round); `None` for the current round.
    #[serde(default, deserialize_with = "deserialize_present")]
    round: Option<Integer>,
    #[serde(default)]
    found: Count,
    #[serde(default)]
    deleted: Count,
    #[serde(default)]
    retained: Vec<RetainedItems>,
    #[serde(default)]
    detail: BoundedText<500>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetainedItems {
    kind: NonBlank<64>,
    count: Count,
    ground: NonBlank<200>,
    #[serde(default)]
    until: Option<Time>,
}

/// A time in any format that RFC 3339 allows.
#[derive(Debug)]
struct Time(Timestamp);

impl FromText for Time {
    type Violation = &'static str;
    fn from_text(text: &str) -> Result<Self, &'static str> {
        let time = Timestamp::parse_rfc3339(text, Round::Down).map(Self);
        time.ok_or("must be an RFC 3339 time such as 2030-01-31T00:00:00Z")
    }
    fn rule() -> String {
        "an RFC 3339 time such as 2030-01-31T00:00:00Z, or null".to_owned()
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        deserialize_text(from)
    }
}

impl Acknowledgement {
    /// Returns the round that the acknowledgement names, if any, and its content as an [`Answer`]. Fails if
    /// the retained items exceed [`MAX_RETAINED`] or [`MAX_RETAINED_BYTES`].
    pub fn answer(self) -> Result<(Option<u64>, Answer), Error> {
        if self.retained.len() > MAX_RETAINED {
            let rule = format!("must have at most {MAX_RETAINED} entries");
            return Err(Error::invalid_field("retained", rule));
        }
        let length =
            |items: &RetainedItems| items.kind.expose().len() + items.ground.expose().len();
        if self.retained.iter().map(length).sum::<usize>() > MAX_RETAINED_BYTES {
            let rule = format!(
                "must have kinds and grounds of at most {MAX_RETAINED_BYTES} bytes of UTF-8 together"
            );
            return Err(Error::invalid_field("retained", rule));
        }
        let retained = |items: RetainedItems| Retained {
            kind: items.kind.expose().to_owned(),
            count: items.count.0,
            ground: items.ground.expose().to_owned(),
            until: items.until.map(|Time(until)| until),
        };
        let answer = Answer {
            status: self.status,
            found: self.found.0,
            deleted: self.deleted.0,
            retained: self.retained.into_iter().map(retained).collect(),
            detail: self.detail.expose().to_owned(),
        };
        Ok((self.round.map(|Integer(round)| round), answer))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(sent: Value) -> Result<(Option<u64>, Answer), String> {
        let sent: Acknowledgement =
            serde_json::from_value(sent).map_err(|error| error.to_string())?;
        sent.answer().map_err(|error| format!("{error:?}"))
    }

    fn retaining(kinds: usize) -> Value {
        let items = json!({"kind": "cdr", "count": 3, "ground": "§ 147 AO", "until": "2036-01-01T00:00:00Z"});
        json!({"status": "completed", "retained": vec![items; kinds]})
    }

    #[test]
    fn an_answer_has_what_was_sent() {
        let sent = json!({
            "status": "completed", "round": 2, "found": 5, "deleted": 2, "detail": "by hand",
        });
        let (round, read) = answer(sent).unwrap();
        assert_eq!((round, read.status), (Some(2), AnswerStatus::Completed));
        assert_eq!((read.found, read.deleted, read.detail.as_str()), (5, 2, "by hand"));
        let (round, read) = answer(retaining(1)).unwrap();
        let until = Timestamp::parse("2036-01-01T00:00:00Z");
        let (kind, ground) = ("cdr".to_owned(), "§ 147 AO".to_owned());
        assert_eq!(
            (round, read.retained),
            (None, vec![Retained { kind, count: 3, ground, until }])
        );
    }

    #[test]
    fn no_more_than_ten_kinds_are_retained() {
        assert!(answer(retaining(MAX_RETAINED)).is_ok());
        let refused = answer(retaining(MAX_RETAINED + 1)).unwrap_err();
        assert!(refused.contains("retained") && refused.contains("at most 10"), "{refused}");
    }

    #[test]
    fn kinds_and_grounds_have_a_thousand_bytes_together() {
        let mut sent = retaining(MAX_RETAINED);
        for items in sent["retained"].as_array_mut().unwrap() {
            items["ground"] = "é".repeat(48).into();
            items["kind"] = "cdrs".into();
        }
        assert!(answer(sent.clone()).is_ok());
        sent["retained"][0]["kind"] = "calls".into();
        let refused = answer(sent).unwrap_err();
        assert!(refused.contains("retained") && refused.contains("1000 bytes"), "{refused}");
    }

    #[test]
    fn a_time_is_told_its_form() {
        let mut sent = retaining(1);
        sent["retained"][0]["until"] = "tomorrow".into();
        assert!(answer(sent.clone()).unwrap_err().contains("must be an RFC 3339 time"));
        sent["retained"][0]["until"] = 5.into();
        assert!(answer(sent).unwrap_err().contains("an RFC 3339 time such as"));
    }
}
