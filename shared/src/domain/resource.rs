//! Resources: owned items of the kinds that have a name, a description and data, such as numbers and flows.

use super::value::{Detail, Name};
use super::{Data, Id, Timestamp};

/// A resource that an account owns. Its kind, such as number or flow, is part of its database key.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The resource's id.
    pub id: Id<Resource>,
    /// The resource's name, chosen by the owner.
    pub name: Name,
    /// Description, written by the owner.
    pub detail: Detail,
    /// The owner's data: a JSON object.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::FromText as _;

    #[test]
    fn an_update_replaces_what_it_names_and_nothing_else() {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let name = |text| Name::from_text(text).unwrap();
        let before = Resource {
            id: Id::new(at(1), [1; 10]),
            name: name("a"),
            detail: Detail::from_text("b").unwrap(),
            data: Data::trusted(r#"{"c":1}"#.to_owned()),
            tm_create: at(1),
            tm_update: at(1),
        };
        let after = before.updated(Some(name("z")), None, None, at(2));
        assert_eq!((after.id, after.tm_create, after.tm_update), (before.id, at(1), at(2)));
        assert_eq!((&after.name, &after.detail), (&name("z"), &before.detail));
        assert_eq!(after.data.expose(), before.data.expose());
        let (detail, data) = (Detail::from_text("y").unwrap(), Data::default());
        let last = after.updated(None, Some(detail.clone()), Some(data), at(3));
        assert_eq!((last.name, last.detail, last.data.expose()), (name("z"), detail, "{}"));
    }
}
