//! Stops mail to an address after a message to it bounced permanently or was marked as spam. SES reports both as events
//! on the EventBridge bus.

use serde::{Deserialize, Serialize};
use shared::app::App;
use shared::domain::Error;
use shared::mail::Feedback;
use shared::platform::Deadline;
use shared::runtime;

/// Input of the function: an EventBridge event, of which it reads only these fields.
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
