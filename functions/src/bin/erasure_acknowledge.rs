//! `PUT /v1.0/erasures/{id}/acknowledgements/{name}`: records how far a participant (an external system that keeps data
//! for accounts) has erased an account's data. The last missing answer completes the erasure, and the final receipt is
//! signed; if signing fails, the answer stands, and a scheduled run signs the receipt.
//!
//! The status can only advance, in the order `pending`, `in_progress`, `failed`, `completed`: an answer with an earlier
//! status than the recorded one is ignored. So a participant can repeat answers, and they can arrive in any order.

use futures_util::future::join;
use shared::auth::{caller_of_participant, credential};
use shared::completion::Completer;
use shared::domain::Error;
use shared::domain::acknowledgement::Acknowledgement;
use shared::domain::error::Entity;
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

async fn handle(completer: &'static Completer, request: Request) -> Result<Reply, Error> {
    let app = &completer.app;
    // Without a well-formed token nothing is read.
    credential(&request)?;
    let ledger = async { app.store.get_erasure_and_parts(request.path_id()?).await };
    let (caller, ledger) = join(caller_of_participant(app, &request), ledger).await;
    let (caller, name) = caller?;

    let (round, answer) = request.json::<Acknowledgement>()?.answer()?;
    let (erasure, parts) = ledger?;
    let erasure = erasure.ok_or(Error::NotFound(Entity::Erasure))?;
    erasure.require_round(round)?;
    let part = erasure.part(&name, &parts)?;
    let part = completer.answer(part, &answer, caller.actor()).await?;

    Reply::ok(view::ParticipationView::from(&part))
}

pub(crate) fn endpoint() -> Endpoint<Completer> {
    Endpoint::new(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}
