//! Tickets: whoever has one can follow an account's erasure. A ticket is an item of the ledger's table, under
//! the ticket's hash, that names the account. It is kept as long as the ledger is.

use serde::{Deserialize, Serialize};

use super::dynamodb::{Condition, Store, Transaction, UpdateExpression};
use super::fields::stored;
use super::key::{self, Key};
use super::stored::Stored;
use crate::domain::participation::Participation;
use crate::domain::{Customer, Erasure, Error, Id, TicketHash};

stored! {
    /// Attributes of the item that stores a ticket.
    #[derive(Serialize, Deserialize)]
    pub struct TicketAttributes {
        customer_id: Id<Customer> => Kept,
    }
}

impl Stored for TicketAttributes {
    type Attributes = Self;
}

fn issued(customer: Id<Customer>) -> Result<UpdateExpression, Error> {
    UpdateExpression::default().set("customer_id", customer)
}

impl Transaction<'_> {
    /// Issues a ticket (a token with which its holder can follow the account's erasure).
    pub(super) fn issue(self, ticket: &TicketHash, customer: Id<Customer>) -> Result<Self, Error> {
        let at: Key<TicketAttributes> = key::ticket(ticket);
        self.update(at.address(), &issued(customer)?, None)
    }
}

impl Store {
    /// Issues another ticket (a token with which its holder can follow the erasure) for an account whose
    /// erasure has already been requested.
    pub async fn insert_ticket(
        &self,
        ticket: &TicketHash,
        customer: Id<Customer>,
    ) -> Result<(), Error> {
        let at: Key<TicketAttributes> = key::ticket(ticket);
        // If it is there, this is a second try of a write whose answer was lost.
        self.update(at.address(), &issued(customer)?, &Condition::absent()).await.map(drop)
    }

    /// Reads the row in the ledger that a ticket leads to, and the parts of all participants (what each is
    /// asked and answers); `None` if no such ticket was issued.
    pub async fn get_erasure_by_ticket(
        &self,
        ticket: &TicketHash,
    ) -> Result<Option<(Erasure, Vec<Participation>)>, Error> {
        let at: Key<TicketAttributes> = key::ticket(ticket);
        let Some(TicketAttributes { customer_id }) = self.get_stored(&at).await? else {
            return Ok(None);
        };
        let (erasure, parts) = self.get_erasure_and_parts(customer_id).await?;
        Ok(erasure.map(|erasure| (erasure, parts)))
    }
}
