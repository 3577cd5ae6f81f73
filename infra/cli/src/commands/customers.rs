//! `tenure customers`: lists, shows and creates accounts. `tenure due`: lists frozen accounts by the date of deletion.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::arguments::{Id, Rows};
use crate::client::Call;
use crate::context::Context;
use crate::error::Error;
use crate::prompt;
use crate::show::{self, Table, time};
use crate::wire::{Customer, Overview};

const PATH: &str = "/v1.0/customers";

#[derive(Debug, Subcommand)]
pub(crate) enum Customers {
    /// List accounts, newest first
    List(List),
    /// Show an account and its state
    Show {
        /// Id of the account
        customer: Id,
    },
    /// Create an account and its first agent
    Create(Create),
}

/// Filters of the list. As in the API, --status, --deleted, --created-after and --created-before can be
/// combined with each other; every other filter is used alone.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only accounts with this status
    #[arg(long, value_parser = ["initial", "active", "frozen", "deleted"])]
    status: Option<String>,
    /// Only deleted accounts, with the few fields that are kept
    #[arg(long)]
    deleted: bool,
    /// Only accounts that are held
    #[arg(long)]
    held: bool,
    /// Only accounts that are suspended
    #[arg(long)]
    suspended: bool,
    /// Only accounts created after this time
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,
    /// Only accounts created before this time
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,
    /// Find accounts by the beginning of their name, or by their address; the text to find is prompted for or read
    /// from stdin
    #[arg(long, value_name = "FIELD")]
    by: Option<Field>,
    #[command(flatten)]
    rows: Rows,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Field {
    Name,
    Email,
}

impl Customers {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        match self {
            Self::List(list) => list.run(context),
            Self::Show { customer } => show(&customer, context),
            Self::Create(create) => create.run(context),
        }
    }
}

impl List {
    fn run(self, context: &Context) -> Result<(), Error> {
        let headings = ["ID", "STATUS", "CREATED", "NAME", "E-MAIL"];
        context.list(PATH, &self.query()?, &self.rows, headings, |customer: Customer| {
            Some([
                customer.id,
                customer.status,
                time(Some(&customer.tm_create)),
                customer.name,
                customer.email,
            ])
        })
    }

    fn query(&self) -> Result<Vec<(&'static str, String)>, Error> {
        let flags = [("deleted", self.deleted), ("hold", self.held), ("suspended", self.suspended)];
        let mut query: Vec<_> = flags
            .into_iter()
            .filter(|(_, set)| *set)
            .map(|(name, _)| (name, "true".to_owned()))
            .collect();
        query.extend(self.status.clone().map(|status| ("status", status)));
        query.extend(self.created_after.clone().map(|time| ("created_after", time)));
        query.extend(self.created_before.clone().map(|time| ("created_before", time)));
        match self.by {
            Some(Field::Name) => query.push(("name", prompt::line("Name begins with")?)),
            Some(Field::Email) => query.push(("email", prompt::line("E-mail address")?)),
            None => {}
        }
        Ok(query)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Due {
    #[command(flatten)]
    rows: Rows,
}

impl Due {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        let query = [("status", "frozen".to_owned()), ("sort", "due".to_owned())];
        context.list(PATH, &query, &self.rows, ["ID", "DUE", "NAME"], |customer: Customer| {
            Some([customer.id, time(customer.tm_deletion_scheduled.as_deref()), customer.name])
        })
    }
}

fn show(id: &Id, context: &Context) -> Result<(), Error> {
    let client = context.client()?;
    let customer = client.send(&Call::get(format!("{PATH}/{id}")))?;
    let overview = client.send(&Call::get(format!("{PATH}/{id}/overview")))?;
    if context.json {
        return show::json(&format!(
            r#"{{"customer": {}, "overview": {}}}"#,
            customer.as_str(),
            overview.as_str()
        ));
    }
    show::table(&described(&customer.read()?, &overview.read()?))
}

fn described(customer: &Customer, overview: &Overview) -> Table {
    let mut table = Table::new(&[]);
    table.row(["id", &customer.id]);
    table.row(["status", &customer.status]);
    table.row(["name", &customer.name]);
    table.row(["detail", &customer.detail]);
    let proof = if customer.email_verified { "verified" } else { "not verified" };
    table.row([
        "e-mail",
        &if customer.email.is_empty() {
            "–".to_owned()
        } else {
            format!("{} ({proof})", customer.email)
        },
    ]);
    table.row(["webhook", &customer.webhook_uri]);
    table.row(["created", &time(Some(&customer.tm_create))]);
    table.row(["last log-in", &time(overview.tm_last_login.as_deref())]);
    table.row(["admins", &overview.admins.to_string()]);
    for (kind, count) in &overview.resources {
        table.row([kind, &count.to_string()]);
    }
    if let Some(stage) = &overview.stage {
        table.row([
            "erasure",
            &format!("{stage} ({})", overview.reason.as_deref().unwrap_or("not requested")),
        ]);
    }
    table.row(["due", &time(customer.tm_deletion_scheduled.as_deref())]);
    table.row(["deleted", &time(customer.tm_delete.as_deref())]);
    if overview.frozen_by_operator {
        table.row(["recovery", "by operators only"]);
    }
    if let Some(suspension) = &overview.suspension {
        table.row(["suspended", &format!("since {}", time(Some(&suspension.since)))]);
    }
    for hold in &overview.holds {
        table.row(["hold", &format!("{}: {}", hold.name, hold.reason)]);
    }
    if let Some(since) = &overview.tm_webhook_failing {
        table.row(["webhooks", &format!("failing since {}", time(Some(since)))]);
    }
    table
}

/// At a terminal, prompts for the fields of the account; otherwise reads them from stdin, as the JSON object
/// that `POST /v1.0/customers` accepts.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Read the account's fields from this file, as a JSON object
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

impl Create {
    fn run(self, context: &Context) -> Result<(), Error> {
        let client = context.client()?;
        let body = match self.from {
            Some(file) => object(&file)?,
            None if io::stdin().is_terminal() => asked()?,
            None => object(Path::new("-"))?,
        };
        let created = client.send(&Call::post(PATH).json(&body).idempotent()?)?;
        if context.json {
            return show::json(created.as_str());
        }
        show::table(&summary(&created.read()?))
    }
}

fn summary(customer: &Customer) -> Table {
    let mut table = Table::new(&["ID", "STATUS", "NAME"]);
    table.row([&customer.id, &customer.status, &customer.name]);
    table
}

fn object(file: &Path) -> Result<Value, Error> {
    let body = serde_json::from_str(&prompt::file(file)?).ok().filter(Value::is_object);
    body.ok_or_else(|| {
        Error::Usage("Send a JSON object, such as {\"username\": …, \"password\": …, \"name\": …, \"email\": …}.".to_owned())
    })
}

fn asked() -> Result<Value, Error> {
    show::note(
        "User name and password are those of the account's first agent. Without a password, a link to choose one is mailed.",
    );
    let mut body = json!({"username": prompt::line("User name")?});
    let password = prompt::secret("Password (empty: invite)")?;
    if !password.expose().is_empty() {
        body["password"] = json!(password);
    }
    for (field, question) in
        [("name", "Name of the account"), ("email", "E-mail address (empty: none)")]
    {
        let answer = prompt::line(question)?;
        if !answer.is_empty() {
            body[field] = Value::String(answer);
        }
    }
    Ok(body)
}
