//! Resources: owned items of the kinds that have a name, a description and data, such as numbers and flows.

use super::value::{Detail, Name};
use super::{Data, Id, Timestamp};

/// A resource that an account owns. Its kind is part of its key.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The resource's id.
    pub id: Id<Resource>,
    /// Its name, chosen by the owner.
    pub name: Name,
    /// Its description, written by the owner.
    pub detail: Detail,
    /// Its data.
    pub data: Data,
    /// When it was created.
    pub tm_create: Timestamp,
    /// When it last changed.
    pub tm_update: Timestamp,
}

impl Resource {
    /// Returns the resource with the given fields replaced.
    #[must_use]
    pub fn updated(
        &self,
        name: Option<Name>,
        detail: Option<Detail>,
        data: Option<Data>,
        now: Timestamp,
    ) -> Self {
        let resource = self.clone();
        Self {
            name: name.unwrap_or(resource.name),
            detail: detail.unwrap_or(resource.detail),
            data: data.unwrap_or(resource.data),
            tm_update: now,
            ..resource
        }
    }
}
