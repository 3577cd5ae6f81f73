//! `tenure events`: lists the events of an account.

use clap::Args;

use crate::arguments::{Id, Rows};
use crate::context::Context;
use crate::error::Error;
use crate::show::time;
use crate::wire::Event;

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Id of the account
    customer: Id,
    /// Only events of this type, such as `customer_frozen`
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    #[command(flatten)]
    rows: Rows,
}

impl Events {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        let query: Vec<_> = self.kind.map(|kind| ("type", kind)).into_iter().collect();
        let path = format!("/v1.0/customers/{}/events", self.customer);
        context.list(&path, &query, &self.rows, ["TIME", "TYPE", "BY", "WHAT"], |event: Event| {
            let what = match (event.hold, event.subjects.as_slice()) {
                (Some(hold), _) => format!("hold {hold}"),
                (None, []) => String::new(),
                (None, [one]) => one.clone(),
                (None, several) => format!("{} items", several.len()),
            };
            Some([time(Some(&event.timestamp)), event.kind, event.actor.to_string(), what])
        })
    }
}
