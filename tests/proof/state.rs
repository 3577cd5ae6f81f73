//! The state of one customer in the tables, and its invariants.

use std::collections::{BTreeMap, BTreeSet};

use sam_local::Snapshot;
use serde_json::Value;
use shared::domain::Timestamp;
use shared::domain::digest::sha256;
use shared::domain::owned::Kind;

use crate::rounds::Rounds;
use crate::scene::OUTDATED;
use crate::world::{ACCOUNTS, Answer, ERASURES, OUTBOX};

/// The items of the tables, as far as they concern one customer.
pub(crate) struct State {
    customer: String,
    /// The account's root item.
    pub(crate) root: Value,
    /// Owned items by sort key.
    pub(crate) children: BTreeMap<String, Value>,
    /// All other items of the accounts table, by `partition/sort key`.
    pub(crate) others: BTreeMap<String, Value>,
    /// Records of the account's erasures: the requests to each participant, and its answers.
    pub(crate) rounds: Rounds,
    /// Hashes of the tickets of the account's erasure: tokens that let the owner follow it.
    tickets: BTreeSet<String>,
    /// Number of events about the account by type.
    events: BTreeMap<String, usize>,
    /// Number of item ids in the events about the account, by type of event.
    subjects: BTreeMap<String, usize>,
    /// Sequence numbers of the events about the account, sorted.
    sequence: Vec<usize>,
    /// Type of the event with the last sequence number; empty if there is none.
    pub(crate) last_event: String,
}

/// Functions of routes that an account's own agents and keys use, by file name. None of them may write to a suspended
/// account.
const OF_THE_OWNER: [&str; 13] = [
    "auth_recover",
    "accesskey_create",
    "accesskey_delete",
    "accesskey_rotate",
    "accesskey_update",
    "agent_create",
    "agent_delete",
    "agent_permission_update",
    "agent_update",
    "own_metadata_update",
    "resource_create",
    "resource_delete",
    "resource_update",
];

/// Name under which idempotency records are counted in an erasure.
const REMEMBERED: &str = Kind::IdempotencyKey.plural();

/// Number of items by kind.
pub(crate) type Counts = BTreeMap<&'static str, usize>;

impl State {
    pub(crate) fn new(tables: Snapshot, customer: &str) -> Self {
        let partition = format!("CUSTOMER#{customer}");
        let (mut root, mut children, mut others) = (Value::Null, BTreeMap::new(), BTreeMap::new());
        for item in tables.items(ACCOUNTS) {
            let (pk, sk) = (text(item, "pk"), text(item, "sk"));
            if pk != partition {
                others.insert(format!("{pk}/{sk}"), item.clone());
            } else if sk == "A" {
                root = item.clone();
            } else {
                children.insert(sk.to_owned(), item.clone());
            }
        }
        let is_own = |item: &&Value| text(item, "customer_id") == customer;
        let rounds = Rounds::new(&tables, customer);
        let place = |item: &Value| text(item, "pk").strip_prefix("TICKET#").map(str::to_owned);
        let tickets = tables.items(ERASURES).filter(is_own).filter_map(place).collect();
        let (mut events, mut subjects) = (BTreeMap::new(), BTreeMap::new());
        let (mut sequence, mut last_event) = (Vec::new(), (0, String::new()));
        // Mailed tokens have no type.
        let is_event = |item: &&Value| is_own(item) && !item["type"].is_null();
        for event in tables.items(OUTBOX).filter(is_event) {
            let name = text(event, "type");
            *events.entry(name.to_owned()).or_default() += 1;
            let number = text(event, "sequence").parse::<usize>();
            sequence.extend(number.clone());
            if let Ok(number) = number
                && number > last_event.0
            {
                last_event = (number, name.to_owned());
            }
            // Concatenated ids of 16 bytes each, in base64.
            let encoded = event["subjects"]["B"].as_str().unwrap_or_default();
            *subjects.entry(name.to_owned()).or_default() += encoded.len() * 3 / 4 / 16;
        }
        sequence.sort_unstable();
        let customer = customer.to_owned();
        let last_event = last_event.1;
        Self {
            customer,
            root,
            children,
            others,
            rounds,
            tickets,
            events,
            subjects,
            sequence,
            last_event,
        }
    }

    pub(crate) fn status(&self) -> &str {
        text(&self.root, "status")
    }

    pub(crate) fn version(&self) -> u64 {
        text(&self.root, "version").parse().unwrap_or_default()
    }

    /// Whether the account's key in the index by name fits its current name; `true` if it has no such key, like a
    /// deleted account.
    pub(crate) fn is_indexed(&self) -> bool {
        let name = text(&self.root, "name").to_lowercase();
        !self.has("name_key") || text(&self.root, "name_key").starts_with(&name)
    }

    /// Whether the root item has this attribute.
    pub(crate) fn has(&self, attribute: &str) -> bool {
        !self.root[attribute].is_null()
    }

    pub(crate) fn events(&self, name: &str) -> usize {
        self.events.get(name).copied().unwrap_or_default()
    }

    /// Whether the answer has no ticket, or one that is stored as a ticket of this account's erasure.
    pub(crate) fn knows_ticket_of(&self, answer: &Answer) -> bool {
        answer.ticket().is_none_or(|ticket| self.tickets.contains(&sha256(ticket)))
    }

    /// Returns the number of owned items of a kind, given the prefix of their sort keys.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.children.keys().filter(|sk| sk.starts_with(kind)).count()
    }

    /// Whether the account owns the item with this prefix and id.
    pub(crate) fn owns(&self, kind: &str, id: &str) -> bool {
        self.children.contains_key(&format!("{kind}{id}"))
    }

    /// Returns an attribute of an owned item; empty if there is none.
    pub(crate) fn child(&self, kind: &str, id: &str, attribute: &str) -> &str {
        self.children.get(&format!("{kind}{id}")).map_or("", |child| text(child, attribute))
    }

    /// Returns the number of items of a kind that keep a user name or an address unique for the customer `id`.
    pub(crate) fn locks(&self, kind: &str, id: &str) -> usize {
        self.count_others(kind, "/L", id)
    }

    /// Returns the number of items which record that the customer `id` has an e-mail address.
    pub(crate) fn entries(&self, id: &str) -> usize {
        self.count_others("EMAIL#", &format!("/M#{id}"), id)
    }

    fn count_others(&self, begin: &str, end: &str, id: &str) -> usize {
        let own = |(place, item): &(&String, &Value)| {
            place.starts_with(begin) && place.ends_with(end) && text(item, "customer_id") == id
        };
        self.others.iter().filter(own).count()
    }

    /// Checks that the live account has, for each of its e-mail addresses, an entry (an item that lists the account
    /// under the address) and, for each address that it reserves, a lock (an item that keeps the address unique).
    fn check_addresses(&self) {
        let retained = usize::from(self.has("retained_email"));
        let current = usize::from(!text(&self.root, "email").is_empty());
        let is_reserved = self.root["email_unreserved"]["BOOL"] == false;
        let reserved = if is_reserved { current + retained } else { retained };
        assert_eq!(self.entries(&self.customer), current + retained, "entries under addresses");
        assert_eq!(self.locks("EMAIL#", &self.customer), reserved, "locks on addresses");
        let is_verified = self.root["email_verified"]["BOOL"] == true;
        assert!(!is_verified || is_reserved && retained == 0, "a verified address is reserved");
    }

    /// Returns a text that tells states apart: everything that the outcome of the purge and of later runs
    /// depends on, namely the root item, the sort keys of owned items, and what is recorded of the erasures.
    pub(crate) fn place(&self) -> String {
        let owned: Vec<_> = self.children.keys().collect();
        format!("{} {owned:?} {}", self.root, self.rounds.place())
    }

    /// Checks the account's markers, the items by which operators list accounts in certain states (scheduled
    /// for deletion, held, suspended, failing webhook): it has one for each such state that it is in, and no
    /// other.
    pub(crate) fn check_markers(&self) {
        let marked = [
            ("scheduled", "tm_deletion_scheduled", "tm_deletion_scheduled"),
            ("held", "holds", "tm_create"),
            ("suspended", "tm_suspend", "tm_create"),
            ("failing", "tm_webhook_failing", "tm_create"),
        ];
        let place = |mark: &str, time: &str| {
            let time = Timestamp::parse(text(&self.root, time)).expect("a time").fixed();
            format!("MARKED#{mark}/{time}#{}", self.customer)
        };
        let wanted: BTreeSet<String> = marked
            .into_iter()
            .filter(|(_, state, _)| self.has(state))
            .map(|(mark, _, time)| place(mark, time))
            .collect();
        let is_own = |(place, item): &(&String, &Value)| {
            place.starts_with("MARKED#") && text(item, "customer_id") == self.customer
        };
        let found: BTreeSet<String> =
            self.others.iter().filter(is_own).map(|(place, _)| place.clone()).collect();
        assert_eq!(found, wanted, "markers");
    }

    /// Checks the invariants that hold in every state reachable from `start`.
    pub(crate) fn check(&self, start: &Self) {
        let (status, version) = (self.status(), self.version());
        let deleted = status == "deleted";
        let since = |name: &str| self.events(name) - start.events(name);

        // Each change of the account emits exactly one event, in the same write.
        assert_eq!(self.events("customer_deleted"), usize::from(deleted), "deleted is final");
        let signed = self.rounds.receipts.len() - start.rounds.receipts.len();
        assert_eq!(since("customer_erased"), signed, "receipts without events");
        let (frozen, recovered) =
            (self.events("customer_frozen"), self.events("customer_recovered"));
        // An operator may have frozen an account that its owner had frozen before, which emits another event.
        match status {
            "frozen" => assert!(frozen > recovered),
            "deleted" => assert!(frozen >= recovered),
            _ => assert!(frozen >= recovered && !self.is_frozen_by_operator()),
        }
        let told: usize = [
            "customer_updated",
            "customer_identity_verification_updated",
            "customer_frozen",
            "customer_recovered",
            "customer_held",
            "customer_released",
            "customer_suspended",
            "customer_resumed",
            "customer_deleted",
        ]
        .map(since)
        .iter()
        .sum();
        let told = told as u64;
        // Agents that become admins, or cease to be, change the count in the root item, too.
        let of_admins = ["agent_created", "agent_updated", "agent_deleted"].map(since);
        let most = told + of_admins.iter().sum::<usize>() as u64;
        let changes = version - start.version();
        assert!(changes >= told, "a change was lost");
        assert!(deleted || changes <= most, "a change without an event");

        // Sequence numbers have no gap, and the root item has the last one. Events about holds, and events after the
        // erasure has begun, have none.
        let told = text(&self.root, "sequence").parse().unwrap_or_default();
        assert_eq!(self.sequence, (1..=told).collect::<Vec<_>>(), "sequence numbers of the events");

        self.rounds.check();
        self.rounds.check_since(&start.rounds);
        // A ticket is issued in the write that requests the erasure, or after it.
        assert!(
            self.tickets.is_empty() || !self.rounds.row["tm_request"].is_null(),
            "a ticket of nothing"
        );

        // Index keys are present exactly in these states.
        assert_eq!(self.has("list_pk"), !deleted);
        assert_eq!(self.has("name_key"), !deleted);
        assert!(self.has("list_sk"));
        let is_outdated = text(&self.root, "name_key") == OUTDATED;
        assert!(is_outdated || self.is_indexed(), "the index has another name");
        let is_frozen = status == "frozen" && !self.has("holds");
        let is_queued = is_frozen || deleted && !self.has("tm_purge");
        assert_eq!(self.has("due_pk"), is_queued, "membership in the due index");
        self.check_markers();

        if deleted {
            for field in ["name", "detail", "email", "phone_number", "address", "webhook_uri"] {
                assert_eq!(text(&self.root, field), "", "{field} of a deleted account");
            }
            assert_eq!(self.locks("EMAIL#", &self.customer), 0, "a lock is left");
            assert_eq!(self.entries(&self.customer), 0, "an entry is left");
        } else {
            assert_eq!(self.locks("USERNAME#", &self.customer), self.count("AGENT#"));
            self.check_addresses();
            let payer = text(&self.root, "billing_account_id");
            let is_there = self.children.contains_key(&format!("BILLING_ACCOUNT#{payer}"));
            assert!(
                is_there || payer.starts_with("00000000-"),
                "the billing account {payer} does not exist"
            );
            let is_admin = |agent: &&Value| {
                text(agent, "permission").parse::<u64>().is_ok_and(|bits| bits & 32 != 0)
            };
            let agents = self.children.iter().filter(|(sk, _)| sk.starts_with("AGENT#"));
            let admins = agents.map(|(_, agent)| agent).filter(is_admin).count();
            assert_eq!(text(&self.root, "admins"), admins.to_string(), "admins are miscounted");
            for kind in Kind::ALL.iter().filter(|kind| kind.is_announced()) {
                let counted = text(&self.root["owned"]["M"], kind.plural());
                let counted: usize = counted.parse().unwrap_or_default();
                assert_eq!(counted, self.count(kind.prefix()), "{} are miscounted", kind.plural());
                let told = self.subjects.get(kind.deleted()).copied().unwrap_or_default();
                let known = self.count(kind.prefix()) + told;
                assert_eq!(known, self.made(*kind), "{} without an event", kind.plural());
            }
        }
        if self.has("tm_purge") {
            assert!(!self.rounds.row["tm_finish"].is_null(), "purged without a finished ledger");
            let left: Vec<_> = self.children.keys().collect();
            assert!(left.is_empty(), "left after the purge: {left:?}");
            assert_eq!(self.locks("USERNAME#", &self.customer), 0, "a lock is left");
        }
    }

    /// Checks a change from this state to `next`, made by one database call of `function`; `now` is the time that the
    /// function worked with.
    pub(crate) fn check_step(&self, next: &Self, function: &str, now: Timestamp) {
        let changes = next.version() - self.version();
        assert!(changes <= 1, "{changes} changes by one call");
        next.rounds.check_since(&self.rounds);
        // A backfill completes index keys, and changes nothing that anybody has read.
        let is_completed = |name: &str| name == "name_key" && function == "index_backfill";
        let is_same = |(name, value): (&String, &Value)| {
            ["sequence", "owned"].contains(&name.as_str())
                || is_completed(name)
                || self.root.get(name) == Some(value)
        };
        let is_unchanged = next.root.as_object().is_some_and(|root| root.iter().all(is_same));
        assert_eq!(changes == 0, is_unchanged, "a change without a new version");
        match (self.status(), next.status()) {
            (before, after) if before == after => {}
            ("initial" | "active", "frozen" | "deleted") | ("initial", "active") => {}
            ("frozen", "initial" | "active") => {
                assert!(now < self.due(), "recovered too late");
                assert!(!self.is_frozen_by_operator() || function == "customer_recover");
            }
            ("frozen", "deleted") => {
                assert!(function != "purge_run" || self.due() <= now, "purged too early");
            }
            (before, after) => panic!("{before} became {after}"),
        }
        if self.has("tm_suspend") && OF_THE_OWNER.contains(&function) {
            let is_unchanged = self.root == next.root && self.children == next.children;
            assert!(is_unchanged, "{function} wrote to a suspended account");
        }
        if self.has("holds") {
            assert_ne!(next.status(), "deleted", "{function} deleted a held account");
            let (held, now) = (self.preserved(), next.preserved());
            let is_kept = held.iter().all(|(sk, item)| now.get(sk) == Some(item));
            assert!(is_kept, "{function} changed what is held");
        }
        assert!(
            !self.has("tm_purge") || next.children.is_empty(),
            "an owned item survives the purge"
        );
    }

    /// Whether only operators can recover the account.
    fn is_frozen_by_operator(&self) -> bool {
        self.root["frozen_by_operator"]["BOOL"] == true
    }

    /// Returns the items that a hold preserves.
    fn preserved(&self) -> BTreeMap<&str, &Value> {
        let kinds = Kind::ALL.iter().filter(|kind| kind.is_resource() || **kind == Kind::Agent);
        let of_kind = kinds.flat_map(|kind| {
            let items = self.children.iter().filter(|(sk, _)| sk.starts_with(kind.prefix()));
            items.map(|(sk, item)| (sk.as_str(), item))
        });
        of_kind.collect()
    }

    /// Whether the account has a hold of this name.
    pub(crate) fn is_held_by(&self, name: &str) -> bool {
        let holds = self.root["holds"]["L"].as_array().into_iter().flatten();
        holds.into_iter().any(|hold| text(&hold["M"], "name") == name)
    }

    /// Returns the number of owned items by kind.
    pub(crate) fn inventory(&self) -> Counts {
        let count = |kind: &Kind| (kind.plural(), self.count(kind.prefix()));
        Kind::ALL.iter().map(count).filter(|(_, count)| *count > 0).collect()
    }

    /// Checks what is recorded of the purge of an account that owned `owned` when it was deleted: each item is counted
    /// once and named in one event. Sessions are an exception: fewer may be counted, because agents can log out of a
    /// deleted account.
    pub(crate) fn check_receipt(&self, owned: &Counts) {
        for column in ["found", "deleted"] {
            let counted = self.rounds.row[column]["M"].as_object().into_iter().flatten();
            let mut counted: BTreeMap<&str, usize> = counted
                .map(|(kind, count)| (kind.as_str(), count["N"].as_str().unwrap().parse().unwrap()))
                .collect();
            let mut owned = owned.clone();
            assert!(counted.remove("sessions") <= owned.remove("sessions"), "{column}: sessions");
            // The deletion itself may have left an idempotency record.
            let remembered = [&mut counted, &mut owned].map(|all| all.remove(REMEMBERED));
            assert!(remembered[0].unwrap_or(0) <= remembered[1].unwrap_or(0) + 1, "{column}");
            assert_eq!(counted, owned, "{column}, in the ledger");
        }
        for kind in Kind::ALL.iter().filter(|kind| kind.is_announced()) {
            let told = self.subjects.get(kind.deleted()).copied().unwrap_or_default();
            assert_eq!(told, self.made(*kind), "{}", kind.deleted());
        }
    }

    /// Returns the number of items of a kind that were ever created: one for each event of a creation, and the first
    /// agent, whose creation has no event of its own.
    fn made(&self, kind: Kind) -> usize {
        self.events(kind.created()) + usize::from(kind == Kind::Agent)
    }

    fn due(&self) -> Timestamp {
        Timestamp::parse(text(&self.root, "tm_deletion_scheduled")).expect("a date")
    }
}

/// Returns a text or number attribute of an item; empty if there is none.
pub(crate) fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name]["S"].as_str().or_else(|| item[name]["N"].as_str()).unwrap_or_default()
}
