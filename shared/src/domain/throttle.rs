//! The login throttle: how fast passwords of a user name can be tried.
//!
//! Five attempts are free. From then on the delay doubles with each attempt, from 30 s up to one hour. After a
//! hundred attempts the user name is locked out until no attempt was made for a day. A success resets the count,
//! which the store updates atomically.

use std::time::Duration;

/// Number of attempts without delay.
pub const FREE_ATTEMPTS: u64 = 5;

/// Number of attempts after which the user name is locked out until the count is reset.
pub const MAX_ATTEMPTS: u64 = 100;

/// Delay that doubles with each attempt, so that it is 30 s after the fifth.
pub const BASE_DELAY: Duration = Duration::from_millis(1875);

/// Maximum delay between attempts.
pub const MAX_DELAY: Duration = Duration::from_hours(1);

/// Time without an attempt after which the count is reset.
pub const RESET_AFTER: Duration = Duration::from_hours(24);
