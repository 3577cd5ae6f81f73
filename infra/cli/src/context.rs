//! What every command is given: the profile, and where results go.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::arguments::Rows;
use crate::client::{self, Client};
use crate::error::Error;
use crate::profile::{Name, Profile, Profiles};
use crate::show::{self, Table};

/// The profile in use, and where results go.
#[derive(Debug)]
pub(crate) struct Context {
    /// Name of the profile.
    pub(crate) profile: Name,
    /// Whether results are printed for programs, as JSON.
    pub(crate) json: bool,
}

impl Context {
    /// Returns a client with the profile's address and token.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        let Profile { url, token } = Profiles::of_user()?.load(&self.profile)?;
        Ok(Client::with_token(url, token))
    }

    /// Prints the rows of a list that the API answers page by page, as [`rows`](Self::rows) does.
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

    /// Prints rows: for programs one JSON document per line, for people the cells that `cells` makes of a row. Rows for
    /// which `cells` returns `None` are left out. Returns the number of rows printed.
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
