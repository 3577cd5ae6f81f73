//! Erasures of accounts: the plan before a deletion, legal holds, the circuit breaker, the ledger of
//! erasures, quarantine of unknown items, and erasing accounts again after a restore.

use serde_json::{Value, json};

use crate::harness::{Account, PASSWORD, Tenure, options_with};

const DAY: i64 = 86_400;

fn path(account: &Account, rest: &str) -> String {
    format!("/v1.0/customers/{}{rest}", account.id)
}

async fn erasure(tenure: &Tenure, admin: &str, account: &Account) -> Value {
    tenure.call(admin, "GET", &path(account, "/erasure")).await.ok()
}

async fn plan(tenure: &Tenure, admin: &str, account: &Account) -> Value {
    tenure.call(admin, "POST", &path(account, "/erasure/plan")).await.ok()
}

async fn delete(tenure: &Tenure, admin: &str, account: &Account) -> Value {
    tenure.call(admin, "DELETE", &path(account, "")).await.ok()
}

async fn run_purge(tenure: &Tenure) -> Value {
    tenure.send(tenure.request("POST", "/_local/schedules/PurgeRunFunctionSchedule/run")).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_records_every_stage_of_an_erasure() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.access_key(&account.token).await;
    let none = tenure.call(&admin, "GET", &path(&account, "/erasure")).await;
    assert_eq!(none.refused(404), "ERASURE_NOT_FOUND");

    let left = tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    let scheduled = erasure(&tenure, &admin, &account).await;
    assert_eq!(scheduled["stage"], "scheduled");
    assert_eq!(scheduled["reason"], "unregister");
    assert_eq!(scheduled["requested_by"]["role"], "customer_admin");
    assert_eq!(scheduled["tm_due"], left["tm_deletion_scheduled"]);

    tenure.call(&account.token, "DELETE", "/auth/unregister").await.ok();
    let withdrawn = erasure(&tenure, &admin, &account).await;
    assert_eq!(withdrawn["stage"], "withdrawn");
    assert_eq!(withdrawn["withdrawn_by"], scheduled["requested_by"]);

    tenure.call(&admin, "POST", &path(&account, "/freeze")).await.ok();
    let again = erasure(&tenure, &admin, &account).await;
    assert_eq!((&again["stage"], &again["reason"]), (&json!("scheduled"), &json!("freeze")));
    assert_eq!((&again["tm_withdraw"], &again["withdrawn_by"]), (&Value::Null, &Value::Null));
    tenure.call(&admin, "POST", &path(&account, "/recover")).await.ok();
    tenure.call(&admin, "POST", &path(&account, "/freeze")).await.ok();

    tenure.advance_days(31).await;
    assert!(tenure.stack.settle().await);
    let admin = tenure.admin().await;
    let finished = erasure(&tenure, &admin, &account).await;
    assert_eq!(finished["stage"], "finished");
    assert_eq!(finished["requested_by"]["role"], "project_admin");
    assert_eq!(finished["resources"]["agents"], json!({"found": 1, "deleted": 1}));
    assert_eq!(finished["attempts"], 1);
    assert_eq!(finished["receipt"].as_str().unwrap().split('.').count(), 3);
    assert!(finished["tm_claim"].as_str() >= finished["tm_due"].as_str());
    assert!(finished["tm_finish"].as_str() >= finished["tm_claim"].as_str());
    let ledger = json!(tenure.items("ErasuresTable").await).to_string();
    assert!(!ledger.contains("test1"), "{ledger}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_changes_nothing_and_binds_a_deletion() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.access_key(&account.token).await;

    let before = tenure.accounts().await;
    let first = plan(&tenure, &admin, &account).await;
    assert_eq!(tenure.accounts().await, before);
    assert_eq!(first["resources"], json!({"agents": 1, "accesskeys": 1, "sessions": 1}));
    assert_eq!(first["blockers"], json!([]));
    assert!(
        first["fields"]["customer"]
            .as_array()
            .unwrap()
            .contains(&json!({"name": "email", "rule": "blanked", "personal": true}))
    );
    assert!(first["capacity"]["wcu"].as_u64() > Some(0));

    // A login keeps a plan valid; a new key outdates it, and so does a change of the account.
    tenure.login("test1", PASSWORD).await;
    assert_eq!(plan(&tenure, &admin, &account).await["digest"], first["digest"]);
    tenure.access_key(&account.token).await;
    let digest = first["digest"].as_str().unwrap();
    let outdated = tenure.call(&admin, "DELETE", &path(&account, &format!("?plan={digest}"))).await;
    assert_eq!(outdated.refused(409), "PLAN_OUTDATED");
    assert_eq!(
        outdated.body["error"]["details"][0],
        json!({"account_changed": false, "resources": {"accesskeys": {"planned": 1, "found": 2}}})
    );
    let second = plan(&tenure, &admin, &account).await;
    let body = json!({"detail": "changed"});
    tenure.call_with(&admin, "PUT", &path(&account, ""), body).await.ok();
    let digest = second["digest"].as_str().unwrap();
    let outdated = tenure.call(&admin, "DELETE", &path(&account, &format!("?plan={digest}"))).await;
    assert_eq!(outdated.refused(409), "PLAN_OUTDATED");
    assert_eq!(outdated.body["error"]["details"][0]["account_changed"], true);

    let other = tenure.account(&admin, "test2").await;
    let third = plan(&tenure, &admin, &account).await;
    let digest = third["digest"].as_str().unwrap();
    for wrong in
        ["", "x", &digest[1..], &format!("{digest}&plan={digest}"), &format!("{digest}&x=1")]
    {
        let answer =
            tenure.call(&admin, "DELETE", &path(&account, &format!("?plan={wrong}"))).await;
        assert_eq!(answer.refused(400), "INVALID_REQUEST_PARAMETER", "{wrong}");
    }
    let foreign = tenure.call(&admin, "DELETE", &path(&other, &format!("?plan={digest}"))).await;
    assert_eq!(foreign.refused(400), "INVALID_REQUEST_PARAMETER");

    tenure.call(&admin, "DELETE", &path(&account, &format!("?plan={digest}"))).await.ok();
    assert!(tenure.stack.settle().await);
    let finished = erasure(&tenure, &admin, &account).await;
    assert_eq!(finished["stage"], "finished");
    assert_eq!(finished["plan"].as_str(), digest.rsplit_once('.').map(|(_, hash)| hash));
    assert_eq!(finished["resources"]["accesskeys"], json!({"found": 2, "deleted": 2}));
    let gone = tenure.call(&admin, "POST", &path(&account, "/erasure/plan")).await;
    assert_eq!(gone.refused(409), "STATE_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_blocks_the_purge_until_a_day_after_its_release() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let reason = json!({"reason": "Case 7 of the court"});
    tenure.call_with(&admin, "PUT", &path(&account, "/hold"), reason).await.ok();
    for wrong in [json!({}), json!({"reason": " "}), json!({"reason": "x".repeat(501)})] {
        let answer = tenure.call_with(&admin, "PUT", &path(&account, "/hold"), wrong).await;
        assert_eq!(answer.refused(400), "INVALID_ARGUMENT");
    }

    // A held account can be frozen, and not deleted.
    let now = json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
    let refused = tenure.unregister(&account.token, now).await;
    assert_eq!(refused.refused(409), "ACCOUNT_PRESERVED");
    assert!(
        !refused.text.contains("hold") && !refused.text.contains("customers"),
        "{}",
        refused.text
    );
    assert_eq!(tenure.call(&admin, "DELETE", &path(&account, "")).await.refused(409), "LEGAL_HOLD");
    assert_eq!(plan(&tenure, &admin, &account).await["blockers"], json!(["LEGAL_HOLD"]));
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    let run = &tenure.advance_days(40).await["schedules"]["PurgeRunFunctionSchedule"];
    assert_eq!((&run["due"], &run["finished"]), (&json!(0), &json!(0)));

    let admin = tenure.admin().await;
    let held = erasure(&tenure, &admin, &account).await;
    assert_eq!(held["stage"], "held");
    assert_eq!(held["holds"][0]["reason"], "Case 7 of the court");
    assert_eq!(held["holds"][0]["by"]["role"], "project_admin");
    tenure.call(&admin, "DELETE", &path(&account, "/hold")).await.ok();
    let lifted = erasure(&tenure, &admin, &account).await;
    assert_eq!((&lifted["stage"], &lifted["holds"]), (&json!("scheduled"), &json!([])));
    assert_eq!(lifted["lifted_by"], held["holds"][0]["by"]);
    assert!(lifted["tm_lift"].is_string(), "{lifted}");

    let early = tenure.stack.advance_clock(DAY - 60).await.unwrap();
    assert_eq!(early["schedules"]["PurgeRunFunctionSchedule"]["finished"], 0);
    let late = tenure.stack.advance_clock(1800).await.unwrap();
    assert_eq!(late["schedules"]["PurgeRunFunctionSchedule"]["finished"], 1);
    let events = tenure.events_of(&account.id).await;
    for name in ["customer_held", "customer_released", "customer_deleted"] {
        assert!(events.iter().any(|event| event == name), "{events:?}");
    }
    let admin = tenure.admin().await;
    let late = json!({"reason": "too late"});
    let answer = tenure.call_with(&admin, "PUT", &path(&account, "/hold"), late).await;
    assert_eq!(answer.refused(409), "STATE_INVALID");
}

/// Two kinds of purges count towards the hourly limit: those of frozen accounts whose deletion is due, and
/// those of accounts that were deleted at once.
#[tokio::test(flavor = "multi_thread")]
async fn breaker_limits_purges_per_hour() {
    let tenure = Tenure::start_with(options_with("BreakerAccounts", "3")).await;
    let admin = tenure.admin().await;
    let mut accounts = Vec::new();
    for number in 0..6 {
        let account = tenure.account(&admin, &format!("test{number}")).await;
        if number < 4 {
            tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
        }
        accounts.push(account);
    }
    let run = &tenure.advance_days(31).await["schedules"]["PurgeRunFunctionSchedule"];
    assert_eq!((&run["claimed"], &run["finished"]), (&json!(3), &json!(3)), "{run}");
    assert_eq!((&run["due"], &run["breaker_open"]), (&json!(4), &json!(true)), "{run}");
    let admin = tenure.admin().await;
    for account in &accounts[4..] {
        delete(&tenure, &admin, account).await;
    }
    assert!(tenure.stack.settle().await);
    // These accounts are deleted, but not purged.
    for account in &accounts[4..] {
        assert_eq!(erasure(&tenure, &admin, account).await["stage"], "due");
        assert!(tenure.partition(&account.id).await.len() > 1);
    }
    let metrics = tenure.stack.logs().into_iter().filter(|line| line.contains("PurgeBreakerOpen"));
    assert!(metrics.filter(|line| line.contains("\"PurgeBreakerOpen\":1")).count() >= 3);

    let run =
        &tenure.stack.advance_clock(3600).await.unwrap()["schedules"]["PurgeRunFunctionSchedule"];
    assert_eq!((&run["finished"], &run["breaker_open"]), (&json!(3), &json!(false)), "{run}");
}

/// After a restore, the locks that reserve an account's user name and e-mail address may belong to another
/// account. The purge leaves such locks to their account, and finishes all the same.
#[tokio::test(flavor = "multi_thread")]
async fn purge_keeps_locks_of_other_accounts() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let kept = tenure.account(&admin, "test1").await;
    for locks in [&["USERNAME#"][..], &["EMAIL#"], &["USERNAME#", "EMAIL#"]] {
        let gone = tenure.account(&admin, "test2").await;
        let items = tenure.items("AccountsTable").await.into_iter();
        let is_lock = |item: &Value| {
            let pk = item["pk"]["S"].as_str().unwrap();
            let is_of = item["customer_id"]["S"] == gone.id && item["sk"]["S"] == "L";
            is_of && locks.iter().any(|lock| pk.starts_with(lock))
        };
        let mut foreign: Vec<Value> = items.filter(is_lock).collect();
        assert_eq!(foreign.len(), locks.len());
        for lock in &mut foreign {
            lock["customer_id"]["S"] = json!(kept.id);
        }
        crate::store::restore(&tenure, &foreign).await;
        delete(&tenure, &admin, &gone).await;
        assert!(tenure.stack.settle().await);

        assert_eq!(tenure.partition(&gone.id).await, ["A"], "{locks:?}");
        let finished = erasure(&tenure, &admin, &gone).await;
        assert_eq!(finished["stage"], "finished", "{locks:?}");
        assert_eq!(finished["resources"]["agents"], json!({"found": 1, "deleted": 1}));
        let items = tenure.items("AccountsTable").await;
        let left = items.iter().find(|item| item["customer_id"]["S"] == gone.id);
        assert_eq!(left, None, "{locks:?}: an entry is left");
        for lock in &foreign {
            let left = items.iter().find(|item| item["pk"] == lock["pk"]);
            assert_eq!(left.map(|left| &left["customer_id"]), Some(&lock["customer_id"]));
            let client = tenure.database();
            let text = |text: &Value| {
                aws_sdk_dynamodb::types::AttributeValue::S(text.as_str().unwrap().to_owned())
            };
            let put_away = client.delete_item().table_name("AccountsTable");
            let put_away = put_away.key("pk", text(&lock["pk"]["S"]));
            put_away.key("sk", text(&lock["sk"]["S"])).send().await.unwrap();
        }
    }
}

/// The purge does not delete an item of a kind that it does not know. Once a later version of the service
/// knows the kind, the item is counted and deleted like any other, whatever its place in the order of sort
/// keys.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_items_are_quarantined_until_they_are_known() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.call_with(&account.token, "POST", "/v1.0/tags", json!({"name": "late"})).await.ok();
    let partition = format!("CUSTOMER#{}", account.id);
    let thing = |sk: &str| json!({"pk": {"S": partition.clone()}, "sk": {"S": sk}});
    crate::store::restore(&tenure, &[thing("FAX#1")]).await;
    delete(&tenure, &admin, &account).await;
    assert!(tenure.stack.settle().await);
    let waiting = erasure(&tenure, &admin, &account).await;
    assert_eq!((&waiting["stage"], &waiting["quarantined"]), (&json!("running"), &json!(1)));
    assert_eq!(waiting["resources"]["tags"], json!({"found": 1, "deleted": 1}));
    assert_eq!(waiting["receipt"], Value::Null);
    assert_eq!(tenure.partition(&account.id).await, ["A", "FAX#1"]);
    assert_eq!(run_purge(&tenure).await["quarantined"], 1);

    // Stands for a version that knows the item: the same item under a known sort key.
    let client = tenure.database();
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let delete = client.delete_item().table_name("AccountsTable").key("pk", text(&partition));
    delete.key("sk", text("FAX#1")).send().await.unwrap();
    let known = format!("NUMBER#{}", uuid::Uuid::from_u128(1));
    crate::store::restore(&tenure, &[thing(&known)]).await;
    assert_eq!(run_purge(&tenure).await["finished"], 1);
    let finished = erasure(&tenure, &admin, &account).await;
    assert_eq!(finished["stage"], "finished");
    assert_eq!(finished["resources"]["numbers"], json!({"found": 1, "deleted": 1}));
    assert_eq!(tenure.partition(&account.id).await, ["A"]);
    assert!(tenure.events_of(&account.id).await.contains(&"number_deleted".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_switch_stops_all_purges() {
    let tenure = Tenure::start_with(options_with("PurgeEnabled", "false")).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    delete(&tenure, &admin, &account).await;
    assert!(tenure.stack.settle().await);
    tenure.stack.advance_clock(3 * 3600).await.unwrap();
    let run = run_purge(&tenure).await;
    assert_eq!((&run["stopped"], &run["due"]), (&json!(true), &json!(1)), "{run}");
    assert!(run["oldest_overdue_seconds"].as_u64() >= Some(3 * 3600), "{run}");
    assert!(tenure.partition(&account.id).await.len() > 1);
}

/// The accounts table is restored from a backup; the table of ledgers, which records the erasures, is not.
/// The first transactions of two functions fail, as if they conflicted with others: of the purge, and of the
/// restore replay, which deletes erased accounts again.
#[tokio::test(flavor = "multi_thread")]
async fn restored_accounts_are_erased_again() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let (gone, stays) =
        (tenure.account(&admin, "test1").await, tenure.account(&admin, "test2").await);
    let backup = tenure.items("AccountsTable").await;
    tenure.meet_others(&["PurgeRunFunction", "ErasureReplayFunction"]).await;
    delete(&tenure, &admin, &gone).await;
    assert!(tenure.stack.settle().await);
    let first = erasure(&tenure, &admin, &gone).await;

    crate::store::restore(&tenure, &backup).await;
    assert_eq!(
        tenure.try_login("test1", PASSWORD).await.status,
        200,
        "the restore brings the account back"
    );

    let month = &first["tm_finish"].as_str().unwrap()[..7];
    let path = "/2015-03-31/functions/ErasureReplayFunction/invocations";
    let call = tenure.request("POST", path).json(&json!({"from": month}));
    let replay = tenure.send(call).await.ok();
    assert_eq!((&replay["checked"], &replay["erased_again"]), (&json!(1), &json!(1)), "{replay}");
    assert!(tenure.stack.settle().await);
    assert_eq!(tenure.try_login("test1", PASSWORD).await.refused(401), "INVALID_CREDENTIALS");
    assert_eq!(tenure.partition(&gone.id).await, ["A"]);
    let second = erasure(&tenure, &admin, &gone).await;
    assert_eq!((&second["stage"], &second["reason"]), (&json!("finished"), &json!("restored")));
    assert_eq!(second["requested_by"]["type"], "erasure_replay");
    assert_ne!(second["receipt"], first["receipt"]);
    tenure.call(&stays.token, "GET", "/v1.0/accesskeys").await.ok();

    let again = tenure.request("POST", path).json(&json!({"from": month}));
    assert_eq!(tenure.send(again).await.ok()["erased_again"], 0);
    let wrong = tenure.send(tenure.request("POST", path).json(&json!({"from": "x"}))).await;
    assert!(wrong.text.contains("2026-11"), "{}", wrong.text);
}

/// An attacker with an operator's key deletes accounts. After a restore from a backup, the restore replay
/// deletes erased accounts again, except those that the attacker deleted: the payload with which it is
/// invoked names them.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_can_undo_an_attack_and_erases_the_others_again() {
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let mut accounts = Vec::new();
    for name in ["attacked-1", "attacked-2", "mistaken", "rightly-gone", "gone-later"] {
        accounts.push(tenure.account(&admin, name).await);
    }
    let backup = tenure.items("AccountsTable").await;
    let stolen = tenure.access_key(&admin).await;
    let [one, two, mistaken, gone, later] = accounts.as_slice() else { panic!() };
    // During the attack, the operator whose key was stolen deletes accounts, too.
    for (by, account) in [(&stolen, one), (&admin, gone), (&stolen, two), (&admin, mistaken)] {
        delete(&tenure, by, account).await;
    }
    assert!(tenure.stack.settle().await);
    let attack = erasure(&tenure, &admin, two).await;
    let first = erasure(&tenure, &admin, one).await;
    // The attacker's key also deletes an account that is not excepted, after the attack.
    delete(&tenure, &stolen, later).await;
    assert!(tenure.stack.settle().await);
    crate::store::restore(&tenure, &backup).await;

    let month = &attack["tm_finish"].as_str().unwrap()[..7];
    let path = "/2015-03-31/functions/ErasureReplayFunction/invocations";
    let replay = async |except: Value| {
        let call = json!({"from": month, "except": except});
        tenure.send(tenure.request("POST", path).json(&call)).await
    };
    let by = json!({
        "requester": attack["requested_by"]["id"],
        "from": first["tm_request"],
        "until": attack["tm_request"],
    });
    let wrong = replay(json!({"requests": [{"requester": mistaken.id}]})).await;
    assert!(wrong.text.contains("from: is missing"), "{}", wrong.text);
    let done = replay(json!({"customers": [mistaken.id], "requests": [by]})).await.ok();
    assert_eq!((&done["excepted"], &done["erased_again"]), (&json!(3), &json!(2)), "{done}");
    assert!(tenure.stack.settle().await);
    for account in [one, two, mistaken] {
        let shown = tenure.call(&admin, "GET", &self::path(account, "")).await.ok();
        assert_eq!(shown["status"], "initial");
        assert_eq!(erasure(&tenure, &admin, account).await["stage"], "withdrawn");
    }
    for account in [gone, later] {
        assert_eq!(tenure.partition(&account.id).await, ["A"]);
    }
    // A later replay skips the excepted erasures without being told again.
    let again = replay(json!({})).await.ok();
    assert_eq!((&again["erased_again"], &again["checked"]), (&json!(0), &json!(2)), "{again}");
    // The excepted accounts can be erased like any other.
    delete(&tenure, &admin, one).await;
    assert!(tenure.stack.settle().await);
    assert_eq!(erasure(&tenure, &admin, one).await["stage"], "finished");
    assert_eq!(tenure.partition(&one.id).await, ["A"]);
}

/// Every stored attribute is declared with its erase rule, which says what an erasure does with it. The lists
/// below are the exceptions.
#[tokio::test(flavor = "multi_thread")]
async fn every_stored_field_has_an_erase_rule() {
    // Attributes of counters, whose keys are hashed and which expire.
    const COUNTS: [&str; 11] = [
        "requests",
        "attempts",
        "wait_ms",
        "next_at",
        "last_at",
        "expires_at",
        "claims",
        "deletions",
        "messages",
        "under_way",
        "slow",
    ];
    const KEYS: [&str; 6] = ["pk", "sk", "finished_pk", "finished_sk", "open_pk", "open_sk"];
    /// Attributes in the ledger of erasures that no code reads, and that therefore have no declared rule.
    const LEDGER: [&str; 2] = ["tm_lift", "tm_error"];
    let tenure = Tenure::start().await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    let key = tenure.access_key(&account.token).await;
    tenure.call(&key, "GET", "/v1.0/accesskeys").await.ok();
    tenure.call_with(&account.token, "POST", "/v1.0/numbers", json!({"data": {"a": 1}})).await.ok();
    tenure
        .call_with(&account.token, "PUT", "/v1.0/customer/metadata", json!({"rtp_debug": true}))
        .await
        .ok();
    let reason = json!({"reason": "Case 7 of the court"});
    tenure.call_with(&admin, "PUT", &path(&account, "/hold"), reason).await.ok();
    tenure.call(&admin, "DELETE", &path(&account, "/hold")).await.ok();
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    let other = tenure.account(&admin, "test2").await;
    delete(&tenure, &admin, &other).await;
    assert!(tenure.stack.settle().await);

    let declared: Vec<&str> = shared::store::items::ITEMS
        .iter()
        .flat_map(|(_, fields)| fields.iter().map(|field| field.name))
        .chain(COUNTS)
        .chain(KEYS)
        .chain(LEDGER)
        .chain(["type"])
        .collect();
    for table in ["AccountsTable", "OutboxTable", "ErasuresTable"] {
        for item in tenure.items(table).await {
            for name in item.as_object().unwrap().keys() {
                assert!(declared.contains(&name.as_str()), "{table}: {name} has no erase rule");
            }
        }
    }
}
