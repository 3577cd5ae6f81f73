//! `POST /v1.0/erasures/{id}/waivers`: waives a participant's answer, so that the erasure can complete without it. The
//! ledger records which operator waived it, and why. An answer that arrives later is still recorded.

use futures_util::future::join;
use serde::Deserialize;
use shared::auth::{caller, credential};
use shared::completion::Completer;
use shared::domain::error::Entity;
use shared::domain::participant::ParticipantName;
use shared::domain::value::WaiverReason;
use shared::domain::{Error, Permission};
use shared::http::{Reply, Request, view};
use shared::runtime::{self, Endpoint};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    participant: ParticipantName,
    /// Reason for the waiver. The ledger keeps it after the erasure, so it must not contain personal data.
    reason: WaiverReason,
}

async fn handle(completer: &'static Completer, request: Request) -> Result<Reply, Error> {
    let app = &completer.app;
    // Without a well-formed token nothing is read.
    credential(&request)?;
    let ledger = async { app.store.get_erasure_and_parts(request.path_id()?).await };
    let (caller, ledger) = join(caller(app, &request, Permission::PROJECT_ADMIN), ledger).await;
    let by = caller?.actor();

    let body: Body = request.json()?;
    let (erasure, parts) = ledger?;
    let erasure = erasure.ok_or(Error::NotFound(Entity::Erasure))?;
    let part = erasure.part(&body.participant, &parts)?;
    let part = completer.waive(part, &body.reason, by).await?;

    Reply::ok(view::ParticipationView::from(&part))
}

pub(crate) fn endpoint() -> Endpoint<Completer> {
    Endpoint::new(handle)
}

fn main() -> runtime::Result {
    runtime::serve(endpoint())
}
