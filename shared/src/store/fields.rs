//! Stored fields. Each is declared with a rule: what happens to the field when its account is erased. A field without
//! a rule does not compile.

use serde::Serialize;

/// A stored field's fate when its account is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The field is not personal, and stays: in the tombstone (what is kept of a deleted account) or in the ledger
    /// of erasures.
    Kept,
    /// The item stays, but the field becomes blank, as in a new account without a profile.
    Blanked,
    /// The whole item is deleted.
    Deleted,
}

/// A stored field.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Field {
    /// Name of the attribute.
    pub name: &'static str,
    /// Rule for the field when its account is erased.
    pub rule: Rule,
    /// Whether the stored field may hold personal data.
    pub personal: bool,
}

/// The attributes of an item, each with its rule for the erasure of the account. Implemented by `stored!`.
pub trait Declared {
    /// All fields of the item.
    const FIELDS: &'static [Field];
}

/// Declares the attributes of an item. Each field's type is followed by its [`Rule`], and by `personal` if it may hold
/// personal data.
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

/// Returns true. `stored!` makes the word `personal` after a field's rule a call of this function, so that no other
/// word compiles there.
pub(super) const fn personal() -> bool {
    true
}

/// Returns the names of all fields of `T`.
pub(super) fn names<T: Declared>() -> Vec<&'static str> {
    T::FIELDS.iter().map(|field| field.name).collect()
}

/// Returns the names of the fields of `T` that become blank when the account is erased.
#[must_use]
pub fn blanked<T: Declared>() -> Vec<&'static str> {
    let blanked = T::FIELDS.iter().filter(|field| field.rule == Rule::Blanked);
    blanked.map(|field| field.name).collect()
}
