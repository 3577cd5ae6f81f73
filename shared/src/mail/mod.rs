//! Mail: notifies owners of changes to their accounts, and carries out mail intents: requests that are
//! answered by mail, such as a sign-up or a forgotten password.
//!
//! The transaction that changes an account also writes the notices about the change to the outbox table; a
//! request that is answered by mail writes its intent there. The table's stream starts a run of the sender
//! for new entries, and a schedule starts one for everything that is due. A notice that is no longer true is
//! dropped. A run claims an attempt by a conditional write before it sends, so two runs never make the same
//! attempt. If a run dies after that, the next attempt may send the message a second time. Nothing is sent to
//! an address that bounced or complained, and a breaker limits the messages per hour. The sender also deletes
//! expired tokens.

mod breaker;
mod feedback;
mod intent;
mod message;

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::ProvideErrorMetadata as _;
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message as Simple};
use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;

use crate::app::{App, Build};
use crate::domain::notice::{Judgement, NoticeType, RECEIPT_WAIT};
use crate::domain::value::Email;
use crate::domain::{Customer, Error, Id, Timestamp};
use crate::platform::aws::{self, Call as _};
use crate::platform::log::{Cause, LogEntry};
use crate::platform::metrics::Metric;
use crate::platform::{Deadline, config, metrics, sdk};
use crate::store::Store;
use crate::store::mail::DueItem;
use breaker::Breaker;
pub use feedback::Feedback;
use message::{Message, Proof};

/// Maximum number of messages that a run sends at the same time.
const CONCURRENT_MESSAGES: usize = 4;

/// Context of the function that sends mail: store, SES client and settings.
#[derive(Debug)]
pub struct Mailer {
    /// Store, clock and randomness.
    pub app: App,
    client: Client,
    /// The address that mail is sent from; `None` if the installation sends no mail.
    from: Option<String>,
    /// Base URL at which clients reach the API; empty if none is configured.
    public_url: String,
    /// Name of the SES configuration set that publishes bounces and complaints; `None` if there is none.
    configuration_set: Option<String>,
    /// Maximum number of messages within an hour; `None` if there is no limit.
    per_hour: Option<u64>,
}

impl Build for Mailer {
    fn build() -> Result<Self, Error> {
        let client = Client::from_conf(sdk::ses_config()?);
        Ok(Self {
            public_url: config::optional("PUBLIC_URL").unwrap_or_default(),
            configuration_set: config::mail_configuration_set(),
            per_hour: config::mail_per_hour()?,
            ..Self::new(App::build()?, client, config::mail_from())
        })
    }
}

/// Result of one run of the function that sends mail.
#[derive(Debug, Default, Serialize)]
pub struct MailRun {
    /// Number of messages that SES has accepted.
    pub sent: u64,
    /// Number of notices and intents that were dropped unsent: no longer true, too old, without an address to
    /// send to, or replaced by other intents.
    pub dropped: u64,
    /// Number of messages that were dropped because their address bounced or complained.
    pub suppressed: u64,
    /// Number of mails that wait for a receipt: the last mail to the owner of a deleted account contains the
    /// receipt of the erasure.
    pub waiting: u64,
    /// Number of attempts that failed.
    pub failed: u64,
    /// Number of messages that were given up after a failed attempt, which counts in `failed` too.
    pub given_up: u64,
    /// Number of tokens and pending sign-ups that had expired and were deleted.
    pub expired: u64,
    /// How long the longest-waiting message has been due, in seconds.
    pub oldest_overdue_seconds: u64,
    /// Whether the hour's limit of messages is used up; what is due waits for the next hour.
    pub breaker_open: bool,
    /// Whether the run stopped at its deadline and left work for the next run.
    pub unfinished: bool,
}

/// Result of handling one due item: a notice, an intent or an expired token.
enum Disposition {
    Sent,
    Dropped,
    Suppressed,
    Waiting,
    Failed,
    GivenUp,
    Expired,
    /// Left for the next run, as the deadline is near.
    Unfinished,
    /// Nothing done: another run was faster, or no more may be sent within the hour.
    NotDue,
}

/// Why SES has not accepted a message.
struct Refusal {
    error: Error,
    /// Whether SES refused the message for good, so that no other attempt is made.
    is_final: bool,
}

/// Sends the mail that is due, until none is left or `deadline` is near. Does nothing if the installation sends no
/// mail.
pub async fn send_due(mailer: &Mailer, deadline: Deadline) -> Result<MailRun, Error> {
    let Some(from) = &mailer.from else { return Ok(MailRun::default()) };
    let (store, now) = (&mailer.app.store, mailer.app.now());
    let (mut run, mut cursor) = (MailRun::default(), Store::beginning_of_mail());
    let sending = mailer.sending(from);
    while !cursor.is_end() && !deadline.is_near() {
        let due = store.list_due_mail(cursor, now).await?;
        let age = due.oldest.map_or(0, |since| since.until(now).as_secs());
        run.oldest_overdue_seconds = run.oldest_overdue_seconds.max(age);
        mailer.dispatch_all(&due.items, &sending, deadline, &mut run).await;
        cursor = due.next;
    }
    run.unfinished |= !cursor.is_end();
    run.end(&sending, now);
    Ok(run)
}

/// Sends the mail of the outbox entries with these keys, if it is due. Mail that is not sent is left to the scheduled
/// run.
pub async fn send_new(
    mailer: &Mailer,
    ids: impl IntoIterator<Item = String>,
    deadline: Deadline,
) -> Result<MailRun, Error> {
    let Some(from) = &mailer.from else { return Ok(MailRun::default()) };
    let mut run = MailRun::default();
    let items: Vec<_> = ids.into_iter().map(DueItem::of).collect();
    let sending = mailer.sending(from);
    mailer.dispatch_all(&items, &sending, deadline, &mut run).await;
    run.end(&sending, mailer.app.now());
    Ok(run)
}

/// State that all messages of a run share: the sender's address and the breaker.
struct Sending<'a> {
    /// The address that mail is sent from.
    from: &'a str,
    breaker: Breaker<'a>,
}

impl Mailer {
    /// Returns a mailer that sends mail from the address `from`, without a limit per hour.
    #[must_use]
    pub const fn new(app: App, client: Client, from: Option<String>) -> Self {
        Self {
            app,
            client,
            from,
            public_url: String::new(),
            configuration_set: None,
            per_hour: None,
        }
    }

    const fn sending<'a>(&'a self, from: &'a str) -> Sending<'a> {
        Sending { from, breaker: Breaker::new(&self.app.store, self.per_hour) }
    }

    async fn dispatch_all(
        &self,
        items: &[DueItem],
        sending: &Sending<'_>,
        deadline: Deadline,
        run: &mut MailRun,
    ) {
        let messages: Vec<_> =
            items.iter().map(|item| self.dispatch(item, sending, deadline)).collect();
        let mut messages = stream::iter(messages).buffer_unordered(CONCURRENT_MESSAGES);
        while let Some(disposition) = messages.next().await {
            run.count(&disposition);
        }
    }

    /// Handles one due item: sends mail or deletes an expired token. A failure does not affect the other items.
    async fn dispatch(
        &self,
        item: &DueItem,
        sending: &Sending<'_>,
        deadline: Deadline,
    ) -> Disposition {
        if deadline.is_near() {
            return Disposition::Unfinished;
        }
        let done = match item {
            DueItem::Notice(_) | DueItem::Intent(_) if sending.breaker.is_open() => {
                Ok(Disposition::NotDue)
            }
            DueItem::Notice(id) => self.attempt_notice(id, sending).await,
            DueItem::Intent(id) => self.attempt_intent(id, sending).await,
            DueItem::Expired(id) => {
                let deleted = self.app.store.delete_expired_token(id, self.app.now()).await;
                deleted.map(|()| Disposition::Expired)
            }
        };
        done.unwrap_or_else(|error| {
            LogEntry::MailNotSent { cause: Cause(&error) }.log();
            Disposition::Failed
        })
    }

    async fn attempt_notice(&self, id: &str, sending: &Sending<'_>) -> Result<Disposition, Error> {
        let (store, now) = (&self.app.store, self.app.now());
        let Some((entry, account, erasure)) = store.get_mail(id).await? else {
            return Ok(Disposition::NotDue);
        };
        // The index may be older than the entry: another run may already be sending it.
        if !entry.is_due(now) {
            return Ok(Disposition::NotDue);
        }
        let (notice, receipt) =
            (entry.notice(), erasure.and_then(|erasure| erasure.receipts.last().cloned()));
        let to = match notice.judge(&account, receipt.is_some(), now) {
            Judgement::Send(to) => to,
            Judgement::Drop => {
                store.delete_mail(id).await?;
                return Ok(Disposition::Dropped);
            }
            Judgement::Wait => {
                let until = now.plus(RECEIPT_WAIT).min(notice.until);
                store.postpone_mail(&entry, until).await?;
                return Ok(Disposition::Waiting);
            }
        };
        if let Some(disposition) = self.hold_back(id, &to, sending).await? {
            return Ok(disposition);
        }
        let next = notice.next_attempt(entry.attempts, now);
        if !store.claim_mail(&entry, next.unwrap_or(notice.until)).await? {
            return Ok(Disposition::NotDue);
        }
        let proof = match receipt.filter(|_| notice.notice_type == NoticeType::Erased) {
            Some(receipt) => Some(self.proof(account.id, receipt).await?),
            None => None,
        };
        let message = Message::new(&notice, account.id, proof.as_ref(), &self.public_url)?;
        let sent = self.send(sending.from, &to, message).await;
        self.conclude(id, sent, next.is_none()).await
    }

    /// Returns the proof of the erasure for the last mail to the owner: the receipt, and a link with a new ticket to
    /// the erasure's status. Each attempt to send the mail issues a new ticket, because earlier tickets are stored
    /// only as hashes.
    async fn proof(&self, account: Id<Customer>, receipt: String) -> Result<Proof, Error> {
        let ticket = self.app.new_ticket();
        self.app.store.insert_ticket(&ticket.hash(), account).await?;
        Ok(Proof { receipt, status_url: format!("{}{}", self.public_url, ticket.page()) })
    }

    /// Checks whether a message may be sent now. Drops it if its address bounced or complained, and leaves it
    /// for the next hour if this hour's limit is used up. `None` if the message is to be sent.
    async fn hold_back(
        &self,
        id: &str,
        to: &Email,
        sending: &Sending<'_>,
    ) -> Result<Option<Disposition>, Error> {
        let (store, now) = (&self.app.store, self.app.now());
        if store.get_undeliverable(to, now).await?.is_some() {
            store.delete_mail(id).await?;
            return Ok(Some(Disposition::Suppressed));
        }
        Ok((!sending.breaker.admits(now).await?).then_some(Disposition::NotDue))
    }

    /// Deletes the entry of a message that was sent, or that is given up: after its last attempt, or because SES
    /// refused it for good.
    async fn conclude(
        &self,
        id: &str,
        sent: Result<(), Refusal>,
        is_last: bool,
    ) -> Result<Disposition, Error> {
        let disposition = match sent {
            Ok(()) => Disposition::Sent,
            Err(Refusal { error, is_final }) => {
                LogEntry::MailNotSent { cause: Cause(&error) }.log();
                if !is_final && !is_last {
                    return Ok(Disposition::Failed);
                }
                Disposition::GivenUp
            }
        };
        self.app.store.delete_mail(id).await?;
        Ok(disposition)
    }

    async fn send(&self, from: &str, to: &Email, message: Message) -> Result<(), Refusal> {
        let content = |text: String| Content::builder().charset("UTF-8").data(text).build();
        let built = || {
            let body =
                Body::builder().text(content(message.text)?).html(content(message.html)?).build();
            let subject = content(message.subject.to_owned())?;
            Ok(Simple::builder().subject(subject).body(body).build())
        };
        let simple = built().map_err(|error: aws_smithy_types::error::operation::BuildError| {
            Refusal { error: Error::Internal(error.to_string()), is_final: true }
        })?;
        let sent = self
            .client
            .send_email()
            .from_email_address(from)
            .set_configuration_set_name(self.configuration_set.clone())
            .destination(Destination::builder().to_addresses(to.expose()).build())
            .content(EmailContent::builder().simple(simple).build())
            .call()
            .await;
        sent.map(drop).map_err(|error| {
            let is_final = error.as_service_error().is_some_and(is_final);
            Refusal { error: aws::failure("SES", &error), is_final }
        })
    }
}

/// Whether SES rejects the message itself, so that every later attempt would fail too.
fn is_final(error: &SendEmailError) -> bool {
    matches!(error.code(), Some("MessageRejected" | "BadRequestException"))
}

impl MailRun {
    const fn count(&mut self, disposition: &Disposition) {
        match disposition {
            Disposition::Sent => self.sent += 1,
            Disposition::Dropped => self.dropped += 1,
            Disposition::Suppressed => self.suppressed += 1,
            Disposition::Waiting => self.waiting += 1,
            Disposition::Failed => self.failed += 1,
            Disposition::GivenUp => {
                self.failed += 1;
                self.given_up += 1;
            }
            Disposition::Expired => self.expired += 1,
            Disposition::Unfinished => self.unfinished = true,
            Disposition::NotDue => {}
        }
    }

    /// Records whether the breaker is open, and emits the run's metrics.
    fn end(&mut self, sending: &Sending<'_>, now: Timestamp) {
        self.breaker_open = sending.breaker.is_open();
        metrics::emit(now, &self.metrics());
    }

    /// Returns the run's metrics, which the alarms watch.
    fn metrics(&self) -> [Metric; 6] {
        [
            ("MailSent", "Count", self.sent),
            ("MailFailed", "Count", self.failed),
            ("MailGivenUp", "Count", self.given_up),
            ("MailSuppressed", "Count", self.suppressed),
            ("MailBreakerOpen", "Count", u64::from(self.breaker_open)),
            ("MailOldest", "Seconds", self.oldest_overdue_seconds),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(run: &MailRun) -> Vec<(&'static str, u64)> {
        let metrics = run.metrics().into_iter().filter(|(.., value)| *value > 0);
        metrics.map(|(name, _, value)| (name, value)).collect()
    }

    #[test]
    fn each_end_of_a_message_moves_its_metric_and_no_other() {
        let after = |disposition: Disposition| {
            let mut run = MailRun::default();
            run.count(&disposition);
            moved(&run)
        };
        assert_eq!(after(Disposition::Sent), [("MailSent", 1)]);
        assert_eq!(after(Disposition::Failed), [("MailFailed", 1)]);
        assert_eq!(after(Disposition::GivenUp), [("MailFailed", 1), ("MailGivenUp", 1)]);
        assert_eq!(after(Disposition::Suppressed), [("MailSuppressed", 1)]);
        for nothing in [Disposition::Dropped, Disposition::Waiting, Disposition::Expired] {
            assert_eq!(after(nothing), []);
        }
        assert_eq!(after(Disposition::NotDue), []);
        assert_eq!(after(Disposition::Unfinished), []);
        let late = MailRun { oldest_overdue_seconds: 4, breaker_open: true, ..MailRun::default() };
        assert_eq!(moved(&late), [("MailBreakerOpen", 1), ("MailOldest", 4)]);
    }
}
