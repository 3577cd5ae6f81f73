//! Query parameters and headers that a route accepts. They are declared once, for the check, its error
//! message and the API description.

use crate::domain::Error;

pub(super) const PAGE_SIZE: &str = "page_size";
pub(super) const PAGE_TOKEN: &str = "page_token";
pub(super) const CUSTOMER_ID: &str = "customer_id";
pub(super) const TYPE: &str = "type";
pub(super) const AGENT_ID: &str = "agent_id";

/// Query parameters of a list: page size and page token.
pub const PAGE: &[&str] = &[PAGE_SIZE, PAGE_TOKEN];
/// Query parameters of a list of what an account owns: page size, page token and, for project admins, the
/// account.
pub const PAGE_OF_ACCOUNT: &[&str] = &[PAGE_SIZE, PAGE_TOKEN, CUSTOMER_ID];
/// Query parameters of a list of events: page size, page token and event type.
pub const PAGE_OF_EVENTS: &[&str] = &[PAGE_SIZE, PAGE_TOKEN, TYPE];
/// Query parameter by which an admin names the agent that a request is about.
pub const AGENT: &[&str] = &[AGENT_ID];
/// Query parameter by which a project admin names the account that a request is about.
pub const ACCOUNT: &[&str] = &[CUSTOMER_ID];

/// Query parameters and preconditions that a route accepts. A request with any other is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accepts {
    /// Names of the query parameters.
    pub query: &'static [&'static str],
    /// Whether the route evaluates `If-Match` and `If-None-Match`.
    pub preconditions: bool,
}

impl Accepts {
    /// Refuses an unknown query parameter, and one that is sent twice.
    pub(super) fn check_query(self, query: &[(String, String)]) -> Result<(), Error> {
        for (position, (name, _)) in query.iter().enumerate() {
            if !self.query.contains(&name.as_str()) {
                return Err(Error::UnknownParameter { name: echo(name), accepted: self.query });
            }
            if query[..position].iter().any(|(earlier, _)| earlier == name) {
                return Err(Error::RepeatedParameter(echo(name)));
            }
        }
        Ok(())
    }
}

/// Returns the name of a parameter or field for an error message: its first 64 characters, or two quotation
/// marks for an empty name.
pub(super) fn echo(name: &str) -> String {
    if name.is_empty() { "\"\"".to_owned() } else { name.chars().take(64).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns, as text, the error for a query with these parameters; empty if they are accepted.
    fn wrong(names: &[&str]) -> String {
        let accepts = Accepts { query: PAGE, preconditions: false };
        let query: Vec<_> = names.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect();
        match accepts.check_query(&query) {
            Ok(()) => String::new(),
            Err(Error::UnknownParameter { name, accepted }) => {
                format!("unknown: {name}; accepted: {}", accepted.join(", "))
            }
            Err(Error::RepeatedParameter(name)) => format!("repeated: {name}"),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn each_parameter_is_accepted_once_and_no_other_is() {
        for (names, problem) in [
            (&[][..], ""),
            (&["page_size"], ""),
            (&["page_token", "page_size"], ""),
            (&["page_size", "page_token", "page_size"], "repeated: page_size"),
            (&["page_size", "type"], "unknown: type; accepted: page_size, page_token"),
            (&["Page_size"], "unknown: Page_size; accepted: page_size, page_token"),
            (&[""], "unknown: \"\"; accepted: page_size, page_token"),
        ] {
            assert_eq!(wrong(names), problem, "{names:?}");
        }
    }

    #[test]
    fn an_answer_repeats_64_characters_of_a_name() {
        for (length, repeated) in [(64, 64), (65, 64)] {
            assert_eq!(echo(&"é".repeat(length)), "é".repeat(repeated));
        }
    }
}
