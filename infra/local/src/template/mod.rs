//! The model: what `template.yaml` says, as far as the local stack plays it.

mod place;
mod policy;
mod scope;
pub(crate) mod yaml;

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use serde_json::{Map, Value, json};

use crate::{Error, events::pattern::Pattern, schedules::Expression};
pub(crate) use policy::Statement;
pub(crate) use scope::Parameters;

use place::Place;
use scope::{Scope, resource_type};

/// Everything the stack runs.
#[derive(Debug, Default)]
pub(crate) struct Template {
    pub(crate) functions: Vec<Function>,
    pub(crate) routes: Vec<Route>,
    pub(crate) tables: Vec<Table>,
    pub(crate) keys: Vec<Key>,
    /// Names of event buses, beside `default`.
    pub(crate) buses: Vec<String>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) streams: Vec<StreamMapping>,
}

/// A Lambda function; its logical id is its name.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) id: String,
    pub(crate) binary: String,
    pub(crate) handler: String,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    pub(crate) memory_mb: i64,
    pub(crate) log_format: String,
    pub(crate) log_level: Option<String>,
    pub(crate) concurrency: Option<usize>,
    /// How often an asynchronous invocation that failed is repeated.
    pub(crate) async_retries: u32,
    /// What it may do.
    pub(crate) statements: Vec<Statement>,
}

/// A route of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// `GET`, …, or `ANY`.
    pub(crate) method: String,
    /// `/v1.0/customers/{id}`, or `$default`.
    pub(crate) path: String,
    pub(crate) function: String,
}

/// A table, as the `CreateTable` request that makes it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) request: Value,
    pub(crate) ttl_attribute: Option<String>,
}

/// A KMS key; its logical id is its id.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) spec: String,
    pub(crate) usage: String,
}

/// The names of the key attributes of a table or an index, by its description.
pub(crate) fn key_names(described: &Value) -> impl Iterator<Item = &str> {
    let keys = described["KeySchema"].as_array().into_iter().flatten();
    keys.filter_map(|key| key["AttributeName"].as_str())
}

/// A rule that carries matching events of a bus to functions.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) bus: String,
    pub(crate) pattern: Pattern,
    pub(crate) functions: Vec<String>,
}

/// A function called at times.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) id: String,
    pub(crate) expression: Expression,
    pub(crate) function: String,
    /// Sent instead of the usual event.
    pub(crate) input: Option<Value>,
    /// Whether `EventBridge` Scheduler runs it (`ScheduleV2`), rather than a rule.
    pub(crate) scheduler: bool,
}

/// A function fed from a table's stream.
#[derive(Debug)]
pub(crate) struct StreamMapping {
    pub(crate) id: String,
    pub(crate) table: String,
    pub(crate) stream_arn: String,
    pub(crate) function: String,
    pub(crate) batch_size: usize,
    /// `None`: until it succeeds.
    pub(crate) retries: Option<u32>,
    pub(crate) bisect: bool,
    pub(crate) reports_failures: bool,
    /// A record passes if it matches any of these, or if there are none.
    pub(crate) filters: Vec<Pattern>,
    pub(crate) dead_letters: Option<String>,
}

impl Template {
    /// Reads the template in the file at `path`, with these parameters other than by default.
    pub(crate) fn read(path: &Path, parameters: &Parameters) -> Result<Self, Error> {
        let name = path.file_name().unwrap_or_default().display();
        let text = fs::read_to_string(path)
            .map_err(|error| Error::new(format!("cannot read {}: {error}", path.display())))?;
        Self::parse(&text, parameters).map_err(|error| Error::new(format!("{name}: {error}")))
    }

    fn parse(text: &str, parameters: &Parameters) -> Result<Self, Error> {
        let scope = Scope::new(yaml::parse(text).map_err(Error::new)?, parameters)?;
        let mut template = Self::default();
        for (id, resource) in scope.resources()? {
            let place = Place::new(&scope, resource, id);
            match resource_type(resource) {
                "AWS::Serverless::Function" => template.add_function(&scope, id, resource)?,
                "AWS::DynamoDB::Table" => template.tables.push(table(&scope, id, &place)?),
                "AWS::KMS::Key" => template.keys.push(key(id, &place.require("Properties")?)?),
                "AWS::Events::EventBus" => template.buses.push(physical_id(&scope, id)?),
                "AWS::Events::Rule" => template.add_rule(id, &place.require("Properties")?)?,
                _ => {}
            }
        }
        template.check()?;
        Ok(template)
    }

    fn add_function(&mut self, scope: &Scope, id: &str, resource: &Value) -> Result<(), Error> {
        let resource = with_globals(resource, scope.root().pointer("/Globals/Function"));
        let place = Place::new(scope, &resource, id);
        let properties = place.require("Properties")?;
        self.functions.push(function(id, &place, &properties)?);
        let Some(events) = properties.get("Events")? else {
            return Ok(());
        };
        for (name, event) in events.entries()? {
            self.add_event(id, &format!("{id}{name}"), &event)?;
        }
        Ok(())
    }

    fn add_event(&mut self, function: &str, id: &str, event: &Place<'_>) -> Result<(), Error> {
        let kind = event.require("Type")?.text()?;
        if kind == "HttpApi" {
            self.routes.push(route(function, event)?);
            return Ok(());
        }
        let properties = event.require("Properties")?;
        if is_disabled(&properties)? {
            return Ok(());
        }
        match kind.as_str() {
            "Schedule" => self.schedules.push(Schedule {
                scheduler: false,
                ..schedule(id, function, &properties, "Schedule")?
            }),
            "ScheduleV2" => self.schedules.push(Schedule {
                scheduler: true,
                ..schedule(id, function, &properties, "ScheduleExpression")?
            }),
            "EventBridgeRule" | "CloudWatchEvent" => {
                properties.refuse(&["Input", "InputPath", "InputTransformer"])?;
                let pattern = properties.require("Pattern")?;
                let functions = vec![function.to_owned()];
                self.rules.push(rule(id, &properties, &pattern, functions)?);
            }
            "DynamoDB" => self.streams.push(stream(id, function, &properties)?),
            _ => {
                let complaint = format!("the local stack does not play events of type {kind}");
                return Err(event.error(complaint));
            }
        }
        Ok(())
    }

    /// A rule written as a resource of its own: a pattern or a schedule, and targets.
    fn add_rule(&mut self, id: &str, properties: &Place<'_>) -> Result<(), Error> {
        if is_disabled(properties)? {
            return Ok(());
        }
        let mut functions = Vec::new();
        for target in properties.require("Targets")?.items()? {
            target.refuse(&["Input", "InputPath", "InputTransformer"])?;
            functions.push(function_of(&target.require("Arn")?)?);
        }
        if let Some(pattern) = properties.get("EventPattern")? {
            self.rules.push(rule(id, properties, &pattern, functions)?);
        } else {
            for function in functions {
                self.schedules.push(schedule(id, &function, properties, "ScheduleExpression")?);
            }
        }
        Ok(())
    }

    /// Checks what one resource cannot see alone.
    fn check(&self) -> Result<(), Error> {
        for (i, route) in self.routes.iter().enumerate() {
            let same =
                |other: &&Route| (&other.method, &other.path) == (&route.method, &route.path);
            if let Some(other) = self.routes[..i].iter().find(same) {
                let (method, path) = (&route.method, &route.path);
                let complaint = format!("{} already takes {method} {path}", other.function);
                return Err(Error::at(&route.function, complaint));
            }
        }
        for rule in &self.rules {
            if rule.bus != "default" && !self.buses.contains(&rule.bus) {
                let complaint = format!("the event bus {} is not in this template", rule.bus);
                return Err(Error::at(&rule.id, complaint));
            }
        }
        for stream in &self.streams {
            if !self.tables.iter().any(|table| table.name == stream.table) {
                let complaint = format!("the table {} is not in this template", stream.table);
                return Err(Error::at(&stream.id, complaint));
            }
        }
        Ok(())
    }
}

/// The resource with the template's globals filled in, as SAM does: maps merge, lists append,
/// anything else is the function's own if it has one.
fn with_globals(resource: &Value, globals: Option<&Value>) -> Value {
    let mut merged = resource.clone();
    if let (Some(globals), Some(map)) = (globals, merged.as_object_mut()) {
        let own = map.get("Properties").cloned().unwrap_or_else(|| json!({}));
        map.insert("Properties".into(), overlay(globals, &own));
    }
    merged
}

fn overlay(below: &Value, above: &Value) -> Value {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            let mut merged = below.clone();
            for (key, value) in above {
                let value = below.get(key).map_or(value.clone(), |under| overlay(under, value));
                merged.insert(key.clone(), value);
            }
            merged.into()
        }
        (Value::Array(below), Value::Array(above)) => [below.as_slice(), above].concat().into(),
        (_, above) => above.clone(),
    }
}

fn function(id: &str, place: &Place<'_>, properties: &Place<'_>) -> Result<Function, Error> {
    let binary = place
        .find(&["Metadata", "BuildProperties", "Binary"])?
        .ok_or_else(|| place.error("Metadata.BuildProperties.Binary is missing"))?;
    let mut environment = BTreeMap::new();
    if let Some(variables) = properties.find(&["Environment", "Variables"])? {
        for (name, value) in variables.entries()? {
            environment.insert(name.to_owned(), value.text()?);
        }
    }
    let logging = |key| match properties.find(&["LoggingConfig", key])? {
        Some(place) => place.text().map(Some),
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

fn statements(properties: &Place<'_>) -> Result<Vec<Statement>, Error> {
    let Some(policies) = properties.get("Policies")? else { return Ok(Vec::new()) };
    policy::statements(policies.resolved()?).map_err(|why| policies.error(why))
}

fn route(function: &str, event: &Place<'_>) -> Result<Route, Error> {
    let property = |key| match event.find(&["Properties", key])? {
        Some(place) => place.text().map(Some),
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

fn table(scope: &Scope, id: &str, place: &Place<'_>) -> Result<Table, Error> {
    const COPIED: [&str; 5] = [
        "KeySchema",
        "AttributeDefinitions",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
        "BillingMode",
    ];
    let properties = place.require("Properties")?;
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

fn key(id: &str, properties: &Place<'_>) -> Result<Key, Error> {
    let spec = properties.text_at("KeySpec")?.unwrap_or_else(|| "SYMMETRIC_DEFAULT".into());
    let usage = properties.text_at("KeyUsage")?.unwrap_or_else(|| "ENCRYPT_DECRYPT".into());
    Ok(Key { id: id.to_owned(), spec, usage })
}

fn physical_id(scope: &Scope, id: &str) -> Result<String, Error> {
    scope::text(&scope.resolve(&json!({"Ref": id}), id)?.unwrap_or_default(), id)
}

fn rule(
    id: &str,
    properties: &Place<'_>,
    pattern: &Place<'_>,
    functions: Vec<String>,
) -> Result<Rule, Error> {
    let bus = properties.text_at("EventBusName")?.unwrap_or_else(|| "default".into());
    let bus = bus.rsplit("event-bus/").next().unwrap_or_default().to_owned();
    let pattern = Pattern::parse(&pattern.resolved()?).map_err(|why| pattern.error(why))?;
    Ok(Rule { id: id.to_owned(), bus, pattern, functions })
}

fn schedule(
    id: &str,
    function: &str,
    properties: &Place<'_>,
    key: &str,
) -> Result<Schedule, Error> {
    let place = properties.require(key)?;
    let expression = Expression::parse(&place.text()?).map_err(|why| place.error(why))?;
    let parse = |input: Place<'_>| {
        serde_json::from_str(&input.text()?).map_err(|_| input.error("expected JSON text"))
    };
    let input = properties.get("Input")?.map(parse).transpose()?;
    let (id, function) = (id.to_owned(), function.to_owned());
    Ok(Schedule { id, expression, function, input, scheduler: false })
}

fn stream(id: &str, function: &str, properties: &Place<'_>) -> Result<StreamMapping, Error> {
    let stream = properties.require("Stream")?;
    let stream_arn = stream.text()?;
    let table = stream_arn
        .split('/')
        .nth(1)
        .ok_or_else(|| stream.error("expected the ARN of a table's stream"))?;
    let start = properties.require("StartingPosition")?;
    if start.text()? != "TRIM_HORIZON" {
        return Err(start.error("the local stack plays TRIM_HORIZON only"));
    }
    let mut filters = Vec::new();
    if let Some(place) = properties.find(&["FilterCriteria", "Filters"])? {
        for filter in place.items()? {
            filters.push(filter_pattern(&filter.require("Pattern")?)?);
        }
    }
    let response_types = properties.get("FunctionResponseTypes")?;
    let response_types = response_types.map(|place| place.resolved()).transpose()?;
    let retries = properties.number_at("MaximumRetryAttempts")?.unwrap_or(-1);
    let batch_size = properties.number_at("BatchSize")?.unwrap_or(100);
    let dead_letters = properties.find(&["DestinationConfig", "OnFailure", "Destination"])?;
    Ok(StreamMapping {
        id: id.to_owned(),
        table: table.to_owned(),
        function: function.to_owned(),
        batch_size: usize::try_from(batch_size).unwrap_or(100).clamp(1, 1000),
        retries: u32::try_from(retries).ok(),
        bisect: properties.flag_at("BisectBatchOnFunctionError")?.unwrap_or(false),
        reports_failures: response_types == Some(json!(["ReportBatchItemFailures"])),
        filters,
        dead_letters: dead_letters.map(|place| place.text()).transpose()?,
        stream_arn,
    })
}

fn filter_pattern(place: &Place<'_>) -> Result<Pattern, Error> {
    let pattern = serde_json::from_str(&place.text()?);
    let pattern: Value = pattern.map_err(|error| place.error(format!("is not JSON: {error}")))?;
    Pattern::parse(&pattern).map_err(|why| place.error(why))
}

/// The function whose ARN is written at `place`.
fn function_of(place: &Place<'_>) -> Result<String, Error> {
    let arn = place.text()?;
    let id = arn.rsplit_once(":function:").map(|(_, id)| id.to_owned());
    id.ok_or_else(|| place.error("the local stack plays functions as targets only"))
}

fn is_disabled(properties: &Place<'_>) -> Result<bool, Error> {
    Ok(properties.flag_at("Enabled")? == Some(false)
        || properties.text_at("State")?.as_deref() == Some("DISABLED"))
}

#[cfg(test)]
mod tests {
    use super::{Parameters, Route, Template};
    use std::time::Duration;

    const TEMPLATE: &str = r#"
Globals:
  Function:
    Timeout: 10
    LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: INFO}
    Environment: {Variables: {TABLE: !Ref Table, SHARED: a}}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      StreamSpecification: {StreamViewType: KEYS_ONLY}
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: events}}
  Key: {Type: AWS::KMS::Key, Properties: {KeySpec: ECC_NIST_P256, KeyUsage: SIGN_VERIFY}}
  Fn:
    Type: AWS::Serverless::Function
    Metadata: {BuildProperties: {Binary: fn}}
    Properties:
      Timeout: 2
      Environment: {Variables: {SHARED: b, BUS: !Ref Bus}}
      Events:
        Any: {Type: HttpApi, Properties: {ApiId: !Ref Unused}}
        Get: {Type: HttpApi, Properties: {Method: get, Path: "/a/{id}"}}
        Hourly: {Type: Schedule, Properties: {Schedule: rate(1 hour)}}
        Off: {Type: Schedule, Properties: {Schedule: rate(1 hour), Enabled: false}}
        Made: {Type: EventBridgeRule, Properties: {EventBusName: !GetAtt Bus.Arn, Pattern: {source: [x]}}}
        Feed:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Table.StreamArn
            StartingPosition: TRIM_HORIZON
            FunctionResponseTypes: [ReportBatchItemFailures]
            FilterCriteria: {Filters: [{Pattern: '{"eventName":["INSERT"]}'}]}
"#;

    fn complaint(change: impl Fn(&str) -> String) -> String {
        Template::parse(&change(TEMPLATE), &Parameters::new()).unwrap_err().to_string()
    }

    #[test]
    fn reads_functions_and_what_calls_them() {
        let template = Template::parse(TEMPLATE, &Parameters::new()).unwrap();
        let function = &template.functions[0];
        assert_eq!(function.timeout, Duration::from_secs(2));
        assert_eq!(
            (function.log_format.as_str(), function.log_level.as_deref()),
            ("JSON", Some("INFO"))
        );
        let variables: Vec<_> =
            function.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(variables, ["BUS=events", "SHARED=b", "TABLE=Table"]);
        let route = |method: &str, path: &str| Route {
            method: method.into(),
            path: path.into(),
            function: "Fn".into(),
        };
        assert_eq!(template.routes, [route("ANY", "$default"), route("GET", "/a/{id}")]);
        assert_eq!(template.schedules.len(), 1);
        let keys: Vec<_> = template.keys.iter().map(|key| (&*key.id, &*key.spec)).collect();
        assert_eq!(keys, [("Key", "ECC_NIST_P256")]);
        assert_eq!(template.schedules[0].id, "FnHourly");
        assert_eq!(
            (template.rules[0].id.as_str(), template.rules[0].bus.as_str()),
            ("FnMade", "events")
        );
        let stream = &template.streams[0];
        assert_eq!(
            (stream.table.as_str(), stream.batch_size, stream.retries),
            ("Table", 100, None)
        );
        assert!(stream.reports_failures && stream.filters.len() == 1);
        assert_eq!(template.tables[0].ttl_attribute.as_deref(), Some("expires_at"));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        assert_eq!(
            complaint(|t| t.replace("!Ref Table", "!Ref Tabel")),
            "Fn.Properties.Environment.Variables.TABLE: \
             \"Tabel\" is neither a parameter nor a resource of this template"
        );
        assert_eq!(
            complaint(|t| t.replace("rate(1 hour)", "rate(1 hours)")),
            "Fn.Properties.Events.Hourly.Properties.Schedule: rate(1 hours): after 1 comes minute, hour or day"
        );
        assert_eq!(
            complaint(|t| t.replace("{Binary: fn}", "{}")),
            "Fn: Metadata.BuildProperties.Binary is missing"
        );
        assert_eq!(
            complaint(|t| t.replace("Type: Schedule", "Type: SQS")),
            "Fn.Properties.Events.Hourly: the local stack does not play events of type SQS"
        );
        assert_eq!(
            complaint(|t| t.replace("{Method: get, Path: \"/a/{id}\"}", "{}")),
            "Fn: Fn already takes ANY $default"
        );
        assert_eq!(
            complaint(|t| t.replace("!GetAtt Bus.Arn", "other")),
            "FnMade: the event bus other is not in this template"
        );
        assert_eq!(
            complaint(|t| t.replace("[x]", "[{wildcard: a*}]")),
            "Fn.Properties.Events.Made.Properties.Pattern: the local stack does not know the condition {\"wildcard\":\"a*\"}"
        );
    }
}
