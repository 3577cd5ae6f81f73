//! What clients may see, field by field as the seed shows it.

use serde::Serialize;
use uuid::Uuid;

use crate::auth::PlainToken;
use crate::domain::customer::IdentityVerification;
use crate::domain::value::Metadata;
use crate::domain::{self, Id, Page, Status, Timestamp};

/// An account.
#[derive(Debug, Serialize)]
pub struct Customer<'a> {
    id: Id<domain::Customer>,
    name: &'a str,
    detail: &'a str,
    email: &'a str,
    phone_number: &'a str,
    address: &'a str,
    webhook_method: &'static str,
    webhook_uri: &'a str,
    billing_account_id: Uuid,
    metadata: Metadata,
    email_verified: bool,
    status: Status,
    identity_verification_status: IdentityVerification,
    tm_deletion_scheduled: Option<Timestamp>,
    tm_create: Timestamp,
    tm_update: Timestamp,
    tm_delete: Option<Timestamp>,
}

impl<'a> From<&'a domain::Customer> for Customer<'a> {
    fn from(customer: &'a domain::Customer) -> Self {
        Self {
            id: customer.id,
            name: customer.name.expose(),
            detail: customer.detail.expose(),
            email: customer.email.expose(),
            phone_number: customer.phone_number.expose(),
            address: customer.address.expose(),
            webhook_method: customer.webhook_method.name(),
            webhook_uri: customer.webhook_uri.expose(),
            billing_account_id: customer.billing_account_id,
            metadata: customer.metadata,
            email_verified: customer.email_verified,
            status: customer.status,
            identity_verification_status: customer.identity_verification_status,
            tm_deletion_scheduled: customer.tm_deletion_scheduled,
            tm_create: customer.tm_create,
            tm_update: customer.tm_update,
            tm_delete: customer.tm_delete,
        }
    }
}

/// An access key. Its token is in none of them but the first, which its creator gets.
#[derive(Debug, Serialize)]
pub struct AccessKey<'a> {
    id: Id<domain::AccessKey>,
    customer_id: Id<domain::Customer>,
    name: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    token_prefix: &'a str,
    tm_expire: Timestamp,
    tm_create: Timestamp,
    tm_update: Timestamp,
    tm_delete: Option<Timestamp>,
}

impl<'a> AccessKey<'a> {
    /// A key of this account.
    #[must_use]
    pub fn new(customer: Id<domain::Customer>, key: &'a domain::AccessKey) -> Self {
        Self {
            id: key.id,
            customer_id: customer,
            name: key.name.expose(),
            detail: key.detail.expose(),
            token: None,
            token_prefix: &key.token_prefix,
            tm_expire: key.tm_expire,
            tm_create: key.tm_create,
            tm_update: key.tm_update,
            tm_delete: None,
        }
    }

    /// The key with its token, once.
    #[must_use]
    pub fn with_token(self, token: &'a PlainToken) -> Self {
        Self { token: Some(token.expose()), ..self }
    }

    /// The key that was deleted at `now`.
    #[must_use]
    pub fn deleted(self, now: Timestamp) -> Self {
        Self { tm_delete: Some(now), ..self }
    }
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct List<T> {
    result: Vec<T>,
    next_page_token: String,
}

impl<T> List<T> {
    /// The page, each row shown by `view`.
    pub fn new<'a, R>(page: &'a Page<R>, view: impl FnMut(&'a R) -> T) -> Self {
        Self {
            result: page.rows.iter().map(view).collect(),
            next_page_token: page.next.clone().unwrap_or_default(),
        }
    }
}
