//! Calls that read, and what they are answered: read from the bytes in which it was sent.

use std::any::type_name;
use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::operation::batch_get_item::builders::BatchGetItemFluentBuilder;
use aws_sdk_dynamodb::operation::get_item::builders::GetItemFluentBuilder;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, Select};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::attribute::Row;
use super::{Item, failure, string};
use crate::domain::Error;

/// A key, with those of an index if it is a place in one. Keys are text in all of them.
type Place = Row<HashMap<String, String>>;

/// Items by their tables.
pub(super) type Unread = HashMap<String, Vec<UnreadItem>>;

/// An item that is yet to be read.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct UnreadItem(Box<RawValue>);

impl fmt::Debug for UnreadItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnreadItem")
    }
}

impl UnreadItem {
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        read::<Row<T>>(self.0.get()).map(|row| row.0)
    }
}

/// One page of what is looked for, and where the next one starts.
pub(super) async fn query<T: DeserializeOwned>(
    query: QueryFluentBuilder,
) -> Result<(Vec<T>, Option<Item>), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", bound = "T: DeserializeOwned")]
    struct Page<T> {
        items: Vec<Row<T>>,
        last_evaluated_key: Option<Place>,
    }

    let page: Page<T> = answer(query).await?;
    let rows = page.items.into_iter().map(|row| row.0).collect();
    Ok((rows, page.last_evaluated_key.map(item)))
}

/// The first `count` of what is looked for, however many pages that takes.
pub(super) async fn first<T: DeserializeOwned>(
    looked_for: QueryFluentBuilder,
    count: usize,
) -> Result<Vec<T>, Error> {
    let mut rows = Vec::with_capacity(count);
    let mut start = looked_for.get_exclusive_start_key().clone();
    loop {
        let limit = i32::try_from(count - rows.len()).unwrap_or(i32::MAX);
        let page = looked_for.clone().limit(limit).set_exclusive_start_key(start);
        let (found, next) = query(page).await?;
        rows.extend(found);
        start = next;
        if start.is_none() || rows.len() >= count {
            return Ok(rows);
        }
    }
}

/// How many items there are in one page, how many RCU it took to count them, and where the next one starts.
pub(super) async fn count(query: QueryFluentBuilder) -> Result<(u64, f64, Option<Item>), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Counted {
        count: u64,
        consumed_capacity: Consumed,
        last_evaluated_key: Option<Place>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Consumed {
        capacity_units: f64,
    }

    let query = query.select(Select::Count).return_consumed_capacity(ReturnConsumedCapacity::Total);
    let counted: Counted = answer(query).await?;
    let next = counted.last_evaluated_key.map(item);
    Ok((counted.count, counted.consumed_capacity.capacity_units, next))
}

/// An item, if it is there.
pub(super) async fn get<T: DeserializeOwned>(
    get: GetItemFluentBuilder,
) -> Result<Option<T>, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", bound = "T: DeserializeOwned")]
    struct Got<T> {
        item: Option<Row<T>>,
    }

    let got: Got<T> = answer(get).await?;
    Ok(got.item.map(|row| row.0))
}

/// Those items that are there, and the keys that are yet to be asked for.
pub(super) async fn batch_get(
    get: BatchGetItemFluentBuilder,
) -> Result<(Unread, HashMap<String, Vec<Item>>), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Batch {
        responses: Unread,
        #[serde(default)]
        unprocessed_keys: HashMap<String, Keys>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Keys {
        keys: Vec<Place>,
    }

    let batch: Batch = answer(get).await?;
    let keys = |(table, rest): (_, Keys)| (table, rest.keys.into_iter().map(item).collect());
    Ok((batch.responses, batch.unprocessed_keys.into_iter().map(keys).collect()))
}

fn item(Row(place): Place) -> Item {
    place.into_iter().map(|(name, value)| (name, string(value))).collect()
}

async fn answer<A: DeserializeOwned>(call: impl Call) -> Result<A, Error> {
    let answer = Answer::default();
    call.make(answer.clone()).await?;
    let body = answer.0.get().and_then(SdkBody::bytes).unwrap_or_default();
    // Once for all of it is quicker than for each text.
    read(str::from_utf8(body).map_err(|_| unreadable::<A>())?)
}

fn read<A: DeserializeOwned>(json: &str) -> Result<A, Error> {
    serde_json::from_str(json).map_err(|_| unreadable::<A>())
}

/// Why may repeat a value of an item, and is not said.
fn unreadable<A>() -> Error {
    Error::Internal(format!("unreadable {}", type_name::<A>()))
}

/// A call that reads.
trait Call {
    /// Makes the call. Boxed for the reasons that [`crate::platform::aws::Call`] has.
    fn make(self, answer: Answer) -> BoxFuture<'static, Result<(), Error>>;
}

macro_rules! calls {
    ($($builder:ident)*) => {$(
        impl Call for $builder {
            fn make(self, answer: Answer) -> BoxFuture<'static, Result<(), Error>> {
                let call = self.customize().interceptor(answer);
                async move { call.send().await.map(drop).map_err(failure) }.boxed()
            }
        }
    )*};
}

calls! { BatchGetItemFluentBuilder GetItemFluentBuilder QueryFluentBuilder }

/// Takes what is answered before the SDK reads it, and leaves it an empty answer.
#[derive(Clone, Default)]
struct Answer(Arc<OnceLock<SdkBody>>);

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

#[dyn_dispatch_hint]
impl Intercept for Answer {
    fn name(&self) -> &'static str {
        "Answer"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if response.status().is_success() {
            let body = mem::replace(response.body_mut(), SdkBody::from("{}"));
            let _ = self.0.set(body);
        }
        Ok(())
    }
}
