//! Sends mail. The outbox's stream starts a run for new entries, whose keys it brings; the schedule starts a run for
//! all that is due.

use serde::Deserialize;
use shared::domain::Error;
use shared::mail::{MailRun, Mailer, send_due, send_new};
use shared::platform::Deadline;
use shared::runtime::{self, StreamRecord};

/// Input of the function: a batch of stream records, or the schedule's event, which has no records. Other fields are
/// ignored.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Call {
    records: Option<Vec<StreamRecord>>,
}

pub(crate) async fn handle(
    mailer: &'static Mailer,
    call: Call,
    deadline: Deadline,
) -> Result<MailRun, Error> {
    let Some(records) = call.records else { return send_due(mailer, deadline).await };
    send_new(mailer, records.iter().map(|record| record.id().to_owned()), deadline).await
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}
