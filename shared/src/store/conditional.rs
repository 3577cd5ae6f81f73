//! One write on a condition.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValue;

use super::assignment::Assignment;
use super::transaction::Condition;
use super::{Item, MAX_TRIES, Store, failure, pause, unavailable};
use crate::domain::Error;
use crate::platform::aws::Call as _;

impl Store {
    /// Changes an item on a condition. Returns the item as it is then; none if the condition failed,
    /// which is no error.
    pub(super) async fn update_if(
        &self,
        table: &str,
        key: Item,
        change: &Assignment,
        condition: &Condition,
    ) -> Result<Option<Item>, Error> {
        let update = self
            .client
            .update_item()
            .table_name(table)
            .set_key(Some(key))
            .update_expression(change.expression())
            .condition_expression(condition.expression())
            .set_expression_attribute_names(change.names(condition.names()))
            .set_expression_attribute_values(change.values(condition.values()))
            .return_values(ReturnValue::AllNew);
        for attempt in 0..MAX_TRIES {
            let error = match update.clone().call().await {
                Ok(answer) => return Ok(Some(answer.attributes.unwrap_or_default())),
                Err(error) => error,
            };
            match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => return Ok(None),
                // A transaction is just writing the item.
                Some(UpdateItemError::TransactionConflictException(_)) => pause(attempt).await,
                _ => return Err(failure(error)),
            }
        }
        Err(unavailable("an item is written too often"))
    }
}
