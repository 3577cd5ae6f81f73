//! Sessions: credentials of agents who have logged in.

use std::cmp::Reverse;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::Builder;

use super::{Agent, Id, Page, Timestamp};

/// Lifetime of a session: 7 days.
pub const LIFETIME: Duration = Duration::from_hours(7 * 24);

/// Maximum remaining lifetime of a session after its token was sent in a URL: 24 hours. Histories, logs and proxies
/// keep URLs.
pub const EXPOSED_LIFETIME: Duration = Duration::from_hours(24);

/// Interval at which uses of a session are recorded: one hour, or a twelfth of [`SessionLimits::idle`] if
/// that is less.
const PRECISION: Duration = Duration::from_hours(1);

/// A session of an agent.
#[derive(Clone, Debug)]
pub struct Session {
    /// Id, derived from the token.
    pub id: Id<Session>,
    /// The agent who logged in.
    pub agent: Id<Agent>,
    /// The agent's epoch at login; the session ends when the agent's epoch increments.
    pub epoch: u64,
    /// When the agent logged in.
    pub tm_create: Timestamp,
    /// When it was last used, accurate to an hour.
    pub tm_last_use: Timestamp,
    /// When it expires.
    pub tm_expire: Timestamp,
    /// Whether its token was sent in a URL.
    pub url_exposed: bool,
}

impl Session {
    /// Returns a session that begins at `now`, with this id.
    #[must_use]
    pub fn new(id: Id<Self>, agent: Id<Agent>, epoch: u64, now: Timestamp) -> Self {
        Self {
            id,
            agent,
            epoch,
            tm_create: now,
            tm_last_use: now,
            tm_expire: now.plus(LIFETIME),
            url_exposed: false,
        }
    }

    /// Returns the id of the session with this token: a `UUIDv8` (RFC 9562) of 122 bits of the token's SHA-256. It does
    /// not help to guess the token, which has 256 random bits.
    #[must_use]
    pub fn id_of(token: &str) -> Id<Self> {
        let digest = Sha256::digest(token.as_bytes());
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest).for_each(|(byte, of_digest)| *byte = of_digest);
        Id::from_uuid(Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Returns the session as it is after its token was sent in a URL at `now`: it expires within 24 hours.
    #[must_use]
    pub fn exposed(&self, now: Timestamp) -> Self {
        let tm_expire = self.tm_expire.min(now.plus(EXPOSED_LIFETIME));
        Self { tm_expire, url_exposed: true, ..self.clone() }
    }
}

/// Limits on sessions in an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Maximum number of sessions of one agent.
    pub per_agent: usize,
    /// Time without use after which a session ends.
    pub idle: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { per_agent: 50, idle: Duration::from_hours(24) }
    }
}

impl SessionLimits {
    /// Whether a session is valid at `now`: it has been used recently, has not expired, and began at the
    /// agent's current `epoch`.
    #[must_use]
    pub fn admit(self, session: &Session, epoch: u64, now: Timestamp) -> bool {
        session.epoch == epoch
            && now < session.tm_expire
            && now < session.tm_last_use.plus(self.idle)
    }

    /// Whether a use of `session` at `now` is to be recorded: the last recorded use is at least an hour ago, or a
    /// twelfth of the [idle time](Self::idle) if that is shorter.
    #[must_use]
    pub fn is_use_due(self, session: &Session, now: Timestamp) -> bool {
        session.tm_last_use.plus(PRECISION.min(self.idle / 12)) <= now
    }

    /// Returns the sessions that are valid at `now`, newest first. All belong to one agent, whose current
    /// epoch is `epoch`.
    #[must_use]
    pub fn active(self, sessions: Vec<Session>, epoch: u64, now: Timestamp) -> Page<Session> {
        let mut rows: Vec<_> =
            sessions.into_iter().filter(|one| self.admit(one, epoch, now)).collect();
        rows.sort_by_key(|session| Reverse(session.tm_create));
        Page { rows, next: None }
    }

    /// Returns which of an agent's `others` to delete so that the agent's sessions, including `new`, do not
    /// exceed the maximum: first sessions that are no longer valid, then the oldest.
    #[must_use]
    pub fn surplus(self, new: &Session, others: Vec<Session>, now: Timestamp) -> Vec<Session> {
        let mut others: Vec<_> = others.into_iter().filter(|other| other.id != new.id).collect();
        others.sort_by_key(|other| (self.admit(other, new.epoch, now), other.tm_create));
        let surplus = (others.len() + 1).saturating_sub(self.per_agent);
        others.truncate(surplus);
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(hours: u64) -> Timestamp {
        Timestamp::parse("2026-01-01T00:00:00Z").unwrap().plus(Duration::from_hours(hours))
    }

    /// Returns a session that began at `after(hour)`.
    fn session(hour: u64) -> Session {
        let id = Session::id_of(&format!("token {hour}"));
        Session::new(id, Id::new(after(0), [1; 10]), 0, after(hour))
    }

    #[test]
    fn a_session_goes_on_as_long_as_it_is_used_and_for_a_week_at_most() {
        let limits = SessionLimits::default();
        let admitted = |session: &Session, hour| limits.admit(session, 0, after(hour));
        let unused = session(0);
        assert!(
            admitted(&unused, 23) && !admitted(&unused, 24) && !limits.admit(&unused, 1, after(0))
        );
        let used = Session { tm_last_use: after(160), ..session(0) };
        assert!(admitted(&used, 167) && !admitted(&used, 168));
        let is_use_due = |limits: SessionLimits, hour| limits.is_use_due(&unused, after(hour));
        assert!(!is_use_due(limits, 0) && is_use_due(limits, 1));
    }

    #[test]
    fn a_session_that_is_used_all_the_time_does_not_end_however_short_the_limit_is() {
        let limits = SessionLimits { idle: Duration::from_hours(1), ..SessionLimits::default() };
        let mut used = session(0);
        for minute in 1..=180 {
            let now = after(0).plus(Duration::from_mins(minute));
            assert!(limits.admit(&used, 0, now), "{minute}");
            if limits.is_use_due(&used, now) {
                used.tm_last_use = now;
            }
        }
    }

    #[test]
    fn the_oldest_go_for_a_new_one_and_those_that_have_ended_before_them() {
        let limits = SessionLimits { per_agent: 3, ..SessionLimits::default() };
        let surplus = |others: Vec<Session>| -> Vec<_> {
            limits.surplus(&session(9), others, after(9)).iter().map(|one| one.id).collect()
        };
        assert!(surplus(vec![session(8), session(7)]).is_empty());
        assert_eq!(surplus(vec![session(8), session(6), session(7)]), [session(6).id]);
        // The query for the other sessions may already have returned the new one.
        assert!(surplus(vec![session(9), session(8), session(7)]).is_empty());
        let ended = Session { tm_expire: after(9), ..session(8) };
        assert_eq!(surplus(vec![session(7), ended.clone(), session(6)]), [ended.id]);
        let all = vec![session(5), ended.clone(), session(7), session(6)];
        assert_eq!(surplus(all), [ended.id, session(5).id]);
    }

    #[test]
    fn an_id_is_a_uuid_of_its_token() {
        let id = Session::id_of("vbs_1");
        assert_eq!((id, id.uuid().get_version_num()), (Session::id_of("vbs_1"), 8));
        assert_ne!(id, Session::id_of("vbs_2"));
    }

    #[test]
    fn a_token_in_a_url_shortens_its_session_to_a_day_and_never_prolongs_it() {
        let early = session(0).exposed(after(1));
        assert!(early.url_exposed);
        assert_eq!(early.tm_expire, after(25));
        assert_eq!(session(0).exposed(after(160)).tm_expire, after(168));
    }

    #[test]
    fn the_sessions_that_go_on_are_listed_newest_first() {
        let limits = SessionLimits::default();
        let ended = Session { tm_expire: after(9), ..session(5) };
        let active = limits.active(vec![session(1), ended, session(3)], 0, after(9));
        let ids: Vec<_> = active.rows.iter().map(|one| one.id).collect();
        assert_eq!((ids, active.next), (vec![session(3).id, session(1).id], None));
        assert!(limits.active(vec![session(1)], 1, after(9)).rows.is_empty(), "another epoch");
    }
}
