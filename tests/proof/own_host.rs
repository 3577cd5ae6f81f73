//! The API's own host is refused as the target of a webhook: each delivery could cause an event, and thereby
//! the next delivery.

use serde_json::json;

use crate::endpoints::{customer_create, customer_update, own_update};
use crate::scene::Scene;
use crate::world::{HOST, Operation, World, endpoint, sent};

/// Returns the operations that can set an account's webhook, here to this URI.
fn setting(uri: &str) -> [Operation; 3] {
    let body = json!({ "webhook_uri": uri });
    let (update, own) = (body.clone(), body.clone());
    let mut create = body;
    create["username"] = json!("test2");
    create["password"] = json!("correct horse battery staple");
    [
        endpoint("update customer", "customer_update", customer_update::endpoint, move |scene| {
            sent(&scene.admin).id(&scene.customer).body(update.clone())
        }),
        endpoint("update own account", "own_update", own_update::endpoint, move |scene| {
            sent(&scene.session).body(own.clone())
        }),
        endpoint("create customer", "customer_create", customer_create::endpoint, move |scene| {
            sent(&scene.admin).body(create.clone())
        }),
    ]
}

#[tokio::test]
async fn the_host_that_a_request_came_to_is_no_webhook_target() {
    let world = World::new();
    let scene = Scene::active(&world).await;
    world.set(&scene);
    for (uri, status) in [
        (format!("https://{HOST}/v1.0/customer/webhook_test"), 400),
        (format!("https://hooks.{HOST}/"), 200),
    ] {
        for operation in setting(&uri) {
            let answer = world.start(0, &operation, &scene).await.expect("an answer");
            assert_eq!(answer.status, status, "{}: {}", operation.name, answer.body);
            if status == 400 {
                assert_eq!(answer.body["error"]["reason"], "INVALID_WEBHOOK_URI");
            }
        }
    }
}
