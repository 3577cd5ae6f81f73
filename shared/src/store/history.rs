//! The history of an account: its events, which the outbox keeps after they are published and delivered.
//!
//! Events that only operators may see are in a partition of their own. If they were filtered out of an
//! owner's pages, pages with fewer rows would reveal that there are such events.

use std::collections::HashMap;

use futures_util::future::try_join_all;
use serde::Deserialize;

use super::dynamodb::{Store, Table, first, page, string};
use super::key;
use super::outbox::ids;
use crate::domain::event::{Audience, EventQuery, PastEvent};
use crate::domain::{Actor, Customer, Error, Event, Id, Page, Timestamp};

/// Maximum number of events that are read for one page of one event type.
const MOST_READ: i32 = 1_000;

/// An event in index `history`.
#[derive(Deserialize)]
struct Row {
    id: Id<Event>,
    #[serde(rename = "type")]
    name: String,
    actor: Actor,
    #[serde(default, with = "serde_bytes")]
    subjects: Vec<u8>,
    hold: Option<String>,
    tm_event: Timestamp,
}

impl From<Row> for PastEvent {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            actor: row.actor,
            subjects: ids(&row.subjects),
            hold: row.hold,
            time: row.tm_event,
        }
    }
}

impl Store {
    /// Returns a page of an account's events, newest first: those that `reader` may see and that are still
    /// kept at `now`.
    ///
    /// If only one event type is asked for, a page may be short or empty although another page follows: it
    /// ends after `MOST_READ` events of any type.
    pub async fn list_history(
        &self,
        customer: Id<Customer>,
        reader: Audience,
        query: EventQuery,
        now: Timestamp,
    ) -> Result<Page<PastEvent>, Error> {
        let page = match query.event_type {
            Some(wanted) if wanted.audience() == Audience::Owner || wanted.audience() == reader => {
                self.list_history_of_type(customer, query, wanted.audience()).await?
            }
            // An owner asks for events that only operators may see.
            Some(_) => Page::empty(),
            None => self.list_whole_history(customer, query, reader).await?,
        };
        Ok(within(page, now.minus(self.event_retention())))
    }

    async fn list_whole_history(
        &self,
        customer: Id<Customer>,
        query: EventQuery,
        reader: Audience,
    ) -> Result<Page<PastEvent>, Error> {
        let partitions: &[_] = match reader {
            Audience::Owner => &[Audience::Owner],
            Audience::Operators => &[Audience::Owner, Audience::Operators],
        };
        let reads = partitions.iter().map(|audience| {
            first::<Row>(self.history(customer, *audience, query.after), query.size + 1)
        });
        let rows = try_join_all(reads).await?.into_iter().flatten();
        let mut rows: Vec<_> = rows.map(PastEvent::from).collect();
        // Ids sort by time.
        rows.sort_by_key(|event| std::cmp::Reverse(event.id.uuid()));
        Ok(Page::cut(rows, query.size, token))
    }

    async fn list_history_of_type(
        &self,
        customer: Id<Customer>,
        query: EventQuery,
        audience: Audience,
    ) -> Result<Page<PastEvent>, Error> {
        let name = query.event_type.map_or("", |wanted| wanted.name());
        let read = self
            .history(customer, audience, query.after)
            .filter_expression("#type = :type")
            .expression_attribute_names("#type", "type")
            .expression_attribute_values(":type", string(name))
            .limit(MOST_READ);
        let (rows, next) = page::<Row>(read).await?;
        let page = Page::cut(rows.into_iter().map(PastEvent::from).collect(), query.size, token);
        let read_to = next.as_ref().and_then(|key| key.get("id")?.as_s().ok().cloned());
        Ok(Page { next: page.next.or(read_to), ..page })
    }

    /// Returns the query for an account's events with this `audience`, newest first, starting after the
    /// event `after`.
    fn history(
        &self,
        customer: Id<Customer>,
        audience: Audience,
        after: Option<Id<Event>>,
    ) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
        let partition = key::history(customer, audience);
        let start = after.map(|id| {
            HashMap::from([
                ("history_pk".to_owned(), string(&partition)),
                ("id".to_owned(), string(id.to_string())),
            ])
        });
        self.query(Table::Outbox)
            .index_name("history")
            .scan_index_forward(false)
            .key_condition_expression("history_pk = :history")
            .expression_attribute_values(":history", string(&partition))
            .set_exclusive_start_key(start)
    }
}

/// Returns the token of the page that starts after this event.
fn token(event: &PastEvent) -> String {
    event.id.to_string()
}

/// Returns the page without events from before `since`: they have expired, but DynamoDB may take a few days
/// to delete them. If the page has such events, it is the last one, because all further events are older.
fn within(page: Page<PastEvent>, since: Timestamp) -> Page<PastEvent> {
    let is_kept = |event: &PastEvent| event.time >= since;
    if page.rows.iter().all(is_kept) {
        return page;
    }
    Page { rows: page.rows.into_iter().filter(is_kept).collect(), next: None }
}
