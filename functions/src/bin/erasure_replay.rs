//! Restore replay: deletes again the erased accounts that a restored accounts table brought back. Invoked by hand, with
//! the month of the backup: `{"from": "2026-11"}`. `except` names accounts to keep, as the restore is to undo their
//! erasure.
//!
//! The ledger is not restored with the accounts, so it knows what was erased since the backup.

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
