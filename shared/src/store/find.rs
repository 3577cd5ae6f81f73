//! Search for accounts, by operators.
//!
//! | filter | index | data of the accounts |
//! |---|---|---|
//! | not deleted | `list` | in the index |
//! | by status | `status` | read by key, as the index has keys only |
//! | by the beginning of the name | `name` | read by key |
//! | by e-mail address | none: the address's partition has an entry of each account | read by key |
//! | by a mark | none: the mark's partition has a marker of each account | read by key |
//!
//! An entry is an item that says that an account has an e-mail address. A mark is a state by which operators list
//! accounts, such as held or suspended; a marker is the item that enters an account in that list. An account that is
//! read by key is left out if it no longer matches the index, entry or marker that led to it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::dynamodb::{Item, Store, Table, first, names, string, unavailable};
use super::key;
use super::root::CustomerAttributes;
use super::stored::read;
use crate::domain::find::{Cursor, Filter, NamePrefix, moved};
use crate::domain::mark::Mark;
use crate::domain::page::MAX_PAGE_SIZE;
use crate::domain::value::Email;
use crate::domain::{Customer, Error, Id, Page, Status, Timestamp};
use crate::patience::Tries;

/// Attributes that are read for each account from index `list`. The index's keys, a fifth of its data, are
/// left out.
const SHOWN: &str = "id, #name, detail, email, phone_number, address, webhook_method, webhook_uri, \
    billing_account_id, metadata, email_verified, #status, identity_verification_status, \
    tm_deletion_scheduled, tm_create, tm_update, tm_delete";

/// Maximum number of accounts on a page of a search by e-mail address. Two fewer than the 100 items that one batch
/// reads: the batch also reads the account for which the address is reserved, and the item that says that this
/// account has the address.
const MOST_BY_EMAIL: usize = MAX_PAGE_SIZE - 2;

/// Key attributes of an account in an index whose projection is `KEYS_ONLY`.
type Entry = HashMap<String, String>;

/// An item in an e-mail address's partition: the lock, which reserves the address for one account, or an entry,
/// which says that an account has the address.
#[derive(Deserialize)]
struct EmailItem {
    sk: String,
    customer_id: Id<Customer>,
}

/// Parts of a query that reads a range of an index.
struct Range {
    index: &'static str,
    is_ascending: bool,
    condition: &'static str,
    /// Attributes to read; `None` for all attributes that the index has.
    projection: Option<&'static str>,
    values: HashMap<String, AttributeValue>,
    start: Option<Item>,
}

impl Store {
    /// Returns a page of the accounts that match `filter`, starting after the cursor `after`.
    pub async fn find_customers(
        &self,
        filter: &Filter,
        size: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<Customer>, Error> {
        match filter {
            Filter::Created { status: None, after: later, before } => {
                let range = created(None, *later, *before, after);
                let rows: Vec<CustomerAttributes> = self.read_range(range, size).await?;
                Ok(page(rows.into_iter().map(Customer::from).collect(), size, filter))
            }
            Filter::Created { status, after: later, before } => {
                let range = created(*status, *later, *before, after);
                let (entries, follows) = cut(self.read_range(range, size).await?, size);
                let rows = self.read_entries(&entries).await?;
                let last = entries.last().filter(|_| follows).map(created_at).transpose()?;
                Ok(Page { rows, next: last.map(|last| filter.token(&last)) })
            }
            Filter::Named(begin) => self.find_by_name(begin, size, after, filter).await,
            Filter::Email(email) => self.find_by_email(email, size, after, filter).await,
            Filter::Marked(mark) => self.find_by_mark(*mark, size, after, filter).await,
        }
    }

    /// Returns a page of the accounts whose names have the prefix `begin`. The next page starts after the name of
    /// the last account whose index entry is up to date. If none of the entries is, and more follow, waits a little
    /// and reads the same part of the index again, because an index may lag behind its table.
    async fn find_by_name(
        &self,
        begin: &NamePrefix,
        size: usize,
        after: Option<&Cursor>,
        filter: &Filter,
    ) -> Result<Page<Customer>, Error> {
        let start = match after {
            Some(Cursor::Named(id, version)) => {
                Some(self.start_by_name(begin, *id, *version).await?)
            }
            _ => None,
        };
        let mut tries = Tries::new();
        loop {
            let range = named(begin, start.clone());
            let (entries, follows) = cut(self.read_range(range, size).await?, size);
            let rows = self.read_entries(&entries).await?;
            let last = rows.last().map(|last| Cursor::Named(last.id, last.internals.version));
            if last.is_some() || !follows {
                let next = last.filter(|_| follows).map(|last| filter.token(&last));
                return Ok(Page { rows, next });
            }
            if !tries.pause().await {
                return Err(unavailable("an index lags behind"));
            }
        }
    }

    /// Returns the key, in index `name`, of the account after which the next page starts; an error if the
    /// account is no longer at `version`, or its name no longer has the prefix `begin`.
    async fn start_by_name(
        &self,
        begin: &NamePrefix,
        id: Id<Customer>,
        version: u64,
    ) -> Result<Item, Error> {
        let key = key::customer(id);
        let root = self.get_items(&[key.untyped()]).await?.find(&key).cloned().ok_or_else(moved)?;
        let is_in_range = root
            .get("name_key")
            .and_then(|name| name.as_s().ok())
            .is_some_and(|name| name.starts_with(begin.expose()));
        let attribute = |name: &str| Some((name.to_owned(), root.get(name)?.clone()));
        let start = ["pk", "sk", "list_pk", "name_key"].into_iter().filter_map(attribute).collect();
        let is_unchanged = read::<Customer>(root)?.internals.version == version;
        (is_in_range && is_unchanged).then_some(start).ok_or_else(moved)
    }

    /// Returns a page of the accounts that have an e-mail address: those with an entry in the address's partition,
    /// newest first. Then follows the account for which the address is reserved, if it has no entry: earlier
    /// versions of the program wrote none.
    async fn find_by_email(
        &self,
        email: &Email,
        size: usize,
        after: Option<&Cursor>,
        filter: &Filter,
    ) -> Result<Page<Customer>, Error> {
        let Some(partition) = key::email(email) else { return Ok(Page::empty()) };
        let start = match after {
            Some(Cursor::Email(id)) => Some(key::email_entry(&partition, *id).address().key),
            _ => None,
        };
        let size = size.min(MOST_BY_EMAIL);
        let query = self
            .query(Table::Accounts)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :partition")
            .expression_attribute_values(":partition", string(&partition))
            .set_exclusive_start_key(start);
        let items: Vec<EmailItem> = first(query, size + 1).await?;
        let entry = |id: &Id<Customer>| key::email_entry(&partition, *id);
        let (mut ids, holder) = entries_and_holder(&items);
        let is_cut = ids.len() > size;
        ids.truncate(size);
        let keys = ids.iter().chain(&holder).map(|id| key::customer(*id).untyped());
        let keys: Vec<_> = keys.chain(holder.iter().map(entry)).collect();
        let found = self.get_items(&keys).await?;
        ids.extend(holder.filter(|holder| found.find(&entry(holder)).is_none()));
        let follows = is_cut || ids.len() > size;
        ids.truncate(size);
        let rows = ids.iter().filter_map(|id| found.get(&key::customer(*id)).transpose());
        let mut rows = rows.collect::<Result<Vec<Customer>, _>>()?;
        rows.retain(|row| row.has_address(email));
        let next = ids.last().filter(|_| follows).map(|last| filter.token(&Cursor::Email(*last)));
        Ok(Page { rows, next })
    }

    /// Returns a page of the accounts that have a mark, a state such as held or suspended. Accounts that have
    /// lost the mark since their markers were read are left out.
    async fn find_by_mark(
        &self,
        mark: Mark,
        size: usize,
        after: Option<&Cursor>,
        filter: &Filter,
    ) -> Result<Page<Customer>, Error> {
        let start = match after {
            Some(Cursor::Marked(time, id)) => Some((*time, *id)),
            _ => None,
        };
        let mut entries = self.list_marked(mark, start, size + 1).await?;
        let follows = entries.len() > size;
        entries.truncate(size);
        let keys: Vec<_> = entries.iter().map(|(_, id)| key::customer(*id).untyped()).collect();
        let found = self.get_items(&keys).await?;
        let mut rows = Vec::with_capacity(entries.len());
        for (time, id) in &entries {
            let row: Option<Customer> = found.get(&key::customer(*id))?;
            rows.extend(row.filter(|row| row.marks().contains(&(mark, *time))));
        }
        let last = entries.last().filter(|_| follows);
        let next = last.map(|(time, id)| filter.token(&Cursor::Marked(*time, *id)));
        Ok(Page { rows, next })
    }

    /// Reads the accounts of these index entries, in the same order. Accounts whose index entry is outdated are left
    /// out.
    async fn read_entries(&self, entries: &[Entry]) -> Result<Vec<Customer>, Error> {
        let root =
            |entry: &Entry| Ok(key::customer(key::customer_of(value(entry, "pk")?)?).untyped());
        let keys = entries.iter().map(root).collect::<Result<Vec<_>, Error>>()?;
        let found = self.get_items(&keys).await?;
        let mut rows = Vec::with_capacity(entries.len());
        for (entry, key) in entries.iter().zip(&keys) {
            let Some(row) = found.find(key) else { continue };
            let is_so = |(name, value): (&String, &String)| {
                row.get(name).and_then(|value| value.as_s().ok()) == Some(value)
            };
            if entry.iter().all(is_so) {
                rows.push(read(row.clone())?);
            }
        }
        Ok(rows)
    }

    /// Reads up to `size + 1` items of a range: one more than the page has, to tell whether another page follows.
    async fn read_range<T: DeserializeOwned>(
        &self,
        range: Range,
        size: usize,
    ) -> Result<Vec<T>, Error> {
        let names = names(&format!("{} {}", range.condition, range.projection.unwrap_or_default()));
        let query = self
            .query(Table::Accounts)
            .index_name(range.index)
            .scan_index_forward(range.is_ascending)
            .key_condition_expression(range.condition)
            .set_projection_expression(range.projection.map(str::to_owned))
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(Some(range.values))
            .set_exclusive_start_key(range.start);
        first(query, size + 1).await
    }
}

/// Returns the accounts that the entries among these items of an e-mail address's partition name. If the items
/// include the lock, which reserves the address, and the lock's account has no entry, also returns that account.
fn entries_and_holder(items: &[EmailItem]) -> (Vec<Id<Customer>>, Option<Id<Customer>>) {
    let ids: Vec<_> = items.iter().filter_map(|item| key::customer_of_entry(&item.sk)).collect();
    let lock = items.iter().find(|item| key::customer_of_entry(&item.sk).is_none());
    let holder = lock.map(|lock| lock.customer_id).filter(|holder| !ids.contains(holder));
    (ids, holder)
}

/// Returns the first `size` entries, and whether there were more; if so, another page follows.
fn cut(mut entries: Vec<Entry>, size: usize) -> (Vec<Entry>, bool) {
    let follows = entries.len() > size;
    entries.truncate(size);
    (entries, follows)
}

/// Returns the range of the accounts that were created after `later` and before `before`, newest first,
/// starting after the cursor `after`. If `status` is given, only accounts in this status.
fn created(
    status: Option<Status>,
    later: Option<Timestamp>,
    before: Option<Timestamp>,
    after: Option<&Cursor>,
) -> Range {
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
    let (until, start) = match after {
        Some(Cursor::Created(time, Some(id))) => {
            let keys = [(hash, partition.to_owned()), ("list_sk", key::list(*time, *id))];
            (None, Some(start(*id, keys)))
        }
        Some(Cursor::Created(time, None)) => (Some(*time), None),
        _ => (None, None),
    };
    let low = later.map_or_else(|| key::LIST_START.to_owned(), key::list_after);
    let high = until.or(before).map_or_else(|| key::LIST_END.to_owned(), key::list_before);
    let values = values([(":partition", partition), (":low", &low), (":high", &high)]);
    Range { index, is_ascending: false, condition, projection, values, start }
}

/// Returns the range of the accounts whose names have the prefix `begin`, in the order of names, starting
/// after the key `start`.
fn named(begin: &NamePrefix, start: Option<Item>) -> Range {
    Range {
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

/// Returns the key of an account in an index, for a page that starts after it. The account need not be in the
/// index any more.
fn start<const N: usize>(id: Id<Customer>, keys: [(&str, String); N]) -> Item {
    let keys = keys.into_iter().map(|(name, value)| (name.to_owned(), string(value)));
    key::customer(id).address().key.into_iter().chain(keys).collect()
}

fn value<'a>(entry: &'a Entry, name: &str) -> Result<&'a str, Error> {
    let value = entry.get(name).map(String::as_str);
    value.ok_or_else(|| Error::Internal(format!("an entry has no {name}")))
}

fn created_at(entry: &Entry) -> Result<Cursor, Error> {
    let key = value(entry, "list_sk")?;
    let cursor = key.split_once('#').and_then(|(time, id)| {
        Some(Cursor::Created(Timestamp::parse_fixed(time)?, Some(Id::parse(id)?)))
    });
    cursor.ok_or_else(|| Error::Internal("an unreadable key in an index".to_owned()))
}

/// Returns a page of accounts that were read from index `list`. The token of the next page contains the creation
/// time of this page's last account. It contains that account's id only if the next page's first account has the
/// same creation time.
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
