//! The request body with which the test suites `api` and `proof` create a customer.

use serde_json::{Value, json};

/// Returns the body of a request that creates a customer, with every field filled. Values contain the user name where
/// the field's format allows it.
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
