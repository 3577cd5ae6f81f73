use pure::domain::find::Filter;
use pure::domain::{Customer, Error, Id, Timestamp};
use pure::http::{Accepts, CUSTOMER_QUERY, PAGE_OF_ACCOUNT, PAGE_OF_EVENTS, Request};

use crate::address::check_email;
use crate::{refusal, request};

/// Checks the query of a list: of accounts, of events, of what an account owns.
pub fn query(bytes: &[u8]) {
    let Ok(query) = std::str::from_utf8(bytes) else { return };
    check_query(query, CUSTOMER_QUERY, |request| {
        let (filter, page) = request.page_of_filter()?;
        assert!((1..=100).contains(&page.size));
        check_filter(&filter);
        if let Some(cursor) = page.cursor(|token| filter.cursor(token))? {
            assert_eq!(Some(filter.token(&cursor).as_str()), page.token);
        }
        Ok(())
    });
    check_query(query, PAGE_OF_EVENTS, |request| {
        let query = request.event_query()?;
        assert!((1..=100).contains(&query.size));
        let sent = request.parameter("type");
        assert_eq!(query.event_type.map(|one| one.name().to_owned()), sent.map(str::to_owned));
        Ok(())
    });
    check_query(query, PAGE_OF_ACCOUNT, |request| {
        let own: Id<Customer> = Id::new(Timestamp::MAX, [1; 10]);
        let named = request.account(own)?;
        assert!(named == own || request.names_account());
        assert!(request.page()?.token.is_none_or(|token| !token.is_empty()));
        Ok(())
    });
}

/// Parses a query with `read`, as a route that accepts these `parameters` does. If the query is refused, the error must
/// name one of them, or the unknown parameter.
fn check_query(
    query: &str,
    parameters: &'static [&'static str],
    read: impl Fn(&Request) -> Result<(), Error>,
) {
    let accepts = Accepts { query: parameters, ..Accepts::default() };
    let Some(request) = request::with_query(query, accepts) else { return };
    assert!(request.whole().starts_with("GET /v1.0/customers?"));
    match request.require_accepted() {
        Err(Error::UnknownParameter { name, accepted }) => {
            assert!((1..=64).contains(&name.chars().count()));
            assert_eq!(accepted, parameters);
        }
        Err(error) => refusal::check_field(&error, parameters),
        Ok(()) => {
            if let Err(error) = read(&request) {
                refusal::check_field(&error, parameters);
            }
        }
    }
}

/// Checks that the values of a filter are within their limits.
fn check_filter(filter: &Filter) {
    match filter {
        Filter::Created { after: Some(after), before: Some(before), .. } => {
            assert!(after < before);
        }
        Filter::Named(prefix) => {
            assert!((1..=192).contains(&prefix.expose().chars().count()));
        }
        Filter::Email(email) => {
            assert!(email.canonical().is_some());
            check_email(email, email.expose());
        }
        _ => {}
    }
}
