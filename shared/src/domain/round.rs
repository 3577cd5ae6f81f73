//! Rounds of an account's erasure: which participants are asked in each, and what the scheduled job does
//! about their answers. (The job asks participants until they have answered.)

use super::participant::Registry;
use super::participation::{Participating, Participation};
use super::{Erasure, Timestamp};

/// Decision of the scheduled job on a participant's part in an erasure, once the part is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Removes the part from the job's index, because nothing is left to be done about it.
    Close,
    /// Asks the participant again; contains the part to store afterwards.
    Ask(Participation),
    /// Handles the part again later; contains the part with the time.
    Later(Participation),
}

impl Registry {
    /// Copies the active participants from the registry, for a new erasure to ask.
    #[must_use]
    pub fn participating(&self) -> Vec<Participating> {
        self.active().map(|(name, participant)| Participating::of(name, participant)).collect()
    }
}

impl Look {
    /// Returns the part as it is after the participant is asked again; `None` if the participant is not asked.
    #[must_use]
    pub const fn question(&self) -> Option<&Participation> {
        match self {
            Self::Ask(after) => Some(after),
            Self::Close | Self::Later(_) => None,
        }
    }
}

impl Erasure {
    /// Returns the number of the round that begins when the purge claims the account now. `None` if the claim
    /// continues a round that has begun and not finished.
    #[must_use]
    pub const fn next_round(&self) -> Option<u64> {
        if self.tm_claim.is_some() && self.tm_finish.is_none() {
            return None;
        }
        // A new request to delete the account clears `tm_claim`, but keeps the epoch. So an epoch above 0 shows
        // that a claim has begun this round, even if a restore has undone the purge before it finished.
        Some(if self.epoch == 0 { self.round } else { self.round + 1 })
    }

    /// Returns the participant's part in the current round, out of all `parts` of the account; `None` if it
    /// is missing.
    #[must_use]
    pub fn part_of<'a>(
        &self,
        participating: &Participating,
        parts: &'a [Participation],
    ) -> Option<&'a Participation> {
        parts.iter().find(|part| (part.round, &part.name) == (self.round, &participating.name))
    }

    /// Returns new parts, first asked at `now`, for those participants of the current round that have none
    /// among `parts`.
    #[must_use]
    pub fn missing_parts(&self, parts: &[Participation], now: Timestamp) -> Vec<Participation> {
        let claimed = self.tm_claim.unwrap_or(now);
        let missing = self.participants.iter().filter(|one| self.part_of(one, parts).is_none());
        let part = |one| Participation::new(self.customer, self.round, one, claimed, now);
        missing.map(part).collect()
    }

    /// Whether every participant that the current round waits for has completed or was waived, according to
    /// its part in `parts`.
    #[must_use]
    pub fn is_complete_with(&self, parts: &[Participation]) -> bool {
        let is_settled = |one| self.part_of(one, parts).is_some_and(|part| !part.is_awaited());
        self.participants.iter().filter(|one| one.required).all(is_settled)
    }

    /// Whether `part` still matters to this erasure: it belongs to the current round, and the purge has
    /// claimed the account since the account was last reinstated (brought back on purpose by a restore).
    #[must_use]
    pub fn asks_for(&self, part: &Participation) -> bool {
        part.round == self.round && self.tm_claim.is_some()
    }

    /// Decides what the scheduled job does about `part`, which is due at `now`.
    ///
    /// Until the erasure is complete, one of its required parts, the last by name, stays in the job's index
    /// even if it is settled (completed or waived). So if a request recorded the last answer but failed to
    /// complete the erasure, the job completes it.
    #[must_use]
    pub fn look_at(&self, part: &Participation, now: Timestamp) -> Look {
        if !self.asks_for(part) {
            return Look::Close;
        }
        if part.is_open(now) {
            return if part.is_question_due(now) {
                Look::Ask(part.asked_again(now))
            } else {
                Look::Later(part.clone().rescheduled(now))
            };
        }
        if self.tm_complete.is_none() && self.is_last_required(part) {
            Look::Later(part.clone().waiting(now))
        } else {
            Look::Close
        }
    }

    fn is_last_required(&self, part: &Participation) -> bool {
        let required = self.participants.iter().filter(|one| one.required);
        required.map(|one| &one.name).max() == Some(&part.name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::participant::{ParticipantChange, ParticipantName};
    use crate::domain::participation::Waiver;
    use crate::domain::{Actor, Id};

    fn at(minutes: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).unwrap().plus(Duration::from_mins(minutes))
    }

    fn participating(name: &str, required: bool) -> Participating {
        let name = ParticipantName::parse(name).unwrap();
        Participating { name, required, timeout: Duration::from_hours(1) }
    }

    /// Returns an erasure whose account is claimed, with two required participants, `a` and `b`, and an
    /// optional one, `c`.
    fn claimed() -> Erasure {
        let participants =
            vec![participating("a", true), participating("b", true), participating("c", false)];
        let blank = Erasure::blank(Id::new(at(0), [1; 10]));
        Erasure { tm_claim: Some(at(0)), epoch: 1, participants, ..blank }
    }

    fn settled(part: &Participation) -> Participation {
        let waiver = Waiver { reason: "gone".to_owned(), by: Actor::PURGE, tm_waive: at(1) };
        Participation { waiver: Some(waiver), ..part.clone() }
    }

    #[test]
    fn round_begins_with_the_first_claim_and_after_each_that_finished() {
        let blank = Erasure::blank(Id::new(at(0), [1; 10]));
        assert_eq!(blank.next_round(), Some(1));
        assert_eq!(claimed().next_round(), None, "a resumed run goes on with its round");
        let finished =
            Erasure { tm_finish: Some(at(9)), receipts: vec!["jws".to_owned()], ..claimed() };
        assert_eq!(finished.next_round(), Some(2), "erased again");
        let again = Erasure { round: 2, tm_finish: None, ..finished.clone() };
        assert_eq!(again.next_round(), None);
        let undone = Erasure { tm_claim: None, participants: Vec::new(), ..claimed() };
        assert_eq!(undone.next_round(), Some(2), "restored during its purge and requested anew");
        let reinstated = Erasure { tm_claim: None, tm_finish: None, ..finished };
        assert_eq!(reinstated.next_round(), Some(2), "its earlier parts are no answers");
    }

    #[test]
    fn erasure_asks_the_participants_that_are_not_deleted() {
        let required = |required| ParticipantChange { required: Some(required), ..<_>::default() };
        let name = |text| ParticipantName::parse(text).unwrap();
        let mut registry = Registry::default();
        for (text, is_required) in [("a", true), ("b", true), ("c", false)] {
            registry = registry.with(&name(text), required(is_required), at(0)).unwrap().0;
        }
        let (registry, _) = registry.without(&name("b"), at(1)).unwrap();
        let timeout = Duration::from_hours(7 * 24);
        let asked = [("a", true), ("c", false)]
            .map(|(text, required)| Participating { timeout, ..participating(text, required) });
        assert_eq!(registry.participating(), asked);
    }

    #[test]
    fn missing_parts_are_those_of_the_round_that_are_not_there() {
        let first = claimed().missing_parts(&[], at(2));
        assert_eq!(first.len(), 3);
        assert!(first.iter().all(|part| part.tm_ask == at(2) && part.tm_deadline == at(60)));
        let names = |parts: Vec<Participation>| {
            parts.into_iter().map(|part| part.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(claimed().missing_parts(&first[1..2], at(3))), ["a", "c"]);
        assert_eq!(claimed().missing_parts(&first, at(3)), []);
        let again = Erasure { round: 2, ..claimed() };
        assert_eq!(names(again.missing_parts(&first, at(3))), ["a", "b", "c"]);
    }

    #[test]
    fn erasure_is_complete_with_all_required_parts_of_its_round() {
        let mut parts = claimed().missing_parts(&[], at(0));
        assert!(!claimed().is_complete_with(&[]));
        parts[0] = settled(&parts[0]);
        assert!(!claimed().is_complete_with(&parts));
        parts[1] = settled(&parts[1]);
        assert!(claimed().is_complete_with(&parts));
        assert!(!Erasure { round: 2, ..claimed() }.is_complete_with(&parts));
        assert!(Erasure { participants: Vec::new(), ..claimed() }.is_complete_with(&[]));
    }

    #[test]
    fn open_part_is_asked_when_a_question_is_due_and_looked_at_later_otherwise() {
        let parts = claimed().missing_parts(&[], at(0));
        let asked = parts[0].asked_again(at(5));
        let look = claimed().look_at(&parts[0], at(5));
        assert_eq!((look.question(), &look), (Some(&asked), &Look::Ask(asked.clone())));
        let later = Look::Later(asked.clone().rescheduled(at(6)));
        assert_eq!((later.question(), Look::Close.question()), (None, None));
        assert_eq!(claimed().look_at(&asked, at(6)), later);
        let overdue = claimed().look_at(&parts[0], at(61));
        assert!(matches!(overdue, Look::Ask(_)), "{overdue:?}");
    }

    #[test]
    fn settled_part_is_closed_unless_it_is_the_last_required_one_of_an_open_erasure() {
        let parts: Vec<_> = claimed().missing_parts(&[], at(0)).iter().map(settled).collect();
        let look = |erasure: &Erasure| {
            parts.iter().map(|part| erasure.look_at(part, at(5))).collect::<Vec<_>>()
        };
        let waiting = Look::Later(parts[1].clone().waiting(at(5)));
        assert_eq!(look(&claimed()), [Look::Close, waiting.clone(), Look::Close]);
        let finished = Erasure { tm_finish: Some(at(4)), ..claimed() };
        assert_eq!(look(&finished), [Look::Close, waiting, Look::Close]);
        let complete = Erasure { tm_complete: Some(at(4)), ..finished };
        assert_eq!(look(&complete), [Look::Close, Look::Close, Look::Close]);
    }

    #[test]
    fn optional_part_is_asked_until_its_deadline_whether_the_erasure_is_complete_or_not() {
        let part = claimed().missing_parts(&[], at(0)).pop().unwrap();
        let complete = Erasure { tm_finish: Some(at(1)), tm_complete: Some(at(1)), ..claimed() };
        for erasure in [claimed(), complete] {
            assert!(matches!(erasure.look_at(&part, at(59)), Look::Ask(_)));
            assert_eq!(erasure.look_at(&part, at(60)), Look::Close);
        }
    }

    #[test]
    fn part_of_an_earlier_round_or_of_a_reinstated_account_is_closed() {
        let part = &claimed().missing_parts(&[], at(0))[1];
        for erasure in [Erasure { round: 2, ..claimed() }, Erasure { tm_claim: None, ..claimed() }]
        {
            assert_eq!(erasure.look_at(part, at(5)), Look::Close);
        }
    }
}
