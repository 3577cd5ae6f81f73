use pure::domain::username::LoginKey;
use pure::domain::{Credential, Error, Id, PlainToken};
use uuid::Uuid;

use crate::{refusal, request};

/// Checks the header `Authorization` and the token in it, and valid tokens that are made of the same bytes.
pub fn authorization(bytes: &[u8]) {
    if let Some(request) = request::with_headers(&[("authorization", bytes)]) {
        match request.token() {
            Ok(token) => {
                assert!(!token.contains(',') && token.trim() == token);
                if Credential::parse(token).is_some() {
                    check_spelling(token);
                }
            }
            Err(error) => {
                refusal::check(&error);
                let is_known = matches!(
                    error,
                    Error::AuthenticationRequired
                        | Error::UnsupportedScheme
                        | Error::AmbiguousCredentials
                );
                assert!(is_known, "{error:?}");
            }
        }
    }
    if let Some((content, [position, byte])) = bytes.split_last_chunk() {
        check_tokens(content, usize::from(*position), *byte);
    }
}

/// Builds a token from `content`, and checks that parsing it returns the ids and secret that it was built from, and
/// that it is refused if `byte` replaces the character at `position`.
fn check_tokens(content: &[u8], position: usize, byte: u8) {
    let Some((secret, content)) = content.split_first_chunk::<32>() else { return };
    let Some((names, _)) = content.split_first_chunk::<48>() else { return };
    let [customer, agent, third] = numbers(names);
    let session = PlainToken::session(id(customer), id(agent), LoginKey(third), *secret);
    let Some(Credential::Session { customer: one, agent: other, login, session: found }) =
        Credential::parse(session.expose())
    else {
        panic!("refused")
    };
    assert_eq!((one, other, login), (id(customer), id(agent), LoginKey(third)));
    assert_eq!(found, session.session_id());
    let key = PlainToken::access_key(id(customer), id(agent), id(third), *secret);
    let Some(Credential::AccessKey { customer: one, agent: other, key: found, hash }) =
        Credential::parse(key.expose())
    else {
        panic!("refused")
    };
    assert_eq!((one, other, found), (id(customer), id(agent), id(third)));
    assert_eq!(hash, key.hash());
    for token in [session.expose(), key.expose()] {
        check_spelling(token);
        let mut changed = token.as_bytes().to_vec();
        let position = position % changed.len();
        if byte.is_ascii() && changed[position] != byte {
            changed[position] = byte;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(Credential::parse(&changed), None, "{token} {changed}");
        }
    }
}

/// Checks that a token has letters and digits only, and a fixed length: there is no second spelling.
fn check_spelling(token: &str) {
    let digits = token.strip_prefix("vbs_").or_else(|| token.strip_prefix("vb_")).unwrap();
    assert_eq!(digits.len(), 5 * 22 + 6);
    assert!(digits.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{token}");
}

fn id<T>(number: u128) -> Id<T> {
    Id::from_uuid(Uuid::from_u128(number))
}

fn numbers(bytes: &[u8; 48]) -> [u128; 3] {
    let mut numbers = [0; 3];
    for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<16>().0) {
        *number = u128::from_be_bytes(*bytes);
    }
    numbers
}
