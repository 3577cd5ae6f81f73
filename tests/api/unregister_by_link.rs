//! Unregistering without a log-in: a mailed link schedules the deletion of an account. The responses do not
//! reveal which addresses have accounts.

use serde_json::{Value, json};

use crate::harness::{Answer, PASSWORD, Tenure, mailing_with, options_with};

const LINK: &str = "/auth/unregister-link";
const SUBJECT: &str = "Delete your account";
const ADDRESS: &str = "test1@example.com";
const HOUR: i64 = 60 * 60;

impl Tenure {
    /// Requests a link that unregisters the account with this address.
    async fn ask_to_leave(&self, email: &str) -> Answer {
        self.ask(LINK, json!({"email": email})).await
    }

    /// Unregisters an account with the token of a mailed link.
    async fn leave_by(&self, token: &str) -> Answer {
        self.ask("/auth/unregister-by-link", json!({"token": token})).await
    }

    /// Requests a link that unregisters the account with this address; returns the token in the mail.
    async fn leaving_token(&self, email: &str) -> String {
        assert_eq!(self.ask_to_leave(email).await.ok(), json!({}));
        self.mailed_token(email).await
    }

    /// Returns the number of messages to an address with a link that unregisters an account.
    async fn links(&self, email: &str) -> usize {
        let mail = self.mail_to(email).await;
        mail.iter().filter(|message| message["subject"] == SUBJECT).count()
    }

    async fn customer_shown(&self, admin: &str, id: &str) -> Value {
        self.call(admin, "GET", &format!("/v1.0/customers/{id}")).await.ok()
    }
}

#[track_caller]
fn is_invalid(answer: &Answer) {
    assert_eq!(answer.refused(400), "TOKEN_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_link_schedules_the_deletion_once_and_the_owner_can_stay_after_all() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.verified(&admin, "test1").await;
    // However the address is spelt in the request, the mail goes to the address that was verified.
    assert_eq!(tenure.ask_to_leave("Test1@Example.com").await.ok(), json!({}));
    let message = tenure.mail_to(ADDRESS).await.pop().unwrap();
    assert_eq!(message["subject"], SUBJECT);
    let text = message["text"].as_str().unwrap();
    assert!(text.contains("/account/unregister#token=") && text.contains("one hour"), "{text}");
    assert!(text.contains(&account.id), "{text}");
    let token = tenure.mailed_token(ADDRESS).await;
    // The link does not change anything until it is used.
    assert_eq!(tenure.customer_shown(&admin, &account.id).await["status"], "active");

    let scheduled = tenure.leave_by(&token).await.ok();
    let shown = tenure.customer_shown(&admin, &account.id).await;
    assert_eq!(shown["status"], "frozen");
    assert_eq!(scheduled, json!({"tm_deletion_scheduled": shown["tm_deletion_scheduled"]}));
    assert!(scheduled["tm_deletion_scheduled"].is_string());
    is_invalid(&tenure.leave_by(&token).await);
    let path = format!("/v1.0/customers/{}/overview", account.id);
    let overview = tenure.call(&admin, "GET", &path).await.ok();
    assert_eq!(overview["reason"], "unregister");
    assert_eq!(overview["requested_by"]["type"], "mailed_link");
    let milestones = overview["timeline"].as_array().unwrap().iter();
    let milestones: Vec<_> = milestones.map(|one| one["milestone"].as_str().unwrap()).collect();
    assert_eq!(milestones, ["requested", "week_left", "day_left", "due", "backups_end"]);
    let subjects: Vec<_> =
        tenure.mail_to(ADDRESS).await.iter().map(|one| one["subject"].clone()).collect();
    assert!(
        subjects.contains(&json!("Your account is frozen and will be deleted")),
        "{subjects:?}"
    );

    // No link is mailed for an account that is already scheduled for deletion.
    let before = tenure.links(ADDRESS).await;
    tenure.ask_to_leave(ADDRESS).await.ok();
    assert_eq!(tenure.links(ADDRESS).await, before);
    tenure.call(&account.token, "DELETE", "/auth/unregister").await.ok();
    assert_eq!(tenure.customer_shown(&admin, &account.id).await["status"], "active");
    is_invalid(&tenure.leave_by(&token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_after_an_hour_and_when_the_account_has_another_address_or_is_frozen() {
    let tenure = Tenure::start_with(mailing_with([("MailsPerAddressPerHour", "0")])).await;
    let admin = tenure.admin().await;
    let account = tenure.verified(&admin, "test1").await;
    let path = format!("/v1.0/customers/{}", account.id);
    let expired = tenure.leaving_token(ADDRESS).await;
    tenure.stack.advance_clock(HOUR).await.unwrap();
    is_invalid(&tenure.leave_by(&expired).await);

    let before_freeze = tenure.leaving_token(ADDRESS).await;
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    is_invalid(&tenure.leave_by(&before_freeze).await);
    tenure.call(&account.token, "DELETE", "/auth/unregister").await.ok();

    let to_another = tenure.leaving_token(ADDRESS).await;
    let email = json!({"email": "else@example.com"});
    tenure.call_with(&admin, "PUT", &path, email).await.ok();
    let verified = json!({"email_verified": true});
    tenure.call_with(&admin, "PUT", &format!("{path}/verification"), verified).await.ok();
    is_invalid(&tenure.leave_by(&to_another).await);
    assert_eq!(tenure.customer_shown(&admin, &account.id).await["status"], "active");
    // The tokens of other links do nothing here, and these do nothing elsewhere.
    let token = tenure.leaving_token("else@example.com").await;
    let elsewhere = json!({"token": token, "password": "another password"});
    is_invalid(&tenure.ask("/auth/password-reset", elsewhere).await);
    is_invalid(&tenure.ask("/auth/email-verify", json!({"token": token})).await);
    tenure
        .ask("/auth/signup", json!({"email": "new@example.com", "accepted_tos": true}))
        .await
        .ok();
    let sign_up = tenure.mailed_token("new@example.com").await;
    is_invalid(&tenure.leave_by(&sign_up).await);
    tenure.leave_by(&token).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_the_address_belongs_to_the_answer_and_the_work_are_the_same() {
    let tenure = Tenure::start_with(mailing_with([("ExactQuota", "true")])).await;
    let admin = tenure.admin().await;
    tenure.verified(&admin, "test1").await;
    tenure.account(&admin, "unproven").await;
    let deleted = tenure.verified(&admin, "deleted").await;
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", deleted.id)).await.ok();
    tenure.ask_to_leave("warm@example.com").await.ok();
    let mut seen = Vec::new();
    for address in [ADDRESS, "nobody@example.com", "unproven@example.com", "deleted@example.com"] {
        assert!(tenure.stack.settle().await);
        tenure.stack.reset_stats();
        let answer = tenure.ask_to_leave(address).await;
        assert!(tenure.stack.settle().await);
        let stats = tenure.stack.stats();
        let mut cost = stats["functions"]["AuthUnregisterLinkFunction"]["dynamodb"].clone();
        cost.as_object_mut().unwrap().remove("steps");
        let names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        seen.push((answer.status, answer.text, names, cost));
    }
    assert_eq!((seen[0].0, seen[0].1.as_str()), (200, "{}"));
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    assert_eq!(tenure.links(ADDRESS).await, 1);
    for address in ["nobody@example.com", "unproven@example.com", "deleted@example.com"] {
        assert_eq!(tenure.links(address).await, 0, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_suspended_or_held_can_be_unregistered_by_link_and_the_projects_own_cannot()
 {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.verified(&admin, "test1").await;
    let at = |below: &str| format!("/v1.0/customers/{}{below}", account.id);
    tenure.call(&admin, "POST", &at("/suspend")).await.ok();
    let reason = json!({"reason": "Case 7"});
    tenure.call_with(&admin, "PUT", &at("/holds/case-7"), reason).await.ok();
    assert_eq!(tenure.ask_to_leave(ADDRESS).await.ok(), json!({}));
    let link = tenure.mail_to(ADDRESS).await;
    let link = link.iter().rfind(|message| message["subject"] == SUBJECT).unwrap();
    let token = link["text"].as_str().unwrap().split("#token=").nth(1).unwrap();
    tenure.leave_by(token.split('\n').next().unwrap()).await.ok();
    let shown = tenure.customer_shown(&admin, &account.id).await;
    assert_eq!(
        shown["status"], "frozen",
        "a hold keeps it from being deleted, not from being frozen"
    );

    let project = "/v1.0/customers/00000000-0000-0000-0000-000000000002";
    let email = json!({"email": "ops@example.com"});
    tenure.call_with(&admin, "PUT", project, email).await.ok();
    let verified = json!({"email_verified": true});
    tenure.call_with(&admin, "PUT", &format!("{project}/verification"), verified).await.ok();
    tenure.ask_to_leave("ops@example.com").await.ok();
    assert_eq!(tenure.links("ops@example.com").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_limited_by_address_silently_and_by_network_openly() {
    let tenure = Tenure::start_with(mailing_with([("MailRequestsPerNetworkPerHour", "5")])).await;
    let admin = tenure.admin().await;
    tenure.verified(&admin, "test1").await;
    for _ in 0..5 {
        assert_eq!(tenure.ask_to_leave(ADDRESS).await.ok(), json!({}));
    }
    assert_eq!(tenure.links(ADDRESS).await, 3);
    let refused = tenure.ask_to_leave("nobody@example.com").await;
    assert_eq!(refused.refused(429), "RATE_LIMIT_EXCEEDED");
    assert!(refused.headers.contains_key("retry-after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_well_formed_or_without_mail_says_so() {
    let tenure = Tenure::start().await;
    for body in [json!({}), json!({"email": ""}), json!({"email": "ann"}), json!({"email": null})] {
        let refused = tenure.ask(LINK, body.clone()).await;
        assert_eq!(refused.refused(400), "INVALID_ARGUMENT", "{body}");
        assert!(refused.message().starts_with("email: "), "{}", refused.text);
    }
    let refused = tenure.ask("/auth/unregister-by-link", json!({"token": "vbm_1"})).await;
    assert_eq!(refused.refused(400), "INVALID_ARGUMENT");
    let silent = Tenure::start_with(options_with("MailFrom", "")).await;
    assert_eq!(silent.ask_to_leave(ADDRESS).await.refused(403), "MAIL_DISABLED");
}
