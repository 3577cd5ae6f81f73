use pure::domain::find::{Cursor, Filter, NamePrefix};
use pure::domain::mark::Mark;
use pure::domain::value::{Email, FromText};
use pure::domain::{Event, Id, Status};

/// Checks a page token with the filter of every list: a list accepts only tokens that it writes itself, and
/// no two lists accept the same token.
pub fn page_token(bytes: &[u8]) {
    let Ok(token) = std::str::from_utf8(bytes) else { return };
    let read: Vec<Cursor> = filters()
        .into_iter()
        .filter_map(|filter| {
            let cursor = filter.cursor(token)?;
            assert_eq!(filter.token(&cursor), token);
            Some(cursor)
        })
        .collect();
    assert!(read.len() <= 1, "{read:?}");
    if let Some(id) = Id::<Event>::parse(token) {
        assert!(id.to_string().eq_ignore_ascii_case(token));
    }
}

/// Returns a filter of each kind. A page token of one is not valid for any other.
fn filters() -> Vec<Filter> {
    let statuses = [Status::Initial, Status::Active, Status::Frozen, Status::Deleted];
    let of = |status| Filter::Created { status, after: None, before: None };
    let mut filters: Vec<Filter> = statuses.map(|status| of(Some(status))).into();
    filters.push(of(None));
    filters.push(Filter::Email(Email::from_text("a@b.example").unwrap()));
    filters.push(Filter::Named(NamePrefix::of("a").unwrap()));
    filters.extend(Mark::ALL.map(Filter::Marked));
    filters
}
