//! Erasure receipts: signed statements of what was deleted and erased.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::actor::Role;
use super::digest::sha256;
use super::erasure::{Erasure, Reason};
use super::participation::{PartState, Participating, Participation};
use super::{Customer, Id, Timestamp};

/// Issuer of receipts: the value of the claim `iss`.
const ISSUER: &str = "tenure";

/// How far back point-in-time recovery of the accounts table reaches: DynamoDB's maximum, 35 days. Deleted data can be
/// restored for that long.
pub const BACKUPS_KEPT: Duration = Duration::from_hours(35 * 24);

/// Edition of a receipt. A round of an erasure has one receipt, or two, of which the second supersedes the
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition<'a> {
    /// The first receipt, signed when the purge finishes.
    First,
    /// The second receipt, which supersedes the receipt `superseded`: every participant that the erasure
    /// waited for had completed, or its answer was waived, by `tm_complete`.
    Superseding {
        /// The superseded receipt, as a JWS.
        superseded: &'a str,
        /// When the erasure was complete. This is the receipt's `iat`, no matter when the receipt is signed.
        tm_complete: Timestamp,
    },
}

/// Claims of an erasure receipt: what was deleted and erased, when, and at whose request; what each participant has
/// reported; what is retained; and what the receipt does not cover. It contains no personal data: the account appears
/// by its id only, the requester by role only, and free text of participants and operators is left out.
///
/// Making the receipt of an erasure twice gives the same text: the fields have this order, lists are sorted, and `iat`
/// is the time at which the erasure finished or was completed, no matter when the receipt is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt<'a> {
    iss: &'static str,
    /// The erased account, by its id.
    sub: Id<Customer>,
    /// Id of the receipt: the account's id, its epoch (the number of the purge's last claim of the account)
    /// and `iat`; a receipt that supersedes another ends in `.final`.
    jti: String,
    iat: i64,
    /// Number of deleted items, by kind.
    counts: BTreeMap<&'static str, u64>,
    /// Names of the account's fields that were erased.
    fields_erased: &'a [&'static str],
    tm_request: Option<Timestamp>,
    tm_due: Option<Timestamp>,
    tm_claim: Option<Timestamp>,
    tm_finish: Timestamp,
    requested_by: Option<Role>,
    reason: Option<Reason>,
    /// Hash of the plan (the count of what deleting would remove) that the deletion was bound to; `None` if
    /// it was bound to none.
    plan: Option<&'a str>,
    /// Round of the erasure: 1, and one more whenever the account was erased again after a restore.
    round: u64,
    /// Whether this is the last receipt of the round: all required participants have completed or were
    /// waived.
    r#final: bool,
    /// SHA-256 of the receipt that this one supersedes, in hexadecimal; `None` if it supersedes none.
    supersedes: Option<String>,
    covers: Covered<'a>,
    retained: Vec<RetainedItems<'a>>,
    not_covered: NotCovered,
    software: Software,
}

/// Summary of a signed receipt, as the event [`CustomerErased`](super::EventType::CustomerErased) contains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptSummary {
    /// Number of the erasure's round.
    pub round: u64,
    /// Whether this is the last receipt of the round.
    pub r#final: bool,
    /// SHA-256 of the signed receipt, in hexadecimal.
    pub digest: String,
    /// Number of deleted items, by kind.
    pub counts: BTreeMap<String, u64>,
}

/// A signed receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReceipt {
    /// The receipt as a JWS.
    pub jws: String,
    /// Summary of the receipt, for the event.
    pub summary: ReceiptSummary,
}

impl SignedReceipt {
    /// Returns the signed receipt with these claims and this JWS.
    #[must_use]
    pub fn new(receipt: &Receipt<'_>, jws: String) -> Self {
        let counts = receipt.counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count));
        let summary = ReceiptSummary {
            round: receipt.round,
            r#final: receipt.r#final,
            digest: sha256(&jws),
            counts: counts.collect(),
        };
        Self { jws, summary }
    }
}

/// The systems that a receipt covers: our tables, and the participants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Covered<'a> {
    tables: [&'static str; 3],
    participants: Vec<CoveredParticipant<'a>>,
}

/// The tables of this system. The items of `accounts` are deleted. The events in `outbox` contain nothing
/// personal, and expire. The entries of `ledger` contain nothing personal, and are kept.
const TABLES: [&str; 3] = ["accounts", "outbox", "ledger"];

/// A participant's report on its part of the erasure, which this system cannot verify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct CoveredParticipant<'a> {
    name: &'a str,
    required: bool,
    /// State of the participant's part in the erasure; `None` if the participant has not been asked.
    state: Option<PartState>,
    found: Option<u64>,
    deleted: Option<u64>,
    tm_answer: Option<Timestamp>,
    waived_by: Option<Role>,
    tm_waive: Option<Timestamp>,
}

impl<'a> CoveredParticipant<'a> {
    fn new(participating: &'a Participating, part: Option<&Participation>) -> Self {
        let recorded = part.and_then(|part| part.answer.as_ref());
        let waiver = part.and_then(|part| part.waiver.as_ref());
        Self {
            name: participating.name.as_str(),
            required: participating.required,
            state: part.map(Participation::state),
            found: recorded.map(|recorded| recorded.answer.found),
            deleted: recorded.map(|recorded| recorded.answer.deleted),
            tm_answer: recorded.map(|recorded| recorded.tm_answer),
            waived_by: waiver.map(|waiver| waiver.by.role),
            tm_waive: waiver.map(|waiver| waiver.tm_waive),
        }
    }
}

/// Items that a participant keeps, as it has reported them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct RetainedItems<'a> {
    participant: &'a str,
    kind: &'a str,
    count: u64,
    ground: &'a str,
    until: Option<Timestamp>,
}

/// Limits of a receipt: what it does not cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct NotCovered {
    /// Until when deleted data can be restored from backups.
    backups_until: Timestamp,
    /// Always `true`: systems that receive events on the bus without being registered as participants are not covered.
    unregistered_consumers: bool,
}

/// The software that erased the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Software {
    name: &'static str,
    version: &'static str,
}

const SOFTWARE: Software = Software { name: ISSUER, version: env!("CARGO_PKG_VERSION") };

impl<'a> Receipt<'a> {
    /// Returns the receipt of an erasure that was verified to be complete at `tm_finish`: everything that the
    /// ledger counted is deleted, and the fields `fields_erased` of the account are erased. Participants'
    /// reports are taken from `parts`; parts of other rounds than the ledger's current one are ignored.
    #[must_use]
    pub fn new(
        ledger: &'a Erasure,
        parts: &'a [Participation],
        fields_erased: &'a [&'static str],
        tm_finish: Timestamp,
        edition: Edition<'_>,
    ) -> Self {
        let request = ledger.request.as_ref();
        let (iat, suffix, supersedes) = match edition {
            Edition::First => (tm_finish.seconds(), "", None),
            Edition::Superseding { superseded, tm_complete } => {
                (tm_complete.seconds(), ".final", Some(sha256(superseded)))
            }
        };
        Self {
            iss: ISSUER,
            sub: ledger.customer,
            jti: format!("{}.{}.{iat}{suffix}", ledger.customer, ledger.epoch),
            iat,
            counts: ledger.found.iter().map(|(kind, count)| (kind.plural(), *count)).collect(),
            fields_erased,
            tm_request: request.map(|request| request.tm_request),
            tm_due: request.map(|request| request.tm_due),
            tm_claim: ledger.tm_claim,
            tm_finish,
            requested_by: request.map(|request| request.by.role),
            reason: request.map(|request| request.reason),
            plan: request.and_then(|request| request.plan.as_deref()),
            round: ledger.round,
            r#final: ledger.is_complete_with(parts),
            supersedes,
            covers: Covered { tables: TABLES, participants: covered(ledger, parts) },
            retained: ledger
                .participants
                .iter()
                .flat_map(|one| retained(ledger, parts, one))
                .collect(),
            not_covered: NotCovered {
                backups_until: tm_finish.plus(BACKUPS_KEPT),
                unregistered_consumers: true,
            },
            software: SOFTWARE,
        }
    }
}

fn covered<'a>(ledger: &'a Erasure, parts: &[Participation]) -> Vec<CoveredParticipant<'a>> {
    let participants = ledger.participants.iter();
    participants.map(|one| CoveredParticipant::new(one, ledger.part_of(one, parts))).collect()
}

fn retained<'a>(
    ledger: &Erasure,
    parts: &'a [Participation],
    participating: &'a Participating,
) -> impl Iterator<Item = RetainedItems<'a>> {
    let part = ledger.part_of(participating, parts);
    let answer = part.and_then(|part| part.answer.as_ref()).map(|recorded| &recorded.answer);
    answer.into_iter().flat_map(|answer| &answer.retained).map(|kept| RetainedItems {
        participant: participating.name.as_str(),
        kind: &kept.kind,
        count: kept.count,
        ground: &kept.ground,
        until: kept.until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Actor;
    use crate::domain::acknowledgement::{MAX_RETAINED, MAX_RETAINED_BYTES};
    use crate::domain::actor::ActorType;
    use crate::domain::erasure::ErasureRequest;
    use crate::domain::owned::Kind;
    use crate::domain::participant::{MAX_PARTICIPANTS, ParticipantName};
    use crate::domain::participation::{Answer, AnswerStatus, RecordedAnswer, Retained, Waiver};

    const FIELDS: &[&str] = &["name", "email"];

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn finish() -> Timestamp {
        at("2026-10-31T08:10:02.000123Z")
    }

    fn ledger() -> Erasure {
        let customer = Id::parse("5e4a0680-804e-11ec-8477-2fea5968d85b").unwrap();
        Erasure {
            tm_claim: Some(at("2026-10-31T08:10:00.5Z")),
            epoch: 3,
            found: [(Kind::Number, 1_001), (Kind::Agent, 1), (Kind::Flow, 0)].into(),
            ..Erasure::blank(customer)
        }
    }

    fn requested() -> Erasure {
        let ledger = ledger();
        let request = ErasureRequest {
            reason: Reason::Unregister,
            by: Actor {
                kind: ActorType::Agent,
                id: Some(uuid::Uuid::from_u128(1)),
                role: Role::CustomerAdmin,
                customer_id: Some(ledger.customer.uuid()),
            },
            tm_request: at("2026-10-01T08:00:00Z"),
            tm_due: at("2026-10-31T08:00:00Z"),
            plan: Some("ab12".to_owned()),
        };
        Erasure { request: Some(request), ..ledger }
    }

    /// Returns an erasure in its second round that asks three participants, and their parts in both rounds.
    /// The first of the three has not been asked in the second round.
    fn asked() -> (Erasure, Vec<Participation>) {
        let participating = |(name, required): (&str, bool)| Participating {
            name: ParticipantName::parse(name).unwrap(),
            required,
            timeout: Duration::from_hours(1),
        };
        let participants = [("billing", false), ("carrier", true), ("files", true)];
        let ledger = Erasure {
            round: 2,
            participants: participants.map(participating).to_vec(),
            ..requested()
        };
        let customer = ledger.customer;
        let claimed = at("2026-10-31T08:10:00.5Z");
        let part = |round| move |one| Participation::new(customer, round, one, claimed, claimed);
        let earlier = ledger.participants.iter().map(part(1));
        let parts = earlier.chain(ledger.participants.iter().skip(1).map(part(2))).collect();
        (ledger, parts)
    }

    fn answered(part: &mut Participation, status: AnswerStatus, retained: Vec<Retained>) {
        let detail = "never shown".to_owned();
        part.answer = Some(RecordedAnswer {
            answer: Answer { status, found: 9, deleted: 7, retained, detail },
            by: Actor::PURGE,
            tm_answer: at("2026-11-01T00:00:00Z"),
        });
    }

    fn claims(ledger: &Erasure, parts: &[Participation], edition: Edition<'_>) -> String {
        serde_json::to_string(&Receipt::new(ledger, parts, FIELDS, finish(), edition)).unwrap()
    }

    /// Checks that the receipt has exactly these claims, in this order: the claims `account`, the claims
    /// `round`, and the claim `software`.
    #[track_caller]
    fn assert_claims(claims: &str, account: &[&str], round: &[&str]) {
        let version = env!("CARGO_PKG_VERSION");
        let software = format!(r#""software":{{"name":"tenure","version":"{version}"}}}}"#);
        assert_eq!(
            claims,
            [&account.concat(), &round.concat(), &software].map(String::as_str).concat()
        );
    }

    const NOT_COVERED: &str = r#""not_covered":{"backups_until":"2026-12-05T08:10:02.000123Z","unregistered_consumers":true},"#;

    #[test]
    fn claims_have_a_fixed_order_and_no_others() {
        assert_claims(
            &claims(&requested(), &[], Edition::First),
            &[
                r#"{"iss":"tenure","sub":"5e4a0680-804e-11ec-8477-2fea5968d85b","#,
                r#""jti":"5e4a0680-804e-11ec-8477-2fea5968d85b.3.1793434202","iat":1793434202,"#,
                r#""counts":{"agents":1,"flows":0,"numbers":1001},"fields_erased":["name","email"],"#,
                r#""tm_request":"2026-10-01T08:00:00Z","tm_due":"2026-10-31T08:00:00Z","#,
                r#""tm_claim":"2026-10-31T08:10:00.5Z","tm_finish":"2026-10-31T08:10:02.000123Z","#,
                r#""requested_by":"customer_admin","reason":"unregister","plan":"ab12","#,
            ],
            &[
                r#""round":1,"final":true,"supersedes":null,"#,
                r#""covers":{"tables":["accounts","outbox","ledger"],"participants":[]},"retained":[],"#,
                NOT_COVERED,
            ],
        );
    }

    #[test]
    fn claims_of_an_account_without_a_request_are_null() {
        let blank = Erasure { tm_claim: None, found: [].into(), ..ledger() };
        assert_claims(
            &claims(&blank, &[], Edition::First),
            &[
                r#"{"iss":"tenure","sub":"5e4a0680-804e-11ec-8477-2fea5968d85b","#,
                r#""jti":"5e4a0680-804e-11ec-8477-2fea5968d85b.3.1793434202","iat":1793434202,"#,
                r#""counts":{},"fields_erased":["name","email"],"#,
                r#""tm_request":null,"tm_due":null,"tm_claim":null,"#,
                r#""tm_finish":"2026-10-31T08:10:02.000123Z","#,
                r#""requested_by":null,"reason":null,"plan":null,"#,
            ],
            &[
                r#""round":1,"final":true,"supersedes":null,"#,
                r#""covers":{"tables":["accounts","outbox","ledger"],"participants":[]},"retained":[],"#,
                NOT_COVERED,
            ],
        );
    }

    #[test]
    fn first_receipt_shows_participants_that_have_not_answered_and_is_not_final() {
        let (ledger, mut parts) = asked();
        for part in &mut parts[..3] {
            answered(part, AnswerStatus::Completed, Vec::new());
        }
        let claims = claims(&ledger, &parts, Edition::First);
        let unanswered =
            r#""found":null,"deleted":null,"tm_answer":null,"waived_by":null,"tm_waive":null}"#;
        let round = [
            r#""round":2,"final":false,"supersedes":null,"#,
            r#""covers":{"tables":["accounts","outbox","ledger"],"participants":["#,
            &format!(r#"{{"name":"billing","required":false,"state":null,{unanswered},"#),
            &format!(r#"{{"name":"carrier","required":true,"state":"asked",{unanswered},"#),
            &format!(r#"{{"name":"files","required":true,"state":"asked",{unanswered}]}},"#),
            r#""retained":[],"#,
            NOT_COVERED,
        ];
        assert!(claims.contains(&round.concat()), "{claims}");
    }

    #[test]
    fn final_receipt_shows_answers_and_waivers_and_names_the_one_that_it_supersedes() {
        let (ledger, mut parts) = asked();
        let retained = |kind: &str, until| Retained {
            kind: kind.to_owned(),
            count: 2,
            ground: "tax law".to_owned(),
            until,
        };
        let kept =
            [retained("invoices", Some(at("2036-12-31T00:00:00Z"))), retained("notes", None)];
        answered(&mut parts[3], AnswerStatus::Completed, kept.to_vec());
        parts[4].waiver = Some(Waiver {
            reason: "never shown".to_owned(),
            by: Actor { role: Role::ProjectAdmin, ..Actor::PURGE },
            tm_waive: at("2026-11-02T00:00:00Z"),
        });
        let tm_complete = at("2026-11-02T00:00:01.5Z");
        let edition = Edition::Superseding { superseded: "a.b.c", tm_complete };
        let claims = claims(&ledger, &parts, edition);
        let round = [
            &format!(r#""round":2,"final":true,"supersedes":"{}","#, sha256("a.b.c")),
            r#""covers":{"tables":["accounts","outbox","ledger"],"participants":["#,
            r#"{"name":"billing","required":false,"state":null,"#,
            r#""found":null,"deleted":null,"tm_answer":null,"waived_by":null,"tm_waive":null},"#,
            r#"{"name":"carrier","required":true,"state":"completed","#,
            r#""found":9,"deleted":7,"tm_answer":"2026-11-01T00:00:00Z","waived_by":null,"tm_waive":null},"#,
            r#"{"name":"files","required":true,"state":"waived","#,
            r#""found":null,"deleted":null,"tm_answer":null,"#,
            r#""waived_by":"project_admin","tm_waive":"2026-11-02T00:00:00Z"}]},"#,
            r#""retained":[{"participant":"carrier","kind":"invoices","count":2,"ground":"tax law","#,
            r#""until":"2036-12-31T00:00:00Z"},"#,
            r#"{"participant":"carrier","kind":"notes","count":2,"ground":"tax law","until":null}],"#,
            NOT_COVERED,
        ];
        assert!(claims.contains(&round.concat()), "{claims}");
        let id = format!("{}.3.{}.final", ledger.customer, tm_complete.seconds());
        let iat = format!(r#""jti":"{id}","iat":{},"#, tm_complete.seconds());
        assert!(claims.contains(&iat), "{claims}");
        assert!(claims.contains(r#""tm_finish":"2026-10-31T08:10:02.000123Z""#), "{claims}");
        assert!(!claims.contains("never shown"), "{claims}");
    }

    #[test]
    fn the_largest_receipts_of_two_rounds_fit_an_item() {
        const ITEM: usize = 400 * 1024;
        let participating = |number| Participating {
            name: ParticipantName::parse(&format!("{number:02}{}", "a".repeat(38))).unwrap(),
            required: true,
            timeout: Duration::from_hours(1),
        };
        let participants: Vec<_> = (0..MAX_PARTICIPANTS).map(participating).collect();
        let ledger = Erasure { participants, ..requested() };
        let text = "é".repeat(MAX_RETAINED_BYTES / MAX_RETAINED / 4);
        let (kind, ground) = (text.clone(), text);
        let kept = Retained { kind, count: 1 << 53, ground, until: Some(finish()) };
        let part = |one| {
            let mut part = Participation::new(ledger.customer, 1, one, finish(), finish());
            answered(&mut part, AnswerStatus::Completed, vec![kept.clone(); MAX_RETAINED]);
            part
        };
        let parts: Vec<_> = ledger.participants.iter().map(part).collect();
        // A round has two receipts at most, each encoded in base 64.
        let length = claims(&ledger, &parts, Edition::First).len() * 4 / 3;
        assert!(2 * 2 * length < ITEM, "{length}");
    }
}
