//! Mail that waits to be sent: entries of the outbox that are never published. They have a queue of their own, in the
//! order of the times at which they are due.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::dynamodb::{Condition, Store, Table, Transaction, UpdateExpression, number, to_item};
use super::fields::stored;
use super::key::{self, Key};
use super::queue::QueueCursor;
use super::stored::Stored;
use crate::domain::notice::{Notice, NoticeType, Occasion};
use crate::domain::value::Email;
use crate::domain::{Customer, Erasure, Error, Event, Id, Timestamp};

stored! {
    /// A notice in the outbox: a message to an account's owner about a change of the account. It holds an
    /// e-mail address only if the account no longer has that address, and only until the notice is sent.
    #[derive(Clone, Serialize, Deserialize)]
    pub struct MailEntry {
        /// Key of the item, `MAIL#<event id>#<notice>`.
        pub id: String => Deleted,
        /// The account that the notice is about.
        pub customer_id: Id<Customer> => Deleted,
        /// Type of the notice.
        notice: NoticeType => Deleted,
        /// Time of the event that the notice is about.
        tm_event: Timestamp => Deleted,
        /// Date of deletion that the account had once the event had happened; `None` if no deletion was scheduled.
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_deletion_scheduled: Option<Timestamp> => Deleted,
        /// Time from which the message may be sent.
        not_before: Timestamp => Deleted,
        /// Time at which the message is dropped if it has not been sent.
        tm_until: Timestamp => Deleted,
        /// The former address that the notice is sent to; absent if it is sent to the address that the
        /// account has.
        #[serde(skip_serializing_if = "Option::is_none")]
        mail_to: Option<String> => Deleted personal,
        /// Number of attempts to send the notice.
        #[serde(default)]
        pub attempts: u64 => Deleted,
        due_pk: String => Deleted,
        due_sk: String => Deleted,
        /// When the item expires, in seconds since 1970.
        expires_at: i64 => Deleted,
    }
}

impl fmt::Debug for MailEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailEntry({})", self.id)
    }
}

impl MailEntry {
    fn of(notice: &Notice, event: &Event) -> Self {
        let id = key::mail_id(event.id, notice.notice_type);
        Self {
            customer_id: event.customer,
            notice: notice.notice_type,
            tm_event: notice.tm_event,
            tm_deletion_scheduled: notice.tm_deletion_scheduled,
            not_before: notice.not_before,
            tm_until: notice.until,
            mail_to: notice.to.as_ref().map(|to| to.expose().to_owned()),
            attempts: 0,
            due_pk: key::shard(&key::MAIL, event.id.uuid()).to_owned(),
            due_sk: key::due_mail(notice.not_before, &id),
            expires_at: notice.until.seconds(),
            id,
        }
    }

    /// Returns the notice that is to be sent.
    #[must_use]
    pub fn notice(&self) -> Notice {
        Notice {
            notice_type: self.notice,
            not_before: self.not_before,
            until: self.tm_until,
            tm_event: self.tm_event,
            tm_deletion_scheduled: self.tm_deletion_scheduled,
            to: self.mail_to.clone().map(Email::trusted),
        }
    }
}

impl MailEntry {
    /// Whether the next attempt to send the notice is due at `now`.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        key::is_due(&self.due_sk, now)
    }
}

impl Stored for MailEntry {
    type Attributes = Self;
}

/// An item that is due in the mail queue, by its id in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueItem {
    /// A notice about an event.
    Notice(String),
    /// A mail intent: a request that is answered by mail.
    Intent(String),
    /// A mailed token or a pending sign-up that has expired.
    Expired(String),
}

impl DueItem {
    /// Returns the item with this id, whose prefix tells its type.
    #[must_use]
    pub fn of(id: String) -> Self {
        match id.split_once('#') {
            Some(("INTENT", _)) => Self::Intent(id),
            Some(("TOKEN" | "SIGNUP", _)) => Self::Expired(id),
            _ => Self::Notice(id),
        }
    }
}

/// A page of the mail that is due.
#[derive(Debug)]
pub struct DueMail {
    /// The items, sorted within each partition by the time at which they were due.
    pub items: Vec<DueItem>,
    /// Earliest due time among the items to be sent, leaving out expired tokens, which are only deleted; `None` if
    /// nothing is to be sent.
    pub oldest: Option<Timestamp>,
    /// The cursor of the next page.
    pub next: QueueCursor,
}

/// A notice's entry, its account, and the account's row in the ledger if there is one.
pub type MailAndAccount = (MailEntry, Customer, Option<Erasure>);

/// The condition that the number of attempts to send an entry is still `attempts`: no other function has made
/// one since the entry was read.
pub(super) fn attempted(attempts: u64) -> Condition {
    Condition::new("attempts = :made", [(":made", number(attempts))])
}

/// Returns the update that counts an attempt to send the entry with this id, and makes the next attempt due at `next`.
pub(super) fn claimed(id: &str, next: Timestamp) -> Result<UpdateExpression, Error> {
    UpdateExpression::default().increment("attempts")?.set("due_sk", key::due_mail(next, id))
}

impl Transaction<'_> {
    /// Puts notices into the outbox, if the installation sends mail.
    pub(super) fn notify(mut self, notices: &[Notice], event: &Event) -> Result<Self, Error> {
        if !self.sends_mail() {
            return Ok(self);
        }
        for notice in notices {
            self = self.put(Table::Outbox, to_item(MailEntry::of(notice, event))?, None)?;
        }
        Ok(self)
    }
}

impl Transaction<'_> {
    /// Puts the notices for `occasion`, a change that the account's owner is notified of, into the outbox. Does
    /// nothing if `occasion` is `None`, or if the installation sends no mail.
    pub(super) fn tell(
        self,
        occasion: Option<Occasion>,
        customer: &Customer,
        event: &Event,
    ) -> Result<Self, Error> {
        match occasion {
            Some(occasion) => {
                self.notify(&Notice::on(occasion, customer, customer, event.time), event)
            }
            None => Ok(self),
        }
    }
}

impl Store {
    /// Returns the cursor of the first page of the mail that is due.
    #[must_use]
    pub fn beginning_of_mail() -> QueueCursor {
        QueueCursor::beginning(&key::MAIL)
    }

    /// Returns a page of the mail that is due at `now`.
    pub async fn list_due_mail(
        &self,
        cursor: QueueCursor,
        now: Timestamp,
    ) -> Result<DueMail, Error> {
        #[derive(Deserialize)]
        struct Row {
            id: String,
            due_sk: String,
        }

        let (rows, next) = self.list_queued::<Row>(Table::Outbox, cursor, now).await?;
        let due = |row: Row| {
            let time =
                row.due_sk.split_once('#').and_then(|(time, _)| Timestamp::parse_fixed(time));
            (DueItem::of(row.id), time)
        };
        let rows: Vec<_> = rows.into_iter().map(due).collect();
        let is_mail = |item: &DueItem| !matches!(item, DueItem::Expired(_));
        let oldest =
            rows.iter().filter(|(item, _)| is_mail(item)).filter_map(|(_, time)| *time).min();
        Ok(DueMail { oldest, items: rows.into_iter().map(|(item, _)| item).collect(), next })
    }

    /// Reads a notice's entry with its account and the account's row in the ledger, consistently; `None` if the notice
    /// was sent or dropped since.
    pub async fn get_mail(&self, id: &str) -> Result<Option<MailAndAccount>, Error> {
        let entry: Key<MailEntry> = key::mail(id);
        let Some(entry) = self.get_items(&[entry.untyped()]).await?.get(&entry)? else {
            return Ok(None);
        };
        let (customer, erasure) =
            (key::customer(entry.customer_id), key::erasure(entry.customer_id));
        let items = self.get_items(&[customer.untyped(), erasure.untyped()]).await?;
        let customer = items.get(&customer)?;
        let erasure = items.get(&erasure)?;
        Ok(customer.map(|customer| (entry, customer, erasure)))
    }

    /// Reserves the next attempt to send a notice, so that no two functions make the same one. Returns false
    /// if another function came first. If the function dies during the attempt, the notice is due again at
    /// `next`.
    pub async fn claim_mail(&self, entry: &MailEntry, next: Timestamp) -> Result<bool, Error> {
        self.update_mail(entry, &claimed(&entry.id, next)?).await
    }

    /// Postpones a notice until `until`, without counting an attempt.
    pub async fn postpone_mail(&self, entry: &MailEntry, until: Timestamp) -> Result<(), Error> {
        let waits = UpdateExpression::default().set("due_sk", key::due_mail(until, &entry.id))?;
        self.update_mail(entry, &waits).await.map(drop)
    }

    /// Deletes a notice or a mail intent once it is sent or dropped, and with it the personal data that it
    /// holds.
    pub async fn delete_mail(&self, id: &str) -> Result<(), Error> {
        self.delete(key::mail::<()>(id).address()).await
    }

    async fn update_mail(
        &self,
        entry: &MailEntry,
        change: &UpdateExpression,
    ) -> Result<bool, Error> {
        let key: Key<MailEntry> = key::mail(&entry.id);
        let updated = self.update(key.address(), change, &attempted(entry.attempts)).await?;
        Ok(updated.written().is_some())
    }
}
