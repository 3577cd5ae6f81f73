use pure::domain::customer::Profile;
use pure::domain::data::MAX_DATA;
use pure::domain::value::{Detail, FromText, Name, NewPassword, WebhookUri, deserialize_present};
use pure::domain::webhook_target::{Loopback, TargetPolicy};
use pure::domain::{Customer, Data, Error, Id, Timestamp, Username};
use pure::http::view::CustomerView;
use serde::Deserialize;

use crate::{refusal, request};

/// The first admin, as who creates an account sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Admin {
    username: Username,
    #[serde(default, deserialize_with = "deserialize_present")]
    password: Option<NewPassword>,
}

/// A resource, as who creates one sends it.
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

/// The body of a request: of an account, of an update, of a resource.
pub fn json_body(body: &[u8]) {
    let request = request::with_body(body);
    match request.json_both::<Admin, Profile>() {
        Ok((admin, profile)) => {
            same(&admin.username, Username::expose);
            assert!(admin.password.is_none_or(|one| format!("{one:?}") == "NewPassword(…)"));
            is_accepted_as_shown(profile);
        }
        Err(error) => is_refused(&error, body),
    }
    match request.json::<Profile>() {
        Ok(profile) => is_accepted_as_shown(profile),
        Err(error) => is_refused(&error, body),
    }
    match request.json::<Resource>() {
        Ok(resource) => {
            assert!(resource.name.expose().chars().count() <= 255);
            assert!(resource.detail.expose().chars().count() <= 2_000);
            let data = resource.data.expose();
            assert!(data.len() <= MAX_DATA);
            assert!(serde_json::from_str::<Data>(data).is_ok_and(|again| again.expose() == data));
        }
        Err(error) => is_refused(&error, body),
    }
}

/// What `GET` shows of an account can be sent back, and changes nothing.
fn is_accepted_as_shown(profile: Profile) {
    let policy = TargetPolicy::new(Loopback::Allowed, ["own.example".to_owned()]);
    if let Err(error) = profile.admit(&policy) {
        refusal::names(&error, &["webhook_uri"]);
    }
    same(profile.webhook_uri.as_ref().unwrap_or(&WebhookUri::default()), WebhookUri::expose);
    let now = Timestamp::from_micros(1_000_000).unwrap();
    let customer = Customer::blank(Id::new(now, [1; 10]), now).with(profile);
    let shown = CustomerView::from(&customer);
    let sent = serde_json::to_vec(&shown).unwrap();
    let again: Profile = request::with_body(&sent).json_over(&shown).unwrap();
    let after = customer.clone().with(again);
    let again = serde_json::to_vec(&CustomerView::from(&after)).unwrap();
    assert_eq!(String::from_utf8(sent), String::from_utf8(again));
}

/// A value that was accepted is accepted again, as it is kept.
fn same<T: FromText + PartialEq>(value: &T, expose: fn(&T) -> &str) {
    assert!(T::from_text(expose(value)).is_ok_and(|again| again == *value));
}

fn is_refused(error: &Error, body: &[u8]) {
    let field = refusal::check(error);
    if let Error::InvalidField(..) = error {
        assert!(!field.is_empty() && field.chars().count() <= 64, "{field}");
        assert_eq!(body.trim_ascii_start().first(), Some(&b'{'));
    }
}
