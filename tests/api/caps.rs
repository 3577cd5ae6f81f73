//! Caps, the maximum numbers of agents and access keys of an account: concurrent requests cannot exceed them.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Answer, PASSWORD, Tenure, contended, options};

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_as_many_agents_and_keys_as_the_caps_say() {
    let mut options = contended(options());
    for (name, value) in [("MaxAgents", "3"), ("MaxAccessKeys", "2")] {
        options.parameters.insert(name.to_owned(), value.to_owned());
    }
    let tenure = Tenure::start_with(options).await;
    let token = tenure.account(&tenure.admin().await, "test1").await.token;

    // The account has an admin already.
    let agent = |number: usize| {
        let body = json!({"username": format!("agent{number}"), "password": PASSWORD});
        tenure.call_with(&token, "POST", "/v1.0/agents", body)
    };
    let key = |_| tenure.call_with(&token, "POST", "/v1.0/accesskeys", json!({"expire": 86_400}));
    let agents = join_all((0..6).map(agent)).await;
    let keys = join_all((0..6).map(key)).await;
    for (answers, words) in [(&agents, "can have 3 agents"), (&keys, "can have 2 access keys")] {
        let (created, refused): (Vec<_>, Vec<_>) =
            answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(created.len(), 2, "{words}");
        for answer in refused {
            assert_eq!(answer.refused(409), "RESOURCE_LIMIT_EXCEEDED");
            assert!(answer.message().contains(words), "{}", answer.text);
        }
    }

    // Deleting one key makes room for another.
    let deleted: Option<&Answer> = keys.iter().find(|answer| answer.status == 200);
    let path = format!("/v1.0/accesskeys/{}", deleted.unwrap().body["id"].as_str().unwrap());
    tenure.call(&token, "DELETE", &path).await.ok();
    key(0).await.ok();
    assert_eq!(key(0).await.refused(409), "RESOURCE_LIMIT_EXCEEDED");
}
