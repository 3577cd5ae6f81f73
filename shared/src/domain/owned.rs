//! The kinds of things that an account owns: declared here, and nowhere else. The API, the tables' keys,
//! the purge, the ledger and the tests all read this list.

/// Declares the kinds. Per kind: its name in code, how its sort keys start, what one is called in the
/// reasons of errors and elsewhere, what many are called (in paths and in the ledger), and its nature.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident $prefix:literal $reason:literal $one:literal $many:literal $nature:ident;)+) => {
        /// A kind of thing that an account owns.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[doc = $doc])+ $kind),+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// How the sort keys of this kind start; the id follows.
            #[must_use]
            pub const fn prefix(self) -> &'static str {
                match self { $(Self::$kind => concat!($prefix, "#")),+ }
            }

            /// What one of them is called.
            #[must_use]
            pub const fn singular(self) -> &'static str {
                match self { $(Self::$kind => $one),+ }
            }

            /// What many of them are called.
            #[must_use]
            pub const fn plural(self) -> &'static str {
                match self { $(Self::$kind => $many),+ }
            }

            /// The name on the bus of the event that tells of a new one.
            #[must_use]
            pub const fn created(self) -> &'static str {
                match self { $(Self::$kind => concat!($one, "_created")),+ }
            }

            /// The name on the bus of the event that tells of one that has changed.
            #[must_use]
            pub const fn updated(self) -> &'static str {
                match self { $(Self::$kind => concat!($one, "_updated")),+ }
            }

            /// The name on the bus of the event that tells of one, or of many, that are gone.
            #[must_use]
            pub const fn deleted(self) -> &'static str {
                match self { $(Self::$kind => concat!($one, "_deleted")),+ }
            }

            /// The reason of the error that says that there is no such one.
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
    /// Has endpoints and rules of its own.
    Identity,
    /// Nobody else knows of it: it comes and goes without an event, and no plan counts on it.
    Passing,
    /// One of the ten kinds of the seed, or `outbound_configs`: all alike.
    Resource,
}

kinds! {
    /// A person who works with the account.
    Agent "AGENT" "AGENT" "agent" "agents" Identity;
    /// A key for a program.
    AccessKey "KEY" "ACCESSKEY" "accesskey" "accesskeys" Identity;
    /// A log-in that lasts.
    Session "SESSION" "SESSION" "session" "sessions" Passing;
    /// What a request with a key has done.
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
    /// An account that pays.
    BillingAccount "BILLING_ACCOUNT" "BILLING_ACCOUNT" "billing_account" "billing_accounts" Resource;
    /// A label.
    Tag "TAG" "TAG" "tag" "tags" Resource;
    /// A transcription of a call.
    Transcription "TRANSCRIPTION" "TRANSCRIPTION" "transcription" "transcriptions" Resource;
    /// An entry of the address book.
    Contact "CONTACT" "CONTACT" "contact" "contacts" Resource;
    /// How outgoing calls are set up.
    OutboundConfig "OUTBOUND_CONFIG" "OUTBOUND_CONFIG" "outbound_config" "outbound_configs" Resource;
}

impl Kind {
    /// Whether it is one of those that are all alike: a name, a detail and data.
    #[must_use]
    pub fn is_resource(self) -> bool {
        self.nature() == Nature::Resource
    }

    /// How long the ids of this kind are, in bytes: UUIDs, but for what is found by a hash.
    #[must_use]
    pub const fn id_length(self) -> usize {
        match self {
            Self::Session | Self::IdempotencyKey => 32,
            _ => 16,
        }
    }

    /// Whether others are told of it.
    #[must_use]
    pub fn is_announced(self) -> bool {
        self.nature() != Nature::Passing
    }

    /// The kind whose sort keys look like `sk`.
    #[must_use]
    pub fn of_sort_key(sk: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| sk.starts_with(kind.prefix()))
    }

    /// The resource that is called `many` in paths.
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
        assert_eq!(Kind::of_sort_key("A"), None);
        assert_eq!(Kind::of_sort_key("AGENT"), None);
    }

    /// The seed's list, and the configurations that it names elsewhere.
    #[test]
    fn the_seeds_resources_are_all_there() {
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
