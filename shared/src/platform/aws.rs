//! Calls to AWS services, and their failures.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use futures_util::future::{BoxFuture, FutureExt as _};
use {
    aws_sdk_dynamodb as dynamodb, aws_sdk_eventbridge as eventbridge, aws_sdk_kms as kms,
    aws_sdk_sesv2 as ses,
};

use crate::domain::Error;

/// A request of the SDK that is ready to be sent.
pub(crate) trait Call {
    /// Result of the call.
    type Output;

    /// Sends the request. The future is boxed because the SDK's futures are many kilobytes large and would be
    /// moved with whatever holds them. It is boxed here, once per operation, so that it is compiled in this
    /// crate only and not again in every function.
    fn call(self) -> BoxFuture<'static, Self::Output>;
}

macro_rules! calls {
    ($($sdk:ident::$operation:ident: $builder:ident, $output:ident, $error:ident;)*) => {$(
        impl Call for $sdk::operation::$operation::builders::$builder {
            type Output = Result<
                $sdk::operation::$operation::$output,
                SdkError<$sdk::operation::$operation::$error>,
            >;

            fn call(self) -> BoxFuture<'static, Self::Output> {
                self.send().boxed()
            }
        }
    )*};
}

calls! {
    dynamodb::batch_get_item: BatchGetItemFluentBuilder, BatchGetItemOutput, BatchGetItemError;
    dynamodb::batch_write_item: BatchWriteItemFluentBuilder, BatchWriteItemOutput, BatchWriteItemError;
    dynamodb::delete_item: DeleteItemFluentBuilder, DeleteItemOutput, DeleteItemError;
    dynamodb::get_item: GetItemFluentBuilder, GetItemOutput, GetItemError;
    dynamodb::put_item: PutItemFluentBuilder, PutItemOutput, PutItemError;
    dynamodb::query: QueryFluentBuilder, QueryOutput, QueryError;
    dynamodb::transact_get_items: TransactGetItemsFluentBuilder, TransactGetItemsOutput, TransactGetItemsError;
    dynamodb::transact_write_items: TransactWriteItemsFluentBuilder, TransactWriteItemsOutput, TransactWriteItemsError;
    dynamodb::update_item: UpdateItemFluentBuilder, UpdateItemOutput, UpdateItemError;
    eventbridge::put_events: PutEventsFluentBuilder, PutEventsOutput, PutEventsError;
    kms::get_public_key: GetPublicKeyFluentBuilder, GetPublicKeyOutput, GetPublicKeyError;
    kms::sign: SignFluentBuilder, SignOutput, SignError;
    ses::send_email: SendEmailFluentBuilder, SendEmailOutput, SendEmailError;
}

/// Returns the error for a failed call to DynamoDB; see [`failure`].
pub(crate) fn dynamodb_failure<E: ProvideErrorMetadata, R>(error: SdkError<E, R>) -> Error {
    failure("DynamoDB", &error)
}

/// Returns the error for a failed call to `service`: [`Error::Unavailable`], so that the caller may try again. Its
/// cause names AWS's error code. AWS's message is added only for errors about permissions or missing resources, as
/// other messages may repeat the content of the request.
pub(crate) fn failure<E, R>(service: &str, error: &SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata,
{
    let code = error.code().unwrap_or(match error {
        SdkError::TimeoutError(_) => "timeout",
        SdkError::DispatchFailure(_) => "no connection",
        _ => "no answer",
    });
    let is_printable = matches!(code, "AccessDeniedException" | "ResourceNotFoundException");
    let message = error.message().filter(|_| is_printable).unwrap_or_default();
    Error::Unavailable(format!("{service}: {code} {message}").trim_end().to_owned())
}
