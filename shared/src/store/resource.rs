//! Resources.

use serde::{Deserialize, Serialize};

use super::fields::stored;
use super::transaction::Condition;
use super::{Store, Stored, key};
use crate::domain::owned::Kind;
use crate::domain::value::{Detail, Name};
use crate::domain::{Customer, Data, Error, Event, Id, Page, Resource, Timestamp};

stored! {
    /// As it is stored. Data is text to DynamoDB: as a map, its numbers would lose digits.
    #[derive(Serialize, Deserialize)]
    pub struct ResourceAttributes {
        id: Id<Resource> => Deleted,
        name: String => Deleted personal,
        detail: String => Deleted personal,
        data: String => Deleted personal,
        tm_create: Timestamp => Deleted,
        tm_update: Timestamp => Deleted,
    }
}

impl From<&Resource> for ResourceAttributes {
    fn from(resource: &Resource) -> Self {
        Self {
            id: resource.id,
            name: resource.name.expose().to_owned(),
            detail: resource.detail.expose().to_owned(),
            data: resource.data.expose().to_owned(),
            tm_create: resource.tm_create,
            tm_update: resource.tm_update,
        }
    }
}

impl From<ResourceAttributes> for Resource {
    fn from(stored: ResourceAttributes) -> Self {
        Self {
            id: stored.id,
            name: Name::trusted(stored.name),
            detail: Detail::trusted(stored.detail),
            data: Data::trusted(stored.data),
            tm_create: stored.tm_create,
            tm_update: stored.tm_update,
        }
    }
}

impl Stored for Resource {
    type Attributes = ResourceAttributes;
}

impl Store {
    /// Creates a resource of `kind`, if the account is live.
    pub async fn insert_resource(
        &self,
        customer: &Customer,
        kind: Kind,
        new: &Resource,
        event: &Event,
    ) -> Result<(), Error> {
        let key = key::resource(customer.id, kind, new.id);
        self.insert_child(customer, &key, ResourceAttributes::from(new), event).await
    }

    /// Deletes a resource of `kind`, if it is there and the account is live; a billing account only if it
    /// is not the one that pays.
    pub async fn delete_resource(
        &self,
        customer: &Customer,
        kind: Kind,
        id: Id<Resource>,
        event: &Event,
    ) -> Result<(), Error> {
        let owner = match kind {
            Kind::BillingAccount => Condition::live().and_not_paid_by(id),
            _ => Condition::live(),
        };
        let (key, thing) = (key::resource(customer.id, kind, id), Condition::present());
        self.delete_child(customer, kind, &key, (&owner, &thing), event).await.map(drop)
    }

    /// A page of an account's resources of `kind`, newest first, below the resource `after`.
    pub async fn list_resources(
        &self,
        customer: Id<Customer>,
        kind: Kind,
        size: usize,
        after: Option<Id<Resource>>,
    ) -> Result<Page<Resource>, Error> {
        self.list_kind(customer, kind, size, after, |resource: &Resource| resource.id).await
    }
}
