//! The participants in erasures: a carrier that answers, and an archive that stops answering.

use sam_local::{Error, Stack};
use serde_json::{Value, json};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    task::JoinHandle,
};

use super::client::{Client, text};

/// The participant that answers at once, as long as the stack runs.
pub(super) const CARRIER: &str = "carrier";

/// The participant that stops answering.
pub(super) const ARCHIVE: &str = "archive";

/// Day from which the archive's program no longer runs, so the archive does not answer.
pub(super) const ARCHIVE_STOPS: u32 = 8;

/// Day on which operators delete the archive: later erasures do not ask it.
pub(super) const ARCHIVE_DELETED: u32 = 3;

const DAY: u32 = 24 * 60 * 60;
const YEAR: u32 = 365 * DAY;

/// The program of a participant, which answers erasure requests. It goes on when this handle is dropped, until the
/// stack ends.
pub(super) struct Program(JoinHandle<()>);

impl Program {
    /// Ends the program.
    pub(super) fn stop(self) {
        self.0.abort();
    }
}

/// Registers the carrier, and starts its program, which runs until the stack ends.
pub(super) async fn start_carrier(
    stack: &Stack,
    client: &Client,
    operator: &str,
) -> Result<(), Error> {
    let about =
        json!({"required": true, "timeout": 7 * DAY, "detail": "Releases telephone numbers"});
    let answer = json!({"status": "completed", "found": 3, "deleted": 3});
    start(stack, client, operator, CARRIER, about, answer).await.map(drop)
}

/// Registers the archive, and starts its program.
pub(super) async fn start_archive(
    stack: &Stack,
    client: &Client,
    operator: &str,
) -> Result<Program, Error> {
    let about =
        json!({"required": true, "timeout": 5 * DAY, "detail": "Keeps recordings and invoices"});
    let invoices = json!({"kind": "invoices", "count": 2, "ground": "Tax law, for ten years"});
    let answer = json!({"status": "completed", "found": 14, "deleted": 12, "retained": [invoices]});
    start(stack, client, operator, ARCHIVE, about, answer).await
}

async fn start(
    stack: &Stack,
    client: &Client,
    operator: &str,
    name: &'static str,
    about: Value,
    answer: Value,
) -> Result<Program, Error> {
    client.put(&format!("/v1.0/participants/{name}"), operator, about).await?;
    let body = json!({"name": name, "expire": YEAR, "participant": name});
    let key = text(&client.post("/v1.0/accesskeys", operator, body).await?, "token");
    let (client, events) = (client.clone(), stack.listen());
    Ok(Program(tokio::spawn(answer_all(client, events, name, key, answer))))
}

/// Answers each erasure request to the participant, until the stack ends.
async fn answer_all(
    client: Client,
    mut events: Receiver<Value>,
    name: &'static str,
    key: String,
    mut answer: Value,
) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            // A request that was missed is repeated.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let question = &event["detail"];
        if event["detail-type"] == "erasure_requested" && question["participant"] == name {
            let id = text(question, "customer_id");
            answer["round"] = question["round"].clone();
            let path = format!("/v1.0/erasures/{id}/acknowledgements/{name}");
            // A failure is ignored: a request without an answer is repeated, as for any participant.
            let _ = client.put(&path, &key, answer.clone()).await;
        }
    }
}
