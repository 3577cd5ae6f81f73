//! IAM: functions may do what their policies allow, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    ACCOUNT,
    console::Console,
    dynamodb::Caller,
    lock,
    template::{Function, Statement},
};

/// The access key of the account's owner, who may do everything.
pub const OWNER: &str = "owner";

/// What the template's functions may do, and what they did.
pub(crate) struct Permissions {
    policies: BTreeMap<String, Vec<Statement>>,
    console: Arc<Console>,
    used: Mutex<BTreeSet<Permission>>,
    refused: Mutex<BTreeSet<Permission>>,
}

/// One thing that a function may do, or does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Permission {
    /// The function's logical id.
    function: String,
    action: String,
    /// What an ARN says behind the account: `table/AccountsTable/index/due`.
    resource: String,
}

/// Something that a call does.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    /// `dynamodb:PutItem`, …
    pub(crate) action: String,
    /// An ARN.
    pub(crate) resource: String,
    /// The partitions it is about, in `DynamoDB`.
    pub(crate) partitions: Vec<&'a str>,
}

/// Why a call is refused: AWS's name for it, and its words.
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

    /// Whether `caller` may do all of this; the first that it may not is why the call is refused.
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

    /// In AWS's words, and to whoever watches the stack.
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

    /// What is granted, what of it was used, and what was refused.
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
    /// A function that may do these things at these places: tables, or indexes behind their table's name.
    pub(crate) fn of(function: &str, actions: &[&str], places: &[&str]) -> Arc<Self> {
        let arn = |place| format!("arn:aws:dynamodb:{}:{ACCOUNT}:table/{place}", crate::REGION);
        let statement = json!({
            "Effect": "Allow",
            "Action": actions.iter().map(|action| format!("dynamodb:{action}")).collect::<Vec<_>>(),
            "Resource": places.iter().map(arn).collect::<Vec<_>>(),
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
