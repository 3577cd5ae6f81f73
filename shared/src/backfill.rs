//! Backfill: brings accounts up to date that an earlier version of the program wrote last. It adds the index
//! keys and markers that this version writes; a marker is an item by which an account is in a list for
//! operators.

use serde::Serialize;

use crate::app::App;
use crate::domain::backfill::Unvisited;
use crate::domain::page::MAX_PAGE_SIZE;
use crate::domain::{Customer, Error, Id};
use crate::platform::Deadline;

/// Result of one backfill run.
#[derive(Debug, Default, Serialize)]
pub struct Backfill {
    /// Number of accounts that were read.
    pub checked: u64,
    /// Number of accounts that were changed because an index key was missing or outdated, or a marker was
    /// missing.
    pub changed: u64,
    /// Where the next run continues, as the text of an [`Unvisited`]; `None` if every account was read.
    pub unfinished_from: Option<String>,
}

/// Writes the missing or outdated index keys and the missing markers of the accounts in `unvisited`. Stops
/// near the deadline.
pub async fn backfill(
    app: &App,
    unvisited: Unvisited,
    deadline: Deadline,
) -> Result<Backfill, Error> {
    let mut run = Backfill::default();
    let mut left = Some(unvisited);
    while let Some(part) = left {
        if deadline.is_near() {
            run.unfinished_from = Some(part.to_string());
            break;
        }
        let page = app.store.find_customers(part.filter(), MAX_PAGE_SIZE, part.after()).await?;
        let ids: Vec<Id<Customer>> = page.rows.iter().map(|row| row.id).collect();
        run.changed += app.store.complete_accounts(&ids).await?;
        run.checked += ids.len() as u64;
        left = part.beyond(page.next.as_deref());
    }
    Ok(run)
}
