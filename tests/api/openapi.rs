//! The OpenAPI description matches the API. The test harness checks every response of every test against it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Method;
use local::Description;
use serde_json::{Value, json};
use shared::domain::counts::PlanDifference;
use shared::domain::error::{Denial, Entity};
use shared::domain::hold::Holds;
use shared::domain::owned::Kind;
use shared::domain::quota::{Quota, QuotaStatus};
use shared::domain::throttle::Throttle;
use shared::domain::{Error, Status, Violation};
use shared::http::Reply;
use shared::store::items::ITEMS;

use uuid::Uuid;

use crate::harness::{Answer, Template, Tenure};
use crate::participants_answers;

/// Paths that the local stack adds to those of the API; the description does not have them.
const OF_THE_STACK: [&str; 4] = ["/_local", "/2015-03-31/", "/docs", "/openapi."];

pub(crate) fn description() -> &'static Description {
    Description::of_api().expect("a description")
}

/// Fails if a response does not match the OpenAPI description.
pub(crate) fn check(routes: &[String], method: &Method, path: &str, answer: &Answer) {
    if OF_THE_STACK.iter().any(|start| path.starts_with(start)) || method == Method::HEAD {
        return;
    }
    // To a client that does not come through the front, the API pretends that it has no routes.
    let is_nowhere = answer.body["error"]["reason"] == "ROUTE_NOT_FOUND";
    let route = route_of(routes, method.as_str(), path);
    let route = if is_nowhere { "$default".to_owned() } else { route };
    let outcome = description().check(&route, answer.status, &answer.headers, &answer.text);
    if let Err(why) = outcome {
        panic!("{method} {path} ({route}) → {}: {why}\n{}", answer.status, answer.text);
    }
}

/// Returns the route that a request matches. A literal path segment takes precedence over a parameter.
pub(crate) fn route_of(routes: &[String], method: &str, path: &str) -> String {
    let segments: Vec<_> = path.split('/').collect();
    let places = |route: &str| {
        let (verb, pattern) = route.split_once(' ')?;
        let pattern: Vec<_> = pattern.split('/').collect();
        let fits = |(pattern, segment): (&&str, &&str)| {
            if pattern.starts_with('{') { !segment.is_empty() } else { pattern == segment }
        };
        let taken = verb == method
            && pattern.len() == segments.len()
            && pattern.iter().zip(&segments).all(fits);
        taken.then(|| pattern.iter().map(|step| step.starts_with('{')).collect::<Vec<_>>())
    };
    let taking = routes.iter().filter_map(|route| Some((places(route)?, route)));
    taking.min().map_or_else(|| "$default".to_owned(), |(_, route)| route.clone())
}

#[test]
fn documented_operations_are_the_deployed_routes() {
    let deployed: BTreeSet<_> = Template::functions().into_keys().collect();
    let described: BTreeSet<_> = description().operations().into_keys().collect();
    assert_eq!(deployed, described);
    assert!(deployed.len() >= 33);
}

/// Code generators turn these names into names of functions and types, in the style of their language.
#[test]
fn operations_are_named_in_camel_case_and_schemas_in_pascal_case() {
    let description = description();
    let is_plain = |name: &str| name.chars().all(|letter| letter.is_ascii_alphanumeric());
    let mut names = BTreeSet::new();
    for (route, operation) in description.operations() {
        let name = operation["operationId"].as_str().unwrap();
        assert!(is_plain(name) && name.starts_with(char::is_lowercase), "{route}: {name}");
        assert!(names.insert(name), "{name} is the name of two operations");
    }
    for name in description.document()["components"]["schemas"].as_object().unwrap().keys() {
        assert!(is_plain(name) && name.starts_with(char::is_uppercase), "{name}");
    }
}

/// Code generators invent names for unnamed objects, and ignore what stands beside `allOf`.
#[test]
fn every_object_with_fields_is_a_named_schema_written_out_in_full() {
    let document = description().document();
    walk(document, &mut |part| assert!(part.get("allOf").is_none(), "{part}"));
    let mut parts = vec![&document["paths"]];
    for (section, components) in document["components"].as_object().unwrap() {
        match (section.as_str(), components.as_object()) {
            ("examples", _) | (_, None) => {}
            // A named schema may have fields; the schemas inside it may not.
            ("schemas", Some(schemas)) => parts.extend(
                schemas.values().filter_map(Value::as_object).flat_map(|schema| schema.values()),
            ),
            _ => parts.push(components),
        }
    }
    for part in parts {
        walk(part, &mut |part| {
            let unnamed = part["type"] == "object" && part["properties"].is_object();
            assert!(!unnamed, "an object without a name: {part}");
        });
    }
}

/// Returns an instance of every error. A new variant does not compile until it is listed here.
fn every_error() -> Vec<Error> {
    let text = String::new;
    let missing = [
        Entity::Delivery,
        Entity::Customer,
        Entity::Erasure,
        Entity::Participant,
        Entity::Participation,
        Entity::Ticket,
    ]
    .into_iter();
    let is_named = |kind: &&Kind| kind.is_announced() || **kind == Kind::Session;
    let kinds = Kind::ALL.iter().filter(is_named);
    let missing = missing.chain(kinds.map(|kind| Entity::Owned(*kind)));
    let difference = PlanDifference { account_changed: true, counts: BTreeMap::new() };
    let others = [
        Error::BodyTooLarge(1),
        Error::NotJson,
        Error::BodyMissing,
        Error::InvalidJson(text()),
        Error::InvalidField(text(), Violation::Missing),
        Error::invalid_field("webhook_uri", "must be"),
        Error::InvalidParameter("", text()),
        Error::UnknownParameter { name: text(), accepted: &[] },
        Error::RepeatedParameter(text()),
        Error::UnsupportedHeader(""),
        Error::InvalidId,
        Error::AmbiguousCredentials,
        Error::AuthenticationRequired,
        Error::InvalidCredentials,
        Error::UnsupportedScheme,
        Error::WrongLogin,
        Error::InvalidPassword,
        Error::PermissionDenied(Denial::SessionRequired),
        Error::AccountFrozen { scheduled: None, effective: None, recoverable: true },
        Error::AccountFrozen { scheduled: None, effective: None, recoverable: false },
        Error::AccountSuspended,
        Error::RouteNotFound,
        Error::LoopDetected,
        Error::UsernameTaken,
        Error::EmailTaken,
        Error::EmailMissing,
        Error::TokenInvalid,
        Error::AgentUnreachable,
        Error::MailDisabled,
        Error::EmailVerificationRequired,
        Error::StateInvalid(Status::Frozen),
        Error::GracePeriodEnded,
        Error::LastProjectAdmin,
        Error::LastAdmin,
        Error::AlreadyRotated,
        Error::TooManyParticipants,
        Error::AlreadyAcknowledged,
        Error::RoundOutdated(2),
        Error::NoWebhook,
        Error::EtagMismatch,
        Error::IdempotencyKeyReused,
        Error::TokenAlreadyIssued(Uuid::nil()),
        Error::BillingAccountInUse,
        Error::LegalHold(Holds::default()),
        Error::AccountPreserved,
        Error::TooManyHolds,
        Error::CapReached(Kind::Agent, 1),
        Error::PlanOutdated(Box::new(difference)),
        Error::PlanRequired,
        Error::DeletionLimit(Duration::from_secs(1)),
        Error::TooManyAttempts(Throttle::Username, Duration::from_secs(1)),
        Error::TooManyRequests(QuotaStatus {
            quota: Quota::PASSWORD_ATTEMPTS,
            remaining: 0,
            resets_in: Duration::from_secs(1),
        }),
        Error::Unavailable(text()),
        Error::Internal(text()),
    ];
    others.into_iter().chain(missing.map(Error::NotFound)).inspect(is_in_the_list).collect()
}

fn is_in_the_list(error: &Error) {
    match error {
        Error::BodyTooLarge(_)
        | Error::NotJson
        | Error::BodyMissing
        | Error::InvalidJson(_)
        | Error::InvalidField(..)
        | Error::InvalidParameter(..)
        | Error::UnknownParameter { .. }
        | Error::RepeatedParameter(_)
        | Error::UnsupportedHeader(_)
        | Error::InvalidId
        | Error::AmbiguousCredentials
        | Error::AuthenticationRequired
        | Error::InvalidCredentials
        | Error::UnsupportedScheme
        | Error::WrongLogin
        | Error::InvalidPassword
        | Error::PermissionDenied(_)
        | Error::AccountFrozen { .. }
        | Error::AccountSuspended
        | Error::NotFound(
            Entity::Delivery
            | Entity::Customer
            | Entity::Owned(_)
            | Entity::Erasure
            | Entity::Ticket
            | Entity::Participant
            | Entity::Participation,
        )
        | Error::RouteNotFound
        | Error::LoopDetected
        | Error::UsernameTaken
        | Error::EmailTaken
        | Error::EmailMissing
        | Error::TokenInvalid
        | Error::AgentUnreachable
        | Error::MailDisabled
        | Error::EmailVerificationRequired
        | Error::StateInvalid(_)
        | Error::GracePeriodEnded
        | Error::LastProjectAdmin
        | Error::LastAdmin
        | Error::AlreadyRotated
        | Error::TooManyParticipants
        | Error::AlreadyAcknowledged
        | Error::RoundOutdated(_)
        | Error::NoWebhook
        | Error::EtagMismatch
        | Error::IdempotencyKeyReused
        | Error::TokenAlreadyIssued(_)
        | Error::BillingAccountInUse
        | Error::LegalHold(_)
        | Error::AccountPreserved
        | Error::TooManyHolds
        | Error::CapReached(..)
        | Error::PlanOutdated(_)
        | Error::PlanRequired
        | Error::DeletionLimit(_)
        | Error::TooManyAttempts(..)
        | Error::TooManyRequests(_)
        | Error::Unavailable(_)
        | Error::Internal(_) => {}
    }
}

/// Returns the error reasons that the description lists for a response.
fn reasons(response: &Value) -> Vec<String> {
    let reasons = response["x-reasons"].as_array().into_iter().flatten();
    reasons.map(|reason| reason.as_str().unwrap().to_owned()).collect()
}

/// Returns every response in the description, with its route and status.
fn answers() -> Vec<(String, u16, &'static Value)> {
    let description = description();
    let mut answers = Vec::new();
    let no_route = &description.document()["components"]["responses"]["NoRoute"];
    answers.push(("$default".to_owned(), 404, no_route));
    for (route, operation) in description.operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = description.resolve(response);
            answers.push((route.clone(), status.parse().unwrap(), response));
        }
    }
    answers
}

#[test]
fn documented_errors_are_those_of_the_api() {
    let reply = |error: &Error| Reply::error(error, "x");
    let told: BTreeSet<_> = every_error()
        .iter()
        .map(|error| (reply(error).status(), reply(error).reason().to_owned()))
        .collect();
    let described: BTreeSet<_> = answers()
        .iter()
        .flat_map(|(_, status, response)| {
            reasons(response).into_iter().map(|reason| (*status, reason))
        })
        .collect();
    assert_eq!(told, described);
    for (route, status, response) in answers() {
        assert_eq!(matches!(status, 200 | 304), reasons(response).is_empty(), "{route} {status}");
    }
}

#[test]
fn every_error_has_the_one_named_schema() {
    let error = json!({"$ref": "#/components/schemas/ErrorResponse"});
    let gateway = json!({"$ref": "#/components/schemas/GatewayError"});
    for (route, status, response) in answers() {
        if !reasons(response).is_empty() {
            let schema = &response["content"]["application/json"]["schema"];
            let expected = match status {
                413 | 500 | 503 => &json!({"anyOf": [error, gateway]}),
                _ => &error,
            };
            assert_eq!(schema, expected, "{route} {status}");
        }
    }
}

#[test]
fn every_error_has_an_example_of_one_of_its_reasons() {
    let errors = every_error();
    for (route, status, response) in answers() {
        let reasons = reasons(response);
        if reasons.is_empty() {
            continue;
        }
        let example = &response["content"]["application/json"]["example"];
        let is_meant = |error: &&Error| {
            let reply = Reply::error(error, "x");
            reply.status() == status && example["error"]["reason"] == reply.reason()
        };
        let error = errors.iter().find(is_meant);
        let error = error.unwrap_or_else(|| panic!("{route} {status}: no such error: {example}"));
        let headers = error_headers(error);
        let checked = description().check(&route, status, &headers, &example.to_string());
        assert_eq!(checked, Ok(()), "{route} {status}: {example}");
    }
}

#[test]
fn every_operation_documents_body_errors_and_tags() {
    let description = description();
    let document = description.document();
    let tags: BTreeSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str()).collect();
    for (route, operation) in description.operations() {
        let mut expected = vec!["200", "500", "503"];
        let security = operation.get("security").unwrap_or(&document["security"]);
        if security != &json!([]) {
            expected.extend(["400", "401", "403", "429"]);
        }
        if let Some(body) = operation.get("requestBody") {
            expected.extend(["400", "413", "415"]);
            let schema = description.resolve(&body["content"]["application/json"]["schema"]);
            assert_eq!(
                schema["additionalProperties"], false,
                "{route}: unknown fields must be rejected"
            );
        }
        if route.contains("{id}") {
            expected.extend(["400", "404"]);
        }
        for status in expected {
            assert!(operation["responses"].get(status).is_some(), "{route}: {status}");
        }
        assert!(tags.contains(&operation["tags"][0].as_str()), "{route}: tag");
        for text in ["summary", "description"] {
            assert!(operation[text].is_string(), "{route}: {text}");
        }
    }
}

/// Calls `look` on `value` and, recursively, on everything in it.
fn walk<'a>(value: &'a Value, look: &mut impl FnMut(&'a Value)) {
    look(value);
    match value {
        Value::Array(values) => values.iter().for_each(|value| walk(value, look)),
        Value::Object(fields) => fields.values().for_each(|value| walk(value, look)),
        _ => {}
    }
}

#[test]
fn every_component_is_used() {
    let document = description().document();
    let mut referred = BTreeSet::from(["#/components/responses/NoRoute".to_owned()]);
    walk(document, &mut |value| {
        referred.extend(value["$ref"].as_str().map(str::to_owned));
    });
    for (kind, components) in document["components"].as_object().unwrap() {
        for name in components.as_object().unwrap().keys().filter(|_| kind != "securitySchemes") {
            let reference = format!("#/components/{kind}/{name}");
            assert!(referred.contains(&reference), "nothing refers to {reference}");
        }
    }
}

/// Fields of schemas that hold no personal data, although a stored field with the same name does. For
/// example, `name` is personal in an account, but not in a hold or a participant.
const NOT_PERSONAL: [(&str, &str); 11] = [
    ("StoredField", "name"),
    ("Hold", "name"),
    ("PlacedHold", "name"),
    ("Participant", "name"),
    ("Participant", "detail"),
    ("SetParticipantRequest", "detail"),
    ("ParticipantRequest", "detail"),
    ("ErasureParticipant", "name"),
    ("ErasureParticipant", "detail"),
    ("AcknowledgeErasureRequest", "detail"),
    ("ErasureStatusParticipant", "name"),
];

#[test]
fn fields_marked_personal_are_those_stored_as_personal() {
    let description = description();
    let stored = ITEMS.iter().flat_map(|(_, fields)| fields.iter());
    let mut personal: BTreeSet<&str> =
        stored.filter(|field| field.personal).map(|field| field.name).collect();
    // Derived attributes, which no request or response has.
    for inside in [
        "password_hash",
        "username_digest",
        "farewell_uri",
        "farewell_secrets",
        "mail_to",
        "address_hash",
        "sign_up",
        "name_key",
        "retained_email",
        "networks",
    ] {
        assert!(personal.remove(inside), "{inside}");
    }
    personal.extend(["password", "current_password"]);

    let mut marked = BTreeSet::new();
    for (schema, described) in description.document()["components"]["schemas"].as_object().unwrap()
    {
        for (name, property) in described["properties"].as_object().into_iter().flatten() {
            let is_personal =
                personal.contains(name.as_str()) && !NOT_PERSONAL.contains(&(schema, name));
            let mark = &description.resolve(property)["x-pii"];
            assert_eq!(*mark == true, is_personal, "{schema}.{name}: x-pii");
            if is_personal {
                marked.insert(name.as_str());
            }
        }
    }
    assert_eq!(marked, personal, "every personal field is marked in the description");
}

/// Scripts in browsers can send and read exactly the documented headers.
#[test]
fn cors_lists_are_the_documented_methods_and_headers() {
    let template = Template::text();
    let list = |name: &str| {
        let list = template.split(&format!(" {name}: [")).nth(1).unwrap();
        let list = list.split(']').next().unwrap().split(", ").map(str::to_owned);
        list.collect::<BTreeSet<_>>()
    };
    let description = description();
    let document = description.document();
    let operations = description.operations();

    let methods = operations.keys().map(|route| route.split(' ').next().unwrap().to_owned());
    assert_eq!(list("allowMethods"), methods.collect());

    // OpenAPI has no parameters for credentials and bodies, and every route takes the last.
    let mut sent: BTreeSet<_> =
        ["authorization", "content-type", "x-request-id"].map(str::to_owned).into();
    walk(document, &mut |part| {
        if part["in"] == "header" {
            sent.insert(part["name"].as_str().unwrap().to_lowercase());
        }
    });
    assert_eq!(list("allowHeaders"), sent);

    let answers = answers();
    let headers = answers.iter().filter_map(|(_, _, response)| response["headers"].as_object());
    let headers = headers.flat_map(|headers| headers.keys().map(|name| name.to_lowercase()));
    assert_eq!(list("exposeHeaders"), headers.collect());
}

#[test]
fn examples_are_answers_of_the_seed() {
    let document = description().document();
    let seed = crate::seed::answers();
    for (name, example) in document["components"]["examples"].as_object().unwrap() {
        // The page that the seed was copied from withheld the addresses.
        let withheld = example["value"].to_string();
        let withheld = ["contact@acme-corp.com", "mail@test-company.com"]
            .iter()
            .fold(withheld, |text, address| text.replace(address, "[email protected]"));
        let withheld: Value = serde_json::from_str(&withheld).unwrap();
        assert!(seed.contains(&withheld), "{name} is not in the seed");
    }
}

#[test]
fn examples_match_their_schemas() {
    let description = description();
    let mut seen = 0;
    for (route, operation) in description.operations() {
        let answer = description.resolve(&operation["responses"]["200"]);
        let mut headers = headers(200);
        if answer["headers"].get("ETag").is_none() {
            headers.remove("etag");
        }
        let link = description.resolve(&answer["headers"]["Link"]);
        if link["required"] == true {
            headers.insert("link", link["example"].as_str().unwrap().parse().unwrap());
        }
        let answer = &answer["content"]["application/json"];
        for example in
            answer["examples"].as_object().into_iter().flat_map(|examples| examples.values())
        {
            let value = &description.resolve(example)["value"];
            let checked = description.check(&route, 200, &headers, &value.to_string());
            assert_eq!(checked.map_err(|why| format!("{route}: {why}")), Ok(()));
            seen += 1;
        }
    }
    assert!(seen >= 10);
}

/// Returns the examples of an operation's request body.
fn request_examples(operation: &Value) -> Vec<Value> {
    let content = &operation["requestBody"]["content"]["application/json"];
    let several = content["examples"].as_object().into_iter().flat_map(|several| several.values());
    let several = several.map(|example| description().resolve(example)["value"].clone());
    content.get("example").cloned().into_iter().chain(several).collect()
}

/// Returns the operation's rank in the order in which the examples are sent: after the operations that create
/// what it needs, and before those that end its session or account.
fn turn(operation: &Value) -> u8 {
    match operation["operationId"].as_str().unwrap() {
        "createCustomer" | "signUp" => 0,
        "login" => 1,
        "createAgent" | "createAccessKey" | "createResource" => 2,
        "unregister" => 4,
        "logout" => 5,
        _ => 3,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_examples_are_accepted_as_they_stand() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "other").await;
    let mut operations: Vec<_> = description().operations().into_iter().collect();
    operations.sort_by_key(|(_, operation)| turn(operation));
    let erased = tenure.account(&admin, "erased").await;
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", erased.id)).await.ok();
    assert!(tenure.stack.settle().await);
    participants_answers::ask(&tenure, &erased.id, 1, &[("case-7", true), ("carrier", true)]).await;
    let mut ids = BTreeMap::from([("customers", account.id.clone()), ("erasures", erased.id)]);
    let mut sent = 0;
    for (route, operation) in &operations {
        let (method, path) = route.split_once(' ').unwrap();
        let collection = path.split('/').nth(2).unwrap_or_default();
        let id = ids.get(collection).map_or("", String::as_str);
        let address = path.replace("{kind}", "numbers").replace("{id}", id);
        let address = address.replace("{name}", "case-7");
        for example in request_examples(operation) {
            let token = match path {
                "/auth/login"
                | "/auth/signup"
                | "/auth/password-forgot"
                | "/auth/password-reset"
                | "/auth/email-verify"
                | "/auth/email-verify/resend"
                | "/auth/unregister-link"
                | "/auth/unregister-by-link" => None,
                "/auth/logout" => Some(admin.clone()),
                "/v1.0/agents/{id}/password" => {
                    Some(tenure.login("ann", "annes own password").await)
                }
                _ if ["customers", "erasures", "participants"].contains(&collection) => {
                    Some(admin.clone())
                }
                _ => Some(tenure.login("test1", "ee5f3d14-5ac6-11ed-808e-6f7d676a444b").await),
            };
            let mut example = example;
            if path == "/auth/email-verify" {
                example["token"] = tenure.mailed_token("ann@example.com").await.into();
            }
            if path == "/auth/unregister-by-link" {
                tenure.verified(&admin, "locked-out").await;
                let email = json!({"email": "locked-out@example.com"});
                tenure.ask("/auth/unregister-link", email).await.ok();
                example["token"] = tenure.mailed_token("locked-out@example.com").await.into();
            }
            if path == "/auth/password-reset" {
                let invited = json!({"username": "invited@example.com"});
                tenure.call_with(&admin, "POST", "/v1.0/customers", invited).await.ok();
                example["token"] = tenure.mailed_token("invited@example.com").await.into();
            }
            let call = tenure.request(method, &address).json(&example);
            let call = token.iter().fold(call, |call, token| call.bearer(token));
            let answer = tenure.send(call).await;
            assert_eq!(answer.status, 200, "{route} {example}: {}", answer.text);
            if turn(operation) == 2 {
                ids.insert(collection, answer.body["id"].as_str().unwrap().to_owned());
            }
            sent += 1;
        }
    }
    assert!(sent >= 20, "{sent}");
}

/// Returns the headers of the response to a request that fails with `error`.
fn error_headers(error: &Error) -> http::HeaderMap {
    let mut headers = Reply::error(error, "x").into_response("x", false, &[]).headers().clone();
    headers.insert("apigw-requestid", "y".parse().unwrap());
    headers
}

/// Returns the headers that all responses with this status have.
fn headers(status: u16) -> http::HeaderMap {
    let error = if status == 401 { Error::InvalidCredentials } else { Error::InvalidId };
    let mut headers = error_headers(&error);
    if status == 200 {
        headers.insert("etag", "\"00000000000000000000000000000000\"".parse().unwrap());
    }
    headers
}

/// The check of responses that all tests rely on does find deviations from the description.
#[test]
fn undocumented_answers_are_detected() {
    let description = description();
    let agent = json!({
        "id": "5e4a0680-804e-11ec-8477-2fea5968d85b",
        "customer_id": "5e4a0680-804e-11ec-8477-2fea5968d85b",
        "username": "ann",
        "name": "",
        "detail": "",
        "permission": 48,
        "tm_create": "2024-03-10T15:57:08.1Z",
        "tm_update": "2024-03-10T15:57:08Z",
        "tm_delete": null,
    });
    let route = "GET /v1.0/agents/{id}";
    let check = |status, body: &Value| {
        description.check(route, status, &headers(status), &body.to_string())
    };
    assert_eq!(check(200, &agent), Ok(()));
    for (field, value) in [
        ("surprise", json!(1)),
        ("id", json!("5E4A0680-804E-11EC-8477-2FEA5968D85B")),
        ("id", json!("00000000-0000-0000-0000-000000000000")),
        ("permission", json!(2)),
        ("permission", json!("48")),
        ("name", json!("a\u{0}")),
        ("name", json!(null)),
        ("username", json!("")),
        ("tm_create", json!("2024-03-10T15:57:08.10Z")),
        ("tm_create", json!("2024-03-10T15:57:08+00:00")),
        ("tm_create", json!("2024-13-10T15:57:08Z")),
        ("tm_create", json!(null)),
    ] {
        let mut agent = agent.clone();
        agent[field] = value;
        assert!(check(200, &agent).is_err(), "{agent}");
    }
    let mut incomplete = agent.clone();
    incomplete.as_object_mut().unwrap().remove("tm_delete");
    assert!(check(200, &incomplete).is_err());

    let error = |reason: &str| json!({"error": {"status": "NOT_FOUND", "reason": reason, "message": "m", "request_id": "x"}});
    assert_eq!(check(404, &error("AGENT_NOT_FOUND")), Ok(()));
    assert!(check(404, &error("ACCESSKEY_NOT_FOUND")).is_err(), "another operation's reason");
    assert!(check(404, &json!({"message": "Not Found"})).is_err());
    assert_eq!(check(503, &json!({"message": "Service Unavailable"})), Ok(()));
    assert!(check(409, &error("AGENT_NOT_FOUND")).is_err(), "a status that it does not have");
    assert!(
        description.check("GET /v1.0/x/y/z", 404, &headers(404), &error("X").to_string()).is_err()
    );

    for name in ["x-request-id", "cache-control", "content-type", "etag"] {
        let mut headers = headers(200);
        headers.remove(name);
        assert!(
            description.check(route, 200, &headers, &agent.to_string()).is_err(),
            "without {name}"
        );
    }
    for (name, value) in
        [("cache-control", "public"), ("x-surprise", "1"), ("content-type", "text/html")]
    {
        let mut headers = headers(200);
        headers.insert(name, value.parse().unwrap());
        assert!(
            description.check(route, 200, &headers, &agent.to_string()).is_err(),
            "{name}: {value}"
        );
    }
}

#[test]
fn literal_route_wins_over_parameter() {
    let routes: Vec<String> = description().operations().into_keys().collect();
    for (method, path, route) in [
        ("GET", "/v1.0/customers", "GET /v1.0/customers"),
        ("GET", "/v1.0/numbers", "GET /v1.0/{kind}"),
        ("GET", "/v1.0/agents/x", "GET /v1.0/agents/{id}"),
        ("GET", "/v1.0/numbers/x", "GET /v1.0/{kind}/{id}"),
        ("DELETE", "/v1.0/customers", "$default"),
        ("GET", "/v1.0/numbers/", "$default"),
    ] {
        assert_eq!(route_of(&routes, method, path), route);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stack_serves_the_description_and_self_contained_docs() {
    let tenure = Tenure::start().await;
    let get = async |path: &str| {
        let answer = tenure.send(tenure.request("GET", path)).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        answer
    };
    assert_eq!(get("/openapi.json").await.body, *description().document());
    assert!(get("/openapi.yaml").await.text.starts_with("openapi: 3.1.0"));
    let page = get("/docs").await;
    let linked: Vec<_> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|attribute| page.text.split(attribute).skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        .filter(|link| *link != "data:,")
        .collect();
    assert_eq!(linked.len(), 3, "{}", page.text);
    for link in linked {
        assert!(link.starts_with("/docs/"), "{link}");
        assert!(!get(link).await.text.is_empty());
    }
}
