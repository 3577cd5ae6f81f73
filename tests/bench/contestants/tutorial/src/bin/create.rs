//! `POST /v1.0/customers`: creates a customer.

use argon2::{Argon2, PasswordHasher};
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use lambda_http::{Body, Error, Request, Response, run, service_fn, tracing};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tutorial::{App, Customer, Item, Metadata, hash, now, refuse, reply};
use uuid::Uuid;

#[derive(Deserialize)]
struct NewCustomer {
    username: String,
    password: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    webhook_method: String,
    #[serde(default)]
    webhook_uri: String,
}

fn put(
    table: &str,
    key: &[(&str, String)],
    attributes: impl Serialize,
) -> Result<TransactWriteItem, Error> {
    let mut item: Item = serde_dynamo::to_item(attributes)?;
    item.retain(|_, value| !value.is_null());
    item.extend(key.iter().map(|(name, value)| ((*name).into(), AttributeValue::S(value.clone()))));
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(item))
        .condition_expression(format!("attribute_not_exists({})", key[0].0));
    Ok(TransactWriteItem::builder().put(put.build()?).build())
}

async fn handle(app: &App, request: Request) -> Result<Response<Body>, Error> {
    if app.authenticate(&request).await?.is_none() {
        return refuse(401, "AUTHENTICATION_REQUIRED");
    }
    let Ok(new) = serde_json::from_slice::<NewCustomer>(request.body().as_ref()) else {
        return refuse(400, "INVALID_BODY");
    };
    let password_hash = Argon2::default().hash_password(new.password.as_bytes())?.to_string();
    let (id, agent, event, now) =
        (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7(), now());
    let customer = Customer {
        id: id.to_string(),
        name: new.name,
        detail: new.detail,
        email: new.email,
        phone_number: String::new(),
        address: String::new(),
        webhook_method: new.webhook_method,
        webhook_uri: new.webhook_uri,
        billing_account_id: Uuid::nil().to_string(),
        metadata: Metadata { rtp_debug: None },
        email_verified: false,
        status: "initial".into(),
        identity_verification_status: "none".into(),
        tm_deletion_scheduled: None,
        tm_create: now.clone(),
        tm_update: now.clone(),
        tm_delete: None,
    };
    let partition = format!("CUSTOMER#{id}");
    let login = hash(&new.username.to_lowercase());
    let writes = vec![
        put(
            &app.accounts,
            &[
                ("pk", partition.clone()),
                ("sk", "A".into()),
                ("list_pk", "CUSTOMERS".into()),
                ("list_sk", format!("{now}#{id}")),
            ],
            &customer,
        )?,
        put(
            &app.accounts,
            &[("pk", format!("USERNAME#{login}")), ("sk", "L".into())],
            json!({"customer_id": id, "agent_id": agent, "password_hash": password_hash, "epoch": 0}),
        )?,
        put(
            &app.accounts,
            &[("pk", partition), ("sk", format!("AGENT#{agent}"))],
            json!({"id": agent, "username": new.username, "login": login, "name": "", "detail": "",
                "permission": 32, "epoch": 0, "tm_create": now, "tm_update": now}),
        )?,
        put(
            &app.accounts,
            &[("pk", format!("EMAIL#{}", hash(&customer.email.to_lowercase()))), ("sk", "L".into())],
            json!({"customer_id": id}),
        )?,
        put(
            &app.outbox,
            &[
                ("id", event.to_string()),
                ("due_pk", format!("PUBLISH#{}", event.as_bytes()[15] % 4)),
                ("due_sk", format!("{now}#{event}")),
            ],
            json!({"type": "customer_created", "customer_id": id, "tm_event": now, "status": "initial",
                "sequence": 1, "attempts": 0}),
        )?,
    ];
    app.client.transact_write_items().set_transact_items(Some(writes)).send().await?;
    reply(200, &customer)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let app = &App::new().await;
    run(service_fn(|request| handle(app, request))).await
}
