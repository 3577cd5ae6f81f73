//! Mail intents: requests that are answered by mail, such as a sign-up or a forgotten password. They wait in
//! the outbox's queue of mail until they are carried out.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::dynamodb::{CommitResult, Store, Table, Transaction, to_item};
use super::fields::stored;
use super::key;
use super::mail::{attempted, claimed};
use super::mailed_token::{PendingSignUp, SignUpAttributes};
use super::stored::Stored;
use crate::domain::mail_intent::{Intent, LIFETIME};
use crate::domain::username::LoginKey;
use crate::domain::value::{AddressHash, Email, FromText as _};
use crate::domain::{Agent, Customer, Error, Event, Id, IssuedToken, MailedToken, Timestamp};

/// Type of a mail intent (a request that is answered by mail).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum IntentType {
    SignUp,
    Resend,
    Verification,
    PasswordReset,
    Invitation,
    Unregistration,
}

impl IntentType {
    const fn of(intent: &Intent) -> Self {
        match intent {
            Intent::SignUp(_) => Self::SignUp,
            Intent::Resend(_) => Self::Resend,
            Intent::Verification { .. } => Self::Verification,
            Intent::PasswordReset { .. } => Self::PasswordReset,
            Intent::Invitation { .. } => Self::Invitation,
            Intent::Unregistration(_) => Self::Unregistration,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::Resend => "resend",
            Self::Verification => "verification",
            Self::PasswordReset => "password_reset",
            Self::Invitation => "invitation",
            Self::Unregistration => "unregistration",
        }
    }
}

stored! {
    /// A mail intent (a request that is answered by mail) as an item of the outbox. The intent's type decides
    /// which of the optional fields are set.
    #[derive(Clone, Serialize, Deserialize)]
    pub struct IntentEntry {
        /// Key of the item, `INTENT#<id>#<type>`.
        pub id: String => Deleted,
        intent: IntentType => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        sign_up: Option<SignUpAttributes> => Deleted personal,
        #[serde(skip_serializing_if = "Option::is_none")]
        email: Option<String> => Deleted personal,
        #[serde(skip_serializing_if = "Option::is_none")]
        address_hash: Option<AddressHash> => Deleted personal,
        #[serde(skip_serializing_if = "Option::is_none")]
        customer_id: Option<Id<Customer>> => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        agent_id: Option<Id<Agent>> => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        login_key: Option<String> => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        username_digest: Option<String> => Deleted personal,
        /// Time at which the intent is dropped if it has not been carried out.
        tm_until: Timestamp => Deleted,
        /// Number of attempts to carry out the intent.
        #[serde(default)]
        pub attempts: u64 => Deleted,
        due_pk: String => Deleted,
        due_sk: String => Deleted,
        /// When the item expires, in seconds since 1970.
        expires_at: i64 => Deleted,
    }
}

impl fmt::Debug for IntentEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IntentEntry({})", self.id)
    }
}

impl IntentEntry {
    fn of(intent: &Intent, id: Uuid, now: Timestamp) -> Self {
        let kind = IntentType::of(intent);
        let (id, due_pk) = (key::intent_id(id, kind.name()), key::shard(&key::MAIL, id));
        let until = now.plus(LIFETIME);
        let blank = Self {
            intent: kind,
            sign_up: None,
            email: None,
            address_hash: None,
            customer_id: None,
            agent_id: None,
            login_key: None,
            username_digest: None,
            tm_until: until,
            attempts: 0,
            due_pk: due_pk.to_owned(),
            due_sk: key::due_mail(now, &id),
            expires_at: until.seconds(),
            id,
        };
        match intent {
            Intent::SignUp(sign_up) => Self { sign_up: Some(sign_up.into()), ..blank },
            Intent::Resend(email) | Intent::Unregistration(email) => {
                Self { email: Some(email.expose().to_owned()), ..blank }
            }
            Intent::Verification { customer, address } => {
                Self { customer_id: Some(*customer), address_hash: Some(address.clone()), ..blank }
            }
            Intent::PasswordReset { login, digest } => Self {
                login_key: Some(login.to_string()),
                username_digest: Some(digest.clone()),
                ..blank
            },
            Intent::Invitation { customer, agent } => {
                Self { customer_id: Some(*customer), agent_id: Some(*agent), ..blank }
            }
        }
    }

    /// Returns the intent that the item stores; an error if a field that its type needs is missing.
    pub fn intent(&self) -> Result<Intent, Error> {
        self.read().ok_or_else(|| Error::Internal("an intent lacks a field".to_owned()))
    }

    fn read(&self) -> Option<Intent> {
        Some(match self.intent {
            IntentType::SignUp => Intent::SignUp(self.sign_up.clone()?.into()),
            IntentType::Resend => Intent::Resend(Email::trusted(self.email.clone()?)),
            IntentType::Verification => Intent::Verification {
                customer: self.customer_id?,
                address: self.address_hash.clone()?,
            },
            IntentType::PasswordReset => Intent::PasswordReset {
                login: LoginKey::from_text(self.login_key.as_deref()?).ok()?,
                digest: self.username_digest.clone()?,
            },
            IntentType::Invitation => {
                Intent::Invitation { customer: self.customer_id?, agent: self.agent_id? }
            }
            IntentType::Unregistration => {
                Intent::Unregistration(Email::trusted(self.email.clone()?))
            }
        })
    }

    /// Whether the next attempt to carry out the intent is due at `now`.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        key::is_due(&self.due_sk, now)
    }

    /// Returns the time at which the intent is dropped if it has not been carried out.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.tm_until
    }
}

impl Stored for IntentEntry {
    type Attributes = Self;
}

/// A token that is about to be mailed, and the record of it.
#[derive(Debug)]
pub struct NewToken {
    /// The token in plain text.
    pub plain: MailedToken,
    /// The record of the token.
    pub issued: IssuedToken,
    /// Pending sign-up of the same address, if this token is for a sign-up: the token replaces the one mailed
    /// before. `None` if there is none.
    pub pending: Option<PendingSignUp>,
}

impl Transaction<'_> {
    /// Puts a mail intent into the outbox, if the installation sends mail. `id` is the id of the event in the
    /// same transaction, or a new one.
    pub(super) fn intend(self, intent: &Intent, id: Uuid, now: Timestamp) -> Result<Self, Error> {
        if !self.sends_mail() {
            return Ok(self);
        }
        self.put(Table::Outbox, to_item(IntentEntry::of(intent, id, now))?, None)
    }

    /// If the account's change from `before` (`None` if the account is new) to `after` makes it necessary to
    /// prove the address, puts a mail intent into the outbox: the request to mail a link with which the owner
    /// proves it.
    pub(super) fn intend_to_prove(
        self,
        before: Option<&Customer>,
        after: &Customer,
        event: &Event,
    ) -> Result<Self, Error> {
        match Intent::to_prove(before, after) {
            Some(intent) => self.intend(&intent, event.id.uuid(), event.time),
            None => Ok(self),
        }
    }

    fn claim(self, entry: &IntentEntry, next: Timestamp) -> Result<Self, Error> {
        let key = key::mail::<IntentEntry>(&entry.id);
        let unchanged = attempted(entry.attempts);
        self.update(key.address(), &claimed(&entry.id, next)?, Some(&unchanged))
    }
}

impl Store {
    /// Puts a mail intent into the outbox with a single write. The write is of the same kind for every type
    /// of intent and every recipient, so its duration does not reveal whether an account exists. `id` must be
    /// new.
    pub async fn insert_intent(
        &self,
        intent: &Intent,
        id: Id<Intent>,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.put(Table::Outbox, to_item(IntentEntry::of(intent, id.uuid(), now))?).await
    }

    /// Reads a mail intent consistently; `None` if it was carried out or dropped since.
    pub async fn get_intent(&self, id: &str) -> Result<Option<IntentEntry>, Error> {
        let key = key::mail::<IntentEntry>(id);
        self.get_items(&[key.untyped()]).await?.get(&key)
    }

    /// Reserves the next attempt to carry out a mail intent, so that no two functions make the same one, and
    /// records the `token` that is to be mailed in the same transaction. Returns false if another function
    /// came first. If the function dies during the attempt, the intent is due again at `next`.
    pub async fn claim_intent(
        &self,
        entry: &IntentEntry,
        next: Timestamp,
        token: Option<&NewToken>,
    ) -> Result<bool, Error> {
        let mut transaction = self.transaction().claim(entry, next)?;
        if let Some(NewToken { plain, issued, pending }) = token {
            let hash = plain.hash();
            transaction = transaction.issue_token(&hash, issued)?;
            if issued.sign_up.is_some() {
                transaction = transaction.replace_pending(pending.as_ref(), &hash, issued)?;
            }
        }
        Ok(matches!(transaction.run().await?, CommitResult::Written))
    }

    /// Replaces a mail intent, for which nothing was sent yet, by the intents in `by`: a request for another
    /// link can concern several accounts, of which each gets an intent. Returns false if another function
    /// came first.
    pub async fn replace_intent(
        &self,
        entry: &IntentEntry,
        by: &[(Id<Intent>, Intent)],
        now: Timestamp,
    ) -> Result<bool, Error> {
        let key = key::mail::<IntentEntry>(&entry.id);
        let unchanged = attempted(entry.attempts);
        let mut transaction = self.transaction().delete(key.address(), Some(&unchanged))?;
        for (id, intent) in by {
            transaction = transaction.intend(intent, id.uuid(), now)?;
        }
        Ok(matches!(transaction.run().await?, CommitResult::Written))
    }
}
