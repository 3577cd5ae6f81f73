//! Evaluates a template's intrinsic functions, conditions and references.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::parameters::{self, Parameters};
use crate::{
    aws::{ACCOUNT, REGION, arn, function_arn},
    error::Error,
};

/// A parsed template, whose short-form tags (`!Ref`) are written in long form, and the values of its
/// parameters.
pub(super) struct Scope {
    root: Value,
    parameters: Map<String, Value>,
}

/// The value of an expression; `None` stands for `AWS::NoValue`.
type Resolved = Result<Option<Value>, Error>;

impl Scope {
    /// Returns the scope of the template `root` with these parameters. Fails if a parameter violates a constraint or a
    /// rule.
    pub(super) fn new(root: Value, given: &Parameters) -> Result<Self, Error> {
        let parameters = parameters::values(&root, given)?;
        let scope = Self { root, parameters };
        scope.check_rules()?;
        Ok(scope)
    }

    /// Checks the assertions of the section `Rules`.
    fn check_rules(&self) -> Result<(), Error> {
        for (name, rule) in self.section("Rules").into_iter().flatten() {
            let path = format!("Rules.{name}");
            let condition = rule.get("RuleCondition");
            let applies = condition.map(|one| self.condition(one, &path)).transpose()?;
            let assertions = rule["Assertions"].as_array().into_iter().flatten();
            for assertion in assertions.filter(|_| applies != Some(false)) {
                if !self.condition(&assertion["Assert"], &path)? {
                    let text = assertion["AssertDescription"].as_str().unwrap_or("is not kept");
                    return Err(Error::at(&path, text));
                }
            }
        }
        Ok(())
    }

    /// Returns the whole template.
    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    /// Returns the resources whose condition holds, by logical id.
    pub(super) fn resources(&self) -> Result<Vec<(&str, &Value)>, Error> {
        let mut present = Vec::new();
        for (id, resource) in self.section("Resources").into_iter().flatten() {
            if self.is_present(id, resource)? {
                present.push((id.as_str(), resource));
            }
        }
        Ok(present)
    }

    /// Returns `value` with every intrinsic function in it evaluated; `None` stands for `AWS::NoValue`.
    pub(super) fn resolve(&self, value: &Value, path: &str) -> Resolved {
        match value {
            Value::Array(items) => self.resolve_list(items, path).map(|list| Some(list.into())),
            Value::Object(map) => match function_call(map) {
                Some((name, argument)) => self.call(name, argument, path),
                None => self.resolve_map(map, path).map(|map| Some(map.into())),
            },
            scalar => Ok(Some(scalar.clone())),
        }
    }

    /// Returns the branch of an `Fn::If` that applies, or `value` itself if it is no `Fn::If`; `None` stands for
    /// `AWS::NoValue`.
    pub(super) fn branch<'a>(
        &self,
        value: &'a Value,
        path: &str,
    ) -> Result<Option<&'a Value>, Error> {
        match value.as_object().and_then(function_call) {
            Some(("Fn::If", argument)) => self.branch(self.chosen(argument, path)?, path),
            Some(("Ref", name)) if name == "AWS::NoValue" => Ok(None),
            _ => Ok(Some(value)),
        }
    }

    fn section(&self, name: &str) -> Option<&Map<String, Value>> {
        self.root.get(name)?.as_object()
    }

    fn is_present(&self, id: &str, resource: &Value) -> Result<bool, Error> {
        match resource.get("Condition").and_then(Value::as_str) {
            Some(name) => self.condition_named(name, &format!("{id}.Condition")),
            None => Ok(true),
        }
    }

    fn resolve_list(&self, items: &[Value], path: &str) -> Result<Vec<Value>, Error> {
        let resolve = |(i, item)| self.resolve(item, &format!("{path}[{i}]")).transpose();
        items.iter().enumerate().filter_map(resolve).collect()
    }

    fn resolve_map(
        &self,
        map: &Map<String, Value>,
        path: &str,
    ) -> Result<Map<String, Value>, Error> {
        let mut resolved = Map::new();
        for (key, value) in map {
            if let Some(value) = self.resolve(value, &format!("{path}.{key}"))? {
                resolved.insert(key.clone(), value);
            }
        }
        Ok(resolved)
    }

    fn call(&self, name: &str, argument: &Value, path: &str) -> Resolved {
        match (name, argument) {
            ("Ref", Value::String(target)) => self.reference(target, path),
            ("Fn::GetAtt", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(id), Value::String(attribute)] => {
                    self.attribute(id, attribute, path).map(|text| Some(text.into()))
                }
                _ => Err(malformed(name, path)),
            },
            ("Fn::Sub", _) => self.substitute(argument, path).map(|text| Some(text.into())),
            ("Fn::Join", Value::Array(parts)) => {
                self.join(parts, path).map(|text| Some(text.into()))
            }
            ("Fn::Split", Value::Array(parts)) => self.split(parts, path).map(Some),
            ("Fn::Select", Value::Array(parts)) => self.select(parts, path).map(Some),
            ("Fn::FindInMap", Value::Array(keys)) => self.find_in_map(keys, path).map(Some),
            ("Fn::If", _) => self.resolve(self.chosen(argument, path)?, path),
            (
                "Ref" | "Fn::GetAtt" | "Fn::Join" | "Fn::Split" | "Fn::Select" | "Fn::FindInMap",
                _,
            ) => Err(malformed(name, path)),
            _ => Err(Error::at(path, format!("the local stack does not support {name}"))),
        }
    }

    fn reference(&self, name: &str, path: &str) -> Resolved {
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        if let Some(value) = pseudo_parameter(name) {
            return Ok(Some(value.into()));
        }
        if let Some(value) = self.parameters.get(name) {
            return Ok(Some(value.clone()));
        }
        let resource = self.resource(name, path)?;
        self.physical_id(name, resource, path).map(|id| Some(id.into()))
    }

    fn resource(&self, id: &str, path: &str) -> Result<&Value, Error> {
        let unknown = || {
            let complaint =
                format!("\"{id}\" is neither a parameter nor a resource of this template");
            Error::at(path, complaint)
        };
        let resource = self.section("Resources").and_then(|all| all.get(id)).ok_or_else(unknown)?;
        if self.is_present(id, resource)? {
            Ok(resource)
        } else {
            Err(Error::at(path, format!("refers to {id}, whose Condition is false")))
        }
    }

    /// Returns the value of `!Ref` to a resource: the name that the resource sets, otherwise its logical id. For a
    /// queue it is a URL.
    fn physical_id(&self, id: &str, resource: &Value, path: &str) -> Result<String, Error> {
        let name = match resource_type(resource) {
            "AWS::DynamoDB::Table" => "TableName",
            "AWS::Events::EventBus" => "Name",
            "AWS::SQS::Queue" => {
                return Ok(format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{id}"));
            }
            _ => return Ok(id.to_owned()),
        };
        let place = format!("{id}.Properties.{name}");
        match resource.pointer(&format!("/Properties/{name}")) {
            Some(value) => match self.resolve(value, &place)? {
                Some(value) => text(&value, path),
                None => Ok(id.to_owned()),
            },
            None => Ok(id.to_owned()),
        }
    }

    fn attribute(&self, id: &str, attribute: &str, path: &str) -> Result<String, Error> {
        let resource = self.resource(id, path)?;
        let kind = resource_type(resource);
        let name = self.physical_id(id, resource, path)?;
        let arn = |service: &str, resource: String| Ok(arn(service, &resource));
        match (kind, attribute) {
            ("AWS::Serverless::Function", "Arn") => Ok(function_arn(id)),
            ("AWS::DynamoDB::Table", "Arn") => arn("dynamodb", format!("table/{name}")),
            ("AWS::DynamoDB::Table", "StreamArn") => {
                if resource.pointer("/Properties/StreamSpecification").is_none() {
                    return Err(Error::at(path, format!("{id} has no StreamSpecification")));
                }
                arn("dynamodb", format!("table/{name}/stream/local"))
            }
            ("AWS::Events::EventBus", "Arn") => arn("events", format!("event-bus/{name}")),
            ("AWS::Events::EventBus", "Name") => Ok(name),
            ("AWS::SQS::Queue", "Arn") => arn("sqs", id.to_owned()),
            ("AWS::Logs::LogGroup", "Arn") => arn("logs", format!("log-group:{id}:*")),
            ("AWS::KMS::Key", "Arn") => arn("kms", format!("key/{id}")),
            _ => {
                let complaint =
                    format!("the local stack does not support {attribute} of {id} ({kind})");
                Err(Error::at(path, complaint))
            }
        }
    }

    fn substitute(&self, argument: &Value, path: &str) -> Result<String, Error> {
        let (pattern, variables) = match argument {
            Value::String(pattern) => (pattern, None),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(pattern), Value::Object(variables)] => (pattern, Some(variables)),
                _ => return Err(malformed("Fn::Sub", path)),
            },
            _ => return Err(malformed("Fn::Sub", path)),
        };
        let mut result = String::new();
        let mut rest = pattern.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or_else(|| malformed("Fn::Sub", path))?;
            result.push_str(before);
            result.push_str(&self.variable(name, variables, path)?);
            rest = after;
        }
        Ok(result + rest)
    }

    fn variable(
        &self,
        name: &str,
        variables: Option<&Map<String, Value>>,
        path: &str,
    ) -> Result<String, Error> {
        if let Some(literal) = name.strip_prefix('!') {
            return Ok(format!("${{{literal}}}"));
        }
        let value = match (variables.and_then(|all| all.get(name)), name.split_once('.')) {
            (Some(value), _) => self.resolve(value, path)?,
            (None, Some((id, attribute))) => return self.attribute(id, attribute, path),
            (None, None) => self.reference(name, path)?,
        };
        text(&value.unwrap_or_default(), path)
    }

    fn join(&self, parts: &[Value], path: &str) -> Result<String, Error> {
        let [Value::String(separator), list] = parts else {
            return Err(malformed("Fn::Join", path));
        };
        let Some(Value::Array(items)) = self.resolve(list, path)? else {
            return Err(malformed("Fn::Join", path));
        };
        let words: Vec<_> = items.iter().map(|item| text(item, path)).collect::<Result<_, _>>()?;
        Ok(words.join(separator))
    }

    fn split(&self, parts: &[Value], path: &str) -> Result<Value, Error> {
        let [Value::String(separator), whole] = parts else {
            return Err(malformed("Fn::Split", path));
        };
        let whole = text(&self.resolve(whole, path)?.unwrap_or_default(), path)?;
        Ok(whole.split(separator.as_str()).collect())
    }

    fn select(&self, parts: &[Value], path: &str) -> Result<Value, Error> {
        let [index, list] = parts else {
            return Err(malformed("Fn::Select", path));
        };
        let index = text(&self.resolve(index, path)?.unwrap_or_default(), path)?;
        let Some(Value::Array(items)) = self.resolve(list, path)? else {
            return Err(malformed("Fn::Select", path));
        };
        let item = index.parse::<usize>().ok().and_then(|index| items.into_iter().nth(index));
        item.ok_or_else(|| Error::at(path, format!("Fn::Select: the list has no item {index}")))
    }

    fn find_in_map(&self, keys: &[Value], path: &str) -> Result<Value, Error> {
        let mut found = self.root.get("Mappings");
        for key in keys {
            let key = text(&self.resolve(key, path)?.unwrap_or_default(), path)?;
            found = found.and_then(|map| map.get(key));
        }
        found.cloned().ok_or_else(|| Error::at(path, "Fn::FindInMap: there is no such mapping"))
    }

    fn chosen<'a>(&self, argument: &'a Value, path: &str) -> Result<&'a Value, Error> {
        match argument.as_array().map(Vec::as_slice) {
            Some([Value::String(name), yes, no]) => {
                Ok(if self.condition_named(name, path)? { yes } else { no })
            }
            _ => Err(malformed("Fn::If", path)),
        }
    }

    fn condition_named(&self, name: &str, path: &str) -> Result<bool, Error> {
        let unknown = || Error::at(path, format!("there is no condition \"{name}\""));
        let condition =
            self.section("Conditions").and_then(|all| all.get(name)).ok_or_else(unknown)?;
        self.condition(condition, &format!("Conditions.{name}"))
    }

    fn condition(&self, value: &Value, path: &str) -> Result<bool, Error> {
        let call = value.as_object().and_then(function_call);
        match call.map(|(name, argument)| (name, list(argument))) {
            Some(("Condition", names)) => match names.as_ref() {
                [Value::String(name)] => self.condition_named(name, path),
                _ => Err(malformed("Condition", path)),
            },
            Some(("Fn::Equals", sides)) => match sides.as_ref() {
                [left, right] => Ok(self.comparable(left, path)? == self.comparable(right, path)?),
                _ => Err(malformed("Fn::Equals", path)),
            },
            Some(("Fn::Not", inner)) => match inner.as_ref() {
                [inner] => self.condition(inner, path).map(|holds| !holds),
                _ => Err(malformed("Fn::Not", path)),
            },
            Some(("Fn::And", all)) => {
                all.iter().try_fold(true, |so_far, one| Ok(so_far & self.condition(one, path)?))
            }
            Some(("Fn::Or", any)) => {
                any.iter().try_fold(false, |so_far, one| Ok(so_far | self.condition(one, path)?))
            }
            _ => Err(Error::at(path, "this is not a condition")),
        }
    }

    /// Returns an operand of `Fn::Equals` as text, because CloudFormation compares text: `30` equals `"30"`.
    fn comparable(&self, value: &Value, path: &str) -> Result<String, Error> {
        text(&self.resolve(value, path)?.unwrap_or_default(), path)
    }
}

pub(super) fn resource_type(resource: &Value) -> &str {
    resource.get("Type").and_then(Value::as_str).unwrap_or_default()
}

/// Returns a text, number, boolean or null as text. Fails for any other value.
pub(super) fn text(value: &Value, path: &str) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null => Ok(String::new()),
        _ => Err(Error::at(path, "expected text")),
    }
}

fn function_call(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = map.iter().next()?;
    let is_call = name == "Ref" || name == "Condition" || name.starts_with("Fn::");
    (map.len() == 1 && is_call).then_some((name.as_str(), argument))
}

fn pseudo_parameter(name: &str) -> Option<&'static str> {
    match name {
        "AWS::Region" => Some(REGION),
        "AWS::AccountId" => Some(ACCOUNT),
        "AWS::StackName" => Some("local"),
        "AWS::Partition" => Some("aws"),
        "AWS::URLSuffix" => Some("amazonaws.com"),
        _ => None,
    }
}

fn list(argument: &Value) -> Cow<'_, [Value]> {
    match argument {
        Value::Array(items) => Cow::Borrowed(items),
        single => Cow::Owned(vec![single.clone()]),
    }
}

fn malformed(function: &str, path: &str) -> Error {
    Error::at(path, format!("{function} is not written as it should be"))
}

#[cfg(test)]
mod tests {
    use super::{super::yaml, Parameters, Scope};
    use serde_json::{Value, json};

    const TEMPLATE: &str = r#"
Parameters:
  Stage: {Type: String, Default: dev}
  Days: {Type: Number, Default: 30}
Mappings:
  Sizes: {dev: {Memory: 256}}
Conditions:
  IsDev: !Equals [!Ref Stage, dev]
  IsProd: !Not [!Condition IsDev]
  Thirty: !And [!Equals [!Ref Days, "30"], !Or [!Condition IsProd, !Condition IsDev]]
Resources:
  Table: {Type: AWS::DynamoDB::Table, Properties: {TableName: !Sub "t-${Stage}"}}
  Bus: {Type: AWS::Events::EventBus}
  Key: {Type: AWS::KMS::Key}
  Mirror: {Type: AWS::DynamoDB::Table, Condition: IsProd}
"#;

    fn resolve(value: &str) -> Result<Option<Value>, String> {
        let scope = Scope::new(yaml::parse(TEMPLATE).unwrap(), &Parameters::new()).unwrap();
        scope.resolve(&yaml::parse(value).unwrap(), "Here").map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_must_satisfy_the_rules() {
        const RULES: &str = r#"
Rules:
  Prod:
    RuleCondition: !Equals [!Ref Stage, prod]
    Assertions: [{Assert: !Equals [!Ref Days, "30"], AssertDescription: thirty days in prod}]
"#;
        let complaint = |stage: &str, days: &str| {
            let parameters = [("Stage", stage), ("Days", days)];
            let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let template = yaml::parse(&format!("{TEMPLATE}{RULES}")).unwrap();
            Scope::new(template, &parameters.into()).err().map(|error| error.to_string())
        };
        assert_eq!(complaint("prod", "30"), None);
        assert_eq!(complaint("dev", "1"), None);
        assert_eq!(complaint("prod", "1").unwrap(), "Rules.Prod: thirty days in prod");
    }

    #[test]
    fn expressions_are_evaluated() {
        for (value, expected) in [
            ("!Ref Stage", json!("dev")),
            ("!Ref Table", json!("t-dev")),
            ("!Ref Bus", json!("Bus")),
            ("!Ref Key", json!("Key")),
            ("!GetAtt Key.Arn", json!("arn:aws:kms:us-east-1:000000000000:key/Key")),
            ("!GetAtt Table.Arn", json!("arn:aws:dynamodb:us-east-1:000000000000:table/t-dev")),
            (
                "!Sub '${Stage}/${!raw}/${Table.Arn}'",
                json!("dev/${raw}/arn:aws:dynamodb:us-east-1:000000000000:table/t-dev"),
            ),
            ("!Sub ['${a}-${Days}', {a: !Ref AWS::Region}]", json!("us-east-1-30")),
            ("!Join [':', [a, !Ref Stage]]", json!("a:dev")),
            ("!Split [',', !Sub 'a,${Stage}']", json!(["a", "dev"])),
            ("!Select [1, !Split [',', 'a,b']]", json!("b")),
            ("!FindInMap [Sizes, !Ref Stage, Memory]", json!(256)),
            ("[a, !Ref AWS::NoValue]", json!(["a"])),
            ("{a: !If [IsProd, 1, !Ref AWS::NoValue], b: !If [Thirty, 1, 2]}", json!({"b": 1})),
        ] {
            assert_eq!(resolve(value).unwrap(), Some(expected), "{value}");
        }
    }

    #[test]
    fn an_expression_that_cannot_be_evaluated_is_reported_with_its_path() {
        for (value, complaint) in [
            ("{a: [!Ref Nobody]}", "Here.a[0]: \"Nobody\" is neither a parameter nor a resource"),
            ("!Ref Mirror", "Here: refers to Mirror, whose Condition is false"),
            ("!GetAtt Table.Size", "Here: the local stack does not support Size of Table"),
            ("!GetAtt Table.StreamArn", "Here: Table has no StreamSpecification"),
            ("!Select [0, []]", "Here: Fn::Select: the list has no item 0"),
            ("!FindInMap [Sizes, dev, Disk]", "Here: Fn::FindInMap: there is no such mapping"),
            ("!Cidr [a, 1, 2]", "Here: the local stack does not support Fn::Cidr"),
            ("!If [Nope, 1, 2]", "Here: there is no condition \"Nope\""),
            ("!Sub '${a'", "Here: Fn::Sub is not written as it should be"),
        ] {
            let error = resolve(value).unwrap_err();
            assert!(error.starts_with(complaint), "{value}: {error}");
        }
    }
}
