//! Reads functions and their event sources.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{
    coverage,
    model::{Function, Route, StreamMapping, Template},
    node::Node,
    pattern::Pattern,
    policy::{self, Statement},
    resources::{is_disabled, rule, schedule},
};
use crate::error::Error;

/// Adds a function to `template`, together with the routes, rules, schedules and streams of its event
/// sources.
pub(super) fn add(template: &mut Template, id: &str, node: &Node<'_>) -> Result<(), Error> {
    let properties = node.require("Properties")?;
    template.functions.push(function(id, node, &properties)?);
    let Some(events) = properties.get("Events")? else {
        return Ok(());
    };
    for (name, event) in events.entries()? {
        add_event(template, id, &format!("{id}{name}"), &event)?;
    }
    Ok(())
}

fn add_event(
    template: &mut Template,
    function: &str,
    id: &str,
    event: &Node<'_>,
) -> Result<(), Error> {
    let kind = event.require("Type")?.text()?;
    template.unsupported.extend(coverage::of_source(&kind, event)?);
    if kind == "HttpApi" {
        template.routes.push(route(function, event)?);
        return Ok(());
    }
    let properties = event.require("Properties")?;
    if is_disabled(&properties)? {
        return Ok(());
    }
    match kind.as_str() {
        "Schedule" => {
            template.schedules.push(schedule(id, function, &properties, "Schedule")?);
        }
        "ScheduleV2" => {
            let mut schedule = schedule(id, function, &properties, "ScheduleExpression")?;
            schedule.scheduler = true;
            template.schedules.push(schedule);
        }
        "EventBridgeRule" | "CloudWatchEvent" => {
            properties.refuse(&["Input", "InputPath", "InputTransformer"])?;
            let pattern = properties.require("Pattern")?;
            let functions = vec![function.to_owned()];
            template.rules.push(rule(id, &properties, &pattern, functions)?);
        }
        "DynamoDB" => template.streams.push(stream(id, function, &properties)?),
        _ => {}
    }
    Ok(())
}

fn function(id: &str, node: &Node<'_>, properties: &Node<'_>) -> Result<Function, Error> {
    let binary = node
        .find(&["Metadata", "BuildProperties", "Binary"])?
        .ok_or_else(|| node.error("Metadata.BuildProperties.Binary is missing"))?;
    let mut environment = BTreeMap::new();
    if let Some(variables) = properties.find(&["Environment", "Variables"])? {
        for (name, value) in variables.entries()? {
            environment.insert(name.to_owned(), value.text()?);
        }
    }
    let logging = |key| match properties.find(&["LoggingConfig", key])? {
        Some(node) => node.text().map(Some),
        None => Ok(None),
    };
    let timeout = properties.number_at("Timeout")?.unwrap_or(3);
    let concurrency = properties.number_at("ReservedConcurrentExecutions")?;
    let retries = match properties.get("EventInvokeConfig")? {
        Some(config) => config.number_at("MaximumRetryAttempts")?,
        None => None,
    };
    Ok(Function {
        id: id.to_owned(),
        binary: binary.text()?,
        handler: properties.text_at("Handler")?.unwrap_or_else(|| "bootstrap".into()),
        environment,
        timeout: Duration::from_secs(timeout.unsigned_abs()),
        memory_mb: properties.number_at("MemorySize")?.unwrap_or(128),
        log_format: logging("LogFormat")?.unwrap_or_else(|| "Text".into()),
        log_level: logging("ApplicationLogLevel")?,
        concurrency: concurrency.and_then(|number| usize::try_from(number).ok()),
        async_retries: retries.and_then(|number| u32::try_from(number).ok()).unwrap_or(2),
        statements: statements(properties)?,
    })
}

fn statements(properties: &Node<'_>) -> Result<Vec<Statement>, Error> {
    let Some(policies) = properties.get("Policies")? else { return Ok(Vec::new()) };
    policy::statements(policies.resolved()?).map_err(|why| policies.error(why))
}

fn route(function: &str, event: &Node<'_>) -> Result<Route, Error> {
    let property = |key| match event.find(&["Properties", key])? {
        Some(node) => node.text().map(Some),
        None => Ok(None),
    };
    let method = property("Method")?.unwrap_or_else(|| "ANY".into()).to_uppercase();
    let method = if method == "X-AMAZON-APIGATEWAY-ANY-METHOD" { "ANY".into() } else { method };
    let path = property("Path")?.unwrap_or_else(|| "$default".into());
    if path != "$default" && !path.starts_with('/') {
        return Err(event.error(format!("the path {path} does not begin with /")));
    }
    Ok(Route { method, path, function: function.to_owned() })
}

fn stream(id: &str, function: &str, properties: &Node<'_>) -> Result<StreamMapping, Error> {
    let stream = properties.require("Stream")?;
    let stream_arn = stream.text()?;
    let table = stream_arn
        .split('/')
        .nth(1)
        .ok_or_else(|| stream.error("expected the ARN of a table's stream"))?;
    let start = properties.require("StartingPosition")?;
    if start.text()? != "TRIM_HORIZON" {
        return Err(start.error("the local stack supports TRIM_HORIZON only"));
    }
    let mut filters = Vec::new();
    if let Some(node) = properties.find(&["FilterCriteria", "Filters"])? {
        for filter in node.items()? {
            filters.push(filter_pattern(&filter.require("Pattern")?)?);
        }
    }
    let response_types = properties.get("FunctionResponseTypes")?;
    let response_types = response_types.map(|node| node.resolved()).transpose()?;
    let retries = properties.number_at("MaximumRetryAttempts")?.unwrap_or(-1);
    let batch_size = properties.number_at("BatchSize")?.unwrap_or(100);
    let parallelization = properties.number_at("ParallelizationFactor")?.unwrap_or(1);
    let dead_letters = properties.find(&["DestinationConfig", "OnFailure", "Destination"])?;
    Ok(StreamMapping {
        id: id.to_owned(),
        table: table.to_owned(),
        function: function.to_owned(),
        batch_size: usize::try_from(batch_size).unwrap_or(100).clamp(1, 1000),
        parallelization: usize::try_from(parallelization).unwrap_or(1).clamp(1, 10),
        retries: u32::try_from(retries).ok(),
        bisect: properties.flag_at("BisectBatchOnFunctionError")?.unwrap_or(false),
        reports_failures: response_types == Some(json!(["ReportBatchItemFailures"])),
        filters,
        dead_letters: dead_letters.map(|node| node.text()).transpose()?,
        stream_arn,
    })
}

fn filter_pattern(node: &Node<'_>) -> Result<Pattern, Error> {
    let pattern = serde_json::from_str(&node.text()?);
    let pattern: Value = pattern.map_err(|error| node.error(format!("is not JSON: {error}")))?;
    Pattern::parse(&pattern).map_err(|why| node.error(why))
}
