mod boundaries;

use super::*;

#[test]
fn webhook_uri_at_loopback_must_be_allowed() {
    let own = WebhookUri::from_text("http://127.0.0.1:8080/hook").unwrap();
    assert!(own.admit(&TargetPolicy::new(Loopback::Allowed, [])).is_ok());
    let policy = TargetPolicy::default();
    let Err(Error::InvalidField(field, violation)) = own.admit(&policy) else {
        panic!("admitted");
    };
    assert_eq!(field, "webhook_uri");
    assert_eq!(violation.to_string(), "must begin with https://");

    for uri in ["", "https://example.com/"] {
        assert!(WebhookUri::from_text(uri).unwrap().admit(&policy).is_ok(), "{uri}");
    }
}

#[test]
fn null_for_text_is_told_how_to_clear_it() {
    let null = |error: serde_json::Error| error.to_string();
    let name = serde_json::from_str::<Name>("null").map_err(null).unwrap_err();
    assert!(name.contains("not null; \"\" clears it"), "{name}");
    let password = serde_json::from_str::<NewPassword>("null").map_err(null).unwrap_err();
    assert!(password.contains("not null at line"), "{password}");
    let at_login = serde_json::from_str::<Password>("null").map_err(null).unwrap_err();
    assert!(at_login.contains("not null at line"), "{at_login}");
}

/// The message for a JSON value that is not a string says what the text must be.
#[test]
fn every_type_says_what_its_text_must_be() {
    use crate::domain::Username;
    use crate::domain::find::NamePrefix;
    use crate::domain::mailed_token::PresentedToken;
    use crate::domain::participant::ParticipantName;
    use crate::domain::username::LoginKey;
    for (rule, word) in [
        (Name::rule(), "255 characters"),
        (Detail::rule(), "2000 characters"),
        (HoldReason::rule(), "1 to 500 characters"),
        (Email::rule(), "e-mail address"),
        (Password::rule(), "text"),
        (NewPassword::rule(), "8"),
        (Username::rule(), "255 bytes"),
        (LoginKey::rule(), "32 hexadecimal digits"),
        (NamePrefix::rule(), "beginning of a name"),
        (WebhookUri::rule(), "https URL"),
        (WebhookMethod::rule(), "POST, GET, PUT, DELETE"),
        (PresentedToken::rule(), "#token="),
        (ParticipantName::rule(), "participant"),
    ] {
        assert!(rule.contains(word), "{rule}");
    }
}

#[test]
fn every_violation_is_told_by_what_would_be_right() {
    use crate::domain::find::PrefixViolation;
    use crate::domain::username::UsernameViolation;
    for (told, words) in [
        (TextViolation::TooLong(7).to_string(), "at most 7 characters"),
        (TextViolation::Control('\u{1}').to_string(), "U+0001"),
        (TextViolation::Deceptive('\u{ad}', "a soft hyphen").to_string(), "a soft hyphen (U+00AD)"),
        (TextViolation::Blank.to_string(), "not blank"),
        (EmailViolation::TooLong.to_string(), "at most 254 bytes, and 64"),
        (EmailViolation::Bracketed.to_string(), "[email protected]"),
        (
            EmailViolation::Invisible('\u{ad}', "a soft hyphen").to_string(),
            "a soft hyphen (U+00AD)",
        ),
        (EmailViolation::LocalPart.to_string(), "before the @"),
        (EmailViolation::Domain.to_string(), "domain name behind the @"),
        (EmailViolation::NoAddress.to_string(), "name@example.com"),
        (PasswordViolation::TooShort.to_string(), "at least 8 characters"),
        (PasswordViolation::TooLong.to_string(), "at most 1024 bytes"),
        (PasswordViolation::Blank.to_string(), "spaces only"),
        (PasswordViolation::Common.to_string(), "most common passwords"),
        (UsernameViolation::Length.to_string(), "1 to 255 bytes"),
        (UsernameViolation::Space.to_string(), "no spaces"),
        (UsernameViolation::Characters.to_string(), "ASCII symbols"),
        (UsernameViolation::MixedScripts.to_string(), "one script"),
        (UsernameViolation::Marks.to_string(), "at most 4 combining marks"),
        (PrefixViolation::Length.to_string(), "1 to 64 characters"),
        (PrefixViolation::Name(TextViolation::TooLong(7)).to_string(), "at most 7"),
        (TargetViolation::TooLong.to_string(), "at most 1023 characters"),
        (TargetViolation::Fragment.to_string(), "fragment"),
        (TargetViolation::OwnHost.to_string(), "another host than this API"),
    ] {
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_method_is_read_by_its_name() {
    for method in WebhookMethod::ALL {
        assert_eq!(WebhookMethod::from_text(method.name()), Ok(method));
    }
    assert!(WebhookMethod::from_text("PATCH").is_err());
}

#[test]
fn only_a_text_that_may_be_empty_can_be_cleared() {
    assert!(Name::can_be_cleared() && WebhookUri::can_be_cleared());
    assert!(!HoldReason::can_be_cleared() && !NewPassword::can_be_cleared());
}

#[test]
fn a_webhook_uri_is_kept_as_it_was_given_and_leads_to_its_host() {
    let uri = WebhookUri::from_text("https://Hook.example:443/a").unwrap();
    assert_eq!((uri.expose(), uri.host().as_str()), ("https://Hook.example:443/a", "hook.example"));
    assert!(uri.target(&TargetPolicy::default()).is_some());
    assert_eq!(WebhookUri::default().host(), "");
    assert!(WebhookUri::default().target(&TargetPolicy::default()).is_none());
    assert_eq!(WebhookUri::from_text("http://127.0.0.1:8080/").unwrap().host(), "127.0.0.1:8080");
}
