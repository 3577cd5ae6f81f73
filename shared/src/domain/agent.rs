//! An agent: a person who works with an account.

use super::username::LoginKey;
use super::value::{Detail, Email, Labels, Name};
use super::{Customer, Id, Permission, Status, Timestamp, Username};

/// An agent: a person who works with an account.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The agent's id.
    pub id: Id<Agent>,
    /// The user name to log in with.
    pub username: Username,
    /// Key of the item that reserves the user name for this agent.
    pub login: LoginKey,
    /// The agent's name.
    pub name: Name,
    /// The agent's description.
    pub detail: Detail,
    /// The agent's permission. Every request reads it anew, so a change takes effect at once.
    pub permission: Permission,
    /// Counter that is incremented to end all of the agent's sessions.
    pub epoch: u64,
    /// When the agent was created.
    pub tm_create: Timestamp,
    /// When the agent, or its password, last changed.
    pub tm_update: Timestamp,
}

impl Agent {
    /// Returns the agent with the given fields replaced.
    #[must_use]
    pub fn updated(&self, labels: Labels, now: Timestamp) -> Self {
        let agent = self.clone();
        Self {
            name: labels.name.unwrap_or(agent.name),
            detail: labels.detail.unwrap_or(agent.detail),
            tm_update: now,
            ..agent
        }
    }

    /// Returns the address to which a link for setting the agent's password is mailed: the user name if it is
    /// an e-mail address, otherwise the account's verified address if the agent administers the `account`.
    /// `None` if neither applies, or if the account is deleted.
    #[must_use]
    pub fn reset_address(&self, account: &Customer) -> Option<Email> {
        if account.status == Status::Deleted {
            return None;
        }
        let of_account =
            || account.verified_address().filter(|_| account.administers(self.permission));
        self.username.address().or_else(of_account)
    }

    /// Returns a new agent with an empty name and description.
    #[must_use]
    pub fn new(id: Id<Self>, username: Username, permission: Permission, now: Timestamp) -> Self {
        Self {
            id,
            login: username.login_key(),
            username,
            name: Name::default(),
            detail: Detail::default(),
            permission,
            epoch: 0,
            tm_create: now,
            tm_update: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::FromText as _;

    fn now() -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).unwrap()
    }

    fn email(text: &str) -> Email {
        Email::from_text(text).unwrap()
    }

    /// Returns an active account with a verified address.
    fn account() -> Customer {
        let blank = Customer::blank(Id::new(now(), [1; 10]), now());
        let email = email("office@example.com");
        Customer { status: Status::Active, email_verified: true, email, ..blank }
    }

    fn agent(username: &str, permission: Permission) -> Agent {
        Agent::new(
            Id::new(now(), [2; 10]),
            Username::from_text(username).unwrap(),
            permission,
            now(),
        )
    }

    #[test]
    fn a_link_goes_to_the_user_name_or_for_admins_to_the_accounts_verified_address() {
        let table = [
            ("ann@example.com", Permission::ADMIN, Some("ann@example.com")),
            ("ann@example.com", Permission::AGENT, Some("ann@example.com")),
            ("ann", Permission::ADMIN, Some("office@example.com")),
            ("ann", Permission::MANAGER, None),
            ("ann", Permission::NONE, None),
        ];
        for (username, permission, to) in table {
            let to = to.map(email);
            assert_eq!(agent(username, permission).reset_address(&account()), to, "{username}");
        }
    }

    #[test]
    fn a_link_goes_to_no_unverified_address_and_to_nobody_of_a_deleted_account() {
        let ann = agent("ann", Permission::ADMIN);
        let unverified = Customer { email_verified: false, ..account() };
        assert_eq!(ann.reset_address(&unverified), None);
        let withheld = Customer { email: email("[email protected]"), ..account() };
        assert_eq!(ann.reset_address(&withheld), None);
        let deleted = Customer { status: Status::Deleted, ..account() };
        for username in ["ann", "ann@example.com"] {
            assert_eq!(agent(username, Permission::ADMIN).reset_address(&deleted), None);
        }
    }

    #[test]
    fn an_update_replaces_what_it_names_and_a_new_agent_is_blank() {
        let before = agent("ann", Permission::AGENT);
        assert_eq!((before.name.expose(), before.detail.expose(), before.epoch), ("", "", 0));
        assert_eq!(before.login, before.username.login_key());
        let labels =
            Labels { name: Name::from_text("Ann").ok(), detail: Detail::from_text("b").ok() };
        let later = now().plus(std::time::Duration::from_secs(1));
        let after = before.updated(labels, later);
        assert_eq!((after.name.expose(), after.detail.expose()), ("Ann", "b"));
        let kept = after.updated(Labels::default(), later);
        assert_eq!((kept.name.expose(), kept.detail.expose()), ("Ann", "b"));
        assert_eq!((after.tm_create, after.tm_update), (now(), later));
        assert_eq!(after.permission, Permission::AGENT);
    }
}
