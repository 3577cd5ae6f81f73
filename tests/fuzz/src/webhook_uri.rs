use http::Uri;
use pure::domain::value::{FromText, WebhookUri};
use pure::domain::webhook_target::{
    Loopback, MAX_BYTES, TargetPolicy, TargetViolation, WebhookTarget,
};

/// Checks a webhook URI, and the [`WebhookTarget`] that is parsed from it.
pub fn webhook_uri(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match WebhookUri::from_text(text) {
        Ok(uri) => assert_eq!(uri.expose(), text),
        Err(rule) => assert!(!rule.to_string().is_empty()),
    }
    for loopback in [Loopback::Refused, Loopback::Allowed] {
        if let Ok(target) = WebhookTarget::parse(text, loopback) {
            check_target(text, &target, loopback);
        }
    }
}

/// Checks that a target is on the public internet or, if `loopback` allows it, on this machine. Also checks
/// that our parser and the HTTP client that sends the request take the same host from it.
fn check_target(text: &str, target: &WebhookTarget, loopback: Loopback) {
    assert!(text.is_ascii() && text.len() <= MAX_BYTES);
    match WebhookTarget::parse(target.expose(), loopback) {
        Ok(again) => {
            assert_eq!((again.expose(), again.host()), (target.expose(), target.host()));
        }
        // The URL Standard escapes characters when it serialises a URI, so the result may exceed the limit.
        Err(rule) => assert_eq!(rule, TargetViolation::TooLong, "{text}"),
    }
    if let Ok(uri) = text.parse::<Uri>() {
        assert!(uri.host().is_some_and(|host| host.eq_ignore_ascii_case(target.host())), "{text}");
    }
    assert!(target.path().starts_with('/'));
    let addresses = target.addresses().unwrap_or_default();
    assert!(addresses.iter().all(|address| target.admits(*address)));
    if target.is_loopback() {
        assert_eq!(loopback, Loopback::Allowed);
        return assert!(addresses.iter().all(std::net::IpAddr::is_loopback));
    }
    assert!(target.expose().starts_with("https://") && target.port() == 443);
    assert!(!addresses.iter().any(std::net::IpAddr::is_loopback));
    let own = TargetPolicy::new(loopback, [target.host().to_owned()]);
    assert!(own.target(text).is_err(), "the API's own host");
}
