//! The endpoints' own files.

#![allow(dead_code, reason = "elsewhere each of these is a program")]

#[path = "../../functions/src/bin/accesskey_create.rs"]
pub(crate) mod accesskey_create;
#[path = "../../functions/src/bin/accesskey_delete.rs"]
pub(crate) mod accesskey_delete;
#[path = "../../functions/src/bin/accesskey_get.rs"]
pub(crate) mod accesskey_get;
#[path = "../../functions/src/bin/accesskey_list.rs"]
pub(crate) mod accesskey_list;
#[path = "../../functions/src/bin/accesskey_update.rs"]
pub(crate) mod accesskey_update;
#[path = "../../functions/src/bin/admin_bootstrap.rs"]
pub(crate) mod admin_bootstrap;
#[path = "../../functions/src/bin/auth_login.rs"]
pub(crate) mod auth_login;
#[path = "../../functions/src/bin/auth_recover.rs"]
pub(crate) mod auth_recover;
#[path = "../../functions/src/bin/auth_unregister.rs"]
pub(crate) mod auth_unregister;
#[path = "../../functions/src/bin/customer_create.rs"]
pub(crate) mod customer_create;
#[path = "../../functions/src/bin/customer_delete.rs"]
pub(crate) mod customer_delete;
#[path = "../../functions/src/bin/customer_freeze.rs"]
pub(crate) mod customer_freeze;
#[path = "../../functions/src/bin/customer_get.rs"]
pub(crate) mod customer_get;
#[path = "../../functions/src/bin/customer_list.rs"]
pub(crate) mod customer_list;
#[path = "../../functions/src/bin/customer_recover.rs"]
pub(crate) mod customer_recover;
#[path = "../../functions/src/bin/customer_update.rs"]
pub(crate) mod customer_update;
#[path = "../../functions/src/bin/erasure_get.rs"]
pub(crate) mod erasure_get;
#[path = "../../functions/src/bin/erasure_plan.rs"]
pub(crate) mod erasure_plan;
#[path = "../../functions/src/bin/hold_lift.rs"]
pub(crate) mod hold_lift;
#[path = "../../functions/src/bin/hold_set.rs"]
pub(crate) mod hold_set;
#[path = "../../functions/src/bin/own_metadata_update.rs"]
pub(crate) mod own_metadata_update;
#[path = "../../functions/src/bin/purge_run.rs"]
pub(crate) mod purge_run;
