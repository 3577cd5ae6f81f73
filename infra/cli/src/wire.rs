//! The API's answers: types with the fields that the commands read. All other fields are ignored.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The error of a refused request.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    /// Reason code, for programs.
    pub(crate) reason: String,
    /// Message, for people.
    pub(crate) message: String,
    /// Id of the request, by which it is found in the log.
    pub(crate) request_id: String,
    #[serde(default)]
    details: Vec<Value>,
}

/// The body of every error response: a JSON object that contains the error.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) error: Refusal,
}

impl Refusal {
    /// Returns a hint about the next step; `None` for a reason code that no command helps with.
    fn advice(&self) -> Option<&'static str> {
        Some(match self.reason.as_str() {
            "PLAN_OUTDATED" => {
                "Nothing was deleted. Plan again, and see what is different: tenure plan CUSTOMER"
            }
            "LEGAL_HOLD" => "See the holds: tenure hold list CUSTOMER",
            "DELETION_LIMIT" => "Nothing was deleted.",
            "INVALID_CREDENTIALS" | "AUTHENTICATION_REQUIRED" => "Log in again: tenure login",
            "ERASURE_NOT_FOUND" => "To delete the account: tenure plan CUSTOMER",
            _ => return None,
        })
    }

    /// Returns the differences between an outdated plan and the account as it is now, one line each.
    fn differences(&self) -> Vec<String> {
        let Some(details) = self.details.first() else { return Vec::new() };
        let changed = details["account_changed"] == true;
        let kinds = details["resources"].as_object().into_iter().flatten();
        let kinds = kinds.map(|(kind, counts)| {
            format!("{kind}: {} planned, {} now", counts["planned"], counts["found"])
        });
        changed
            .then(|| "The account itself has changed.".to_owned())
            .into_iter()
            .chain(kinds)
            .collect()
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n({}, request {})", self.message, self.reason, self.request_id)?;
        self.differences().iter().try_for_each(|difference| write!(f, "\n{difference}"))?;
        self.advice().map_or(Ok(()), |advice| write!(f, "\n{advice}"))
    }
}

/// A page of a list, or a list that has no pages. The rows are kept as they were sent, for `--json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) result: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(crate) next_page_token: String,
}

/// An account.
#[derive(Debug, Deserialize)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) detail: String,
    pub(crate) email: String,
    pub(crate) email_verified: bool,
    pub(crate) webhook_uri: String,
    pub(crate) status: String,
    pub(crate) tm_create: String,
    pub(crate) tm_deletion_scheduled: Option<String>,
    pub(crate) tm_delete: Option<String>,
}

/// An account's state at a glance.
#[derive(Debug, Deserialize)]
pub(crate) struct Overview {
    pub(crate) stage: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) frozen_by_operator: bool,
    pub(crate) holds: Vec<Hold>,
    pub(crate) suspension: Option<Suspension>,
    pub(crate) admins: u64,
    #[serde(default)]
    pub(crate) resources: BTreeMap<String, u64>,
    pub(crate) tm_last_login: Option<String>,
    pub(crate) tm_webhook_failing: Option<String>,
}

/// A suspension: an operator has barred an account's own agents and access keys from reading and changing it.
#[derive(Debug, Deserialize)]
pub(crate) struct Suspension {
    pub(crate) since: String,
}

/// A hold: an operator's order not to delete an account, and to preserve what it owns.
#[derive(Debug, Deserialize)]
pub(crate) struct Hold {
    pub(crate) name: String,
    pub(crate) reason: String,
    pub(crate) by: Actor,
    pub(crate) since: String,
}

/// The person, program or part of the system that did something.
#[derive(Debug, Deserialize)]
pub(crate) struct Actor {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    role: String,
}

impl Display for Actor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.role)?;
        self.id.as_ref().map_or(Ok(()), |id| write!(f, " {id}"))
    }
}

/// The plan of a deletion: the effects that deleting an account would have.
#[derive(Debug, Deserialize)]
pub(crate) struct Plan {
    pub(crate) digest: String,
    pub(crate) blockers: Vec<String>,
    pub(crate) resources: BTreeMap<String, u64>,
    pub(crate) fields: BTreeMap<String, Vec<Field>>,
    pub(crate) capacity: Capacity,
}

/// The effect of a deletion on one stored field.
#[derive(Debug, Deserialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) rule: String,
}

/// DynamoDB capacity units that the purge of an account consumes.
#[derive(Debug, Deserialize)]
pub(crate) struct Capacity {
    pub(crate) wcu: u64,
    pub(crate) rcu: u64,
}

/// Progress of an erasure.
#[derive(Debug, Deserialize)]
pub(crate) struct Erasure {
    pub(crate) stage: String,
    pub(crate) tm_due: Option<String>,
    #[serde(default)]
    pub(crate) resources: BTreeMap<String, Progress>,
    #[serde(default)]
    pub(crate) quarantined: u64,
    pub(crate) last_error: Option<String>,
    #[serde(default)]
    pub(crate) participants: Vec<Part>,
    #[serde(default)]
    pub(crate) receipts: Vec<String>,
}

/// Progress of the purge for one kind of item: the numbers of items found and deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) found: u64,
    pub(crate) deleted: u64,
}

/// State of one participant (an external system that keeps data for accounts) in an erasure: its answer, and
/// the deadline for the answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) required: bool,
    pub(crate) state: String,
    pub(crate) tm_deadline: String,
}

/// An event: something that happened to an account.
#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) timestamp: String,
    pub(crate) actor: Actor,
    pub(crate) subjects: Vec<String>,
    pub(crate) hold: Option<String>,
}

/// The delivery of one event to an account's webhook.
#[derive(Debug, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) attempts: u64,
    pub(crate) last_result: Option<String>,
    pub(crate) tm_next_attempt: Option<String>,
}

impl Delivery {
    /// Whether the event is undelivered, and the last attempt has failed.
    pub(crate) fn fails(&self) -> bool {
        self.status != "delivered"
            && self.last_result.as_deref().is_some_and(|result| result != "delivered")
    }
}

/// A new session.
#[derive(Debug, Deserialize)]
pub(crate) struct Session {
    pub(crate) token: crate::profile::Secret,
    pub(crate) tm_expire: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outdated_plan_is_told_with_its_differences() {
        let refusal: Refusal = serde_json::from_str(
            r#"{"status": "FAILED_PRECONDITION", "reason": "PLAN_OUTDATED", "message": "M.", "request_id": "r1", "new": 1,
                "details": [{"account_changed": true, "resources": {"numbers": {"planned": 1, "found": 2}}}]}"#,
        )
        .unwrap();
        let said = refusal.to_string();
        assert!(said.starts_with("M.\n(PLAN_OUTDATED, request r1)\n"), "{said}");
        assert!(
            said.contains(
                "The account itself has changed.\nnumbers: 1 planned, 2 now\nNothing was deleted."
            ),
            "{said}"
        );
    }
}
