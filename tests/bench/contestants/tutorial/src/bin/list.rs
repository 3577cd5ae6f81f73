//! `GET /v1.0/customers`: lists customers.

use aws_sdk_dynamodb::types::AttributeValue;
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn, tracing};
use serde_json::json;
use tutorial::{App, Customer, refuse, reply};

async fn handle(app: &App, request: Request) -> Result<Response<Body>, Error> {
    if app.authenticate(&request).await?.is_none() {
        return refuse(401, "AUTHENTICATION_REQUIRED");
    }
    let parameters = request.query_string_parameters();
    let size = parameters.first("page_size").and_then(|size| size.parse().ok()).unwrap_or(100);
    let page = app
        .client
        .query()
        .table_name(&app.accounts)
        .index_name("list")
        .key_condition_expression("list_pk = :list")
        .expression_attribute_values(":list", AttributeValue::S("CUSTOMERS".into()))
        .scan_index_forward(false)
        .limit(size)
        .send()
        .await?;
    let more = page.last_evaluated_key.is_some();
    let rows: Vec<Customer> = serde_dynamo::from_items(page.items.unwrap_or_default())?;
    let last = rows.last().filter(|_| more).map(|row| row.tm_create.clone());
    reply(200, &json!({"result": rows, "next_page_token": last.unwrap_or_default()}))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let app = &App::new().await;
    run(service_fn(|request| handle(app, request))).await
}
