//! Clients and rows that the three functions of this contestant share.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_http::{Body, Error, Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

pub type Item = HashMap<String, AttributeValue>;

/// Permission of a project admin.
pub const PROJECT_ADMIN: u64 = 1;

/// The caller that a token authenticates.
#[derive(Deserialize)]
pub struct Caller {
    pub customer_id: String,
    pub permission: u64,
    pub tm_expire: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp_debug: Option<bool>,
}

#[derive(Serialize, Deserialize)]
pub struct Customer {
    pub id: String,
    pub name: String,
    pub detail: String,
    pub email: String,
    pub phone_number: String,
    pub address: String,
    pub webhook_method: String,
    pub webhook_uri: String,
    pub billing_account_id: String,
    pub metadata: Metadata,
    pub email_verified: bool,
    pub status: String,
    pub identity_verification_status: String,
    pub tm_deletion_scheduled: Option<String>,
    pub tm_create: String,
    pub tm_update: String,
    pub tm_delete: Option<String>,
}

pub struct App {
    pub client: Client,
    pub accounts: String,
    pub outbox: String,
}

impl App {
    pub async fn new() -> Self {
        let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
        let table = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        Self {
            client: Client::new(&config),
            accounts: table("ACCOUNTS_TABLE"),
            outbox: table("OUTBOX_TABLE"),
        }
    }

    /// Returns the caller that the request's token authenticates; `None` unless they are a project admin.
    pub async fn authenticate(&self, request: &Request) -> Result<Option<Caller>, Error> {
        let header = request.headers().get("authorization");
        let token = header.and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "));
        let Some(token) = token else { return Ok(None) };
        let found = self
            .client
            .get_item()
            .table_name(&self.accounts)
            .key("pk", AttributeValue::S(format!("TOKEN#{}", hash(token))))
            .key("sk", AttributeValue::S("L".into()))
            .consistent_read(true)
            .send()
            .await?;
        let Some(item) = found.item else { return Ok(None) };
        let caller: Caller = serde_dynamo::from_item(item)?;
        let allowed = caller.permission & PROJECT_ADMIN != 0 && caller.tm_expire > now();
        Ok(allowed.then_some(caller))
    }
}

pub fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

pub fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

pub fn reply(status: u16, body: &impl Serialize) -> Result<Response<Body>, Error> {
    Ok(Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(serde_json::to_string(body)?.into())?)
}

pub fn refuse(status: u16, reason: &str) -> Result<Response<Body>, Error> {
    reply(status, &json!({"error": {"reason": reason}}))
}
