//! Sends mail. The stream of the outbox table invokes the function with the keys of new entries; a schedule invokes it
//! for all mail that is due.

use serde::Deserialize;
use shared::domain::Error;
use shared::mail::{MailRun, Mailer, send_due, send_new};
use shared::platform::Deadline;
use shared::runtime::{self, StreamRecord};

/// Input of the function: a batch of DynamoDB stream records, or the schedule's event, which has no records. Other
/// fields are ignored.
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
