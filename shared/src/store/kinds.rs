//! Counts of owned items as they are stored: by the plurals of their kinds.

use std::collections::BTreeMap;

use crate::domain::counts::Counts;
use crate::domain::owned::Kind;

/// Counts of the kinds that are known.
pub(super) fn counts(stored: &BTreeMap<String, u64>) -> Counts {
    let named = |kind: &Kind| Some((*kind, *stored.get(kind.plural())?));
    Kind::ALL.iter().filter_map(named).collect()
}

/// Counts by the names of their kinds.
pub(super) fn named(counts: &Counts) -> BTreeMap<String, u64> {
    counts.iter().map(|(kind, count)| (kind.plural().to_owned(), *count)).collect()
}
