//! What can be done, each with what its success claims. An operation that is added here is in every
//! suite that names it.

use serde_json::{Value, json};

use crate::endpoints::{
    accesskey_create, accesskey_delete, accesskey_get, accesskey_list, accesskey_update,
    auth_login, auth_recover, auth_unregister, customer_create, customer_delete, customer_get,
    customer_list, customer_update, own_metadata_update, purge_run,
};
use crate::scene::{CUSTOMER, PASSWORD};
use crate::state::{State, text};
use crate::world::{Answer, Operation, endpoint, event, sent, without_token};

pub(crate) fn login() -> Operation {
    endpoint("login", "AuthLoginFunction", auth_login::handle, |_| {
        without_token(json!({"username": CUSTOMER, "password": PASSWORD}))
    })
    .effect(|state, _, _| state.count("SESSION#") >= 2)
}

pub(crate) fn unregister() -> Operation {
    endpoint("unregister", "AuthUnregisterFunction", auth_unregister::handle, |scene| {
        sent(&scene.session).body(json!({"password": PASSWORD}))
    })
    .effect(|state, _, _| state.status() == "frozen" && state.has("due_pk"))
}

pub(crate) fn recover() -> Operation {
    endpoint("recover", "AuthRecoverFunction", auth_recover::handle, |scene| sent(&scene.session))
        .effect(|state, _, _| state.status() == "initial" && !state.has("due_pk"))
        .again(&[409])
}

pub(crate) fn immediate() -> Operation {
    endpoint("immediate", "AuthUnregisterFunction", auth_unregister::handle, |scene| {
        let body =
            json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
        sent(&scene.session).body(body)
    })
    .effect(|state, _, _| state.status() == "deleted")
    .again(&[401])
}

pub(crate) fn admin_delete() -> Operation {
    endpoint("admin delete", "CustomerDeleteFunction", customer_delete::handle, |scene| {
        sent(&scene.admin).id(&scene.customer)
    })
    .effect(|state, _, _| state.status() == "deleted")
}

pub(crate) fn create_customer() -> Operation {
    endpoint("create customer", "CustomerCreateFunction", customer_create::handle, |scene| {
        sent(&scene.admin).body(new_customer("test2"))
    })
    .effect(|state, _, _| {
        let made = state.others.values().find(|item| text(item, "email") == "test2@example.com");
        made.is_some_and(|made| {
            let own = |kind: &str| state.locks(kind, text(made, "id"));
            own("USERNAME#") == 1 && own("EMAIL#") == 1
        })
    })
    .again(&[409])
}

pub(crate) fn update_customer() -> Operation {
    endpoint("update customer", "CustomerUpdateFunction", customer_update::handle, |scene| {
        let body = json!({"name": "changed", "email": "changed@example.com"});
        sent(&scene.admin).id(&scene.customer).body(body)
    })
    .effect(|state, _, _| text(&state.root, "email") == "changed@example.com")
}

pub(crate) fn get_customer() -> Operation {
    endpoint("get customer", "CustomerGetFunction", customer_get::handle, |scene| {
        sent(&scene.admin).id(&scene.customer)
    })
    .effect(|_, scene, answer| answer.text("id") == scene.customer)
}

pub(crate) fn list_customers() -> Operation {
    endpoint("list customers", "CustomerListFunction", customer_list::handle, |scene| {
        sent(&scene.admin)
    })
    .effect(|_, scene, answer| answer.body["result"][0]["id"] == *scene.customer)
}

pub(crate) fn metadata() -> Operation {
    endpoint("metadata", "OwnMetadataUpdateFunction", own_metadata_update::handle, |scene| {
        sent(&scene.session).body(json!({"rtp_debug": true}))
    })
    .effect(|state, _, _| state.root["metadata"]["M"]["rtp_debug"]["BOOL"] == true)
}

pub(crate) fn create_key() -> Operation {
    endpoint("create key", "AccesskeyCreateFunction", accesskey_create::handle, |scene| {
        sent(&scene.session).body(json!({"expire": 86_400}))
    })
    .effect(|state, _, answer| state.children.contains_key(&format!("KEY#{}", answer.text("id"))))
}

pub(crate) fn update_key() -> Operation {
    endpoint("update key", "AccesskeyUpdateFunction", accesskey_update::handle, |scene| {
        sent(&scene.session).id(&scene.key).body(json!({"name": "changed"}))
    })
    .effect(|state, _, answer| {
        let key = state.children.get(&format!("KEY#{}", answer.text("id")));
        key.is_some_and(|key| text(key, "name") == "changed")
    })
}

pub(crate) fn get_key() -> Operation {
    endpoint("get key", "AccesskeyGetFunction", accesskey_get::handle, |scene| {
        sent(&scene.session).id(&scene.key)
    })
    .effect(|state, _, answer| state.children.contains_key(&format!("KEY#{}", answer.text("id"))))
}

pub(crate) fn list_keys() -> Operation {
    endpoint("list keys", "AccesskeyListFunction", accesskey_list::handle, |scene| {
        sent(&scene.session)
    })
    .effect(|state, _, answer| {
        let shown = answer.body["result"].as_array().map_or(0, Vec::len);
        shown == state.count("KEY#")
    })
}

pub(crate) fn delete_key() -> Operation {
    endpoint("delete key", "AccesskeyDeleteFunction", accesskey_delete::handle, |scene| {
        sent(&scene.session).id(&scene.key)
    })
    .effect(|state, scene, _| !state.children.contains_key(&format!("KEY#{}", scene.key)))
    .again(&[404])
}

/// The purge of the customer, as the bus asks for it.
pub(crate) fn purge() -> Operation {
    event(
        "purge",
        "PurgeRunFunction",
        purge_run::handle,
        |scene| json!({"detail": {"customer_id": scene.customer}}),
    )
    .effect(|state, _, answer| is_purged_or_failed(state, answer))
}

/// The purge of all that is due, as the schedule asks for it.
pub(crate) fn purge_due() -> Operation {
    event("purge due", "PurgeRunFunction", purge_run::handle, |_| json!({}))
        .effect(|state, _, answer| is_purged_or_failed(state, answer))
}

/// A run that could not purge an account says so.
fn is_purged_or_failed(state: &State, answer: &Answer) -> bool {
    state.status() != "deleted" || state.has("tm_purge") || answer.body["failed"] != 0
}

/// A customer with every field filled.
pub(crate) fn new_customer(username: &str) -> Value {
    json!({
        "username": username,
        "password": PASSWORD,
        "name": format!("Name of {username}"),
        "detail": format!("Detail of {username}"),
        "email": format!("{username}@example.com"),
        "phone_number": format!("Phone of {username}"),
        "address": format!("Address of {username}"),
        "webhook_method": "POST",
        "webhook_uri": format!("https://example.com/{username}"),
    })
}
