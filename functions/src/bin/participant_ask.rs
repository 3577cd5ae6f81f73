//! Repeats erasure requests that participants (external systems that keep data for accounts) have not answered. A
//! metric counts the requests whose deadline has passed. Started by a schedule.

use serde::de::IgnoredAny;
use shared::asking::{AskRun, Asker, ask_due};
use shared::domain::Error;
use shared::platform::Deadline;
use shared::runtime;

pub(crate) async fn handle(
    asker: &'static Asker,
    _: IgnoredAny,
    deadline: Deadline,
) -> Result<AskRun, Error> {
    ask_due(asker, deadline).await
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}
