//! Markers: items by which operators list the accounts that have a [`Mark`], a state such as held or suspended. Each
//! mark has a partition with one marker per account, in the order in which the accounts are listed. A marker is written
//! or deleted in the transaction that changes the account's state.

use serde::{Deserialize, Serialize};

use super::dynamodb::{Store, Table, Transaction, first, internal, string};
use super::fields::stored;
use super::key::{self, Key};
use super::stored::item;
use crate::domain::mark::Mark;
use crate::domain::{Customer, Error, Id, Timestamp};

stored! {
    /// Attributes of a marker: the item that makes an account appear in the list of accounts with a [`Mark`].
    #[derive(Serialize, Deserialize)]
    pub struct MarkerAttributes {
        customer_id: Id<Customer> => Deleted,
    }
}

/// An account in the list of accounts with a [`Mark`], such as held: the time by which the list is sorted, and the
/// account's id.
pub(super) type Entry = (Timestamp, Id<Customer>);

impl Transaction<'_> {
    /// For each [`Mark`] (a state such as held) that an account gets by a change from `before` to `after`, adds a put
    /// of the item that lists the account under it. For each mark that the account loses, adds the deletion of that
    /// item.
    pub(super) fn change_markers(
        mut self,
        before: &Customer,
        after: &Customer,
    ) -> Result<Self, Error> {
        let (had, has) = (before.marks(), after.marks());
        for mark in had.iter().filter(|mark| !has.contains(mark)) {
            self = self.delete(marker(*mark, before.id).address(), None)?;
        }
        for mark in has.iter().filter(|mark| !had.contains(mark)) {
            self = self.put_marker(*mark, after.id)?;
        }
        Ok(self)
    }

    /// Adds the put of the marker that lists an account under a [`Mark`]. The list is sorted by the time that is given
    /// with the mark.
    pub(super) fn put_marker(
        self,
        mark: (Mark, Timestamp),
        customer: Id<Customer>,
    ) -> Result<Self, Error> {
        let marker = item(&marker(mark, customer), MarkerAttributes { customer_id: customer })?;
        self.put(Table::Accounts, marker, None)
    }
}

impl Store {
    /// Returns the marks of an account (states such as held) under which the account is not listed, because the marker
    /// is missing.
    pub(super) async fn list_unmarked(
        &self,
        customer: &Customer,
    ) -> Result<Vec<(Mark, Timestamp)>, Error> {
        let mut marks = customer.marks();
        let keys: Vec<_> = marks.iter().map(|mark| marker(*mark, customer.id)).collect();
        let found = self.get_items(&keys).await?;
        marks.retain(|mark| found.find(&marker(*mark, customer.id)).is_none());
        Ok(marks)
    }

    /// Returns up to `most` accounts with a [`Mark`], such as held, in the order of their list, starting after the
    /// entry `after`.
    pub(super) async fn list_marked(
        &self,
        mark: Mark,
        after: Option<Entry>,
        most: usize,
    ) -> Result<Vec<Entry>, Error> {
        #[derive(Deserialize)]
        struct Marker {
            sk: String,
        }

        let start = after.map(|(time, id)| key::marker(mark, time, id).address().key);
        let query = self
            .query(Table::Accounts)
            .consistent_read(true)
            .scan_index_forward(mark.is_ascending())
            .key_condition_expression("pk = :mark")
            .expression_attribute_values(":mark", string(key::marked(mark)))
            .set_exclusive_start_key(start);
        let markers: Vec<Marker> = first(query, most).await?;
        let entry = |marker: &Marker| {
            key::entry_of_marker(&marker.sk).ok_or_else(|| internal("an unreadable marker"))
        };
        markers.iter().map(entry).collect()
    }
}

fn marker((mark, time): (Mark, Timestamp), customer: Id<Customer>) -> Key<()> {
    key::marker(mark, time, customer)
}
