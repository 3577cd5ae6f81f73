//! `GET /v1.0/customers/{id}`: returns a customer.

use aws_sdk_dynamodb::types::AttributeValue;
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn, tracing};
use tutorial::{App, Customer, refuse, reply};

async fn handle(app: &App, request: Request) -> Result<Response<Body>, Error> {
    if app.authenticate(&request).await?.is_none() {
        return refuse(401, "AUTHENTICATION_REQUIRED");
    }
    let parameters = request.path_parameters();
    let id = parameters.first("id").unwrap_or_default();
    let found = app
        .client
        .get_item()
        .table_name(&app.accounts)
        .key("pk", AttributeValue::S(format!("CUSTOMER#{id}")))
        .key("sk", AttributeValue::S("A".into()))
        .consistent_read(true)
        .send()
        .await?;
    match found.item {
        Some(item) => reply(200, &serde_dynamo::from_item::<_, Customer>(item)?),
        None => refuse(404, "CUSTOMER_NOT_FOUND"),
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let app = &App::new().await;
    run(service_fn(|request| handle(app, request))).await
}
