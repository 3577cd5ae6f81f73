//! The rounds of a customer's erasure in one state of the tables: participants' parts (what each is asked and
//! answers in a round), receipts, and their invariants. An account that a restore from a backup has brought
//! back is erased again in a new round.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64URL_NOPAD;
use sam_local::Snapshot;
use serde_json::Value;
use shared::domain::Timestamp;
use shared::domain::digest::sha256;

use crate::state::text;
use crate::world::ERASURES;

/// Records of one customer's erasures: the requests to each participant, and its answers.
#[derive(Default)]
pub(crate) struct Rounds {
    customer: String,
    /// Whether participants are registered.
    pub(crate) has_participants: bool,
    /// Names of participants that are registered and not deleted.
    pub(crate) registered: BTreeSet<String>,
    /// The item in the erasures table that records the customer's current erasure; null if there is none.
    pub(crate) row: Value,
    /// Requests to participants and their answers, by round (the number of the erasure) and participant.
    parts: BTreeMap<(u64, String), Value>,
    pub(crate) receipts: Vec<Receipt>,
}

/// A signed receipt.
pub(crate) struct Receipt {
    jws: String,
    claims: Value,
}

impl Receipt {
    fn read(jws: &str) -> Self {
        let claims = jws.split('.').nth(1).expect("a JWS");
        let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).expect("base64");
        Self { jws: jws.to_owned(), claims: serde_json::from_slice(&claims).expect("claims") }
    }

    fn round(&self) -> u64 {
        self.claims["round"].as_u64().expect("a round")
    }

    fn is_final(&self) -> bool {
        self.claims["final"] == true
    }

    /// Checks that a final receipt shows each required participant as completed or waived.
    fn check_participants(&self) {
        let participants = self.claims["covers"]["participants"].as_array().expect("a list");
        for participant in participants.iter().filter(|one| one["required"] == true) {
            let is_shown = match participant["state"].as_str() {
                Some("completed") => !participant["tm_answer"].is_null(),
                Some("waived") => participant["waived_by"] == "project_admin",
                _ => false,
            };
            assert!(is_shown || !self.is_final(), "a final receipt without {participant}");
        }
    }
}

impl Rounds {
    pub(crate) fn new(tables: &Snapshot, customer: &str) -> Self {
        let partition = format!("CUSTOMER#{customer}");
        let mut rounds = Self { customer: customer.to_owned(), ..Self::default() };
        for item in tables.items(ERASURES) {
            match (text(item, "pk"), text(item, "sk")) {
                ("PARTICIPANTS", _) => {
                    let names = item["active"]["L"].as_array().into_iter().flatten();
                    let names = names.filter_map(|name| name["S"].as_str());
                    rounds.registered = names.map(str::to_owned).collect();
                    rounds.has_participants = true;
                }
                (pk, "E") if pk == partition => rounds.row = item.clone(),
                (pk, _) if pk == partition => {
                    let place = (number(item, "round"), text(item, "name").to_owned());
                    rounds.parts.insert(place, item.clone());
                }
                _ => {}
            }
        }
        let receipts = rounds.row["receipts"]["L"].as_array().into_iter().flatten();
        let receipts = receipts.filter_map(|receipt| receipt["S"].as_str()).map(Receipt::read);
        rounds.receipts = receipts.collect();
        rounds
    }

    /// Returns a text of everything that the outcome of later runs depends on: the erasure's item, and what each
    /// participant was asked and has answered. Receipts appear by id, because their signatures differ from run to run.
    pub(crate) fn place(&self) -> String {
        let mut row = self.row.clone();
        row["receipts"] =
            self.receipts.iter().map(|receipt| receipt.claims["jti"].clone()).collect();
        let parts: Vec<_> = self.parts.values().collect();
        format!("{row} {parts:?}")
    }

    fn has(&self, attribute: &str) -> bool {
        !self.row[attribute].is_null()
    }

    /// Returns the number of the current round, which is 1 if the erasure's item has none.
    pub(crate) fn round(&self) -> u64 {
        if self.has("round") { number(&self.row, "round") } else { 1 }
    }

    /// Returns the names of the participants that are required in the current round.
    fn required(&self) -> impl Iterator<Item = &str> {
        let participants = self.row["participants"]["L"].as_array().into_iter().flatten();
        let participants = participants.map(|one| &one["M"]);
        participants.filter(|one| one["required"]["BOOL"] == true).map(|one| text(one, "name"))
    }

    /// Returns what the participant was asked and has answered in the current round.
    fn part(&self, name: &str) -> Option<&Value> {
        self.parts.get(&(self.round(), name.to_owned()))
    }

    /// Returns the number of participants that were asked in the current round.
    pub(crate) fn parts(&self) -> usize {
        self.parts.keys().filter(|(round, _)| *round == self.round()).count()
    }

    /// Whether the participant has given an answer that `is_it` accepts, in any round.
    pub(crate) fn has_answer(&self, name: &str, is_it: impl Fn(&Value) -> bool) -> bool {
        let own = self.parts.iter().filter(|((_, own), _)| own == name);
        own.into_iter().any(|(_, part)| is_answered(part) && is_it(&part["answer"]["M"]))
    }

    /// Whether the participant was waived or has completed, in any round.
    pub(crate) fn is_settled(&self, name: &str) -> bool {
        self.parts.iter().any(|((_, own), part)| own == name && is_settled(part))
    }

    /// Returns the required participants of the current round that are neither completed nor waived, whether they were
    /// asked or not.
    pub(crate) fn awaited(&self) -> BTreeSet<String> {
        let is_awaited = |name: &&str| !self.part(name).is_some_and(is_settled);
        self.required().filter(is_awaited).map(str::to_owned).collect()
    }

    /// Returns the participants that were asked in the current round and are still expected to answer at `now`: neither
    /// completed nor waived and, if optional, before their deadline.
    pub(crate) fn open(&self, now: Timestamp) -> BTreeSet<String> {
        let is_current = |round: u64| round == self.round() && self.has("tm_claim");
        let is_open = |part: &Value| {
            let is_in_time = now < Timestamp::parse(text(part, "tm_deadline")).expect("a time");
            !is_settled(part) && (part["required"]["BOOL"] == true || is_in_time)
        };
        let open =
            self.parts.iter().filter(|((round, _), part)| is_current(*round) && is_open(part));
        open.map(|((_, name), _)| name.clone()).collect()
    }

    /// Checks the invariants that hold in every state.
    pub(crate) fn check(&self) {
        self.check_receipts();
        self.check_index();
    }

    /// Checks that a round has at most one receipt that is not final, and after it at most one that is final and
    /// supersedes it. The current round has a final receipt only if no participant is awaited.
    fn check_receipts(&self) {
        let mut earlier: Option<&Receipt> = None;
        for receipt in &self.receipts {
            receipt.check_participants();
            let superseded = earlier.filter(|earlier| earlier.round() == receipt.round());
            let digest = superseded.map(|first| sha256(&first.jws));
            assert_eq!(receipt.claims["supersedes"].as_str(), digest.as_deref(), "supersedes");
            assert!(superseded.is_none_or(|first| !first.is_final()), "two final receipts");
            assert!(superseded.is_none() || receipt.is_final(), "two first receipts");
            assert!(earlier.is_none_or(|earlier| earlier.round() <= receipt.round()), "rounds");
            earlier = Some(receipt);
        }
        let current = self.receipts.last().filter(|last| last.round() == self.round());
        let is_final = current.is_some_and(Receipt::is_final);
        if !self.has("tm_finish") {
            assert!(!self.has("tm_complete"), "complete before the purge has finished");
            return;
        }
        assert!(current.is_some(), "finished without a receipt");
        assert!(!is_final || self.awaited().is_empty(), "a final receipt before all have answered");
        if self.has("participants") {
            assert_eq!(self.has("tm_complete"), is_final, "complete, and the final receipt");
        }
    }

    /// Checks the index in which scheduled runs find the participants to ask. It must have every participant that the
    /// erasure waits for. Until the erasure is complete, it must also have at least one required participant, even if
    /// none is left to be asked, so that a scheduled run completes the erasure.
    fn check_index(&self) {
        for ((round, name), part) in &self.parts {
            let is_indexed = is_indexed(part);
            assert_eq!(is_indexed, !part["tm_next"].is_null(), "{name} in the index");
            if is_indexed {
                let next = Timestamp::parse(text(part, "tm_next")).expect("a time").fixed();
                let entry = format!("{next}#{}#{round}", self.customer);
                assert_eq!(text(part, "open_pk"), format!("OPEN#{name}"));
                assert_eq!(text(part, "open_sk"), entry);
            }
        }
        if self.has("tm_claim") {
            self.check_times();
            for name in self.awaited() {
                let is_seen = self.part(&name).is_none_or(is_indexed);
                assert!(is_seen, "nobody asks {name}, which is awaited");
                assert!(self.part(&name).is_some() || !self.has("tm_finish"), "{name} has no part");
            }
        }
        let is_awaiting = self.has("tm_finish") && !self.has("tm_complete");
        if is_awaiting && self.required().next().is_some() {
            let is_looked_at = self.required().any(|name| self.part(name).is_some_and(is_indexed));
            assert!(is_looked_at, "nobody completes the erasure");
        }
    }

    /// Checks that every answer and waiver of the current round was given after the purge claimed the account
    /// in that round.
    fn check_times(&self) {
        let time = |item: &Value, name: &str| Timestamp::parse(text(item, name)).expect("a time");
        let claimed = time(&self.row, "tm_claim");
        for ((_, name), part) in self.parts.iter().filter(|((round, _), _)| *round == self.round())
        {
            for (field, at) in [("answer", "tm_answer"), ("waiver", "tm_waive")] {
                let is_new = part[field].is_null() || claimed <= time(&part[field]["M"], at);
                assert!(is_new, "the {field} of {name} is one to an earlier question");
            }
        }
    }

    /// Checks that this state, which is later than `before`, keeps what must not change: requests to
    /// participants, completed answers, waivers and receipts.
    pub(crate) fn check_since(&self, before: &Self) {
        for (place, was) in &before.parts {
            let part = self.parts.get(place).unwrap_or_else(|| panic!("{place:?} was lost"));
            for fixed in ["required", "tm_ask", "tm_deadline"] {
                assert_eq!(part[fixed], was[fixed], "{fixed} of {place:?}");
            }
            assert!(rank(was) <= rank(part), "the answer of {place:?} was undone");
            assert!(!is_completed(was) || part["answer"] == was["answer"], "{place:?} changed");
            assert!(
                was["waiver"].is_null() || part["waiver"] == was["waiver"],
                "{place:?}, waiver"
            );
            for counter in ["questions", "version"] {
                assert!(number(was, counter) <= number(part, counter), "{counter} of {place:?}");
            }
        }
        let is_kept = |(was, receipt): (&Receipt, &Receipt)| was.jws == receipt.jws;
        assert!(before.receipts.len() <= self.receipts.len(), "a receipt was lost");
        assert!(before.receipts.iter().zip(&self.receipts).all(is_kept), "a receipt changed");
        if self.round() == before.round() && self.has("tm_claim") && before.has("tm_claim") {
            assert_eq!(self.row["participants"], before.row["participants"], "who is asked");
        }
    }

    /// Checks that the erasure has ended: it is complete, has a final receipt, and none of its participants is left in
    /// the index of participants to ask.
    pub(crate) fn check_end(&self) {
        assert!(self.has("tm_complete"), "not completed: {}", self.row);
        assert!(self.receipts.last().is_some_and(Receipt::is_final), "no final receipt");
        let left: Vec<_> = self.parts.iter().filter(|(_, part)| is_indexed(part)).collect();
        assert!(left.is_empty(), "left in the index: {left:?}");
    }
}

fn number(item: &Value, name: &str) -> u64 {
    text(item, name).parse().unwrap_or_else(|_| panic!("{name} of {item}"))
}

fn is_indexed(part: &Value) -> bool {
    !part["open_pk"].is_null()
}

fn is_answered(part: &Value) -> bool {
    !part["answer"].is_null()
}

/// Returns the rank of the answer's status, which later answers may not lower; 0 without an answer.
fn rank(part: &Value) -> usize {
    let status = text(&part["answer"]["M"], "status");
    ["", "pending", "in_progress", "failed", "completed"]
        .into_iter()
        .position(|one| one == status)
        .expect("a status")
}

fn is_completed(part: &Value) -> bool {
    rank(part) == 4
}

fn is_settled(part: &Value) -> bool {
    is_completed(part) || !part["waiver"].is_null()
}
