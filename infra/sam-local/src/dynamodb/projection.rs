//! Refuses queries and scans that name attributes missing from their index.
//!
//! `DynamoDB` refuses such requests; the embedded emulator returns the items without these attributes. The
//! error messages are `DynamoDB`'s.

use dynoxide::DynoxideError;
use serde_json::Value;

use super::request::Request;
use crate::template;

/// Keywords of a filter expression, to tell them from attributes. Functions are recognised by their parenthesis.
const KEYWORDS: [&str; 5] = ["AND", "OR", "NOT", "BETWEEN", "IN"];

/// Fails if a request names attributes that its index does not project: in the projection, for a query or scan
/// of a global secondary index; in the filter, for a query of any secondary index.
pub(super) fn check(request: &Request<'_>) -> Result<(), DynoxideError> {
    let Some(index) = Index::of(request) else { return Ok(()) };
    let body = request.body;
    let mut projected = attributes(&body["ProjectionExpression"], body);
    let named = body["AttributesToGet"].as_array().into_iter().flatten();
    projected.extend(named.filter_map(|name| name.as_str().map(str::to_owned)));
    let missing = index.missing(projected);
    // A query of a local index fetches attributes that the index lacks from the table.
    if index.is_global && !missing.is_empty() {
        let name = index.name;
        return Err(invalid(format!("Global secondary index {name} does not project [{missing}]")));
    }
    let missing = index.missing(attributes(&body["FilterExpression"], body));
    if request.operation == "Query" && !missing.is_empty() {
        let name = index.name;
        return Err(invalid(format!(
            "Secondary index {name} does not project one or more filter attributes: [{missing}]"
        )));
    }
    Ok(())
}

fn invalid(message: String) -> DynoxideError {
    DynoxideError::ValidationException(format!(
        "One or more parameter values were invalid: {message}"
    ))
}

/// A secondary index that does not project every attribute.
struct Index<'a> {
    name: &'a str,
    is_global: bool,
    projected: Vec<&'a str>,
}

impl<'a> Index<'a> {
    /// Returns the index that a query or scan reads; `None` if it reads a table, or an index that projects every
    /// attribute.
    fn of(request: &Request<'a>) -> Option<Self> {
        if !matches!(request.operation, "Query" | "Scan") {
            return None;
        }
        let (table, name) = (request.table()?, request.body["IndexName"].as_str()?);
        let (index, is_global) = table.index(name)?;
        let projection = &index["Projection"];
        if projection["ProjectionType"] == "ALL" {
            return None;
        }
        let others = projection["NonKeyAttributes"].as_array().into_iter().flatten();
        let keys = template::key_names(&table.request).chain(template::key_names(index));
        let projected = keys.chain(others.filter_map(Value::as_str)).collect();
        Some(Self { name, is_global, projected })
    }

    /// Returns the given attributes that the index does not project, separated by commas.
    fn missing(&self, attributes: Vec<String>) -> String {
        let mut missing = attributes;
        missing.retain(|name| !self.projected.contains(&name.as_str()));
        missing.dedup();
        missing.join(", ")
    }
}

/// Returns the top-level attributes that an expression names.
fn attributes(expression: &Value, request: &Value) -> Vec<String> {
    let text = expression.as_str().unwrap_or_default();
    let is_word = |c: char| c.is_alphanumeric() || "_#:.-$[]".contains(c);
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let word = &rest[start..];
        let (word, after) = word.split_at(word.find(|c| !is_word(c)).unwrap_or(word.len()));
        let is_function = after.trim_start().starts_with('(') && !word.eq_ignore_ascii_case("IN");
        let is_keyword = KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword));
        if !is_function && !is_keyword && !word.starts_with(':') {
            let root = word.split(['.', '[']).next().unwrap_or_default();
            let name = request["ExpressionAttributeNames"][root].as_str().unwrap_or(root);
            names.push(name.to_owned());
        }
        rest = after;
    }
    names
}
