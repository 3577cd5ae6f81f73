//! Slices: a slice is a sequence of items that an account owns. One transaction counts the items of a slice in the
//! ledger before they are deleted.

use std::collections::BTreeMap;
use std::iter::from_fn;

use uuid::Uuid;

use crate::app::App;
use crate::domain::counts::Counts;
use crate::domain::erasure::{InventoryCursor, SLICE};
use crate::domain::event::EventType;
use crate::domain::owned::Kind;
use crate::domain::{Actor, Erasure, Timestamp};
use crate::store::inventory::Owned;
use crate::store::purge::CountedSlice;

/// Maximum number of agents in one slice. Each adds two actions to the transaction, on the lock of its user name and on
/// its login attempts, and DynamoDB limits a transaction to 100 actions.
const MAX_AGENTS: usize = 40;

/// Divides `items` into slices, each of which fits into one transaction.
pub(super) fn slices(mut items: &[Owned]) -> impl Iterator<Item = &[Owned]> {
    from_fn(move || {
        let mut agents = 0;
        let fits = |owned: &&Owned| {
            agents += usize::from(owned.login.is_some());
            agents <= MAX_AGENTS
        };
        let length = items.iter().take(SLICE).take_while(fits).count();
        let (slice, rest) = items.split_at(length);
        items = rest;
        (length > 0).then_some(slice)
    })
}

/// Splits `items`, which are in the order of their sort keys, into those that `ledger` has counted and
/// the rest.
pub(super) fn split_counted<'a>(
    ledger: &Erasure,
    items: &'a [Owned],
) -> (&'a [Owned], &'a [Owned]) {
    items.split_at(items.partition_point(|owned| owned.position() <= ledger.counted_to))
}

/// Builds the content of the transaction that counts `slice`: the counts, the events and the user names to free.
pub(super) fn count(app: &App, ledger: &Erasure, slice: &[Owned], now: Timestamp) -> CountedSlice {
    let mut counts = Counts::new();
    let mut announced: BTreeMap<Kind, Vec<Uuid>> = BTreeMap::new();
    for owned in slice {
        *counts.entry(owned.kind).or_default() += 1;
        if owned.kind.is_announced() {
            announced.entry(owned.kind).or_default().extend(owned.id);
        }
    }
    let event =
        |(kind, ids)| app.event(EventType::Deleted(kind), ledger.customer, ids, Actor::PURGE, now);
    let end = slice.last().map_or_else(InventoryCursor::default, Owned::position);
    CountedSlice {
        ledger: ledger.with_slice(&counts, end),
        events: announced.into_iter().map(event).collect(),
        logins: slice.iter().filter_map(|owned| owned.login.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Id;

    /// Items of one kind, in the order of their sort keys.
    fn items(kind: Kind, count: usize) -> Vec<Owned> {
        let item = |number: usize| {
            let id = Uuid::from_u128(number as u128 + 1);
            let login = (kind == Kind::Agent).then(|| format!("agent{number}"));
            Owned::new(format!("{}{id}", kind.prefix()), login).unwrap()
        };
        (0..count).map(item).collect()
    }

    fn lengths(items: &[Owned]) -> Vec<usize> {
        slices(items).map(<[Owned]>::len).collect()
    }

    fn ledger(counted_to: InventoryCursor) -> Erasure {
        let blank = Erasure::blank(Id::from_uuid(Uuid::from_u128(7)));
        Erasure { counted_to, ..blank }
    }

    #[test]
    fn slices_hold_at_most_500_items() {
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&items(Kind::Number, 500)), [500]);
        assert_eq!(lengths(&items(Kind::Number, 1_001)), [500, 500, 1]);
    }

    #[test]
    fn slices_hold_at_most_40_agents() {
        assert_eq!(lengths(&items(Kind::Agent, 100)), [40, 40, 20]);
        let mixed = [items(Kind::Agent, 41), items(Kind::Number, 600)].concat();
        assert_eq!(lengths(&mixed), [40, 500, 101]);
    }

    #[test]
    fn slices_keep_every_item_in_order() {
        let mixed = [items(Kind::Agent, 90), items(Kind::Number, 700)].concat();
        let positions = |items: &[Owned]| items.iter().map(Owned::position).collect::<Vec<_>>();
        let joined: Vec<_> = slices(&mixed).flat_map(positions).collect();
        assert_eq!(joined, positions(&mixed));
    }

    #[test]
    fn items_up_to_the_ledgers_cursor_are_counted_already() {
        let items = items(Kind::Agent, 10);
        let split = |cursor| {
            let (counted, rest) = split_counted(&ledger(cursor), &items);
            (counted.len(), rest.len())
        };
        assert_eq!(split(InventoryCursor::default()), (0, 10));
        assert_eq!(split(items[3].position()), (4, 6));
        assert_eq!(split(items[9].position()), (10, 0));
        // The item at the cursor may be deleted already.
        let (_, rest) = items.split_at(4);
        assert_eq!(split_counted(&ledger(items[3].position()), rest).1.len(), 6);
    }
}
