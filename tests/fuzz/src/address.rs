use pure::domain::Username;
use pure::domain::value::{Email, EmailViolation, FromText, Name};

/// Checks a text as an e-mail address, as a user name, and as a name: an accepted text is within the limits and, parsed
/// again, gives the same value.
pub fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Email::from_text(text) {
        Ok(email) => check_email(&email, text),
        Err(rule) => assert!(!rule.to_string().is_empty()),
    }
    if let Ok(name) = Username::from_text(text) {
        assert!((1..=255).contains(&name.expose().len()));
        let again = Username::from_text(name.expose()).unwrap();
        assert_eq!(again.expose(), name.expose());
        assert_eq!((again.login_key(), again.digest()), (name.login_key(), name.digest()));
        if let Some(address) = name.address() {
            assert!(address.canonical().is_some());
        }
    }
    if let Ok(name) = Name::from_text(text) {
        assert!(name.expose().chars().count() <= 255);
        assert!(Name::from_text(name.expose()).is_ok_and(|again| again == name));
    }
}

/// Checks that an address is kept as it was given, and that all of its spellings share one canonical form, which is an
/// address itself.
pub(crate) fn check_email(email: &Email, text: &str) {
    assert_eq!(email.expose(), text);
    assert_eq!(format!("{email:?}"), "Email(…)");
    let Some(canonical) = email.canonical() else {
        return assert!(text.is_empty() || text == "[email protected]");
    };
    let (local, domain) = canonical.split_once('@').unwrap();
    assert!(!local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    match Email::from_text(&canonical) {
        Ok(again) => {
            assert_eq!(again.canonical(), Some(canonical));
            assert!(again.is_same_mailbox(email) && again.hash() == email.hash());
        }
        // Folded, or shown in its own script, it may be longer than an address can be.
        Err(rule) => assert_eq!(rule, EmailViolation::TooLong, "{canonical}"),
    }
}
