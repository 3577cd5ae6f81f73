//! Adds to existing accounts the index keys and markers that a new version of the program writes. A marker is
//! an item that makes an account appear in a list for operators, such as that of suspended accounts. Invoked
//! by hand after an update, with `{}`. While the response has an `unfinished_from`, it is invoked again with
//! that value as `from`.

use serde::Deserialize;
use shared::app::App;
use shared::backfill::{Backfill, backfill};
use shared::domain::Error;
use shared::domain::backfill::Unvisited;
use shared::platform::Deadline;
use shared::runtime;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    from: Option<String>,
}

pub(crate) async fn handle(
    app: &'static App,
    call: Call,
    deadline: Deadline,
) -> Result<Backfill, Error> {
    let from = call.from.as_deref().map_or(Some(Unvisited::all()), Unvisited::parse);
    let rule = "must be what an earlier call answered as unfinished_from";
    let unvisited = from.ok_or_else(|| Error::invalid_field("from", rule))?;
    backfill(app, unvisited, deadline).await
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}
