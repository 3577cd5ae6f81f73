//! Participations: what one participant is asked and answers in one round of an account's erasure. An account
//! has more than one round if a restored table brings it back and it is erased again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::participant::{Participant, ParticipantName};
use super::{Actor, Customer, Error, Id, Timestamp};

/// A participant that an erasure asks: copied from the registry to the ledger (the record of erasures) when
/// the purge claims the account, that is, begins to erase it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participating {
    /// The participant's name.
    pub name: ParticipantName,
    /// Whether the erasure waits for the participant's answer.
    pub required: bool,
    /// Time that the participant has to answer, counted from when the purge claimed the account.
    pub timeout: Duration,
}

impl Participating {
    /// Copies what an erasure needs to know of a registered participant.
    #[must_use]
    pub fn of(name: &ParticipantName, participant: &Participant) -> Self {
        let Participant { required, timeout, .. } = *participant;
        Self { name: name.clone(), required, timeout }
    }
}

/// A round of an account's erasure, as it is when the purge claims the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Number of the round: 1, and one more each time the account is erased again.
    pub number: u64,
    /// The participants that are asked in this round.
    pub participants: Vec<Participating>,
}

/// Status that a participant reports, in the terms of `OpenDSR`. The order matters: an answer is ignored if
/// the recorded answer has a later status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerStatus {
    /// The participant has received the request, and reports nothing else yet.
    Pending,
    /// The participant is deleting what it keeps for the account.
    InProgress,
    /// The participant cannot delete, for now.
    Failed,
    /// The participant is done. No other status can follow.
    Completed,
}

/// Items of one kind that a participant does not delete, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retained {
    /// Kind of data that is kept, such as `invoices`.
    pub kind: String,
    /// Number of items kept.
    pub count: u64,
    /// Why they are kept, such as the law that requires it.
    pub ground: String,
    /// Until when they are kept; `None` if that is not known.
    pub until: Option<Timestamp>,
}

/// A participant's answer to the request to erase what it keeps for an account. It contains no personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status that the participant reports.
    pub status: AnswerStatus,
    /// Number of items that the participant found for the account.
    pub found: u64,
    /// Number of items that the participant has deleted.
    pub deleted: u64,
    /// Items that the participant keeps.
    pub retained: Vec<Retained>,
    /// Free text of the participant, for operators.
    pub detail: String,
}

/// A participant's answer as it is recorded: its content, who gave it, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedAnswer {
    /// The answer.
    pub answer: Answer,
    /// Who gave the answer: the participant's access key, or a project admin.
    pub by: Actor,
    /// When the answer was given.
    pub tm_answer: Timestamp,
}

/// A waiver: a project admin's decision that an erasure does not wait for a participant's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// Why the answer is not needed.
    pub reason: String,
    /// The project admin who decided it.
    pub by: Actor,
    /// When it was decided.
    pub tm_waive: Timestamp,
}

/// A participant's part in one round of an account's erasure: what it is asked, and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participation {
    /// The account that is erased.
    pub customer: Id<Customer>,
    /// Round of the erasure: 1, and one more whenever the account is erased again.
    pub round: u64,
    /// The participant's name.
    pub name: ParticipantName,
    /// Whether the erasure waits for the participant's answer.
    pub required: bool,
    /// When the participant was first asked.
    pub tm_ask: Timestamp,
    /// When the participant's time to answer ends.
    pub tm_deadline: Timestamp,
    /// Number of times that the participant has been asked.
    pub questions: u64,
    /// When the participant was last asked.
    pub tm_question: Timestamp,
    /// When the scheduled job, which asks participants again, next handles this part; `None` if nothing is
    /// left to do.
    pub tm_next: Option<Timestamp>,
    /// The participant's last answer; `None` if it has not answered.
    pub answer: Option<RecordedAnswer>,
    /// The waiver of the answer; `None` if there is none.
    pub waiver: Option<Waiver>,
    /// Version, incremented by every change of the answer or waiver: such a write succeeds only if the version is still
    /// the one that was read.
    pub version: u64,
}

/// State of a participant's part in an erasure: the status of its last answer, or waived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// The participant was asked, and has not answered.
    Asked,
    /// The participant has received the request, and reports nothing else yet.
    Pending,
    /// The participant is deleting what it keeps for the account.
    InProgress,
    /// The participant cannot delete, for now.
    Failed,
    /// The participant is done.
    Completed,
    /// A project admin decided that the erasure does not wait for the participant's answer.
    Waived,
}

/// Effect of an answer or a waiver on a participant's part in an erasure.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// The part has changed; contains the changed part.
    Changed(Box<Participation>),
    /// Nothing has changed. An answer: it was recorded before, or one with a later status was. A waiver: the
    /// participant had completed or was waived.
    Unchanged,
}

/// When a participant that is not done is asked again at first, counted from the first question: after 5, 20
/// and 60 minutes. Later questions follow at the [`INTERVAL`].
const FIRST_QUESTIONS: [Duration; 3] =
    [Duration::from_mins(5), Duration::from_mins(20), Duration::from_hours(1)];

/// Interval at which a participant is asked again after the [first questions](FIRST_QUESTIONS): a day.
const INTERVAL: Duration = Duration::from_hours(24);

/// Interval at which the scheduled job handles a settled part (completed or waived) that stays in the job's
/// index until the whole erasure is complete.
const WAIT: Duration = Duration::from_hours(1);

impl Participation {
    /// Returns the part of a participant that is first asked at `now`. Its time to answer is counted from
    /// `claimed`, when the purge claimed the account.
    #[must_use]
    pub fn new(
        customer: Id<Customer>,
        round: u64,
        participating: &Participating,
        claimed: Timestamp,
        now: Timestamp,
    ) -> Self {
        let part = Self {
            customer,
            round,
            name: participating.name.clone(),
            required: participating.required,
            tm_ask: now,
            tm_deadline: claimed.plus(participating.timeout),
            questions: 1,
            tm_question: now,
            tm_next: None,
            answer: None,
            waiver: None,
            version: 1,
        };
        part.rescheduled(now)
    }

    /// Whether the scheduled job is due to handle this part at `now`.
    #[must_use]
    pub fn is_look_due(&self, now: Timestamp) -> bool {
        self.tm_next.is_some_and(|next| next <= now)
    }

    /// Whether the participant is due to be asked again at `now`.
    #[must_use]
    pub fn is_question_due(&self, now: Timestamp) -> bool {
        self.next_question() <= now
    }

    /// Returns the part after its participant was asked again at `now`.
    #[must_use]
    pub fn asked_again(&self, now: Timestamp) -> Self {
        Self { questions: self.questions + 1, tm_question: now, ..self.clone() }.rescheduled(now)
    }

    /// Sets when the scheduled job next handles this part: when the participant is to be asked again, or at
    /// the deadline if that is still to come and earlier.
    #[must_use]
    pub fn rescheduled(self, now: Timestamp) -> Self {
        let next = self.next_question();
        let next = if now < self.tm_deadline { next.min(self.tm_deadline) } else { next };
        Self { tm_next: Some(next), ..self }
    }

    /// Sets when the scheduled job next handles this settled part, for an erasure that is not complete yet.
    #[must_use]
    pub fn waiting(self, now: Timestamp) -> Self {
        Self { tm_next: Some(now.plus(WAIT)), ..self }
    }

    fn next_question(&self) -> Timestamp {
        let early = FIRST_QUESTIONS.map(|after| self.tm_ask.plus(after));
        let next = early.into_iter().find(|time| *time > self.tm_question);
        next.unwrap_or(self.tm_question.plus(INTERVAL))
    }

    /// Records an answer. Refused if it is [`Completed`](AnswerStatus::Completed) and differs from a recorded
    /// answer that is, too.
    pub fn answered(&self, answer: Answer, by: Actor, now: Timestamp) -> Result<Answered, Error> {
        if let Some(RecordedAnswer { answer: before, .. }) = &self.answer {
            if *before == answer || answer.status < before.status {
                return Ok(Answered::Unchanged);
            }
            if before.status == AnswerStatus::Completed {
                return Err(Error::AlreadyAcknowledged);
            }
        }
        let answer = Some(RecordedAnswer { answer, by, tm_answer: now });
        Ok(Answered::Changed(Box::new(Self { answer, ..self.next_version() })))
    }

    /// Records a waiver. Changes nothing if the participant has completed or was waived before.
    #[must_use]
    pub fn waived(&self, reason: String, by: Actor, now: Timestamp) -> Answered {
        if self.waiver.is_some() || self.is_completed() {
            return Answered::Unchanged;
        }
        let waiver = Some(Waiver { reason, by, tm_waive: now });
        Answered::Changed(Box::new(Self { waiver, ..self.next_version() }))
    }

    fn next_version(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }

    /// Returns when the part was settled: completed or waived, whichever came first. `None` if it was neither.
    #[must_use]
    pub fn settled_at(&self) -> Option<Timestamp> {
        let completed =
            self.answer.iter().filter(|one| one.answer.status == AnswerStatus::Completed);
        let completed = completed.map(|one| one.tm_answer);
        completed.chain(self.waiver.iter().map(|waiver| waiver.tm_waive)).min()
    }

    /// Returns the part's state.
    #[must_use]
    pub fn state(&self) -> PartState {
        match self.answer.as_ref().map(|recorded| recorded.answer.status) {
            Some(AnswerStatus::Completed) => PartState::Completed,
            _ if self.waiver.is_some() => PartState::Waived,
            None => PartState::Asked,
            Some(AnswerStatus::Pending) => PartState::Pending,
            Some(AnswerStatus::InProgress) => PartState::InProgress,
            Some(AnswerStatus::Failed) => PartState::Failed,
        }
    }

    /// Whether the erasure still waits for the participant's answer: it is required, and the part is neither
    /// completed nor waived.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.required && self.settled_at().is_none()
    }

    /// Whether the erasure still waits for the participant's answer although the deadline has passed.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.is_awaited() && self.tm_deadline <= now
    }

    /// Whether the participant is to be asked again: it has not completed and was not waived, and if it is optional,
    /// its deadline has not passed.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.settled_at().is_none() && (self.required || now < self.tm_deadline)
    }

    fn is_completed(&self) -> bool {
        self.state() == PartState::Completed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minutes: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).unwrap().plus(Duration::from_mins(minutes))
    }

    fn part(required: bool, timeout: Duration) -> Participation {
        let name = ParticipantName::parse("carrier").unwrap();
        let participating = Participating { name, required, timeout };
        Participation::new(Id::new(at(0), [1; 10]), 1, &participating, at(0), at(0))
    }

    fn answer(status: AnswerStatus, deleted: u64) -> Answer {
        Answer { status, found: deleted, deleted, retained: Vec::new(), detail: String::new() }
    }

    fn after(part: &Participation, answer: Answer) -> Participation {
        match part.answered(answer, Actor::PURGE, at(1)) {
            Ok(Answered::Changed(changed)) => *changed,
            Ok(Answered::Unchanged) | Err(_) => part.clone(),
        }
    }

    #[test]
    fn questions_follow_after_5_20_and_60_minutes_and_then_daily_whenever_the_deadline_is() {
        const DAY: u64 = 24 * 60;
        let mut part = part(true, Duration::from_hours(36));
        let (mut questions, mut looks) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            let now = part.tm_next.unwrap();
            let minute = at(0).until(now).as_secs() / 60;
            looks.push(minute);
            part = if part.is_question_due(now) {
                questions.push(minute);
                part.asked_again(now)
            } else {
                part.rescheduled(now)
            };
        }
        assert_eq!(questions, [5, 20, 60, 60 + DAY, 60 + 2 * DAY, 60 + 3 * DAY]);
        assert_eq!(looks, [5, 20, 60, 60 + DAY, 36 * 60, 60 + 2 * DAY, 60 + 3 * DAY]);
        assert_eq!(part.questions, 7);
    }

    #[test]
    fn a_part_is_looked_at_from_when_that_is_due() {
        let part = part(true, TIMEOUT);
        assert!(!part.is_look_due(at(4)) && part.is_look_due(at(5)) && part.is_look_due(at(6)));
        let closed = Participation { tm_next: None, ..part };
        assert!(!closed.is_look_due(at(6)));
        assert_eq!(closed.waiting(at(6)).tm_next, Some(at(66)), "until its erasure is complete");
    }

    #[test]
    fn the_state_is_that_of_the_answer_and_each_change_has_the_next_version() {
        let mut part = part(true, TIMEOUT);
        assert_eq!((part.state(), part.version), (PartState::Asked, 1));
        for (status, state, version) in [
            (AnswerStatus::Pending, PartState::Pending, 2),
            (AnswerStatus::InProgress, PartState::InProgress, 3),
            (AnswerStatus::Failed, PartState::Failed, 4),
            (AnswerStatus::Completed, PartState::Completed, 5),
        ] {
            part = after(&part, answer(status, 0));
            assert_eq!((part.state(), part.version), (state, version));
        }
    }

    #[test]
    fn a_part_is_waived_once_and_not_after_it_has_completed() {
        let waive = |part: &Participation| part.waived("closed".to_owned(), Actor::PURGE, at(2));
        let asked = part(true, TIMEOUT);
        let Answered::Changed(waived) = waive(&asked) else { panic!("not waived") };
        assert_eq!((waived.state(), waived.version), (PartState::Waived, 2));
        assert_eq!(waive(&waived), Answered::Unchanged);
        let completed = after(&asked, answer(AnswerStatus::Completed, 3));
        assert_eq!(waive(&completed), Answered::Unchanged);
    }

    #[test]
    fn completed_is_final_and_an_optional_part_ends_at_its_deadline() {
        let part = part(true, TIMEOUT);
        let completed = after(&part, answer(AnswerStatus::Completed, 3));
        assert_eq!(completed.state(), PartState::Completed);
        assert!(part.is_awaited() && !completed.is_awaited());
        let same = completed.answered(answer(AnswerStatus::Completed, 3), Actor::PURGE, at(2));
        assert_eq!(same.unwrap(), Answered::Unchanged);
        let other = completed.answered(answer(AnswerStatus::Completed, 4), Actor::PURGE, at(2));
        assert!(matches!(other, Err(Error::AlreadyAcknowledged)));
        assert!(part.is_open(at(70)) && part.is_overdue(at(70)) && !part.is_overdue(at(59)));
        let optional = self::part(false, TIMEOUT);
        assert!(optional.is_open(at(59)) && !optional.is_open(at(60)) && !optional.is_awaited());
    }

    #[test]
    fn a_late_answer_shows_although_the_part_was_waived() {
        let Answered::Changed(waived) =
            part(true, TIMEOUT).waived("closed".to_owned(), Actor::PURGE, at(1))
        else {
            panic!("not waived")
        };
        assert_eq!(waived.state(), PartState::Waived);
        assert!(!waived.is_awaited() && !waived.is_open(at(1)));
        let late = after(&waived, answer(AnswerStatus::Completed, 1));
        assert_eq!((late.state(), late.waiver.is_some()), (PartState::Completed, true));
        assert_eq!(late.waived("again".to_owned(), Actor::PURGE, at(3)), Answered::Unchanged);
        assert_eq!(late.settled_at(), Some(at(1)), "an answer after the waiver moves nothing");
    }

    const TIMEOUT: Duration = Duration::from_hours(1);

    proptest! {
        /// Answers of different statuses lead to the same part in whatever order they arrive.
        #[test]
        fn the_order_of_answers_does_not_matter(order in Just([0_usize, 1, 2, 3]).prop_shuffle()) {
            let statuses = [
                AnswerStatus::Pending,
                AnswerStatus::InProgress,
                AnswerStatus::Failed,
                AnswerStatus::Completed,
            ];
            let mut part = part(true, TIMEOUT);
            for index in order {
                part = after(&part, answer(statuses[index], index as u64));
            }
            prop_assert_eq!(part.answer.unwrap().answer, answer(AnswerStatus::Completed, 3));
        }
    }
}
