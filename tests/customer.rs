//! The customer that both suites create.

use serde_json::{Value, json};

/// A creation's body with every field filled, each by something that the user name is part of.
pub(crate) fn new_customer(username: &str, password: &str) -> Value {
    json!({
        "username": username,
        "password": password,
        "name": format!("Name of {username}"),
        "detail": format!("Detail of {username}"),
        "email": format!("{username}@example.com"),
        "phone_number": format!("Phone of {username}"),
        "address": format!("Address of {username}"),
        "webhook_method": "POST",
        "webhook_uri": format!("https://example.com/{username}"),
    })
}
