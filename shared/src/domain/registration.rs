//! Registration: creates an account with its first admin.

use super::counts::Counts;
use super::customer::{Internals, Profile};
use super::owned::Kind;
use super::sign_up::SignUp;
use super::webhook::WebhookSecret;
use super::{Agent, Customer, Id, Permission, Status, Timestamp, Username};

/// A new account and its first admin, written in one transaction.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The account.
    pub customer: Customer,
    /// The agent who administers it.
    pub admin: Agent,
}

/// A new account's first admin.
#[derive(Clone, Debug)]
pub struct FirstAdmin {
    /// The agent's id.
    pub id: Id<Agent>,
    /// The user name to log in with.
    pub username: Username,
}

impl Customer {
    /// Returns a new account with status `initial` and its first admin. The account's first event has the
    /// sequence number 1.
    #[must_use]
    pub fn register(
        id: Id<Self>,
        profile: Profile,
        secret: WebhookSecret,
        admin: FirstAdmin,
        now: Timestamp,
    ) -> Registration {
        let internals = Internals {
            sequence: 1,
            admins: 1,
            owned: Counts::from([(Kind::Agent, 1)]),
            webhook_secret: Some(secret),
            ..Internals::default()
        };
        let customer = Self { internals, ..Self::blank(id, now).with(profile) };
        Registration { customer, admin: admin.appoint(Permission::ADMIN, now) }
    }

    /// Returns the account that a sign-up creates once its e-mail address is proven, and its first admin. The
    /// account is `active` from the start.
    #[must_use]
    pub fn sign_up(
        id: Id<Self>,
        sign_up: &SignUp,
        secret: WebhookSecret,
        admin: FirstAdmin,
        now: Timestamp,
    ) -> Registration {
        let (name, email) = (Some(sign_up.name.clone()), Some(sign_up.email.clone()));
        let profile = Profile { name, email, ..Profile::default() };
        let Registration { customer, admin } = Self::register(id, profile, secret, admin, now);
        let internals = Internals { terms: Some(sign_up.terms.clone()), ..customer.internals };
        let status = Status::Active;
        let customer = Self { status, email_verified: true, internals, ..customer };
        Registration { customer, admin }
    }

    /// Returns the operator's own account (the project account) and its first project admin. The account is
    /// `active` from the start, emits no event, and is never frozen or deleted.
    #[must_use]
    pub fn register_project(admin: FirstAdmin, now: Timestamp) -> Registration {
        let internals = Internals {
            system: true,
            admins: 1,
            owned: Counts::from([(Kind::Agent, 1)]),
            ..Internals::default()
        };
        let customer = Self {
            status: Status::Active,
            email_verified: true,
            internals,
            ..Self::blank(Self::PROJECT, now)
        };
        let permission = Permission::PROJECT_ADMIN | Permission::ADMIN;
        Registration { customer, admin: admin.appoint(permission, now) }
    }
}

impl FirstAdmin {
    fn appoint(self, permission: Permission, now: Timestamp) -> Agent {
        Agent::new(self.id, self.username, permission, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::FromText as _;

    fn now() -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).unwrap()
    }

    fn admin() -> FirstAdmin {
        FirstAdmin { id: Id::new(now(), [2; 10]), username: Username::from_text("ann").unwrap() }
    }

    #[test]
    fn a_new_account_is_initial_and_has_one_admin() {
        let id = Id::new(now(), [1; 10]);
        let secret = WebhookSecret::new([7; 32]);
        let new = Customer::register(id, Profile::default(), secret, admin(), now());
        assert_eq!((new.customer.id, new.customer.status), (id, Status::Initial));
        assert!(!new.customer.email_verified && !new.customer.internals.system);
        assert_eq!((new.customer.internals.admins, new.customer.internals.sequence), (1, 1));
        assert!(new.customer.administers(new.admin.permission));
        assert!(!new.admin.permission.allows(Permission::PROJECT_ADMIN));
    }

    #[test]
    fn a_webhook_uri_without_a_method_gets_post() {
        use crate::domain::value::{WebhookMethod, WebhookUri};
        let uri = WebhookUri::from_text("https://example.com/hook").unwrap();
        let account = |uri: &WebhookUri, method| {
            let profile = Profile {
                webhook_uri: Some(uri.clone()),
                webhook_method: method,
                ..Profile::default()
            };
            let secret = WebhookSecret::new([7; 32]);
            Customer::register(Id::new(now(), [1; 10]), profile, secret, admin(), now()).customer
        };
        for (method, expected) in [
            (None, WebhookMethod::Post),
            (Some(WebhookMethod::Put), WebhookMethod::Put),
            (Some(WebhookMethod::None), WebhookMethod::None),
        ] {
            assert_eq!(account(&uri, method).webhook_method, expected, "{method:?}");
        }
        let none = WebhookUri::default();
        assert_eq!(account(&none, None).webhook_method, WebhookMethod::None);
        // A URI that is set later has the same effect; a method that was set before stays.
        let later = Profile { webhook_uri: Some(uri.clone()), ..Profile::default() };
        let updated = account(&none, None).with(later.clone());
        assert_eq!(updated.webhook_method, WebhookMethod::Post);
        let updated = account(&uri, Some(WebhookMethod::Get)).with(later);
        assert_eq!(updated.webhook_method, WebhookMethod::Get);
    }

    #[test]
    fn the_project_account_is_active_and_has_a_project_admin() {
        let new = Customer::register_project(admin(), now());
        assert_eq!((new.customer.id, new.customer.status), (Customer::PROJECT, Status::Active));
        assert!(new.customer.email_verified && new.customer.internals.system);
        assert_eq!((new.customer.internals.admins, new.customer.internals.sequence), (1, 0));
        assert_eq!(new.customer.internals.owned, Counts::from([(Kind::Agent, 1)]));
        assert!(new.customer.administers(new.admin.permission));
        assert!(new.customer.webhook(now()).is_none());
    }

    #[test]
    fn a_sign_up_makes_an_active_account_with_a_proven_address() {
        use crate::domain::terms::Terms;
        use crate::domain::value::{Email, Name};
        let sign_up = SignUp {
            email: Email::from_text("ann@example.com").unwrap(),
            name: Name::from_text("Ann").unwrap(),
            terms: Terms { version: "7".to_owned(), tm_accept: now() },
        };
        let secret = WebhookSecret::new([7; 32]);
        let new =
            Customer::sign_up(Id::new(now(), [1; 10]), &sign_up, secret.clone(), admin(), now());
        let customer = new.customer;
        assert!(customer.status == Status::Active && customer.email_verified);
        assert_eq!((&customer.email, &customer.name), (&sign_up.email, &sign_up.name));
        assert_eq!(customer.internals.terms, Some(sign_up.terms));
        assert_eq!(customer.internals.webhook_secret, Some(secret));
        assert_eq!((customer.internals.admins, customer.internals.sequence), (1, 1));
        assert_eq!(customer.internals.owned, Counts::from([(Kind::Agent, 1)]));
        assert!(customer.administers(new.admin.permission));
    }
}
