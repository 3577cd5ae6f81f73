//! Reads tables, keys, event rules and schedules.

use serde_json::{Map, json};

use super::{
    model::{Key, Rule, Schedule, Table, Template},
    node::Node,
    pattern::Pattern,
    schedule::Expression,
    scope::{self, Scope},
};
use crate::error::Error;

/// Adds an `AWS::Events::Rule` to `template`: as a rule if it has an event pattern, otherwise as a schedule
/// for each target function.
pub(super) fn add_rule(
    template: &mut Template,
    id: &str,
    properties: &Node<'_>,
) -> Result<(), Error> {
    if is_disabled(properties)? {
        return Ok(());
    }
    let mut functions = Vec::new();
    for target in properties.require("Targets")?.items()? {
        target.refuse(&["Input", "InputPath", "InputTransformer"])?;
        functions.push(function_of(&target.require("Arn")?)?);
    }
    if let Some(pattern) = properties.get("EventPattern")? {
        template.rules.push(rule(id, properties, &pattern, functions)?);
    } else {
        for function in functions {
            template.schedules.push(schedule(id, &function, properties, "ScheduleExpression")?);
        }
    }
    Ok(())
}

/// Reads an `AWS::DynamoDB::Table`.
pub(super) fn table(scope: &Scope, id: &str, node: &Node<'_>) -> Result<Table, Error> {
    const COPIED: [&str; 5] = [
        "KeySchema",
        "AttributeDefinitions",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
        "BillingMode",
    ];
    let properties = node.require("Properties")?;
    let name = physical_id(scope, id)?;
    let mut request = Map::new();
    request.insert("TableName".into(), name.clone().into());
    for key in COPIED {
        if let Some(property) = properties.get(key)? {
            request.insert(key.into(), property.resolved()?);
        }
    }
    if let Some(stream) = properties.get("StreamSpecification")? {
        let view = stream.require("StreamViewType")?.text()?;
        let specification = json!({"StreamEnabled": true, "StreamViewType": view});
        request.insert("StreamSpecification".into(), specification);
    }
    let ttl = properties.get("TimeToLiveSpecification")?;
    let ttl_attribute = match ttl {
        Some(ttl) if ttl.flag_at("Enabled")? == Some(true) => {
            Some(ttl.require("AttributeName")?.text()?)
        }
        _ => None,
    };
    Ok(Table { id: id.to_owned(), name, request: request.into(), ttl_attribute })
}

/// Reads an `AWS::KMS::Key`.
pub(super) fn key(id: &str, properties: &Node<'_>) -> Result<Key, Error> {
    let spec = properties.text_at("KeySpec")?.unwrap_or_else(|| "SYMMETRIC_DEFAULT".into());
    let usage = properties.text_at("KeyUsage")?.unwrap_or_else(|| "ENCRYPT_DECRYPT".into());
    Ok(Key { id: id.to_owned(), spec, usage })
}

/// Returns the physical id (the name) of the resource with this logical id.
pub(super) fn physical_id(scope: &Scope, id: &str) -> Result<String, Error> {
    scope::text(&scope.resolve(&json!({"Ref": id}), id)?.unwrap_or_default(), id)
}

/// Reads a rule that sends the events that match `pattern` to `functions`.
pub(super) fn rule(
    id: &str,
    properties: &Node<'_>,
    pattern: &Node<'_>,
    functions: Vec<String>,
) -> Result<Rule, Error> {
    let bus = properties.text_at("EventBusName")?.unwrap_or_else(|| "default".into());
    let bus = bus.rsplit("event-bus/").next().unwrap_or_default().to_owned();
    let pattern = Pattern::parse(&pattern.resolved()?).map_err(|why| pattern.error(why))?;
    Ok(Rule { id: id.to_owned(), bus, pattern, functions })
}

/// Reads a schedule; `key` is the property with its expression.
pub(super) fn schedule(
    id: &str,
    function: &str,
    properties: &Node<'_>,
    key: &str,
) -> Result<Schedule, Error> {
    let node = properties.require(key)?;
    let expression = Expression::parse(&node.text()?).map_err(|why| node.error(why))?;
    let parse = |input: Node<'_>| {
        serde_json::from_str(&input.text()?).map_err(|_| input.error("expected JSON text"))
    };
    let input = properties.get("Input")?.map(parse).transpose()?;
    let (id, function) = (id.to_owned(), function.to_owned());
    Ok(Schedule { id, expression, function, input, scheduler: false })
}

/// Returns the logical id of the function whose ARN is at `node`.
fn function_of(node: &Node<'_>) -> Result<String, Error> {
    let arn = node.text()?;
    let id = arn.rsplit_once(":function:").map(|(_, id)| id.to_owned());
    id.ok_or_else(|| node.error("the local stack supports functions as targets only"))
}

/// Whether a rule or an event source is switched off.
pub(super) fn is_disabled(properties: &Node<'_>) -> Result<bool, Error> {
    Ok(properties.flag_at("Enabled")? == Some(false)
        || properties.text_at("State")?.as_deref() == Some("DISABLED"))
}
