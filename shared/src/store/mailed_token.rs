//! Mailed tokens: the tokens in mailed links. This module stores the tokens' records, and the pending sign-ups that
//! such tokens complete. Records and pending sign-ups are items of the outbox, a table without backup. They stay in
//! its mail queue until they expire; then the sender of mail deletes them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dynamodb::{Condition, Store, Table, Transaction, string};
use super::fields::stored;
use super::key::{self, Key};
use super::stored::{Stored, item};
use crate::domain::sign_up::SignUp;
use crate::domain::terms::Terms;
use crate::domain::value::{AddressHash, Email, FromText as _, Name};
use crate::domain::{
    Agent, Customer, Error, Id, IssuedToken, Login, PresentedToken, Purpose, Timestamp, Username,
};

/// How long DynamoDB keeps the item of an expired token or pending sign-up, in case the sender of mail has
/// not deleted it: one hour.
const NET: Duration = Duration::from_hours(1);

/// Attributes of a sign-up, as a map within the item of a mail intent or a mailed token.
#[derive(Clone, Serialize, Deserialize)]
pub struct SignUpAttributes {
    email: String,
    #[serde(default)]
    name: String,
    terms_version: String,
    tm_accept: Timestamp,
}

impl From<&SignUp> for SignUpAttributes {
    fn from(sign_up: &SignUp) -> Self {
        Self {
            email: sign_up.email.expose().to_owned(),
            name: sign_up.name.expose().to_owned(),
            terms_version: sign_up.terms.version.clone(),
            tm_accept: sign_up.terms.tm_accept,
        }
    }
}

impl From<SignUpAttributes> for SignUp {
    fn from(stored: SignUpAttributes) -> Self {
        Self {
            email: Email::trusted(stored.email),
            name: Name::trusted(stored.name),
            terms: Terms { version: stored.terms_version, tm_accept: stored.tm_accept },
        }
    }
}

stored! {
    /// Attributes of the item that records a mailed token.
    #[derive(Serialize, Deserialize)]
    pub struct MailedTokenAttributes {
        purpose: Purpose => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        customer_id: Option<Id<Customer>> => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        agent_id: Option<Id<Agent>> => Deleted,
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<u64> => Deleted,
        address_hash: AddressHash => Deleted personal,
        #[serde(skip_serializing_if = "Option::is_none")]
        sign_up: Option<SignUpAttributes> => Deleted personal,
        tm_expire: Timestamp => Deleted,
        due_pk: String => Deleted,
        due_sk: String => Deleted,
        /// When the item's time to live ends, in seconds since 1970.
        expires_at: i64 => Deleted,
    }
}

impl From<MailedTokenAttributes> for IssuedToken {
    fn from(stored: MailedTokenAttributes) -> Self {
        Self {
            purpose: stored.purpose,
            customer: stored.customer_id,
            agent: stored.agent_id,
            epoch: stored.epoch,
            address: stored.address_hash,
            sign_up: stored.sign_up.map(Into::into),
            tm_expire: stored.tm_expire,
        }
    }
}

impl Stored for IssuedToken {
    type Attributes = MailedTokenAttributes;
}

stored! {
    /// A pending sign-up: the link was mailed, and the account is not created yet. The item, which has the hash of
    /// the address as its key, says which token completes the sign-up.
    #[derive(Debug, Serialize, Deserialize)]
    pub struct PendingSignUp {
        /// Hash of the token that completes the sign-up. The token's record has the data of the sign-up.
        pub token_hash: String => Deleted,
        due_pk: String => Deleted,
        due_sk: String => Deleted,
        /// When the item's time to live ends, in seconds since 1970.
        expires_at: i64 => Deleted,
    }
}

impl Stored for PendingSignUp {
    type Attributes = Self;
}

impl Transaction<'_> {
    /// Uses up the mailed token with this hash, by deleting its record. The transaction returns
    /// [`Error::TokenInvalid`] if there is no record: the token was used, was replaced, or was deleted after its
    /// expiry. [`CommitResult::Refused`](super::dynamodb::CommitResult) has no element for this action.
    pub(super) fn use_token(self, hash: &str) -> Result<Self, Error> {
        let exists = Condition::new("attribute_exists(id)", []);
        let token = key::mailed_token(hash).address();
        self.delete_or_fail(token, &exists, || Error::TokenInvalid)
    }

    /// Uses up a mailed token like [`use_token`](Self::use_token). If the record is missing, the transaction returns
    /// no error, but shows it in the element of [`CommitResult::Refused`](super::dynamodb::CommitResult) for this
    /// action. For a transaction that has to recognise its own work after a response was lost.
    pub(super) fn delete_token(self, hash: &str) -> Result<Self, Error> {
        let exists = Condition::new("attribute_exists(id)", []);
        self.delete(key::mailed_token(hash).address(), Some(&exists))
    }

    /// Deletes the pending sign-up of the account's address, as its token has completed it.
    pub(super) fn end_pending(self, customer: &Customer) -> Result<Self, Error> {
        match customer.email.hash() {
            Some(address) => {
                self.delete(key::pending_sign_up::<PendingSignUp>(&address).address(), None)
            }
            None => Ok(self),
        }
    }

    /// Records a token that is about to be mailed.
    pub(super) fn issue_token(self, hash: &str, token: &IssuedToken) -> Result<Self, Error> {
        let key = key::mailed_token(hash);
        let attributes = MailedTokenAttributes {
            purpose: token.purpose,
            customer_id: token.customer,
            agent_id: token.agent,
            epoch: token.epoch,
            address_hash: token.address.clone(),
            sign_up: token.sign_up.as_ref().map(Into::into),
            tm_expire: token.tm_expire,
            due_pk: key::shard_of_hash(&key::MAIL, hash).to_owned(),
            due_sk: key::due_mail(token.tm_expire, &key.pk),
            expires_at: token.tm_expire.plus(NET).seconds(),
        };
        self.put(Table::Outbox, item(&key, attributes)?, None)
    }

    /// Makes the token with this hash the one that completes the pending sign-up of the token's address, if that
    /// sign-up is unchanged since it was read as `pending`. Deletes the earlier token, which `pending` names.
    pub(super) fn replace_pending(
        self,
        pending: Option<&PendingSignUp>,
        hash: &str,
        token: &IssuedToken,
    ) -> Result<Self, Error> {
        let key = key::pending_sign_up::<PendingSignUp>(&token.address);
        let attributes = PendingSignUp {
            token_hash: hash.to_owned(),
            due_pk: key::shard_of_hash(&key::MAIL, token.address.as_str()).to_owned(),
            due_sk: key::due_mail(token.tm_expire, &key.pk),
            expires_at: token.tm_expire.plus(NET).seconds(),
        };
        let unchanged = match pending {
            None => Condition::new("attribute_not_exists(id)", []),
            Some(pending) => {
                let read = [(":read_token", string(&pending.token_hash))];
                Condition::new("token_hash = :read_token", read)
            }
        };
        let replaced = self.put(Table::Outbox, item(&key, attributes)?, Some(&unchanged))?;
        match pending {
            None => Ok(replaced),
            Some(pending) => {
                replaced.delete(key::mailed_token(&pending.token_hash).address(), None)
            }
        }
    }
}

/// Result of looking up the address of a sign-up.
#[derive(Debug)]
pub struct FoundAddress {
    /// Whether the address is in use: reserved for an account, or an agent's user name.
    pub is_known: bool,
    /// The pending sign-up of the address; `None` if there is none.
    pub pending: Option<PendingSignUp>,
}

/// A mailed token, the agent that it is about, and that agent's account.
pub type TokenAndAgent = (IssuedToken, Customer, Agent);

impl Store {
    /// Reads the record of a token that somebody presents, and the account that it is about, consistently and in one
    /// round trip. The record is `None` if the token was used, was replaced, was deleted after its expiry, or never
    /// existed. The account is `None` if the token names none, or if the account does not exist.
    pub async fn get_mailed_token(
        &self,
        presented: &PresentedToken,
    ) -> Result<(Option<IssuedToken>, Option<Customer>), Error> {
        let token = key::mailed_token(&presented.hash);
        let account = presented.customer.map(key::customer);
        let keys: Vec<_> =
            std::iter::once(token.untyped()).chain(account.iter().map(Key::untyped)).collect();
        let items = self.get_items(&keys).await?;
        let account = account.map(|account| items.get(&account)).transpose()?;
        Ok((items.get(&token)?, account.flatten()))
    }

    /// Reads a token that somebody presents, with the agent that it names and the account, consistently and in one
    /// round trip; `None` if one of them does not exist.
    pub async fn get_token_and_agent(
        &self,
        token: &PresentedToken,
    ) -> Result<Option<TokenAndAgent>, Error> {
        let (Some(customer), Some(agent)) = (token.customer, token.agent) else { return Ok(None) };
        let issued = key::mailed_token(&token.hash);
        let (customer, agent) = (key::customer(customer), key::agent(customer, agent));
        let keys = [issued.untyped(), customer.untyped(), agent.untyped()];
        let items = self.get_items(&keys).await?;
        let found = (items.get(&issued)?, items.get(&customer)?, items.get(&agent)?);
        Ok(match found {
            (Some(issued), Some(customer), Some(agent)) => Some((issued, customer, agent)),
            _ => None,
        })
    }

    /// Looks up the address of a sign-up, consistently and in one round trip.
    pub async fn look_up_sign_up(
        &self,
        email: &Email,
        address: &AddressHash,
    ) -> Result<FoundAddress, Error> {
        let lock = key::email_lock(&key::email_of(address));
        let pending = key::pending_sign_up::<PendingSignUp>(address);
        let username = Username::from_text(email.expose()).ok();
        let login = username.map(|username| (username.clone(), key::login(username.login_key())));
        let mut keys = vec![lock.untyped(), pending.untyped()];
        keys.extend(login.iter().map(|(_, login)| login.untyped()));
        let items = self.get_items(&keys).await?;
        // A user name that only looks like the address does not make the address known.
        let has_agent = match &login {
            Some((username, login)) => {
                let found: Option<Login> = items.get(login)?;
                found.is_some_and(|found| found.username_digest == username.digest())
            }
            None => false,
        };
        let is_known = items.find(&lock).is_some() || has_agent;
        Ok(FoundAddress { is_known, pending: items.get(&pending)? })
    }

    /// Reads the sign-up of an address that is pending at `now`; `None` if there is none.
    pub async fn get_pending_sign_up(
        &self,
        address: &AddressHash,
        now: Timestamp,
    ) -> Result<Option<SignUp>, Error> {
        let pending = key::pending_sign_up::<PendingSignUp>(address);
        let found = self.get_items(&[pending.untyped()]).await?.get(&pending)?;
        let Some(PendingSignUp { token_hash, .. }) = found else { return Ok(None) };
        let token = key::mailed_token(&token_hash);
        let token = self.get_items(&[token.untyped()]).await?.get(&token)?;
        Ok(token.filter(|token| now < token.tm_expire).and_then(|token| token.sign_up))
    }

    /// Deletes the record of a mailed token or a pending sign-up, by its key, if it has expired at `now`.
    pub async fn delete_expired_token(&self, id: &str, now: Timestamp) -> Result<(), Error> {
        let until = [(":until", string(key::due_until(now)))];
        let expired = Condition::new("due_sk < :until", until);
        let key: Key<IssuedToken> = key::mail(id);
        self.delete_if(key.address(), &expired).await
    }
}
