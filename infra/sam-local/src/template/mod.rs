//! Reads a SAM template: evaluates its parameters and intrinsic functions, and builds a [`Template`] from its
//! resources.

mod cors;
mod coverage;
mod functions;
mod model;
mod node;
mod parameters;
mod pattern;
mod policy;
mod resources;
mod schedule;
mod scope;
pub mod yaml;

use std::{fs, path::Path};

use serde_json::{Map, Value};

pub(crate) use cors::Cors;
pub(crate) use model::{
    Function, Key, Route, Rule, Schedule, StreamMapping, Table, Template, key_names,
};
pub(crate) use parameters::Parameters;
pub(crate) use policy::Statement;

use crate::error::Error;
use node::Node;
use scope::{Scope, resource_type};

/// Reads the template at `path` with these parameters.
pub(crate) fn read(path: &Path, parameters: &Parameters) -> Result<Template, Error> {
    let name = path.file_name().unwrap_or_default().display();
    let text = fs::read_to_string(path)
        .map_err(|error| Error::new(format!("cannot read {}: {error}", path.display())))?;
    parse(&text, parameters).map_err(|error| Error::new(format!("{name}: {error}")))
}

fn parse(text: &str, parameters: &Parameters) -> Result<Template, Error> {
    let scope = Scope::new(yaml::parse(text).map_err(Error::new)?, parameters)?;
    let mut template = Template::default();
    for (id, resource) in scope.resources()? {
        let node = Node::new(&scope, resource, id);
        template.unsupported.extend(coverage::of_resource(resource_type(resource), &node)?);
        let resource = with_globals(resource, scope.root());
        add(&mut template, &scope, id, &resource)?;
    }
    if let Some(globals) = scope.root().get("Globals") {
        let globals = Node::new(&scope, globals, "Globals");
        template.unsupported.extend(coverage::of_globals(&globals)?);
        // The implicit API is no resource of the template, so its CORS configuration can only stand in `Globals`.
        if let (None, Some(api)) = (&template.cors, globals.get("HttpApi")?) {
            template.cors = cors::read(&api)?;
        }
    }
    check(&template)?;
    Ok(template)
}

fn add(template: &mut Template, scope: &Scope, id: &str, resource: &Value) -> Result<(), Error> {
    let node = Node::new(scope, resource, id);
    match resource_type(resource) {
        "AWS::Serverless::Function" => functions::add(template, id, &node)?,
        "AWS::Serverless::HttpApi" => {
            if let Some(properties) = node.get("Properties")? {
                template.cors = cors::read(&properties)?;
            }
        }
        "AWS::DynamoDB::Table" => template.tables.push(resources::table(scope, id, &node)?),
        "AWS::KMS::Key" => template.keys.push(resources::key(id, &node.require("Properties")?)?),
        "AWS::Events::EventBus" => template.buses.push(resources::physical_id(scope, id)?),
        "AWS::Events::Rule" => resources::add_rule(template, id, &node.require("Properties")?)?,
        _ => {}
    }
    Ok(())
}

/// Checks that each route is declared once, and that the event buses of rules and the tables of streams exist.
fn check(template: &Template) -> Result<(), Error> {
    let Template { routes, rules, streams, buses, tables, .. } = template;
    for (i, route) in routes.iter().enumerate() {
        let same = |other: &&Route| (&other.method, &other.path) == (&route.method, &route.path);
        if let Some(other) = routes[..i].iter().find(same) {
            let (method, path) = (&route.method, &route.path);
            let complaint = format!("{} already has the route {method} {path}", other.function);
            return Err(Error::at(&route.function, complaint));
        }
    }
    if let Some(rule) =
        rules.iter().find(|rule| rule.bus != "default" && !buses.contains(&rule.bus))
    {
        let complaint = format!("the event bus {} is not in this template", rule.bus);
        return Err(Error::at(&rule.id, complaint));
    }
    let has_table = |name: &str| tables.iter().any(|table| table.name == name);
    if let Some(stream) = streams.iter().find(|stream| !has_table(&stream.table)) {
        let complaint = format!("the table {} is not in this template", stream.table);
        return Err(Error::at(&stream.id, complaint));
    }
    Ok(())
}

/// Returns the resource with the template's `Globals` filled in, as SAM does: maps are merged and lists are joined; any
/// other value of the resource replaces the global one.
fn with_globals(resource: &Value, root: &Value) -> Value {
    let section = resource_type(resource).strip_prefix("AWS::Serverless::").unwrap_or_default();
    let globals = root.get("Globals").and_then(|globals| globals.get(section));
    let mut merged = resource.clone();
    if let (Some(globals), Some(map)) = (globals, merged.as_object_mut()) {
        let own = map.get("Properties").cloned().unwrap_or_else(|| Value::Object(Map::new()));
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

#[cfg(test)]
mod tests {
    use super::{Cors, Parameters, Route, parse};
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
        parse(&change(TEMPLATE), &Parameters::new()).unwrap_err().to_string()
    }

    #[test]
    fn functions_and_their_event_sources_are_read() {
        let template = parse(TEMPLATE, &Parameters::new()).unwrap();
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
    fn an_error_names_its_path() {
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
            complaint(|t| t.replace("{Method: get, Path: \"/a/{id}\"}", "{}")),
            "Fn: Fn already has the route ANY $default"
        );
        assert_eq!(
            complaint(|t| t.replace("!GetAtt Bus.Arn", "other")),
            "FnMade: the event bus other is not in this template"
        );
        assert_eq!(
            complaint(|t| t.replace("[x]", "[{wildcard: a*}]")),
            "Fn.Properties.Events.Made.Properties.Pattern: the local stack does not support the condition {\"wildcard\":\"a*\"}"
        );
    }

    #[test]
    fn unsupported_parts_of_a_template_are_listed() {
        const MORE: &str = r"
  Files: {Type: AWS::S3::Bucket}
  Logs: {Type: AWS::Logs::LogGroup}
  Api: {Type: AWS::Serverless::HttpApi, Properties: {Description: x, Auth: {DefaultAuthorizer: a}}}
";
        let template =
            TEMPLATE.replace("      Timeout: 2\n", "      Timeout: 2\n      VpcConfig: {}\n");
        let template = template.replace(
            "Type: Schedule, Properties: {Schedule: rate(1 hour)}",
            "Type: SQS, Properties: {Queue: q}",
        );
        let template = template.replace("    Timeout: 10\n", "    Timeout: 10\n    Layers: [a]\n");
        let template = template.replace(
            "StartingPosition: TRIM_HORIZON\n",
            "StartingPosition: TRIM_HORIZON\n            TumblingWindowInSeconds: 60\n",
        );
        let template = parse(&format!("{template}{MORE}"), &Parameters::new()).unwrap();
        let expected = [
            "Api.Properties.Auth",
            "Files (AWS::S3::Bucket)",
            "Fn.Properties.VpcConfig",
            "Fn.Properties.Events.Feed.Properties.TumblingWindowInSeconds",
            "Fn.Properties.Events.Hourly (SQS)",
            "Globals.Function.Layers",
        ];
        assert_eq!(template.unsupported, expected);
        let template = parse(TEMPLATE, &Parameters::new()).unwrap();
        assert_eq!(template.unsupported, [] as [&str; 0]);
    }

    #[test]
    fn cors_is_read_in_both_spellings() {
        let cors = |configuration: &str| {
            let api = format!(
                "  Api: {{Type: AWS::Serverless::HttpApi, Properties: {{CorsConfiguration: {configuration}}}}}"
            );
            parse(&format!("{TEMPLATE}{api}"), &Parameters::new()).unwrap().cors
        };
        let list = |text: &str| vec![text.to_owned()];
        let expected = Cors {
            origins: list("https://a.example"),
            headers: list("x-a"),
            max_age: Some(60),
            credentials: true,
            ..Cors::default()
        };
        assert_eq!(
            cors(
                "{allowOrigins: !Split [',', 'https://a.example'], allowHeaders: [x-a], maxAge: 60, allowCredentials: true}"
            ),
            Some(expected.clone())
        );
        assert_eq!(
            cors(
                "{AllowOrigins: ['https://a.example'], AllowHeaders: [x-a], MaxAge: 60, AllowCredentials: true}"
            ),
            Some(expected)
        );
        assert_eq!(cors("!Ref AWS::NoValue"), None);
        assert_eq!(cors("true").unwrap().origins, ["*"]);
    }
}
