//! Calls of AWS, and what it did not do.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use futures_util::future::{BoxFuture, FutureExt as _};
use {aws_sdk_dynamodb as dynamodb, aws_sdk_eventbridge as eventbridge, aws_sdk_kms as kms};

use crate::domain::Error;

/// A call that can be made.
pub(crate) trait Call {
    /// What comes of it.
    type Output;

    /// Makes the call. Boxed, as the SDK's futures take many kilobytes, and whatever holds one would be moved with
    /// it; and for each operation by itself, as a future is compiled where it becomes part of another one or is
    /// boxed: this way here, and not in every function anew.
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
    dynamodb::batch_write_item: BatchWriteItemFluentBuilder, BatchWriteItemOutput, BatchWriteItemError;
    dynamodb::delete_item: DeleteItemFluentBuilder, DeleteItemOutput, DeleteItemError;
    dynamodb::transact_write_items: TransactWriteItemsFluentBuilder, TransactWriteItemsOutput, TransactWriteItemsError;
    dynamodb::update_item: UpdateItemFluentBuilder, UpdateItemOutput, UpdateItemError;
    eventbridge::put_events: PutEventsFluentBuilder, PutEventsOutput, PutEventsError;
    kms::get_public_key: GetPublicKeyFluentBuilder, GetPublicKeyOutput, GetPublicKeyError;
    kms::sign: SignFluentBuilder, SignOutput, SignError;
}

/// Whatever AWS did not do is "unavailable": the caller may try again. The text is for the log and
/// holds nothing of what was sent: of AWS's own words only those that speak of permissions and of what
/// does not exist.
pub(crate) fn failure<E, R>(service: &str, error: &SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata,
{
    let code = error.code().unwrap_or(match error {
        SdkError::TimeoutError(_) => "timeout",
        SdkError::DispatchFailure(_) => "no connection",
        _ => "no answer",
    });
    let is_ours = matches!(code, "AccessDeniedException" | "ResourceNotFoundException");
    let message = error.message().filter(|_| is_ours).unwrap_or_default();
    Error::Unavailable(format!("{service}: {code} {message}"))
}
