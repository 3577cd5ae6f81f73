//! Converts `CloudFormation` YAML to JSON: short-form tags (`!Ref`) become their long form (`{"Ref": …}`).

use saphyr::{LoadableYamlNode, Scalar, Tag, Yaml};
use serde_json::{Map, Value};

/// Parses `text`, which must be one YAML document.
pub fn parse(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match documents.as_slice() {
        [document] => json(document),
        _ => Err("expected exactly one YAML document".into()),
    }
}

fn json(yaml: &Yaml<'_>) -> Result<Value, String> {
    match yaml {
        Yaml::Value(scalar) => Ok(json_scalar(scalar)),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(entries) => entries
            .iter()
            .map(|(key, value)| Ok((key_text(key)?, json(value)?)))
            .collect::<Result<Map<_, _>, String>>()
            .map(Value::Object),
        Yaml::Tagged(tag, inner) => Ok(long_form(tag, json(inner)?)),
        other => Err(format!("cannot read this YAML: {other:?}")),
    }
}

fn json_scalar(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(flag) => (*flag).into(),
        Scalar::Integer(number) => (*number).into(),
        Scalar::FloatingPoint(number) => number.into_inner().into(),
        Scalar::String(text) => text.as_ref().into(),
    }
}

fn key_text(key: &Yaml<'_>) -> Result<String, String> {
    match json(key)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => Err(format!("{other} cannot be a key")),
    }
}

fn long_form(tag: &Tag, argument: Value) -> Value {
    let (name, argument) = match (tag.suffix.as_str(), argument) {
        (name @ ("Ref" | "Condition"), argument) => (name.to_owned(), argument),
        ("GetAtt", Value::String(dotted)) => {
            let (resource, attribute) = dotted.split_once('.').unwrap_or((&dotted, ""));
            ("Fn::GetAtt".to_owned(), Value::from(vec![resource, attribute]))
        }
        (name, argument) => (format!("Fn::{name}"), argument),
    };
    Value::Object(Map::from_iter([(name, argument)]))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use serde_json::json;

    #[test]
    fn short_tags_become_their_long_form() {
        let yaml = "a: !Ref X\nb: !GetAtt T.Arn\nc: !If [C, !Sub '${X}', 1]\nd: !Equals {e: true}";
        assert_eq!(
            parse(yaml).unwrap(),
            json!({
                "a": {"Ref": "X"},
                "b": {"Fn::GetAtt": ["T", "Arn"]},
                "c": {"Fn::If": ["C", {"Fn::Sub": "${X}"}, 1]},
                "d": {"Fn::Equals": {"e": true}},
            })
        );
    }

    #[test]
    fn broken_yaml_is_reported_with_its_line() {
        assert!(parse("a: [").unwrap_err().contains("line"));
    }
}
