//! Webhooks: events on their way to their accounts' owners, where they may go.

mod deliver;
mod message;
mod network;
mod send;

pub use deliver::{Deliverer, DeliveryRun, deliver_due, deliver_one};
pub use send::Sender;

#[cfg(test)]
mod tests;
