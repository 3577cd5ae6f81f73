//! Stops mail to an address where a message bounced for good or was marked as spam, as reported by SES's events, which
//! the bus brings.

use serde::{Deserialize, Serialize};
use shared::app::App;
use shared::domain::Error;
use shared::mail::Feedback;
use shared::platform::Deadline;
use shared::runtime;

/// An EventBridge event. Other fields are ignored.
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
