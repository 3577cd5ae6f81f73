//! Everything an account owns, whatever it is: what the purge reads and deletes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use futures_util::future::try_join;
use futures_util::stream::{self, TryStreamExt as _};

use super::transaction::Condition;
use super::{Item, MAX_TRIES, Store, failure, key, pause, string, text, unavailable};
use crate::domain::event::What;
use crate::domain::owned::Kind;
use crate::domain::{Customer, Error, Id};

/// How many items one batch deletes: DynamoDB's limit.
const BATCH: usize = 25;

/// How many locks are released at the same time: each takes a connection.
const LOCKS_AT_ONCE: usize = 8;

/// Something that an account owns.
#[derive(Clone, Debug)]
pub struct Owned {
    sk: String,
    /// Names the user name's lock of an agent.
    login: Option<String>,
}

impl Owned {
    fn read(item: &Item) -> Result<Self, Error> {
        Ok(Self { sk: text(item, "sk")?, login: text(item, "login").ok() })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.sk.split_once('#').map_or("", |(_, id)| id)
    }

    /// What is said of its deletion, if anything.
    #[must_use]
    pub fn deletion(&self) -> Option<What> {
        Kind::of_sort_key(&self.sk).filter(|kind| kind.is_announced()).map(What::Deleted)
    }
}

impl Store {
    /// The first page of what an account owns: as much as one query reads, 1 MB. Deleting it makes the
    /// next page the first. Empty only if nothing is left.
    pub async fn list_owned(
        &self,
        customer: Id<Customer>,
        consistent: bool,
    ) -> Result<Vec<Owned>, Error> {
        let mut start = None;
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.accounts)
                .consistent_read(consistent)
                .key_condition_expression("pk = :pk AND sk > :root")
                .projection_expression("sk, login")
                .expression_attribute_values(":pk", string(key::partition(customer)))
                .expression_attribute_values(":root", string(key::ROOT))
                .set_exclusive_start_key(start);
            let answer = query.send().await.map_err(failure)?;
            let items = answer.items.unwrap_or_default();
            start = answer.last_evaluated_key;
            // DynamoDB may answer with an empty page and more behind it.
            if !items.is_empty() || start.is_none() {
                return items.iter().map(Owned::read).collect();
            }
        }
    }

    /// Deletes these things of an account. Locks go first: an agent that is left still names its own.
    pub async fn delete_owned(&self, customer: Id<Customer>, owned: &[Owned]) -> Result<(), Error> {
        let locks = owned.iter().filter_map(|owned| owned.login.as_deref());
        let releases = locks.map(|login| self.release_login(customer, login));
        stream::iter(releases.map(Ok))
            .try_for_each_concurrent(LOCKS_AT_ONCE, |release| release)
            .await?;
        let partition = key::partition(customer);
        for batch in owned.chunks(BATCH) {
            let keys = batch.iter().map(|owned| {
                HashMap::from([
                    ("pk".to_owned(), string(&partition)),
                    ("sk".to_owned(), string(&owned.sk)),
                ])
            });
            self.batch_delete(keys.collect()).await?;
        }
        Ok(())
    }

    /// Frees a user name, if it is this account's, and forgets attempts at its password.
    async fn release_login(&self, customer: Id<Customer>, login: &str) -> Result<(), Error> {
        let transaction = self
            .transaction()
            .delete(&key::lock_of_agent(login), Some(&Condition::owned_by(customer)))?;
        let release = async move {
            // Refused means that the name is another account's by now, and its lock must stay.
            transaction.run().await.map(drop)
        };
        let forget = async { self.batch_delete(vec![key::throttle(login).attributes()]).await };
        try_join(release, forget).await.map(drop)
    }

    async fn batch_delete(&self, keys: Vec<Item>) -> Result<(), Error> {
        let delete = |key| -> Result<WriteRequest, Error> {
            let delete =
                DeleteRequest::builder().set_key(Some(key)).build().map_err(unavailable)?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        };
        let mut left: Vec<WriteRequest> = keys.into_iter().map(delete).collect::<Result<_, _>>()?;
        for attempt in 0..MAX_TRIES {
            let write = self.client.batch_write_item().request_items(&self.accounts, left);
            let answer = write.send().await.map_err(failure)?;
            left = answer
                .unprocessed_items
                .unwrap_or_default()
                .remove(&self.accounts)
                .unwrap_or_default();
            if left.is_empty() {
                return Ok(());
            }
            pause(attempt).await;
        }
        Err(Error::Unavailable("DynamoDB left deletions unprocessed".to_owned()))
    }
}
