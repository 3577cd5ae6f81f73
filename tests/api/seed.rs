//! The seed (`seed.txt`) has examples of the API that this service must be compatible with. Each request is
//! sent verbatim, and must get the response that the seed shows.

use serde_json::{Value, json};

use crate::harness::{Answer, Tenure};

const SEED: &str = include_str!("seed.txt");

/// An example of the seed: a request and its response.
struct Example {
    method: String,
    path: String,
    body: Option<String>,
    /// The response's text, as in the seed.
    text: String,
    answer: Value,
}

/// Returns the examples in the order of the seed: list, get, create, delete, metadata, unregister, immediate
/// (unregister at once), recover.
fn examples() -> Vec<Example> {
    SEED.split("$ curl --location --request ").skip(1).map(example).collect()
}

/// Returns the responses that the seed shows.
pub(crate) fn answers() -> Vec<Value> {
    examples().into_iter().map(|example| example.answer).collect()
}

fn example(text: &str) -> Example {
    let (method, rest) = text.split_once(" '").unwrap();
    let (url, rest) = rest.split_once('\'').unwrap();
    let path = url
        .trim_start_matches("https://api.voipbin.net")
        .trim_end_matches("?token=<YOUR_AUTH_TOKEN>");
    let (body, rest) = match rest.split_once("--data-raw '") {
        Some((_, rest)) => {
            rest.split_once('\'').map(|(body, rest)| (Some(body.to_owned()), rest)).unwrap()
        }
        None => (None, rest),
    };
    let json = &rest[rest.find("\n{").unwrap()..];
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
    let answer = values.next().unwrap().unwrap();
    let text = json[..values.byte_offset()].to_owned();
    Example { method: method.to_owned(), path: path.to_owned(), body, text, answer }
}

impl Example {
    /// Sends the example's request, but with this token, and with `id` in place of the id in the path. The
    /// token goes into the query under `/v1.0` and into a header under `/auth`, as in the seed.
    async fn run(&self, tenure: &Tenure, token: &str, id: Option<&str>) -> Answer {
        let shown_id = self.path.strip_prefix("/v1.0/customers/");
        let path = match (shown_id, id) {
            (Some(shown), Some(id)) => self.path.replace(shown, id),
            _ => self.path.clone(),
        };
        let request = if path.starts_with("/v1.0/") {
            tenure.request(&self.method, &format!("{path}?token={token}"))
        } else {
            tenure.request(&self.method, &path).bearer(token)
        };
        let request = match &self.body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(body.replace("yourPassword", PASSWORD)),
            None => request,
        };
        tenure.send(request).await
    }
}

/// The password of the example that creates an account.
const PASSWORD: &str = "ee5f3d14-5ac6-11ed-808e-6f7d676a444b";

/// Checks that a response and the example's have the same keys in the same order, and the same values apart
/// from times and the fields in `vary`.
#[track_caller]
fn assert_like(answer: &Answer, example: &Example, vary: &[&str]) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(keys(&answer.text), keys(&example.text), "keys and their order");
    compare("", &answer.body, &example.answer, vary);
}

fn compare(name: &str, ours: &Value, seeds: &Value, vary: &[&str]) {
    match (ours, seeds) {
        (Value::Object(ours), Value::Object(seeds)) => {
            for (name, seed) in seeds {
                compare(name, &ours[name], seed, vary);
            }
        }
        (Value::Array(ours), Value::Array(seeds)) => {
            for row in ours {
                compare(name, row, &seeds[0], vary);
            }
        }
        (Value::String(ours), Value::String(seeds))
            if name.starts_with("tm_") || name == "next_page_token" =>
        {
            assert_eq!((&ours[..2], ours.ends_with('Z')), (&seeds[..2], true), "{name}: {ours}");
        }
        (Value::String(_), Value::String(_)) | (Value::Bool(_), Value::Bool(_))
            if vary.contains(&name) => {}
        _ => assert_eq!(ours, seeds, "{name}"),
    }
}

/// Returns all keys in a JSON text in their order, with repetitions.
fn keys(json: &str) -> Vec<&str> {
    let parts: Vec<&str> = json.split('"').collect();
    let is_key =
        |at: &usize| parts.get(at + 1).is_some_and(|next| next.trim_start().starts_with(':'));
    (1..parts.len()).step_by(2).filter(is_key).map(|at| parts[at]).collect()
}

/// Creates an account with the field values of `shown`, as an operator; returns its id.
async fn make(tenure: &Tenure, admin: &str, username: &str, shown: &Value) -> String {
    let mut body = json!({"username": username, "password": PASSWORD});
    for field in
        ["name", "detail", "email", "phone_number", "address", "webhook_method", "webhook_uri"]
    {
        body[field] = shown[field].clone();
    }
    let created = tenure.call_with(admin, "POST", "/v1.0/customers", body).await.ok();
    let id = created["id"].as_str().unwrap().to_owned();
    let payers = format!("/v1.0/billing_accounts?customer_id={id}");
    let payer = tenure.call_with(admin, "POST", &payers, json!({})).await.ok();
    for (below, body) in [
        ("billing_account_id", json!({"billing_account_id": payer["id"]})),
        ("metadata", shown["metadata"].clone()),
        (
            "verification",
            json!({
                "email_verified": shown["email_verified"],
                "identity_verification_status": shown["identity_verification_status"],
            }),
        ),
    ] {
        let path = format!("/v1.0/customers/{id}/{below}");
        tenure.call_with(admin, "PUT", &path, body).await.ok();
    }
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_makes_the_seeds_acme_by_api_calls() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let [_, shown, ..] = &examples()[..] else { panic!("the second example shows Acme") };
    let acme = &shown.answer;
    assert_eq!((&acme["name"], &acme["status"]), (&json!("Acme Corporation"), &json!("active")));

    let id = make(&tenure, &admin, "acme", acme).await;
    let made = tenure.call(&admin, "GET", &format!("/v1.0/customers/{id}")).await;
    assert_eq!(keys(&made.text), keys(&shown.text));
    let mut made = made.ok();
    for field in ["id", "billing_account_id", "tm_create", "tm_update"] {
        assert_ne!(made[field], acme[field], "{field}");
        made[field] = acme[field].clone();
    }
    assert_eq!(&made, acme);
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_examples_get_the_answers_shown() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let examples = examples();
    let [list, get, create, delete, metadata, unregister, immediate, recover] = examples.as_slice()
    else {
        panic!("the seed has {} examples", examples.len());
    };

    // Create: everything but id and times as in the seed.
    let created = create.run(&tenure, &admin, None).await;
    assert_like(&created, create, &["id"]);
    assert_eq!(created.body["tm_create"], created.body["tm_update"]);
    let test_company = created.body["id"].as_str().unwrap().to_owned();

    // The seed's other examples are about another customer.
    let acme = make(&tenure, &admin, "acme", &list.answer["result"][0]).await;
    let token = tenure.login("acme", PASSWORD).await;

    // Delete answers with the object as it was, with its new status.
    let deleted = delete.run(&tenure, &admin, Some(&test_company)).await;
    assert_like(&deleted, delete, &["id"]);
    assert_eq!(deleted.body["tm_update"], deleted.body["tm_create"]);

    // The service assigns both ids.
    let vary = ["id", "billing_account_id"];
    let changed = metadata.run(&tenure, &token, None).await;
    assert_like(&changed, metadata, &vary);
    let off = tenure
        .call_with(&token, "PUT", "/v1.0/customer/metadata", json!({"rtp_debug": false}))
        .await
        .ok();
    assert_eq!(off["metadata"], json!({"rtp_debug": false}));

    let shown = get.run(&tenure, &admin, Some(&acme)).await;
    assert_like(&shown, get, &vary);
    let listed = list.run(&tenure, &admin, None).await;
    assert_eq!(listed.body["result"].as_array().unwrap().len(), 1);
    // The only page has no next token.
    assert_eq!(listed.body["next_page_token"], "");
    assert_eq!(keys(&listed.text), keys(&list.text));
    compare("", &listed.body["result"], &list.answer["result"], &vary);

    let frozen = unregister.run(&tenure, &token, None).await;
    assert_like(&frozen, unregister, &vary);
    assert_eq!(frozen.body["status"], "frozen");
    assert_eq!(days_between(&frozen.body["tm_update"], &frozen.body["tm_deletion_scheduled"]), 30);

    let recovered = recover.run(&tenure, &token, None).await;
    assert_like(&recovered, recover, &vary);

    // An immediate deletion answers with the blanked object.
    let gone = immediate.run(&tenure, &token, None).await;
    assert_like(&gone, immediate, &["id"]);
    assert_eq!(gone.body["tm_update"], gone.body["tm_delete"]);
}

fn days_between(from: &Value, to: &Value) -> i64 {
    let read = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let between = read(to).duration_since(read(from));
    assert_eq!(between.as_secs() % 86_400, 0, "whole days");
    between.as_secs() / 86_400
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_page_newest_first_by_creation_time() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    for name in ["a", "b", "c"] {
        let body = json!({"username": name, "password": PASSWORD, "name": name});
        tenure.call_with(&admin, "POST", "/v1.0/customers", body).await.ok();
    }
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let page = tenure
            .call(&admin, "GET", &format!("/v1.0/customers?page_size=2&page_token={token}"))
            .await
            .ok();
        let rows = page["result"].as_array().unwrap();
        names.extend(rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()));
        token = page["next_page_token"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
        assert_eq!(token, rows.last().unwrap()["tm_create"].as_str().unwrap());
    }
    assert_eq!(names, ["c", "b", "a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn access_key_token_is_shown_once() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;

    let body = json!({"name": "CI", "detail": "pipeline", "expire": 86_400});
    let created = tenure.call_with(&account.token, "POST", "/v1.0/accesskeys", body).await.ok();
    let token = created["token"].as_str().unwrap();
    assert!(
        token.starts_with("vb_") && token.starts_with(created["token_prefix"].as_str().unwrap())
    );
    assert_eq!(days_between(&created["tm_create"], &created["tm_expire"]), 1);
    assert_eq!(
        (&created["customer_id"], &created["tm_delete"]),
        (&json!(account.id), &Value::Null)
    );

    let path = format!("/v1.0/accesskeys/{}", created["id"].as_str().unwrap());
    let mut expected = created.clone();
    expected.as_object_mut().unwrap().remove("token");
    // The key has its creator's permission, in the header and in the query. Its use shows in the next answer.
    assert_eq!(tenure.call(token, "GET", &path).await.ok(), expected);
    expected["tm_last_use"] =
        tenure.call(&account.token, "GET", &path).await.ok()["tm_last_use"].clone();
    assert!(expected["tm_last_use"].is_string());
    assert_eq!(
        tenure.send(tenure.request("GET", &format!("{path}?accesskey={token}"))).await.ok(),
        expected
    );
    let list = tenure.call(token, "GET", "/v1.0/accesskeys").await.ok();
    assert_eq!(list, json!({"result": [expected], "next_page_token": ""}));

    // Absent fields are kept.
    let renamed = tenure.call_with(token, "PUT", &path, json!({"name": "CD"})).await.ok();
    assert_eq!((&renamed["name"], &renamed["detail"]), (&json!("CD"), &json!("pipeline")));

    let deleted = tenure.call(&account.token, "DELETE", &path).await.ok();
    assert!(deleted["tm_delete"].is_string());
    assert_eq!(
        tenure.call(token, "GET", "/v1.0/accesskeys").await.refused(401),
        "INVALID_CREDENTIALS"
    );
    assert_eq!(tenure.call(&account.token, "GET", &path).await.refused(404), "ACCESSKEY_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn put_replaces_named_fields_and_keeps_the_rest() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    let before = tenure.call(&admin, "GET", &path).await.ok();

    let body = json!({"name": "New", "address": "", "email": "new@example.com"});
    let after = tenure.call_with(&admin, "PUT", &path, body).await.ok();
    let mut expected = before.clone();
    for (field, value) in [("name", "New"), ("address", ""), ("email", "new@example.com")] {
        expected[field] = json!(value);
    }
    expected["tm_update"] = after["tm_update"].clone();
    assert_eq!(after, expected);

    // An empty body changes nothing.
    assert_eq!(tenure.call_with(&admin, "PUT", &path, json!({})).await.ok(), after);

    // The old address is free, the new one is taken.
    let taken = json!({"username": "test2", "password": PASSWORD, "email": "NEW@example.com"});
    assert_eq!(
        tenure.call_with(&admin, "POST", "/v1.0/customers", taken).await.refused(409),
        "EMAIL_TAKEN"
    );
    let free = json!({"username": "test2", "password": PASSWORD, "email": "test1@example.com"});
    tenure.call_with(&admin, "POST", "/v1.0/customers", free).await.ok();
}
