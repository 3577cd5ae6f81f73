//! Holds (operators' orders that an account is not deleted) as they are stored: in the account's root, and in
//! its row in the ledger of erasures.

use serde::{Deserialize, Serialize};

use crate::domain::hold::{Hold, HoldName, Holds};
use crate::domain::{Actor, Timestamp};

/// A hold as it is stored: an element of the attribute that lists an account's holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct HoldAttributes {
    name: String,
    reason: String,
    by: Actor,
    tm_hold: Timestamp,
}

/// Returns the holds in their stored form; `None` if there are none, so that conditions can test whether the
/// attribute exists.
pub(super) fn list(holds: &Holds) -> Option<Vec<HoldAttributes>> {
    let attributes = |(name, hold): (&HoldName, &Hold)| HoldAttributes {
        name: name.to_string(),
        reason: hold.reason.clone(),
        by: hold.by,
        tm_hold: hold.tm_hold,
    };
    (!holds.is_empty()).then(|| holds.iter().map(attributes).collect())
}

/// Returns the holds in a stored list.
pub(super) fn holds(list: Option<Vec<HoldAttributes>>) -> Holds {
    let hold = |stored: HoldAttributes| {
        let hold = Hold { reason: stored.reason, by: stored.by, tm_hold: stored.tm_hold };
        (HoldName::trusted(stored.name), hold)
    };
    list.into_iter().flatten().map(hold).collect()
}
