//! Acknowledgements: what a participant sends to answer, and its bounds.

use serde::{Deserialize, Deserializer};

use super::participation::{Answer, AnswerStatus, Retained};
use super::time::Round;
use super::value::{
    BoundedText, Count, FromText, Integer, NonBlank, deserialize_present, deserialize_text,
};
use super::{Error, Timestamp};

/// Maximum number of kinds that a participant retains.
pub const MAX_RETAINED: usize = 20;

/// An answer as it is sent. Nothing in it is personal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    status: AnswerStatus,
    /// Round that it is an answer to; `None` for the current one.
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

/// A time in any spelling of RFC 3339.
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
    /// Returns the round that it is an answer to, if it names one, and the answer. Refused if it retains too many kinds.
    pub fn answer(self) -> Result<(Option<u64>, Answer), Error> {
        if self.retained.len() > MAX_RETAINED {
            let rule = format!("must have at most {MAX_RETAINED} entries");
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
