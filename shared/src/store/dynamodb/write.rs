//! Single writes, and batches of deletions.

use std::time::Duration;

use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemOutput;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    DeleteRequest, ReturnValue, ReturnValuesOnConditionCheckFailure, WriteRequest,
};

use super::expression::{Condition, UpdateExpression};
use super::tables::{Address, Store, Table};
use super::value::{Item, unavailable};
use crate::domain::Error;
use crate::patience::Tries;
use crate::platform::aws::{Call, dynamodb_failure};

/// Result of a conditional write.
#[derive(Debug)]
pub(crate) enum Write {
    /// The item was written. Holds the item as it is now.
    Written(Item),
    /// The condition did not hold for this item; `None` if the item does not exist.
    Refused(Option<Item>),
}

impl Write {
    /// Returns the item as it is now; `None` if the condition did not hold.
    pub(crate) fn written(self) -> Option<Item> {
        match self {
            Self::Written(item) => Some(item),
            Self::Refused(_) => None,
        }
    }
}

impl Store {
    /// Updates an item on a condition.
    pub(in crate::store) async fn update(
        &self,
        address: Address,
        update: &UpdateExpression,
        condition: &Condition,
    ) -> Result<Write, Error> {
        written(retried(self.update_request(address, update, condition)).await)
    }

    /// Updates an item on a condition, without retries. Fails if DynamoDB takes longer than `limit`.
    pub(in crate::store) async fn update_within(
        &self,
        limit: Duration,
        address: Address,
        update: &UpdateExpression,
        condition: &Condition,
    ) -> Result<Write, Error> {
        let once = Config::builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(limit).build());
        let update = self.update_request(address, update, condition);
        written(Box::pin(update.customize().config_override(once).send()).await)
    }

    fn update_request(
        &self,
        address: Address,
        update: &UpdateExpression,
        condition: &Condition,
    ) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(self.name(address.table))
            .set_key(Some(address.key))
            .update_expression(update.expression())
            .condition_expression(condition.expression())
            .set_expression_attribute_names(update.names(Some(condition)))
            .set_expression_attribute_values(update.values(Some(condition)))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// Puts an item, whatever was there before.
    pub(in crate::store) async fn put(&self, table: Table, item: Item) -> Result<(), Error> {
        let put = self.client.put_item().table_name(self.name(table)).set_item(Some(item));
        retried(put).await.map(drop).map_err(dynamodb_failure)
    }

    /// Deletes an item, which need not exist.
    pub(in crate::store) async fn delete(&self, address: Address) -> Result<(), Error> {
        let delete = self.client.delete_item().table_name(self.name(address.table));
        let delete = delete.set_key(Some(address.key));
        retried(delete).await.map(drop).map_err(dynamodb_failure)
    }

    /// Deletes an item, unless it is gone or the condition does not hold.
    pub(in crate::store) async fn delete_if(
        &self,
        address: Address,
        condition: &Condition,
    ) -> Result<(), Error> {
        let delete = self
            .client
            .delete_item()
            .table_name(self.name(address.table))
            .set_key(Some(address.key))
            .condition_expression(condition.expression())
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values());
        match retried(delete).await {
            Err(error) if !is_refused(&error) => Err(dynamodb_failure(error)),
            _ => Ok(()),
        }
    }

    /// Deletes up to 25 items, which need not exist.
    pub(in crate::store) async fn batch_delete(
        &self,
        table: Table,
        keys: Vec<Item>,
    ) -> Result<(), Error> {
        let delete = |key| -> Result<WriteRequest, Error> {
            let delete =
                DeleteRequest::builder().set_key(Some(key)).build().map_err(unavailable)?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        };
        let mut left: Vec<WriteRequest> = keys.into_iter().map(delete).collect::<Result<_, _>>()?;
        let (table, mut tries) = (self.name(table), Tries::new());
        loop {
            let write = self.client.batch_write_item().request_items(table, left);
            let answer = retried(write).await.map_err(dynamodb_failure)?;
            left = answer.unprocessed_items.unwrap_or_default().remove(table).unwrap_or_default();
            if left.is_empty() {
                return Ok(());
            }
            if !tries.pause().await {
                return Err(unavailable("DynamoDB left deletions unprocessed"));
            }
        }
    }
}

/// Makes a call, and retries it while a transaction is writing the item.
async fn retried<C, O, E, R>(call: C) -> Result<O, SdkError<E, R>>
where
    C: Call<Output = Result<O, SdkError<E, R>>> + Clone,
    E: ProvideErrorMetadata,
{
    let mut tries = Tries::new();
    loop {
        match call.clone().call().await {
            Err(error) if error.code() == Some("TransactionConflictException") => {
                if !tries.pause().await {
                    return Err(error);
                }
            }
            result => return result,
        }
    }
}

fn written<R>(
    result: Result<UpdateItemOutput, SdkError<UpdateItemError, R>>,
) -> Result<Write, Error> {
    match result {
        Ok(answer) => Ok(Write::Written(answer.attributes.unwrap_or_default())),
        Err(SdkError::ServiceError(error))
            if error.err().is_conditional_check_failed_exception() =>
        {
            let UpdateItemError::ConditionalCheckFailedException(refused) = error.into_err() else {
                return Ok(Write::Refused(None));
            };
            Ok(Write::Refused(refused.item.filter(|item| !item.is_empty())))
        }
        Err(error) => Err(dynamodb_failure(error)),
    }
}

fn is_refused<R>(error: &SdkError<DeleteItemError, R>) -> bool {
    let error = error.as_service_error();
    error.is_some_and(DeleteItemError::is_conditional_check_failed_exception)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::super::fake::{Fake, held, written as done};
    use super::*;
    use crate::patience;

    fn address() -> Address {
        Address { table: Table::Accounts, key: HashMap::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn single_writes_wait_for_the_transaction_that_holds_their_item() {
        let (store, fake) = Fake::answering([held(), held(), done(), held(), done()]);
        let update = UpdateExpression::default().increment("count").unwrap();
        let updated = store.update(address(), &update, &Condition::present()).await.unwrap();
        assert!(matches!(updated, Write::Written(_)));
        store.delete(address()).await.unwrap();
        let [update, delete] = ["UpdateItem", "DeleteItem"];
        assert_eq!(fake.operations(), [update, update, update, delete, delete]);
    }

    #[tokio::test(start_paused = true)]
    async fn single_writes_give_up_with_their_request() {
        let (store, _) = Fake::answering([held()]);
        let error = patience::scope(Duration::from_secs(2), store.delete(address())).await;
        assert_eq!(error.unwrap_err().cause(), "DynamoDB: TransactionConflictException");
    }

    #[tokio::test]
    async fn a_limited_update_is_tried_once() {
        let (store, fake) = Fake::answering([held()]);
        let update = UpdateExpression::default().increment("count").unwrap();
        let limit = Duration::from_millis(250);
        let failed = store.update_within(limit, address(), &update, &Condition::present()).await;
        assert!(matches!(failed, Err(Error::Unavailable(_))), "{failed:?}");
        assert_eq!(fake.operations().len(), 1);
    }

    #[tokio::test]
    async fn a_refused_update_returns_the_item_that_refused_it() {
        let error = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
        let found = json!({"__type": error, "Item": {"count": {"N": "7"}}});
        let (store, _) = Fake::answering([(400, found)]);
        let update = UpdateExpression::default().increment("count").unwrap();
        let refused = store.update(address(), &update, &Condition::absent()).await.unwrap();
        let Write::Refused(Some(item)) = refused else { panic!("{refused:?}") };
        assert_eq!(item["count"].as_n().unwrap(), "7");
    }
}
