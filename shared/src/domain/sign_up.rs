//! Sign-ups: requests for an account, which is created once the e-mail address is proven.

use super::terms::Terms;
use super::value::{Email, FromText as _, Name};
use super::{Error, Username};

/// A sign-up: a request for an account, which is created once the e-mail address is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignUp {
    /// The e-mail address to prove.
    pub email: Email,
    /// The account's name; empty if none was given.
    pub name: Name,
    /// The terms of service that were accepted.
    pub terms: Terms,
}

impl SignUp {
    /// Returns the user name of the account's first agent: `chosen` or, if none is chosen, the proven e-mail
    /// address. Refuses a chosen name that is any other e-mail address, since it may be somebody else's. If
    /// none is chosen, refuses an address that cannot be a user name.
    pub fn username(&self, chosen: Option<Username>) -> Result<Username, Error> {
        let refused = |rule: &str| Err(Error::invalid_field("username", rule));
        let Some(chosen) = chosen else {
            return Username::from_text(self.email.expose()).or_else(|_| {
                refused("is missing, as your address cannot be one; choose a user name")
            });
        };
        let address = Email::from_text(chosen.expose()).ok();
        let is_another = |address: &Email| {
            address.canonical().is_some() && !address.is_same_mailbox(&self.email)
        };
        if address.as_ref().is_some_and(is_another) {
            return refused("must not be another e-mail address than the one that signed up");
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn a_sign_up_may_choose_any_name_but_another_address() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let terms = Terms { version: String::new(), tm_accept: now };
        let email = Email::from_text("Ann@Example.com").unwrap();
        let sign_up = SignUp { email, name: Name::default(), terms };
        let chosen = |name: &str| Some(Username::from_text(name).unwrap());
        for (name, expected) in [
            (None, "ann@example.com"),
            (chosen("ann"), "ann"),
            (chosen("ann@example.com"), "ann@example.com"),
        ] {
            assert_eq!(sign_up.username(name).unwrap().expose(), expected);
        }
        assert!(matches!(
            sign_up.username(chosen("bob@example.com")),
            Err(Error::InvalidField(name, _)) if name == "username"
        ));
    }
}
