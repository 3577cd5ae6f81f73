//! Deletes accounts a second time after the accounts table was restored from a backup: those that had been
//! erased since the backup. Invoked by hand, with the month of the backup: `{"from": "2026-11"}`. `except`
//! lists accounts to keep: those whose erasure the restore is meant to undo.
//!
//! The ledger is in another table, which is not restored, so it still records these erasures.

use serde::Deserialize;
use shared::app::App;
use shared::domain::Error;
use shared::domain::time::Month;
use shared::erasure::{Exceptions, Replay, replay};
use shared::platform::Deadline;
use shared::runtime;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    from: String,
    #[serde(default)]
    except: Exceptions,
}

pub(crate) async fn handle(
    app: &'static App,
    call: Call,
    deadline: Deadline,
) -> Result<Replay, Error> {
    let rule = "must be a month such as 2026-11";
    let from = Month::parse(&call.from).ok_or_else(|| Error::invalid_field("from", rule))?;
    replay(app, from, &call.except, deadline).await
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}
