//! The fate of an account's data when the account is erased, in words for people. Which items and fields are deleted,
//! erased or kept is derived from the rules that `stored!` declares; only the words are written here.

use super::fields::{Declared as _, Field, Rule};
use super::items::ITEMS;
use super::root::CustomerAttributes;

/// Description of each type of item in [`ITEMS`], in words that an account's owner understands; `None` for
/// types that are not about an account.
const WORDS: &[(&str, Option<&str>)] = &[
    (
        "customer",
        Some(
            "that the account existed: its id, its status, when it was created and deleted, and some counters",
        ),
    ),
    ("email_lock", Some("the reservation of the e-mail address")),
    ("email_entry", Some("the entry under which the account is found by its address")),
    ("marker", Some("the entries under which the account is found by its state")),
    ("agent", Some("agents: the people who sign in, with their names")),
    ("username_lock", Some("user names, and the hashes of passwords")),
    ("accesskey", Some("access keys")),
    ("session", Some("sessions")),
    ("attempts", Some("counts of attempts to sign in")),
    ("idempotency_key", Some("records of requests that may be repeated")),
    ("resource", Some("everything else that the account owns, with its content")),
    ("event", Some("the history of changes, which names nobody")),
    ("mail", Some("mail that waits to be sent")),
    ("mail_intent", Some("requests for mail")),
    ("mailed_token", Some("links that were mailed and not used")),
    ("pending_sign_up", Some("sign-ups that were not completed")),
    (
        "erasure",
        Some(
            "the record of the deletion: when it was requested and done and in which role, the number of items of each kind, and the signed receipts",
        ),
    ),
    ("participants", None),
    ("participation", Some("what other systems have answered that were asked to delete")),
    ("ticket", Some("the hashes of the tickets by which the deletion can be followed")),
];

/// Words for the personal fields of the account's own item, which become blank when the account is erased.
const FIELD_WORDS: &[(&str, &str)] = &[
    ("name", "name"),
    ("detail", "description"),
    ("email", "e-mail address"),
    ("phone_number", "phone number"),
    ("address", "postal address"),
    ("webhook_uri", "address for webhooks"),
    ("retained_email", "the verified address before it"),
    ("name_key", "the key by which the name is searched"),
];

/// What happens to an account's data when the account is erased, in words for people.
#[derive(Debug, PartialEq, Eq)]
pub struct Fates {
    /// Items that are deleted.
    pub deleted: Vec<&'static str>,
    /// Personal fields of the account that are erased.
    pub erased: Vec<&'static str>,
    /// Items that are kept; nothing in them is personal.
    pub kept: Vec<&'static str>,
}

impl Fates {
    /// Derives, from the erase rules of all stored fields, what is deleted, erased and kept.
    #[must_use]
    pub fn by_the_rules() -> Self {
        let (kept, deleted): (Vec<_>, Vec<_>) =
            ITEMS.iter().partition(|(_, fields)| fields.iter().any(is_kept));
        let words =
            |items: Vec<&(&str, _)>| items.iter().filter_map(|item| words(item.0)).collect();
        let erased = CustomerAttributes::FIELDS.iter().filter(|field| field.personal);
        Self {
            deleted: words(deleted),
            erased: erased.filter_map(|field| field_words(field.name)).collect(),
            kept: words(kept),
        }
    }
}

fn is_kept(field: &Field) -> bool {
    field.rule == Rule::Kept
}

fn words(item: &str) -> Option<&'static str> {
    WORDS.iter().find(|(name, _)| *name == item).and_then(|(_, words)| *words)
}

fn field_words(field: &str) -> Option<&'static str> {
    FIELD_WORDS.iter().find(|(name, _)| *name == field).map(|(_, words)| *words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_and_every_personal_field_of_the_account_has_words() {
        let items: Vec<_> = ITEMS.iter().map(|(name, _)| *name).collect();
        let worded: Vec<_> = WORDS.iter().map(|(name, _)| *name).collect();
        assert_eq!(worded, items, "WORDS has the items of ITEMS, in their order");
        let personal = CustomerAttributes::FIELDS.iter().filter(|field| field.personal);
        let mut personal: Vec<_> = personal.map(|field| field.name).collect();
        let mut worded: Vec<_> = FIELD_WORDS.iter().map(|(name, _)| *name).collect();
        personal.sort_unstable();
        worded.sort_unstable();
        assert_eq!(worded, personal);
    }

    #[test]
    fn nothing_personal_is_said_to_be_kept() {
        for (item, fields) in ITEMS {
            for field in fields.iter().filter(|field| field.personal) {
                assert_ne!(field.rule, Rule::Kept, "{item}.{}", field.name);
            }
        }
        let account = CustomerAttributes::FIELDS.iter().filter(|field| field.personal);
        assert!(account.clone().all(|field| field.rule == Rule::Blanked));
    }

    #[test]
    fn what_is_said_follows_the_rules() {
        let fates = Fates::by_the_rules();
        assert!(fates.deleted.contains(&"access keys") && !fates.kept.contains(&"access keys"));
        assert!(fates.kept.iter().any(|words| words.contains("signed receipts")), "{fates:?}");
        assert!(fates.erased.contains(&"e-mail address"));
        let said = fates.deleted.len() + fates.kept.len();
        assert_eq!(said, WORDS.iter().filter(|(_, words)| words.is_some()).count());
    }
}
