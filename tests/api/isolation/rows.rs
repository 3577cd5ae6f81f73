//! The rows of the matrix: who may do what. `mod.rs` says how to add one.

use Level::{Admin, Agent, Manager, ProjectAdmin};
use Status::{Active, Frozen, Held, Initial, Suspended};

use super::cell::{Level, Status};

/// The response that a request must get: HTTP status, and the reason of an error (empty for 200).
pub(super) type Outcome = (u16, &'static str);

pub(super) const OK: Outcome = (200, "");
pub(super) const AMBIGUOUS: Outcome = (400, "AMBIGUOUS_CREDENTIALS");
pub(super) const BAD_FIELD: Outcome = (400, "INVALID_ARGUMENT");
pub(super) const BAD_ID: Outcome = (400, "INVALID_ID");
pub(super) const BAD_PARAMETER: Outcome = (400, "INVALID_REQUEST_PARAMETER");
pub(super) const NO_CREDENTIALS: Outcome = (401, "AUTHENTICATION_REQUIRED");
pub(super) const NOT_VALID: Outcome = (401, "INVALID_CREDENTIALS");
pub(super) const DENIED: Outcome = (403, "PERMISSION_DENIED");
pub(super) const IS_FROZEN: Outcome = (403, "ACCOUNT_FROZEN");
pub(super) const IS_SUSPENDED: Outcome = (403, "ACCOUNT_SUSPENDED");
/// The response of routes that need mail, which is off in the stack of the matrix. The console is off, too:
/// its routes respond with [`NO_ROUTE`].
const NO_MAIL: Outcome = (403, "MAIL_DISABLED");
const NO_CUSTOMER: Outcome = (404, "CUSTOMER_NOT_FOUND");
const NO_KEY: Outcome = (404, "ACCESSKEY_NOT_FOUND");
const NO_AGENT: Outcome = (404, "AGENT_NOT_FOUND");
const NO_SESSION: Outcome = (404, "SESSION_NOT_FOUND");
const NO_NUMBER: Outcome = (404, "NUMBER_NOT_FOUND");
const NO_BILLING_ACCOUNT: Outcome = (404, "BILLING_ACCOUNT_NOT_FOUND");
const NO_ERASURE: Outcome = (404, "ERASURE_NOT_FOUND");
const NOT_ASKED: Outcome = (404, "PARTICIPATION_NOT_FOUND");
const NO_ROUTE: Outcome = (404, "ROUTE_NOT_FOUND");
const WRONG_STATE: Outcome = (409, "STATE_INVALID");
const NO_WEBHOOK: Outcome = (409, "WEBHOOK_NOT_CONFIGURED");
const PRESERVED: Outcome = (409, "ACCOUNT_PRESERVED");
const ON_HOLD: Outcome = (409, "LEGAL_HOLD");

pub(super) const PROJECT: &[Level] = &[ProjectAdmin];
pub(super) const ADMINS: &[Level] = &[Admin, ProjectAdmin];
const MANAGERS: &[Level] = &[Manager, Admin, ProjectAdmin];
pub(super) const ANYONE: &[Level] = &[Agent, Manager, Admin, ProjectAdmin];

const LIVE: &[Status] = &[Initial, Active, Held];
const NOT_SUSPENDED: &[Status] = &[Initial, Active, Held, Frozen];
const NOT_DELETED: &[Status] = &[Initial, Active, Held, Frozen, Suspended];
const ANY_STATUS: &[Status] = Status::ALL;

/// Places in which a route accepts a credential.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// In the `Authorization` header or in the query.
    Everywhere,
    /// In the `Authorization` header only.
    AtHeader,
    /// Nowhere: the route is public.
    Nowhere,
}

/// Objects that a successful request uses up, so that the next request needs a new one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum UsesUp {
    Nothing,
    /// The item that the path names.
    Target,
    /// The calling account, or the one that the path names.
    Account,
    /// The participant that the path names.
    Participant,
}

/// A collection of items, one of which a path's `{id}` names.
#[derive(PartialEq, Eq)]
pub(super) struct Thing {
    /// Path of the collection.
    pub(super) collection: &'static str,
    /// Body that creates an item.
    pub(super) new: &'static str,
}

pub(super) const CUSTOMER: Thing = Thing {
    collection: "/v1.0/customers",
    new: r#"{"username": "$unique", "password": "password of its own"}"#,
};

pub(super) const ACCESS_KEY: Thing =
    Thing { collection: "/v1.0/accesskeys", new: r#"{"expire": 86400}"# };

pub(super) const AGENT: Thing = Thing {
    collection: "/v1.0/agents",
    new: r#"{"username": "$unique", "password": "password of its own"}"#,
};

/// The calling agent, or the agent that the calling access key acts for. For routes whose `{id}` is the
/// caller's own agent.
pub(super) const ONESELF: Thing = Thing { collection: "/v1.0/agents", new: "" };

/// The collection of phone numbers. It is tested in place of all kinds of resources, because all have the
/// same handlers.
pub(super) const NUMBER: Thing = Thing { collection: "/v1.0/numbers", new: "{}" };

/// A body that removes the account's billing account: the nil UUID stands for none.
const NO_BILLING: &str = r#"{"billing_account_id": "00000000-0000-0000-0000-000000000000"}"#;

/// The collections of items that every account of the matrix owns.
pub(super) const OWNED: &[&Thing] = &[&ACCESS_KEY, &AGENT, &NUMBER];

/// A route, who may call it, and the responses that it must give.
pub(super) struct Row {
    /// Method and path as in template.yaml.
    pub(super) route: &'static str,
    pub(super) looks: Looks,
    pub(super) who: &'static [Level],
    /// Permissions with which an access key may call the route; `None` if they are those of [`Self::who`].
    pub(super) who_by_key: Option<&'static [Level]>,
    /// Whether the route accepts an access key that is bound to the participant in the path. All other routes
    /// refuse it.
    pub(super) is_participants: bool,
    /// Account statuses in which the route may be called; in others it fails with `ACCOUNT_FROZEN` or
    /// `ACCOUNT_SUSPENDED`.
    pub(super) lets_in: &'static [Status],
    /// Account statuses in which an access key may call the route; `None` if they are those of
    /// [`Self::lets_in`].
    pub(super) lets_in_by_key: Option<&'static [Status]>,
    /// Account statuses in which the operation makes sense (only a frozen account can be recovered, for
    /// example), and the response in any other status.
    pub(super) works_in: (&'static [Status], Outcome),
    /// The response to a session that has the permission. If it is not [`OK`], sessions are refused.
    pub(super) session: Outcome,
    /// The response to an access key that has the permission. If it is not [`OK`], keys are refused.
    pub(super) key: Outcome,
    /// The collection of the item that `{id}` in the path names; `None` if the path has no `{id}`.
    pub(super) target: Option<&'static Thing>,
    /// The response if `{id}` names an item of the caller's account; without `{id}`, the response to any
    /// valid request.
    pub(super) own: Outcome,
    /// The response instead of [`Self::own`] if the caller's account is under a hold; `None` if a hold
    /// changes nothing.
    pub(super) held: Option<Outcome>,
    /// Whether a hold on the caller's account is checked before the item is looked up.
    pub(super) state_first: bool,
    /// The response if `{id}` names an item of another account; without `{id}`, the response to
    /// `customer_id=<another account>` in the query.
    pub(super) foreign: Outcome,
    /// The response if `{id}` names an item of another account, and `customer_id=` in the query names that
    /// account.
    pub(super) named: Outcome,
    /// Who may name another account by `customer_id=` in the query; anyone else is refused. `None` if the
    /// route does not accept the parameter.
    pub(super) names: Option<&'static [Level]>,
    /// Whether a project admin must name an account by `customer_id=` in the query.
    pub(super) must_name: bool,
    /// The response if `{id}` is an id that never existed.
    pub(super) missing: Outcome,
    /// The response if `{id}` names an item that was deleted.
    pub(super) deleted: Outcome,
    /// A valid body. `$username` and `$password` stand for the caller's own, `$unique` for a text that
    /// differs each time.
    pub(super) body: &'static str,
    pub(super) uses_up: UsesUp,
    /// If [`Self::uses_up`] is `Account`, each request needs a new account: the status that this account has
    /// before the request.
    pub(super) from: Status,
}

impl Row {
    /// Whether the body holds the caller's password.
    pub(super) fn has_password(&self) -> bool {
        self.body.contains("$password")
    }
}

/// A route on the caller's own account.
const OWN: Row = Row {
    route: "",
    looks: Looks::Everywhere,
    who: ADMINS,
    who_by_key: None,
    is_participants: false,
    lets_in: LIVE,
    lets_in_by_key: None,
    works_in: (ANY_STATUS, OK),
    session: OK,
    key: OK,
    target: None,
    own: OK,
    held: None,
    state_first: false,
    foreign: OK,
    named: OK,
    names: None,
    must_name: false,
    missing: OK,
    deleted: OK,
    body: "",
    uses_up: UsesUp::Nothing,
    from: Active,
};

/// A route on the webhook of the caller's account; the accounts of the matrix have no webhook.
const WITHOUT_WEBHOOK: Row = Row { own: NO_WEBHOOK, foreign: NO_WEBHOOK, ..OWN };

/// A route that only project admins may call.
const PROJECTS: Row = Row { who: PROJECT, ..OWN };

/// A route on the account that the path names, for project admins only.
const ANY_ACCOUNT: Row = Row { target: Some(&CUSTOMER), missing: NO_CUSTOMER, ..PROJECTS };

/// A route on one participant's part in an account's erasure: what the participant is asked, and answers.
/// Only deleted accounts have such parts, because participants are asked when an account is deleted.
const ANY_PART: Row = Row {
    own: NO_ERASURE,
    foreign: NO_ERASURE,
    missing: NO_ERASURE,
    // A hold creates the account's ledger, as a deletion does; so the erasure is found, but no participant in
    // it.
    held: Some(NOT_ASKED),
    deleted: OK,
    ..ANY_ACCOUNT
};

/// A route on an access key of the caller's account.
const OWN_KEY: Row = Row {
    target: Some(&ACCESS_KEY),
    foreign: NO_KEY,
    named: NO_KEY,
    missing: NO_KEY,
    deleted: NO_KEY,
    ..OWN
};

/// A route on an agent of the caller's account.
const OWN_AGENT: Row = Row {
    target: Some(&AGENT),
    foreign: NO_AGENT,
    named: NO_AGENT,
    missing: NO_AGENT,
    deleted: NO_AGENT,
    ..OWN
};

/// A route on an access key of the caller's account, or of another account if a project admin names it.
const KEY: Row = Row { named: OK, names: Some(PROJECT), ..OWN_KEY };

/// A route on an agent of the caller's account, or of another account if a project admin names it.
const ANY_AGENT: Row = Row { named: OK, names: Some(PROJECT), ..OWN_AGENT };

/// A route on resources of the caller's account, or of another account if a project admin names it.
const RESOURCES: Row = Row { who: MANAGERS, names: Some(PROJECT), ..OWN };

/// A route on one resource.
const RESOURCE: Row = Row {
    target: Some(&NUMBER),
    state_first: true,
    foreign: NO_NUMBER,
    missing: NO_NUMBER,
    deleted: NO_NUMBER,
    ..RESOURCES
};

/// A route to unregister or recover an account; it may be called for frozen accounts.
const LEAVING: Row =
    Row { looks: Looks::AtHeader, lets_in: NOT_SUSPENDED, uses_up: UsesUp::Account, ..OWN };

/// A public route.
const PUBLIC: Row = Row { looks: Looks::Nowhere, who: ANYONE, lets_in: ANY_STATUS, ..OWN };

pub(super) const ROWS: &[Row] = &[
    Row { route: "$default", own: NO_ROUTE, ..PUBLIC },
    Row {
        route: "POST /auth/login",
        works_in: (NOT_DELETED, NOT_VALID),
        body: r#"{"username": "$username", "password": "$password"}"#,
        ..PUBLIC
    },
    // The response is the same whether or not anybody has the user name.
    Row {
        route: "POST /auth/password-forgot",
        body: r#"{"username": "$username"}"#,
        own: NO_MAIL,
        ..PUBLIC
    },
    Row {
        route: "POST /auth/password-reset",
        body: r#"{"token": "vbm_1", "password": "another password"}"#,
        own: BAD_FIELD,
        ..PUBLIC
    },
    Row {
        route: "POST /auth/signup",
        body: r#"{"email": "$unique@example.com", "accepted_tos": true}"#,
        own: NO_MAIL,
        ..PUBLIC
    },
    Row {
        route: "POST /auth/email-verify/resend",
        body: r#"{"email": "$unique@example.com"}"#,
        own: NO_MAIL,
        ..PUBLIC
    },
    Row {
        route: "POST /auth/email-verify",
        body: r#"{"token": "vbm_1"}"#,
        own: BAD_FIELD,
        ..PUBLIC
    },
    // The response is the same whether or not anybody has the address.
    Row {
        route: "POST /auth/unregister-link",
        body: r#"{"email": "$unique@example.com"}"#,
        own: NO_MAIL,
        ..PUBLIC
    },
    Row {
        route: "POST /auth/unregister-by-link",
        body: r#"{"token": "vbm_1"}"#,
        own: BAD_FIELD,
        ..PUBLIC
    },
    Row {
        route: "POST /auth/unregister",
        body: r#"{"password": "$password"}"#,
        lets_in: NOT_DELETED,
        key: BAD_FIELD,
        ..LEAVING
    },
    Row {
        route: "POST /auth/unregister",
        body: r#"{"confirmation_phrase": "DELETE"}"#,
        lets_in: NOT_DELETED,
        session: BAD_FIELD,
        ..LEAVING
    },
    Row {
        route: "POST /auth/unregister",
        body: r#"{"password": "$password", "confirmation_phrase": "DELETE", "immediate": true}"#,
        held: Some(PRESERVED),
        key: DENIED,
        ..LEAVING
    },
    Row { route: "DELETE /auth/unregister", works_in: (&[Frozen], WRONG_STATE), ..LEAVING },
    Row { route: "POST /auth/logout", who: ANYONE, key: DENIED, ..LEAVING },
    Row {
        route: "POST /auth/logout",
        body: r#"{"everywhere": true}"#,
        who: ANYONE,
        key: DENIED,
        ..LEAVING
    },
    // Whoever has the ticket of an erasure may read its status.
    Row { route: "GET /v1.0/erasures/{ticket}", ..PUBLIC },
    Row { route: "GET /v1.0/erasure-keys", ..PUBLIC },
    Row { route: "GET /ping", ..PUBLIC },
    Row { route: "GET /account/verify", own: NO_MAIL, ..PUBLIC },
    Row { route: "GET /account/reset", own: NO_MAIL, ..PUBLIC },
    Row { route: "GET /account", own: NO_MAIL, ..PUBLIC },
    Row { route: "GET /account/delete", own: NO_MAIL, ..PUBLIC },
    Row { route: "GET /account/unregister", own: NO_MAIL, ..PUBLIC },
    Row { route: "GET /account/script.js", own: NO_MAIL, ..PUBLIC },
    Row { route: "GET /account/account.js", own: NO_MAIL, ..PUBLIC },
    Row { route: "GET /account/receipt.js", own: NO_MAIL, ..PUBLIC },
    Row { route: "GET /account/timeline.js", own: NO_MAIL, ..PUBLIC },
    Row { route: "GET /console", own: NO_ROUTE, ..PUBLIC },
    Row { route: "GET /console/{file}", own: NO_ROUTE, ..PUBLIC },
    Row { route: "GET /v1.0/customers", ..PROJECTS },
    Row { route: "POST /v1.0/customers", body: CUSTOMER.new, ..PROJECTS },
    Row { route: "GET /v1.0/customers/{id}", ..ANY_ACCOUNT },
    Row {
        route: "PUT /v1.0/customers/{id}",
        body: r#"{"detail": "changed"}"#,
        held: Some(ON_HOLD),
        deleted: WRONG_STATE,
        ..ANY_ACCOUNT
    },
    Row {
        route: "PUT /v1.0/customers/{id}/metadata",
        body: r#"{"rtp_debug": true}"#,
        deleted: WRONG_STATE,
        ..ANY_ACCOUNT
    },
    Row {
        route: "PUT /v1.0/customers/{id}/billing_account_id",
        body: NO_BILLING,
        deleted: WRONG_STATE,
        ..ANY_ACCOUNT
    },
    Row {
        route: "PUT /v1.0/customers/{id}/verification",
        body: r#"{"identity_verification_status": "pending"}"#,
        deleted: WRONG_STATE,
        ..ANY_ACCOUNT
    },
    Row {
        route: "DELETE /v1.0/customers/{id}",
        held: Some(ON_HOLD),
        uses_up: UsesUp::Account,
        ..ANY_ACCOUNT
    },
    Row {
        route: "POST /v1.0/customers/{id}/freeze",
        deleted: WRONG_STATE,
        uses_up: UsesUp::Account,
        ..ANY_ACCOUNT
    },
    Row {
        route: "POST /v1.0/customers/{id}/recover",
        own: WRONG_STATE,
        deleted: WRONG_STATE,
        uses_up: UsesUp::Account,
        from: Frozen,
        ..ANY_ACCOUNT
    },
    Row {
        route: "GET /v1.0/customers/{id}/erasure",
        own: NO_ERASURE,
        foreign: NO_ERASURE,
        missing: NO_ERASURE,
        // A hold opens the ledger.
        held: Some(OK),
        ..ANY_ACCOUNT
    },
    Row {
        route: "PUT /v1.0/erasures/{id}/acknowledgements/{name}",
        body: r#"{"status": "completed"}"#,
        is_participants: true,
        ..ANY_PART
    },
    Row {
        route: "POST /v1.0/erasures/{id}/waivers",
        body: r#"{"participant": "carrier", "reason": "It has closed down"}"#,
        ..ANY_PART
    },
    Row { route: "GET /v1.0/customers/{id}/events", ..ANY_ACCOUNT },
    Row { route: "POST /v1.0/customers/{id}/erasure/plan", deleted: WRONG_STATE, ..ANY_ACCOUNT },
    Row {
        route: "PUT /v1.0/customers/{id}/hold",
        body: r#"{"reason": "Court order 7"}"#,
        deleted: WRONG_STATE,
        uses_up: UsesUp::Account,
        ..ANY_ACCOUNT
    },
    Row { route: "DELETE /v1.0/customers/{id}/hold", uses_up: UsesUp::Account, ..ANY_ACCOUNT },
    Row { route: "GET /v1.0/customers/{id}/holds", ..ANY_ACCOUNT },
    Row {
        route: "PUT /v1.0/customers/{id}/holds/{name}",
        body: r#"{"reason": "Court order 8"}"#,
        deleted: WRONG_STATE,
        uses_up: UsesUp::Account,
        ..ANY_ACCOUNT
    },
    Row {
        route: "DELETE /v1.0/customers/{id}/holds/{name}",
        uses_up: UsesUp::Account,
        ..ANY_ACCOUNT
    },
    Row {
        route: "POST /v1.0/customers/{id}/suspend",
        deleted: WRONG_STATE,
        uses_up: UsesUp::Account,
        ..ANY_ACCOUNT
    },
    Row { route: "POST /v1.0/customers/{id}/resume", ..ANY_ACCOUNT },
    Row { route: "GET /v1.0/customers/{id}/overview", ..ANY_ACCOUNT },
    Row { route: "GET /v1.0/purge", ..PROJECTS },
    Row { route: "GET /v1.0/participants", ..PROJECTS },
    Row { route: "GET /v1.0/participants/{name}", ..PROJECTS },
    Row { route: "PUT /v1.0/participants/{name}", body: r#"{"required": true}"#, ..PROJECTS },
    Row { route: "DELETE /v1.0/participants/{name}", uses_up: UsesUp::Participant, ..PROJECTS },
    Row { route: "GET /v1.0/participants/{name}/requests", is_participants: true, ..PROJECTS },
    Row { route: "GET /v1.0/customer", who: MANAGERS, ..OWN },
    Row {
        route: "PUT /v1.0/customer",
        body: r#"{"detail": "changed"}"#,
        held: Some(PRESERVED),
        ..OWN
    },
    Row {
        route: "PUT /v1.0/customer",
        body: r#"{"email": "$unique@example.com", "current_password": "$password"}"#,
        key: DENIED,
        held: Some(PRESERVED),
        ..OWN
    },
    Row {
        route: "PUT /v1.0/customer",
        body: r#"{"email": "$unique@example.com"}"#,
        session: BAD_FIELD,
        key: DENIED,
        ..OWN
    },
    Row { route: "PUT /v1.0/customer/billing_account_id", body: NO_BILLING, ..OWN },
    Row {
        route: "PUT /v1.0/customer/billing_account_id",
        body: r#"{"billing_account_id": "5e4a0680-804e-11ec-8477-2fea5968d85b"}"#,
        own: NO_BILLING_ACCOUNT,
        foreign: NO_BILLING_ACCOUNT,
        ..OWN
    },
    Row { route: "PUT /v1.0/customer/metadata", body: r#"{"rtp_debug": true}"#, ..OWN },
    Row { route: "GET /v1.0/events", ..OWN },
    Row { route: "GET /v1.0/webhook_deliveries", who: MANAGERS, names: Some(PROJECT), ..OWN },
    Row {
        route: "POST /v1.0/webhook_deliveries/{id}/resend",
        // No account here has a webhook; `webhooks.rs` tests accounts with one.
        target: Some(&NUMBER),
        named: NO_WEBHOOK,
        names: Some(PROJECT),
        missing: NO_WEBHOOK,
        deleted: NO_WEBHOOK,
        ..WITHOUT_WEBHOOK
    },
    Row { route: "POST /v1.0/customer/webhook_test", ..WITHOUT_WEBHOOK },
    Row { route: "POST /v1.0/customer/webhook_secret/rotate", body: r#"{"overlap": 0}"#, ..OWN },
    Row { route: "GET /v1.0/me", who: ANYONE, ..OWN },
    Row { route: "GET /v1.0/accesskeys", names: Some(PROJECT), ..OWN },
    Row { route: "POST /v1.0/accesskeys", body: ACCESS_KEY.new, key: DENIED, ..OWN },
    Row { route: "GET /v1.0/accesskeys/{id}", ..KEY },
    Row { route: "PUT /v1.0/accesskeys/{id}", body: r#"{"name": "changed"}"#, ..OWN_KEY },
    Row {
        route: "DELETE /v1.0/accesskeys/{id}",
        lets_in: NOT_SUSPENDED,
        uses_up: UsesUp::Target,
        ..KEY
    },
    Row {
        route: "POST /v1.0/accesskeys/{id}/rotate",
        body: r#"{"overlap": 0}"#,
        // A key rotates only itself, which `authority.rs` tests.
        key: DENIED,
        uses_up: UsesUp::Target,
        ..OWN_KEY
    },
    Row { route: "GET /v1.0/agents", names: Some(PROJECT), ..OWN },
    Row { route: "POST /v1.0/agents", body: AGENT.new, ..OWN },
    Row {
        route: "POST /v1.0/agents",
        body: r#"{"username": "$unique", "password": "password of its own", "permission": 32, "current_password": "$password"}"#,
        key: DENIED,
        ..OWN
    },
    Row {
        route: "POST /v1.0/agents",
        body: r#"{"username": "$unique", "password": "password of its own", "permission": 32}"#,
        session: BAD_FIELD,
        key: DENIED,
        ..OWN
    },
    Row { route: "GET /v1.0/sessions", who: ANYONE, ..OWN },
    Row {
        route: "DELETE /v1.0/sessions/{id}",
        who: ANYONE,
        lets_in: NOT_SUSPENDED,
        // No session here can be spared; `sessions.rs` tests those that end.
        target: Some(&NUMBER),
        own: NO_SESSION,
        foreign: NO_SESSION,
        named: NO_SESSION,
        missing: NO_SESSION,
        deleted: NO_SESSION,
        ..OWN
    },
    Row { route: "GET /v1.0/agents/{id}", ..ANY_AGENT },
    Row {
        route: "PUT /v1.0/agents/{id}",
        body: r#"{"name": "changed"}"#,
        held: Some(PRESERVED),
        ..OWN_AGENT
    },
    Row {
        route: "DELETE /v1.0/agents/{id}",
        held: Some(PRESERVED),
        uses_up: UsesUp::Target,
        ..ANY_AGENT
    },
    Row {
        route: "PUT /v1.0/agents/{id}/permission",
        body: r#"{"permission": 64}"#,
        held: Some(PRESERVED),
        ..ANY_AGENT
    },
    Row {
        route: "PUT /v1.0/agents/{id}/permission",
        body: r#"{"permission": 32, "current_password": "$password"}"#,
        key: DENIED,
        held: Some(PRESERVED),
        uses_up: UsesUp::Target,
        ..ANY_AGENT
    },
    Row {
        route: "PUT /v1.0/agents/{id}/permission",
        body: r#"{"permission": 32}"#,
        session: BAD_FIELD,
        key: DENIED,
        ..ANY_AGENT
    },
    Row {
        route: "PUT /v1.0/agents/{id}/password",
        body: r#"{"password": "another password", "current_password": "$password"}"#,
        key: DENIED,
        ..OWN_AGENT
    },
    Row {
        route: "PUT /v1.0/agents/{id}/password",
        body: r#"{"current_password": "$password", "password": "another password"}"#,
        target: Some(&ONESELF),
        lets_in: NOT_SUSPENDED,
        lets_in_by_key: Some(LIVE),
        who: ANYONE,
        who_by_key: Some(ADMINS),
        key: DENIED,
        uses_up: UsesUp::Account,
        ..OWN
    },
    Row {
        route: "POST /v1.0/agents/{id}/password-reset",
        own: NO_MAIL,
        named: NO_MAIL,
        names: Some(PROJECT),
        ..OWN_AGENT
    },
    Row { route: "GET /v1.0/{kind}", who: ANYONE, ..RESOURCES },
    Row { route: "POST /v1.0/{kind}", body: NUMBER.new, must_name: true, ..RESOURCES },
    Row { route: "GET /v1.0/{kind}/{id}", who: ANYONE, ..RESOURCE },
    Row {
        route: "PUT /v1.0/{kind}/{id}",
        body: r#"{"name": "changed"}"#,
        held: Some(PRESERVED),
        ..RESOURCE
    },
    Row {
        route: "DELETE /v1.0/{kind}/{id}",
        held: Some(PRESERVED),
        uses_up: UsesUp::Target,
        ..RESOURCE
    },
];
