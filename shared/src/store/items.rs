//! The list of all types of stored items, with their fields.

use super::fields::{Declared as _, Field};
use super::{
    access_key, agent, email, idempotency, ledger, login, mail, mail_intent, mailed_token, marker,
    outbox, participant, participation, resource, root, session, throttle, ticket,
};

/// All types of items that say something about an account, and the registry of participants (systems that
/// take part in erasures), each by name with its fields. Items of the types that are not listed expire:
/// counters, and records of addresses (by hash) whose mail bounced or was marked as spam.
pub const ITEMS: &[(&str, &[Field])] = &[
    ("customer", root::CustomerAttributes::FIELDS),
    ("email_lock", email::EmailLock::FIELDS),
    ("email_entry", email::EmailEntry::FIELDS),
    ("marker", marker::MarkerAttributes::FIELDS),
    ("agent", agent::AgentAttributes::FIELDS),
    ("username_lock", login::LoginAttributes::FIELDS),
    ("accesskey", access_key::AccessKeyAttributes::FIELDS),
    ("session", session::SessionAttributes::FIELDS),
    ("attempts", throttle::AttemptAttributes::FIELDS),
    ("idempotency_key", idempotency::IdempotencyAttributes::FIELDS),
    ("resource", resource::ResourceAttributes::FIELDS),
    ("event", outbox::OutboxEntry::FIELDS),
    ("mail", mail::MailEntry::FIELDS),
    ("mail_intent", mail_intent::IntentEntry::FIELDS),
    ("mailed_token", mailed_token::MailedTokenAttributes::FIELDS),
    ("pending_sign_up", mailed_token::PendingSignUp::FIELDS),
    ("erasure", ledger::ErasureAttributes::FIELDS),
    ("participants", participant::RegistryAttributes::FIELDS),
    ("participation", participation::ParticipationAttributes::FIELDS),
    ("ticket", ticket::TicketAttributes::FIELDS),
];
