//! `tenure verify`: verifies a receipt and prints its claims. `tenure keys`: prints the public keys that verify
//! receipts.

use std::path::PathBuf;

use clap::Args;

use crate::client::{Call, Client, Url};
use crate::context::Context;
use crate::error::Error;
use crate::prompt;
use crate::receipt::{Keys, Receipt, verify};
use crate::show::{self, Table, time};

const PATH: &str = "/v1.0/erasure-keys";

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// File with the receipt; `-` is stdin
    #[arg(default_value = "-")]
    receipt: PathBuf,
    #[command(flatten)]
    source: Source,
    /// Check also that the receipt supersedes the one in this file
    #[arg(long, value_name = "FILE")]
    supersedes: Option<PathBuf>,
}

/// Source of the public keys that verify a receipt: a file or the API.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// File with the keys, as `tenure keys` printed them
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Fetch the keys from this API
    #[arg(long)]
    url: Option<Url>,
}

impl Verify {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        let keys = match (&self.source.keys, self.source.url) {
            (Some(file), _) => read(&prompt::file(file)?)?,
            (None, Some(url)) => fetch(&Client::anonymous(url))?,
            (None, None) => {
                return Err(Error::Usage("Name the keys: --keys FILE, or --url URL.".to_owned()));
            }
        };
        let receipt = verify(prompt::file(&self.receipt)?.trim(), &keys)?;
        if let Some(file) = self.supersedes {
            let earlier = prompt::file(&file)?;
            verify(earlier.trim(), &keys)?;
            receipt.replaces(earlier.trim())?;
        }
        print(&receipt, context)
    }
}

#[derive(Debug, Args)]
pub(crate) struct FetchKeys {
    /// Address of the API; that of the profile if absent
    #[arg(long)]
    url: Option<Url>,
}

impl FetchKeys {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        let client = match self.url {
            Some(url) => Client::anonymous(url),
            None => context.client()?,
        };
        show::json(client.send(&Call::get(PATH))?.as_str())
    }
}

/// Fetches the public keys that verify an installation's receipts.
pub(super) fn fetch(client: &Client) -> Result<Keys, Error> {
    Keys::read(client.send(&Call::get(PATH))?.as_str()).ok_or_else(|| {
        Error::Unreachable(
            "The answer is no JSON Web Key Set with a P-256 key. Check the address.".to_owned(),
        )
    })
}

fn read(set: &str) -> Result<Keys, Error> {
    Keys::read(set).ok_or_else(|| {
        Error::Usage(
            "The keys are no JSON Web Key Set with a P-256 key: get them with tenure keys."
                .to_owned(),
        )
    })
}

/// Prints the claims of a genuine receipt, and a note if the receipt is not final.
pub(super) fn print(receipt: &Receipt, context: &Context) -> Result<(), Error> {
    if context.json {
        show::json(&receipt.text)?;
    } else {
        show::line("The receipt is genuine. It states:")?;
        show::table(&stated(receipt))?;
    }
    if !receipt.claims.is_final {
        show::note(
            "Not final: the erasure waits for participants. Another receipt supersedes this one.",
        );
    }
    Ok(())
}

fn stated(receipt: &Receipt) -> Table {
    let claims = &receipt.claims;
    let mut table = Table::new(&[]);
    table.row(["  account", &claims.sub]);
    table.row(["  requested", &time(claims.tm_request.as_deref())]);
    table.row(["  by", claims.requested_by.as_deref().unwrap_or("–")]);
    table.row(["  reason", claims.reason.as_deref().unwrap_or("–")]);
    table.row(["  erased", &time(claims.tm_finish.as_deref())]);
    for (kind, count) in &claims.counts {
        table.row([&format!("  {kind}"), &format!("{count} deleted")]);
    }
    for part in &claims.covers.participants {
        let number = |count: Option<u64>| count.map_or("–".to_owned(), |count| count.to_string());
        let state = part.state.as_deref().unwrap_or("not asked");
        let said = format!(
            "{}: {state}, {} found, {} deleted, by its own word",
            part.name,
            number(part.found),
            number(part.deleted)
        );
        table.row(["  participant", &said]);
    }
    for kept in &claims.retained {
        let until = time(kept.until.as_deref());
        table.row([
            "  retained",
            &format!(
                "{}: {} {} until {until} ({})",
                kept.participant, kept.count, kept.kind, kept.ground
            ),
        ]);
    }
    if let Some(backups) = claims.not_covered.as_ref().and_then(|not| not.backups_until.as_deref())
    {
        table.row(["  backups until", &time(Some(backups))]);
    }
    let round = claims.round.map_or("–".to_owned(), |round| round.to_string());
    table.row([
        "  round",
        &format!("{round}, {}", if claims.is_final { "final" } else { "not final" }),
    ]);
    table
}
