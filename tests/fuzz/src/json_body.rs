use pure::domain::customer::Profile;
use pure::domain::data::MAX_DATA;
use pure::domain::value::{Detail, FromText, Name, NewPassword, WebhookUri, deserialize_present};
use pure::domain::webhook_target::{Loopback, TargetPolicy};
use pure::domain::{Customer, Data, Error, Id, Timestamp, Username};
use pure::http::view::CustomerView;
use serde::Deserialize;

use crate::{refusal, request};

/// The first admin's fields in the body of `customer_create`. The body's other fields are the account's
/// profile.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Admin {
    username: Username,
    #[serde(default, deserialize_with = "deserialize_present")]
    password: Option<NewPassword>,
}

/// The request that creates a resource: the body of `resource_create`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    #[serde(default)]
    name: Name,
    #[serde(default)]
    detail: Detail,
    #[serde(default)]
    data: Data,
}

/// Checks the body of a request that creates an account, updates one, or creates a resource.
pub fn json_body(body: &[u8]) {
    let request = request::with_body(body);
    match request.json_both::<Admin, Profile>() {
        Ok((admin, profile)) => {
            check_round_trip(&admin.username, Username::expose);
            assert!(admin.password.is_none_or(|one| format!("{one:?}") == "NewPassword(…)"));
            check_profile(profile);
        }
        Err(error) => check_refusal(&error, body),
    }
    match request.json::<Profile>() {
        Ok(profile) => check_profile(profile),
        Err(error) => check_refusal(&error, body),
    }
    match request.json::<Resource>() {
        Ok(resource) => {
            assert!(resource.name.expose().chars().count() <= 255);
            assert!(resource.detail.expose().chars().count() <= 2_000);
            let data = resource.data.expose();
            assert!(data.len() <= MAX_DATA);
            assert!(serde_json::from_str::<Data>(data).is_ok_and(|again| again.expose() == data));
        }
        Err(error) => check_refusal(&error, body),
    }
}

/// Checks that an update accepts an account as `GET` shows it, and changes nothing.
fn check_profile(profile: Profile) {
    let policy = TargetPolicy::new(Loopback::Allowed, ["own.example".to_owned()]);
    if let Err(error) = profile.admit(&policy) {
        refusal::check_field(&error, &["webhook_uri"]);
    }
    check_round_trip(
        profile.webhook_uri.as_ref().unwrap_or(&WebhookUri::default()),
        WebhookUri::expose,
    );
    let now = Timestamp::from_micros(1_000_000).unwrap();
    let customer = Customer::blank(Id::new(now, [1; 10]), now).with(profile);
    let shown = CustomerView::from(&customer);
    let sent = serde_json::to_vec(&shown).unwrap();
    let again: Profile = request::with_body(&sent).json_over(&shown).unwrap();
    let after = customer.clone().with(again);
    let again = serde_json::to_vec(&CustomerView::from(&after)).unwrap();
    assert_eq!(String::from_utf8(sent), String::from_utf8(again));
}

/// Checks that the text of a value is accepted again, and gives the same value.
fn check_round_trip<T: FromText + PartialEq>(value: &T, expose: fn(&T) -> &str) {
    assert!(T::from_text(expose(value)).is_ok_and(|again| again == *value));
}

/// Checks that a refusal names a field only if the body is an object.
fn check_refusal(error: &Error, body: &[u8]) {
    let field = refusal::check(error);
    if let Error::InvalidField(..) = error {
        assert!(!field.is_empty() && field.chars().count() <= 64, "{field}");
        assert_eq!(body.trim_ascii_start().first(), Some(&b'{'));
    }
}
