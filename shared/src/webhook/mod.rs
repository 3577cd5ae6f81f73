//! Webhooks: signs events and delivers them to the URI that their account's owner has set.

mod deliver;
mod message;
mod network;
mod retry_after;
mod send;

pub use deliver::{Deliverer, DeliveryRun, deliver_due, deliver_one};
pub use send::Sender;

#[cfg(test)]
mod tests;
