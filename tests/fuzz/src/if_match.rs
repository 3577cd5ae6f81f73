use pure::domain::{Customer, Error, Id, Timestamp};
use pure::http::Reply;
use pure::http::view::CustomerView;

use crate::{refusal, request};

/// Checks the headers `If-Match`, with the first line of `bytes` as its value, and `If-None-Match`, with the
/// other lines.
pub fn if_match(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let one = lines.next().unwrap_or_default();
    let other = lines.next().unwrap_or_default();
    let now = Timestamp::from_micros(1_000_000).unwrap();
    let customer = Customer::blank(Id::new(now, [1; 10]), now);
    let tag = tag(&customer);
    check_match(one, &tag, &customer);
    check_none_match(other, &tag, &customer);
}

/// Checks `If-Match`: the precondition holds if and only if the list contains the current entity tag as a strong
/// tag, whatever else it contains.
fn check_match(list: &[u8], tag: &[u8], customer: &Customer) {
    let Some(met) = read("if-match", list, customer) else { return };
    let is_any = list.trim_ascii() == b"*";
    assert!(!met || is_any || holds(list, tag));
    if !is_any {
        let longer = [list, b", ".as_slice(), tag].concat();
        assert_eq!(read("if-match", &longer, customer), Some(true));
        let weak = [list, b", W/".as_slice(), tag].concat();
        assert_eq!(read("if-match", &weak, customer), Some(met), "a weak tag matches nothing");
    }
}

/// Checks `If-None-Match`: a request is refused if and only if the list contains the current entity tag, weak
/// or not.
fn check_none_match(list: &[u8], tag: &[u8], customer: &Customer) {
    let Some(met) = read("if-none-match", list, customer) else { return };
    let is_any = list.trim_ascii() == b"*";
    assert_eq!(met, !is_any && !holds(list, tag));
    for tag in [tag.to_vec(), [b"W/".as_slice(), tag].concat()] {
        let longer = [list, b",".as_slice(), tag.as_slice()].concat();
        let read = read("if-none-match", &longer, customer);
        assert_eq!(read, (!is_any).then_some(false));
    }
}

/// Whether the precondition of this header holds for the account; `None` if the header is malformed, and refused.
fn read(name: &'static str, value: &[u8], customer: &Customer) -> Option<bool> {
    let request = request::with_headers(&[(name, value)])?;
    let conditions = match request.preconditions() {
        Ok(conditions) => conditions,
        Err(error) => {
            refusal::check_field(&error, &["If-Match", "If-None-Match"]);
            return None;
        }
    };
    match conditions.require(&CustomerView::from(customer)) {
        Ok(()) => Some(true),
        Err(Error::EtagMismatch) => Some(false),
        Err(error) => panic!("{error:?}"),
    }
}

/// Returns the entity tag of the account's state, in quotes, as the header `ETag` shows it.
fn tag(customer: &Customer) -> Vec<u8> {
    let response = Reply::state(CustomerView::from(customer)).unwrap();
    let response = response.into_response("", false, &[]);
    response.headers()["etag"].as_bytes().to_vec()
}

fn holds(list: &[u8], tag: &[u8]) -> bool {
    list.windows(tag.len()).any(|window| window == tag)
}
