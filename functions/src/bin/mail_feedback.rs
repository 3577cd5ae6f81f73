//! Stops mail to an address after a message to it bounced for good or was marked as spam. SES reports this by events on
//! the bus.

use serde::{Deserialize, Serialize};
use shared::app::App;
use shared::domain::Error;
use shared::mail::Feedback;
use shared::platform::Deadline;
use shared::runtime;

/// Input of the function: the fields that it reads of an EventBridge event. Other fields are ignored.
#[derive(Deserialize)]
pub(crate) struct Call {
    detail: Feedback,
}

#[derive(Serialize)]
pub(crate) struct Recorded {}

pub(crate) async fn handle(app: &'static App, call: Call, _: Deadline) -> Result<Recorded, Error> {
    call.detail.record(app).await?;
    Ok(Recorded {})
}

fn main() -> runtime::Result {
    runtime::serve_event(handle)
}
