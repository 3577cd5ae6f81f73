//! `tenure webhooks`: lists failing webhooks and their deliveries, and sends deliveries again.

use clap::Subcommand;

use crate::arguments::{Id, Rows};
use crate::client::Call;
use crate::context::Context;
use crate::error::Error;
use crate::show::time;
use crate::wire::{Customer, Delivery};

const HEADINGS: [&str; 6] = ["ID", "TYPE", "STATUS", "ATTEMPTS", "LAST RESULT", "NEXT ATTEMPT"];

#[derive(Debug, Subcommand)]
pub(crate) enum Webhooks {
    /// List the accounts whose webhook fails or, for one account, its deliveries that have failed or are
    /// retried
    Failing {
        /// Id of the account
        customer: Option<Id>,
        #[command(flatten)]
        rows: Rows,
    },
    /// Send events again, within a minute
    Resend {
        /// Id of the account
        customer: Id,
        /// Ids of the deliveries
        #[arg(required = true)]
        deliveries: Vec<Id>,
    },
}

impl Webhooks {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        match self {
            Self::Failing { customer: None, rows } => accounts(&rows, context),
            Self::Failing { customer: Some(customer), rows } => {
                deliveries(&customer, &rows, context)
            }
            Self::Resend { customer, deliveries } => resend(&customer, &deliveries, context),
        }
    }
}

fn accounts(rows: &Rows, context: &Context) -> Result<(), Error> {
    let query = [("webhooks", "failing".to_owned())];
    context.list(
        "/v1.0/customers",
        &query,
        rows,
        ["ID", "NAME", "WEBHOOK"],
        |customer: Customer| Some([customer.id, customer.name, customer.webhook_uri]),
    )
}

fn deliveries(customer: &Id, rows: &Rows, context: &Context) -> Result<(), Error> {
    let query = [("customer_id", customer.to_string())];
    context.list("/v1.0/webhook_deliveries", &query, rows, HEADINGS, |delivery: Delivery| {
        delivery.fails().then(|| cells(delivery))
    })
}

fn cells(delivery: Delivery) -> [String; 6] {
    let next = time(delivery.tm_next_attempt.as_deref());
    let result = delivery.last_result.unwrap_or_default();
    [delivery.id, delivery.kind, delivery.status, delivery.attempts.to_string(), result, next]
}

fn resend(customer: &Id, deliveries: &[Id], context: &Context) -> Result<(), Error> {
    let client = context.client()?;
    let mut resent = Vec::new();
    let ended = deliveries.iter().try_for_each(|delivery| {
        let call = Call::post(format!("/v1.0/webhook_deliveries/{delivery}/resend"));
        let call = call.query("customer_id", customer.to_string()).idempotent()?;
        resent.push(client.send(&call)?.read()?);
        Ok(())
    });
    // If one is refused, those before it have been resent, and are shown.
    context.rows(&resent, &HEADINGS, |delivery: Delivery| Some(cells(delivery)))?;
    ended
}
