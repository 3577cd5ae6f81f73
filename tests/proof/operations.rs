//! What can be done, each with what its success claims. An operation that is added here is in every
//! suite that names it.

use serde_json::{Value, json};

use crate::endpoints;
use crate::scene::{CUSTOMER, PASSWORD};
use crate::state::{State, text};
use crate::world::{Answer, Operation, endpoint, event, sent, without_token};

pub(crate) fn login() -> Operation {
    endpoint("login", "AuthLoginFunction", endpoints::auth_login::handle, |_| {
        without_token(json!({"username": CUSTOMER, "password": PASSWORD}))
    })
    .effect(|state, _, _| state.count("SESSION#") >= 2)
}

pub(crate) fn unregister() -> Operation {
    endpoint("unregister", "AuthUnregisterFunction", endpoints::auth_unregister::handle, |scene| {
        sent(&scene.session).body(json!({"password": PASSWORD}))
    })
    .effect(|state, _, _| state.status() == "frozen")
}

pub(crate) fn recover() -> Operation {
    endpoint("recover", "AuthRecoverFunction", endpoints::auth_recover::handle, |scene| {
        sent(&scene.session)
    })
    .effect(|state, _, _| state.status() == "initial")
    .again(&[409])
}

pub(crate) fn immediate() -> Operation {
    endpoint("immediate", "AuthUnregisterFunction", endpoints::auth_unregister::handle, |scene| {
        let body =
            json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
        sent(&scene.session).body(body)
    })
    .effect(|state, _, _| state.status() == "deleted")
    .again(&[401])
}

pub(crate) fn admin_delete() -> Operation {
    endpoint(
        "admin delete",
        "CustomerDeleteFunction",
        endpoints::customer_delete::handle,
        |scene| sent(&scene.admin).id(&scene.customer),
    )
    .effect(|state, _, _| state.status() == "deleted")
}

pub(crate) fn freeze() -> Operation {
    endpoint("freeze", "CustomerFreezeFunction", endpoints::customer_freeze::handle, |scene| {
        sent(&scene.admin).id(&scene.customer)
    })
    .effect(|state, _, _| state.status() == "frozen")
}

pub(crate) fn admin_recover() -> Operation {
    endpoint(
        "admin recover",
        "CustomerRecoverFunction",
        endpoints::customer_recover::handle,
        |scene| sent(&scene.admin).id(&scene.customer),
    )
    .effect(|state, _, _| state.status() == "initial")
    .again(&[409])
}

pub(crate) fn hold() -> Operation {
    endpoint("hold", "HoldSetFunction", endpoints::hold_set::handle, |scene| {
        sent(&scene.admin).id(&scene.customer).body(json!({"reason": "Court order 7"}))
    })
    .effect(|state, _, _| state.has("hold_reason"))
}

pub(crate) fn lift_hold() -> Operation {
    endpoint("lift hold", "HoldLiftFunction", endpoints::hold_lift::handle, |scene| {
        sent(&scene.admin).id(&scene.customer)
    })
    .effect(|state, _, _| !state.has("hold_reason"))
}

pub(crate) fn plan() -> Operation {
    endpoint("plan", "ErasurePlanFunction", endpoints::erasure_plan::handle, |scene| {
        sent(&scene.admin).id(&scene.customer)
    })
}

pub(crate) fn get_erasure() -> Operation {
    endpoint("get erasure", "ErasureGetFunction", endpoints::erasure_get::handle, |scene| {
        sent(&scene.admin).id(&scene.customer)
    })
}

pub(crate) fn create_customer() -> Operation {
    endpoint(
        "create customer",
        "CustomerCreateFunction",
        endpoints::customer_create::handle,
        |scene| sent(&scene.admin).body(new_customer("test2")),
    )
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
    endpoint(
        "update customer",
        "CustomerUpdateFunction",
        endpoints::customer_update::handle,
        |scene| {
            let body = json!({"name": "changed", "email": "changed@example.com"});
            sent(&scene.admin).id(&scene.customer).body(body)
        },
    )
    .effect(|state, _, _| text(&state.root, "email") == "changed@example.com")
}

pub(crate) fn get_customer() -> Operation {
    endpoint("get customer", "CustomerGetFunction", endpoints::customer_get::handle, |scene| {
        sent(&scene.admin).id(&scene.customer)
    })
    .effect(|_, scene, answer| answer.text("id") == scene.customer)
}

pub(crate) fn list_customers() -> Operation {
    endpoint("list customers", "CustomerListFunction", endpoints::customer_list::handle, |scene| {
        sent(&scene.admin)
    })
    .effect(|_, scene, answer| answer.body["result"][0]["id"] == *scene.customer)
}

/// Looks for what only the scene's customer is.
pub(crate) fn find_customers(query: &'static str) -> Operation {
    endpoint(query, "CustomerListFunction", endpoints::customer_list::handle, move |scene| {
        sent(&scene.admin).query(query)
    })
    .effect(|_, scene, answer| answer.body["result"][0]["id"] == *scene.customer)
}

pub(crate) fn metadata() -> Operation {
    endpoint(
        "metadata",
        "OwnMetadataUpdateFunction",
        endpoints::own_metadata_update::handle,
        |scene| sent(&scene.session).body(json!({"rtp_debug": true})),
    )
    .effect(|state, _, _| state.root["metadata"]["M"]["rtp_debug"]["BOOL"] == true)
}

/// Says that the scene's billing account pays.
pub(crate) fn set_billing() -> Operation {
    endpoint(
        "set billing",
        "OwnBillingAccountUpdateFunction",
        endpoints::own_billing_account_update::handle,
        |scene| sent(&scene.session).body(json!({"billing_account_id": scene.billing_account})),
    )
    .effect(|state, scene, _| text(&state.root, "billing_account_id") == scene.billing_account)
}

pub(crate) fn delete_billing_account() -> Operation {
    endpoint(
        "delete billing account",
        "ResourceDeleteFunction",
        endpoints::resource_delete::handle,
        |scene| sent(&scene.session).kind("billing_accounts").id(&scene.billing_account),
    )
    .effect(|state, _, _| state.count("BILLING_ACCOUNT#") == 0)
    .again(&[404])
}

pub(crate) fn create_billing_account() -> Operation {
    endpoint(
        "create billing account",
        "ResourceCreateFunction",
        endpoints::resource_create::handle,
        |scene| sent(&scene.session).kind("billing_accounts").body(json!({})),
    )
}

pub(crate) fn create_key() -> Operation {
    endpoint(
        "create key",
        "AccesskeyCreateFunction",
        endpoints::accesskey_create::handle,
        |scene| sent(&scene.session).body(json!({"expire": 86_400})),
    )
    .effect(|state, _, answer| state.children.contains_key(&format!("KEY#{}", answer.text("id"))))
}

pub(crate) fn update_key() -> Operation {
    endpoint(
        "update key",
        "AccesskeyUpdateFunction",
        endpoints::accesskey_update::handle,
        |scene| sent(&scene.session).id(&scene.key).body(json!({"name": "changed"})),
    )
    .effect(|state, _, answer| {
        let key = state.children.get(&format!("KEY#{}", answer.text("id")));
        key.is_some_and(|key| text(key, "name") == "changed")
    })
}

pub(crate) fn get_key() -> Operation {
    endpoint("get key", "AccesskeyGetFunction", endpoints::accesskey_get::handle, |scene| {
        sent(&scene.session).id(&scene.key)
    })
    .effect(|state, _, answer| state.children.contains_key(&format!("KEY#{}", answer.text("id"))))
}

pub(crate) fn list_keys() -> Operation {
    endpoint("list keys", "AccesskeyListFunction", endpoints::accesskey_list::handle, |scene| {
        sent(&scene.session)
    })
    .effect(|state, _, answer| {
        let shown = answer.body["result"].as_array().map_or(0, Vec::len);
        shown == state.count("KEY#")
    })
}

pub(crate) fn delete_key() -> Operation {
    endpoint(
        "delete key",
        "AccesskeyDeleteFunction",
        endpoints::accesskey_delete::handle,
        |scene| sent(&scene.session).id(&scene.key),
    )
    .effect(|state, scene, _| !state.children.contains_key(&format!("KEY#{}", scene.key)))
    .again(&[404])
}

pub(crate) fn rotate_key() -> Operation {
    endpoint(
        "rotate key",
        "AccesskeyRotateFunction",
        endpoints::accesskey_rotate::handle,
        |scene| sent(&scene.session).id(&scene.key).body(json!({})),
    )
    .effect(|state, scene, _| {
        let key = state.children.get(&format!("KEY#{}", scene.key));
        key.is_some_and(|key| text(key, "version") >= "2")
    })
    .again(&[409])
}

pub(crate) fn create_number() -> Operation {
    endpoint(
        "create number",
        "ResourceCreateFunction",
        endpoints::resource_create::handle,
        |scene| sent(&scene.session).kind("numbers").body(json!({"name": "+15551234567"})),
    )
    .effect(|state, _, answer| {
        state.children.contains_key(&format!("NUMBER#{}", answer.text("id")))
    })
}

/// Creates a number by a request with a key: one, however often it is sent.
pub(crate) fn create_number_once() -> Operation {
    endpoint(
        "create number once",
        "ResourceCreateFunction",
        endpoints::resource_create::handle,
        |scene| {
            sent(&scene.session).kind("numbers").body(json!({"name": "only one"})).once("number")
        },
    )
    .effect(|state, _, answer| {
        let is_there = state.children.contains_key(&format!("NUMBER#{}", answer.text("id")));
        let made = state.children.values().filter(|child| text(child, "name") == "only one");
        is_there && made.count() == 1 && state.count("IDEMPOTENCY#") >= 1
    })
}

/// The same for an access key, whose token is told once.
pub(crate) fn create_key_once() -> Operation {
    endpoint(
        "create key once",
        "AccesskeyCreateFunction",
        endpoints::accesskey_create::handle,
        |scene| sent(&scene.session).body(json!({"expire": 86_400})).once("key"),
    )
    .effect(|state, _, _| state.count("KEY#") == 3)
    .again(&[409])
}

/// Leaves at once by a request with a key: what is remembered of it goes with the account.
pub(crate) fn immediate_once() -> Operation {
    endpoint(
        "immediate once",
        "AuthUnregisterFunction",
        endpoints::auth_unregister::handle,
        |scene| {
            let body =
                json!({"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": true});
            sent(&scene.session).body(body).once("leave")
        },
    )
    .effect(|state, _, _| state.status() == "deleted")
    .again(&[401])
}

pub(crate) fn delete_number() -> Operation {
    endpoint(
        "delete number",
        "ResourceDeleteFunction",
        endpoints::resource_delete::handle,
        |scene| sent(&scene.session).kind("numbers").id(&scene.number),
    )
    .effect(|state, scene, _| !state.children.contains_key(&format!("NUMBER#{}", scene.number)))
    .again(&[404])
}

pub(crate) fn get_number() -> Operation {
    endpoint("get number", "ResourceGetFunction", endpoints::resource_get::handle, |scene| {
        sent(&scene.session).kind("numbers").id(&scene.number)
    })
    .effect(|_, scene, answer| answer.text("id") == scene.number)
}

pub(crate) fn list_numbers() -> Operation {
    endpoint("list numbers", "ResourceListFunction", endpoints::resource_list::handle, |scene| {
        sent(&scene.session).kind("numbers")
    })
    .effect(|state, _, answer| {
        let shown = answer.body["result"].as_array().map_or(0, Vec::len);
        shown == state.count("NUMBER#")
    })
}

pub(crate) fn create_agent(username: &'static str) -> Operation {
    endpoint("create agent", "AgentCreateFunction", endpoints::agent_create::handle, move |scene| {
        sent(&scene.session).body(json!({"username": username, "password": PASSWORD}))
    })
    .effect(move |state, _, _| {
        state.children.values().any(|child| text(child, "username") == username)
    })
    .again(&[409])
}

pub(crate) fn delete_agent() -> Operation {
    endpoint("delete agent", "AgentDeleteFunction", endpoints::agent_delete::handle, |scene| {
        sent(&scene.session).id(&scene.agent)
    })
    .effect(|state, scene, _| !state.children.contains_key(&format!("AGENT#{}", scene.agent)))
    .again(&[404])
}

pub(crate) fn promote_agent() -> Operation {
    endpoint(
        "promote agent",
        "AgentPermissionUpdateFunction",
        endpoints::agent_permission_update::handle,
        |scene| sent(&scene.session).id(&scene.agent).body(json!({"permission": 32})),
    )
    .effect(|state, scene, _| {
        let agent = state.children.get(&format!("AGENT#{}", scene.agent));
        agent.is_some_and(|agent| text(agent, "permission") == "32")
    })
}

pub(crate) fn logout() -> Operation {
    endpoint("logout", "AuthLogoutFunction", endpoints::auth_logout::handle, |scene| {
        sent(&scene.session)
    })
    .effect(|state, scene, _| !state.children.contains_key(&scene.session_place))
    .again(&[401])
}

/// The purge of all that is due, as the schedule asks for it.
pub(crate) fn purge() -> Operation {
    event("purge", "PurgeRunFunction", endpoints::purge_run::handle, |_| json!({}))
        .effect(|state, _, answer| is_purged_or_failed(state, answer))
}

/// The purge of the customer, as the bus asks for it. What has begun is left to the schedule.
pub(crate) fn purge_one() -> Operation {
    event(
        "purge one",
        "PurgeRunFunction",
        endpoints::purge_run::handle,
        |scene| json!({"detail": {"customer_id": scene.customer}}),
    )
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
