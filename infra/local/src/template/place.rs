//! A place in the template: what is written there, and how to name it in an error.

use std::borrow::Cow;

use serde_json::Value;

use super::scope::{self, Scope};
use crate::Error;

/// A value of the template that is resolved only when it is read.
pub(super) struct Place<'a> {
    scope: &'a Scope,
    value: &'a Value,
    path: Cow<'a, str>,
}

impl<'a> Place<'a> {
    pub(super) fn new(scope: &'a Scope, value: &'a Value, path: &'a str) -> Self {
        Self { scope, value, path: Cow::Borrowed(path) }
    }

    pub(super) fn error(&self, complaint: impl std::fmt::Display) -> Error {
        Error::at(&self.path, complaint)
    }

    /// What is written under `key`, if anything.
    pub(super) fn get(&self, key: &str) -> Result<Option<Self>, Error> {
        let path = format!("{}.{key}", self.path);
        let Some(value) = self.scope.branch(self.value, &self.path)?.and_then(|v| v.get(key))
        else {
            return Ok(None);
        };
        let value = self.scope.branch(value, &path)?;
        Ok(value.map(|value| Self { scope: self.scope, value, path: path.into() }))
    }

    /// What is written at the end of a path of keys, if anything.
    pub(super) fn find(&self, keys: &[&str]) -> Result<Option<Self>, Error> {
        let start = Self { scope: self.scope, value: self.value, path: self.path.clone() };
        keys.iter().try_fold(Some(start), |place, key| match place {
            Some(place) => place.get(key),
            None => Ok(None),
        })
    }

    pub(super) fn require(&self, key: &str) -> Result<Self, Error> {
        self.get(key)?.ok_or_else(|| self.error(format!("{key} is missing")))
    }

    /// The entries of a map, in alphabetical order.
    pub(super) fn entries(&self) -> Result<Vec<(&'a str, Self)>, Error> {
        let map = self.value.as_object().ok_or_else(|| self.error("expected a map"))?;
        let mut entries = Vec::new();
        for key in map.keys() {
            entries.extend(self.get(key)?.map(|place| (key.as_str(), place)));
        }
        Ok(entries)
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Result<Vec<Self>, Error> {
        let list = self.value.as_array().ok_or_else(|| self.error("expected a list"))?;
        let place = |(i, value)| Self {
            scope: self.scope,
            value,
            path: format!("{}[{i}]", self.path).into(),
        };
        Ok(list.iter().enumerate().map(place).collect())
    }

    pub(super) fn resolved(&self) -> Result<Value, Error> {
        Ok(self.scope.resolve(self.value, &self.path)?.unwrap_or_default())
    }

    pub(super) fn text(&self) -> Result<String, Error> {
        scope::text(&self.resolved()?, &self.path)
    }

    pub(super) fn text_at(&self, key: &str) -> Result<Option<String>, Error> {
        self.get(key)?.map(|place| place.text()).transpose()
    }

    pub(super) fn number_at(&self, key: &str) -> Result<Option<i64>, Error> {
        let parse =
            |place: Self| place.text()?.parse().map_err(|_| place.error("expected a whole number"));
        self.get(key)?.map(parse).transpose()
    }

    pub(super) fn flag_at(&self, key: &str) -> Result<Option<bool>, Error> {
        let parse =
            |place: Self| place.text()?.parse().map_err(|_| place.error("expected true or false"));
        self.get(key)?.map(parse).transpose()
    }

    /// Refuses a property that would change behaviour if it were ignored.
    pub(super) fn refuse(&self, keys: &[&str]) -> Result<(), Error> {
        for key in keys {
            if let Some(place) = self.get(key)? {
                return Err(place.error("is not supported by the local stack"));
            }
        }
        Ok(())
    }
}
