//! Tickets, `vbt_…`: whoever presents a ticket sees the progress of an account's erasure, and its receipts. A
//! ticket is valid as long as the ledger, the record of erasures, is kept.
//!
//! A ticket is 128 random bits in base 62, as in [other tokens](super::token). It identifies nobody, and is
//! no credential: it gives no access to personal data, and changes nothing. The tables contain only its hash.

use std::fmt;

use super::digest::sha256;
use super::token::{self, DIGITS};

const PREFIX: &str = "vbt_";

/// A ticket in plain text, which is shown to the account's owner once.
pub struct Ticket(String);

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(…)")
    }
}

impl Ticket {
    /// Returns a new ticket.
    #[must_use]
    pub fn new(secret: [u8; 16]) -> Self {
        let mut text = PREFIX.to_owned();
        token::push_base62(&mut text, u128::from_be_bytes(secret), DIGITS);
        Self(text)
    }

    /// Returns the path at which the API shows the erasure's status. The path contains the ticket itself.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/v1.0/erasures/{}", self.0)
    }

    /// Returns the path of the page that shows the status to people. The ticket is in the fragment, so that
    /// no server or log sees it.
    #[must_use]
    pub fn page(&self) -> String {
        format!("/account#ticket={}", self.0)
    }

    /// Returns the hash under which the ticket is stored.
    #[must_use]
    pub fn hash(&self) -> TicketHash {
        TicketHash::of(&self.0)
    }
}

/// SHA-256 of a ticket, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketHash(String);

impl TicketHash {
    /// Returns the hash of what somebody presents as a ticket, well-formed or not.
    #[must_use]
    pub fn of(presented: &str) -> Self {
        Self(sha256(presented))
    }

    /// Returns the hash as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_found_by_the_hash_of_what_its_path_has() {
        for secret in [[0; 16], [7; 16], [255; 16]] {
            let ticket = Ticket::new(secret);
            let path = ticket.path();
            let presented = path.strip_prefix("/v1.0/erasures/").unwrap();
            assert!(presented.starts_with("vbt_") && presented.len() == 26, "{presented}");
            assert_eq!(TicketHash::of(presented), ticket.hash());
            assert_eq!(ticket.hash().as_str(), sha256(presented));
            assert_eq!(ticket.page(), format!("/account#ticket={presented}"));
        }
        assert_ne!(Ticket::new([7; 16]).hash(), Ticket::new([8; 16]).hash());
    }

    #[test]
    fn a_ticket_cannot_be_printed() {
        assert_eq!(format!("{:?}", Ticket::new([7; 16])), "Ticket(…)");
    }
}
