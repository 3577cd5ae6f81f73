//! Plays the story of the accounts day by day: calls the API, and moves the clock from one day to the next.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sam_local::{Error, Stack};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{
    AT_ONCE, PASSWORD,
    accounts::{Act, Entry, FIRST_DAY, PURGES_CRASH, accounts},
    client::{Client, text},
    customer::Customer,
    participants::{
        ARCHIVE, ARCHIVE_DELETED, ARCHIVE_STOPS, Program, start_archive, start_carrier,
    },
};
use crate::bootstrap;

const DAY: i64 = 24 * 60 * 60;

/// Seconds by which the clock advances after an erasure, so that its receipt is signed, and the account's
/// last mail, which waits for the receipt, is sent.
const EVENING: i64 = 10 * 60;

/// Number of days between two progress messages.
const PROGRESS: u32 = 15;

/// The story in progress: the stack, the accounts, and the programs of participants while they run.
pub(super) struct Story<'a> {
    stack: &'a Stack,
    client: &'a Client,
    customers: Vec<Customer>,
    carrier: Option<Program>,
    archive: Option<Program>,
}

/// A day of the story. The operator's session of that day is created at its first use.
struct Today<'a> {
    day: u32,
    client: &'a Client,
    session: OnceCell<String>,
}

impl Today<'_> {
    /// Returns the token of the operator's session; logs in at the first call.
    async fn operator(&self) -> Result<&str, Error> {
        let log_in = || self.client.log_in(bootstrap::USERNAME, bootstrap::PASSWORD);
        self.session.get_or_try_init(log_in).await.map(String::as_str)
    }
}

impl<'a> Story<'a> {
    pub(super) fn new(stack: &'a Stack, client: &'a Client) -> Self {
        let customers = accounts().into_iter().enumerate();
        let customers = customers.map(|(index, account)| Customer::new(index, account)).collect();
        Self { stack, client, customers, carrier: None, archive: None }
    }

    /// Plays the story to its end, and reports progress by `say`.
    pub(super) async fn tell(&mut self, say: &dyn Fn(&str)) -> Result<(), Error> {
        for day in (0..=FIRST_DAY).rev() {
            if day.is_multiple_of(PROGRESS) && day > 0 {
                say(&format!("{day} days ago …"));
            }
            let has_purged = day < FIRST_DAY && self.night_before(day).await?;
            self.play(day).await?;
            self.settle().await;
            if has_purged || self.erases_on(day) {
                self.stack.advance_clock(EVENING).await?;
                self.settle().await;
            }
        }
        self.client.delete("/_local/faults", "").await.map(drop)
    }

    /// Moves the clock to this day, and waits for the work that falls due: purges, mail, webhooks, requests to
    /// participants. Returns whether a purge has begun.
    async fn night_before(&mut self, day: u32) -> Result<bool, Error> {
        if day == ARCHIVE_STOPS
            && let Some(archive) = self.archive.take()
        {
            archive.stop();
        }
        if day == PURGES_CRASH {
            // Two batch writes delete the first 40 agents, a slice of the purge. The run is killed before the first
            // batch write of the next slice.
            self.crash_purges(json!({"operation": "BatchWriteItem", "nth": 3})).await?;
        }
        let report = self.stack.advance_clock(DAY).await?;
        self.settle().await;
        if day == PURGES_CRASH {
            self.crash_purges(json!({})).await?;
        }
        let claimed = &report["schedules"]["PurgeRunFunctionSchedule"]["claimed"];
        Ok(claimed.as_u64() > Some(0))
    }

    /// Waits until the stack has done its work, and the participants have answered.
    async fn settle(&mut self) {
        self.stack.settle().await;
        let mut has_answers = false;
        for program in self.carrier.iter_mut().chain(&mut self.archive) {
            has_answers |= program.catch_up().await;
        }
        if has_answers {
            self.stack.settle().await;
        }
    }

    fn erases_on(&self, day: u32) -> bool {
        self.customers.iter().any(|one| one.account.acts_on(day).any(Act::erases))
    }

    /// Makes the stack kill the purge before each DynamoDB call that the fault `rule` matches.
    async fn crash_purges(&self, mut rule: Value) -> Result<(), Error> {
        rule["fault"] = json!("crash_before");
        rule["function"] = json!("PurgeRunFunction");
        self.client.post("/_local/faults", "", json!([rule])).await.map(drop)
    }

    async fn play(&mut self, day: u32) -> Result<(), Error> {
        let today = Today { day, client: self.client, session: OnceCell::new() };
        if day == FIRST_DAY {
            let operator = today.operator().await?;
            self.carrier = Some(start_carrier(self.stack, self.client, operator).await?);
            self.archive = Some(start_archive(self.stack, self.client, operator).await?);
        }
        if day == ARCHIVE_DELETED {
            let path = format!("/v1.0/participants/{ARCHIVE}");
            self.client.delete(&path, today.operator().await?).await?;
        }
        let lives = self.customers.iter().map(|customer| self.live(customer, &today));
        stream::iter(lives).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Plays one day of one account: its creation or, on later days, the resources it creates and the acts that its
    /// story has for that day.
    async fn live(&self, customer: &Customer, today: &Today<'_>) -> Result<(), Error> {
        let account = &customer.account;
        if account.since == today.day {
            self.enter(customer, today).await?;
            return customer.settle_in(self.client).await;
        }
        if account.works_on(today.day) {
            customer.work(self.client, today.day).await?;
        }
        for act in account.acts_on(today.day) {
            self.perform(customer, act, today).await.map_err(|why| {
                Error::new(format!("{}, {} days ago: {why}", account.company, today.day))
            })?;
        }
        Ok(())
    }

    async fn enter(&self, customer: &Customer, today: &Today<'_>) -> Result<(), Error> {
        let account = &customer.account;
        if account.entry == Entry::SignsUp {
            return customer.sign_up(self.stack, self.client).await;
        }
        let email = account.email();
        let body = json!({
            "username": email, "password": PASSWORD, "name": account.company, "email": email,
        });
        let made = self.client.post("/v1.0/customers", today.operator().await?, body).await?;
        customer.made(&made);
        if account.entry == Entry::Made {
            customer.prove_address(self.stack, self.client).await?;
        }
        Ok(())
    }

    async fn perform(&self, customer: &Customer, act: Act, today: &Today<'_>) -> Result<(), Error> {
        let client = self.client;
        let post = async |below: &str| {
            let path = customer.path(below);
            client.post(&path, today.operator().await?, Value::Null).await
        };
        match act {
            Act::Leave => customer.leave(client).await,
            Act::LeaveNow => customer.leave_now(client).await,
            Act::Recover => customer.recover(client).await,
            Act::Invite(count) => customer.invite(client, count).await,
            Act::Freeze => post("/freeze").await.map(drop),
            Act::Suspend => post("/suspend").await.map(drop),
            Act::Resume => post("/resume").await.map(drop),
            Act::Delete => {
                let digest = text(&post("/erasure/plan").await?, "digest");
                let path = customer.path(&format!("?plan={digest}"));
                client.delete(&path, today.operator().await?).await.map(drop)
            }
            Act::Hold(name, reason) => {
                let path = customer.path(&format!("/holds/{name}"));
                let body = json!({"reason": reason});
                client.put(&path, today.operator().await?, body).await.map(drop)
            }
            Act::Lift(name) => {
                let path = customer.path(&format!("/holds/{name}"));
                client.delete(&path, today.operator().await?).await.map(drop)
            }
            Act::Waive(participant, reason) => {
                let path = format!("/v1.0/erasures/{}/waivers", customer.id());
                let body = json!({"participant": participant, "reason": reason});
                client.post(&path, today.operator().await?, body).await.map(drop)
            }
            Act::StoreUnknownKind => {
                let partition = format!("CUSTOMER#{}", customer.id());
                let item = json!({"pk": {"S": partition}, "sk": {"S": "FAX#1"}});
                client.put_item("AccountsTable", item).await
            }
        }
    }
}
