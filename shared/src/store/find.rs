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

use super::transaction::names;
use super::{Item, MAX_TRIES, Store, failure, key, number, pause, read, string, text};
use crate::aws::Call as _;
use crate::domain::find::{Cursor, Filter, NameStart, moved};
use crate::domain::value::Email;
use crate::domain::{Customer, Error, Id, Page, Status, Timestamp};

/// What a row shows. The keys of the index, a fifth of what it holds, are not sent along.
const SHOWN: &str = "id, #name, detail, email, phone_number, address, webhook_method, webhook_uri, \
    billing_account_id, metadata, email_verified, #status, identity_verification_status, \
    tm_deletion_scheduled, tm_create, tm_update, tm_delete";

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
                page(self.read_part(part, size).await?, size, filter)
            }
            Filter::Created { status, after: later, before } => {
                let part = created(*status, *later, *before, after);
                let (items, follows) = cut(self.read_part(part, size).await?, size);
                let rows = self.read_entries(&items).await?.into_iter();
                let last = items.last().filter(|_| follows).map(created_at).transpose()?;
                let rows = rows.map(read).collect::<Result<_, _>>()?;
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
        begin: &NameStart,
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
            let (items, follows) = cut(self.read_part(part, size).await?, size);
            let rows = self.read_entries(&items).await?.into_iter();
            let rows: Vec<Customer> = rows.map(read).collect::<Result<_, _>>()?;
            let last = rows.last().map(|last| Cursor::Named(last.id, last.record.version));
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
        begin: &NameStart,
        id: Id<Customer>,
        version: u64,
    ) -> Result<Item, Error> {
        let found = self.get_items(&[key::customer(id).untyped()]).await?;
        let item = found.0.into_values().next().ok_or_else(moved)?;
        let is_there = item.get("version") == Some(&number(version))
            && text(&item, "name_key").is_ok_and(|name| name.starts_with(begin.expose()));
        let is_key = |name: &String| ["pk", "sk", "list_pk", "name_key"].contains(&name.as_str());
        let place = || item.into_iter().filter(|(name, _)| is_key(name)).collect();
        is_there.then(place).ok_or_else(moved)
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
    async fn read_entries(&self, entries: &[Item]) -> Result<Vec<Item>, Error> {
        let place = |item: &Item| Ok((text(item, "pk")?, text(item, "sk")?));
        let places = entries.iter().map(place).collect::<Result<Vec<_>, Error>>()?;
        let id = |(pk, _): &(String, String)| Ok(key::customer(key::customer_of(pk)?).untyped());
        let keys = places.iter().map(id).collect::<Result<Vec<_>, Error>>()?;
        let mut found = self.get_items(&keys).await?.0;
        let rows = entries.iter().zip(&places).filter_map(|(entry, place)| {
            let is_so = |row: &Item| entry.iter().all(|(name, value)| row.get(name) == Some(value));
            found.remove(place).filter(is_so)
        });
        Ok(rows.collect())
    }

    /// The first items of a part of an index, one more than `size` if there are as many: that one tells
    /// whether another page follows.
    async fn read_part(&self, part: Part, size: usize) -> Result<Vec<Item>, Error> {
        let mut items = Vec::with_capacity(size + 1);
        let mut start = part.start;
        let names = names(&format!("{} {}", part.condition, part.projection.unwrap_or_default()));
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.accounts)
                .index_name(part.index)
                .scan_index_forward(part.is_ascending)
                .key_condition_expression(part.condition)
                .set_projection_expression(part.projection.map(str::to_owned))
                .set_expression_attribute_names(names.clone())
                .set_expression_attribute_values(Some(part.values.clone()))
                .set_exclusive_start_key(start)
                .limit(i32::try_from(size + 1 - items.len()).unwrap_or(i32::MAX));
            let answer = query.call().await.map_err(failure)?;
            items.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() || items.len() > size {
                return Ok(items);
            }
        }
    }
}

/// Without the one more that tells whether another page follows.
fn cut(mut items: Vec<Item>, size: usize) -> (Vec<Item>, bool) {
    let follows = items.len() > size;
    items.truncate(size);
    (items, follows)
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
fn named(begin: &NameStart, start: Option<Item>) -> Part {
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

fn created_at(item: &Item) -> Result<Cursor, Error> {
    let place = text(item, "list_sk")?;
    let place = place.split_once('#').and_then(|(time, id)| {
        Some(Cursor::Created(Timestamp::parse_fixed(time)?, Some(Id::parse(id)?)))
    });
    place.ok_or_else(|| Error::Internal("an unreadable place in an index".to_owned()))
}

/// A page of whole rows. The next one's token names the last row's id only where its time does not say
/// enough.
fn page(items: Vec<Item>, size: usize, filter: &Filter) -> Result<Page<Customer>, Error> {
    let mut rows: Vec<Customer> = items.into_iter().map(read).collect::<Result<_, _>>()?;
    let next = match (rows.get(size.saturating_sub(1)), rows.get(size)) {
        (Some(last), Some(following)) => {
            let tie = (last.tm_create == following.tm_create).then_some(last.id);
            Some(filter.token(&Cursor::Created(last.tm_create, tie)))
        }
        _ => None,
    };
    rows.truncate(size);
    Ok(Page { rows, next })
}
