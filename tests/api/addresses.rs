//! E-mail addresses. An address is reserved for an account if the account's owner has proven it by a mailed
//! link, or if an operator has set or verified it. A search by address finds every account with that address,
//! whether it is reserved or not.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Account, Answer, PASSWORD, Tenure, counted, new_customer};

impl Tenure {
    /// Changes the account's e-mail address as its owner.
    async fn move_to(&self, account: &Account, email: &str) -> Answer {
        let body = json!({"email": email, "current_password": PASSWORD});
        self.call_with(&account.token, "PUT", "/v1.0/customer", body).await
    }

    /// Changes the account's e-mail address as an operator.
    async fn assign(&self, admin: &str, account: &Account, email: &str) -> Answer {
        let path = format!("/v1.0/customers/{}", account.id);
        self.call_with(admin, "PUT", &path, json!({"email": email})).await
    }

    /// Records, as an operator, that the account's e-mail address is verified.
    async fn prove(&self, admin: &str, account: &Account) -> Answer {
        let path = format!("/v1.0/customers/{}/verification", account.id);
        self.call_with(admin, "PUT", &path, json!({"email_verified": true})).await
    }

    /// Searches for accounts by e-mail address, in pages of `size`; returns their ids.
    async fn find(&self, admin: &str, email: &str, size: usize) -> Vec<String> {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let query = format!("email={email}&page_size={size}&page_token={token}");
            let query = query.trim_end_matches("&page_token=");
            let path = format!("/v1.0/customers?{query}");
            let page = self.call(admin, "GET", &path).await.ok();
            let rows = page["result"].as_array().unwrap();
            assert!(rows.len() <= size);
            found.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
            page["next_page_token"].as_str().unwrap().clone_into(&mut token);
            if token.is_empty() {
                return found;
            }
        }
    }

    /// Returns the types of the items that link the account to an e-mail address: `L` for a lock, which
    /// reserves the address; `M` for an entry, by which a search finds the account.
    async fn addressed(&self, account: &Account) -> Vec<String> {
        let items = self.accounts().await;
        let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap().to_owned();
        let own = items.iter().filter(|item| {
            text(item, "pk").starts_with("EMAIL#") && item["customer_id"]["S"] == account.id
        });
        let mut own: Vec<_> = own.map(|item| text(item, "sk")[..1].to_owned()).collect();
        own.sort();
        own
    }

    /// Deletes the entries by which a search finds accounts, and the attribute `email_unreserved`: an earlier
    /// version of the service wrote neither.
    async fn forget_entries(&self) {
        for item in self.accounts().await {
            let key = |name: &str| AttributeValue::S(item[name]["S"].as_str().unwrap().to_owned());
            if item["sk"]["S"].as_str().unwrap().starts_with("M#") {
                let delete = self.database().delete_item().table_name("AccountsTable");
                delete.key("pk", key("pk")).key("sk", key("sk")).send().await.unwrap();
            } else if item["sk"]["S"] == "A" {
                let update = self.database().update_item().table_name("AccountsTable");
                let update = update.key("pk", key("pk")).key("sk", key("sk"));
                update.update_expression("REMOVE email_unreserved").send().await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_unproven_address_neither_reveals_nor_blocks_another_account() {
    let tenure = Tenure::start_with(counted()).await;
    let admin = tenure.admin().await;
    let one = tenure.account(&admin, "test1").await;
    let squatter = tenure.account(&admin, "test2").await;
    tenure.prove(&admin, &one).await.ok();

    // Whether an address is free, reserved or unproven makes no difference to responses and cost.
    tenure.move_to(&squatter, "start@example.com").await.ok();
    let mut answers = Vec::new();
    for email in ["free1@example.com", "test1@example.com", "free2@example.com"] {
        tenure.stack.reset_stats();
        let mut changed = tenure.move_to(&squatter, email).await.ok();
        assert_eq!(changed["email"], email);
        assert_eq!(changed["email_verified"], false);
        for differs in ["email", "tm_update"] {
            changed.as_object_mut().unwrap().remove(differs);
        }
        let stats = tenure.stack.stats();
        let stats = &stats["functions"]["OwnUpdateFunction"]["dynamodb"];
        answers.push((changed, stats["calls"].clone(), stats["wcu"].clone()));
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");

    // An account that sets the address later can reserve it.
    tenure.move_to(&squatter, "late@example.com").await.ok();
    let mut late = new_customer("test3");
    late["email"] = json!("Late@example.com");
    let late = tenure.call_with(&admin, "POST", "/v1.0/customers", late).await.ok();
    assert_eq!(tenure.prove(&admin, &squatter).await.refused(409), "EMAIL_TAKEN");
    let found = tenure.find(&admin, "late@example.com", 100).await;
    assert_eq!(found, [late["id"].as_str().unwrap(), &squatter.id]);
    // The address that the squatter gave up is free, and the other account's is taken.
    for (email, status) in [("test1@example.com", 409), ("free1@example.com", 200)] {
        let answer = tenure.assign(&admin, &squatter, email).await;
        assert_eq!(answer.status, status, "{email}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unproven_address_is_reserved_when_an_operator_states_it_and_by_one_account_only() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let mut accounts = Vec::new();
    for number in 0..6 {
        let account = tenure.account(&admin, &format!("test{number}")).await;
        tenure.move_to(&account, "shared@example.com").await.ok();
        assert_eq!(tenure.addressed(&account).await, ["M"]);
        accounts.push(account);
    }
    let mut found = tenure.find(&admin, "shared@example.com", 4).await;
    assert_eq!(found.len(), 6);
    let answers = join_all(accounts.iter().map(|account| tenure.prove(&admin, account))).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(won, 1, "one account proves the address");
    let mut lost = answers.iter().filter(|answer| answer.status != 200);
    assert!(lost.all(|answer| answer.refused(409) == "EMAIL_TAKEN"));
    let mut holders = Vec::new();
    for account in &accounts {
        let shown =
            tenure.call(&admin, "GET", &format!("/v1.0/customers/{}", account.id)).await.ok();
        let own = tenure.addressed(account).await;
        let is_verified = shown["email_verified"] == true;
        assert_eq!(own, if is_verified { &["L", "M"][..] } else { &["M"] }, "{shown}");
        assert_eq!(shown["status"], if is_verified { "active" } else { "initial" });
        holders.extend(is_verified.then_some(account));
    }
    assert_eq!(holders.len(), 1);
    found.sort();
    let mut again = tenure.find(&admin, "shared@example.com", 1).await;
    again.sort();
    assert_eq!(again, found, "all accounts are found, each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_address_stays_reserved_and_found_until_the_next_is_proven() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let one = tenure.account(&admin, "test1").await;
    let other = tenure.account(&admin, "test2").await;
    tenure.prove(&admin, &one).await.ok();
    let find = async |email: &str| tenure.find(&admin, email, 100).await;
    let ids = |accounts: &[&Account]| accounts.iter().map(|one| one.id.clone()).collect::<Vec<_>>();

    for email in ["new@example.com", "newer@example.com"] {
        let changed = tenure.move_to(&one, email).await.ok();
        assert_eq!(
            (&changed["status"], &changed["email_verified"]),
            (&json!("active"), &json!(false))
        );
        assert_eq!(find(email).await, ids(&[&one]));
        assert_eq!(find("test1@example.com").await, ids(&[&one]));
        let refused = tenure.assign(&admin, &other, "TEST1@example.com").await;
        assert_eq!(refused.refused(409), "EMAIL_TAKEN");
    }
    assert_eq!(find("new@example.com").await, ids(&[]));
    let back = tenure.move_to(&one, "Test1@example.com").await.ok();
    assert_eq!(
        (&back["email"], &back["email_verified"]),
        (&json!("Test1@example.com"), &json!(true))
    );
    assert_eq!(tenure.addressed(&one).await, ["L", "M"]);

    tenure.move_to(&one, "new@example.com").await.ok();
    assert_eq!(tenure.addressed(&one).await, ["L", "M", "M"]);
    let proven = tenure.prove(&admin, &one).await.ok();
    assert_eq!(proven["email_verified"], true);
    assert_eq!(tenure.addressed(&one).await, ["L", "M"]);
    assert_eq!(find("test1@example.com").await, ids(&[]));
    tenure.assign(&admin, &other, "test1@example.com").await.ok();
    assert_eq!(tenure.assign(&admin, &other, "new@example.com").await.refused(409), "EMAIL_TAKEN");

    // Several accounts may have one address: the search finds all of them.
    tenure.move_to(&one, "test1@example.com").await.ok();
    assert_eq!(find("test1@example.com").await, ids(&[&other, &one]));
    assert_eq!(find("new@example.com").await, ids(&[&one]));
    tenure.unregister(&one.token, at_once()).await.ok();
    assert_eq!(find("test1@example.com").await, ids(&[&other]));
    assert!(tenure.stack.settle().await);
    assert!(tenure.addressed(&one).await.is_empty(), "nothing of an address is left");
    let left = tenure.accounts().await;
    let left = left.iter().filter(|item| item["pk"]["S"].as_str().unwrap().ends_with(&one.id));
    assert!(left.into_iter().all(|item| !item.to_string().contains('@')));
    tenure.assign(&admin, &other, "new@example.com").await.ok();
}

fn at_once() -> Value {
    json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true})
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_without_address_entries_still_work() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let (old, leaver) =
        (tenure.account(&admin, "test1").await, tenure.account(&admin, "test2").await);
    tenure.forget_entries().await;
    let newer = tenure.account(&admin, "test3").await;

    // The old account is found by its lock, beside accounts that came later.
    let shared = "test1@example.com";
    assert_eq!(tenure.find(&admin, shared, 1).await, std::slice::from_ref(&old.id));
    tenure.move_to(&newer, shared).await.ok();
    for size in [1, 2, 3] {
        let found = tenure.find(&admin, shared, size).await;
        assert_eq!(found, [newer.id.clone(), old.id.clone()], "{size}");
    }
    assert_eq!(tenure.assign(&admin, &newer, shared).await.ok()["email"], shared, "as it was");
    assert_eq!(tenure.prove(&admin, &newer).await.refused(409), "EMAIL_TAKEN");
    assert_eq!(tenure.prove(&admin, &old).await.ok()["email_verified"], true);
    tenure.move_to(&old, "new@example.com").await.ok();
    assert_eq!(tenure.addressed(&old).await, ["L", "M"], "the lock of the retained one");
    assert_eq!(tenure.find(&admin, shared, 100).await, [newer.id.clone(), old.id.clone()]);
    tenure.prove(&admin, &old).await.ok();
    assert_eq!(tenure.find(&admin, shared, 100).await, [newer.id]);

    tenure.unregister(&leaver.token, at_once()).await.ok();
    assert!(tenure.stack.settle().await);
    assert!(tenure.addressed(&leaver).await.is_empty());
    assert_eq!(tenure.partition(&leaver.id).await, ["A"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_has_ten_addresses_an_hour_asked_for_a_proof() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.prove(&admin, &account).await.ok();
    for number in 0..10 {
        tenure.move_to(&account, &format!("stranger{number}@example.com")).await.ok();
    }
    let before = tenure.accounts().await;
    let refused = tenure.move_to(&account, "one-more@example.com").await;
    assert_eq!(refused.refused(429), "RATE_LIMIT_EXCEEDED");
    assert_eq!(refused.body["error"]["details"][0]["limited_by"], "customer");
    assert_eq!(tenure.accounts().await, before);
    // Changes that need no proof by mail still work: of other fields, to the verified address, and by operators.
    let name = json!({"name": "New"});
    tenure.call_with(&account.token, "PUT", "/v1.0/customer", name).await.ok();
    assert_eq!(tenure.move_to(&account, "test1@example.com").await.ok()["email_verified"], true);
    tenure.assign(&admin, &account, "assigned@example.com").await.ok();
    tenure.stack.advance_clock(3600).await.unwrap();
    tenure.move_to(&account, "one-more@example.com").await.ok();
}
