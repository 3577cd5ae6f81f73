//! Consent: what a caller sends to show that they mean to unregister their account.
//!
//! | | agent sends | access key sends |
//! |---|---|---|
//! | with the grace period | `password` | `confirmation_phrase` |
//! | at once (`immediate`) | both | – (refused) |

use std::time::Duration;

use super::Error;
use super::actor::ActorType;
use super::erasure::Reason;
use super::error::Denial;
use super::gate::Access;
use super::lifecycle::Command;

/// Required value of `confirmation_phrase`.
const PHRASE: &str = "DELETE";

/// Consent in a request to unregister: whether it contains the password, whether it contains the phrase, and whether it
/// asks for deletion at once.
#[derive(Clone, Copy, Debug)]
pub struct Consent {
    has_password: bool,
    has_phrase: bool,
    immediate: bool,
}

impl Consent {
    /// Returns the consent in a request's fields; refuses any phrase other than the required one.
    pub fn of(has_password: bool, phrase: Option<&str>, immediate: bool) -> Result<Self, Error> {
        match phrase {
            None | Some(PHRASE) => {
                Ok(Self { has_password, has_phrase: phrase.is_some(), immediate })
            }
            Some(_) => {
                Err(Error::invalid_field("confirmation_phrase", "must be DELETE, in capitals"))
            }
        }
    }

    /// Returns which [`Access`] the account gate must allow for this request: [`Access::Leave`] to delete the
    /// account at once, otherwise [`Access::Unregister`].
    #[must_use]
    pub const fn access(self) -> Access {
        if self.immediate { Access::Leave } else { Access::Unregister }
    }

    /// Returns the command that carries out the request: delete the account at once, or freeze it until the
    /// grace period `grace` ends.
    #[must_use]
    pub const fn command(self, grace: Duration) -> Command {
        if self.immediate {
            Command::UnregisterNow
        } else {
            Command::Freeze(Reason::Unregister, grace)
        }
    }

    /// Fails unless the consent is what this module's table demands of this kind of caller: if the password
    /// or the phrase is missing, if an access key sent a password, or if an access key asks for deletion at
    /// once.
    pub fn require_of(self, caller: ActorType) -> Result<(), Error> {
        let Self { has_password, has_phrase, immediate } = self;
        match (caller, immediate) {
            (ActorType::AccessKey, true) => Err(Error::PermissionDenied(Denial::SessionRequired)),
            (ActorType::AccessKey, false) if has_password => Err(Error::invalid_field(
                "password",
                "an access key has none; send confirmation_phrase instead",
            )),
            (ActorType::AccessKey, false) if !has_phrase => {
                Err(Error::invalid_field("confirmation_phrase", "is missing"))
            }
            (ActorType::AccessKey, false) => Ok(()),
            _ if !has_password => Err(Error::invalid_field("password", "is missing")),
            (_, true) if !has_phrase => {
                Err(Error::invalid_field("confirmation_phrase", "is missing"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_caller_must_send_what_the_table_says() {
        // Whether the consent suffices if the request has no proof, the password, the phrase, or both.
        for (caller, immediate, expected) in [
            (ActorType::Agent, false, [false, true, false, true]),
            (ActorType::Agent, true, [false, false, false, true]),
            (ActorType::AccessKey, false, [false, false, true, false]),
            (ActorType::AccessKey, true, [false; 4]),
        ] {
            let sent = [(false, None), (true, None), (false, Some(PHRASE)), (true, Some(PHRASE))];
            for ((has_password, phrase), expected) in sent.into_iter().zip(expected) {
                let consent = Consent::of(has_password, phrase, immediate).unwrap();
                let is_enough = consent.require_of(caller).is_ok();
                assert_eq!(is_enough, expected, "{caller:?} {consent:?}");
            }
        }
        assert!(Consent::of(true, Some("delete"), false).is_err());
    }
}
