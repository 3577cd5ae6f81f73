//! The first project admin of a local stack, created by the same function as in a deployment.

use sam_local::Invocation;
use serde_json::json;

/// Username of the first project admin.
pub const USERNAME: &str = "admin@localhost";

/// Password of the first project admin.
pub const PASSWORD: &str = "local-admin-password";

/// Returns the invocation that creates the first project admin. It changes nothing if the admin exists.
pub(crate) fn invocation() -> Invocation {
    Invocation {
        function: "AdminBootstrapFunction".to_owned(),
        payload: json!({"username": USERNAME, "password": PASSWORD}),
    }
}
