//! What clients may see, field by field as the seed shows it.

use std::collections::BTreeMap;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::counts::Counts;
use crate::domain::customer::IdentityVerification;
use crate::domain::erasure::{Reason, Stage};
use crate::domain::owned::Kind;
use crate::domain::requester::Requester;
use crate::domain::value::Metadata;
use crate::domain::webhook::WebhookSecret;
use crate::domain::{self, Id, Page, Permission, PlainToken, Status, Timestamp};

/// An account.
#[derive(Serialize)]
pub struct CustomerView<'a> {
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
    #[serde(skip)]
    owners_part: OwnersPart<'a>,
}

impl<'a> From<&'a domain::Customer> for CustomerView<'a> {
    fn from(customer: &'a domain::Customer) -> Self {
        let secret = customer.internals.webhook_secret.as_ref();
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
            owners_part: OwnersPart {
                webhook_secret: secret.map_or("", WebhookSecret::expose),
                webhook_disabled: customer.internals.webhook_gone,
            },
        }
    }
}

/// What only its own admins and managers see of an account.
#[derive(Clone, Copy, Serialize)]
struct OwnersPart<'a> {
    webhook_secret: &'a str,
    /// Whether the webhook's receiver said that it is gone; setting `webhook_uri` ends that.
    webhook_disabled: bool,
}

/// An account as its own admins and managers see it.
#[derive(Serialize)]
pub struct OwnCustomerView<'a> {
    #[serde(flatten)]
    customer: CustomerView<'a>,
    #[serde(flatten)]
    part: OwnersPart<'a>,
}

impl<'a> From<&'a domain::Customer> for OwnCustomerView<'a> {
    fn from(customer: &'a domain::Customer) -> Self {
        let customer = CustomerView::from(customer);
        Self { part: customer.owners_part, customer }
    }
}

/// A thing that is shown by itself, and has an entity tag.
pub trait Tagged: Serialize {
    /// All that the tag stands for: what is shown of the thing here, and what is elsewhere.
    fn whole(&self) -> impl Serialize {
        self
    }
}

impl Tagged for CustomerView<'_> {
    fn whole(&self) -> impl Serialize {
        (self, self.owners_part)
    }
}

impl Tagged for OwnCustomerView<'_> {
    fn whole(&self) -> impl Serialize {
        self.customer.whole()
    }
}

impl Tagged for AccessKeyView<'_> {}
impl Tagged for AgentView<'_> {}
impl Tagged for ResourceView<'_> {}

/// An access key. Its token is in none of them but the first, which its creator gets.
#[derive(Debug, Serialize)]
pub struct AccessKeyView<'a> {
    id: Id<domain::AccessKey>,
    customer_id: Id<domain::Customer>,
    name: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    token_prefix: &'a str,
    permission: Permission,
    agent_id: Id<domain::Agent>,
    tm_expire: Timestamp,
    tm_last_use: Option<Timestamp>,
    tm_create: Timestamp,
    tm_update: Timestamp,
    tm_delete: Option<Timestamp>,
}

impl<'a> AccessKeyView<'a> {
    /// A key of this account.
    #[must_use]
    pub fn new(customer: Id<domain::Customer>, key: &'a domain::AccessKey) -> Self {
        Self {
            id: key.id,
            customer_id: customer,
            name: key.name.expose(),
            detail: key.detail.expose(),
            token: None,
            token_prefix: &key.token.prefix,
            permission: key.permission,
            agent_id: key.agent,
            tm_expire: key.tm_expire,
            tm_last_use: key.tm_last_use,
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

/// How far the erasure of an account is.
#[derive(Debug, Serialize)]
pub struct ErasureView<'a> {
    customer_id: Id<domain::Customer>,
    stage: Stage,
    reason: Option<Reason>,
    requested_by: Option<&'a Requester>,
    plan: Option<&'a str>,
    tm_request: Option<Timestamp>,
    tm_due: Option<Timestamp>,
    tm_withdraw: Option<Timestamp>,
    hold: Option<Hold<'a>>,
    tm_claim: Option<Timestamp>,
    tm_finish: Option<Timestamp>,
    resources: BTreeMap<&'static str, Progress>,
    attempts: u64,
    quarantined: u64,
    last_error: Option<&'a str>,
    receipt: Option<&'a str>,
}

/// An order that an account must not be erased.
#[derive(Debug, Serialize)]
struct Hold<'a> {
    reason: &'a str,
    by: &'a Requester,
    since: Timestamp,
}

/// How many things of a kind the purge has found, and how many of them are gone.
#[derive(Debug, Serialize)]
struct Progress {
    found: u64,
    deleted: u64,
}

impl<'a> ErasureView<'a> {
    /// The erasure as it is at `now`.
    #[must_use]
    pub fn at(erasure: &'a domain::Erasure, now: Timestamp) -> Self {
        let request = erasure.request.as_ref();
        let progress = |(kind, found): (&Kind, &u64)| {
            let deleted = erasure.deleted.get(kind).copied().unwrap_or_default();
            (kind.plural(), Progress { found: *found, deleted })
        };
        let hold = |hold: &'a domain::hold::Hold| Hold {
            reason: hold.reason.expose(),
            by: &hold.by,
            since: hold.tm_hold,
        };
        Self {
            customer_id: erasure.customer,
            stage: erasure.stage(now),
            reason: request.map(|request| request.reason),
            requested_by: request.map(|request| &request.by),
            plan: request.and_then(|request| request.plan.as_deref()),
            tm_request: request.map(|request| request.tm_request),
            tm_due: request.map(|request| request.tm_due),
            tm_withdraw: erasure.tm_withdraw,
            hold: erasure.hold.as_ref().map(hold),
            tm_claim: erasure.tm_claim,
            tm_finish: erasure.tm_finish,
            resources: erasure.found.iter().map(progress).collect(),
            attempts: erasure.attempts,
            quarantined: erasure.quarantined,
            last_error: erasure.last_error.as_deref(),
            receipt: erasure.receipt.as_deref(),
        }
    }
}

/// What an erasure would do.
#[derive(Debug, Serialize)]
pub struct PlanView<F, C> {
    customer_id: Id<domain::Customer>,
    digest: String,
    blockers: Vec<&'static str>,
    resources: BTreeMap<&'static str, u64>,
    fields: F,
    capacity: C,
}

impl<F, C> PlanView<F, C> {
    /// The plan of the erasure of `customer`, who owns `counts`; `fields` says what becomes of each stored
    /// field, `capacity` what the erasure costs.
    #[must_use]
    pub fn new(customer: &domain::Customer, counts: &Counts, capacity: C, fields: F) -> Self {
        Self {
            customer_id: customer.id,
            digest: domain::erasure::Plan::new(customer, counts).digest(),
            blockers: domain::erasure::blockers(customer),
            resources: counts.iter().map(|(kind, count)| (kind.plural(), *count)).collect(),
            fields,
            capacity,
        }
    }
}

/// An agent.
#[derive(Debug, Serialize)]
pub struct AgentView<'a> {
    id: Id<domain::Agent>,
    customer_id: Id<domain::Customer>,
    username: &'a str,
    name: &'a str,
    detail: &'a str,
    permission: Permission,
    tm_create: Timestamp,
    tm_update: Timestamp,
    tm_delete: Option<Timestamp>,
}

impl<'a> AgentView<'a> {
    /// An agent of this account.
    #[must_use]
    pub fn new(customer: Id<domain::Customer>, agent: &'a domain::Agent) -> Self {
        Self {
            id: agent.id,
            customer_id: customer,
            username: agent.username.expose(),
            name: agent.name.expose(),
            detail: agent.detail.expose(),
            permission: agent.permission,
            tm_create: agent.tm_create,
            tm_update: agent.tm_update,
            tm_delete: None,
        }
    }

    /// The agent who was deleted at `now`.
    #[must_use]
    pub fn deleted(self, now: Timestamp) -> Self {
        Self { tm_delete: Some(now), ..self }
    }
}

/// A resource.
#[derive(Serialize)]
pub struct ResourceView<'a> {
    id: Id<domain::Resource>,
    customer_id: Id<domain::Customer>,
    name: &'a str,
    detail: &'a str,
    #[serde(serialize_with = "as_json")]
    data: &'a str,
    tm_create: Timestamp,
    tm_update: Timestamp,
    tm_delete: Option<Timestamp>,
}

impl<'a> ResourceView<'a> {
    /// A resource of this account.
    #[must_use]
    pub fn new(customer: Id<domain::Customer>, resource: &'a domain::Resource) -> Self {
        Self {
            id: resource.id,
            customer_id: customer,
            name: resource.name.expose(),
            detail: resource.detail.expose(),
            data: resource.data.expose(),
            tm_create: resource.tm_create,
            tm_update: resource.tm_update,
            tm_delete: None,
        }
    }

    /// The resource that was deleted at `now`.
    #[must_use]
    pub fn deleted(self, now: Timestamp) -> Self {
        Self { tm_delete: Some(now), ..self }
    }
}

/// Shows JSON text as what it says, to the letter.
fn as_json<S: Serializer>(json: &str, to: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<&RawValue>(json).map_err(S::Error::custom)?.serialize(to)
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct PageView<T> {
    result: Vec<T>,
    next_page_token: String,
}

impl<T> PageView<T> {
    /// The page, each row shown by `view`.
    pub fn new<'a, R>(page: &'a Page<R>, view: impl FnMut(&'a R) -> T) -> Self {
        Self {
            result: page.rows.iter().map(view).collect(),
            next_page_token: page.next.clone().unwrap_or_default(),
        }
    }
}
