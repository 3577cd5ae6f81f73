//! `tenure plan`: shows what deleting an account would do. `tenure delete`: deletes the account if the plan is still
//! accurate.

use clap::Args;

use crate::arguments::Id;
use crate::client::Call;
use crate::context::Context;
use crate::error::Error;
use crate::show::{self, Table};
use crate::wire;

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Id of the account
    customer: Id,
    /// Show also what happens to each stored field
    #[arg(long)]
    fields: bool,
}

impl Plan {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        let answer = context
            .client()?
            .send(&Call::post(format!("/v1.0/customers/{}/erasure/plan", self.customer)))?;
        if context.json {
            return show::json(answer.as_str());
        }
        let plan: wire::Plan = answer.read()?;
        show::table(&counted(&plan))?;
        if self.fields {
            show::table(&fields(&plan))?;
        }
        if plan.blockers.is_empty() {
            show::note(&format!(
                "To delete exactly this: tenure delete {} --plan {}",
                self.customer, plan.digest
            ));
        } else {
            show::note(&format!("Deleting would be refused: {}", plan.blockers.join(", ")));
        }
        Ok(())
    }
}

fn counted(plan: &wire::Plan) -> Table {
    let mut table = Table::new(&["ITEMS", "COUNT"]);
    for (kind, count) in &plan.resources {
        table.row([kind, &count.to_string()]);
    }
    table.row(["capacity", &format!("{} WCU, {} RCU", plan.capacity.wcu, plan.capacity.rcu)]);
    table.row(["plan", &plan.digest]);
    table
}

fn fields(plan: &wire::Plan) -> Table {
    let mut table = Table::new(&["ITEM", "FIELD", "RULE"]);
    for (item, fields) in &plan.fields {
        for field in fields {
            table.row([item, &field.name, &field.rule]);
        }
    }
    table
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Id of the account
    customer: Id,
    /// Digest of the plan: the deletion is refused if anything has changed since
    #[arg(long, value_name = "DIGEST")]
    plan: String,
}

impl Delete {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        let call =
            Call::delete(format!("/v1.0/customers/{}", self.customer)).query("plan", self.plan);
        let answer = context.client()?.send(&call)?;
        if context.json {
            return show::json(answer.as_str());
        }
        let customer: wire::Customer = answer.read()?;
        show::line(&format!("{} ({}) is {}.", customer.id, customer.name, customer.status))?;
        show::note(&format!("Follow its erasure: tenure watch {}", customer.id));
        Ok(())
    }
}
