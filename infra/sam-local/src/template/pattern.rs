//! `EventBridge` event patterns, as rules and stream filters use them.

use serde_json::{Map, Value};

/// A parsed event pattern. Each field that it names must meet one of the field's conditions.
#[derive(Debug)]
pub(crate) struct Pattern(Vec<(String, Field)>);

#[derive(Debug)]
enum Field {
    Nested(Pattern),
    AnyOf(Vec<Condition>),
    /// `$or`: the object that contains this field must match one of these patterns.
    Either(Vec<Pattern>),
}

#[derive(Debug)]
enum Condition {
    Equals(Value),
    EqualsIgnoringCase(String),
    Prefix(String),
    Suffix(String),
    Exists(bool),
    Numeric(Vec<(Comparison, f64)>),
    Not(Vec<Condition>),
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Pattern {
    /// Parses a pattern. Fails if it has a condition that the stack does not support; the message names the
    /// condition.
    pub(crate) fn parse(pattern: &Value) -> Result<Self, String> {
        let fields =
            pattern.as_object().ok_or("expected a map of fields to lists of conditions")?;
        let fields =
            fields.iter().map(|(name, value)| Ok((name.clone(), Field::parse(name, value)?)));
        fields.collect::<Result<_, String>>().map(Self)
    }

    /// Whether `event` matches the pattern.
    pub(crate) fn matches(&self, event: &Value) -> bool {
        self.0.iter().all(|(name, field)| match field {
            Field::Either(patterns) => patterns.iter().any(|pattern| pattern.matches(event)),
            Field::Nested(pattern) => pattern.matches(event.get(name).unwrap_or(&Value::Null)),
            Field::AnyOf(conditions) => conditions.iter().any(|one| one.holds(event.get(name))),
        })
    }
}

impl Field {
    fn parse(name: &str, value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(patterns) if name == "$or" => {
                patterns.iter().map(Pattern::parse).collect::<Result<_, _>>().map(Self::Either)
            }
            Value::Array(conditions) => {
                conditions.iter().map(Condition::parse).collect::<Result<_, _>>().map(Self::AnyOf)
            }
            Value::Object(_) => Pattern::parse(value).map(Self::Nested),
            _ => Err(format!("{name} must be a list of conditions")),
        }
    }
}

impl Condition {
    fn parse(value: &Value) -> Result<Self, String> {
        let Some(map) = value.as_object() else {
            return Ok(Self::Equals(value.clone()));
        };
        let unknown = || format!("the local stack does not support the condition {value}");
        match only_entry(map).ok_or_else(unknown)? {
            ("prefix", Value::String(text)) => Ok(Self::Prefix(text.clone())),
            ("suffix", Value::String(text)) => Ok(Self::Suffix(text.clone())),
            ("equals-ignore-case", Value::String(text)) => {
                Ok(Self::EqualsIgnoringCase(text.to_lowercase()))
            }
            ("exists", Value::Bool(wanted)) => Ok(Self::Exists(*wanted)),
            ("anything-but", Value::Array(several)) => {
                several.iter().map(Self::parse).collect::<Result<_, _>>().map(Self::Not)
            }
            ("anything-but", one) => Ok(Self::Not(vec![Self::parse(one)?])),
            ("numeric", Value::Array(parts)) => {
                comparisons(parts).map(Self::Numeric).ok_or_else(unknown)
            }
            _ => Err(unknown()),
        }
    }

    fn holds(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Exists(wanted), value) => value.is_some() == *wanted,
            (_, None) => false,
            // For a list, one element that meets the condition is enough.
            (_, Some(Value::Array(items))) => items.iter().any(|item| self.holds_for(item)),
            (_, Some(value)) => self.holds_for(value),
        }
    }

    fn holds_for(&self, value: &Value) -> bool {
        let text = value.as_str();
        match self {
            Self::Equals(wanted) => value == wanted,
            Self::EqualsIgnoringCase(wanted) => text.is_some_and(|t| t.to_lowercase() == *wanted),
            Self::Prefix(start) => text.is_some_and(|text| text.starts_with(start)),
            Self::Suffix(end) => text.is_some_and(|text| text.ends_with(end)),
            Self::Exists(wanted) => *wanted,
            Self::Numeric(tests) => value
                .as_f64()
                .is_some_and(|number| tests.iter().all(|(test, limit)| test.holds(number, *limit))),
            Self::Not(conditions) => !conditions.iter().any(|one| one.holds_for(value)),
        }
    }
}

impl Comparison {
    fn parse(sign: &Value) -> Option<Self> {
        match sign.as_str()? {
            "<" => Some(Self::Less),
            "<=" => Some(Self::AtMost),
            "=" => Some(Self::Equal),
            ">=" => Some(Self::AtLeast),
            ">" => Some(Self::More),
            _ => None,
        }
    }

    fn holds(self, number: f64, limit: f64) -> bool {
        match self {
            Self::Less => number < limit,
            Self::AtMost => number <= limit,
            Self::Equal => number.total_cmp(&limit).is_eq(),
            Self::AtLeast => number >= limit,
            Self::More => number > limit,
        }
    }
}

fn only_entry(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (key, value) = map.iter().next()?;
    (map.len() == 1).then_some((key.as_str(), value))
}

fn comparisons(parts: &[Value]) -> Option<Vec<(Comparison, f64)>> {
    let pair = |pair: &[Value]| match pair {
        [sign, limit] => Some((Comparison::parse(sign)?, limit.as_f64()?)),
        _ => None,
    };
    parts.chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::Pattern;
    use serde_json::{Value, json};

    #[test]
    fn a_pattern_matches_as_in_eventbridge() {
        let event = json!({
            "source": "shop", "detail-type": "order_deleted", "resources": ["a", "b"],
            "detail": {"n": 5, "name": "Ann", "flag": true, "nothing": null},
        });
        let matches = |pattern: Value| Pattern::parse(&pattern).unwrap().matches(&event);
        for pattern in [
            json!({}),
            json!({"source": ["other", "shop"], "detail-type": ["order_deleted"]}),
            json!({"detail-type": [{"prefix": "order_"}]}),
            json!({"detail-type": [{"suffix": "_deleted"}]}),
            json!({"resources": ["b"]}),
            json!({"detail": {"n": [5], "flag": [true], "nothing": [null]}}),
            json!({"detail": {"n": [{"numeric": [">", 0, "<=", 5]}]}}),
            json!({"detail": {"name": [{"equals-ignore-case": "ANN"}]}}),
            json!({"detail": {"name": [{"anything-but": ["Bob", "Eve"]}]}}),
            json!({"detail": {"name": [{"anything-but": {"prefix": "B"}}]}}),
            json!({"detail": {"n": [{"exists": true}], "m": [{"exists": false}]}}),
            json!({"absent": {"inner": [{"exists": false}]}}),
            json!({"$or": [{"source": ["no"]}, {"detail": {"n": [5]}}]}),
        ] {
            assert!(matches(pattern.clone()), "{pattern}");
        }
        for pattern in [
            json!({"source": ["sho"]}),
            json!({"source": ["shop"], "detail-type": ["other"]}),
            json!({"detail": {"n": ["5"]}}),
            json!({"detail": {"n": [{"numeric": [">", 5]}]}}),
            json!({"detail": {"name": [{"anything-but": "Ann"}]}}),
            json!({"detail": {"m": [{"anything-but": "Ann"}]}}),
            json!({"detail": {"m": [{"exists": true}]}}),
            json!({"absent": ["x"]}),
        ] {
            assert!(!matches(pattern.clone()), "{pattern}");
        }
    }

    #[test]
    fn an_unsupported_condition_is_refused_by_name() {
        for (pattern, complaint) in [
            (json!([]), "expected a map"),
            (json!({"source": "shop"}), "source must be a list of conditions"),
            (
                json!({"a": [{"cidr": "10.0.0.0/8"}]}),
                "the local stack does not support the condition",
            ),
            (
                json!({"a": [{"numeric": ["~", 1]}]}),
                "the local stack does not support the condition",
            ),
        ] {
            assert!(Pattern::parse(&pattern).unwrap_err().starts_with(complaint), "{pattern}");
        }
    }
}
