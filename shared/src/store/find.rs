//! Accounts, as operators look for them.
//!
//! | looked for | index | rows |
//! |---|---|---|
//! | not deleted | `list` | in the index |
//! | by status | `status` | read by key, as the index has keys only |
//! | by the beginning of the name | `name` | read by key |
//! | by e-mail address | none: its lock names the account | read by key |
//!
//! A row that is read by key is shown if what the index said is still true.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;

use super::attribute::MaybeText;
use super::customer::CustomerAttributes;
use super::transaction::names;
use super::{Item, MAX_TRIES, Store, answer, key, pause, string};
use crate::domain::find::{Cursor, Filter, NamePrefix, moved};
use crate::domain::value::Email;
use crate::domain::{Customer, Error, Id, Page, Status, Timestamp};

/// What a row shows. The keys of the index, a fifth of what it holds, are not sent along.
const SHOWN: &str = "id, #name, detail, email, phone_number, address, webhook_method, webhook_uri, \
    billing_account_id, metadata, email_verified, #status, identity_verification_status, \
    tm_deletion_scheduled, tm_create, tm_update, tm_delete";

/// An entry of an index with keys only.
type Entry = HashMap<String, String>;

/// An account, whatever is stored of it.
type Attributes = HashMap<String, MaybeText>;

/// A part of an index.
struct Part {
    index: &'static str,
    is_ascending: bool,
    condition: &'static str,
    /// Without one, all that is there.
    projection: Option<&'static str>,
    values: HashMap<String, AttributeValue>,
    start: Option<Item>,
}

impl Store {
    /// A page of the accounts that are looked for, behind `after`.
    pub async fn find_customers(
        &self,
        filter: &Filter,
        size: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Customer>, Error> {
        match filter {
            Filter::Created { status: None, after: later, before } => {
                let part = created(None, *later, *before, after);
                let rows: Vec<CustomerAttributes> = self.read_part(part, size).await?;
                Ok(page(rows.into_iter().map(Customer::from).collect(), size, filter))
            }
            Filter::Created { status, after: later, before } => {
                let part = created(*status, *later, *before, after);
                let (entries, follows) = cut(self.read_part(part, size).await?, size);
                let rows = self.read_entries(&entries).await?;
                let last = entries.last().filter(|_| follows).map(created_at).transpose()?;
                Ok(Page { rows, next: last.map(|last| filter.token(&last)) })
            }
            Filter::Named(begin) => self.find_by_name(begin, size, after, filter).await,
            Filter::Email(email) => self.find_by_email(email).await,
        }
    }

    /// A page of the accounts whose names begin like this. A page ends at an account whose name is known to
    /// be the one by which it was found, as the next page starts behind the name that it has then.
    async fn find_by_name(
        &self,
        begin: &NamePrefix,
        size: usize,
        after: Option<&Cursor>,
        filter: &Filter,
    ) -> Result<Page<Customer>, Error> {
        let start = match after {
            Some(Cursor::Named(id, version)) => Some(self.place(begin, *id, *version).await?),
            _ => None,
        };
        for attempt in 0..MAX_TRIES {
            let part = named(begin, start.clone());
            let (entries, follows) = cut(self.read_part(part, size).await?, size);
            let rows = self.read_entries(&entries).await?;
            let last = rows.last().map(|last| Cursor::Named(last.id, last.internals.version));
            if last.is_some() || !follows {
                let next = last.filter(|_| follows).map(|last| filter.token(&last));
                return Ok(Page { rows, next });
            }
            pause(attempt).await;
        }
        Err(Error::Unavailable("an index lags behind".to_owned()))
    }

    /// The place in index `name` of an account at this version.
    async fn place(
        &self,
        begin: &NamePrefix,
        id: Id<Customer>,
        version: u64,
    ) -> Result<Item, Error> {
        let found = self.get_items(&[key::customer(id).untyped()]).await?;
        let root = found.0.values().next().ok_or_else(moved)?;
        let (customer, attributes): (CustomerAttributes, Attributes) = (root.read()?, root.read()?);
        let text = |name: &str| attributes.get(name).and_then(MaybeText::as_str);
        let is_there = Customer::from(customer).internals.version == version
            && text("name_key").is_some_and(|name| name.starts_with(begin.expose()));
        let attribute = |name: &str| Some((name.to_owned(), string(text(name)?)));
        let place = ["pk", "sk", "list_pk", "name_key"].into_iter().filter_map(attribute);
        is_there.then(|| place.collect()).ok_or_else(moved)
    }

    /// The account that has the lock on an address, if the address still is the account's.
    async fn find_by_email(&self, email: &Email) -> Result<Page<Customer>, Error> {
        let Some(lock) = key::email(email) else { return Ok(Page::empty()) };
        let Some(lock) = self.get_items(&[lock.untyped()]).await?.get(&lock)? else {
            return Ok(Page::empty());
        };
        let owner = key::customer(lock.customer_id);
        let owner = self.get_items(&[owner.untyped()]).await?.get(&owner)?;
        let has = |one: &Customer| one.email.canonical() == email.canonical();
        Ok(Page { rows: owner.into_iter().filter(has).collect(), next: None })
    }

    /// The rows that entries of an index with keys only stand for, in their order; without those that the
    /// index shows as they were.
    async fn read_entries(&self, entries: &[Entry]) -> Result<Vec<Customer>, Error> {
        let root =
            |entry: &Entry| Ok(key::customer(key::customer_of(value(entry, "pk")?)?).untyped());
        let keys = entries.iter().map(root).collect::<Result<Vec<_>, Error>>()?;
        let found = self.get_items(&keys).await?;
        let mut rows = Vec::with_capacity(entries.len());
        for (entry, key) in entries.iter().zip(&keys) {
            let Some(row) = found.find(key) else { continue };
            let attributes: Attributes = row.read()?;
            let is_so = |(name, value): (&String, &String)| {
                attributes.get(name).and_then(MaybeText::as_str) == Some(value.as_str())
            };
            if entry.iter().all(is_so) {
                rows.push(row.read::<CustomerAttributes>()?.into());
            }
        }
        Ok(rows)
    }

    /// The first items of a part of an index, one more than `size` if there are as many: that one tells
    /// whether another page follows.
    async fn read_part<T: DeserializeOwned>(
        &self,
        part: Part,
        size: usize,
    ) -> Result<Vec<T>, Error> {
        let names = names(&format!("{} {}", part.condition, part.projection.unwrap_or_default()));
        let query = self
            .client
            .query()
            .table_name(&self.accounts)
            .index_name(part.index)
            .scan_index_forward(part.is_ascending)
            .key_condition_expression(part.condition)
            .set_projection_expression(part.projection.map(str::to_owned))
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(Some(part.values))
            .set_exclusive_start_key(part.start);
        answer::first(query, size + 1).await
    }
}

/// Without the one more that tells whether another page follows.
fn cut(mut entries: Vec<Entry>, size: usize) -> (Vec<Entry>, bool) {
    let follows = entries.len() > size;
    entries.truncate(size);
    (entries, follows)
}

/// Accounts in the order of their creation, newest first.
fn created(
    status: Option<Status>,
    later: Option<Timestamp>,
    before: Option<Timestamp>,
    after: Option<&Cursor>,
) -> Part {
    let (index, hash, partition, condition, projection) = match status {
        None => {
            let condition = "list_pk = :partition AND list_sk BETWEEN :low AND :high";
            ("list", "list_pk", key::LIST, condition, Some(SHOWN))
        }
        Some(status) => {
            let condition = "#status = :partition AND list_sk BETWEEN :low AND :high";
            ("status", "status", status.name(), condition, None)
        }
    };
    let (behind, start) = match after {
        Some(Cursor::Created(time, Some(id))) => {
            let place = [(hash, partition.to_owned()), ("list_sk", key::list(*time, *id))];
            (None, Some(start(*id, place)))
        }
        Some(Cursor::Created(time, None)) => (Some(*time), None),
        _ => (None, None),
    };
    let low = later.map_or_else(|| key::LIST_START.to_owned(), key::list_after);
    let high = behind.or(before).map_or_else(|| key::LIST_END.to_owned(), key::list_before);
    let values = values([(":partition", partition), (":low", &low), (":high", &high)]);
    Part { index, is_ascending: false, condition, projection, values, start }
}

/// Accounts in the order of their names.
fn named(begin: &NamePrefix, start: Option<Item>) -> Part {
    Part {
        index: "name",
        is_ascending: true,
        condition: "list_pk = :partition AND begins_with(name_key, :begin)",
        projection: None,
        values: values([(":partition", key::LIST), (":begin", begin.expose())]),
        start,
    }
}

fn values<const N: usize>(values: [(&str, &str); N]) -> HashMap<String, AttributeValue> {
    values.into_iter().map(|(name, value)| (name.to_owned(), string(value))).collect()
}

/// The place of an account in an index, which need not be there any more.
fn start<const N: usize>(id: Id<Customer>, place: [(&str, String); N]) -> Item {
    let place = place.into_iter().map(|(name, value)| (name.to_owned(), string(value)));
    key::customer(id).attributes().into_iter().chain(place).collect()
}

fn value<'a>(entry: &'a Entry, name: &str) -> Result<&'a str, Error> {
    let value = entry.get(name).map(String::as_str);
    value.ok_or_else(|| Error::Internal(format!("an entry has no {name}")))
}

fn created_at(entry: &Entry) -> Result<Cursor, Error> {
    let place = value(entry, "list_sk")?;
    let place = place.split_once('#').and_then(|(time, id)| {
        Some(Cursor::Created(Timestamp::parse_fixed(time)?, Some(Id::parse(id)?)))
    });
    place.ok_or_else(|| Error::Internal("an unreadable place in an index".to_owned()))
}

/// A page of whole rows. The next one's token names the last row's id only where its time does not say
/// enough.
fn page(mut rows: Vec<Customer>, size: usize, filter: &Filter) -> Page<Customer> {
    let next = match (rows.get(size.saturating_sub(1)), rows.get(size)) {
        (Some(last), Some(following)) => {
            let tie = (last.tm_create == following.tm_create).then_some(last.id);
            Some(filter.token(&Cursor::Created(last.tm_create, tie)))
        }
        _ => None,
    };
    rows.truncate(size);
    Page { rows, next }
}
