//! The description of the API: `/openapi.json` and `/openapi.yaml` for programs, `/docs` for people.

use std::sync::LazyLock;

use axum::{
    Json, Router,
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use sam_local::yaml;
use serde_json::Value;

/// Policy of the page `/docs`: it runs only scripts of this stack, connects only to this stack, and cannot be embedded
/// in another page. Swagger UI needs inline styles and `data:` images.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// The description of the API in JSON, parsed when it is first needed: most stacks never show it.
static DOCUMENT: LazyLock<Result<Value, String>> = LazyLock::new(|| {
    yaml::parse(include_str!("../../openapi.yaml")).map_err(|why| format!("openapi.yaml: {why}"))
});

/// Returns the description of the API in JSON.
pub(crate) fn document() -> Result<&'static Value, &'static String> {
    DOCUMENT.as_ref()
}

/// Returns the routes of the description and of the page that shows it.
pub(crate) fn router() -> Router {
    let script = |text: &'static str| get(async move || file("text/javascript", text));
    Router::new()
        .route("/openapi.json", get(async || json()))
        // The page shows operations, fields and examples in the order of the YAML, which the JSON does not keep.
        .route(
            "/openapi.yaml",
            get(async || file("application/yaml", include_str!("../../openapi.yaml"))),
        )
        .route("/docs", get(async || (HEADERS, Html(include_str!("../../docs/index.html")))))
        .route("/docs/start.js", script(include_str!("../../docs/start.js")))
        .route(
            "/docs/swagger-ui-bundle.js",
            script(include_str!("../../docs/swagger-ui/swagger-ui-bundle.js")),
        )
        .route(
            "/docs/swagger-ui.css",
            get(async || file("text/css", include_str!("../../docs/swagger-ui/swagger-ui.css"))),
        )
}

fn json() -> Response {
    match document() {
        Ok(description) => (HEADERS, Json(description)).into_response(),
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why.as_str()).into_response(),
    }
}

fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    (HEADERS, [(header::CONTENT_TYPE, content_type)], text)
}
