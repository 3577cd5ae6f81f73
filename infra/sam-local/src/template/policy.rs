//! Policies of a function: the actions that it may take, and the resources on which it may take them.

use serde::Deserialize;
use serde_json::Value;

/// A statement that allows actions on resources. Everything else that IAM knows (`Deny`, `NotAction`,
/// wildcards, …) is refused when the template is read.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Statement {
    #[serde(rename = "Effect")]
    _effect: Effect,
    #[serde(rename = "Action")]
    pub(crate) actions: OneOrMany,
    #[serde(rename = "Resource")]
    pub(crate) resources: OneOrMany,
    pub(crate) condition: Option<Condition>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
enum Effect {
    Allow,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A condition that restricts a statement to certain partition keys: `ForAllValues:StringLike` on
/// `dynamodb:LeadingKeys`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    #[serde(rename = "ForAllValues:StringLike")]
    string_like: LeadingKeys,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct LeadingKeys {
    #[serde(rename = "dynamodb:LeadingKeys")]
    patterns: OneOrMany,
}

/// An inline policy: a list of statements.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Policy {
    #[serde(rename = "Version")]
    _version: Option<String>,
    statement: Vec<Statement>,
}

impl OneOrMany {
    /// Iterates over all strings, whether there is one or a list.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let all = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        };
        all.iter().map(String::as_str)
    }
}

impl Condition {
    /// Whether the condition holds for a call that names items with these partition keys.
    pub(crate) fn holds(&self, partitions: &[&str]) -> bool {
        let is_like = |partition: &&str| {
            self.string_like.patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => partition.starts_with(beginning),
                None => *partition == pattern,
            })
        };
        // IAM accepts a call that names no partition; the stack is stricter.
        !partitions.is_empty() && partitions.iter().all(is_like)
    }
}

/// Returns the statements in a value of the SAM property `Policies`.
pub(super) fn statements(policies: Value) -> Result<Vec<Statement>, String> {
    let policies = match policies {
        Value::Array(policies) => policies,
        one => vec![one],
    };
    let mut statements = Vec::new();
    for policy in policies {
        let policy: Policy = serde_json::from_value(policy)
            .map_err(|error| format!("the local stack does not support this policy: {error}"))?;
        statements.extend(policy.statement);
    }
    statements.iter().try_for_each(Statement::check)?;
    Ok(statements)
}

impl Statement {
    fn check(&self) -> Result<(), String> {
        let words = self.actions.iter().chain(self.resources.iter());
        let wildcard = words.into_iter().find(|word| word.contains(['*', '?']));
        let patterns = self.condition.iter().flat_map(|one| one.string_like.patterns.iter());
        let inner_wildcard = |pattern: &&str| pattern.trim_end_matches('*').contains(['*', '?']);
        match wildcard.or(patterns.into_iter().find(inner_wildcard)) {
            Some(word) => Err(format!("\"{word}\" is a wildcard: name what it grants")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::statements;
    use serde_json::{Value, json};

    fn policy(name: &str, value: Value) -> Value {
        let mut statement = json!({"Effect": "Allow", "Action": "s:Do", "Resource": ["arn:one"]});
        statement[name] = value;
        json!([{"Version": "2012-10-17", "Statement": [statement]}])
    }

    #[test]
    fn an_unsupported_policy_is_refused_by_name() {
        for (policies, complaint) in [
            (json!(["AWSLambdaExecute"]), "this policy: invalid type: string"),
            (json!({"DynamoDBCrudPolicy": {"TableName": "T"}}), "`DynamoDBCrudPolicy`"),
            (policy("Effect", json!("Deny")), "`Deny`"),
            (policy("NotAction", json!("s:Do")), "`NotAction`"),
            (policy("Action", json!(["s:*"])), "\"s:*\" is a wildcard"),
            (policy("Resource", json!("*")), "\"*\" is a wildcard"),
            (policy("Condition", json!({"Bool": {"aws:SecureTransport": true}})), "`Bool`"),
            (
                policy(
                    "Condition",
                    json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "*#A"}}),
                ),
                "\"*#A\" is a wildcard",
            ),
        ] {
            let error = statements(policies.clone()).unwrap_err();
            assert!(error.contains(complaint), "{policies}: {error}");
        }
    }

    #[test]
    fn a_condition_holds_only_if_every_partition_matches() {
        let keys = json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["A#*", "ALL"]}});
        let statements = statements(policy("Condition", keys)).unwrap();
        let condition = statements[0].condition.as_ref().unwrap();
        for (partitions, holds) in [
            (&["A#1", "A#2"][..], true),
            (&["ALL"], true),
            (&["A#1", "B#1"], false),
            (&["ALLY"], false),
            (&[], false),
        ] {
            assert_eq!(condition.holds(partitions), holds, "{partitions:?}");
        }
    }
}
