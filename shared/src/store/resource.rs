//! Storage of resources: phone numbers, call flows and the other kinds of owned items that the API handles alike
//! (create, list, read, update, delete).

use serde::{Deserialize, Serialize};

use super::dynamodb::{Condition, Store, UpdateExpression, string};
use super::fields::stored;
use super::key;
use super::revise::Update;
use super::root::not_paid_by;
use super::stored::Stored;
use crate::domain::gate::{Target, Write};
use crate::domain::owned::Kind;
use crate::domain::value::{Detail, Name};
use crate::domain::{Customer, Data, Error, Event, Id, Page, Resource, Timestamp};

stored! {
    /// Attributes of the item that stores a resource. Data is stored as text: as a map, its numbers would lose digits.
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

/// The condition that the resource is unchanged since it was read.
fn unchanged(resource: &Resource) -> Condition {
    let values = [
        (":read_name", string(resource.name.expose())),
        (":read_detail", string(resource.detail.expose())),
        (":read_data", string(resource.data.expose())),
        (":read_update", string(resource.tm_update.to_string())),
    ];
    let expression = "#name = :read_name AND detail = :read_detail AND #data = :read_data \
                      AND tm_update = :read_update";
    Condition::new(expression, values)
}

impl Store {
    /// Creates a resource of `kind`, if the account's state allows it.
    pub async fn insert_resource(
        &self,
        target: Target<'_>,
        kind: Kind,
        new: &Resource,
        event: &Event,
    ) -> Result<(), Error> {
        let key = key::resource(target.id, kind, new.id);
        self.insert_owned(target, &key, ResourceAttributes::from(new), event, None, None).await
    }

    /// Changes a resource of `kind` from `before` to `after`, if it is unchanged since it was read and the account's
    /// state allows it.
    pub async fn update_resource(
        &self,
        target: Target<'_>,
        kind: Kind,
        (before, after): (&Resource, &Resource),
        event: &Event,
    ) -> Result<Update<Resource>, Error> {
        let changed = UpdateExpression::default()
            .set("name", after.name.expose())?
            .set("detail", after.detail.expose())?
            .set("data", after.data.expose())?
            .set("tm_update", after.tm_update)?;
        let (target, key) = (target.to(Write::Overwrite), key::resource(target.id, kind, after.id));
        self.update_owned_if(target, kind, &key, &changed, &unchanged(before), event).await
    }

    /// Deletes a resource of `kind`, if it is unchanged since it was read and the account's state allows it. A
    /// resource that is a billing account is not deleted while it pays for the customer's account.
    pub async fn delete_resource(
        &self,
        target: Target<'_>,
        kind: Kind,
        resource: &Resource,
        event: &Event,
    ) -> Result<Update<Resource>, Error> {
        let of_account = (kind == Kind::BillingAccount).then(|| not_paid_by(resource.id));
        let (key, unchanged) = (key::resource(target.id, kind, resource.id), unchanged(resource));
        let conditions = (of_account.as_ref(), &unchanged);
        self.delete_owned_if(target.to(Write::Overwrite), kind, &key, conditions, event).await
    }

    /// Returns a page of an account's resources of `kind`, newest first, starting after the resource `after`.
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
