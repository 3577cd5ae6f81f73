//! Agents: their lifecycle, permissions and passwords.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Account, Answer, OPERATORS_PASSWORD, PASSWORD, Tenure};

const MISSING: &str = "5e4a0680-804e-11ec-8477-2fea5968d85b";
const AGENT: u64 = 16;
const ADMIN: u64 = 32;
const MANAGER: u64 = 64;

fn new_agent(username: &str, permission: u64) -> Value {
    json!({"username": username, "password": PASSWORD, "permission": permission})
}

/// Returns the body that creates an admin: the body of `new_agent`, with the creating agent's password as
/// `current_password`.
fn new_admin(username: &str, permission: u64, current_password: &str) -> Value {
    let mut body = new_agent(username, permission);
    body["current_password"] = json!(current_password);
    body
}

async fn create(tenure: &Tenure, token: &str, username: &str, permission: u64) -> String {
    create_with(tenure, token, new_admin(username, permission, PASSWORD)).await
}

/// Creates an agent of the operators' own account. The request is made by that account's first admin.
async fn create_operator(tenure: &Tenure, admin: &str, username: &str, permission: u64) -> String {
    create_with(tenure, admin, new_admin(username, permission, OPERATORS_PASSWORD)).await
}

async fn create_with(tenure: &Tenure, token: &str, body: Value) -> String {
    let agent = tenure.call_with(token, "POST", "/v1.0/agents", body).await.ok();
    agent["id"].as_str().unwrap().to_owned()
}

async fn set_permission(tenure: &Tenure, token: &str, id: &str, permission: u64) -> Answer {
    let path = format!("/v1.0/agents/{id}/permission");
    let body = json!({"permission": permission, "current_password": PASSWORD});
    tenure.call_with(token, "PUT", &path, body).await
}

async fn set_password(tenure: &Tenure, token: &str, id: &str, body: Value) -> Answer {
    tenure.call_with(token, "PUT", &format!("/v1.0/agents/{id}/password"), body).await
}

async fn list(tenure: &Tenure, token: &str) -> Vec<Value> {
    let page = tenure.call(token, "GET", "/v1.0/agents").await.ok();
    page["result"].as_array().unwrap().clone()
}

/// Returns the id of an account's only agent, the one created with it.
async fn first_agent(tenure: &Tenure, account: &Account) -> String {
    let agents = list(tenure, &account.token).await;
    assert_eq!(agents.len(), 1);
    agents[0]["id"].as_str().unwrap().to_owned()
}

async fn works(tenure: &Tenure, token: &str) -> bool {
    let answer = tenure.call(token, "GET", "/v1.0/accesskeys").await;
    if answer.status == 401 {
        assert_eq!(answer.refused(401), "INVALID_CREDENTIALS");
    }
    answer.status != 401
}

/// Returns the number of an account's admins twice: from the counter in the account's root item, and counted from its
/// agents.
async fn admins(tenure: &Tenure, account: &str) -> (u64, u64) {
    let pk = format!("CUSTOMER#{account}");
    let items = tenure.items("AccountsTable").await;
    let own: Vec<_> = items.iter().filter(|item| item["pk"]["S"] == *pk).collect();
    let number = |value: &Value| value["N"].as_str().unwrap().parse::<u64>().unwrap();
    let root = own.iter().find(|item| item["sk"]["S"] == "A").unwrap();
    let is_admin = |item: &&&Value| {
        item["sk"]["S"].as_str().unwrap().starts_with("AGENT#")
            && number(&item["permission"]) & ADMIN != 0
    };
    (number(&root["admins"]), own.iter().filter(is_admin).count() as u64)
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_created_log_in_and_are_deleted() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;

    let body = json!({
        "username": "Ann.Lee", "password": PASSWORD,
        "name": "Ann", "detail": "night shift", "permission": AGENT | MANAGER,
    });
    let ann = tenure.call_with(&account.token, "POST", "/v1.0/agents", body).await.ok();
    let expected = json!({
        "id": ann["id"], "customer_id": account.id, "username": "ann.lee",
        "name": "Ann", "detail": "night shift", "permission": 80,
        "tm_create": ann["tm_create"], "tm_update": ann["tm_create"], "tm_delete": null,
    });
    assert_eq!(ann, expected);
    let path = format!("/v1.0/agents/{}", ann["id"].as_str().unwrap());
    assert_eq!(tenure.call(&account.token, "GET", &path).await.ok(), ann);

    // The default permission is that of an agent.
    let body = json!({"username": "bob", "password": PASSWORD});
    let bob = tenure.call_with(&account.token, "POST", "/v1.0/agents", body).await.ok();
    assert_eq!(
        (&bob["permission"], &bob["name"], &bob["detail"]),
        (&json!(16), &json!(""), &json!(""))
    );

    // Newest first; the oldest agent is the one created with the account.
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = format!("/v1.0/agents?page_size=1&page_token={token}");
        let page = tenure.call(&account.token, "GET", &page).await.ok();
        let rows = page["result"].as_array().unwrap();
        assert_eq!(rows.len(), 1);
        seen.push(rows[0].clone());
        token = page["next_page_token"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen[..2], [bob.clone(), ann.clone()]);
    assert_eq!((&seen[2]["username"], &seen[2]["permission"]), (&json!("test1"), &json!(32)));
    assert_eq!(seen.len(), 3);

    let session = tenure.login("ann.lee", PASSWORD).await;
    let deleted = tenure.call(&account.token, "DELETE", &path).await.ok();
    assert!(deleted["tm_delete"].is_string());
    assert_eq!(deleted["username"], "ann.lee");
    assert!(!works(&tenure, &session).await);
    let login = tenure.try_login("ann.lee", PASSWORD).await;
    assert_eq!(login.refused(401), "INVALID_CREDENTIALS");
    for (method, body) in [("GET", json!({})), ("DELETE", json!({}))] {
        let gone = tenure.call_with(&account.token, method, &path, body).await;
        assert_eq!(gone.refused(404), "AGENT_NOT_FOUND");
    }

    // The user name is free; old sessions do not work for its new owner.
    create(&tenure, &account.token, "ann.lee", AGENT).await;
    assert!(!works(&tenure, &session).await);
    let events = tenure.events_of(&account.id).await;
    let count = |name: &str| events.iter().filter(|event| *event == name).count();
    assert_eq!((count("agent_created"), count("agent_deleted")), (3, 1), "{events:?}");
}

/// Every agent route refuses every caller without permission. The refusals reveal nothing, and nothing
/// changes.
#[tokio::test(flavor = "multi_thread")]
async fn only_admins_manage_agents_and_only_in_their_account() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let (ours, theirs) =
        (tenure.account(&admin, "ours").await, tenure.account(&admin, "theirs").await);
    let their_agent = first_agent(&tenure, &theirs).await;
    let our_agent = create(&tenure, &ours.token, "agent", AGENT).await;
    create(&tenure, &ours.token, "manager", MANAGER).await;
    let (agent, manager) =
        (tenure.login("agent", PASSWORD).await, tenure.login("manager", PASSWORD).await);
    let body = json!({"expire": 86_400, "permission": MANAGER});
    let key = tenure.call_with(&ours.token, "POST", "/v1.0/accesskeys", body).await.ok();
    let key = key["token"].as_str().unwrap();
    assert_eq!(tenure.call(key, "GET", "/v1.0/agents").await.refused(403), "PERMISSION_DENIED");
    let before = tenure.accounts().await;

    let password = json!({"password": "another password"});
    let routes = |id: &str| {
        [
            ("GET", "/v1.0/agents".to_owned(), json!({})),
            ("POST", "/v1.0/agents".to_owned(), new_agent("new", AGENT)),
            ("GET", format!("/v1.0/agents/{id}"), json!({})),
            ("DELETE", format!("/v1.0/agents/{id}"), json!({})),
            ("PUT", format!("/v1.0/agents/{id}/permission"), json!({"permission": MANAGER})),
            ("PUT", format!("/v1.0/agents/{id}/password"), password.clone()),
        ]
    };
    // Without permission, own, foreign, missing and malformed ids get the same answer.
    let first = list(&tenure, &ours.token).await[2]["id"].as_str().unwrap().to_owned();
    for id in [first.as_str(), their_agent.as_str(), MISSING, "x"] {
        for (method, path, body) in routes(id) {
            for token in [agent.as_str(), manager.as_str(), key] {
                let answer = tenure.call_with(token, method, &path, body.clone()).await;
                assert_eq!(answer.refused(403), "PERMISSION_DENIED", "{method} {path}");
            }
            let answer = tenure.send(tenure.request(method, &path).json(&body)).await;
            assert_eq!(answer.refused(401), "AUTHENTICATION_REQUIRED", "{method} {path}");
        }
    }
    // Admins see nothing of another account; nor do project admins on these routes.
    for id in [their_agent.as_str(), MISSING] {
        for (method, path, body) in routes(id).into_iter().skip(2) {
            for token in [&ours.token, &admin] {
                let answer = tenure.call_with(token, method, &path, body.clone()).await;
                assert_eq!(answer.refused(404), "AGENT_NOT_FOUND", "{method} {path}");
            }
        }
    }
    for (method, path, body) in routes("x").into_iter().skip(2) {
        let answer = tenure.call_with(&ours.token, method, &path, body).await;
        assert_eq!(answer.refused(400), "INVALID_ID", "{method} {path}");
    }
    assert_eq!(tenure.accounts().await, before);

    // Agents of a frozen account are refused on every route, except to set their own password.
    tenure.unregister(&ours.token, json!({"password": PASSWORD})).await.ok();
    for (method, path, body) in routes(&our_agent) {
        let is_own_password = path.ends_with("/password");
        let tokens = [&ours.token, &agent].into_iter();
        for token in tokens.filter(|token| !(is_own_password && *token == &agent)) {
            let answer = tenure.call_with(token, method, &path, body.clone()).await;
            assert_eq!(answer.refused(403), "ACCOUNT_FROZEN", "{method} {path}");
        }
    }
    let own = json!({"password": "another password", "current_password": PASSWORD});
    set_password(&tenure, &agent, &our_agent, own).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_cannot_grant_or_change_higher_permissions() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let agent = create(&tenure, &account.token, "agent", AGENT).await;

    for (permission, status) in [
        (json!(1), 403),
        (json!(33), 403),
        (json!(0), 400),
        (json!(2), 400),
        (json!(128), 400),
        (json!(-16), 400),
        (json!(16.5), 400),
        (json!("16"), 400),
        (json!(null), 400),
        (json!(18_446_744_073_709_551_615_u64), 400),
    ] {
        let mut body = new_agent("new", AGENT);
        body["permission"] = permission.clone();
        let created = tenure.call_with(&account.token, "POST", "/v1.0/agents", body).await;
        assert_eq!(created.status, status, "{permission}: {}", created.text);
        let path = format!("/v1.0/agents/{agent}/permission");
        let body = json!({"permission": permission});
        let changed = tenure.call_with(&account.token, "PUT", &path, body).await;
        assert_eq!(changed.status, status, "{permission}: {}", changed.text);
        let key = json!({"expire": 86_400, "permission": permission});
        let key = tenure.call_with(&account.token, "POST", "/v1.0/accesskeys", key).await;
        assert_eq!(key.status, status, "{permission}: {}", key.text);
        if status == 400 {
            assert!(changed.message().starts_with("permission: "), "{}", changed.text);
        }
    }

    // In the project's account, too: an admin is below a project admin.
    let second = create_operator(&tenure, &admin, "second@localhost", 1).await;
    create_operator(&tenure, &admin, "clerk@localhost", ADMIN).await;
    let second_key = tenure.access_key(&tenure.login("second@localhost", PASSWORD).await).await;
    let clerk = tenure.login("clerk@localhost", PASSWORD).await;
    let keys = tenure.call(&clerk, "GET", "/v1.0/accesskeys").await.ok();
    let key = format!("/v1.0/accesskeys/{}", keys["result"][0]["id"].as_str().unwrap());
    tenure.call(&second_key, "GET", "/v1.0/customers").await.ok();
    let before = tenure.accounts().await;
    let one = format!("/v1.0/agents/{second}");
    for (method, path, body) in [
        ("POST", "/v1.0/agents".to_owned(), new_agent("third@localhost", 1)),
        ("POST", "/v1.0/accesskeys".to_owned(), json!({"expire": 86_400, "permission": 1})),
        ("DELETE", one.clone(), json!({})),
        ("PUT", format!("{one}/permission"), json!({"permission": AGENT})),
        ("PUT", format!("{one}/password"), json!({"password": "another password"})),
        ("PUT", key.clone(), json!({"name": "mine"})),
        ("DELETE", key.clone(), json!({})),
        ("POST", format!("{key}/rotate"), json!({})),
    ] {
        let answer = tenure.call_with(&clerk, method, &path, body).await;
        assert_eq!(answer.refused(403), "PERMISSION_DENIED", "{method} {path}");
    }
    assert_eq!(tenure.accounts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_change_applies_to_the_next_request() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let id = create(&tenure, &account.token, "second", ADMIN).await;
    let session = tenure.login("second", PASSWORD).await;
    // A key is limited by the permission of the agent it acts for.
    let key = tenure.access_key(&session).await;
    let status = async |token: &str| tenure.call(token, "GET", "/v1.0/agents").await.status;
    assert_eq!((status(&session).await, status(&key).await), (200, 200));

    let lowered = set_permission(&tenure, &account.token, &id, AGENT).await.ok();
    assert_eq!(lowered["permission"], AGENT);
    assert!(lowered["tm_update"].as_str() > lowered["tm_create"].as_str());
    assert_eq!((status(&session).await, status(&key).await), (403, 403));
    // A repetition changes nothing and emits no event.
    assert_eq!(set_permission(&tenure, &account.token, &id, AGENT).await.ok(), lowered);
    assert_eq!(tenure.count_events(&account.id, "agent_updated").await, 1);

    set_permission(&tenure, &account.token, &id, ADMIN).await.ok();
    assert_eq!((status(&session).await, status(&key).await), (200, 200));
    tenure.call(&account.token, "DELETE", &format!("/v1.0/agents/{id}")).await.ok();
    assert!(!works(&tenure, &session).await && !works(&tenure, &key).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn last_admin_cannot_be_deleted_or_demoted() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let first = first_agent(&tenure, &account).await;
    let first_path = format!("/v1.0/agents/{first}");
    let last = async |token: &str| {
        let deleted = tenure.call(token, "DELETE", &first_path).await;
        assert_eq!(deleted.refused(409), "LAST_ADMIN");
        for permission in [AGENT, MANAGER, AGENT | MANAGER] {
            let demoted = set_permission(&tenure, token, &first, permission).await;
            assert_eq!(demoted.refused(409), "LAST_ADMIN");
        }
    };
    last(&account.token).await;
    // A manager does not count as an admin; an admin who is a manager, too, does.
    let second = create(&tenure, &account.token, "second", MANAGER).await;
    last(&account.token).await;
    set_permission(&tenure, &account.token, &first, ADMIN | MANAGER).await.ok();
    last(&account.token).await;

    set_permission(&tenure, &account.token, &second, ADMIN).await.ok();
    assert_eq!(admins(&tenure, &account.id).await, (2, 2));
    // Other changes of the account leave the count as it is.
    let path = format!("/v1.0/customers/{}", account.id);
    tenure.call_with(&admin, "PUT", &path, json!({"name": "New"})).await.ok();
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    tenure.call(&account.token, "DELETE", "/auth/unregister").await.ok();
    assert_eq!(admins(&tenure, &account.id).await, (2, 2));

    tenure.call(&account.token, "DELETE", &first_path).await.ok();
    assert_eq!(admins(&tenure, &account.id).await, (1, 1));
    let session = tenure.login("second", PASSWORD).await;
    let path = format!("/v1.0/agents/{second}");
    assert_eq!(tenure.call(&session, "DELETE", &path).await.refused(409), "LAST_ADMIN");

    // In the project's account, project admins are counted.
    let project = list(&tenure, &admin).await;
    let operator = project[0]["id"].as_str().unwrap();
    create_operator(&tenure, &admin, "clerk@localhost", ADMIN).await;
    let path = format!("/v1.0/agents/{operator}/permission");
    let body = json!({"permission": ADMIN, "current_password": OPERATORS_PASSWORD});
    let demoted = tenure.call_with(&admin, "PUT", &path, body.clone()).await;
    assert_eq!(demoted.refused(409), "LAST_PROJECT_ADMIN");
    let deleted = tenure.call(&admin, "DELETE", &format!("/v1.0/agents/{operator}")).await;
    assert_eq!(deleted.refused(409), "LAST_PROJECT_ADMIN");
    create_operator(&tenure, &admin, "second@localhost", 1).await;
    tenure.call_with(&admin, "PUT", &path, body).await.ok();
    assert_eq!(
        tenure.call(&admin, "GET", "/v1.0/customers").await.refused(403),
        "PERMISSION_DENIED"
    );
    let second = tenure.login("second@localhost", PASSWORD).await;
    tenure.call(&second, "GET", "/v1.0/customers").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn password_change_ends_the_other_sessions() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let id = create(&tenure, &account.token, "agent", AGENT).await;
    let (here, elsewhere) =
        (tenure.login("agent", PASSWORD).await, tenure.login("agent", PASSWORD).await);
    let new = "a completely new password";
    let before = tenure.accounts().await;

    for (body, status, field) in [
        (json!({"password": new}), 400, "current_password: "),
        (json!({"current_password": PASSWORD}), 400, "password: "),
        (json!({"current_password": PASSWORD, "password": "short"}), 400, "password: "),
        (json!({"current_password": null, "password": new}), 400, "current_password: "),
        (json!({"current_password": "wrong password", "password": new}), 403, ""),
    ] {
        let refused = set_password(&tenure, &here, &id, body).await;
        refused.refused(status);
        assert!(status == 403 || refused.message().starts_with(field), "{}", refused.text);
    }
    assert_eq!(tenure.accounts().await, before);

    let body = json!({"current_password": PASSWORD, "password": new});
    let changed = set_password(&tenure, &here, &id, body).await.ok();
    assert!(changed["tm_update"].as_str() > changed["tm_create"].as_str());
    assert!(!changed.to_string().contains(new));
    // The calling session stays, the others end, and the old password is refused.
    assert!(works(&tenure, &here).await && !works(&tenure, &elsewhere).await);
    let old = tenure.try_login("agent", PASSWORD).await;
    assert_eq!(old.refused(401), "INVALID_CREDENTIALS");
    let elsewhere = tenure.login("agent", new).await;
    assert!(works(&tenure, &elsewhere).await);

    // To set another agent's password, an admin sends their own password.
    let body = json!({"password": PASSWORD});
    let refused = set_password(&tenure, &account.token, &id, body).await;
    assert_eq!(refused.refused(400), "INVALID_ARGUMENT");
    let body = json!({"password": PASSWORD, "current_password": new});
    let refused = set_password(&tenure, &account.token, &id, body).await;
    assert_eq!(refused.refused(403), "INVALID_PASSWORD");
    let body = json!({"password": PASSWORD, "current_password": PASSWORD});
    set_password(&tenure, &account.token, &id, body).await.ok();
    assert!(!works(&tenure, &here).await && !works(&tenure, &elsewhere).await);
    assert!(works(&tenure, &account.token).await);
    tenure.login("agent", PASSWORD).await;

    // To change their own password, admins need the current one.
    let own = list(&tenure, &account.token).await[1]["id"].as_str().unwrap().to_owned();
    let refused = set_password(&tenure, &account.token, &own, json!({"password": new})).await;
    assert_eq!(refused.refused(400), "INVALID_ARGUMENT");
    assert_eq!(tenure.count_events(&account.id, "agent_updated").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn current_password_guesses_count_for_their_session() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let id = first_agent(&tenure, &account).await;
    let guess = json!({"current_password": "wrong password", "password": "whatever it is"});
    for _ in 0..5 {
        let refused = set_password(&tenure, &account.token, &id, guess.clone()).await;
        assert_eq!(refused.refused(403), "INVALID_PASSWORD");
    }
    let right = json!({"current_password": PASSWORD, "password": "whatever it is"});
    let refused = set_password(&tenure, &account.token, &id, right.clone()).await;
    assert_eq!(refused.refused(429), "RATE_LIMIT_EXCEEDED");
    // The owner, who knows the password, logs in and changes it, which ends the session that guessed.
    let owner = tenure.login("test1", PASSWORD).await;
    set_password(&tenure, &owner, &id, right).await.ok();
    assert!(!works(&tenure, &account.token).await);
}

/// The last two admins demote or delete each other and themselves concurrently.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_demotions_and_deletions_leave_one_admin() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    for round in 0..6 {
        let (one, two) = (format!("one{round}"), format!("two{round}"));
        let account = tenure.account(&admin, &one).await;
        let ids = [
            first_agent(&tenure, &account).await,
            create(&tenure, &account.token, &two, ADMIN).await,
        ];
        let tokens = [account.token.clone(), tenure.login(&two, PASSWORD).await];
        let mut calls = JoinSet::new();
        for call in 0..8 {
            let (tenure, token) = (Arc::clone(&tenure), tokens[call % 2].clone());
            // By round: each deletes the other; both delete both; each deletes itself.
            let id = match round % 3 {
                0 => &ids[1 - call % 2],
                1 => &ids[call / 2 % 2],
                _ => &ids[call % 2],
            };
            let id = id.clone();
            calls.spawn(async move {
                if round < 3 {
                    set_permission(&tenure, &token, &id, AGENT).await
                } else {
                    tenure.call(&token, "DELETE", &format!("/v1.0/agents/{id}")).await
                }
                .status
            });
        }
        let statuses = calls.join_all().await;
        assert!(statuses.iter().all(|status| [200, 401, 403, 404, 409].contains(status)));
        assert!(statuses.contains(&200), "{statuses:?}");
        assert_eq!(admins(&tenure, &account.id).await, (1, 1), "round {round}: {statuses:?}");
        let event = if round < 3 { "agent_updated" } else { "agent_deleted" };
        assert_eq!(tenure.count_events(&account.id, event).await, 1, "{statuses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_username_claims_in_two_accounts_have_one_winner() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let (ours, theirs) =
        (tenure.account(&admin, "ours").await, tenure.account(&admin, "theirs").await);
    let before = tenure.accounts().await.len();
    let mut calls = JoinSet::new();
    // Ten calls per account: an account may meet no more taken user names within an hour.
    for number in 0..20 {
        let account = if number % 2 == 0 { &ours } else { &theirs };
        let (tenure, token) = (Arc::clone(&tenure), account.token.clone());
        calls.spawn(async move {
            tenure.call_with(&token, "POST", "/v1.0/agents", new_agent("ann", AGENT)).await
        });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.refused(409), "USERNAME_TAKEN");
    }
    // Only one agent was created, with the lock on its user name.
    assert_eq!(tenure.accounts().await.len(), before + 2);
    let counts = (admins(&tenure, &ours.id).await, admins(&tenure, &theirs.id).await);
    assert_eq!(counts, ((1, 1), (1, 1)));
    tenure.login("ann", PASSWORD).await;
}

/// Agents are created, changed and deleted during the purge: none is left, and every user name is free.
#[tokio::test(flavor = "multi_thread")]
async fn agents_written_during_the_purge_do_not_outlive_the_account() {
    let tenure = Arc::new(Tenure::start().await);
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let mut calls = JoinSet::new();
    for worker in 0..4 {
        let (tenure, token) = (Arc::clone(&tenure), account.token.clone());
        calls.spawn(async move {
            for number in 0.. {
                let body = new_agent(&format!("w{worker}n{number}"), MANAGER);
                let created = tenure.call_with(&token, "POST", "/v1.0/agents", body).await;
                if created.status != 200 {
                    break;
                }
                let id = created.body["id"].as_str().unwrap();
                set_permission(&tenure, &token, id, AGENT).await;
                let body = json!({"password": "another password", "current_password": PASSWORD});
                set_password(&tenure, &token, id, body).await;
                if number % 2 == 0 {
                    tenure.call(&token, "DELETE", &format!("/v1.0/agents/{id}")).await;
                }
            }
        });
    }
    // Waits until the writers have begun.
    while list(&tenure, &account.token).await.len() < 5 {}
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    calls.join_all().await;
    assert!(tenure.stack.settle().await);
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
    let locks = tenure.items("AccountsTable").await;
    let is_lock = |item: &&Value| item["customer_id"]["S"] == account.id.as_str();
    assert_eq!(locks.iter().filter(is_lock).count(), 0);
}
