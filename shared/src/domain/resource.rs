//! Resources: the kinds of things that are all alike to an account that owns them.

use super::value::{Detail, Name};
use super::{Data, Id, Timestamp};

/// Something of one of the kinds that are all alike. The kind is a matter of where it is kept.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The resource's id.
    pub id: Id<Resource>,
    /// What its owner calls it.
    pub name: Name,
    /// What its owner says about it.
    pub detail: Detail,
    /// What it is made of.
    pub data: Data,
    /// When it was created.
    pub tm_create: Timestamp,
    /// When it last changed.
    pub tm_update: Timestamp,
}
