//! Password reset by mail: a mailed link sets a new password in place of a forgotten one. The responses do
//! not reveal which user names exist.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Account, Answer, OPERATORS_PASSWORD, PASSWORD, Tenure, mailing_with, options_with, slow,
};

const NEW: &str = "an entirely new password";
const RESET_SUBJECT: &str = "Choose a new password";
const TOLD_SUBJECT: &str = "A password of your account was changed";
const HOUR: i64 = 60 * 60;

impl Tenure {
    /// Requests a link for a forgotten password.
    pub(crate) async fn forgot(&self, username: &str) -> Answer {
        self.ask("/auth/password-forgot", json!({"username": username})).await
    }

    /// Sets a password with the token of a mailed link.
    pub(crate) async fn choose(&self, token: &str, password: &str) -> Answer {
        self.ask("/auth/password-reset", json!({"token": token, "password": password})).await
    }

    /// Waits until all mail is sent; returns the messages to an address that have a link to choose a
    /// password, oldest first.
    pub(crate) async fn password_links(&self, address: &str) -> Vec<Value> {
        let is_link =
            |message: &Value| message["text"].as_str().unwrap().contains("/account/reset#token=");
        self.mail_to(address).await.into_iter().filter(is_link).collect()
    }

    /// Returns the token of the newest link to choose a password that was mailed to an address.
    pub(crate) async fn token_for(&self, address: &str) -> String {
        token_in(self.password_links(address).await.last().expect("a mailed link"))
    }

    /// Requests a link for a forgotten password, by a user name that is an e-mail address; returns the link's
    /// token.
    async fn token_after_forgetting(&self, username: &str) -> String {
        let address = username.to_lowercase();
        let before = self.password_links(&address).await.len();
        assert_eq!(self.forgot(username).await.ok(), json!({}));
        let links = self.password_links(&address).await;
        assert_eq!(links.len(), before + 1);
        token_in(links.last().unwrap())
    }

    /// Returns the outbox items that are mailed tokens or mail intents (requests that are answered by mail
    /// and not yet carried out).
    async fn tokens_and_intents(&self) -> Vec<Value> {
        let items = self.items("OutboxTable").await;
        let is_either = |item: &Value| {
            let id = item["id"]["S"].as_str().unwrap();
            id.starts_with("TOKEN#") || id.starts_with("INTENT#")
        };
        items.into_iter().filter(is_either).collect()
    }

    /// Creates an account without an e-mail address. Its admin's user name is an address.
    pub(crate) async fn person(&self, admin: &str, username: &str) -> Account {
        let body = json!({"username": username, "password": PASSWORD});
        let made = self.call_with(admin, "POST", "/v1.0/customers", body).await.ok();
        let token = self.login(username, PASSWORD).await;
        Account { id: made["id"].as_str().unwrap().to_owned(), token }
    }

    async fn operate(&self, admin: &str, account: &Account, method: &str, below: &str) {
        let path = format!("/v1.0/customers/{}{below}", account.id);
        let request = self.request(method, &path).bearer(admin);
        let request = match method {
            "PUT" => request.json(&json!({"reason": "Case 7 of the court"})),
            _ => request,
        };
        self.send(request).await.ok();
    }

    /// Verifies the account's e-mail address as an operator.
    async fn vouch(&self, admin: &str, account: &Account) {
        let path = format!("/v1.0/customers/{}/verification", account.id);
        self.call_with(admin, "PUT", &path, json!({"email_verified": true})).await.ok();
    }
}

/// Returns the token in a message's link, which must be the same in text and HTML.
fn token_in(message: &Value) -> String {
    let [text, html] = ["text", "html"].map(|part| message[part].as_str().unwrap());
    let token = text.split("#token=").nth(1).and_then(|rest| rest.split(['&', '\n']).next());
    let token = token.expect("a link");
    assert!(token.starts_with("vbm_") && html.contains(token), "{html}");
    token.to_owned()
}

#[track_caller]
fn is_invalid(answer: &Answer) {
    assert_eq!(answer.refused(400), "TOKEN_INVALID");
    assert!(answer.message().starts_with("token: "), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_set_by_the_mailed_link() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.person(&admin, "ann@example.org").await;
    let key = tenure.access_key(&account.token).await;

    let token = tenure.token_after_forgetting("Ann@Example.org").await;
    let message = &tenure.password_links("ann@example.org").await[0];
    assert_eq!(message["subject"], RESET_SUBJECT);
    for part in ["text", "html"] {
        let text = message[part].as_str().unwrap();
        assert!(text.contains("one hour") && text.contains("/account/reset#token="), "{text}");
    }
    // The link does not change anything until it is used.
    tenure.login("ann@example.org", PASSWORD).await;
    tenure.call(&account.token, "GET", "/v1.0/me").await.ok();

    assert_eq!(tenure.choose(&token, NEW).await.ok(), json!({}));
    assert_eq!(tenure.try_login("ann@example.org", PASSWORD).await.status, 401);
    tenure.login("ann@example.org", NEW).await;
    // Sessions end, access keys stay.
    let ended = tenure.call(&account.token, "GET", "/v1.0/me").await;
    assert_eq!(ended.refused(401), "INVALID_CREDENTIALS");
    tenure.call(&key, "GET", "/v1.0/me").await.ok();
    // A token works only once, and nothing remains stored of it.
    is_invalid(&tenure.choose(&token, "yet another password").await);
    tenure.login("ann@example.org", NEW).await;
    assert!(tenure.tokens_and_intents().await.is_empty());

    // The change emits an event.
    assert_eq!(tenure.count_events(&account.id, "agent_updated").await, 1);
    let events = tenure.stack.events();
    let updated = events.iter().find(|seen| seen["event"]["detail-type"] == "agent_updated");
    let actor = &updated.unwrap()["event"]["detail"]["actor"];
    assert_eq!(actor["type"], "mailed_link", "{actor}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_told_of_a_reset_and_not_of_an_invited_agents_first_password() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.vouch(&admin, &account).await;
    let told = async || {
        let mail = tenure.mail_to("test1@example.com").await;
        let of_password = |message: &&Value| message["subject"] == TOLD_SUBJECT;
        mail.iter().filter(of_password).count()
    };
    let invited = json!({"username": "ann@example.org", "permission": 64});
    tenure.call_with(&account.token, "POST", "/v1.0/agents", invited).await.ok();
    let token = tenure.token_for("ann@example.org").await;
    tenure.choose(&token, NEW).await.ok();
    assert_eq!(told().await, 0);
    let token = tenure.token_after_forgetting("ann@example.org").await;
    tenure.choose(&token, "yet another password").await.ok();
    assert_eq!(told().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sole_admin_resets_the_password_by_the_accounts_verified_address() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let manager = json!({"username": "manager", "password": PASSWORD, "permission": 64});
    tenure.call_with(&account.token, "POST", "/v1.0/agents", manager).await.ok();
    // An address that is not verified may be a stranger's.
    tenure.forgot("test1").await.ok();
    assert!(tenure.password_links("test1@example.com").await.is_empty());

    tenure.vouch(&admin, &account).await;
    for username in ["test1", "manager"] {
        tenure.forgot(username).await.ok();
    }
    // The link is for the agent who is an admin, not for the other agent.
    let [message] = tenure.password_links("test1@example.com").await.try_into().unwrap();
    tenure.choose(&token_in(&message), NEW).await.ok();
    let token = tenure.login("test1", NEW).await;
    assert_eq!(tenure.call(&token, "GET", "/v1.0/me").await.ok()["permission"], 32);
    tenure.password_links("test1@example.com").await;
    let subjects = tenure.stack.mail();
    let told = subjects
        .iter()
        .filter(|message| message["subject"] == "A password of your account was changed");
    assert_eq!(told.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_works_in_every_state_in_which_one_may_log_in() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    for (number, state) in
        ["left", "frozen", "suspended", "held", "suspended and left"].into_iter().enumerate()
    {
        let username = format!("ann{number}@example.org");
        let account = tenure.person(&admin, &username).await;
        if state.contains("left") {
            tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
        }
        match state {
            "frozen" => tenure.operate(&admin, &account, "POST", "/freeze").await,
            "held" => tenure.operate(&admin, &account, "PUT", "/hold").await,
            _ if state.contains("suspended") => {
                tenure.operate(&admin, &account, "POST", "/suspend").await;
            }
            _ => {}
        }
        let token = tenure.token_after_forgetting(&username).await;
        tenure.choose(&token, NEW).await.ok();
        let session = tenure.login(&username, NEW).await;
        if state == "left" {
            tenure.call(&session, "DELETE", "/auth/unregister").await.ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_after_the_link_does_not_end_it_and_a_deletion_does() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let suspended = tenure.person(&admin, "ann@example.org").await;
    let token = tenure.token_after_forgetting("ann@example.org").await;
    tenure.operate(&admin, &suspended, "POST", "/suspend").await;
    tenure.choose(&token, NEW).await.ok();

    let deleted = tenure.person(&admin, "bob@example.org").await;
    let token = tenure.token_after_forgetting("bob@example.org").await;
    tenure.operate(&admin, &deleted, "DELETE", "").await;
    is_invalid(&tenure.choose(&token, NEW).await);
    assert!(tenure.stack.settle().await);
    is_invalid(&tenure.choose(&token, NEW).await);
    // No link is mailed any more either.
    let links = tenure.password_links("bob@example.org").await.len();
    tenure.forgot("bob@example.org").await.ok();
    assert_eq!(tenure.password_links("bob@example.org").await.len(), links);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_link_a_new_password_the_agents_deletion_and_an_hour_end_a_link() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.person(&admin, "ann@example.org").await;
    let first = tenure.token_after_forgetting("ann@example.org").await;
    let second = tenure.token_after_forgetting("ann@example.org").await;
    tenure.choose(&second, NEW).await.ok();
    is_invalid(&tenure.choose(&first, "yet another password").await);
    tenure.login("ann@example.org", NEW).await;

    let third = tenure.token_after_forgetting("ann@example.org").await;
    let session = tenure.login("ann@example.org", NEW).await;
    let me = tenure.call(&session, "GET", "/v1.0/me").await.ok();
    let path = format!("/v1.0/agents/{}/password", me["id"].as_str().unwrap());
    let body = json!({"password": PASSWORD, "current_password": NEW});
    tenure.call_with(&session, "PUT", &path, body).await.ok();
    is_invalid(&tenure.choose(&third, NEW).await);

    let body = json!({"username": "bob@example.org", "password": PASSWORD, "permission": 64});
    let made = tenure.call_with(&admin, "POST", "/v1.0/agents", body).await.ok();
    let token = tenure.token_after_forgetting("bob@example.org").await;
    let agent = format!("/v1.0/agents/{}", made["id"].as_str().unwrap());
    tenure.call(&admin, "DELETE", &agent).await.ok();
    is_invalid(&tenure.choose(&token, NEW).await);

    let eve = tenure.person(&admin, "eve@example.org").await;
    let token = tenure.token_after_forgetting("eve@example.org").await;
    tenure.stack.advance_clock(HOUR - 60).await.unwrap();
    let late = tenure.token_after_forgetting("eve@example.org").await;
    tenure.stack.advance_clock(60).await.unwrap();
    is_invalid(&tenure.choose(&token, NEW).await);
    tenure.choose(&late, NEW).await.ok();
    tenure.stack.advance_clock(HOUR).await.unwrap();
    assert!(tenure.stack.settle().await);
    assert!(tenure.tokens_and_intents().await.is_empty());
    assert_ne!(account.id, eve.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_reset_keeps_the_link_and_computes_no_hash() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    tenure.person(&admin, "ann@example.org").await;
    let token = tenure.token_after_forgetting("ann@example.org").await;
    for (body, field) in [
        (json!({"token": token}), "password"),
        (json!({"token": token, "password": "short"}), "password"),
        (json!({"token": token, "password": "password123"}), "password"),
        (json!({"token": token, "password": "ann@example.org"}), "password"),
        (json!({"token": token, "password": null}), "password"),
        (json!({"token": token, "password": NEW, "username": "ann"}), "username"),
        (json!({"password": NEW}), "token"),
        (json!({"token": "vbm_", "password": NEW}), "token"),
        (json!({"token": &token[1..], "password": NEW}), "token"),
        (json!({"token": 7, "password": NEW}), "token"),
    ] {
        let refused = tenure.ask("/auth/password-reset", body.clone()).await;
        assert_eq!(refused.refused(400), "INVALID_ARGUMENT", "{body}");
        assert!(refused.message().starts_with(field), "{}", refused.text);
    }
    // Merely opening the link, as mail scanners do, has no effect: the token is behind the #, and the route
    // is no page.
    for path in ["/auth/password-reset", &format!("/auth/password-reset?token={token}")] {
        assert_eq!(tenure.send(tenure.request("GET", path)).await.status, 404);
    }
    let unknown = shared::domain::MailedToken::new(None, None, [7; 32]);
    is_invalid(&tenure.choose(unknown.expose(), NEW).await);
    assert!(tenure.stack.settle().await);
    let stats = tenure.stack.stats();
    assert_eq!(stats["functions"]["AuthPasswordResetFunction"]["hashes"], 0, "{stats}");
    tenure.choose(&token, NEW).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_does_only_what_it_was_mailed_for() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    tenure.account(&admin, "test1").await;
    let sign_up = json!({"email": "new@example.org", "accepted_tos": true});
    tenure.ask("/auth/signup", sign_up).await.ok();
    tenure.person(&admin, "ann@example.org").await;
    let reset = tenure.token_after_forgetting("ann@example.org").await;

    let verify = async |token: &str, body: Value| {
        let mut body = body;
        body["token"] = token.into();
        tenure.ask("/auth/email-verify", body).await
    };
    for (address, body) in
        [("test1@example.com", json!({})), ("new@example.org", json!({"password": PASSWORD}))]
    {
        let token = tenure.mailed_token(address).await;
        is_invalid(&tenure.choose(&token, NEW).await);
        verify(&token, body).await.ok();
    }
    is_invalid(&verify(&reset, json!({})).await);
    is_invalid(&verify(&reset, json!({"password": NEW})).await);
    tenure.choose(&reset, NEW).await.ok();
    tenure.login("ann@example.org", NEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_resets_have_one_winner() {
    let tenure = Tenure::start_with(slow(crate::harness::options())).await;
    let admin = tenure.admin().await;
    tenure.person(&admin, "ann@example.org").await;
    let tokens = [
        tenure.token_after_forgetting("ann@example.org").await,
        tenure.token_after_forgetting("ann@example.org").await,
    ];
    let password = |number: usize| format!("new password number {number}");
    let resets = (0..16).map(|number| {
        let (token, password) = (&tokens[number % 2], password(number));
        let tenure = &tenure;
        async move { tenure.choose(token, &password).await }
    });
    let answers = join_all(resets).await;
    let won: Vec<_> = (0..16).filter(|number| answers[*number].status == 200).collect();
    let [winner] = won.as_slice() else { panic!("{won:?}") };
    for (number, answer) in answers.iter().enumerate().filter(|(number, _)| number != winner) {
        assert_eq!(answer.refused(400), "TOKEN_INVALID", "{number}");
    }
    tenure.login("ann@example.org", &password(*winner)).await;
}

/// Requests a reset link. Returns all that must not depend on whether the user name exists: status, body,
/// DynamoDB calls and their cost, and the names of the headers.
async fn cost_of(tenure: &Tenure, username: &str) -> (u16, String, Value, BTreeSet<String>) {
    assert!(tenure.stack.settle().await);
    tenure.stack.reset_stats();
    let answer = tenure.forgot(username).await;
    let stats = tenure.stack.stats();
    let headers = answer.headers.keys().map(ToString::to_string).collect();
    let mut database = stats["functions"]["AuthPasswordForgotFunction"]["dynamodb"].clone();
    // The number of steps varies with the machine's load: the two counters may be updated concurrently or
    // not.
    database.as_object_mut().unwrap().remove("steps");
    (answer.status, answer.text, database, headers)
}

#[tokio::test(flavor = "multi_thread")]
async fn known_and_unknown_user_names_are_answered_and_recorded_alike() {
    let tenure = Tenure::start_with(mailing_with([("ExactQuota", "true")])).await;
    let admin = tenure.admin().await;
    tenure.person(&admin, "ann@example.org").await;
    tenure.account(&admin, "test1").await;
    // The very first request meets a cold start, which would differ.
    tenure.forgot("nobody").await.ok();
    let unknown = cost_of(&tenure, "nobody@example.org").await;
    assert_eq!((unknown.0, unknown.1.as_str()), (200, "{}"));
    // "ann@examp1e.org" is a lookalike of an existing user name.
    for username in ["ann@example.org", "test1", "admin@localhost", "ann@examp1e.org", "test2"] {
        assert_eq!(cost_of(&tenure, username).await, unknown, "{username}");
    }
    assert_eq!(tenure.password_links("ann@example.org").await.len(), 1);
    assert_eq!(tenure.password_links("ann@examp1e.org").await.len(), 0);
    // The stored requests name nobody, and are deleted once the mail sender has carried them out.
    assert!(tenure.tokens_and_intents().await.iter().all(|item| !item.to_string().contains('@')));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_links_than_three_an_hour_are_silently_not_mailed() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    tenure.person(&admin, "ann@example.org").await;
    for _ in 0..5 {
        assert_eq!(tenure.forgot("ann@example.org").await.ok(), json!({}));
    }
    assert_eq!(tenure.password_links("ann@example.org").await.len(), 3);
    tenure.stack.advance_clock(HOUR).await.unwrap();
    tenure.forgot("ann@example.org").await.ok();
    assert_eq!(tenure.password_links("ann@example.org").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_asks_too_often_is_refused_whoever_it_asks_about() {
    let tenure = Tenure::start_with(mailing_with([("MailRequestsPerNetworkPerHour", "4")])).await;
    for number in 0..4 {
        tenure.forgot(&format!("nobody{number}")).await.ok();
    }
    assert!(tenure.stack.settle().await);
    let before = tenure.items("OutboxTable").await.len();
    for username in ["admin@localhost", "nobody"] {
        let refused = tenure.forgot(username).await;
        assert_eq!(refused.refused(429), "RATE_LIMIT_EXCEEDED");
        assert!(refused.headers.contains_key("retry-after"));
    }
    assert_eq!(tenure.items("OutboxTable").await.len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mail_a_forgotten_password_cannot_be_reset() {
    let tenure = Tenure::start_with(options_with("MailFrom", "")).await;
    for username in ["admin@localhost", "nobody"] {
        assert_eq!(tenure.forgot(username).await.refused(403), "MAIL_DISABLED");
    }
    assert!(tenure.items("OutboxTable").await.is_empty());
    tenure.login("admin@localhost", OPERATORS_PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_well_formed_says_what_is_wrong() {
    let tenure = Tenure::start().await;
    for (body, message) in [
        (json!({}), "username: "),
        (json!({"username": ""}), "username: "),
        (json!({"username": "a b"}), "username: "),
        (json!({"username": null}), "username: "),
        (json!({"username": "ann", "email": "ann@example.org"}), "email: "),
    ] {
        let refused = tenure.ask("/auth/password-forgot", body.clone()).await;
        assert_eq!(refused.refused(400), "INVALID_ARGUMENT", "{body}");
        assert!(refused.message().starts_with(message), "{}", refused.text);
    }
}
