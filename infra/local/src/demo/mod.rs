//! The demonstration: fills an empty stack with an invented world, in which every state of an account occurs.
//!
//! The world is made as a real one would be: operators and customers use the API, and the clock moves from day to day.
//! One item bypasses the API, since no client can write it: an item of a kind that this version does not know.

mod accounts;
mod client;
mod customer;
mod participants;
mod receiver;
mod story;

use sam_local::{Error, Options, Stack};
use serde_json::json;

use crate::bootstrap;
pub use client::Client;
use story::Story;

/// Password of every customer of the demonstration.
pub const PASSWORD: &str = "demo world password";

/// User name of a customer whose account is active.
pub const ACTIVE: &str = "nora@alder-finch-joinery.example";

/// User name of a customer whose account is frozen and can be recovered for six more days.
pub const LEAVING: &str = "iris@tern-ferries.example";

/// Maximum number of accounts that are played concurrently, and of concurrent invitations by one account. Each
/// concurrent request may start another process of a function.
const AT_ONCE: usize = 2;

/// Values of the template's parameters: webhooks may go to the stack itself, and sessions stay valid when the clock is
/// moved by a day.
const PARAMETERS: [(&str, &str); 2] =
    [("WebhookAllowLoopback", "true"), ("SessionIdleHours", "168")];

/// Adds to `options` what the demonstration requires: parameters of the template, and the route that receives
/// webhooks.
#[must_use]
pub fn options(mut options: Options) -> Options {
    let parameters = PARAMETERS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    options.parameters.extend(parameters);
    options.routes = options.routes.merge(receiver::router());
    options
}

/// Makes the demonstration in an empty stack, which was started with [`options`]. Fails if there are customers.
pub async fn make(stack: &Stack, say: &dyn Fn(&str)) -> Result<(), Error> {
    let client = Client::new(stack);
    require_empty(&client).await?;
    Story::new(stack, &client).tell(say).await
}

async fn require_empty(client: &Client) -> Result<(), Error> {
    let operator = client.log_in(bootstrap::USERNAME, bootstrap::PASSWORD).await?;
    for filter in ["", "?deleted=true"] {
        let page = client.get(&format!("/v1.0/customers{filter}"), &operator).await?;
        if page["result"] != json!([]) {
            let why = "there are customers already; the demonstration needs empty data: \
                       add --reset, which deletes them, or --in-memory";
            return Err(Error::new(why));
        }
    }
    Ok(())
}
