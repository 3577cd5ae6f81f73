//! `tenure hold`: sets, lifts and lists holds, which keep an account from being deleted.

use clap::Subcommand;
use serde_json::json;

use crate::arguments::{HoldName, Id};
use crate::client::Call;
use crate::context::Context;
use crate::error::Error;
use crate::show::{self, time};
use crate::wire::{Hold, Page};

#[derive(Debug, Subcommand)]
pub(crate) enum Holds {
    /// Hold an account: until the hold is lifted, it is not deleted
    Set {
        /// Id of the account
        customer: Id,
        /// Name of the hold; replaces a hold of the same name
        #[arg(long, default_value = "default")]
        name: HoldName,
        /// Reason; it is kept after the erasure, so it must not contain personal data
        #[arg(long)]
        reason: String,
    },
    /// Lift a hold
    Lift {
        /// Id of the account
        customer: Id,
        /// Name of the hold
        #[arg(long, default_value = "default")]
        name: HoldName,
    },
    /// List the holds of an account
    List {
        /// Id of the account
        customer: Id,
    },
}

impl Holds {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        match self {
            Self::Set { customer, name, reason } => {
                let call = Call::put(path(&customer, Some(&name)))
                    .json(&json!({"reason": reason}))
                    .idempotent()?;
                change(&call, "The account is held.", context)
            }
            Self::Lift { customer, name } => {
                change(&Call::delete(path(&customer, Some(&name))), "The hold is lifted.", context)
            }
            Self::List { customer } => list(&customer, context),
        }
    }
}

fn path(customer: &Id, name: Option<&HoldName>) -> String {
    let name = name.map(|name| format!("/{name}")).unwrap_or_default();
    format!("/v1.0/customers/{customer}/holds{name}")
}

fn change(call: &Call, said: &str, context: &Context) -> Result<(), Error> {
    let answer = context.client()?.send(call)?;
    if context.json { show::json(answer.as_str()) } else { show::line(said) }
}

fn list(customer: &Id, context: &Context) -> Result<(), Error> {
    let holds: Page = context.client()?.send(&Call::get(path(customer, None)))?.read()?;
    let headings = ["NAME", "SINCE", "BY", "REASON"];
    let shown = context.rows(&holds.result, &headings, |hold: Hold| {
        Some([hold.name, time(Some(&hold.since)), hold.by.to_string(), hold.reason])
    })?;
    if shown == 0 {
        show::note("There are none.");
    }
    Ok(())
}
