//! Kinds of items that an account owns, declared only here: the API, the tables' keys, the purge, the ledger and the
//! tests read this list.

/// Declares the kinds. Per kind: its name in code, the prefix of its sort keys, its name in the reasons of errors, its
/// name in the singular (in event types) and in the plural (in paths and in the ledger), and its nature (identity,
/// passing or resource).
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident $prefix:literal $reason:literal $one:literal $many:literal $nature:ident;)+) => {
        /// A kind of item that an account owns.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[doc = $doc])+ $kind),+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// Returns the prefix of this kind's sort keys, which an item's id follows.
            #[must_use]
            pub const fn prefix(self) -> &'static str {
                match self { $(Self::$kind => concat!($prefix, "#")),+ }
            }

            /// Returns the kind's name in the singular.
            #[must_use]
            pub const fn singular(self) -> &'static str {
                match self { $(Self::$kind => $one),+ }
            }

            /// Returns the kind's name in the plural.
            #[must_use]
            pub const fn plural(self) -> &'static str {
                match self { $(Self::$kind => $many),+ }
            }

            /// Returns the name that the event of a created item has on the event bus.
            #[must_use]
            pub const fn created(self) -> &'static str {
                match self { $(Self::$kind => concat!($one, "_created")),+ }
            }

            /// Returns the name that the event of an updated item has on the event bus.
            #[must_use]
            pub const fn updated(self) -> &'static str {
                match self { $(Self::$kind => concat!($one, "_updated")),+ }
            }

            /// Returns the name that the event of deleted items has on the event bus.
            #[must_use]
            pub const fn deleted(self) -> &'static str {
                match self { $(Self::$kind => concat!($one, "_deleted")),+ }
            }

            /// Returns the reason code of the error for an item that does not exist, such as
            /// `NUMBER_NOT_FOUND`.
            #[must_use]
            pub const fn not_found(self) -> &'static str {
                match self { $(Self::$kind => concat!($reason, "_NOT_FOUND")),+ }
            }

            const fn nature(self) -> Nature {
                match self { $(Self::$kind => Nature::$nature),+ }
            }
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// Agents and access keys: each kind has endpoints and rules of its own.
    Identity,
    /// Short-lived items: their changes emit no events, and erasure plans do not count them.
    Passing,
    /// Items with a name, a description and data: the ten kinds in the list of resources of the original API
    /// (`VoIPbin`), and `outbound_configs`.
    Resource,
}

kinds! {
    /// An agent: a person who works with the account.
    Agent "AGENT" "AGENT" "agent" "agents" Identity;
    /// An access key: a credential of a program.
    AccessKey "KEY" "ACCESSKEY" "accesskey" "accesskeys" Identity;
    /// A session: a credential of an agent who has logged in.
    Session "SESSION" "SESSION" "session" "sessions" Passing;
    /// An idempotency record: what a request with an `Idempotency-Key` did.
    IdempotencyKey "IDEMPOTENCY" "IDEMPOTENCY_KEY" "idempotency_key" "idempotency_keys" Passing;
    /// A phone number.
    Number "NUMBER" "NUMBER" "number" "numbers" Resource;
    /// A call flow.
    Flow "FLOW" "FLOW" "flow" "flows" Resource;
    /// A queue of calls.
    Queue "QUEUE" "QUEUE" "queue" "queues" Resource;
    /// A SIP trunk.
    Trunk "TRUNK" "TRUNK" "trunk" "trunks" Resource;
    /// A SIP extension.
    Extension "EXTENSION" "EXTENSION" "extension" "extensions" Resource;
    /// A stored file.
    File "FILE" "FILE" "file" "files" Resource;
    /// A billing account.
    BillingAccount "BILLING_ACCOUNT" "BILLING_ACCOUNT" "billing_account" "billing_accounts" Resource;
    /// A label.
    Tag "TAG" "TAG" "tag" "tags" Resource;
    /// A transcription of a call.
    Transcription "TRANSCRIPTION" "TRANSCRIPTION" "transcription" "transcriptions" Resource;
    /// An entry of the address book.
    Contact "CONTACT" "CONTACT" "contact" "contacts" Resource;
    /// A configuration of outgoing calls.
    OutboundConfig "OUTBOUND_CONFIG" "OUTBOUND_CONFIG" "outbound_config" "outbound_configs" Resource;
}

impl Kind {
    /// Whether items of this kind are resources, which have a name, a description and data.
    #[must_use]
    pub fn is_resource(self) -> bool {
        self.nature() == Nature::Resource
    }

    /// Returns the length of this kind's ids in sort keys, in bytes: 16 for a UUID; 32 for the hash of an idempotency
    /// key, and for a session, whose key has the agent's id before its own.
    #[must_use]
    pub const fn id_length(self) -> usize {
        match self {
            Self::Session | Self::IdempotencyKey => 32,
            _ => 16,
        }
    }

    /// Whether changes of items of this kind emit events.
    #[must_use]
    pub fn is_announced(self) -> bool {
        self.nature() != Nature::Passing
    }

    /// Returns the kind of the item with this sort key; `None` if the key has no known prefix.
    #[must_use]
    pub fn of_sort_key(sk: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| sk.starts_with(kind.prefix()))
    }

    /// Returns the kind of resource with this plural name; `None` if there is none.
    #[must_use]
    pub fn resource(many: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.is_resource() && kind.plural() == many)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_is_mistaken_for_another() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_sort_key(&format!("{}x", kind.prefix())), Some(*kind));
            assert_eq!(Kind::resource(kind.plural()), kind.is_resource().then_some(*kind));
        }
        let others: Vec<_> = Kind::ALL.iter().copied().filter(|kind| !kind.is_resource()).collect();
        assert_eq!(others, [Kind::Agent, Kind::AccessKey, Kind::Session, Kind::IdempotencyKey]);
        assert_eq!(Kind::of_sort_key("A"), None);
        assert_eq!(Kind::of_sort_key("AGENT"), None);
    }

    #[test]
    fn ids_are_uuids_but_for_sessions_and_idempotency_keys() {
        let longer = Kind::ALL.iter().filter(|kind| kind.id_length() != 16);
        let lengths: Vec<_> = longer.map(|kind| (*kind, kind.id_length())).collect();
        assert_eq!(lengths, [(Kind::Session, 32), (Kind::IdempotencyKey, 32)]);
    }

    /// The original API's list of resources, and `outbound_configs`, which that API names elsewhere.
    #[test]
    fn every_resource_of_the_seed_is_a_kind() {
        for many in [
            "numbers",
            "flows",
            "queues",
            "trunks",
            "extensions",
            "files",
            "billing_accounts",
            "tags",
            "transcriptions",
            "contacts",
            "outbound_configs",
        ] {
            assert!(Kind::resource(many).is_some(), "{many}");
        }
    }
}
