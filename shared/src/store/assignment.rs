//! What an update sets and removes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use super::Item;
use crate::domain::Error;

/// What an update sets and removes. Names are given to DynamoDB aside, since many a word is reserved.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    set: Vec<String>,
    removed: Vec<String>,
    names: Vec<&'static str>,
    values: Item,
}

impl Assignment {
    /// Sets an attribute.
    pub(super) fn set(self, name: &'static str, value: impl Serialize) -> Result<Self, Error> {
        self.set_to(name, format!(":{name}"), value)
    }

    /// Sets an attribute that is not there yet.
    pub(super) fn set_first(
        self,
        name: &'static str,
        value: impl Serialize,
    ) -> Result<Self, Error> {
        self.set_to(name, format!("if_not_exists(#{name}, :{name})"), value)
    }

    /// Adds one to an attribute that begins at zero.
    pub(super) fn count(self, name: &'static str) -> Result<Self, Error> {
        self.add(name, 1)
    }

    /// Adds to an attribute that begins at zero.
    pub(super) fn add(self, name: &'static str, change: i64) -> Result<Self, Error> {
        let sum = format!("if_not_exists(#{name}, :zero) + :{name}");
        self.set_to(name, sum, change)?.value(":zero".to_owned(), 0)
    }

    /// Appends to a list that begins empty.
    pub(super) fn append(self, name: &'static str, value: impl Serialize) -> Result<Self, Error> {
        let list = format!("list_append(if_not_exists(#{name}, :empty), :{name})");
        self.set_to(name, list, [value])?.value(":empty".to_owned(), [(); 0])
    }

    /// Doubles an attribute that begins at `first`.
    pub(super) fn double(self, name: &'static str, first: impl Serialize) -> Result<Self, Error> {
        let current = format!("if_not_exists(#{name}, :{name})");
        self.set_to(name, format!("{current} + {current}"), first)
    }

    /// Sets an attribute to `value` and what the attribute `other` was, which this update
    /// [doubles](Self::double).
    pub(super) fn set_after(
        self,
        name: &'static str,
        value: impl Serialize,
        other: &'static str,
    ) -> Result<Self, Error> {
        self.set_to(name, format!(":{name} + if_not_exists(#{other}, :{other})"), value)
    }

    /// Sets an attribute, or removes it.
    pub(super) fn set_or_remove(
        self,
        name: &'static str,
        value: Option<impl Serialize>,
    ) -> Result<Self, Error> {
        match value {
            Some(value) => self.set(name, value),
            None => Ok(self.remove(&[name])),
        }
    }

    /// Removes attributes.
    pub(super) fn remove(mut self, names: &[&'static str]) -> Self {
        self.removed.extend(names.iter().map(|name| format!("#{name}")));
        self.names.extend(names);
        self
    }

    fn set_to(
        mut self,
        name: &'static str,
        expression: String,
        value: impl Serialize,
    ) -> Result<Self, Error> {
        self.set.push(format!("#{name} = {expression}"));
        self.names.push(name);
        self.value(format!(":{name}"), value)
    }

    fn value(mut self, name: String, value: impl Serialize) -> Result<Self, Error> {
        let value: AttributeValue = serde_dynamo::to_attribute_value(value)
            .map_err(|error| Error::Internal(error.to_string()))?;
        self.values.insert(name, value);
        Ok(self)
    }

    /// The update expression.
    pub(super) fn expression(&self) -> String {
        let clause = |verb: &str, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{verb} {} ", parts.join(", ")),
        };
        clause("SET", &self.set) + &clause("REMOVE", &self.removed)
    }

    /// The names that the expression uses, and those of a condition.
    pub(super) fn names(
        &self,
        others: Option<HashMap<String, String>>,
    ) -> Option<HashMap<String, String>> {
        let names = self.names.iter().map(|name| (format!("#{name}"), (*name).to_owned()));
        let names: HashMap<_, _> = names.chain(others.unwrap_or_default()).collect();
        (!names.is_empty()).then_some(names)
    }

    /// The values that the expression uses, and those of a condition.
    pub(super) fn values(&self, others: Option<Item>) -> Option<Item> {
        let values: Item =
            self.values.clone().into_iter().chain(others.unwrap_or_default()).collect();
        (!values.is_empty()).then_some(values)
    }
}
