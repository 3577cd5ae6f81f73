//! The cells of the isolation matrix, that is, its single requests, and the response that each must get.

use std::fmt;

use super::rows::{
    AMBIGUOUS, BAD_ID, BAD_PARAMETER, CUSTOMER, DENIED, IS_FROZEN, IS_SUSPENDED, Looks,
    NO_CREDENTIALS, NOT_VALID, OK, ONESELF, Outcome, PROJECT, Row,
};

/// The permission of the calling agent and of its access keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Agent,
    Manager,
    Admin,
    ProjectAdmin,
}

/// The state of the caller's account: its status, or a hold or a suspension in addition to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    Initial,
    Active,
    /// Active and under a hold.
    Held,
    /// Active and suspended.
    Suspended,
    /// Frozen by its owner.
    Frozen,
    /// Deleted and not yet purged: everything that the account owned is still stored.
    Deleted,
    Purged,
}

/// The kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    Session,
    AccessKey,
    /// An access key that is bound to a participant.
    BoundKey,
}

/// How the credential is sent, or what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// No credential.
    Nothing,
    Bearer,
    QueryToken,
    QueryAccesskey,
    /// Past its expiry, but still stored.
    Expired,
    Revoked,
    /// With an invalid checksum.
    Garbage,
    TwoHeaders,
    HeaderAndQuery,
    TwoInQuery,
}

/// The object that the request's path or query names, in relation to the caller's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Own,
    Foreign,
    /// An item of another account, with `customer_id=` in the query to name that account.
    Named,
    Missing,
    Deleted,
    /// An id without hyphens: that of another account, or of one of its items.
    Malformed,
}

impl Level {
    pub(super) const ALL: &[Self] = &[Self::Agent, Self::Manager, Self::Admin, Self::ProjectAdmin];

    /// Returns the permission's bits as the API defines them.
    pub(super) const fn bits(self) -> u64 {
        match self {
            Self::ProjectAdmin => 1,
            Self::Agent => 16,
            Self::Admin => 32,
            Self::Manager => 64,
        }
    }
}

impl Status {
    pub(super) const ALL: &[Self] = &[
        Self::Initial,
        Self::Active,
        Self::Held,
        Self::Suspended,
        Self::Frozen,
        Self::Deleted,
        Self::Purged,
    ];
}

/// One request of the matrix: a route with one combination of credential, caller, account state and target.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub(super) row: &'static Row,
    pub(super) form: Form,
    pub(super) target: Target,
    pub(super) holder: Holder,
    pub(super) level: Level,
    pub(super) status: Status,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, form, target, holder, level, status } = self;
        write!(
            f,
            "{} {} | {level:?} of {status:?} account | {holder:?} {form:?} | {target:?}",
            row.route, row.body
        )
    }
}

/// Returns all cells of a row: every combination of credential, caller, account state and target, except those that
/// [`Cell::is_one_of_its_kind`] drops. From one cell to the next, the calling account usually changes.
pub(super) fn cells(row: &'static Row) -> Vec<Cell> {
    let mut cells = Vec::new();
    for form in forms(row) {
        for target in targets(row) {
            for holder in holders(row) {
                for level in Level::ALL {
                    for status in Status::ALL {
                        let cell = Cell {
                            row,
                            form: *form,
                            target: *target,
                            holder: *holder,
                            level: *level,
                            status: *status,
                        };
                        cells.push(cell);
                    }
                }
            }
        }
    }
    cells.retain(Cell::is_one_of_its_kind);
    cells
}

fn forms(row: &Row) -> &'static [Form] {
    use Form::{
        Bearer, Expired, Garbage, HeaderAndQuery, Nothing, QueryAccesskey, QueryToken, Revoked,
        TwoHeaders, TwoInQuery,
    };
    match row.looks {
        // Routes that read no credential accept any.
        Looks::Nowhere => &[Nothing, Bearer, Garbage],
        _ => &[
            Nothing,
            Bearer,
            QueryToken,
            QueryAccesskey,
            Expired,
            Revoked,
            Garbage,
            TwoHeaders,
            HeaderAndQuery,
            TwoInQuery,
        ],
    }
}

fn targets(row: &Row) -> &'static [Target] {
    use Target::{Deleted, Foreign, Malformed, Missing, Named, Own};
    match (row.target, row.looks) {
        (Some(thing), _) if *thing == ONESELF => &[Own],
        (Some(thing), _) if *thing == CUSTOMER => &[Own, Foreign, Missing, Deleted, Malformed],
        (Some(_), _) => &[Own, Foreign, Named, Missing, Deleted, Malformed],
        (None, Looks::Everywhere) => &[Own, Foreign],
        (None, _) => &[Own],
    }
}

fn holders(row: &Row) -> &'static [Holder] {
    match row.looks {
        Looks::Nowhere => &[Holder::Session],
        _ => &[Holder::Session, Holder::AccessKey, Holder::BoundKey],
    }
}

impl Cell {
    /// Returns the response that the cell must get, as status and reason.
    pub(super) fn expected(&self) -> Outcome {
        let Self { row, form, holder, level, status, .. } = self;
        if row.looks != Looks::Nowhere {
            match self.credentials_sent() {
                0 => return NO_CREDENTIALS,
                1 => {}
                _ => return AMBIGUOUS,
            }
            let is_valid = !matches!(form, Form::Expired | Form::Revoked | Form::Garbage);
            if !is_valid || matches!(status, Status::Deleted | Status::Purged) {
                return NOT_VALID;
            }
        }
        let (works_in, otherwise) = row.works_in;
        let (who, lets_in, asked) = match holder {
            Holder::Session => (row.who, row.lets_in, row.session),
            Holder::AccessKey => (
                row.who_by_key.unwrap_or(row.who),
                row.lets_in_by_key.unwrap_or(row.lets_in),
                row.key,
            ),
            Holder::BoundKey => {
                let who = if row.is_participants { row.who } else { &[] };
                (who, row.lets_in_by_key.unwrap_or(row.lets_in), row.key)
            }
        };
        match () {
            () if !lets_in.contains(status) && *status == Status::Suspended => IS_SUSPENDED,
            () if !lets_in.contains(status) => IS_FROZEN,
            () if !who.contains(level) => DENIED,
            () if self.names_another() && row.names.is_some_and(|who| !who.contains(level)) => {
                DENIED
            }
            () if !self.sends_what_is_accepted() => BAD_PARAMETER,
            () if asked != OK => asked,
            () if !works_in.contains(status) => otherwise,
            () => self.target_outcome(),
        }
    }

    /// Whether the request may be counted as a log-in attempt against a user name or against the caller's session. This
    /// is so if the request has a password and, unless the route is public, a valid session.
    pub(super) fn tries_a_password(&self) -> bool {
        let has_session = self.holder == Holder::Session && self.credentials_sent() == 1;
        let may_count = self.row.looks == Looks::Nowhere || (has_session && !self.is_dead());
        self.row.has_password() && may_count
    }

    /// Whether the request may be counted as a log-in attempt against its network only: it has a password,
    /// but an invalid session.
    pub(super) fn counts_for_its_network(&self) -> bool {
        self.row.has_password() && self.holder == Holder::Session && self.is_dead()
    }

    const fn is_dead(&self) -> bool {
        matches!(self.form, Form::Expired | Form::Revoked | Form::Garbage)
    }

    /// Whether the query has only parameters that the route accepts, and all that the route requires.
    fn sends_what_is_accepted(&self) -> bool {
        let Self { row, form, level, .. } = self;
        let names = !self.names_another() || row.names.is_some();
        let is_named = !row.must_name || *level != Level::ProjectAdmin || self.names_another();
        let has_token_in_query = matches!(form, Form::HeaderAndQuery);
        names && is_named && !(row.looks == Looks::AtHeader && has_token_in_query)
    }

    /// Whether the query names another account.
    pub(super) fn names_another(&self) -> bool {
        let in_path = self.row.target.is_some();
        self.target == if in_path { Target::Named } else { Target::Foreign }
    }

    /// Whether the request, if it succeeds, may change another account.
    pub(super) fn gets_across(&self) -> bool {
        self.row.who == PROJECT || (self.names_another() && self.row.names == Some(PROJECT))
    }

    /// Whether the request of this cell is sent. Of several equivalent cells, only one is sent.
    fn is_one_of_its_kind(&self) -> bool {
        let Self { row, form, holder, level, status, .. } = self;
        let is_unread = self.credentials_sent() != 1 || *form == Form::Garbage;
        match form {
            _ if row.looks == Looks::Nowhere => true,
            // Only project admins create such keys, and bound keys are treated alike however they are sent.
            _ if *holder == Holder::BoundKey => {
                (*form, *level) == (Form::Bearer, Level::ProjectAdmin)
            }
            // Without a credential, it makes no difference who the caller is.
            Form::Nothing => {
                (*holder, *level, *status) == (Holder::Session, Level::Admin, Status::Active)
            }
            // The request is refused before anything is read, so the account makes no difference.
            _ if is_unread => matches!(status, Status::Active | Status::Deleted),
            // Holds and suspensions are handled alike however the credential is sent.
            _ if matches!(status, Status::Held | Status::Suspended) => *form == Form::Bearer,
            // A purged account has no credentials left.
            Form::Expired | Form::Revoked => *status != Status::Purged,
            _ => true,
        }
    }

    /// Returns the number of credentials in the request, without those in places that the route does not read.
    fn credentials_sent(&self) -> usize {
        let (in_header, in_query) = match self.form {
            Form::Nothing => (0, 0),
            Form::Bearer | Form::Expired | Form::Revoked | Form::Garbage => (1, 0),
            Form::QueryToken | Form::QueryAccesskey => (0, 1),
            Form::TwoHeaders => (2, 0),
            Form::HeaderAndQuery => (1, 1),
            Form::TwoInQuery => (0, 2),
        };
        if self.row.looks == Looks::Everywhere { in_header + in_query } else { in_header }
    }

    fn target_outcome(&self) -> Outcome {
        let held = self.row.held.filter(|_| self.status == Status::Held);
        match self.target {
            Target::Malformed => BAD_ID,
            Target::Foreign | Target::Missing | Target::Deleted if self.row.state_first => {
                held.unwrap_or_else(|| self.item_outcome())
            }
            Target::Own => held.unwrap_or(self.row.own),
            _ => self.item_outcome(),
        }
    }

    fn item_outcome(&self) -> Outcome {
        match self.target {
            Target::Own => self.row.own,
            Target::Foreign => self.row.foreign,
            Target::Named => self.row.named,
            Target::Deleted => self.row.deleted,
            Target::Missing => self.row.missing,
            Target::Malformed => BAD_ID,
        }
    }

    /// Whether the request is refused because its credential is expired or revoked, or its account suspended, frozen or
    /// deleted.
    pub(super) fn is_over(&self) -> bool {
        let over = matches!(self.form, Form::Expired | Form::Revoked);
        let gone = !matches!(self.status, Status::Initial | Status::Active | Status::Held);
        self.expected() != OK && (over || (gone && self.form == Form::Bearer))
    }
}
