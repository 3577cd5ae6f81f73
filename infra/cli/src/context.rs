//! The context that every command gets: the profile and the output format.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::arguments::Rows;
use crate::client::{self, Client};
use crate::error::Error;
use crate::profile::{Name, Profile, Profiles};
use crate::show::{self, Table};

/// Options common to all commands: the profile, and the output format.
#[derive(Debug)]
pub(crate) struct Context {
    /// Name of the profile.
    pub(crate) profile: Name,
    /// Whether results are printed as JSON, for programs.
    pub(crate) json: bool,
}

impl Context {
    /// Returns a client with the profile's address and token.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        let Profile { url, token } = Profiles::of_user()?.load(&self.profile)?;
        Ok(Client::with_token(url, token))
    }

    /// Fetches a list page by page, and prints each page with [`rows`](Self::rows).
    pub(crate) fn list<T: DeserializeOwned, const N: usize>(
        &self,
        path: &str,
        query: &[(&'static str, String)],
        rows: &Rows,
        headings: [&str; N],
        cells: impl Fn(T) -> Option<[String; N]>,
    ) -> Result<(), Error> {
        let mut shown = 0;
        let more = self.client()?.pages(path, query, rows.limit(), |page| {
            let headings: &[&str] = if shown == 0 { &headings } else { &[] };
            shown += self.rows(page, headings, &cells)?;
            Ok(())
        })?;
        match (shown, more) {
            (_, true) => show::note("There are more: --all shows them."),
            (0, false) => show::note("There are none."),
            _ => {}
        }
        Ok(())
    }

    /// Prints rows: with `--json` as one JSON document per line, otherwise as a table with the cells that `cells`
    /// returns for each row. Rows for which `cells` returns `None` are left out. Returns the number of rows printed.
    pub(crate) fn rows<T: DeserializeOwned, const N: usize>(
        &self,
        rows: &[Box<RawValue>],
        headings: &[&str],
        cells: impl Fn(T) -> Option<[String; N]>,
    ) -> Result<usize, Error> {
        let (mut table, mut shown) = (Table::new(headings), 0);
        for raw in rows {
            let Some(cells) = cells(client::read(raw.get())?) else { continue };
            shown += 1;
            if self.json {
                show::json(raw.get())?;
            } else {
                table.row(cells.each_ref().map(String::as_str));
            }
        }
        if !self.json && shown > 0 {
            show::table(&table)?;
        }
        Ok(shown)
    }
}
