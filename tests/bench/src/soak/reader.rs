//! The reader: while accounts are created, used, deleted and purged, it checks through the API what must hold
//! at any time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use tokio::time::sleep;

use super::life::{End, Life};
use super::{Scene, audit, random, receipts};
use crate::Result;

const PAUSE: Duration = Duration::from_millis(50);

/// Time between two walks through all accounts.
const WALK: Duration = Duration::from_secs(30);

/// Maximum number of pages of a walk.
const PAGES: usize = 1_000;

pub(crate) struct Reader<'a> {
    scene: &'a Scene,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(scene: &'a Scene) -> Self {
        Self { scene }
    }

    /// Checks accounts at random until the soak is over and, every [`WALK`], the list of all accounts and the sequence
    /// numbers of their events.
    pub(crate) async fn read(&self) -> Result<()> {
        let mut walked = Instant::now();
        while !self.scene.is_over() {
            if let Some(life) = self.scene.lives.pick(random()?) {
                self.check(&life).await?;
            }
            if walked.elapsed() > WALK {
                self.walk().await?;
                audit::check_sequences(self.scene).await?;
                walked = Instant::now();
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Checks what the API shows of one account: its status and, if it is deleted, that it shows nothing
    /// personal and that its erasure is correct.
    pub(crate) async fn check(&self, life: &Life) -> Result<()> {
        let path = format!("/v1.0/customers/{}", life.id);
        let Some(account) = self.get("get an account", &path).await? else { return Ok(()) };
        let status = account["status"].as_str().unwrap_or_default();
        let may_be: &[&str] = match life.end {
            End::None => &["initial", "active"],
            End::Unregistered => &["frozen", "deleted"],
            End::AtOnce | End::Deleted => &["deleted"],
        };
        self.scene.tally.check("status", may_be.contains(&status) || !life.is_sure, || {
            format!("{} is {status} after {:?}", life.id, life.end)
        });
        if status == "deleted" {
            let personal = ["name", "detail", "email", "phone_number", "address", "webhook_uri"];
            let is_empty = |field: &&str| account[*field] == "";
            self.scene.tally.check(
                "a deleted account shows nothing personal",
                personal.iter().all(is_empty),
                || account.to_string(),
            );
            self.check_erasure(life).await?;
        }
        Ok(())
    }

    /// Checks the recorded progress and the receipts of an account's erasure, if the erasure is finished.
    async fn check_erasure(&self, life: &Life) -> Result<()> {
        let path = format!("/v1.0/customers/{}/erasure", life.id);
        let Some(erasure) = self.get("get an erasure", &path).await? else { return Ok(()) };
        if erasure["tm_finish"].is_null() {
            return Ok(());
        }
        let tally = &self.scene.tally;
        for (kind, owned) in life.owns.iter().filter(|_| life.is_sure) {
            let progress = &erasure["resources"][kind];
            let counted = [&progress["found"], &progress["deleted"]].map(Value::as_u64);
            tally.check("the ledger is exact", counted == [Some(*owned); 2], || {
                format!("{}: {owned} {kind}, and {progress}", life.id)
            });
        }
        let signed: Vec<&str> = erasure["receipts"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        tally.check("a finished erasure has its receipt", !signed.is_empty(), || life.id.clone());
        let mut before: Option<&str> = None;
        for receipt in signed {
            let claims = self.scene.keys.verify(receipt);
            tally.check("receipts verify", claims.is_some(), || format!("{}: {receipt}", life.id));
            let claims = claims.unwrap_or_default();
            let superseded = before.map(receipts::hash);
            let is_of =
                claims["sub"] == *life.id && claims["supersedes"].as_str() == superseded.as_deref();
            tally.check("receipts are of the account, in a chain", is_of, || claims.to_string());
            for (kind, owned) in life.owns.iter().filter(|_| life.is_sure) {
                let counted = claims["counts"][kind].as_u64();
                tally.check("receipts are exact", counted == Some(*owned), || {
                    format!("{}: {owned} {kind}, and {claims}", life.id)
                });
            }
            before = Some(receipt);
        }
        Ok(())
    }

    /// Walks through the list of accounts, and checks that it has each account only once.
    async fn walk(&self) -> Result<()> {
        let (mut seen, mut token) = (BTreeSet::new(), String::new());
        for _ in 0..PAGES {
            let path = format!("/v1.0/customers?page_size=100&page_token={token}");
            let Some(page) = self.get("list accounts", &path).await? else { return Ok(()) };
            for account in page["result"].as_array().into_iter().flatten() {
                let id = account["id"].as_str().unwrap_or_default().to_owned();
                self.scene.tally.check("a list has nothing twice", seen.insert(id.clone()), || id);
            }
            match page["next_page_token"].as_str().filter(|token| !token.is_empty()) {
                Some(next) => next.clone_into(&mut token),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Sends a `GET` as the operator and returns the answer's body. Returns `None` if the answer is 429 or
    /// 503, which are allowed, or another error, which is recorded as a problem.
    async fn get(&self, name: &'static str, path: &str) -> Result<Option<Value>> {
        let Scene { api, operator, tally, .. } = self.scene;
        let started = Instant::now();
        let (status, answer) = api.call(Method::GET, path, operator, None).await?;
        tally.answered(name, status, started.elapsed());
        match status {
            200 => Ok(Some(serde_json::from_slice(&answer)?)),
            429 | 503 => Ok(None),
            _ => {
                tally.complain(format!("{name}: {status}: {}", String::from_utf8_lossy(&answer)));
                Ok(None)
            }
        }
    }
}
