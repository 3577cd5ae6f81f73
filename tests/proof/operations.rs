//! The operations that the proofs run: a table of requests to endpoints, each with the effect that a success
//! must have, and the purge.

use serde_json::{Value, json};

use crate::customer::new_customer;
use crate::endpoints;
use crate::scene::{CUSTOMER, NEWCOMER, PASSWORD, Scene, session_place};
use crate::state::{State, text};
use crate::world::{Answer, Operation, Sent, endpoint, event, sent, without_token};

/// Defines an operation per row: its name, its endpoint's file, the request; optionally the effect that a
/// success must have, and the status, beside 200, that a repetition after success may get.
macro_rules! operations {
    ($(
        $(#[$doc:meta])*
        $name:ident: $endpoint:ident, $request:expr
        $(, effect $effect:expr)?
        $(, repeated $status:literal)?;
    )+) => {$(
        $(#[$doc])*
        pub(crate) fn $name() -> Operation {
            let operation = endpoint(
                stringify!($name),
                stringify!($endpoint),
                endpoints::$endpoint::endpoint,
                $request,
            );
            $(let operation = operation.effect($effect);)?
            $(let operation = operation.repeated($status);)?
            operation
        }
    )+};
}

operations! {
    login: auth_login,
        |_| without_token(json!({"username": CUSTOMER, "password": PASSWORD})),
        effect |state, _, answer| state.children.contains_key(&session_place(&answer.text("token")));
    logout: auth_logout, |scene| sent(&scene.session),
        effect |state, scene, _| !state.children.contains_key(&session_place(&scene.session)),
        repeated 401;

    /// Verifies the address of the scene's customer, by the mailed token.
    prove: auth_email_verify, |scene| without_token(json!({"token": scene.mailed})),
        effect |state, _, _| state.root["email_verified"]["BOOL"] == true && state.status() != "initial",
        repeated 400;
    /// Resets the first agent's forgotten password with the first of two mailed links, which ends the agent's
    /// sessions.
    reset_password: auth_password_reset,
        |scene| without_token(json!({"token": scene.resets[0], "password": RESET_PASSWORD})),
        effect |state, scene, _| state.child("AGENT#", &scene.first_agent, "epoch") == "1",
        repeated 400;
    /// Resets the first agent's forgotten password with the second of two mailed links, which is invalid once the first
    /// link is used.
    reset_by_another: auth_password_reset,
        |scene| without_token(json!({"token": scene.resets[1], "password": RESET_PASSWORD})),
        effect |state, scene, _| state.child("AGENT#", &scene.first_agent, "epoch") == "1",
        repeated 400;
    /// Completes the pending sign-up of [`NEWCOMER`].
    complete_sign_up: auth_email_verify,
        |scene| without_token(json!({"token": scene.signed_up, "password": PASSWORD})),
        effect |state, _, _| has_both_locks(state, NEWCOMER),
        repeated 400;

    // Unregistration, deletion, hold.
    unregister: auth_unregister,
        |scene| sent(&scene.session).body(json!({"password": PASSWORD})),
        effect |state, _, answer| state.status() == "frozen" && answer.can_be_followed();
    /// Unregisters the account by the mailed link, without a session.
    unregister_by_link: auth_unregister_by_link,
        |scene| without_token(json!({"token": scene.mailed})),
        effect |state, _, _| state.status() == "frozen",
        repeated 400;
    /// Unregisters with an idempotency key. A repetition gets the same answer, except for the ticket (the token that
    /// follows the erasure), which is a new one.
    unregister_once: auth_unregister,
        |scene| sent(&scene.session).body(json!({"password": PASSWORD})).once("leave"),
        effect |state, _, answer| {
            let is_remembered = state.count("IDEMPOTENCY#") >= 1;
            state.status() == "frozen" && is_remembered && answer.can_be_followed()
        };
    recover: auth_recover, |scene| sent(&scene.session),
        effect |state, _, _| state.status() == "initial",
        repeated 409;
    immediate: auth_unregister, |scene| sent(&scene.session).body(at_once()),
        effect |state, _, answer| state.status() == "deleted" && answer.can_be_followed(),
        repeated 401;
    /// Deletes the account at once, with an idempotency key, whose record is deleted with the account.
    immediate_once: auth_unregister,
        |scene| sent(&scene.session).body(at_once()).once("leave"),
        effect |state, _, answer| state.status() == "deleted" && answer.can_be_followed(),
        repeated 401;
    admin_delete: customer_delete, on_customer,
        effect |state, _, _| state.status() == "deleted";
    freeze: customer_freeze, on_customer,
        effect |state, _, _| {
            state.status() == "frozen" && state.root["frozen_by_operator"]["BOOL"] == true
        };
    admin_recover: customer_recover, on_customer,
        effect |state, _, _| state.status() == "initial",
        repeated 409;
    hold: hold_set, |scene| on_customer(scene).body(json!({"reason": "Court order 7"})),
        effect |state, _, _| state.is_held_by("default");
    lift_hold: hold_lift, on_customer,
        effect |state, _, _| !state.is_held_by("default");
    /// Places a second hold on an account that has one.
    second_hold: hold_set,
        |scene| on_customer(scene).name("case-8").body(json!({"reason": "Court order 8"})),
        effect |state, _, _| state.is_held_by("case-8");
    lift_second_hold: hold_lift, |scene| on_customer(scene).name("case-8"),
        effect |state, _, _| !state.is_held_by("case-8");
    suspend: customer_suspend, on_customer,
        effect |state, _, _| state.has("tm_suspend");
    resume: customer_resume, on_customer,
        effect |state, _, _| !state.has("tm_suspend");
    overview: customer_overview, on_customer,
        effect |_, scene, answer| answer.text("customer_id") == scene.customer;
    plan: erasure_plan, on_customer;
    get_erasure: erasure_get, on_customer;
    /// Reads the status of an erasure without a session, by the ticket that the scene's unregistration
    /// returned.
    get_status: erasure_status, |scene| without_token(Value::Null).ticket(&scene.ticket),
        effect |_, _, answer| !answer.text("stage").is_empty();

    // The account.
    create_customer: customer_create,
        |scene| sent(&scene.admin).body(new_customer("test2", PASSWORD)),
        effect |state, _, _| has_both_locks(state, "test2@example.com"),
        repeated 409;
    update_customer: customer_update,
        |scene| on_customer(scene).body(json!({"name": "changed", "email": "changed@example.com"})),
        effect |state, _, _| text(&state.root, "email") == "changed@example.com";
    verify: customer_verification_update,
        |scene| on_customer(scene).body(json!({"email_verified": true, "identity_verification_status": "verified"})),
        effect |state, _, _| text(&state.root, "identity_verification_status") == "verified"
            && state.status() != "initial";
    verify_address: customer_verification_update,
        |scene| on_customer(scene).body(json!({"email_verified": true})),
        effect |state, _, _| state.root["email_verified"]["BOOL"] == true;
    /// Verifies, as an operator, the address of [`Scene::rival`], a second customer with the same address.
    verify_rival: customer_verification_update,
        |scene| sent(&scene.admin).id(&scene.rival).body(json!({"email_verified": true})),
        effect |state, scene, _| state.locks("EMAIL#", &scene.rival) == 1
            && state.entries(&scene.rival) == 1;
    get_customer: customer_get, on_customer,
        effect |_, scene, answer| answer.text("id") == scene.customer;
    list_customers: customer_list, |scene| sent(&scene.admin),
        effect |_, scene, answer| answer.body["result"][0]["id"] == *scene.customer;
    find_by_status: customer_list, |scene| sent(&scene.admin).query("status=initial"),
        effect |_, scene, answer| answer.body["result"][0]["id"] == *scene.customer;
    find_by_name: customer_list, |scene| sent(&scene.admin).query("name=name%20of"),
        effect |_, scene, answer| answer.body["result"][0]["id"] == *scene.customer;
    find_by_email: customer_list, |scene| sent(&scene.admin).query("email=test1@example.com"),
        effect |_, scene, answer| answer.body["result"][0]["id"] == *scene.customer;
    metadata: own_metadata_update,
        |scene| sent(&scene.session).body(json!({"rtp_debug": true})),
        effect |state, _, _| state.root["metadata"]["M"]["rtp_debug"]["BOOL"] == true;
    /// Sets the scene's billing account as the one in use.
    set_billing: own_billing_account_update,
        |scene| sent(&scene.session).body(json!({"billing_account_id": scene.billing_account})),
        effect |state, scene, _| text(&state.root, "billing_account_id") == scene.billing_account;

    // Access keys.
    create_key: accesskey_create, |scene| sent(&scene.session).body(json!({"expire": 86_400})),
        effect |state, _, answer| state.owns("KEY#", &answer.text("id"));
    /// Creates an access key with an idempotency key. Its token cannot be replayed, so a repetition gets 409.
    create_key_once: accesskey_create,
        |scene| sent(&scene.session).body(json!({"expire": 86_400})).once("key"),
        effect |state, _, _| state.count("KEY#") == 3,
        repeated 409;
    update_agent: agent_update,
        |scene| sent(&scene.session).id(&scene.agent).body(json!({"name": "changed"})),
        effect |state, scene, _| state.child("AGENT#", &scene.agent, "name") == "changed";
    update_number: resource_update,
        |scene| sent(&scene.session).kind("numbers").id(&scene.number).body(json!({"name": "changed"})),
        effect |state, scene, _| state.child("NUMBER#", &scene.number, "name") == "changed";
    update_key: accesskey_update,
        |scene| sent(&scene.session).id(&scene.key).body(json!({"name": "changed"})),
        effect |state, scene, _| state.child("KEY#", &scene.key, "name") == "changed";
    get_key: accesskey_get, |scene| sent(&scene.session).id(&scene.key),
        effect |state, _, answer| state.owns("KEY#", &answer.text("id"));
    list_keys: accesskey_list, |scene| sent(&scene.session),
        effect |state, _, answer| answer.rows() == state.count("KEY#");
    delete_key: accesskey_delete, |scene| sent(&scene.session).id(&scene.key),
        effect |state, scene, _| !state.owns("KEY#", &scene.key),
        repeated 404;
    /// Deletes an access key of the customer, as an operator.
    revoke_key: accesskey_delete, |scene| named(scene).id(&scene.key),
        effect |state, scene, _| !state.owns("KEY#", &scene.key),
        repeated 404;
    rotate_key: accesskey_rotate,
        |scene| sent(&scene.session).id(&scene.key).body(json!({})),
        effect |state, scene, _| state.child("KEY#", &scene.key, "version") >= "2",
        repeated 409;

    // Owned resources.
    create_number: resource_create,
        |scene| sent(&scene.session).kind("numbers").body(json!({"name": "+15551234567"})),
        effect |state, _, answer| state.owns("NUMBER#", &answer.text("id"));
    create_number_once: resource_create,
        |scene| sent(&scene.session).kind("numbers").body(json!({"name": "only one"})).once("number"),
        effect |state, _, answer| {
            let named = state.children.values().filter(|child| text(child, "name") == "only one");
            state.owns("NUMBER#", &answer.text("id"))
                && named.count() == 1
                && state.count("IDEMPOTENCY#") >= 1
        };
    get_number: resource_get,
        |scene| sent(&scene.session).kind("numbers").id(&scene.number),
        effect |_, scene, answer| answer.text("id") == scene.number;
    list_numbers: resource_list, |scene| sent(&scene.session).kind("numbers"),
        effect |state, _, answer| answer.rows() == state.count("NUMBER#");
    delete_number: resource_delete,
        |scene| sent(&scene.session).kind("numbers").id(&scene.number),
        effect |state, scene, _| !state.owns("NUMBER#", &scene.number),
        repeated 404;
    create_billing_account: resource_create,
        |scene| sent(&scene.session).kind("billing_accounts").body(json!({}));
    delete_billing_account: resource_delete,
        |scene| sent(&scene.session).kind("billing_accounts").id(&scene.billing_account),
        effect |state, _, _| state.count("BILLING_ACCOUNT#") == 0,
        repeated 404;

    // Agents.
    create_agent: agent_create,
        |scene| sent(&scene.session).body(json!({"username": "agent2", "password": PASSWORD})),
        effect |state, _, _| state.children.values().any(|child| text(child, "username") == "agent2"),
        repeated 409;
    promote_agent: agent_permission_update,
        |scene| sent(&scene.session).id(&scene.agent).body(json!({"permission": 32, "current_password": PASSWORD})),
        effect |state, scene, _| state.child("AGENT#", &scene.agent, "permission") == "32";
    demote_agent: agent_permission_update,
        |scene| sent(&scene.session).id(&scene.agent).body(json!({"permission": 16})),
        effect |state, scene, _| state.child("AGENT#", &scene.agent, "permission") == "16";
    /// Sets the first agent's password to the present one again, and deletes the agent's access keys.
    change_password: agent_password_update,
        |scene| sent(&scene.session).id(&scene.first_agent).body(new_password()),
        effect |state, _, _| state.count("KEY#") == 0;
    /// Deletes an agent of the customer, as an operator.
    remove_agent: agent_delete, |scene| named(scene).id(&scene.agent),
        effect |state, scene, _| !state.owns("AGENT#", &scene.agent),
        repeated 404;
    delete_agent: agent_delete, |scene| sent(&scene.session).id(&scene.agent),
        effect |state, scene, _| !state.owns("AGENT#", &scene.agent),
        repeated 404;
}

operations! {
    // Requests of the second admin, whom the first one may delete or demote meanwhile.
    agents_key: accesskey_create,
        |scene| sent(&scene.agent_session).body(json!({"expire": 86_400})),
        effect |state, _, answer| state.owns("KEY#", &answer.text("id"));
    agents_agent: agent_create,
        |scene| sent(&scene.agent_session).body(json!({"username": "agent2", "password": PASSWORD})),
        effect |state, _, _| state.children.values().any(|child| text(child, "username") == "agent2"),
        repeated 409;
    agents_key_deletion: accesskey_delete,
        |scene| sent(&scene.agent_session).id(&scene.key),
        effect |state, scene, _| !state.owns("KEY#", &scene.key),
        repeated 404;
}

operations! {
    // Participants, from scenes in which they are `carrier` and `files`, which are required, and `tags`, which is not.
    acknowledge: erasure_acknowledge,
        |scene| on_customer(scene).name("files").body(completed(3)),
        effect |state, _, _| state.rounds.has_answer("files", |answer| is_completed_with(answer, "3"));
    /// Answers as the participant `files`, like `acknowledge`, but with a different number of deleted items.
    acknowledge_otherwise: erasure_acknowledge,
        |scene| on_customer(scene).name("files").body(completed(7)),
        effect |state, _, _| state.rounds.has_answer("files", |answer| is_completed_with(answer, "7"));
    acknowledge_pending: erasure_acknowledge,
        |scene| on_customer(scene).name("files").body(json!({"status": "pending"})),
        effect |state, _, _| state.rounds.has_answer("files", |_| true);
    /// Answers as the participant `carrier`.
    acknowledge_other: erasure_acknowledge,
        |scene| on_customer(scene).name("carrier").body(completed(1)),
        effect |state, _, _| state.rounds.has_answer("carrier", |answer| is_completed_with(answer, "1"));
    /// Answers as the participant `files`, for the account's first erasure even if it has been erased again since.
    acknowledge_first_round: erasure_acknowledge,
        |scene| on_customer(scene).name("files").body(with_round(completed(3), 1)),
        effect |state, _, _| state.rounds.has_answer("files", |answer| is_completed_with(answer, "3")),
        repeated 409;
    waive: erasure_waive,
        |scene| on_customer(scene).body(json!({"participant": "files", "reason": "Shut down in 2025"})),
        effect |state, _, _| state.rounds.is_settled("files");
}

/// Returns the body of a participant's answer that its erasure is completed, with this number of deleted
/// items.
fn completed(deleted: u64) -> Value {
    json!({"status": "completed", "found": deleted, "deleted": deleted})
}

fn with_round(mut answer: Value, round: u64) -> Value {
    answer["round"] = json!(round);
    answer
}

fn is_completed_with(answer: &Value, deleted: &str) -> bool {
    text(answer, "status") == "completed" && text(answer, "deleted") == deleted
}

/// Returns the operation by which the participant `name` answers that its erasure is completed.
pub(crate) fn answer_of(name: String) -> Operation {
    let participant = name.clone();
    endpoint(
        "answer",
        "erasure_acknowledge",
        endpoints::erasure_acknowledge::endpoint,
        move |scene| on_customer(scene).name(&participant).body(completed(5)),
    )
    .effect(move |state, _, _| state.rounds.has_answer(&name, |_| true))
}

/// Returns a run of the schedule that asks participants to erase what they keep for deleted accounts.
pub(crate) fn ask() -> Operation {
    event("ask", "participant_ask", endpoints::participant_ask::handle, |_| json!({}))
}

/// Returns a run of the schedule that publishes events that the stream has missed.
pub(crate) fn publish() -> Operation {
    event("publish", "outbox_publish", endpoints::outbox_publish::handle, |_| json!({}))
}

/// Returns an invocation of the publisher by the outbox's stream, with this batch.
pub(crate) fn publish_from_stream(batch: Value) -> Operation {
    event("stream", "outbox_publish", endpoints::outbox_publish::handle, move |_| batch.clone())
}

/// Returns a run of the schedule that delivers due webhooks.
pub(crate) fn deliver() -> Operation {
    event("deliver", "webhook_deliver", endpoints::webhook_deliver::handle, |_| json!({}))
}

/// Returns a run of the schedule that sends mail, and deletes mailed tokens that have expired.
pub(crate) fn send_mail() -> Operation {
    event("send mail", "mail_send", endpoints::mail_send::handle, |_| json!({}))
}

/// Returns a replay after a restore from a backup: it erases again the accounts that the erasures table records as
/// erased.
pub(crate) fn replay() -> Operation {
    let from = |_: &Scene| json!({"from": "2026-01"});
    event("replay", "erasure_replay", endpoints::erasure_replay::handle, from)
        .effect(|state, _, _| state.status() == "deleted")
}

/// The password that a mailed link sets.
const RESET_PASSWORD: &str = "an entirely new password";

/// Returns a request of the project admin on the scene's customer.
fn on_customer(scene: &Scene) -> Sent {
    sent(&scene.admin).id(&scene.customer)
}

/// Returns a request of the project admin that names the scene's customer in the query.
fn named(scene: &Scene) -> Sent {
    sent(&scene.admin).query(format!("customer_id={}", scene.customer))
}

/// Returns the body of a change of one's own password to the same one, so that it can be repeated.
fn new_password() -> Value {
    json!({"password": PASSWORD, "current_password": PASSWORD, "keys": true})
}

/// Returns the body of an unregistration without a grace period.
fn at_once() -> Value {
    json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true})
}

/// Whether the customer with this address has its three other items: the lock on the address, the lock on the user
/// name, and the entry that lists the customer under the address.
fn has_both_locks(state: &State, email: &str) -> bool {
    let customer = state.others.values().find(|item| text(item, "email") == email);
    customer.is_some_and(|customer| {
        let locks = |kind: &str| state.locks(kind, text(customer, "id"));
        locks("USERNAME#") == 1 && locks("EMAIL#") == 1 && state.entries(text(customer, "id")) == 1
    })
}

/// Returns a purge of everything due, as the schedule starts it.
pub(crate) fn purge() -> Operation {
    event("purge", "purge_run", endpoints::purge_run::handle, |_| json!({}))
        .effect(|state, _, answer| is_purged_or_failed(state, answer))
}

/// Returns a backfill of index keys, as an operator starts it.
pub(crate) fn backfill() -> Operation {
    event("backfill", "index_backfill", endpoints::index_backfill::handle, |_| json!({}))
        .effect(|state, _, _| state.is_indexed())
}

/// Returns a purge of the scene's customer, as an event on the bus starts it. It does nothing if a purge of the
/// customer has begun already, because the schedule continues that one.
pub(crate) fn purge_one() -> Operation {
    event(
        "purge one",
        "purge_run",
        endpoints::purge_run::handle,
        |scene| json!({"detail": {"customer_id": scene.customer}}),
    )
}

/// Whether the account needs no purge (it is not deleted, or it is purged), or the run reports a failure.
fn is_purged_or_failed(state: &State, answer: &Answer) -> bool {
    state.status() != "deleted" || state.has("tm_purge") || answer.body["failed"] != 0
}
