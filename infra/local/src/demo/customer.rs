//! The acts of the owners of accounts, such as signing up and inviting agents, as calls of the API.

use std::{sync::OnceLock, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sam_local::{Error, Stack};
use serde_json::{Value, json};

use super::{
    AT_ONCE, PASSWORD,
    accounts::{Account, Entry, Receiver},
    client::{Client, text},
    receiver,
};

/// Maximum time that a mail may take to arrive.
const MAIL_TIMEOUT: Duration = Duration::from_secs(20);

const YEAR: u32 = 365 * 24 * 60 * 60;

/// First names of colleagues; each account invites two.
const COLLEAGUES: [&str; 7] = ["Alex", "Bea", "Chris", "Dana", "Eli", "Fran", "Gus"];

/// Resources, by kind and name. An account adds one of them every ten days.
const ADDITIONS: [(&str, &str); 11] = [
    ("contacts", "Reception"),
    ("tags", "Regulars"),
    ("flows", "Holiday greeting"),
    ("extensions", "Workshop"),
    ("queues", "Service desk"),
    ("numbers", "Second line"),
    ("files", "Welcome message"),
    ("outbound_configs", "Evening calls"),
    ("transcriptions", "Monday's call"),
    ("trunks", "Branch office"),
    ("contacts", "Landlord"),
];

/// An account of the story, with the id and the access key that it gets when it is created.
pub(super) struct Customer {
    pub(super) account: Account,
    /// Position in the list of accounts. It selects names, numbers and addresses, so that accounts differ.
    index: usize,
    id: OnceLock<String>,
    /// Token of the access key that the account's programs use.
    key: OnceLock<String>,
}

impl Customer {
    pub(super) const fn new(index: usize, account: Account) -> Self {
        Self { account, index, id: OnceLock::new(), key: OnceLock::new() }
    }

    /// Returns the account's id; empty before the account is created.
    pub(super) fn id(&self) -> &str {
        self.id.get().map_or("", String::as_str)
    }

    /// Returns the path of the account in the operators' API, with `below` appended.
    pub(super) fn path(&self, below: &str) -> String {
        format!("/v1.0/customers/{}{below}", self.id())
    }

    /// Stores the account's id; `account` is the account as the API returned it when it was created.
    pub(super) fn made(&self, account: &Value) {
        // Fails only for a second id, and an account is created once.
        let _ = self.id.set(text(account, "id"));
    }

    /// Signs up, and follows the mailed link.
    pub(super) async fn sign_up(&self, stack: &Stack, client: &Client) -> Result<(), Error> {
        let email = self.account.email();
        let body = json!({"email": email, "accepted_tos": true, "name": self.account.company});
        client.post("/auth/signup", "", body).await?;
        let body = json!({"token": mailed_token(stack, &email).await?, "password": PASSWORD});
        let answer = client.post("/auth/email-verify", "", body).await?;
        self.made(&answer["customer"]);
        Ok(())
    }

    /// Follows the mailed link that verifies the address of an account created by an operator.
    pub(super) async fn prove_address(&self, stack: &Stack, client: &Client) -> Result<(), Error> {
        let token = mailed_token(stack, &self.account.email()).await?;
        client.post("/auth/email-verify", "", json!({"token": token})).await.map(drop)
    }

    pub(super) async fn log_in(&self, client: &Client) -> Result<String, Error> {
        client.log_in(&self.account.email(), PASSWORD).await
    }

    /// Sets up a new account: its profile and, unless it stays unverified, further agents, an access key, a billing
    /// account and a phone number.
    pub(super) async fn settle_in(&self, client: &Client) -> Result<(), Error> {
        let session = &self.log_in(client).await?;
        client.put("/v1.0/customer", session, self.profile(client)).await?;
        if self.account.entry == Entry::Unverified {
            return Ok(());
        }
        for (position, permission) in [(0, 64), (3, 16)] {
            let name = COLLEAGUES[(self.index + position) % COLLEAGUES.len()];
            let body = json!({
                "username": self.account.address_of(name), "name": name, "permission": permission,
            });
            client.post("/v1.0/agents", session, body).await?;
        }
        let body = json!({"name": "Production", "expire": YEAR, "permission": 64});
        let key = client.post("/v1.0/accesskeys", session, body).await?;
        // Fails only for a second key, and an account settles in once.
        let _ = self.key.set(text(&key, "token"));
        let billing = json!({"name": "Main account", "data": {"currency": "EUR"}});
        let billing = client.post("/v1.0/billing_accounts", session, billing).await?;
        let billing = json!({"billing_account_id": billing["id"]});
        client.put("/v1.0/customer/billing_account_id", session, billing).await?;
        let number = json!({"name": "Front desk", "data": {"number": self.phone_number()}});
        client.post("/v1.0/numbers", session, number).await.map(drop)
    }

    fn profile(&self, client: &Client) -> Value {
        let mut profile = json!({
            "detail": format!("Contact: {}", self.account.person),
            "phone_number": self.phone_number(),
            "address": format!("{} Market Street, Exampleton", self.index + 1),
        });
        let webhook = self.account.webhook.map(|receiver| match receiver {
            Receiver::Works => receiver::uri(client.url(), &self.account.host()),
            Receiver::Fails => format!("https://hooks.{}/tenure", self.account.host()),
        });
        if let Some(uri) = webhook {
            profile["webhook_uri"] = json!(uri);
        }
        profile
    }

    /// Returns a phone number from the range reserved for fiction.
    fn phone_number(&self) -> String {
        format!("+1 555 01{:02}", self.index)
    }

    /// Creates a resource, authorized by the account's access key, if the account's age is a multiple of ten days.
    pub(super) async fn work(&self, client: &Client, day: u32) -> Result<(), Error> {
        let age = self.account.since - day;
        let Some(key) = self.key.get().filter(|_| age.is_multiple_of(10)) else { return Ok(()) };
        let (kind, name) = ADDITIONS[(self.index + age as usize / 10) % ADDITIONS.len()];
        let body = json!({"name": name, "data": {"added_by": "Production"}});
        client.post(&format!("/v1.0/{kind}"), key, body).await.map(drop)
    }

    /// Invites `count` agents, with user names `steward1`, `steward2` and so on.
    pub(super) async fn invite(&self, client: &Client, count: u32) -> Result<(), Error> {
        let session = &self.log_in(client).await?;
        let steward = async |number: u32| {
            let username = self.account.address_of(&format!("steward{number}"));
            let body = json!({"username": username, "name": format!("Steward {number}")});
            client.post("/v1.0/agents", session, body).await.map(drop)
        };
        stream::iter(1..=count).map(steward).buffer_unordered(AT_ONCE).try_collect().await
    }

    pub(super) async fn leave(&self, client: &Client) -> Result<(), Error> {
        let session = self.log_in(client).await?;
        client.post("/auth/unregister", &session, json!({"password": PASSWORD})).await.map(drop)
    }

    pub(super) async fn leave_now(&self, client: &Client) -> Result<(), Error> {
        let session = self.log_in(client).await?;
        let body =
            json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
        client.post("/auth/unregister", &session, body).await.map(drop)
    }

    pub(super) async fn recover(&self, client: &Client) -> Result<(), Error> {
        let session = self.log_in(client).await?;
        client.delete("/auth/unregister", &session).await.map(drop)
    }
}

/// Waits until a link is mailed to an address, and returns the token in the latest mail to it.
async fn mailed_token(stack: &Stack, email: &str) -> Result<String, Error> {
    let arrives = async {
        loop {
            let sent = stack.mail();
            let last = sent.iter().rev().find(|message| message["to"][0] == email);
            if let Some(token) = last.and_then(|message| token_in(message["text"].as_str()?)) {
                return token;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let late = |_| Error::new(format!("no link was mailed to {email}"));
    tokio::time::timeout(MAIL_TIMEOUT, arrives).await.map_err(late)
}

fn token_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("#token=")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}
