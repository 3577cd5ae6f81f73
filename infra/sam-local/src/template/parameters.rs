//! Parameters of a template, checked as CloudFormation checks them.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use crate::error::Error;

/// Values for a template's parameters, by name. A parameter that is not named has its default.
pub(crate) type Parameters = BTreeMap<String, String>;

/// Returns the value of every parameter that the template declares, as `Ref` resolves it.
///
/// Fails if a value is given for a parameter that is not declared, if a parameter has neither a value nor a
/// default, or if a value violates a constraint.
pub(super) fn values(template: &Value, given: &Parameters) -> Result<Map<String, Value>, Error> {
    let empty = Map::new();
    let declared = template["Parameters"].as_object().unwrap_or(&empty);
    if let Some(name) = given.keys().find(|name| !declared.contains_key(*name)) {
        return Err(Error::new(format!("there is no parameter {name} in the template")));
    }
    let value = |(name, declaration): (&String, &Value)| {
        let value = Declaration(declaration).value(given.get(name));
        let value = value.map_err(|why| Error::new(format!("the parameter {name} {why}")))?;
        Ok((name.clone(), value))
    };
    declared.iter().map(value).collect()
}

/// The declaration of a parameter.
struct Declaration<'a>(&'a Value);

impl Declaration<'_> {
    fn value(&self, given: Option<&String>) -> Result<Value, String> {
        let text = match (given, &self.0["Default"]) {
            (Some(given), _) => given.clone(),
            (None, Value::String(text)) => text.clone(),
            (None, Value::Null) => return Err("has no default and needs a value".to_owned()),
            (None, other) => other.to_string(),
        };
        self.check(&text)?;
        let items = || text.split(',').map(str::trim).collect::<Vec<_>>();
        let is_list = self.kind().starts_with("List<") || self.kind() == "CommaDelimitedList";
        Ok(if is_list { json!(items()) } else { json!(text) })
    }

    fn kind(&self) -> &str {
        self.0["Type"].as_str().unwrap_or_default()
    }

    fn check(&self, text: &str) -> Result<(), String> {
        match self.kind() {
            "Number" => self.check_number(text),
            "List<Number>" => text.split(',').try_for_each(|item| self.check_number(item.trim())),
            "CommaDelimitedList" => {
                text.split(',').try_for_each(|item| self.check_text(item.trim()))
            }
            "" => Err("has no Type".to_owned()),
            // AWS's own types, such as AWS::SSM::Parameter::Value<String>, are text here.
            _ => self.check_text(text),
        }?;
        self.check_allowed(text)
    }

    fn check_number(&self, text: &str) -> Result<(), String> {
        let number: f64 = text.parse().map_err(|_| format!("must be a number, not \"{text}\""))?;
        if let Some(least) = self.limit("MinValue")?
            && number < least
        {
            return self.violated(format!("must be at least {least}, not {text}"));
        }
        if let Some(most) = self.limit("MaxValue")?
            && number > most
        {
            return self.violated(format!("must be at most {most}, not {text}"));
        }
        Ok(())
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        #[expect(clippy::cast_precision_loss, reason = "a parameter has 4096 bytes at most")]
        let length = text.chars().count() as f64;
        if let Some(least) = self.limit("MinLength")?
            && length < least
        {
            return self.violated(format!("must have at least {least} characters"));
        }
        if let Some(most) = self.limit("MaxLength")?
            && length > most
        {
            return self.violated(format!("must have at most {most} characters"));
        }
        let Some(pattern) = self.0["AllowedPattern"].as_str() else { return Ok(()) };
        // The pattern must match the whole value.
        let regex = Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|error| format!("has an AllowedPattern that cannot be read: {error}"))?;
        if regex.is_match(text) {
            return Ok(());
        }
        self.violated(format!("must match {pattern}, and \"{text}\" does not"))
    }

    fn check_allowed(&self, text: &str) -> Result<(), String> {
        let Some(allowed) = self.0["AllowedValues"].as_array() else { return Ok(()) };
        let is_allowed = |value: &Value| match value {
            Value::String(allowed) => allowed == text,
            other => *other.to_string() == *text,
        };
        if allowed.iter().any(is_allowed) {
            return Ok(());
        }
        self.violated(format!("must be one of {}, not \"{text}\"", Value::from(allowed.clone())))
    }

    /// Returns a limit of the declaration, such as `MinValue`, which the template may write as a number or as
    /// text.
    fn limit(&self, name: &str) -> Result<Option<f64>, String> {
        match &self.0[name] {
            Value::Null => Ok(None),
            Value::String(text) => {
                text.parse().map(Some).map_err(|_| format!("has a {name} that is no number"))
            }
            value => Ok(value.as_f64()),
        }
    }

    /// Returns the error for a violated constraint: the parameter's `ConstraintDescription` if it has one, otherwise
    /// `why`.
    fn violated(&self, why: String) -> Result<(), String> {
        let described = self.0["ConstraintDescription"].as_str();
        Err(described.map_or(why, |text| format!("does not satisfy its constraint: {text}")))
    }
}

#[cfg(test)]
mod tests {
    use super::{Parameters, values};
    use serde_json::{Value, json};

    fn value(declaration: Value, given: Option<&str>) -> Result<Value, String> {
        let given = given.map(|value| ("P".to_owned(), value.to_owned()));
        let template = json!({"Parameters": {"P": declaration}});
        let values = values(&template, &given.into_iter().collect());
        values.map(|all| all["P"].clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_parameter_has_the_given_value_or_its_default() {
        let text = || json!({"Type": "String", "Default": "a"});
        assert_eq!(value(text(), None), Ok(json!("a")));
        assert_eq!(value(text(), Some("b")), Ok(json!("b")));
        assert_eq!(value(json!({"Type": "Number", "Default": 30}), None), Ok(json!("30")));
        let list = json!({"Type": "CommaDelimitedList", "Default": "a, b"});
        assert_eq!(value(list, None), Ok(json!(["a", "b"])));
    }

    #[test]
    fn a_value_that_violates_a_constraint_is_refused() {
        let text = |name: &str, limit: Value| json!({"Type": "String", name: limit});
        let number = |name: &str, limit: Value| json!({"Type": "Number", name: limit});
        for (declaration, good, bad, complaint) in [
            (
                text("AllowedValues", json!(["a", "b"])),
                "b",
                "c",
                r#"must be one of ["a","b"], not "c""#,
            ),
            (text("AllowedPattern", json!("[a-z]{1,3}")), "abc", "abc1", "must match [a-z]{1,3}"),
            (text("MinLength", json!(2)), "ab", "a", "must have at least 2 characters"),
            (text("MaxLength", json!("2")), "ab", "abc", "must have at most 2 characters"),
            (number("MinValue", json!(0)), "0", "-1", "must be at least 0, not -1"),
            (number("MaxValue", json!(10)), "10", "10.5", "must be at most 10, not 10.5"),
            (number("AllowedValues", json!([1, 2])), "2", "3", "must be one of [1,2], not \"3\""),
            (json!({"Type": "Number"}), "1.5", "one", "must be a number, not \"one\""),
            (json!({"Type": "List<Number>"}), "1, 2", "1, x", "must be a number, not \"x\""),
        ] {
            assert!(value(declaration.clone(), Some(good)).is_ok(), "{declaration}");
            let error = value(declaration.clone(), Some(bad)).unwrap_err();
            assert!(error.starts_with(&format!("the parameter P {complaint}")), "{error}");
        }
    }

    #[test]
    fn a_default_must_satisfy_the_constraints_too() {
        let declaration = json!({"Type": "Number", "Default": 1, "MinValue": 2});
        let error = value(declaration, None).unwrap_err();
        assert_eq!(error, "the parameter P must be at least 2, not 1");
    }

    #[test]
    fn the_constraint_description_is_the_message() {
        let declaration = json!({
            "Type": "String", "AllowedPattern": "[a-z]+", "ConstraintDescription": "lower case only",
        });
        let error = value(declaration, Some("A")).unwrap_err();
        assert_eq!(error, "the parameter P does not satisfy its constraint: lower case only");
    }

    #[test]
    fn a_parameter_without_a_value_or_a_declaration_is_refused() {
        let error = value(json!({"Type": "String"}), None).unwrap_err();
        assert_eq!(error, "the parameter P has no default and needs a value");
        let given: Parameters = [("Other".to_owned(), "1".to_owned())].into();
        let error = values(&json!({"Parameters": {}}), &given).unwrap_err().to_string();
        assert_eq!(error, "there is no parameter Other in the template");
    }
}
