//! Invitations: agents who are created without a password choose one through a link that is mailed to them.
//! Admins and operators can have the link mailed again.

use serde_json::{Value, json};

use crate::harness::{Answer, PASSWORD, Tenure, mailing_with, options_with, slow};
use crate::mail::by_schedule;

const NEW: &str = "an entirely new password";
const SUBJECT: &str = "You are invited: choose a password";
const ANN: &str = "ann@example.org";
const DAY: i64 = 24 * 60 * 60;

impl Tenure {
    /// Creates an agent without a password, who is not an admin; returns the agent's id.
    async fn invite(&self, token: &str, username: &str) -> String {
        let body = json!({"username": username, "permission": 64});
        let made = self.call_with(token, "POST", "/v1.0/agents", body).await.ok();
        made["id"].as_str().unwrap().to_owned()
    }

    /// Requests that a link to choose a password is mailed to an agent. An admin sends no `query`; an
    /// operator names the account in it.
    async fn send_link(&self, token: &str, agent: &str, query: &str) -> Answer {
        self.call(token, "POST", &format!("/v1.0/agents/{agent}/password-reset{query}")).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_agent_chooses_a_password_and_logs_in() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let id = tenure.invite(&account.token, ANN).await;
    let [message] = tenure.password_links(ANN).await.try_into().unwrap();
    assert_eq!(message["subject"], SUBJECT);
    assert!(message["text"].as_str().unwrap().contains("24 hours"), "{message}");

    let token = tenure.token_for(ANN).await;
    tenure.choose(&token, NEW).await.ok();
    let session = tenure.login(ANN, NEW).await;
    let me = tenure.call(&session, "GET", "/v1.0/me").await.ok();
    assert_eq!((&me["id"], &me["permission"]), (&json!(id), &json!(64)));
    assert_eq!(tenure.choose(&token, PASSWORD).await.refused(400), "TOKEN_INVALID");
    let events = ["customer_created", "agent_created", "agent_updated"];
    assert_eq!(tenure.events_of(&account.id).await, events);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_was_accepted_meanwhile_is_not_mailed() {
    let tenure = Tenure::start_with(by_schedule().options()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.invite(&account.token, ANN).await;
    // The agent gets a link by another way, before the mail sender handles the invitation.
    tenure.forgot(ANN).await.ok();
    let entries = tenure.items("OutboxTable").await;
    let asked = entries.iter().find(|entry| entry["intent"]["S"] == "password_reset").unwrap();
    tenure.send_mail_of(asked["id"]["S"].as_str().unwrap()).await;
    tenure.choose(&tenure.token_for(ANN).await, NEW).await.ok();
    tenure.stack.advance_clock(60).await.unwrap();
    assert_eq!(tenure.password_links(ANN).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_invites_the_first_admin() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let body = json!({"username": ANN, "name": "Acme"});
    let made = tenure.call_with(&admin, "POST", "/v1.0/customers", body).await.ok();
    let token = tenure.token_for(ANN).await;
    tenure.choose(&token, NEW).await.ok();
    let session = tenure.login(ANN, NEW).await;
    let own = tenure.call(&session, "GET", "/v1.0/customer").await.ok();
    assert_eq!((&own["id"], &own["name"]), (&made["id"], &json!("Acme")));
    assert_eq!(tenure.call(&session, "GET", "/v1.0/me").await.ok()["permission"], 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_a_password_cannot_log_in_and_is_refused_like_anybody() {
    let tenure = Tenure::start_with(slow(mailing_with([("ExactQuota", "true")]))).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.invite(&account.token, ANN).await;
    tenure.password_links(ANN).await;
    let attempt = async |username: &str| {
        assert!(tenure.stack.settle().await);
        tenure.stack.reset_stats();
        let refused = tenure.try_login(username, NEW).await;
        assert_eq!(refused.refused(401), "INVALID_CREDENTIALS");
        let cost = tenure.stack.stats()["functions"]["AuthLoginFunction"]["dynamodb"].clone();
        (refused.message().to_owned(), cost)
    };
    assert_eq!(attempt(ANN).await, attempt("nobody@example.org").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_address_can_be_invited_and_only_where_mail_is_sent() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let before = tenure.accounts().await;
    for (token, path) in [(&account.token, "/v1.0/agents"), (&admin, "/v1.0/customers")] {
        for body in [json!({"username": "ann"}), json!({"username": "ann.example.org"})] {
            let refused = tenure.call_with(token, "POST", path, body).await;
            assert_eq!(refused.refused(400), "INVALID_ARGUMENT");
            let message = refused.message();
            assert!(message.starts_with("password: ") && message.contains("invite"), "{message}");
        }
        let body = json!({"username": ANN, "password": null});
        assert_eq!(tenure.call_with(token, "POST", path, body).await.status, 400);
    }
    assert_eq!(tenure.accounts().await, before);

    let tenure = Tenure::start_with(options_with("MailFrom", "")).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let before = tenure.accounts().await;
    for (token, path) in [(&account.token, "/v1.0/agents"), (&admin, "/v1.0/customers")] {
        let refused = tenure.call_with(token, "POST", path, json!({"username": ANN})).await;
        assert_eq!(refused.refused(403), "MAIL_DISABLED");
    }
    let me = tenure.call(&account.token, "GET", "/v1.0/me").await.ok();
    let refused = tenure.send_link(&account.token, me["id"].as_str().unwrap(), "").await;
    assert_eq!(refused.refused(403), "MAIL_DISABLED");
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_has_expired_is_followed_by_another() {
    let tenure = Tenure::start_with(mailing_with([("SessionIdleHours", "168")])).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let id = tenure.invite(&account.token, ANN).await;
    let first = tenure.token_for(ANN).await;
    tenure.stack.advance_clock(DAY).await.unwrap();
    assert_eq!(tenure.choose(&first, NEW).await.refused(400), "TOKEN_INVALID");
    // An invited agent may request the link again, and so may an admin.
    tenure.forgot(ANN).await.ok();
    tenure.send_link(&account.token, &id, "").await.ok();
    let links = tenure.password_links(ANN).await;
    assert_eq!(links.len(), 3);
    assert!(links.iter().all(|link| link["subject"] == SUBJECT), "{links:?}");
    let token = tenure.token_for(ANN).await;
    tenure.choose(&token, NEW).await.ok();
    tenure.login(ANN, NEW).await;
    // Once a password was chosen, the link is for a forgotten password.
    tenure.send_link(&account.token, &id, "").await.ok();
    let links = tenure.password_links(ANN).await;
    assert_eq!(links.last().unwrap()["subject"], "Choose a new password");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_ends_with_its_agent_and_its_account() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let id = tenure.invite(&account.token, ANN).await;
    let token = tenure.token_for(ANN).await;
    tenure.call(&account.token, "DELETE", &format!("/v1.0/agents/{id}")).await.ok();
    assert_eq!(tenure.choose(&token, NEW).await.refused(400), "TOKEN_INVALID");

    tenure.invite(&account.token, "bob@example.org").await;
    let token = tenure.token_for("bob@example.org").await;
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    assert_eq!(tenure.choose(&token, NEW).await.refused(400), "TOKEN_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sends_a_link_to_any_agent_and_the_history_tells_of_it() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.person(&admin, ANN).await;
    let other = tenure.account(&admin, "test2").await;
    let me = tenure.call(&account.token, "GET", "/v1.0/me").await.ok();
    let (id, named) = (me["id"].as_str().unwrap(), format!("?customer_id={}", account.id));
    assert_eq!(tenure.send_link(&admin, id, &named).await.ok(), json!({}));
    // Links can be sent in any state of the account but deleted.
    for (method, below) in [("POST", "/suspend"), ("POST", "/freeze")] {
        let path = format!("/v1.0/customers/{}{below}", account.id);
        tenure.call(&admin, method, &path).await.ok();
        tenure.send_link(&admin, id, &named).await.ok();
    }
    assert_eq!(tenure.password_links(ANN).await.len(), 3);
    let token = tenure.token_for(ANN).await;
    tenure.choose(&token, NEW).await.ok();
    tenure.login(ANN, NEW).await;

    let path = format!("/v1.0/customers/{}/events?type=agent_reset_requested", account.id);
    let events = tenure.call(&admin, "GET", &path).await.ok();
    let events = events["result"].as_array().unwrap();
    assert_eq!(events.len(), 3);
    assert_eq!(events[0]["subjects"], json!([id]));
    assert_eq!(events[0]["actor"]["role"], "project_admin");

    // An admin can send links neither to agents of another account nor by naming another account.
    assert_eq!(tenure.send_link(&other.token, id, "").await.refused(404), "AGENT_NOT_FOUND");
    assert_eq!(tenure.send_link(&other.token, id, &named).await.status, 403);
    let elsewhere = format!("?customer_id={}", other.id);
    assert_eq!(tenure.send_link(&admin, id, &elsewhere).await.refused(404), "AGENT_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_an_address_is_sent_no_link_and_nobody_is_sent_too_many() {
    let tenure = Tenure::start_with(mailing_with([("MailsPerAddressPerHour", "2")])).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let body = json!({"username": "manager", "password": PASSWORD, "permission": 64});
    let manager = tenure.call_with(&account.token, "POST", "/v1.0/agents", body).await.ok();
    let me = tenure.call(&account.token, "GET", "/v1.0/me").await.ok();
    let [manager, me] = [&manager, &me].map(|agent| agent["id"].as_str().unwrap());
    let before = (tenure.accounts().await, tenure.items("OutboxTable").await.len());
    for agent in [manager, me] {
        let refused = tenure.send_link(&account.token, agent, "").await;
        assert_eq!(refused.refused(409), "EMAIL_MISSING");
    }
    assert_eq!((tenure.accounts().await, tenure.items("OutboxTable").await.len()), before);

    let path = format!("/v1.0/customers/{}/verification", account.id);
    tenure.call_with(&admin, "PUT", &path, json!({"email_verified": true})).await.ok();
    assert_eq!(tenure.send_link(&account.token, manager, "").await.refused(409), "EMAIL_MISSING");
    for _ in 0..2 {
        tenure.send_link(&account.token, me, "").await.ok();
    }
    let events = tenure.events_of(&account.id).await;
    let refused = tenure.send_link(&account.token, me, "").await;
    assert_eq!(refused.refused(429), "RATE_LIMIT_EXCEEDED");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(tenure.events_of(&account.id).await, events);
    assert_eq!(tenure.password_links("test1@example.com").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_asked_for_again_with_one_key_is_mailed_once() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.person(&admin, ANN).await;
    let me = tenure.call(&account.token, "GET", "/v1.0/me").await.ok();
    let path = format!("/v1.0/agents/{}/password-reset", me["id"].as_str().unwrap());
    let send = async || -> Value {
        let request = tenure.request("POST", &path).bearer(&account.token);
        tenure.send(request.header("idempotency-key", "\"once\"")).await.ok()
    };
    assert_eq!((send().await, send().await), (json!({}), json!({})));
    assert_eq!(tenure.password_links(ANN).await.len(), 1);
}
