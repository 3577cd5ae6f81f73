//! Condition and update expressions, with their names and values.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use super::value::{Item, internal, number};
use crate::domain::Error;

/// A condition expression and its values. Attribute names that are reserved words have a `#` before them in the
/// expression.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    expression: String,
    values: Vec<(&'static str, AttributeValue)>,
}

impl Condition {
    /// Returns the condition with this expression and these values.
    pub(crate) fn new<const N: usize>(
        expression: &str,
        values: [(&'static str, AttributeValue); N],
    ) -> Self {
        Self { expression: expression.to_owned(), values: values.into() }
    }

    /// The condition that the item does not exist.
    pub(crate) fn absent() -> Self {
        Self::new("attribute_not_exists(pk)", [])
    }

    /// The condition that the item exists.
    pub(crate) fn present() -> Self {
        Self::new("attribute_exists(pk)", [])
    }

    /// The condition that the item is at this version.
    pub(crate) fn version(version: u64) -> Self {
        Self::new("version = :read_version", [(":read_version", number(version))])
    }

    /// Returns the condition that both conditions hold. The placeholders of their values must differ.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.expression = format!("({}) AND ({})", self.expression, other.expression);
        self.values.extend(other.values);
        self
    }

    pub(super) fn expression(&self) -> &str {
        &self.expression
    }

    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        names(&self.expression)
    }

    pub(super) fn values(&self) -> Option<Item> {
        let values = self.values.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        (!self.values.is_empty()).then(|| values.collect())
    }
}

/// Returns the names in an expression that begin with `#`, each with the attribute name that follows the `#`; `None` if
/// there are none.
pub(crate) fn names(expression: &str) -> Option<HashMap<String, String>> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && !"#_".contains(c));
    let names =
        words.filter_map(|word| Some((word.to_owned(), word.strip_prefix('#')?.to_owned())));
    Some(names.collect()).filter(|names: &HashMap<_, _>| !names.is_empty())
}

/// Returns the path of an element of a map, for a condition or an update. The name must have ASCII letters, digits and
/// `_` only.
pub(crate) fn element(map: &str, name: &str) -> String {
    format!("#{map}.#{name}")
}

/// An update expression, its names and its values. All attribute names are passed separately, as DynamoDB reserves many
/// words.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpdateExpression {
    /// Path of the map element whose attributes are changed, with a dot at its end; empty to change attributes of the
    /// item.
    within: String,
    set: Vec<String>,
    removed: Vec<String>,
    names: Vec<String>,
    values: Item,
}

impl UpdateExpression {
    /// Returns an empty update whose methods change attributes of the element `name` of the map `map`, and
    /// not of the item. The element must exist.
    pub(crate) fn within(map: &str, name: &str) -> Self {
        let (within, names) = (element(map, name) + ".", vec![map.to_owned(), name.to_owned()]);
        Self { within, names, ..Self::default() }
    }

    /// Sets an attribute.
    pub(crate) fn set(self, name: &'static str, value: impl Serialize) -> Result<Self, Error> {
        self.set_to(name, format!(":{name}"), value)
    }

    /// Sets an attribute, unless the item already has it.
    pub(crate) fn set_first(
        self,
        name: &'static str,
        value: impl Serialize,
    ) -> Result<Self, Error> {
        let first = format!("if_not_exists({}, :{name})", self.path(name));
        self.set_to(name, first, value)
    }

    /// Increments an attribute, starting from zero if the item lacks it.
    pub(crate) fn increment(self, name: &'static str) -> Result<Self, Error> {
        self.add(name, 1)
    }

    /// Adds `change` to an attribute, starting from zero if the item lacks it.
    pub(crate) fn add(self, name: &'static str, change: i64) -> Result<Self, Error> {
        let sum = format!("if_not_exists({}, :zero) + :{name}", self.path(name));
        self.set_to(name, sum, change)?.value(":zero".to_owned(), 0)
    }

    /// Adds `change` to an element of a map, starting from zero if the map lacks the element. The map must
    /// exist.
    pub(crate) fn add_in(
        mut self,
        map: &'static str,
        name: &'static str,
        change: i64,
    ) -> Result<Self, Error> {
        let element = element(map, name);
        self.set.push(format!("{element} = if_not_exists({element}, :zero) + :{map}"));
        self.names.extend([map.to_owned(), name.to_owned()]);
        self.value(format!(":{map}"), change)?.value(":zero".to_owned(), 0)
    }

    /// Sets an element of a map. The map must exist.
    pub(crate) fn set_in(
        mut self,
        map: &str,
        name: &str,
        value: impl Serialize,
    ) -> Result<Self, Error> {
        self.set.push(format!("{} = :{map}", element(map, name)));
        self.names.extend([map.to_owned(), name.to_owned()]);
        self.value(format!(":{map}"), value)
    }

    /// Removes an element of a map. The map must exist.
    pub(crate) fn remove_in(mut self, map: &str, name: &str) -> Self {
        self.removed.push(element(map, name));
        self.names.extend([map.to_owned(), name.to_owned()]);
        self
    }

    /// Appends a value to a list, which is created if the item lacks it.
    pub(crate) fn append(self, name: &'static str, value: impl Serialize) -> Result<Self, Error> {
        let list = format!("list_append(if_not_exists({}, :empty), :{name})", self.path(name));
        self.set_to(name, list, [value])?.value(":empty".to_owned(), [(); 0])
    }

    /// Doubles an attribute. If the item lacks the attribute, sets it to twice `first`.
    pub(crate) fn double(self, name: &'static str, first: impl Serialize) -> Result<Self, Error> {
        let current = format!("if_not_exists({}, :{name})", self.path(name));
        self.set_to(name, format!("{current} + {current}"), first)
    }

    /// Sets an attribute to the sum of `value` and the previous value of the attribute `other`, which this update
    /// [doubles](Self::double).
    pub(crate) fn set_after(
        self,
        name: &'static str,
        value: impl Serialize,
        other: &'static str,
    ) -> Result<Self, Error> {
        let sum = format!(":{name} + if_not_exists({}, :{other})", self.path(other));
        self.set_to(name, sum, value)
    }

    /// Sets an attribute to `value`, or removes the attribute if `value` is `None`.
    pub(crate) fn set_or_remove(
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
    pub(crate) fn remove(mut self, names: &[&'static str]) -> Self {
        self.removed.extend(names.iter().map(|name| format!("{}#{name}", self.within)));
        self.names.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// Changes those attributes among `names` in which two states of an item differ: sets what `after` has, and removes
    /// what it lacks. Attributes of other names, such as those of a later version of this program, stay as they are.
    pub(crate) fn between(names: &[&'static str], before: &Item, after: &Item) -> Self {
        let mut update = Self::default();
        for name in names.iter().copied().filter(|name| before.get(*name) != after.get(*name)) {
            update = match after.get(name) {
                Some(value) => update.set_value(name, value.clone()),
                None => update.remove(&[name]),
            };
        }
        update
    }

    /// Whether the update changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }

    fn set_value(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.set.push(format!("{} = :{name}", self.path(name)));
        self.names.push(name.to_owned());
        self.values.insert(format!(":{name}"), value);
        self
    }

    fn set_to(
        mut self,
        name: &'static str,
        expression: String,
        value: impl Serialize,
    ) -> Result<Self, Error> {
        self.set.push(format!("{} = {expression}", self.path(name)));
        self.names.push(name.to_owned());
        self.value(format!(":{name}"), value)
    }

    /// Returns the path of an attribute of the item or, if the update is [`within`](Self::within) a map, of the map's
    /// element.
    fn path(&self, name: &str) -> String {
        format!("{}#{name}", self.within)
    }

    fn value(mut self, name: String, value: impl Serialize) -> Result<Self, Error> {
        let value: AttributeValue = serde_dynamo::to_attribute_value(value).map_err(internal)?;
        self.values.insert(name, value);
        Ok(self)
    }

    pub(super) fn expression(&self) -> String {
        let clause = |verb: &str, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{verb} {} ", parts.join(", ")),
        };
        clause("SET", &self.set) + &clause("REMOVE", &self.removed)
    }

    /// Returns the attribute names of this expression and of `condition`, by their placeholders; `None` if there are
    /// none.
    pub(super) fn names(&self, condition: Option<&Condition>) -> Option<HashMap<String, String>> {
        let names = self.names.iter().map(|name| (format!("#{name}"), name.clone()));
        let others = condition.and_then(Condition::names).unwrap_or_default();
        let names: HashMap<_, _> = names.chain(others).collect();
        (!names.is_empty()).then_some(names)
    }

    /// Returns the values of this expression and of `condition`, by their placeholders; `None` if there are none.
    pub(super) fn values(&self, condition: Option<&Condition>) -> Option<Item> {
        let others = condition.and_then(Condition::values).unwrap_or_default();
        let values: Item = self.values.clone().into_iter().chain(others).collect();
        (!values.is_empty()).then_some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_attributes_that_differ_are_changed() {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let item = |attributes: &[(&str, &str)]| -> Item {
            let attributes = attributes.iter();
            attributes.map(|(name, value)| ((*name).to_owned(), text(value))).collect()
        };
        let before = item(&[("same", "1"), ("changed", "1"), ("gone", "1"), ("unknown", "1")]);
        let after = item(&[("same", "1"), ("changed", "2"), ("new", "1")]);
        let update =
            UpdateExpression::between(&["same", "changed", "gone", "new"], &before, &after);
        assert_eq!(update.expression(), "SET #changed = :changed, #new = :new REMOVE #gone ");
        assert_eq!(update.values(None), Some(item(&[(":changed", "2"), (":new", "1")])));
    }

    #[test]
    fn attributes_of_an_element_are_changed_by_their_paths() {
        let update = UpdateExpression::within("networks", "0a").increment("attempts").unwrap();
        let update = update.remove(&["last_at"]);
        let count = "#networks.#0a.#attempts";
        let expected = format!(
            "SET {count} = if_not_exists({count}, :zero) + :attempts REMOVE #networks.#0a.#last_at "
        );
        assert_eq!(update.expression(), expected);
        let names = update.names(None).unwrap();
        assert_eq!(
            (names.len(), names["#networks"].as_str(), names["#0a"].as_str()),
            (4, "networks", "0a")
        );
        let update = UpdateExpression::default().remove_in("networks", "0a");
        let update = update.set_in("networks", "0b", 7).unwrap();
        assert_eq!(update.expression(), "SET #networks.#0b = :networks REMOVE #networks.#0a ");
    }

    #[test]
    fn names_are_the_words_behind_a_number_sign() {
        let found = names("#status IN (:a, :b) AND (version = :c OR attribute_exists(#name))");
        let expected = [("#status", "status"), ("#name", "name")];
        let expected = expected.map(|(name, attribute)| (name.to_owned(), attribute.to_owned()));
        assert_eq!(found, Some(HashMap::from(expected)));
        assert_eq!(names("version = :c"), None);
    }
}
