//! IAM: functions may do what their policies allow, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    aws::ACCOUNT,
    console::Console,
    sync::lock,
    template::{Function, Statement},
};

/// Access key id of the AWS account's owner, who may do everything.
pub const OWNER: &str = "owner";

/// The caller of an emulated AWS service, as its credentials identify it.
pub(crate) struct Caller {
    /// Logical id of the function, or [`OWNER`].
    pub(crate) function: String,
    /// Id of the function's process.
    pub(crate) process: String,
}

/// Permissions of the template's functions, and which of them were used.
pub(crate) struct Permissions {
    policies: BTreeMap<String, Vec<Statement>>,
    console: Arc<Console>,
    used: Mutex<BTreeSet<Permission>>,
    refused: Mutex<BTreeSet<Permission>>,
}

/// An action on a resource that a function was granted, has used, or was refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Permission {
    /// The function's logical id.
    function: String,
    action: String,
    /// The resource part of the ARN: `table/Orders/index/open`.
    resource: String,
}

/// An action on a resource for which the caller needs permission.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    /// The action, such as `dynamodb:PutItem`.
    pub(crate) action: String,
    /// ARN of the resource.
    pub(crate) resource: String,
    /// Partition keys of the items that a `DynamoDB` call names; empty for other services.
    pub(crate) partitions: Vec<&'a str>,
}

/// A refusal: AWS's error code and message.
#[derive(Debug)]
pub(crate) struct Denied(pub(crate) &'static str, pub(crate) String);

impl Permissions {
    pub(crate) fn new(functions: &[Function], console: Arc<Console>) -> Arc<Self> {
        let policy = |one: &Function| (one.id.clone(), one.statements.clone());
        Arc::new(Self {
            policies: functions.iter().map(policy).collect(),
            console,
            used: Mutex::default(),
            refused: Mutex::default(),
        })
    }

    /// Checks that `caller` may take all of these actions. Fails for the first that is not allowed.
    pub(crate) fn check(
        &self,
        caller: Option<&Caller>,
        accesses: &[Access<'_>],
    ) -> Result<(), Denied> {
        let caller = caller.ok_or_else(|| {
            let message = "Missing Authentication Token".to_owned();
            Denied("MissingAuthenticationTokenException", message)
        })?;
        if caller.function == OWNER {
            return Ok(());
        }
        let statements = self.policies.get(&caller.function).ok_or_else(|| {
            let message = "The security token included in the request is invalid.".to_owned();
            Denied("UnrecognizedClientException", message)
        })?;
        for access in accesses {
            let permission = Permission::new(&caller.function, &access.action, &access.resource);
            if !statements.iter().any(|statement| statement.allows(access)) {
                lock(&self.refused).insert(permission);
                return Err(self.denied(&caller.function, access));
            }
            lock(&self.used).insert(permission);
        }
        Ok(())
    }

    /// Returns the refusal in AWS's wording, and writes it to the console.
    fn denied(&self, function: &str, access: &Access<'_>) -> Denied {
        let Access { action, resource, .. } = access;
        let message = format!(
            "User: arn:aws:sts::{ACCOUNT}:assumed-role/{function}Role/{function} is not authorized to \
             perform: {action} on resource: {resource} because no identity-based policy allows the \
             {action} action"
        );
        self.console.say(&message);
        Denied("AccessDeniedException", message)
    }

    /// Returns the permissions that were granted, used and refused, in JSON.
    pub(crate) fn report(&self) -> Value {
        json!({"granted": self.granted(), "used": *lock(&self.used), "refused": *lock(&self.refused)})
    }

    fn granted(&self) -> BTreeSet<Permission> {
        let mut granted = BTreeSet::new();
        for (function, statements) in &self.policies {
            for statement in statements {
                for resource in statement.resources.iter() {
                    let grant = |action| Permission::new(function, action, resource);
                    granted.extend(statement.actions.iter().map(grant));
                }
            }
        }
        granted
    }
}

impl Permission {
    fn new(function: &str, action: &str, arn: &str) -> Self {
        let resource = arn.splitn(6, ':').nth(5).unwrap_or(arn).to_owned();
        Self { function: function.to_owned(), action: action.to_owned(), resource }
    }
}

impl Statement {
    fn allows(&self, access: &Access<'_>) -> bool {
        self.actions.iter().any(|action| action == access.action)
            && self.resources.iter().any(|resource| resource == access.resource)
            && self.condition.as_ref().is_none_or(|condition| condition.holds(&access.partitions))
    }
}

#[cfg(test)]
impl Permissions {
    /// Returns the permissions of a function for these actions on these tables and indexes.
    pub(crate) fn of(function: &str, actions: &[&str], resources: &[&str]) -> Arc<Self> {
        let arn = |resource: &&str| crate::aws::arn("dynamodb", &format!("table/{resource}"));
        let statement = json!({
            "Effect": "Allow",
            "Action": actions.iter().map(|action| format!("dynamodb:{action}")).collect::<Vec<_>>(),
            "Resource": resources.iter().map(arn).collect::<Vec<_>>(),
        });
        let statements = vec![serde_json::from_value(statement).unwrap()];
        Arc::new(Self {
            policies: BTreeMap::from([(function.to_owned(), statements)]),
            console: Arc::new(Console::new(false, 0)),
            used: Mutex::default(),
            refused: Mutex::default(),
        })
    }
}
