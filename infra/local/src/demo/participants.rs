//! The participants in erasures: a carrier that answers, and an archive that stops answering.

use std::time::Duration;

use sam_local::{Error, Stack};
use serde_json::{Value, json};
use tokio::{
    sync::{
        broadcast::{
            Receiver,
            error::{RecvError, TryRecvError},
        },
        watch,
    },
    task::JoinHandle,
    time::timeout,
};

use super::client::{Client, text};

/// The participant that answers at once, as long as the stack runs.
pub(super) const CARRIER: &str = "carrier";

/// The participant that stops answering.
pub(super) const ARCHIVE: &str = "archive";

/// Day from which the archive's program no longer runs, so the archive does not answer: 8 days before the
/// demonstration is shown.
pub(super) const ARCHIVE_STOPS: u32 = 8;

/// Day on which operators delete the archive, 3 days before the demonstration is shown: later erasures do not
/// ask it.
pub(super) const ARCHIVE_DELETED: u32 = 3;

const DAY: u32 = 24 * 60 * 60;
const YEAR: u32 = 365 * DAY;

/// Maximum time that the story waits for a participant's program to answer. A program that missed a request
/// answers when the request is repeated.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running program of a participant, which answers erasure requests. It keeps running when this handle is
/// dropped, until the stack ends.
pub(super) struct Program {
    name: &'static str,
    task: JoinHandle<()>,
    /// A second subscription to the events that the program receives. From it, `catch_up` counts the erasure
    /// requests.
    events: Receiver<Value>,
    /// Number of erasure requests among the events taken from `events`.
    requested: u64,
    /// Number of erasure requests that the program has answered.
    answered: watch::Receiver<u64>,
}

impl Program {
    /// Waits until the program has answered every erasure request on the bus so far, but at most
    /// [`PATIENCE`]. Returns whether there were new requests.
    pub(super) async fn catch_up(&mut self) -> bool {
        let before = self.requested;
        loop {
            match self.events.try_recv() {
                Ok(event) => self.requested += u64::from(is_request(&event, self.name)),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let requested = self.requested;
        let _ = timeout(PATIENCE, self.answered.wait_for(|answered| *answered >= requested)).await;
        requested > before
    }

    /// Ends the program.
    pub(super) fn stop(self) {
        self.task.abort();
    }
}

/// Whether an event asks the participant `name` to erase what it keeps for an account.
fn is_request(event: &Value, name: &str) -> bool {
    event["detail-type"] == "erasure_requested" && event["detail"]["participant"] == name
}

/// Registers the carrier, and starts its program.
pub(super) async fn start_carrier(
    stack: &Stack,
    client: &Client,
    operator: &str,
) -> Result<Program, Error> {
    let about =
        json!({"required": true, "timeout": 7 * DAY, "detail": "Releases telephone numbers"});
    let answer = json!({"status": "completed", "found": 3, "deleted": 3});
    start(stack, client, operator, CARRIER, about, answer).await
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
    let (count, answered) = watch::channel(0);
    let events = stack.listen();
    let task = answer_all(client.clone(), events.resubscribe(), name, key, answer, count);
    Ok(Program { name, task: tokio::spawn(task), events, requested: 0, answered })
}

/// Answers and counts the erasure requests to the participant, until the stack ends.
async fn answer_all(
    client: Client,
    mut events: Receiver<Value>,
    name: &'static str,
    key: String,
    mut answer: Value,
    count: watch::Sender<u64>,
) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            // A request that was missed is repeated.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        if is_request(&event, name) {
            let request = &event["detail"];
            let id = text(request, "customer_id");
            answer["round"] = request["round"].clone();
            let path = format!("/v1.0/erasures/{id}/acknowledgements/{name}");
            // A failure is ignored: a request without an answer is repeated, as for any participant.
            let _ = client.put(&path, &key, answer.clone()).await;
            count.send_modify(|count| *count += 1);
        }
    }
}
