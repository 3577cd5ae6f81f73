//! Every key string of every table.
//!
//! | item | pk | sk |
//! |---|---|---|
//! | account | `CUSTOMER#<id>` | `A` |
//! | what it owns | `CUSTOMER#<id>` | `AGENT#<id>`, `KEY#<id>`, `SESSION#<hash>`, … by its [`Kind`] |
//! | user name's lock | `USERNAME#<login key>` | `L` |
//! | e-mail address's lock | `EMAIL#<hash>` | `L` |
//! | attempts at a password | `THROTTLE#<login key>` | `T` |
//! | requests of an account | `REQUESTS#<id>` | `<what is counted>#<seconds since 1970>` |
//! | requests from a network | `NETWORK#<hash>` | `<what is counted>#<seconds since 1970>` |
//! | purges begun within an hour | `BREAKER#<hours since 1970>` | `B` |
//!
//! | attempts at a webhook's host | `HOST#<hash>` | `<minutes since 1970>` |
//!
//! In the ledger: an account's row is `CUSTOMER#<id>`, `E`. In the outbox, keys are the events' ids.
//!
//! Everything an account owns is in its partition, after the account itself: one query is the
//! inventory. Locks hold hashes, so that no key says whom it belongs to.

use std::marker::PhantomData;

use data_encoding::HEXLOWER;
use uuid::Uuid;

use super::customer::EmailLock;
use crate::domain::digest::sha256;
use crate::domain::find::NamePrefix;
use crate::domain::idempotency::IdempotencyRecord;
use crate::domain::owned::Kind;
use crate::domain::quota::{QuotaKind, Source, Window};
use crate::domain::time::Month;
use crate::domain::username::LoginKey;
use crate::domain::value::Email;
use crate::domain::{
    AccessKey, Agent, Customer, Erasure, Error, Event, Id, Resource, Session, Timestamp,
};

/// Where a `T` is kept in the accounts table.
#[derive(Debug)]
pub struct Key<T> {
    pub(super) pk: String,
    pub(super) sk: String,
    kind: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    const fn new(pk: String, sk: String) -> Self {
        Self { pk, sk, kind: PhantomData }
    }

    /// The key without its type, to read it together with others.
    #[must_use]
    pub fn untyped(&self) -> Key<()> {
        Key::new(self.pk.clone(), self.sk.clone())
    }
}

/// Sort key of an account: before everything that it owns.
pub(super) const ROOT: &str = "A";
const LOCK: &str = "L";

/// Partition of an account and of everything that it owns.
pub(super) fn partition(customer: Id<Customer>) -> String {
    format!("CUSTOMER#{customer}")
}

/// Sort key of something that an account owns.
pub(super) fn owned(kind: Kind, id: impl std::fmt::Display) -> String {
    format!("{}{id}", kind.prefix())
}

/// Sort key of something that an account owns, by the bytes of its id.
pub(super) fn owned_by_bytes(kind: Kind, id: &[u8]) -> String {
    match Uuid::from_slice(id) {
        Ok(uuid) => owned(kind, uuid),
        Err(_) => owned(kind, HEXLOWER.encode(id)),
    }
}

/// What a sort key says: the kind of the thing and the bytes of its id. `None` if it is of no known kind
/// or its id is none that we give.
pub(super) fn kind_and_bytes(sk: &str) -> Option<(Kind, Vec<u8>)> {
    let kind = Kind::of_sort_key(sk)?;
    let id = sk.strip_prefix(kind.prefix())?;
    let bytes = match Uuid::try_parse(id) {
        Ok(uuid) => uuid.as_bytes().to_vec(),
        Err(_) => HEXLOWER.decode(id.as_bytes()).ok()?,
    };
    let ours = bytes.len() == kind.id_length() && owned_by_bytes(kind, &bytes) == sk;
    ours.then_some((kind, bytes))
}

/// An account.
#[must_use]
pub fn customer(id: Id<Customer>) -> Key<Customer> {
    Key::new(partition(id), ROOT.to_owned())
}

/// An account's agent.
#[must_use]
pub fn agent(customer: Id<Customer>, id: Id<Agent>) -> Key<Agent> {
    Key::new(partition(customer), owned(Kind::Agent, id))
}

/// An account's access key.
#[must_use]
pub fn access_key(customer: Id<Customer>, id: Id<AccessKey>) -> Key<AccessKey> {
    Key::new(partition(customer), owned(Kind::AccessKey, id))
}

/// An account's resource of this kind.
#[must_use]
pub fn resource(customer: Id<Customer>, kind: Kind, id: Id<Resource>) -> Key<Resource> {
    Key::new(partition(customer), owned(kind, id))
}

/// A session, by its token's hash.
#[must_use]
pub fn session(customer: Id<Customer>, token_hash: &str) -> Key<Session> {
    Key::new(partition(customer), owned(Kind::Session, token_hash))
}

/// What a request with a key has done, by the hash that stands for the key.
#[must_use]
pub fn idempotency(customer: Id<Customer>, hash: &str) -> Key<IdempotencyRecord> {
    Key::new(partition(customer), owned(Kind::IdempotencyKey, hash))
}

/// A user name's lock.
#[must_use]
pub fn login(login: LoginKey) -> Key<super::login::Login> {
    lock_of_agent(&login.to_string())
}

/// An e-mail address's lock; `None` if this is no address.
pub(super) fn email(email: &Email) -> Option<Key<EmailLock>> {
    let hash = sha256(&email.canonical()?);
    Some(Key::new(format!("EMAIL#{hash}"), LOCK.to_owned()))
}

/// An account's row in the ledger of erasures.
#[must_use]
pub fn erasure(customer: Id<Customer>) -> Key<Erasure> {
    Key::new(partition(customer), "E".to_owned())
}

/// Partition of the ledger's index `finished`.
pub(super) fn finished(month: Month) -> String {
    format!("FINISHED#{month}")
}

/// The account whose partition this is.
pub(super) fn customer_of(pk: &str) -> Result<Id<Customer>, Error> {
    let id = pk.strip_prefix("CUSTOMER#").and_then(Id::parse);
    id.ok_or_else(|| Error::Internal("a key names no account".to_owned()))
}

/// How many purges have begun within an hour.
pub(super) fn breaker(hour: i64) -> Key<()> {
    Key::new(format!("BREAKER#{hour}"), "B".to_owned())
}

/// Attempts at the webhooks of one host within one minute.
pub(super) fn host(host: &str, minute: i64) -> Key<()> {
    Key::new(format!("HOST#{}", sha256(host)), minute.to_string())
}

/// Partitions of the outbox's index `due` with events that wait to be published.
pub(super) const PUBLISH: [&str; 4] = ["PUBLISH#0", "PUBLISH#1", "PUBLISH#2", "PUBLISH#3"];

/// Partitions of the outbox's index `due` with events that wait to be delivered.
pub(super) const DELIVER: [&str; 4] = ["DELIVER#0", "DELIVER#1", "DELIVER#2", "DELIVER#3"];

/// Which of these partitions is for something with this id.
pub(super) fn shard(partitions: [&'static str; 4], id: Uuid) -> &'static str {
    // The last bits are random; the first are the time.
    partitions[usize::from(id.as_bytes()[15]) % partitions.len()]
}

/// Sort key of the outbox's index `due`.
pub(super) fn due_event(when: Timestamp, id: Id<Event>) -> String {
    format!("{}#{id}", when.fixed())
}

/// Attempts at the password of a user name.
pub(super) fn throttle(login: &str) -> Key<()> {
    Key::new(format!("THROTTLE#{login}"), "T".to_owned())
}

/// The lock named by an agent's `login` attribute.
pub(super) fn lock_of_agent(login: &str) -> Key<super::login::Login> {
    Key::new(format!("USERNAME#{login}"), LOCK.to_owned())
}

/// Requests within one window of time. Not in the account's own partition: who names an account that is gone
/// must leave nothing there.
pub(super) fn count(counted: QuotaKind, source: &Source, window: Window) -> Key<()> {
    let pk = match source {
        Source::Customer(id) => format!("REQUESTS#{id}"),
        Source::Network(network) => format!("NETWORK#{}", sha256(network.expose())),
    };
    Key::new(pk, format!("{}#{}", counted.name(), window.start))
}

/// Partition of index `list`.
pub(super) const LIST: &str = "CUSTOMERS";

/// Sort key of index `list`.
pub(super) fn list(tm_create: Timestamp, id: Id<Customer>) -> String {
    format!("{}#{id}", tm_create.fixed())
}

/// Comes before every sort key in index `list`.
pub(super) const LIST_START: &str = "#";

/// Comes after every sort key in index `list`.
pub(super) const LIST_END: &str = "~";

/// Comes before the sort key in index `list` of every account created at `tm_create` or later.
pub(super) fn list_before(tm_create: Timestamp) -> String {
    format!("{}#", tm_create.fixed())
}

/// Comes after the sort key in index `list` of every account created at `tm_create` or earlier.
pub(super) fn list_after(tm_create: Timestamp) -> String {
    format!("{}$", tm_create.fixed())
}

/// Sort key of index `name`. What is between comes before all that names are made of: Acme is before Acme
/// Corp, and is not found by what is not in it.
pub(super) fn name(name: &NamePrefix, id: Id<Customer>) -> String {
    format!("{}\u{1f}{id}", name.expose())
}

/// Partitions of index `due` with accounts whose purge has begun. They are looked at first.
pub(super) const BEGUN: [&str; 4] = ["BEGUN#0", "BEGUN#1", "BEGUN#2", "BEGUN#3"];

/// Partitions of index `due` with accounts whose purge has not begun. More than one, so that a wave of
/// deletions is not one hot partition.
pub(super) const DUE: [&str; 4] = ["DUE#0", "DUE#1", "DUE#2", "DUE#3"];

/// The partition of index `due` that an account belongs to.
pub(super) fn due_partition(customer: &Customer) -> &'static str {
    shard(if customer.internals.epoch == 0 { DUE } else { BEGUN }, customer.id.uuid())
}

/// Sort key of index `due`.
pub(super) fn due(when: Timestamp, id: Id<Customer>) -> String {
    format!("{}#{id}", when.fixed())
}

/// Comes after the sort key in index `due` of every account due at `now` or before.
pub(super) fn due_until(now: Timestamp) -> String {
    format!("{}$", now.fixed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sort_keys_are_read_as_they_are_written() {
        for kind in Kind::ALL {
            let id = vec![0xab; kind.id_length()];
            let sk = owned_by_bytes(*kind, &id);
            assert_eq!(kind_and_bytes(&sk), Some((*kind, id)), "{sk}");
        }
        for unknown in [
            "A",
            "AGENT#",
            "AGENT#7",
            "AGENT#5E4A0680-804E-11EC-8477-2FEA5968D85B",
            "AGENT#5e4a0680804e11ec84772fea5968d85b",
            "SESSION#00",
            "GHOST#5e4a0680-804e-11ec-8477-2fea5968d85b",
        ] {
            assert_eq!(kind_and_bytes(unknown), None, "{unknown}");
        }
    }
}
