//! Completion of erasures: records the answers of participants (other systems that erase what they keep for
//! an account), and signs the final receipt once an erasure waits for none of them any more.

use futures_util::future::BoxFuture;

use crate::app::{App, Build};
use crate::domain::participation::{Answer, Answered, Participation};
use crate::domain::receipt::{Edition, Receipt, SignedReceipt};
use crate::domain::value::WaiverReason;
use crate::domain::{Actor, Customer, Erasure, Error, EventType, Id};
use crate::platform::log::{Cause, LogEntry};
use crate::signature::Signer;
use crate::store::root::CustomerAttributes;
use crate::store::{Update, fields, revise};

/// Completes erasures that have waited for participants.
#[derive(Debug)]
pub struct Completer {
    /// Store, clock and randomness.
    pub app: App,
    signer: Signer,
    /// Names of the account's own fields that the purge has blanked; the receipt lists them.
    erased: Vec<&'static str>,
}

impl Build for Completer {
    fn build() -> Result<Self, Error> {
        Ok(Self::new(App::build()?, Signer::build()?))
    }

    fn prepare(&self) -> BoxFuture<'_, ()> {
        self.app.prepare()
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        self.app.settle()
    }
}

impl Completer {
    /// Returns a completer that signs with `signer`.
    #[must_use]
    pub fn new(app: App, signer: Signer) -> Self {
        Self { app, signer, erased: fields::blanked::<CustomerAttributes>() }
    }

    /// Records a participant's answer, and completes the erasure if it waits for no other participant.
    /// Returns the updated [`Participation`].
    ///
    /// Unlike the write of a waiver, this write does not check again that the caller still has the needed
    /// permission: a caller who has just lost it could have sent the same answer a moment before, and the
    /// write changes nothing but this participation (decision 71).
    pub async fn answer(
        &self,
        part: Participation,
        answer: &Answer,
        by: Actor,
    ) -> Result<Participation, Error> {
        let store = &self.app.store;
        let part = revise(part, |before| async move {
            let Answered::Changed(after) = before.answered(answer.clone(), by, self.app.now())?
            else {
                return Ok((Update::Written, before));
            };
            Ok((store.update_answer(&before, &after).await?, *after))
        });
        let part = part.await?;
        self.complete_if_settled(&part).await;
        Ok(part)
    }

    /// Records a waiver, a project admin's decision that the erasure does not need this participant's answer,
    /// and completes the erasure if it waits for no other participant. Returns the updated [`Participation`].
    pub async fn waive(
        &self,
        part: Participation,
        reason: &WaiverReason,
        by: Actor,
    ) -> Result<Participation, Error> {
        let store = &self.app.store;
        let part = revise(part, |before| async move {
            let reason = reason.expose().to_owned();
            let Answered::Changed(after) = before.waived(reason, by, self.app.now()) else {
                return Ok((Update::Written, before));
            };
            Ok((store.update_waiver(&before, &after).await?, *after))
        });
        let part = part.await?;
        self.complete_if_settled(&part).await;
        Ok(part)
    }

    /// Completes the erasure if it waited for nothing but `part`. If completing fails, the recorded answer or
    /// waiver stands, and the next answer or the scheduled run completes the erasure.
    async fn complete_if_settled(&self, part: &Participation) {
        if part.required && !part.is_awaited() {
            complete_if_settled(&self.app, &self.signer, &self.erased, part.customer).await;
        }
    }

    /// Signs and stores the final receipt of an erasure, if it is awaiting participants and each required one
    /// has completed or was waived. Has no effect if another writer has done so already.
    pub async fn complete(&self, erasure: &Erasure, parts: &[Participation]) -> Result<(), Error> {
        complete(&self.app, &self.signer, &self.erased, erasure, parts).await
    }
}

/// Completes an account's erasure, if it is awaiting participants and each required one has completed or was
/// waived. Call this after each write of a participant's part, and after the write of the first receipt. It then
/// reads all parts, so the call after the last of these writes finds the erasure complete. A failure is only
/// logged: the next answer or the scheduled run completes the erasure.
pub(crate) async fn complete_if_settled(
    app: &App,
    signer: &Signer,
    erased: &[&'static str],
    customer: Id<Customer>,
) {
    let completed = async {
        let (erasure, parts) = app.store.get_erasure_and_parts(customer).await?;
        let Some(erasure) = erasure else { return Ok(()) };
        complete(app, signer, erased, &erasure, &parts).await
    };
    if let Err(error) = completed.await {
        LogEntry::BackgroundWriteFailed { cause: Cause(&error) }.log();
    }
}

/// Does the work of [`Completer::complete`]. `erased` names the account's own fields that were blanked, for the
/// receipt.
async fn complete(
    app: &App,
    signer: &Signer,
    erased: &[&'static str],
    erasure: &Erasure,
    parts: &[Participation],
) -> Result<(), Error> {
    let (Some(tm_complete), Some(tm_finish), Some(superseded)) =
        (erasure.completed_at(parts), erasure.tm_finish, erasure.receipts.last())
    else {
        return Ok(());
    };
    let edition = Edition::Superseding { superseded, tm_complete };
    let receipt = Receipt::new(erasure, parts, erased, tm_finish, edition);
    let receipt = SignedReceipt::new(&receipt, signer.sign(&receipt).await?);
    let (customer, by) = (erasure.customer, Actor::PURGE);
    let event = app.event(EventType::CustomerErased, customer, Vec::new(), by, app.now());
    app.store.complete_erasure(erasure, tm_complete, &receipt, &event).await
}
