//! Stored form of the counts of owned items: a map from the plural name of each kind, such as `flows`, to its count.

use std::collections::BTreeMap;

use crate::domain::counts::Counts;
use crate::domain::owned::Kind;

/// Converts stored counts into counts by kind. Leaves out unknown kinds.
pub(super) fn counts(stored: &BTreeMap<String, u64>) -> Counts {
    let named = |kind: &Kind| Some((*kind, *stored.get(kind.plural())?));
    Kind::ALL.iter().filter_map(named).collect()
}

/// Converts counts by kind into their stored form.
pub(super) fn named(counts: &Counts) -> BTreeMap<String, u64> {
    counts.iter().map(|(kind, count)| (kind.plural().to_owned(), *count)).collect()
}

/// Converts counts by kind into their stored form, as signed numbers, which an update may decrement below zero.
pub(super) fn signed(counts: &Counts) -> BTreeMap<String, i64> {
    let signed = |(kind, count): (&Kind, &u64)| {
        (kind.plural().to_owned(), i64::try_from(*count).unwrap_or(i64::MAX))
    };
    counts.iter().map(signed).collect()
}

/// Converts stored signed counts into counts by kind. Leaves out unknown kinds, and negative counts, which result from
/// items that were not counted when they were written.
pub(super) fn unsigned(stored: &BTreeMap<String, i64>) -> Counts {
    let count = |kind: &Kind| Some((*kind, u64::try_from(*stored.get(kind.plural())?).ok()?));
    Kind::ALL.iter().filter_map(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_went_below_zero_is_none() {
        let stored = [("numbers", -1), ("agents", 2), ("faxes", 3)];
        let stored = stored.map(|(name, count)| (name.to_owned(), count)).into();
        assert_eq!(unsigned(&stored), Counts::from([(Kind::Agent, 2)]));
        assert_eq!(signed(&unsigned(&stored)), BTreeMap::from([("agents".to_owned(), 2)]));
    }
}
