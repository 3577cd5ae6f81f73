use crate::{refusal, request};

/// Checks the header `Idempotency-Key`: an accepted key is within its limits, and is the same with and without quotes.
pub fn idempotency_key(bytes: &[u8]) {
    let Some(request) = request::with_headers(&[("idempotency-key", bytes)]) else { return };
    let key = match request.idempotency_key() {
        Ok(key) => key.unwrap(),
        Err(error) => return refusal::check_field(&error, &["Idempotency-Key"]),
    };
    let key = key.expose();
    assert!((1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
    let quoted = format!("\"{}\"", key.replace('\\', r"\\").replace('"', "\\\""));
    let again = request::with_headers(&[("idempotency-key", quoted.as_bytes())]).unwrap();
    assert_eq!(again.idempotency_key().unwrap().unwrap().expose(), key);
}
