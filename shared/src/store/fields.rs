//! What becomes of each stored field when its account is erased: said where the field is declared, so
//! that a field about which nothing is said does not compile.

use serde::Serialize;

use super::{access_key, agent, customer, erasure, idempotency, login, outbox, resource, session};

/// What becomes of a stored field when its account is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// It is part of what is kept, the tombstone or the ledger, and not personal.
    Kept,
    /// The item is kept, the field in it becomes what it is in an account of which nothing is said.
    Blanked,
    /// The whole item goes.
    Deleted,
}

/// A stored field.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Field {
    /// Its name in the item.
    pub name: &'static str,
    /// What becomes of it.
    pub rule: Rule,
    /// Whether it may say something about a person.
    pub personal: bool,
}

/// Attributes whose fields are all declared.
pub trait Declared {
    /// Every field.
    const FIELDS: &'static [Field];
}

/// Declares the attributes of an item. Behind each field's type comes what becomes of it, and `personal`
/// if it may say something about a person.
macro_rules! stored {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty => $rule:ident $($personal:ident)?,)+
        }
    ) => {
        $(#[$meta])*
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type,)+ }

        impl $crate::store::fields::Declared for $name {
            const FIELDS: &'static [$crate::store::fields::Field] = &[$(
                $crate::store::fields::Field {
                    name: stringify!($field),
                    rule: $crate::store::fields::Rule::$rule,
                    personal: false $(|| $crate::store::fields::$personal())?,
                },
            )+];
        }
    };
}
pub(super) use stored;

/// Marks a field in [`stored!`].
pub(super) const fn personal() -> bool {
    true
}

/// Every item that says something about an account, with its fields. What else the tables hold is counts
/// under hashes, which expire.
pub const ITEMS: &[(&str, &[Field])] = &[
    ("customer", customer::CustomerAttributes::FIELDS),
    ("email_lock", customer::EmailLock::FIELDS),
    ("agent", agent::AgentAttributes::FIELDS),
    ("username_lock", login::LoginAttributes::FIELDS),
    ("accesskey", access_key::AccessKeyAttributes::FIELDS),
    ("session", session::SessionAttributes::FIELDS),
    ("idempotency_key", idempotency::IdempotencyAttributes::FIELDS),
    ("resource", resource::ResourceAttributes::FIELDS),
    ("event", outbox::OutboxEntry::FIELDS),
    ("erasure", erasure::ErasureAttributes::FIELDS),
];

/// The names of those fields that become blank.
#[must_use]
pub fn blanked<T: Declared>() -> Vec<&'static str> {
    let blanked = T::FIELDS.iter().filter(|field| field.rule == Rule::Blanked);
    blanked.map(|field| field.name).collect()
}
