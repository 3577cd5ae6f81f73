//! Stored fields, each declared with its fate when its account is erased: a field without one does not compile.

use serde::Serialize;

/// A stored field's fate when its account is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// It stays in the tombstone or the ledger, and is not personal.
    Kept,
    /// The item stays, and the field in it becomes blank: as in a new account without a profile.
    Blanked,
    /// The whole item is deleted.
    Deleted,
}

/// A stored field.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Field {
    /// Name of the attribute.
    pub name: &'static str,
    /// Its fate when its account is erased.
    pub rule: Rule,
    /// Whether it may hold personal data.
    pub personal: bool,
}

/// Attributes of an item, each with its fate. Implemented by `stored!`.
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

/// Returns true. `stored!` calls it for each field that is declared `personal`.
pub(super) const fn personal() -> bool {
    true
}

/// Names of all fields.
pub(super) fn names<T: Declared>() -> Vec<&'static str> {
    T::FIELDS.iter().map(|field| field.name).collect()
}

/// Names of the fields that become blank when the account is erased.
#[must_use]
pub fn blanked<T: Declared>() -> Vec<&'static str> {
    let blanked = T::FIELDS.iter().filter(|field| field.rule == Rule::Blanked);
    blanked.map(|field| field.name).collect()
}
