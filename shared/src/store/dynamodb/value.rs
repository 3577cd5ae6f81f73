//! DynamoDB items and attribute values.

use std::any::type_name;
use std::collections::HashMap;
use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::Error;

/// An item's attributes by their names.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A text attribute.
pub(crate) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
pub(crate) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Deserializes an item. Attributes for which `T` has no field are ignored, whatever their type.
pub(crate) fn read<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    // serde's own message is dropped, as it may contain a value of the item.
    serde_dynamo::from_item(item)
        .map_err(|_| Error::Internal(format!("unreadable {}", type_name::<T>())))
}

/// Serializes attributes into an item.
pub(crate) fn to_item(attributes: impl Serialize) -> Result<Item, Error> {
    serde_dynamo::to_item(attributes).map_err(internal)
}

/// Returns an internal error, whose cause is a defect of this program.
pub(crate) fn internal(error: impl Display) -> Error {
    Error::Internal(error.to_string())
}

/// Returns the error for a failure of DynamoDB, after which the caller may try again.
pub(crate) fn unavailable(error: impl Display) -> Error {
    Error::Unavailable(error.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use aws_sdk_dynamodb::primitives::Blob;
    use serde::Deserialize;

    use super::*;

    /// Returns values of the DynamoDB types other than text: an item of an unknown kind may have any of them.
    pub(crate) fn any_values() -> Vec<AttributeValue> {
        let text = |text: &str| text.to_owned();
        vec![
            AttributeValue::Ss(vec![text("a"), text("b")]),
            AttributeValue::Ns(vec![text("1"), text("2e100")]),
            AttributeValue::Bs(vec![Blob::new([0])]),
            AttributeValue::B(Blob::new([255])),
            AttributeValue::N(text("12345678901234567890123456789012345678")),
            AttributeValue::N(text("-1.5E-130")),
            AttributeValue::L(vec![
                AttributeValue::Null(true),
                AttributeValue::Ss(vec![text("x")]),
            ]),
            AttributeValue::M(HashMap::from([(text("a"), AttributeValue::Bool(true))])),
            AttributeValue::Bool(false),
            AttributeValue::Null(true),
        ]
    }

    #[test]
    fn attributes_that_are_not_asked_for_may_be_of_any_type() {
        #[derive(Debug, Deserialize)]
        struct Wanted {
            sk: String,
        }

        for value in any_values() {
            let item = Item::from([("sk".to_owned(), string("X#1")), ("more".to_owned(), value)]);
            let wanted: Wanted = read(item.clone()).unwrap_or_else(|_| panic!("{item:?}"));
            assert_eq!(wanted.sk, "X#1");
        }
    }

    #[test]
    fn an_unreadable_item_is_not_repeated_in_the_error() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "it is not read")]
        struct Counter {
            count: u8,
        }

        let item = Item::from([("count".to_owned(), string("secret"))]);
        let error = read::<Counter>(item).unwrap_err();
        assert!(!error.cause().contains("secret"), "{}", error.cause());
    }
}
