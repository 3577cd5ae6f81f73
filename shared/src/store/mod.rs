//! Access to the DynamoDB tables, in layers. Each module uses only those above it in this table.
//!
//! | layer | modules |
//! |---|---|
//! | mechanism | `dynamodb`: expressions, reads, writes, transactions, and their retries |
//! | items | [`fields`], [`key`], [`stored`], `revise`, [`queue`], [`hold`], `kinds`, [`root`] |
//! | records and conditions of a change | [`outbox`], [`mail`], [`mail_intent`], [`mailed_token`], [`marker`], [`idempotency`], [`ledger`], [`participant`], [`participation`], [`ticket`], [`authority`] |
//! | change of an owned item | [`owned`] |
//! | aggregates | [`login`], [`email`], [`agent`], [`access_key`], [`session`], [`resource`], [`customer`]; [`throttle`], [`quota`], [`lane`], [`sending`] |
//! | across aggregates | [`backfill`], [`inventory`], [`capacity`], [`purge`], [`delivery`], [`overview`], `history`, `find` |
//! | inventory of all stored items, and their fate in words | [`items`], [`fates`] |
//!
//! A change is one transaction. The first word of a method's name tells its condition on the item. `insert_`: it must
//! not exist. `get_`: it need not exist. `update_`: it must be as it was read. `delete_`: it may be
//! gone already.

pub mod access_key;
pub mod agent;
pub mod authority;
pub mod backfill;
pub mod capacity;
pub mod customer;
pub mod delivery;
mod dynamodb;
pub mod email;
pub mod fates;
pub mod fields;
mod find;
mod history;
pub mod hold;
pub mod idempotency;
pub mod inventory;
pub mod items;
pub mod key;
mod kinds;
pub mod lane;
pub mod ledger;
pub mod login;
pub mod mail;
pub mod mail_intent;
pub mod mailed_token;
pub mod marker;
pub mod outbox;
pub mod overview;
pub mod owned;
pub mod participant;
pub mod participation;
pub mod purge;
pub mod queue;
pub mod quota;
pub mod resource;
mod revise;
pub mod root;
pub mod sending;
pub mod session;
pub mod stored;
pub mod throttle;
pub mod ticket;

pub use dynamodb::Store;
pub use revise::{Update, revise};
pub use stored::{Items, Stored};
