use std::time::Duration;

use http::{HeaderValue, Response};
use pure::domain::{DeliveryResult, Timestamp};
use pure::retry_after::RetryAfter;

const CAP: Duration = Duration::from_hours(24);

/// Checks the answer of a webhook's receiver: its status is the first two bytes, its header `Retry-After` the rest.
pub fn webhook_answer(bytes: &[u8]) {
    let Some((status, value)) = bytes.split_first_chunk() else { return };
    let status = u16::from_be_bytes(*status) % 1_000;
    let result = DeliveryResult::of_status(status);
    assert_eq!(result == DeliveryResult::Delivered, (200..300).contains(&status));
    assert_eq!(result == DeliveryResult::Gone, status == 410);

    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    let Ok(mut answer) = Response::builder().status(status).body(()) else { return };
    answer.headers_mut().insert("retry-after", value.clone());
    let Some(after) = pure::retry_after(&answer) else { return };
    assert!(status == 429 || status == 503, "{status}");
    let now = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
    let time = after.time(now, CAP);
    assert!(time <= now.plus(CAP));
    let text = value.to_str().unwrap().trim();
    match after {
        RetryAfter::Delay(delay) => {
            assert_eq!(time, now.plus(delay.min(CAP)));
            assert!(text.bytes().all(|byte| byte.is_ascii_digit()));
        }
        RetryAfter::At(_) => assert!(text.contains(':')),
    }
}
