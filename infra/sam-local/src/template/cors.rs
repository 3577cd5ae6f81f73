//! CORS configuration of the HTTP API.

use serde_json::Value;

use super::node::Node;
use crate::error::Error;

/// CORS configuration: the access that pages of other origins have to the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cors {
    /// Allowed origins; `*` allows every origin, `https://*` every origin with that scheme.
    pub(crate) origins: Vec<String>,
    pub(crate) methods: Vec<String>,
    /// Allowed request headers.
    pub(crate) headers: Vec<String>,
    /// Response headers that a page may read.
    pub(crate) exposed: Vec<String>,
    /// Number of seconds for which a browser may keep the answer to a preflight.
    pub(crate) max_age: Option<i64>,
    pub(crate) credentials: bool,
}

/// Reads the property `CorsConfiguration` of an API; `None` if there is none.
pub(super) fn read(properties: &Node<'_>) -> Result<Option<Cors>, Error> {
    let Some(configuration) = properties.get("CorsConfiguration")? else {
        return Ok(None);
    };
    if let Value::Bool(everything) = configuration.resolved()? {
        let all = || vec!["*".to_owned()];
        let open = Cors { origins: all(), methods: all(), headers: all(), ..Cors::default() };
        return Ok(everything.then_some(open));
    }
    // SAM writes `AllowOrigins`, OpenAPI `allowOrigins`; SAM takes both.
    let child = |name: &str| match configuration.get(name)? {
        Some(child) => Ok::<_, Error>(Some(child)),
        None => configuration.get(&lower_camel(name)),
    };
    let list = |name: &str| match child(name)? {
        Some(child) => strings(&child),
        None => Ok(Vec::new()),
    };
    let max_age = child("MaxAge")?;
    let max_age = max_age.map(|node| {
        node.text()?.parse().map_err(|_| node.error("expected a whole number of seconds"))
    });
    let credentials = child("AllowCredentials")?.map(|node| node.text()).transpose()?;
    Ok(Some(Cors {
        origins: list("AllowOrigins")?,
        methods: list("AllowMethods")?,
        headers: list("AllowHeaders")?,
        exposed: list("ExposeHeaders")?,
        max_age: max_age.transpose()?,
        credentials: credentials.as_deref() == Some("true"),
    }))
}

fn strings(node: &Node<'_>) -> Result<Vec<String>, Error> {
    serde_json::from_value(node.resolved()?).map_err(|_| node.error("expected a list of texts"))
}

fn lower_camel(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("{}{rest}", first.to_ascii_lowercase())
}
