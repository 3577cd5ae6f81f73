//! Slugs: the form of the names of holds and participants.

/// The rule that [`is_slug`] checks, worded so that it can follow a field's name in a message.
pub const SLUG_RULE: &str =
    "must be 1 to 40 lower-case letters, digits and hyphens, with no hyphen at either end";

/// Whether a name is 1 to 40 lower-case letters, digits and hyphens, with no hyphen at either end.
#[must_use]
pub fn is_slug(name: &str) -> bool {
    let is_made_of = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&name.len())
        && name.bytes().all(is_made_of)
        && !name.starts_with('-')
        && !name.ends_with('-')
}
