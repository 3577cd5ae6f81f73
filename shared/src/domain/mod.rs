//! The rules, without effects: values in, values out. `now` and ids are arguments.

pub mod access_key;
pub mod agent;
pub mod customer;
pub mod data;
pub mod digest;
pub mod erasure;
pub mod error;
pub mod event;
pub mod id;
pub mod lifecycle;
pub mod owned;
pub mod page;
pub mod permission;
pub mod receipt;
pub mod resource;
pub mod session;
pub mod throttle;
pub mod time;
pub mod username;
pub mod value;

pub use access_key::AccessKey;
pub use agent::Agent;
pub use customer::{Customer, Status};
pub use data::Data;
pub use erasure::Erasure;
pub use error::Error;
pub use event::Event;
pub use id::Id;
pub use page::Page;
pub use permission::Permission;
pub use resource::Resource;
pub use session::Session;
pub use time::Timestamp;
pub use username::Username;
