//! The first project admin, made by the function that makes it in a deployment.

use std::sync::Arc;

use serde_json::json;

use crate::{Error, lambda::Lambda};

const FUNCTION: &str = "AdminBootstrapFunction";

/// Whom to log in as.
pub(crate) const USERNAME: &str = "admin@localhost";
/// And with what.
pub(crate) const PASSWORD: &str = "local-admin-password";

/// Makes the admin; the function leaves alone one that is there. False if the template has no such
/// function.
pub(crate) async fn run(lambda: &Arc<Lambda>) -> Result<bool, Error> {
    if !lambda.has(FUNCTION) {
        return Ok(false);
    }
    let payload = json!({"username": USERNAME, "password": PASSWORD}).to_string();
    match lambda.invoke(FUNCTION, payload.into()).await {
        Ok(_) => Ok(true),
        Err(failure) => {
            let payload = failure.payload();
            let why = payload["errorMessage"].as_str().unwrap_or_default();
            Err(Error::new(format!("{FUNCTION} could not create the first admin: {why}")))
        }
    }
}
