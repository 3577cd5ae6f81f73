//! A node of the template: its value, and its path for error messages.

use std::borrow::Cow;

use serde_json::Value;

use super::scope::{self, Scope};
use crate::error::Error;

/// A value in the template. Its intrinsic functions are evaluated when it is read.
pub(super) struct Node<'a> {
    scope: &'a Scope,
    value: &'a Value,
    path: Cow<'a, str>,
}

impl<'a> Node<'a> {
    pub(super) fn new(scope: &'a Scope, value: &'a Value, path: &'a str) -> Self {
        Self { scope, value, path: Cow::Borrowed(path) }
    }

    /// Returns the path, which begins with the resource's logical id: `Fn.Properties.Timeout`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn error(&self, complaint: impl std::fmt::Display) -> Error {
        Error::at(&self.path, complaint)
    }

    /// Returns the child under `key`; `None` if it is absent or `AWS::NoValue`.
    pub(super) fn get(&self, key: &str) -> Result<Option<Self>, Error> {
        let path = format!("{}.{key}", self.path);
        let Some(value) = self.scope.branch(self.value, &self.path)?.and_then(|v| v.get(key))
        else {
            return Ok(None);
        };
        let value = self.scope.branch(value, &path)?;
        Ok(value.map(|value| Self { scope: self.scope, value, path: path.into() }))
    }

    /// Returns the descendant under a path of keys; `None` if it is absent.
    pub(super) fn find(&self, keys: &[&str]) -> Result<Option<Self>, Error> {
        let start = Self { scope: self.scope, value: self.value, path: self.path.clone() };
        keys.iter().try_fold(Some(start), |node, key| match node {
            Some(node) => node.get(key),
            None => Ok(None),
        })
    }

    /// Returns the child under `key`, which must exist.
    pub(super) fn require(&self, key: &str) -> Result<Self, Error> {
        self.get(key)?.ok_or_else(|| self.error(format!("{key} is missing")))
    }

    /// Returns the children of a map, in alphabetical order.
    pub(super) fn entries(&self) -> Result<Vec<(&'a str, Self)>, Error> {
        let map = self.value.as_object().ok_or_else(|| self.error("expected a map"))?;
        let mut entries = Vec::new();
        for key in map.keys() {
            entries.extend(self.get(key)?.map(|node| (key.as_str(), node)));
        }
        Ok(entries)
    }

    /// Returns the items of a list.
    pub(super) fn items(&self) -> Result<Vec<Self>, Error> {
        let list = self.value.as_array().ok_or_else(|| self.error("expected a list"))?;
        let node = |(i, value)| Self {
            scope: self.scope,
            value,
            path: format!("{}[{i}]", self.path).into(),
        };
        Ok(list.iter().enumerate().map(node).collect())
    }

    /// Returns the value with every intrinsic function evaluated.
    pub(super) fn resolved(&self) -> Result<Value, Error> {
        Ok(self.scope.resolve(self.value, &self.path)?.unwrap_or_default())
    }

    /// Returns the value as text.
    pub(super) fn text(&self) -> Result<String, Error> {
        scope::text(&self.resolved()?, &self.path)
    }

    pub(super) fn text_at(&self, key: &str) -> Result<Option<String>, Error> {
        self.get(key)?.map(|node| node.text()).transpose()
    }

    pub(super) fn number_at(&self, key: &str) -> Result<Option<i64>, Error> {
        let parse =
            |node: Self| node.text()?.parse().map_err(|_| node.error("expected a whole number"));
        self.get(key)?.map(parse).transpose()
    }

    pub(super) fn flag_at(&self, key: &str) -> Result<Option<bool>, Error> {
        let parse =
            |node: Self| node.text()?.parse().map_err(|_| node.error("expected true or false"));
        self.get(key)?.map(parse).transpose()
    }

    /// Fails if one of the properties `keys` is set. They are properties that the stack can neither emulate
    /// nor ignore.
    pub(super) fn refuse(&self, keys: &[&str]) -> Result<(), Error> {
        for key in keys {
            if let Some(node) = self.get(key)? {
                return Err(node.error("is not supported by the local stack"));
            }
        }
        Ok(())
    }
}
