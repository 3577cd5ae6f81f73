//! Refuses queries whose key condition compares with an empty string.
//!
//! `DynamoDB` refuses such queries, since no key is empty; the embedded emulator accepts them.

use dynoxide::DynoxideError;

use super::request::Request;

/// Refuses a query whose key condition has an empty string among its values, as DynamoDB does.
pub(super) fn check(request: &Request<'_>) -> Result<(), DynoxideError> {
    let condition = request.body["KeyConditionExpression"].as_str().unwrap_or_default();
    let values = &request.body["ExpressionAttributeValues"];
    let words = condition.split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)));
    let mut named = words.filter(|word| word.starts_with(':'));
    if named.any(|name| values[name]["S"] == "") {
        return Err(DynoxideError::ValidationException(
            "One or more parameter values are not valid. The AttributeValue for a key attribute \
             cannot contain an empty string value."
                .to_owned(),
        ));
    }
    Ok(())
}
