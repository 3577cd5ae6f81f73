//! Invitations: an agent who is created without a password chooses one through a mailed link.

use std::fmt;

use crate::app::App;
use crate::domain::mail_intent::Intent;
use crate::domain::value::{NewPassword, PasswordHash};
use crate::domain::{Agent, Customer, Error, Id};
use crate::password;

/// Credentials of a new agent: the hash of a password, or an invitation to choose one.
pub struct FirstPassword {
    /// The password's hash; for an invited agent, a hash that no password matches.
    pub hash: PasswordHash,
    /// The invitation; `None` for an agent who has a password.
    pub invitation: Option<Intent>,
}

impl fmt::Debug for FirstPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstPassword(…)")
    }
}

impl FirstPassword {
    /// Returns the credentials of `agent`, a new agent of the account `customer`: the hash of `password` or,
    /// if there is no password, an invitation to choose one. An invitation fails if the installation sends no
    /// mail, or if the agent's user name is not an e-mail address.
    pub fn of(
        app: &App,
        customer: Id<Customer>,
        agent: &Agent,
        password: Option<&NewPassword>,
    ) -> Result<Self, Error> {
        if let Some(password) = password {
            let hash = password::hash(password.for_agent(&agent.username)?)?;
            return Ok(Self { hash, invitation: None });
        }
        if agent.username.address().is_none() {
            let rule = "is missing; leave it out only to invite an agent whose username is an e-mail address, \
                        to which the invitation is mailed";
            return Err(Error::invalid_field("password", rule));
        }
        app.require_mail()?;
        let invitation = Intent::Invitation { customer, agent: agent.id };
        Ok(Self { hash: password::of_nobody(), invitation: Some(invitation) })
    }
}
