//! How fast passwords may be tried.
//!
//! Five attempts are free. From then on each must wait twice as long as the one before, from 30 s up
//! to one hour, and after a hundred there is no other until a day has passed without any, or a
//! success. The numbers are here; the one atomic update that counts is the store's.

use std::time::Duration;

/// Attempts that need not wait.
pub const FREE_ATTEMPTS: u64 = 5;

/// Attempts after which no other is made until the count is forgotten.
pub const MAX_ATTEMPTS: u64 = 100;

/// What the wait doubles from at each attempt, so that it is 30 s after the fifth.
pub const BASE_DELAY: Duration = Duration::from_millis(1875);

/// No wait is longer.
pub const MAX_DELAY: Duration = Duration::from_hours(1);

/// Attempts are forgotten this long after the last one.
pub const RESET_AFTER: Duration = Duration::from_hours(24);
