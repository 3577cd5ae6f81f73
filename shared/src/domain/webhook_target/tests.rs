use proptest::prelude::*;

use super::*;

/// Returns a list of URIs by its name: those of `hostile` must be refused, those of any other list accepted.
fn list(name: &str) -> Vec<String> {
    let text = match name {
        "hostile" => include_str!("../../../../tests/data/webhook_uris_hostile.json"),
        _ => include_str!("../../../../tests/data/webhook_uris_good.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn public(text: &str) -> Option<WebhookTarget> {
    WebhookTarget::parse(text, Loopback::Refused).ok()
}

#[test]
fn hostile_uris_are_no_targets() {
    let hostile = list("hostile");
    assert!(hostile.len() >= 300, "{}", hostile.len());
    let accepted: Vec<_> = hostile.iter().filter(|uri| public(uri).is_some()).collect();
    assert!(accepted.is_empty(), "{accepted:#?}");
}

#[test]
fn the_rule_that_failed_is_named() {
    use TargetViolation::{
        Characters, Fragment, HostName, HostNotPublic, HostSpelling, NoUrl, Port, Scheme, TooLong,
        UserInfo,
    };
    let long = format!("https://example.com/{}", "a".repeat(MAX_BYTES));
    for (uri, rule) in [
        (long.as_str(), TooLong),
        ("https://example.com/a b", Characters),
        ("https://bücher.example/", Characters),
        ("https:\\\\example.com", Characters),
        ("https://example.com/#a", Fragment),
        ("example.com", NoUrl),
        ("https://", NoUrl),
        ("http://example.com/", Scheme),
        ("ftp://example.com/", Scheme),
        ("https://example.com:8443/", Port),
        ("https://user:secret@example.com/", UserInfo),
        ("https://user@example.com/", UserInfo),
        ("https://:secret@example.com/", UserInfo),
        ("https:example.com", NoUrl),
        ("https://0x7f.1/", HostSpelling),
        ("https://example.com./", HostName),
        ("https://ex_ample.com/", HostName),
        ("https://-example.com/", HostName),
        ("https://localhost/", HostNotPublic),
        ("https://10.0.0.1/", HostNotPublic),
        ("https://intranet/", HostNotPublic),
    ] {
        let refused = WebhookTarget::parse(uri, Loopback::Refused);
        assert_eq!(refused.err(), Some(rule), "{uri}");
    }
    // The local stack allows more, and refuses these by the same rule.
    for uri in ["http://example.com/", "http://10.0.0.1/"] {
        let refused = WebhookTarget::parse(uri, Loopback::Allowed);
        assert_eq!(refused.err(), Some(Scheme), "{uri}");
    }
}

#[test]
fn the_apis_own_hosts_are_no_targets() {
    let policy = TargetPolicy::new(Loopback::Allowed, ["API.example.com".to_owned()]);
    let reached = policy.reached_at("api.example.org");
    for (policy, uri, is_own) in [
        (&policy, "https://api.example.com/hook", true),
        (&policy, "https://api.example.org/", false),
        (&reached, "https://api.example.com/", true),
        (&reached, "https://API.example.org/", true),
        (&reached, "https://hooks.example.com/", false),
        (&reached.reached_at("localhost"), "http://localhost:8080/", false),
    ] {
        let refused = policy.target(uri).err();
        assert_eq!(refused, is_own.then_some(TargetViolation::OwnHost), "{uri}");
    }
}

#[test]
fn good_uris_are_targets() {
    let good = list("good");
    assert!(good.len() >= 40, "{}", good.len());
    for uri in good {
        let target = public(&uri).unwrap_or_else(|| panic!("{uri}"));
        assert_eq!((target.port(), target.is_loopback()), (443, false), "{uri}");
    }
}

#[test]
fn the_local_stack_adds_loopback_and_nothing_else() {
    let allowed = |text: &str| WebhookTarget::parse(text, Loopback::Allowed).is_ok();
    for uri in [
        "http://127.0.0.1:8080/hook?a=b",
        "http://127.0.0.1/",
        "http://[::1]:9000/",
        "http://localhost:1/",
        "HTTP://LOCALHOST:65535",
    ] {
        assert!(allowed(uri), "{uri}");
        assert_eq!(public(uri), None, "{uri}");
    }
    for uri in [
        "https://127.0.0.1/",
        "https://localhost/",
        "http://127.0.0.1:0/",
        "http://127.0.0.2:8080/",
        "http://127.1:8080/",
        "http://2130706433:8080/",
        "http://0.0.0.0:8080/",
        "http://[::]:8080/",
        "http://[::ffff:127.0.0.1]:8080/",
        "http://localhost.:8080/",
        "http://a.localhost:8080/",
        "http://user@localhost:8080/",
        "http://example.com/",
        "http://8.8.8.8:8080/",
        "http://169.254.169.254/",
        "http://10.0.0.1:8080/",
        "ftp://127.0.0.1/",
    ] {
        assert!(!allowed(uri), "{uri}");
    }
    let more = |uri: &&String| allowed(uri);
    let own = |uri: &&String| {
        let rest = uri.to_ascii_lowercase();
        ["http://127.0.0.1", "http://localhost", "http://[::1]"]
            .iter()
            .any(|own| rest.starts_with(own))
    };
    let hostile = list("hostile");
    let others: Vec<_> = hostile.iter().filter(more).filter(|uri| !own(uri)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn a_target_is_where_it_says() {
    let target = public("https://Hooks.Example.com:443/a/../b%20c?x=/y").unwrap();
    assert_eq!(target.host(), "hooks.example.com");
    assert_eq!(target.authority(), "hooks.example.com");
    assert_eq!(target.path(), "/b%20c?x=/y");
    assert_eq!(target.addresses(), None);
    assert!(target.admits("8.8.8.8".parse().unwrap()));
    assert!(!target.admits("127.0.0.1".parse().unwrap()));

    let target = public("https://[2606:4700:4700::1111]").unwrap();
    assert_eq!(target.authority(), "[2606:4700:4700::1111]");
    assert_eq!(target.path(), "/");
    assert_eq!(target.addresses().unwrap(), ["2606:4700:4700::1111".parse::<IpAddr>().unwrap()]);

    let target = WebhookTarget::parse("http://localhost:8080/", Loopback::Allowed).unwrap();
    assert_eq!(target.authority(), "localhost:8080");
    assert_eq!(target.port(), 8080);
    for address in target.addresses().unwrap() {
        assert!(target.admits(address) && address.is_loopback());
    }
    assert!(!target.admits("8.8.8.8".parse().unwrap()));
    assert!(!target.admits("127.0.0.2".parse().unwrap()));
}

#[test]
fn length_is_limited() {
    let of = |length: usize| {
        let start = "https://example.com/";
        format!("{start}{}", "a".repeat(length - start.len()))
    };
    assert!(public(&of(MAX_BYTES)).is_some());
    assert!(public(&of(MAX_BYTES + 1)).is_none());
    let label = "a".repeat(63);
    assert!(public(&format!("https://{label}.example.com/")).is_some());
    assert!(public(&format!("https://{label}a.example.com/")).is_none());
    let name = [label.as_str(); 4].join(".");
    assert!(public(&format!("https://{name}.com/")).is_none());
}

#[test]
fn debug_shows_no_path() {
    let target = public("https://example.com/secret").unwrap();
    assert!(!format!("{target:?}").contains("secret"));
}

/// Generates texts that look like a URL and contain what parsers often get wrong.
fn url_like() -> impl Strategy<Value = String> {
    let scheme =
        prop_oneof!["https://", "http://", "HTTPS:", "https:/", "https:\\\\\\\\", "[a-z]{1,5}://"];
    let host = prop_oneof![
        "[a-z0-9.-]{0,20}",
        "[a-z]{1,8}\\.(com|local|test|xn--p1ai|internal|arpa)\\.?",
        "(0x|0)?[0-9a-f]{1,10}(\\.(0x|0)?[0-9a-f]{1,3}){0,3}",
        "\\[[0-9a-f:.]{0,30}\\]",
        "\\PC{0,10}",
    ];
    let rest =
        prop_oneof!["", "(:[0-9]{0,6})?[/?#]\\PC{0,20}", "@[a-z.]{1,10}", ":443(/[!-~]{0,20})?"];
    (scheme, host, rest).prop_map(|(scheme, host, rest)| format!("{scheme}{host}{rest}"))
}

fn good_url() -> impl Strategy<Value = String> {
    let name = "([a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?\\.){1,3}(com|org|example)";
    (name, "(:443)?", "(/[!-~&&[^#\\\\]]{0,40})?")
        .prop_map(|(name, port, path)| format!("https://{name}{port}{path}"))
        .prop_filter("what follows must be Punycode", |url| !url.contains("xn--"))
}

proptest! {
    #[test]
    fn any_text_is_judged(text in "\\PC*", bytes in proptest::collection::vec(any::<char>(), 0..40)) {
        public(&text);
        public(&bytes.into_iter().collect::<String>());
    }

    #[test]
    fn what_is_accepted_is_one_target_in_one_form(
        text in prop_oneof![url_like(), good_url()],
        loopback in prop_oneof![Just(Loopback::Refused), Just(Loopback::Allowed)],
    ) {
        if let Ok(target) = WebhookTarget::parse(&text, loopback) {
            // The text as it was set, the text parsed again at delivery, and its normal form: all are the same target.
            prop_assert_eq!(WebhookTarget::parse(&text, loopback), Ok(target.clone()));
            prop_assert_eq!(WebhookTarget::parse(target.expose(), loopback), Ok(target.clone()));
            prop_assert!(target.expose().contains(target.authority()));
            for address in target.addresses().unwrap_or_default() {
                prop_assert!(target.admits(address));
            }
            if !target.is_loopback() {
                prop_assert_eq!(target.port(), 443);
                prop_assert_eq!(WebhookTarget::parse(&text, Loopback::Refused), Ok(target));
            }
        }
    }

    #[test]
    fn plain_urls_are_accepted(text in good_url()) {
        prop_assert!(public(&text).is_some(), "{}", text);
    }
}
