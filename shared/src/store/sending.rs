//! Limits on sending mail: addresses that get no mail for a while, and the number of messages within an hour.

use super::dynamodb::{Condition, Store, UpdateExpression, number, read, string};
use super::key;
use crate::domain::brake::Hour;
use crate::domain::undeliverable::Undeliverable;
use crate::domain::value::Email;
use crate::domain::{Error, Timestamp};

impl Store {
    /// Records that an address gets no mail for a while, as a message to it bounced or was marked as spam (a
    /// complaint). A complaint stands until it expires: neither a bounce nor another complaint replaces it.
    pub async fn record_undeliverable(
        &self,
        email: &Email,
        undeliverable: Undeliverable,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(key) = key::undeliverable(email) else { return Ok(()) };
        let recorded = UpdateExpression::default()
            .set("reason", undeliverable.reason)?
            .set("tm", undeliverable.tm)?
            .set("expires_at", undeliverable.until().seconds())?;
        let is_weaker = Condition::new(
            "attribute_not_exists(pk) OR #reason <> :complained OR expires_at <= :now",
            [(":complained", string("complained")), (":now", number(now.seconds()))],
        );
        self.update(key.address(), &recorded, &is_weaker).await.map(drop)
    }

    /// Returns why an address gets no mail at `now`; `None` if it does get mail, or if `email` is no valid
    /// address.
    pub async fn get_undeliverable(
        &self,
        email: &Email,
        now: Timestamp,
    ) -> Result<Option<Undeliverable>, Error> {
        let Some(key) = key::undeliverable(email) else { return Ok(None) };
        let items = self.get_items(&[key.untyped()]).await?;
        let found: Option<Undeliverable> = items.find(&key).cloned().map(read).transpose()?;
        Ok(found.filter(|undeliverable| undeliverable.until() > now))
    }

    /// Deletes the record that an address gets no mail.
    pub async fn clear_undeliverable(&self, email: &Email) -> Result<(), Error> {
        match key::undeliverable(email) {
            Some(key) => self.delete(key.address()).await,
            None => Ok(()),
        }
    }

    /// Counts a message that is about to be sent. Returns false if `per_hour` messages were counted within the hour
    /// already.
    pub async fn count_message(&self, per_hour: u64, now: Timestamp) -> Result<bool, Error> {
        let hour = Hour::of(now);
        let counted = UpdateExpression::default()
            .increment("messages")?
            .set("expires_at", hour.expires_at())?;
        let below = Condition::new(
            "attribute_not_exists(messages) OR messages < :most",
            [(":most", number(per_hour))],
        );
        let counted = self.update(key::messages(hour).address(), &counted, &below).await?;
        Ok(counted.written().is_some())
    }
}
