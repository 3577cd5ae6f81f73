//! JSON representations: which fields API responses show of each entity.

use std::collections::BTreeMap;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::counts::Counts;
use crate::domain::customer::IdentityVerification;
use crate::domain::erasure::{Reason, Stage};
use crate::domain::event::PastEvent;
use crate::domain::hold::{Hold, HoldName, Holds};
use crate::domain::owned::Kind;
use crate::domain::participant::{Participant, ParticipantName};
use crate::domain::participation::{PartState, Participation, Retained};
use crate::domain::purge_state::{HourlyLimit, PurgeState};
use crate::domain::timeline::{Milestone, timeline};
use crate::domain::undeliverable::{Undeliverable, UndeliverableReason};
use crate::domain::value::Metadata;
use crate::domain::webhook::WebhookSecret;
use crate::domain::{self, Actor, Id, Page, Permission, PlainToken, Status, Timestamp};

/// Representation of an account.
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

/// Representation of an account whose deletion is scheduled, for a caller who has only a mailed link: shows
/// nothing but the time of the deletion.
#[derive(Debug, Serialize)]
pub struct ScheduledDeletionView {
    tm_deletion_scheduled: Option<Timestamp>,
}

impl From<&domain::Customer> for ScheduledDeletionView {
    fn from(customer: &domain::Customer) -> Self {
        Self { tm_deletion_scheduled: customer.tm_deletion_scheduled }
    }
}

/// Response to a request that proves an e-mail address: the account with that address.
#[derive(Serialize)]
pub struct ProvenView<'a> {
    /// The account.
    pub customer: CustomerView<'a>,
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

/// Fields of an account that only its own admins and managers see.
#[derive(Clone, Copy, Serialize)]
struct OwnersPart<'a> {
    webhook_secret: &'a str,
    /// Whether the webhook is disabled because its receiver answered 410; setting `webhook_uri` enables it again.
    webhook_disabled: bool,
}

/// Representation of an account for its own admins and managers.
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

/// A representation with an entity tag (`ETag`).
pub trait Tagged: Serialize {
    /// Returns what the entity tag is computed from: this representation, and the fields that only other
    /// representations of the same entity show.
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
impl Tagged for ParticipantView<'_> {}
impl Tagged for ResourceView<'_> {}

/// Representation of an access key. `token` is set only in the response that issues the token.
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
    participant: Option<&'a str>,
    agent_id: Id<domain::Agent>,
    tm_expire: Timestamp,
    tm_last_use: Option<Timestamp>,
    tm_create: Timestamp,
    tm_update: Timestamp,
    tm_delete: Option<Timestamp>,
}

impl<'a> AccessKeyView<'a> {
    /// Returns the representation of an access key of `customer`.
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
            participant: key.participant.as_ref().map(ParticipantName::as_str),
            agent_id: key.agent,
            tm_expire: key.tm_expire,
            tm_last_use: key.tm_last_use,
            tm_create: key.tm_create,
            tm_update: key.tm_update,
            tm_delete: None,
        }
    }

    /// Returns the representation with the token that was just issued.
    #[must_use]
    pub fn with_token(self, token: &'a PlainToken) -> Self {
        Self { token: Some(token.expose()), ..self }
    }

    /// Returns the representation of the access key as deleted at `now`.
    #[must_use]
    pub fn deleted(self, now: Timestamp) -> Self {
        Self { tm_delete: Some(now), ..self }
    }
}

/// Representation of an event in an account's history.
#[derive(Debug, Serialize)]
pub struct EventView<'a> {
    id: Id<domain::Event>,
    #[serde(rename = "type")]
    name: &'a str,
    timestamp: Timestamp,
    actor: Actor,
    subjects: &'a [Uuid],
    hold: Option<&'a str>,
}

impl<'a> From<&'a PastEvent> for EventView<'a> {
    fn from(event: &'a PastEvent) -> Self {
        Self {
            id: event.id,
            name: &event.name,
            timestamp: event.time,
            actor: event.actor,
            subjects: &event.subjects,
            hold: event.hold.as_deref(),
        }
    }
}

impl<'a> EventView<'a> {
    /// Returns the representation for the owner of `customer`. If an operator acted, the representation shows
    /// that, but not which operator.
    #[must_use]
    pub fn for_owner_of(customer: Id<domain::Customer>, event: &'a PastEvent) -> Self {
        Self { actor: event.actor.seen_by_owner_of(customer), ..Self::from(event) }
    }
}

/// Representation of the purge, which deletes the data of accounts whose deletion is due: its kill switch,
/// the hourly limits, and the purges in progress.
#[derive(Debug, Serialize)]
pub struct PurgeView {
    enabled: bool,
    breaker: LimitView,
    brake: LimitView,
    running: Vec<RunningView>,
}

/// Representation of a limit per clock hour, and of the count in the current hour.
#[derive(Debug, Serialize)]
struct LimitView {
    limit: Option<u64>,
    used: u64,
    open: bool,
}

/// Representation of the purge of one account, which has begun and has not finished.
#[derive(Debug, Serialize)]
struct RunningView {
    customer_id: Id<domain::Customer>,
    tm_due: Timestamp,
}

impl From<&PurgeState> for PurgeView {
    fn from(state: &PurgeState) -> Self {
        let running = state.running.iter();
        Self {
            enabled: state.enabled,
            breaker: state.breaker.into(),
            brake: state.brake.into(),
            running: running
                .map(|purge| RunningView { customer_id: purge.customer, tm_due: purge.tm_due })
                .collect(),
        }
    }
}

impl From<HourlyLimit> for LimitView {
    fn from(limit: HourlyLimit) -> Self {
        Self { limit: limit.limit, used: limit.used, open: limit.is_open() }
    }
}

/// Representation of a participant: a system that takes part in the erasure of accounts.
#[derive(Debug, Serialize)]
pub struct ParticipantView<'a> {
    name: &'a str,
    required: bool,
    /// Time in which the participant is to answer, in seconds, counted from the moment when the purge of an
    /// account begins.
    timeout: u64,
    detail: &'a str,
    tm_create: Timestamp,
    tm_update: Timestamp,
    tm_delete: Option<Timestamp>,
}

impl<'a> ParticipantView<'a> {
    /// Returns the representation of the participant of this name.
    #[must_use]
    pub fn new(name: &'a ParticipantName, participant: &'a Participant) -> Self {
        Self {
            name: name.as_str(),
            required: participant.required,
            timeout: participant.timeout.as_secs(),
            detail: participant.detail.expose(),
            tm_create: participant.tm_create,
            tm_update: participant.tm_update,
            tm_delete: participant.tm_delete,
        }
    }
}

/// Fields that all representations of a participant's part in an erasure have in common: when the participant
/// was asked to erase its data, and what it answered.
#[derive(Debug, Serialize)]
struct PartView<'a> {
    round: u64,
    required: bool,
    state: PartState,
    tm_ask: Timestamp,
    tm_deadline: Timestamp,
    questions: u64,
    found: Option<u64>,
    deleted: Option<u64>,
    retained: &'a [Retained],
    detail: Option<&'a str>,
    tm_answer: Option<Timestamp>,
}

impl<'a> From<&'a Participation> for PartView<'a> {
    fn from(part: &'a Participation) -> Self {
        let recorded = part.answer.as_ref();
        let answer = recorded.map(|recorded| &recorded.answer);
        Self {
            round: part.round,
            required: part.required,
            state: part.state(),
            tm_ask: part.tm_ask,
            tm_deadline: part.tm_deadline,
            questions: part.questions,
            found: answer.map(|answer| answer.found),
            deleted: answer.map(|answer| answer.deleted),
            retained: answer.map(|answer| answer.retained.as_slice()).unwrap_or_default(),
            detail: answer.map(|answer| answer.detail.as_str()),
            tm_answer: recorded.map(|recorded| recorded.tm_answer),
        }
    }
}

/// Representation of an erasure request, for the participant that it is addressed to and that has not given
/// its final answer yet.
#[derive(Debug, Serialize)]
pub struct RequestView<'a> {
    customer_id: Id<domain::Customer>,
    #[serde(flatten)]
    part: PartView<'a>,
}

impl<'a> From<&'a Participation> for RequestView<'a> {
    fn from(part: &'a Participation) -> Self {
        Self { customer_id: part.customer, part: part.into() }
    }
}

/// Representation of an account's erasure.
#[derive(Debug, Serialize)]
pub struct ErasureView<'a> {
    customer_id: Id<domain::Customer>,
    stage: Stage,
    reason: Option<Reason>,
    requested_by: Option<Actor>,
    plan: Option<&'a str>,
    tm_request: Option<Timestamp>,
    tm_due: Option<Timestamp>,
    tm_withdraw: Option<Timestamp>,
    withdrawn_by: Option<Actor>,
    holds: Vec<HoldView<'a>>,
    tm_lift: Option<Timestamp>,
    lifted_by: Option<Actor>,
    tm_claim: Option<Timestamp>,
    tm_finish: Option<Timestamp>,
    resources: BTreeMap<&'static str, Progress>,
    attempts: u64,
    quarantined: u64,
    last_error: Option<&'a str>,
    /// The latest signed receipt; `None` before the first one.
    receipt: Option<&'a str>,
    round: u64,
    participants: Vec<ParticipationView<'a>>,
    tm_complete: Option<Timestamp>,
    /// All signed receipts of the account, also those of an earlier erasure, oldest first.
    receipts: &'a [String],
}

/// Representation of a participant's part in an erasure.
#[derive(Debug, Serialize)]
pub struct ParticipationView<'a> {
    name: &'a str,
    #[serde(flatten)]
    part: PartView<'a>,
    answered_by: Option<Actor>,
    waiver: Option<WaiverView<'a>>,
}

/// Representation of a waiver: a project admin's decision that an erasure is complete without a participant's
/// answer.
#[derive(Debug, Serialize)]
struct WaiverView<'a> {
    reason: &'a str,
    by: Actor,
    since: Timestamp,
}

impl<'a> From<&'a Participation> for ParticipationView<'a> {
    fn from(part: &'a Participation) -> Self {
        Self {
            name: part.name.as_str(),
            part: part.into(),
            answered_by: part.answer.as_ref().map(|recorded| recorded.by),
            waiver: part.waiver.as_ref().map(|waiver| WaiverView {
                reason: &waiver.reason,
                by: waiver.by,
                since: waiver.tm_waive,
            }),
        }
    }
}

/// Representation of a hold: an operator's order that an account is not deleted and that what it owns is preserved.
#[derive(Debug, Serialize)]
pub struct HoldView<'a> {
    name: String,
    reason: &'a str,
    by: Actor,
    since: Timestamp,
}

/// Representation of a hold in the error response to a request that the hold blocks. Omits the reason,
/// because error responses never repeat text that a client sent.
#[derive(Debug, Serialize)]
pub(super) struct PlacedHoldView {
    name: String,
    by: Actor,
    since: Timestamp,
}

/// Returns the representations of the holds that block a request.
pub(super) fn placed_holds(holds: &Holds) -> Vec<PlacedHoldView> {
    let view = |(name, hold): (&HoldName, &Hold)| PlacedHoldView {
        name: name.to_string(),
        by: hold.by,
        since: hold.tm_hold,
    };
    holds.iter().map(view).collect()
}

/// Returns the representations of an account's holds, sorted by name.
#[must_use]
pub fn holds(holds: &Holds) -> Vec<HoldView<'_>> {
    holds
        .iter()
        .map(|(name, hold)| HoldView {
            name: name.to_string(),
            reason: &hold.reason,
            by: hold.by,
            since: hold.tm_hold,
        })
        .collect()
}

/// Progress of the purge with one kind of item that the account owns: how many it has found, and how many of
/// these it has deleted.
#[derive(Debug, Serialize)]
struct Progress {
    found: u64,
    deleted: u64,
}

impl<'a> ErasureView<'a> {
    /// Returns the representation of the erasure at `now`. `parts` has what each participant was asked and
    /// has answered.
    #[must_use]
    pub fn at(erasure: &'a domain::Erasure, parts: &'a [Participation], now: Timestamp) -> Self {
        let request = erasure.request.as_ref();
        let progress = |(kind, found): (&Kind, &u64)| {
            let deleted = erasure.deleted.get(kind).copied().unwrap_or_default();
            (kind.plural(), Progress { found: *found, deleted })
        };
        Self {
            customer_id: erasure.customer,
            stage: erasure.stage(parts, now),
            reason: request.map(|request| request.reason),
            requested_by: request.map(|request| request.by),
            plan: request.and_then(|request| request.plan.as_deref()),
            tm_request: request.map(|request| request.tm_request),
            tm_due: request.map(|request| request.tm_due),
            tm_withdraw: erasure.tm_withdraw,
            withdrawn_by: erasure.withdrawn_by,
            holds: holds(&erasure.holds),
            tm_lift: erasure.tm_lift,
            lifted_by: erasure.lifted_by,
            tm_claim: erasure.tm_claim,
            tm_finish: erasure.tm_finish,
            resources: erasure.found.iter().map(progress).collect(),
            attempts: erasure.attempts,
            quarantined: erasure.quarantined,
            last_error: erasure.last_error.as_deref(),
            receipt: erasure.receipts.last().map(String::as_str),
            round: erasure.round,
            participants: erasure.current(parts).map(Into::into).collect(),
            tm_complete: erasure.tm_complete,
            receipts: &erasure.receipts,
        }
    }
}

/// Representation of an account's erasure for the holder of a ticket, a token to follow the erasure with.
/// Shows neither whose account it is nor who acted.
#[derive(Debug, Serialize)]
pub struct ErasureStatusView<'a> {
    stage: Stage,
    tm_request: Option<Timestamp>,
    tm_due: Option<Timestamp>,
    tm_withdraw: Option<Timestamp>,
    tm_claim: Option<Timestamp>,
    tm_finish: Option<Timestamp>,
    tm_complete: Option<Timestamp>,
    participants: Vec<ParticipantStateView<'a>>,
    receipts: &'a [String],
}

/// Representation of a participant's progress with an erasure.
#[derive(Debug, Serialize)]
struct ParticipantStateView<'a> {
    name: &'a str,
    /// State of the participant's work on the erasure; `None` if the participant has not been asked yet.
    state: Option<PartState>,
}

impl<'a> ErasureStatusView<'a> {
    /// Returns the representation of the erasure at `now`. `parts` has what each participant was asked and
    /// has answered.
    #[must_use]
    pub fn at(erasure: &'a domain::Erasure, parts: &[Participation], now: Timestamp) -> Self {
        let request = erasure.request.as_ref();
        let participants = erasure.participants.iter().map(|participating| ParticipantStateView {
            name: participating.name.as_str(),
            state: erasure.part_of(participating, parts).map(Participation::state),
        });
        Self {
            stage: erasure.stage_for_owner(parts, now),
            tm_request: request.map(|request| request.tm_request),
            tm_due: request.map(|request| request.tm_due),
            tm_withdraw: erasure.tm_withdraw,
            tm_claim: erasure.tm_claim,
            tm_finish: erasure.tm_finish,
            tm_complete: erasure.tm_complete,
            participants: participants.collect(),
            receipts: &erasure.receipts,
        }
    }
}

/// Representation of an account at a glance, for operators.
#[derive(Debug, Serialize)]
pub struct OverviewView<'a> {
    customer_id: Id<domain::Customer>,
    status: Status,
    tm_create: Timestamp,
    tm_deletion_scheduled: Option<Timestamp>,
    tm_delete: Option<Timestamp>,
    /// Whether an operator froze the account or took over its owner's freeze: only operators can then undo
    /// the freeze.
    frozen_by_operator: bool,
    /// Stage of the account's erasure; `None` if the ledger, which records erasures, has no row for the
    /// account.
    stage: Option<Stage>,
    reason: Option<Reason>,
    requested_by: Option<Actor>,
    holds: Vec<HoldView<'a>>,
    suspension: Option<SuspensionView>,
    email_verified: bool,
    /// Version of the terms that were accepted at sign-up; `None` if an operator made the account.
    terms_version: Option<&'a str>,
    tm_terms: Option<Timestamp>,
    identity_verification_status: IdentityVerification,
    admins: u64,
    resources: BTreeMap<&'static str, u64>,
    tm_last_login: Option<Timestamp>,
    /// Whether the webhook is disabled because its receiver answered 410.
    webhook_disabled: bool,
    /// Since when deliveries to the webhook have been failing; `None` if they are not.
    tm_webhook_failing: Option<Timestamp>,
    failing_webhooks: u64,
    mail: MailView,
    /// Past and future milestones of the account's deletion, earliest first; empty if no deletion is
    /// requested.
    timeline: Vec<MilestoneView>,
}

/// Representation of a milestone of a deletion.
#[derive(Debug, Serialize)]
struct MilestoneView {
    milestone: Milestone,
    tm: Timestamp,
}

/// Representation of whether mail is sent to an account's address.
#[derive(Debug, Default, Serialize)]
struct MailView {
    /// Why no mail is sent to the address; `None` if mail is sent.
    undeliverable: Option<UndeliverableView>,
}

/// Representation of an address to which no mail is sent: why not, and since when.
#[derive(Debug, Serialize)]
struct UndeliverableView {
    reason: UndeliverableReason,
    since: Timestamp,
}

/// Representation of a suspension: an operator has barred the account's own agents and access keys from using
/// it.
#[derive(Debug, Serialize)]
struct SuspensionView {
    by: Actor,
    since: Timestamp,
}

impl<'a> OverviewView<'a> {
    /// Returns the overview of `customer` at `now`. `erasure` is the account's row in the ledger, if it has
    /// one, and `parts` has what each participant was asked and has answered.
    #[must_use]
    pub fn new(
        customer: &'a domain::Customer,
        (erasure, parts): (Option<&'a domain::Erasure>, &[Participation]),
        now: Timestamp,
    ) -> Self {
        let internals = &customer.internals;
        // The request for an erasure that was withdrawn is not shown.
        let pending = erasure.filter(|erasure| erasure.tm_withdraw.is_none());
        let request = pending.and_then(|erasure| erasure.request.as_ref());
        let suspension = internals.suspension.as_ref();
        let suspension = suspension.map(|one| SuspensionView { by: one.by, since: one.tm_suspend });
        let owned = internals.owned.iter().filter(|(_, count)| **count > 0);
        Self {
            customer_id: customer.id,
            status: customer.status,
            tm_create: customer.tm_create,
            tm_deletion_scheduled: customer.tm_deletion_scheduled,
            tm_delete: customer.tm_delete,
            frozen_by_operator: internals.frozen_by_operator,
            stage: erasure.map(|erasure| erasure.stage(parts, now)),
            reason: request.map(|request| request.reason),
            requested_by: request.map(|request| request.by),
            holds: holds(&internals.holds),
            suspension,
            email_verified: customer.email_verified,
            terms_version: internals.terms.as_ref().map(|terms| terms.version.as_str()),
            tm_terms: internals.terms.as_ref().map(|terms| terms.tm_accept),
            identity_verification_status: customer.identity_verification_status,
            admins: internals.admins,
            resources: owned.map(|(kind, count)| (kind.plural(), *count)).collect(),
            tm_last_login: None,
            webhook_disabled: internals.webhook_gone,
            tm_webhook_failing: internals.tm_webhook_failing,
            failing_webhooks: 0,
            mail: MailView::default(),
            timeline: timeline(customer, erasure)
                .into_iter()
                .map(|(milestone, tm)| MilestoneView { milestone, tm })
                .collect(),
        }
    }

    /// Returns the overview with the reason why no mail is sent to the account's address; `None` if mail is
    /// sent.
    #[must_use]
    pub fn with_mail(self, undeliverable: Option<Undeliverable>) -> Self {
        let undeliverable =
            undeliverable.map(|one| UndeliverableView { reason: one.reason, since: one.tm });
        Self { mail: MailView { undeliverable }, ..self }
    }

    /// Returns the overview with the latest log-in, and the number of webhook deliveries that fail.
    #[must_use]
    pub fn with_activity(self, tm_last_login: Option<Timestamp>, failing_webhooks: u64) -> Self {
        Self { tm_last_login, failing_webhooks, ..self }
    }
}

/// Representation of a plan: what deleting an account would remove, and a digest. A deletion that names the
/// digest is refused if the account has changed since.
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
    /// Returns the plan for deleting `customer`. `counts` is how many items of each kind the account owns,
    /// `fields` says what becomes of each stored field, and `capacity` is what the erasure costs.
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

/// Representation of a new session with its token, in the response that issues the token.
#[derive(Serialize)]
pub struct NewSessionView<'a> {
    username: &'a str,
    token: &'a str,
    tm_expire: Timestamp,
}

impl<'a> NewSessionView<'a> {
    /// Returns the representation of a session with the token that was just issued.
    #[must_use]
    pub fn new(
        username: &'a domain::Username,
        token: &'a PlainToken,
        session: &domain::Session,
    ) -> Self {
        let (username, token) = (username.expose(), token.expose());
        Self { username, token, tm_expire: session.tm_expire }
    }
}

/// Representation of a session for callers who may end it.
#[derive(Debug, Serialize)]
pub struct SessionView {
    id: Id<domain::Session>,
    agent_id: Id<domain::Agent>,
    /// Whether this is the session that the request was sent with.
    current: bool,
    tm_create: Timestamp,
    tm_last_use: Timestamp,
    tm_expire: Timestamp,
    tm_delete: Option<Timestamp>,
}

impl SessionView {
    /// Returns the representation of a session. `current` is the session that the request was sent with;
    /// `None` if it was sent with an access key.
    #[must_use]
    pub fn new(session: &domain::Session, current: Option<Id<domain::Session>>) -> Self {
        Self {
            id: session.id,
            agent_id: session.agent,
            current: current == Some(session.id),
            tm_create: session.tm_create,
            tm_last_use: session.tm_last_use,
            tm_expire: session.tm_expire,
            tm_delete: None,
        }
    }

    /// Returns the representation of the session as it was ended at `now`.
    #[must_use]
    pub fn deleted(self, now: Timestamp) -> Self {
        Self { tm_delete: Some(now), ..self }
    }
}

/// Representation of an agent: a person who works with an account.
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
    /// Returns the representation of an agent of `customer`.
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

    /// Returns the representation of the agent as deleted at `now`.
    #[must_use]
    pub fn deleted(self, now: Timestamp) -> Self {
        Self { tm_delete: Some(now), ..self }
    }
}

/// Representation of a resource, such as a number or a flow.
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
    /// Returns the representation of a resource of `customer`.
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

    /// Returns the representation of the resource as deleted at `now`.
    #[must_use]
    pub fn deleted(self, now: Timestamp) -> Self {
        Self { tm_delete: Some(now), ..self }
    }
}

/// Serializes JSON text as the JSON value that it contains, unchanged byte for byte, and not as a string.
fn as_json<S: Serializer>(json: &str, to: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<&RawValue>(json).map_err(S::Error::custom)?.serialize(to)
}

/// Representation of a page of a list.
#[derive(Debug, Serialize)]
pub struct PageView<T> {
    result: Vec<T>,
    next_page_token: String,
}

impl<T> PageView<T> {
    /// Returns the representation of a page, with each row converted by `view`.
    pub fn new<'a, R>(page: &'a Page<R>, view: impl FnMut(&'a R) -> T) -> Self {
        Self {
            result: page.rows.iter().map(view).collect(),
            next_page_token: page.next.clone().unwrap_or_default(),
        }
    }
}
