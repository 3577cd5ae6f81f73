//! Participants' parts in erasures: what each of these systems is asked, and answers. A part is an item beside the
//! account's row in the ledger, in the same partition. A scheduled function asks participants again until they have
//! answered; the parts that it still has to process are in the ledger's sparse index `open`.

use futures_util::future::try_join;
use serde::{Deserialize, Serialize};

use super::dynamodb::{
    Address, CommitResult, Condition, Item, Leg, Store, Table, UpdateExpression, Write, all, first,
    internal, string, to_item,
};
use super::fields::{self, stored};
use super::key::{self, Key};
use super::revise::Update;
use super::stored::{Stored, read};
use crate::domain::error::Entity;
use crate::domain::page::Page;
use crate::domain::participant::ParticipantName;
use crate::domain::participation::{
    Answer, AnswerStatus, Participation, RecordedAnswer, Retained, Waiver,
};
use crate::domain::{Actor, Customer, Erasure, Error, Id, Timestamp};

stored! {
    /// Attributes of the item that stores a participant's part in an erasure.
    #[derive(Serialize, Deserialize)]
    pub struct ParticipationAttributes {
        customer_id: Id<Customer> => Kept,
        round: u64 => Kept,
        name: String => Kept,
        required: bool => Kept,
        tm_ask: Timestamp => Kept,
        tm_deadline: Timestamp => Kept,
        questions: u64 => Kept,
        tm_question: Timestamp => Kept,
        #[serde(skip_serializing_if = "Option::is_none")]
        tm_next: Option<Timestamp> => Kept,
        #[serde(skip_serializing_if = "Option::is_none")]
        answer: Option<AnswerAttributes> => Kept,
        #[serde(skip_serializing_if = "Option::is_none")]
        waiver: Option<WaiverAttributes> => Kept,
        version: u64 => Kept,
    }
}

#[derive(Serialize, Deserialize)]
struct AnswerAttributes {
    status: AnswerStatus,
    found: u64,
    deleted: u64,
    retained: Vec<Retained>,
    detail: String,
    by: Actor,
    tm_answer: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct WaiverAttributes {
    reason: String,
    by: Actor,
    tm_waive: Timestamp,
}

impl From<&RecordedAnswer> for AnswerAttributes {
    fn from(RecordedAnswer { answer, by, tm_answer }: &RecordedAnswer) -> Self {
        let Answer { status, found, deleted, retained, detail } = answer.clone();
        Self { status, found, deleted, retained, detail, by: *by, tm_answer: *tm_answer }
    }
}

impl From<AnswerAttributes> for RecordedAnswer {
    fn from(stored: AnswerAttributes) -> Self {
        let AnswerAttributes { status, found, deleted, retained, detail, by, tm_answer } = stored;
        Self { answer: Answer { status, found, deleted, retained, detail }, by, tm_answer }
    }
}

impl From<&Waiver> for WaiverAttributes {
    fn from(waiver: &Waiver) -> Self {
        Self { reason: waiver.reason.clone(), by: waiver.by, tm_waive: waiver.tm_waive }
    }
}

impl From<WaiverAttributes> for Waiver {
    fn from(stored: WaiverAttributes) -> Self {
        Self { reason: stored.reason, by: stored.by, tm_waive: stored.tm_waive }
    }
}

impl From<&Participation> for ParticipationAttributes {
    fn from(part: &Participation) -> Self {
        Self {
            customer_id: part.customer,
            round: part.round,
            name: part.name.to_string(),
            required: part.required,
            tm_ask: part.tm_ask,
            tm_deadline: part.tm_deadline,
            questions: part.questions,
            tm_question: part.tm_question,
            tm_next: part.tm_next,
            answer: part.answer.as_ref().map(Into::into),
            waiver: part.waiver.as_ref().map(Into::into),
            version: part.version,
        }
    }
}

impl From<ParticipationAttributes> for Participation {
    fn from(stored: ParticipationAttributes) -> Self {
        Self {
            customer: stored.customer_id,
            round: stored.round,
            name: ParticipantName::trusted(stored.name),
            required: stored.required,
            tm_ask: stored.tm_ask,
            tm_deadline: stored.tm_deadline,
            questions: stored.questions,
            tm_question: stored.tm_question,
            tm_next: stored.tm_next,
            answer: stored.answer.map(Into::into),
            waiver: stored.waiver.map(Into::into),
            version: stored.version,
        }
    }
}

impl Stored for Participation {
    type Attributes = ParticipationAttributes;
}

/// A participant's part in an erasure that the scheduled function, which asks participants, still has to process: an
/// entry of the index `open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenPart {
    /// Time at which the scheduled function is to process the part.
    pub tm_next: Timestamp,
    /// The account that is erased.
    pub customer: Id<Customer>,
    /// Round of the erasure: 1 for the account's first erasure, and one more each time it is erased again.
    pub round: u64,
}

impl OpenPart {
    /// Reads an entry from the page token that [`token`](Self::token) made of it; `None` if the text is no
    /// such token.
    #[must_use]
    pub fn cursor(token: &str) -> Option<Self> {
        let (tm_next, customer, round) = key::part_of_entry(&token.replace('~', "#"))?;
        Some(Self { tm_next, customer, round })
    }

    /// Returns the token of the page that starts after this entry.
    #[must_use]
    pub fn token(&self) -> String {
        key::open_entry(self.tm_next, self.customer, self.round).replace('#', "~")
    }
}

impl Store {
    /// Creates the item that records a participant's part in an erasure, and enters it in the index `open`, so that
    /// the participant is asked. Returns false if the item exists already.
    pub async fn insert_participation(&self, part: &Participation) -> Result<bool, Error> {
        let mut attributes = to_item(ParticipationAttributes::from(part))?;
        attributes.extend(open_keys(part));
        let names = [fields::names::<ParticipationAttributes>(), OPEN_KEYS.to_vec()].concat();
        let created = UpdateExpression::between(&names, &Item::new(), &attributes);
        let written = self.update(address(part), &created, &Condition::absent()).await?;
        Ok(written.written().is_some())
    }

    /// Records a participant's answer, which `after` contains, if neither answer nor waiver has changed since
    /// `before` was read.
    pub async fn update_answer(
        &self,
        before: &Participation,
        after: &Participation,
    ) -> Result<Update<Participation>, Error> {
        let unchanged = Condition::version(before.version);
        match self.update(address(before), &recorded(after)?, &unchanged).await? {
            Write::Written(_) => Ok(Update::Written),
            Write::Refused(now) => outdated(now),
        }
    }

    /// Records a waiver (a project admin's decision not to wait for the participant), which `after` contains, like
    /// [`update_answer`](Self::update_answer). Also requires that the caller still has the permission (and session)
    /// with which the request was authorized.
    pub async fn update_waiver(
        &self,
        before: &Participation,
        after: &Participation,
    ) -> Result<Update<Participation>, Error> {
        let unchanged = Condition::version(before.version);
        let transaction = self.transaction().authorized();
        let transaction =
            transaction.update(address(before), &recorded(after)?, Some(&unchanged))?;
        match transaction.run().await? {
            CommitResult::Written => Ok(Update::Written),
            CommitResult::Refused(legs) => outdated(match legs.into_iter().next() {
                Some(Leg::Failed(now)) => now,
                Some(Leg::Held) | None => None,
            }),
        }
    }

    /// Records from `after` when the scheduled function is to process the part next and, if the participant was asked
    /// again, the number and time of its requests. Changes nothing if another run has changed the next time since
    /// `before` was read. Keeps an answer that is recorded meanwhile.
    pub async fn reschedule(
        &self,
        before: &Participation,
        after: &Participation,
    ) -> Result<(), Error> {
        let Some(tm_next) = before.tm_next else { return Ok(()) };
        let changed = UpdateExpression::default()
            .set("questions", after.questions)?
            .set("tm_question", after.tm_question)?
            .set("tm_next", after.tm_next)?
            .set("open_sk", after.tm_next.map(|next| entry(after, next)))?;
        let read = [(":read_open_sk", string(entry(before, tm_next)))];
        let as_read = Condition::new("open_sk = :read_open_sk", read);
        self.update(address(before), &changed, &as_read).await.map(drop)
    }

    /// Takes a part out of the index `open`, so that the scheduled run no longer looks at it.
    pub async fn close_participation(&self, part: &Participation) -> Result<(), Error> {
        let closed = UpdateExpression::default().remove(&["tm_next", "open_pk", "open_sk"]);
        self.update(address(part), &closed, &Condition::present()).await.map(drop)
    }

    /// Returns up to `most` of a participant's parts in the index `open`, starting after the entry `after`,
    /// in the order in which the scheduled run is to look at them. If `until` is given, only parts that are
    /// due by then.
    pub async fn list_open(
        &self,
        name: &ParticipantName,
        after: Option<OpenPart>,
        until: Option<Timestamp>,
        most: usize,
    ) -> Result<Vec<OpenPart>, Error> {
        #[derive(Deserialize)]
        struct Entry {
            open_sk: String,
        }

        let after = after.map_or_else(|| key::OPEN_START.to_owned(), behind);
        let until = until.map_or_else(|| key::OPEN_END.to_owned(), key::due_until);
        let query = self
            .query(Table::Erasures)
            .index_name("open")
            .key_condition_expression(
                "open_pk = :participant AND open_sk BETWEEN :after AND :until",
            )
            .expression_attribute_values(":participant", string(key::open(name)))
            .expression_attribute_values(":after", string(after))
            .expression_attribute_values(":until", string(until));
        let entries: Vec<Entry> = first(query, most).await?;
        let part = |entry: &Entry| {
            let read = key::part_of_entry(&entry.open_sk);
            let (tm_next, customer, round) = read.ok_or_else(|| internal("an unreadable entry"))?;
            Ok(OpenPart { tm_next, customer, round })
        };
        entries.iter().map(part).collect()
    }

    /// Returns a page of a participant's open requests at `now`: its parts in erasures that it has yet to answer,
    /// starting after the entry `after`. A page may have fewer rows than `size` although more follow: parts are left
    /// out that are settled, or that the erasure no longer asks for.
    pub async fn list_requests(
        &self,
        name: &ParticipantName,
        size: usize,
        after: Option<OpenPart>,
        now: Timestamp,
    ) -> Result<Page<Participation>, Error> {
        let entries = self.list_open(name, after, None, size + 1).await?;
        let entries = Page::cut(entries, size, OpenPart::token);
        let keys =
            entries.rows.iter().map(|part| key::participation(part.customer, part.round, name));
        let keys: Vec<_> = keys.collect();
        let untyped: Vec<_> = keys.iter().map(Key::untyped).collect();
        let ledger: Vec<_> =
            entries.rows.iter().map(|part| key::erasure(part.customer).untyped()).collect();
        // Two batches, as each may have as many keys as DynamoDB takes in one.
        let (items, ledger) = try_join(self.get_items(&untyped), self.get_items(&ledger)).await?;
        let mut rows = Vec::new();
        for key in &keys {
            let Some(part) = items.get(key)? else { continue };
            let erasure = ledger.get(&key::erasure(part.customer))?;
            if part.is_open(now) && erasure.is_some_and(|erasure| erasure.asks_for(&part)) {
                rows.push(part);
            }
        }
        Ok(Page { rows, next: entries.next })
    }

    /// Reads an account's row in the ledger, and all participants' parts in erasures of the account, which may have
    /// been erased more than once: the parts of the last erasure come last.
    pub async fn get_erasure_and_parts(
        &self,
        customer: Id<Customer>,
    ) -> Result<(Option<Erasure>, Vec<Participation>), Error> {
        let query = self
            .query(Table::Erasures)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", string(key::partition(customer)));
        let row = key::erasure(customer);
        let (mut erasure, mut parts) = (None, Vec::new());
        for item in all(query).await? {
            if item.get("sk") == Some(&string(&row.sk)) {
                erasure = Some(read(item)?);
            } else {
                parts.push(read(item)?);
            }
        }
        Ok((erasure, parts))
    }
}

/// Returns the update that records the participant's answer and its waiver, if there are any.
fn recorded(part: &Participation) -> Result<UpdateExpression, Error> {
    let ParticipationAttributes { answer, waiver, version, .. } = part.into();
    UpdateExpression::default()
        .set_or_remove("answer", answer)?
        .set_or_remove("waiver", waiver)?
        .set("version", version)
}

/// Returns the result of an update that was refused because another writer came first: the part as it is now,
/// or an error if there is no part.
fn outdated(now: Option<Item>) -> Result<Update<Participation>, Error> {
    let now = now.ok_or(Error::NotFound(Entity::Participation))?;
    Ok(Update::Outdated(Box::new(read(now)?)))
}

/// Attributes that put a part into the index `open`.
const OPEN_KEYS: [&str; 2] = ["open_pk", "open_sk"];

fn open_keys(part: &Participation) -> Item {
    let Some(next) = part.tm_next else { return Item::new() };
    let values = [string(key::open(&part.name)), string(entry(part, next))];
    OPEN_KEYS.into_iter().map(str::to_owned).zip(values).collect()
}

fn entry(part: &Participation, next: Timestamp) -> String {
    key::open_entry(next, part.customer, part.round)
}

/// Returns the lowest sort key after the entry of `part` in the index `open`.
fn behind(part: OpenPart) -> String {
    key::open_entry(part.tm_next, part.customer, part.round) + "\0"
}

fn address(part: &Participation) -> Address {
    key::participation(part.customer, part.round, &part.name).address()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::dynamodb::fake::Fake;

    /// DynamoDB refuses an empty key. The embedded DynamoDB of the tests accepts one, so this test reads the request.
    #[tokio::test]
    async fn no_query_of_open_parts_has_an_empty_key() {
        let (store, fake) = Fake::answering([(200, json!({"Items": [], "Count": 0}))]);
        let name = ParticipantName::parse("carrier").unwrap();
        for (number, until) in [None, Some(Timestamp::MAX)].into_iter().enumerate() {
            assert!(store.list_open(&name, None, until, 1).await.unwrap().is_empty());
            let query = fake.body(number);
            let values = query["ExpressionAttributeValues"].as_object().unwrap();
            let texts: Vec<_> = values.values().map(|value| value["S"].as_str().unwrap()).collect();
            assert_eq!(texts.len(), 3, "{query}");
            assert!(texts.iter().all(|text| !text.is_empty()), "{query}");
        }
    }
}
