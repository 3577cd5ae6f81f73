//! A function's policies: which actions it may take on what.

use serde::Deserialize;
use serde_json::Value;

/// What a policy allows. There is no other effect, and nothing that is not written out: whatever else
/// IAM knows is refused when the template is read.
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

/// Which partitions a statement is about.
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

/// A policy written into the template.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Policy {
    #[serde(rename = "Version")]
    _version: Option<String>,
    statement: Vec<Statement>,
}

impl OneOrMany {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let all = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        };
        all.iter().map(String::as_str)
    }
}

impl Condition {
    /// Whether it holds for a call that is about these partitions.
    pub(crate) fn holds(&self, partitions: &[&str]) -> bool {
        let is_like = |partition: &&str| {
            self.string_like.patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => partition.starts_with(beginning),
                None => *partition == pattern,
            })
        };
        // IAM holds this of a call about no partition. There is none here that is allowed anywhere.
        !partitions.is_empty() && partitions.iter().all(is_like)
    }
}

/// The statements of `policies`, SAM's property.
pub(super) fn statements(policies: Value) -> Result<Vec<Statement>, String> {
    let policies = match policies {
        Value::Array(policies) => policies,
        one => vec![one],
    };
    let mut statements = Vec::new();
    for policy in policies {
        let policy: Policy = serde_json::from_value(policy)
            .map_err(|error| format!("the local stack does not play this policy: {error}"))?;
        statements.extend(policy.statement);
    }
    statements.iter().try_for_each(Statement::check)?;
    Ok(statements)
}

impl Statement {
    fn check(&self) -> Result<(), String> {
        let words = self.actions.iter().chain(self.resources.iter());
        let open = words.into_iter().find(|word| word.contains(['*', '?']));
        let patterns = self.condition.iter().flat_map(|one| one.string_like.patterns.iter());
        let odd = |pattern: &&str| pattern.trim_end_matches('*').contains(['*', '?']);
        match open.or(patterns.into_iter().find(odd)) {
            Some(word) => Err(format!("\"{word}\" leaves open what it grants: write it out")),
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
    fn says_what_it_does_not_play() {
        for (policies, complaint) in [
            (json!(["AWSLambdaExecute"]), "this policy: invalid type: string"),
            (json!({"DynamoDBCrudPolicy": {"TableName": "T"}}), "`DynamoDBCrudPolicy`"),
            (policy("Effect", json!("Deny")), "`Deny`"),
            (policy("NotAction", json!("s:Do")), "`NotAction`"),
            (policy("Action", json!(["s:*"])), "\"s:*\" leaves open"),
            (policy("Resource", json!("*")), "\"*\" leaves open"),
            (policy("Condition", json!({"Bool": {"aws:SecureTransport": true}})), "`Bool`"),
            (
                policy(
                    "Condition",
                    json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "*#A"}}),
                ),
                "\"*#A\" leaves open",
            ),
        ] {
            let error = statements(policies.clone()).unwrap_err();
            assert!(error.contains(complaint), "{policies}: {error}");
        }
    }

    #[test]
    fn a_condition_is_about_every_partition_of_a_call() {
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
