//! Keys of all items in all tables, and of their indexes. In the accounts table:
//!
//! | item | pk | sk |
//! |---|---|---|
//! | account | `CUSTOMER#<id>` | `A` |
//! | owned item | `CUSTOMER#<id>` | `AGENT#<id>`, `KEY#<id>`, `SESSION#<agent's id><id>`, … by its [`Kind`] |
//! | user name's lock | `USERNAME#<login key>` | `L` |
//! | e-mail address's lock | `EMAIL#<hash>` | `L` |
//! | entry of an account that has an e-mail address | `EMAIL#<hash>` | `M#<id>` |
//! | marker: lists an account under a state, such as held or suspended | `MARKED#<mark>` | `<time>#<id>` |
//! | bounce or complaint of an address | `UNDELIVERABLE#<hash>` | `U` |
//! | login attempts | `THROTTLE#<login key>` | `T` |
//! | requests of an account | `REQUESTS#<id>` | `<quota>#<seconds since 1970>` |
//! | requests from a network | `NETWORK#<hash>` | `<quota>#<seconds since 1970>` |
//! | requests for mail to one address or user name | `RECIPIENT#<hash>` | `<quota>#<seconds since 1970>` |
//! | deletions by operators within an hour, which the brake limits | `BRAKE#<hours since 1970>` | `B` |
//! | purges begun within an hour, which the circuit breaker limits | `BREAKER#<hours since 1970>` | `B` |
//! | delivery attempts at a webhook's host | `HOST#<hash>` | `<minutes since 1970>` |
//! | … of one account | `HOST#<hash>` | `<minutes since 1970>#<id>` |
//!
//! In the ledger of erasures, in which a participant is another system that takes part in an erasure:
//!
//! | item | pk | sk |
//! |---|---|---|
//! | an account's erasure | `CUSTOMER#<id>` | `E` |
//! | a participant's part: what it is asked and answers | `CUSTOMER#<id>` | `P#<round>#<name>` |
//! | registry of participants | `PARTICIPANTS` | `R` |
//! | ticket | `TICKET#<hash>` | `T` |
//!
//! In the outbox, whose key is an id alone:
//!
//! | item | id |
//! |---|---|
//! | event | the event's id |
//! | notice: a message about a change of an account | `MAIL#<event id>#<notice>` |
//! | mail intent: a request that is answered by mail | `INTENT#<id>#<type>` |
//! | mailed token's record | `TOKEN#<hash>` |
//! | pending sign-up | `SIGNUP#<hash of its address>` |
//! | messages sent within an hour | `MESSAGES#<hours since 1970>` |
//!
//! An account and all that it owns form one partition, so that one query reads the inventory. The account's root is the
//! partition's first item. Locks have hashes as keys, so that no key names a person.

use std::collections::HashMap;
use std::marker::PhantomData;

use data_encoding::HEXLOWER;
use uuid::Uuid;

use super::dynamodb::{Address, Item, Table, string};
use crate::domain::brake::Hour;
use crate::domain::delivery::Lane;
use crate::domain::digest::sha256;
use crate::domain::event::Audience;
use crate::domain::find::NamePrefix;
use crate::domain::idempotency::IdempotencyRecord;
use crate::domain::mark::Mark;
use crate::domain::network::Source;
use crate::domain::notice::NoticeType;
use crate::domain::owned::Kind;
use crate::domain::participant::{ParticipantName, Registry};
use crate::domain::participation::Participation;
use crate::domain::quota::{QuotaKind, Window};
use crate::domain::time::Month;
use crate::domain::username::LoginKey;
use crate::domain::value::{AddressHash, Email};
use crate::domain::{
    AccessKey, Agent, Customer, Erasure, Error, Event, Id, IssuedToken, Login, Resource, Session,
    TicketHash, Timestamp,
};

/// Key of the item that holds a `T`: its table, partition key and sort key.
#[derive(Debug)]
pub struct Key<T> {
    pub(super) table: Table,
    /// Partition key; in the outbox, which has no sort key, the id.
    pub(super) pk: String,
    pub(super) sk: String,
    kind: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key of the accounts table.
    const fn new(pk: String, sk: String) -> Self {
        Self::of(Table::Accounts, pk, sk)
    }

    const fn of(table: Table, pk: String, sk: String) -> Self {
        Self { table, pk, sk, kind: PhantomData }
    }

    /// Returns the key without its type, so that the item can be read together with items of other types.
    #[must_use]
    pub fn untyped(&self) -> Key<()> {
        Key::of(self.table, self.pk.clone(), self.sk.clone())
    }

    /// The item's table and key attributes.
    pub(super) fn address(&self) -> Address {
        let key = match self.table {
            Table::Outbox => HashMap::from([("id".to_owned(), string(&self.pk))]),
            Table::Accounts | Table::Erasures => attributes(&self.pk, &self.sk),
        };
        Address { table: self.table, key }
    }
}

/// Key attributes of an item in the accounts table or the erasures table.
pub(super) fn attributes(pk: &str, sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), string(pk)), ("sk".to_owned(), string(sk))])
}

/// Sort key of an account's root, which sorts before everything that the account owns.
pub(super) const ROOT: &str = "A";
const LOCK: &str = "L";
/// Prefix of the sort keys of entries in an e-mail address's partition. An entry says that an account has the
/// address.
pub(super) const MAILBOX: &str = "M#";

/// Partition of an account and of all that it owns.
pub(super) fn partition(customer: Id<Customer>) -> String {
    format!("CUSTOMER#{customer}")
}

/// Sort key of an owned item.
pub(super) fn owned(kind: Kind, id: impl std::fmt::Display) -> String {
    format!("{}{id}", kind.prefix())
}

/// Sort key of an owned item whose id is given in bytes.
pub(super) fn owned_by_bytes(kind: Kind, id: &[u8]) -> String {
    match Uuid::from_slice(id) {
        Ok(uuid) => owned(kind, uuid),
        Err(_) => owned(kind, HEXLOWER.encode(id)),
    }
}

/// Returns the kind of an owned item and the bytes of its id, from its sort key. `None` if the kind is unknown, or if
/// the id does not have the form of that kind's ids.
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

/// Key of an account's root.
#[must_use]
pub fn customer(id: Id<Customer>) -> Key<Customer> {
    Key::new(partition(id), ROOT.to_owned())
}

/// Key of an account's agent.
#[must_use]
pub fn agent(customer: Id<Customer>, id: Id<Agent>) -> Key<Agent> {
    Key::new(partition(customer), owned(Kind::Agent, id))
}

/// Key of an account's access key.
#[must_use]
pub fn access_key(customer: Id<Customer>, id: Id<AccessKey>) -> Key<AccessKey> {
    Key::new(partition(customer), owned(Kind::AccessKey, id))
}

/// Key of an account's resource of this kind.
#[must_use]
pub fn resource(customer: Id<Customer>, kind: Kind, id: Id<Resource>) -> Key<Resource> {
    Key::new(partition(customer), owned(kind, id))
}

/// Key of a session. The keys of one agent's sessions are adjacent.
#[must_use]
pub fn session(customer: Id<Customer>, agent: Id<Agent>, id: Id<Session>) -> Key<Session> {
    let bytes = [*agent.uuid().as_bytes(), *id.uuid().as_bytes()].concat();
    Key::new(partition(customer), owned_by_bytes(Kind::Session, &bytes))
}

/// Prefix of the sort keys of an agent's sessions.
pub(super) fn sessions_of(agent: Id<Agent>) -> String {
    owned(Kind::Session, agent.uuid().simple())
}

/// Key of an idempotency record, by the hash of its idempotency key.
#[must_use]
pub fn idempotency(customer: Id<Customer>, hash: &str) -> Key<IdempotencyRecord> {
    Key::new(partition(customer), owned(Kind::IdempotencyKey, hash))
}

/// Key of the lock that keeps a user name for one agent.
#[must_use]
pub fn login(login: LoginKey) -> Key<Login> {
    lock(&login.to_string())
}

/// Key of a user name's lock, by the text of the login key (a hash of the user name).
pub(super) fn lock(login: &str) -> Key<Login> {
    Key::new(format!("USERNAME#{login}"), LOCK.to_owned())
}

/// Partition of an e-mail address; `None` if `email` is no valid address.
pub(super) fn email(email: &Email) -> Option<String> {
    email.hash().map(|address| email_of(&address))
}

/// Partition of the e-mail address with this hash.
pub(super) fn email_of(address: &AddressHash) -> String {
    format!("EMAIL#{}", address.as_str())
}

/// Key of the lock in an e-mail address's `partition`, which names the account that has reserved the address.
pub(super) fn email_lock(partition: &str) -> Key<Id<Customer>> {
    Key::new(partition.to_owned(), LOCK.to_owned())
}

/// Key of an account's entry in an e-mail address's `partition`. In descending order of keys, the entries of
/// the newest accounts come first, and the lock last.
pub(super) fn email_entry(partition: &str, customer: Id<Customer>) -> Key<()> {
    Key::new(partition.to_owned(), format!("{MAILBOX}{customer}"))
}

/// Returns the account whose entry in an e-mail address's partition has this sort key; `None` if the key is the lock's.
pub(super) fn customer_of_entry(sk: &str) -> Option<Id<Customer>> {
    sk.strip_prefix(MAILBOX).and_then(Id::parse)
}

/// Partition of all markers of a mark. A mark is a state by which operators list accounts, such as held or
/// suspended; a marker is the item that enters an account in that list.
pub(super) fn marked(mark: Mark) -> String {
    format!("MARKED#{}", mark.name())
}

/// Key of an account's marker, the item that enters the account in the list of accounts with `mark`. The list
/// is sorted by `time`.
pub(super) fn marker(mark: Mark, time: Timestamp, customer: Id<Customer>) -> Key<()> {
    Key::new(marked(mark), format!("{}#{customer}", time.fixed()))
}

/// Returns the time and the account in a marker's sort key; `None` if the key has another form.
pub(super) fn entry_of_marker(sk: &str) -> Option<(Timestamp, Id<Customer>)> {
    let (time, id) = sk.split_once('#')?;
    Some((Timestamp::parse_fixed(time)?, Id::parse(id)?))
}

/// Key of the record that mail to an address bounced or was marked as spam; `None` if `email` is no valid
/// address.
pub(super) fn undeliverable(email: &Email) -> Option<Key<()>> {
    let address = email.hash()?;
    Some(Key::new(format!("UNDELIVERABLE#{}", address.as_str()), "U".to_owned()))
}

/// Key of an event in the outbox.
pub(super) fn event<T>(id: Id<Event>) -> Key<T> {
    Key::of(Table::Outbox, id.to_string(), String::new())
}

/// Key of an account's row in the ledger of erasures.
#[must_use]
pub fn erasure(customer: Id<Customer>) -> Key<Erasure> {
    Key::of(Table::Erasures, partition(customer), "E".to_owned())
}

/// Key of the registry of participants.
#[must_use]
pub fn registry() -> Key<Registry> {
    Key::of(Table::Erasures, "PARTICIPANTS".to_owned(), "R".to_owned())
}

/// Key of a ticket, by its hash. Whoever has the ticket can follow an account's erasure.
pub(super) fn ticket<T>(hash: &TicketHash) -> Key<T> {
    Key::of(Table::Erasures, format!("TICKET#{}", hash.as_str()), "T".to_owned())
}

/// Key of a participant's part in an account's erasure: the item that records what the participant (another system that
/// keeps data of accounts) is asked, and answers. `round` is 1 for the account's first erasure, and one more each time
/// it is erased again.
#[must_use]
pub fn participation(
    customer: Id<Customer>,
    round: u64,
    name: &ParticipantName,
) -> Key<Participation> {
    Key::of(Table::Erasures, partition(customer), format!("P#{round:06}#{name}"))
}

/// Partition of a participant in the ledger's index `open`. It lists the participant's parts in erasures (what it is
/// asked and answers) that the scheduled function that asks participants still has to process.
pub(super) fn open(name: &ParticipantName) -> String {
    format!("OPEN#{name}")
}

/// Sort key, in the index `open`, of a participant's part in an erasure. `next` is the time at which the scheduled
/// function processes the part again.
pub(super) fn open_entry(next: Timestamp, customer: Id<Customer>, round: u64) -> String {
    format!("{}#{customer}#{round}", next.fixed())
}

/// Text that sorts before every sort key in index `open`, for queries from the beginning: DynamoDB refuses an
/// empty key.
pub(super) const OPEN_START: &str = "#";

/// Text that sorts after every sort key in index `open`.
pub(super) const OPEN_END: &str = "~";

/// Returns what a sort key of the index `open` contains: the time at which the part is processed again, the account,
/// and the round of its erasure. `None` if the key has another form.
pub(super) fn part_of_entry(sk: &str) -> Option<(Timestamp, Id<Customer>, u64)> {
    let (time, rest) = sk.split_once('#')?;
    let (id, round) = rest.split_once('#')?;
    Some((Timestamp::parse_fixed(time)?, Id::parse(id)?, round.parse().ok()?))
}

/// Partition of an account's events with this `audience`, in the outbox's index `history`.
pub(super) fn history(customer: Id<Customer>, audience: Audience) -> String {
    match audience {
        Audience::Owner => partition(customer),
        Audience::Operators => format!("OPERATORS#{customer}"),
    }
}

/// Partition, in the ledger's index `finished`, of the erasures that finished in this calendar month.
pub(super) fn finished(month: Month) -> String {
    format!("FINISHED#{month}")
}

/// Returns the account whose partition has this key; an error if it is no account's partition.
pub(super) fn customer_of(pk: &str) -> Result<Id<Customer>, Error> {
    let id = pk.strip_prefix("CUSTOMER#").and_then(Id::parse);
    id.ok_or_else(|| Error::Internal("a key names no account".to_owned()))
}

/// Key of the count of purges that began within an hour, which the circuit breaker limits.
pub(super) fn breaker(hour: i64) -> Key<()> {
    Key::new(format!("BREAKER#{hour}"), "B".to_owned())
}

/// Key of the count of deletions by operators within an hour, which the brake limits.
pub(super) fn brake(hour: Hour) -> Key<()> {
    Key::new(format!("BRAKE#{}", hour.0), "B".to_owned())
}

/// Key of the count of all accounts' delivery attempts at one host within a minute.
pub(super) fn host(host: &str, minute: i64) -> Key<()> {
    Key::new(format!("HOST#{}", sha256(host)), minute.to_string())
}

/// Key of the count of one account's delivery attempts at one host (a lane) within a minute.
pub(super) fn lane(lane: &Lane, minute: i64) -> Key<()> {
    Key::new(format!("HOST#{}", sha256(&lane.host)), format!("{minute}#{}", lane.customer))
}

/// Partitions of the outbox's index `due` with events that are to be published. A partition takes 1,000 writes a
/// second, and an event causes up to three: when it is queued for publishing, when it is moved to be delivered, and
/// when it is removed.
#[rustfmt::skip]
pub(super) const PUBLISH: [&str; 16] = [
    "PUBLISH#0", "PUBLISH#1", "PUBLISH#2", "PUBLISH#3", "PUBLISH#4", "PUBLISH#5", "PUBLISH#6", "PUBLISH#7",
    "PUBLISH#8", "PUBLISH#9", "PUBLISH#10", "PUBLISH#11", "PUBLISH#12", "PUBLISH#13", "PUBLISH#14", "PUBLISH#15",
];

/// Partitions of the outbox's index `due` with events that are to be delivered.
#[rustfmt::skip]
pub(super) const DELIVER: [&str; 16] = [
    "DELIVER#0", "DELIVER#1", "DELIVER#2", "DELIVER#3", "DELIVER#4", "DELIVER#5", "DELIVER#6", "DELIVER#7",
    "DELIVER#8", "DELIVER#9", "DELIVER#10", "DELIVER#11", "DELIVER#12", "DELIVER#13", "DELIVER#14", "DELIVER#15",
];

/// Partitions of the outbox's index `due` with mail that is to be sent.
pub(super) const MAIL: [&str; 4] = ["MAIL#0", "MAIL#1", "MAIL#2", "MAIL#3"];

/// Returns the id, in the outbox, of a notice: a message of this type to the account's owner about an event.
pub(super) fn mail_id(event: Id<Event>, notice: NoticeType) -> String {
    format!("MAIL#{event}#{}", notice.name())
}

/// Key of an item in the mail queue, by its id in the outbox: mail that is to be sent (a notice or a mail intent), or
/// an item that is to be deleted when it expires (a mailed token's record or a pending sign-up).
pub(super) fn mail<T>(id: &str) -> Key<T> {
    Key::of(Table::Outbox, id.to_owned(), String::new())
}

/// Returns the id, in the outbox, of a mail intent (a request that is answered by mail) with this UUID and
/// type name.
pub(super) fn intent_id(id: Uuid, name: &str) -> String {
    format!("INTENT#{id}#{name}")
}

/// Key of the record of a mailed token, by the token's hash.
#[must_use]
pub fn mailed_token(hash: &str) -> Key<IssuedToken> {
    Key::of(Table::Outbox, format!("TOKEN#{hash}"), String::new())
}

/// Key of the pending sign-up for an e-mail address, by the address's hash.
#[must_use]
pub fn pending_sign_up<T>(address: &AddressHash) -> Key<T> {
    Key::of(Table::Outbox, format!("SIGNUP#{}", address.as_str()), String::new())
}

/// Key of the count of mail messages sent within an hour.
pub(super) fn messages(hour: Hour) -> Key<()> {
    Key::of(Table::Outbox, format!("MESSAGES#{}", hour.0), String::new())
}

/// Sort key of mail in the outbox's index `due`.
pub(super) fn due_mail(when: Timestamp, id: &str) -> String {
    format!("{}#{id}", when.fixed())
}

/// Whether an item with this sort key in the outbox's index `due` is due at `now`.
pub(super) fn is_due(due_sk: &str, now: Timestamp) -> bool {
    let due = due_sk.split_once('#').and_then(|(time, _)| Timestamp::parse_fixed(time));
    due.is_none_or(|due| due <= now)
}

/// Returns the one of `partitions` to which the item with this hexadecimal hash belongs.
pub(super) fn shard_of_hash(partitions: &[&'static str], hash: &str) -> &'static str {
    let last = hash.bytes().last().unwrap_or_default();
    partitions[usize::from(last) % partitions.len()]
}

/// Returns the one of `partitions` to which the item with this id belongs.
pub(super) fn shard(partitions: &[&'static str], id: Uuid) -> &'static str {
    // The last bits are random; the first are the time.
    partitions[usize::from(id.as_bytes()[15]) % partitions.len()]
}

/// Sort key of an event in the outbox's index `due`.
pub(super) fn due_event(when: Timestamp, id: Id<Event>) -> String {
    format!("{}#{id}", when.fixed())
}

/// Key of the count of login attempts with a user name, by the text of the login key (a hash of the user
/// name).
pub(super) fn throttle(login: &str) -> Key<()> {
    Key::new(format!("THROTTLE#{login}"), "T".to_owned())
}

/// Key of the count of requests from a source against a quota within a window. The count is not in the
/// account's own partition, as a request that names an erased account must leave nothing there.
#[must_use]
pub fn count(counted: QuotaKind, source: &Source, window: Window) -> Key<()> {
    let pk = match source {
        Source::Customer(id) => format!("REQUESTS#{id}"),
        Source::Network(network) => format!("NETWORK#{}", sha256(network.expose())),
        Source::Recipient(recipient) => format!("RECIPIENT#{}", recipient.hash()),
    };
    Key::new(pk, format!("{}#{}", counted.name(), window.start))
}

/// The only partition of the accounts table's indexes `list` and `name`.
pub(super) const LIST: &str = "CUSTOMERS";

/// Returns the sort key of an account in index `list`: its creation time and its id.
pub(super) fn list(tm_create: Timestamp, id: Id<Customer>) -> String {
    format!("{}#{id}", tm_create.fixed())
}

/// Text that sorts before every sort key in index `list`.
pub(super) const LIST_START: &str = "#";

/// Text that sorts after every sort key in index `list`.
pub(super) const LIST_END: &str = "~";

/// Returns text that sorts before the sort keys, in index `list`, of all accounts created at `tm_create` or later.
pub(super) fn list_before(tm_create: Timestamp) -> String {
    format!("{}#", tm_create.fixed())
}

/// Returns text that sorts after the sort keys, in index `list`, of all accounts created at `tm_create` or earlier.
pub(super) fn list_after(tm_create: Timestamp) -> String {
    format!("{}$", tm_create.fixed())
}

/// Sort key of index `name`: the beginning of the account's name, and its id. The separator between them
/// sorts before all characters of names, so that Acme comes before Acme Corp.
pub(super) fn name(name: &NamePrefix, id: Id<Customer>) -> String {
    format!("{}\u{1f}{id}", name.expose())
}

/// Partitions of index `due` with accounts whose purge has begun. The purge reads them first.
pub(super) const BEGUN: [&str; 4] = ["BEGUN#0", "BEGUN#1", "BEGUN#2", "BEGUN#3"];

/// Partitions of index `due` with accounts whose purge has not begun. There are several, so that many
/// deletions at once do not make one partition hot.
pub(super) const DUE: [&str; 4] = ["DUE#0", "DUE#1", "DUE#2", "DUE#3"];

/// Returns the partition of index `due` that an account belongs to.
pub(super) fn due_partition(customer: &Customer) -> &'static str {
    shard(if customer.internals.epoch == 0 { &DUE } else { &BEGUN }, customer.id.uuid())
}

/// Sort key of an account in the accounts table's index `due`.
pub(super) fn due(when: Timestamp, id: Id<Customer>) -> String {
    format!("{}#{id}", when.fixed())
}

/// Returns text that sorts after the sort keys, in index `due`, of all accounts due at `now` or before.
pub(super) fn due_until(now: Timestamp) -> String {
    format!("{}$", now.fixed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_sessions_are_beside_each_other_under_a_key_of_their_kind() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let (customer, agent) = (Id::new(now, [1; 10]), Id::new(now, [2; 10]));
        let key = session(customer, agent, Session::id_of("token"));
        assert!(key.sk.starts_with(&sessions_of(agent)), "{}", key.sk);
        assert!(matches!(kind_and_bytes(&key.sk), Some((Kind::Session, _))), "{}", key.sk);
    }

    #[test]
    fn kind_and_id_are_read_from_their_sort_key() {
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
