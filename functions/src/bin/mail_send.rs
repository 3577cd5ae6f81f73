//! Sends mail to account owners: the schedule starts a run for what is due.

use serde::Deserialize;
use shared::domain::Error;
use shared::mail::{MailRun, Mailer, send_due};
use shared::platform::Deadline;
use shared::runtime;

/// The schedule's event. Its fields are ignored.
#[derive(Deserialize)]
pub(crate) struct Call {}

pub(crate) async fn handle(
    mailer: &'static Mailer,
    _: Call,
    deadline: Deadline,
) -> Result<MailRun, Error> {
    send_due(mailer, deadline).await
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}
