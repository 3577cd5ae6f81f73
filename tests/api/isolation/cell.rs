//! Cells, and the answer that each must get.

use std::fmt;

use super::rows::{
    AMBIGUOUS, BAD_ID, CUSTOMER, DENIED, IS_FROZEN, Looks, NO_CREDENTIALS, NOT_VALID, OK, ONESELF,
    Outcome, PROJECT, Row,
};

/// What an agent, and the keys of its account, may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Agent,
    Manager,
    Admin,
    ProjectAdmin,
}

/// The status of the caller's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    Initial,
    Active,
    Frozen,
    /// Not yet purged: all it owned is still there.
    Deleted,
    Purged,
}

/// Whose credential it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    Session,
    AccessKey,
}

/// How the credential comes, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// Not at all: nobody calls.
    Nothing,
    Bearer,
    QueryToken,
    QueryAccesskey,
    /// Its time is over, but it is still there.
    Expired,
    Revoked,
    /// Its checksum is wrong.
    Garbage,
    TwoHeaders,
    HeaderAndQuery,
    TwoInQuery,
}

/// What is called upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Own,
    Foreign,
    /// Another account's, which the query names.
    Named,
    Missing,
    Deleted,
    /// A foreign id, spelled otherwise.
    Malformed,
}

impl Level {
    pub(super) const ALL: &[Self] = &[Self::Agent, Self::Manager, Self::Admin, Self::ProjectAdmin];

    /// The permission bits, as design.md numbers them.
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
    pub(super) const ALL: &[Self] =
        &[Self::Initial, Self::Active, Self::Frozen, Self::Deleted, Self::Purged];
}

/// One question.
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

/// Every cell of a row. The account that calls changes from each to the next.
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
        // A credential that nobody looks at can be anything.
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
        _ => &[Holder::Session, Holder::AccessKey],
    }
}

impl Cell {
    /// The answer that it must get.
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
        let (who, asked) = match holder {
            Holder::Session => (row.who, row.session),
            Holder::AccessKey => (row.who_by_key.unwrap_or(row.who), row.key),
        };
        match () {
            () if !row.lets_in.contains(status) => IS_FROZEN,
            () if !who.contains(level) => DENIED,
            () if self.names_another() && !row.names.contains(level) => DENIED,
            () if asked != OK => asked,
            () if !works_in.contains(status) => otherwise,
            () => self.target_outcome(),
        }
    }

    /// Whether the query names another account.
    pub(super) fn names_another(&self) -> bool {
        let in_path = self.row.target.is_some();
        self.target == if in_path { Target::Named } else { Target::Foreign }
    }

    /// Whether it is done to another account if it succeeds.
    pub(super) fn gets_across(&self) -> bool {
        self.row.who == PROJECT || (self.names_another() && self.row.names == PROJECT)
    }

    /// Whether no other cell stands for this one too.
    fn is_one_of_its_kind(&self) -> bool {
        let Self { row, form, holder, level, status, .. } = self;
        let is_unread = self.credentials_sent() != 1 || *form == Form::Garbage;
        match form {
            _ if row.looks == Looks::Nowhere => true,
            // Without a credential all callers are one.
            Form::Nothing => {
                (*holder, *level, *status) == (Holder::Session, Level::Admin, Status::Active)
            }
            // What is refused before anything is read is so whatever there is to read.
            _ if is_unread => matches!(status, Status::Active | Status::Deleted),
            // Of a purged account neither is left.
            Form::Expired | Form::Revoked => *status != Status::Purged,
            _ => true,
        }
    }

    /// How many credentials the route sees.
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
        match self.target {
            Target::Own => self.row.own,
            Target::Foreign => self.row.foreign,
            Target::Named => self.row.named,
            Target::Deleted => self.row.deleted,
            Target::Missing => self.row.missing,
            Target::Malformed => BAD_ID,
        }
    }

    /// Whether what it is refused for lasts: a credential or an account whose time is over.
    pub(super) fn is_over(&self) -> bool {
        let over = matches!(self.form, Form::Expired | Form::Revoked);
        let gone = !matches!(self.status, Status::Initial | Status::Active);
        self.expected() != OK && (over || (gone && self.form == Form::Bearer))
    }
}
