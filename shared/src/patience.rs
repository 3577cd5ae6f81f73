//! Retry limits: a call that conflicts with other writers or is throttled is retried until shortly before the
//! deadline of its request.
//!
//! While a transaction writes an item, DynamoDB refuses all other writes of the item, and their writers have
//! to retry. The longest pause between tries grows from 25 ms to 200 ms, so that few writers try at the same
//! moment. It shrinks again with the age of the request, to 25 ms after three seconds, so that those who have
//! waited longest try most often and succeed first. Changes of an account itself (freeze, delete, hold …) are
//! rare and must not be starved by the many other writers of the account's item: they retry eagerly, that is,
//! they never pause for more than 5 ms. `infra/decisions/0038-retry-conflicts-until-the-deadline.md` has the
//! figures.

use std::time::Duration;

use tokio::time::Instant;

/// Maximum pause before the second try, and before every further try of a request that is older than
/// [`AGED`].
const SHORT: Duration = Duration::from_millis(25);

/// Maximum pause before any try.
const LONG: Duration = Duration::from_millis(200);

/// Age of a request from which its pauses are at most [`SHORT`] again.
const AGED: Duration = Duration::from_secs(3);

/// Maximum pause of eager retries, which are for changes of an account itself.
const EAGER: Duration = Duration::from_millis(5);

/// Time before a request's deadline in which no more retries begin: it is reserved for the last try and the
/// response.
const MARGIN: Duration = Duration::from_millis(500);

/// How long calls that do not belong to a [request](scope) are retried, such as those of the purge.
const DEFAULT: Duration = Duration::from_secs(5);

tokio::task_local! {
    static REQUEST: Span;
}

#[derive(Clone, Copy, Debug)]
struct Span {
    began: Instant,
    ends: Instant,
}

impl Span {
    fn of(duration: Duration) -> Self {
        let began = Instant::now();
        Self { began, ends: began + duration }
    }
}

/// Runs `request`, which must be answered within `left`. Calls that it makes are retried until shortly before
/// that time is over.
pub async fn scope<T>(left: Duration, request: impl Future<Output = T>) -> T {
    REQUEST.scope(Span::of(left.saturating_sub(MARGIN)), request).await
}

/// The tries of one operation: how many have failed, and until when it is retried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tries {
    span: Span,
    made: u32,
    is_eager: bool,
}

impl Tries {
    /// Starts retries that last until the request's deadline, with pauses that leave room for other writers.
    pub(crate) fn new() -> Self {
        let span = REQUEST.try_with(|span| *span).unwrap_or_else(|_| Span::of(DEFAULT));
        Self { span, made: 0, is_eager: false }
    }

    /// Starts retries that last until the request's deadline, with pauses of at most [`EAGER`].
    pub(crate) fn eager() -> Self {
        Self { is_eager: true, ..Self::new() }
    }

    /// Number of tries that have failed.
    pub(crate) const fn failed(&self) -> u32 {
        self.made
    }

    /// Counts a failed try without pausing. Returns whether there is time for another.
    pub(crate) fn again(&mut self) -> bool {
        self.made += 1;
        Instant::now() < self.span.ends
    }

    /// Counts a failed try and pauses. Returns whether there is time for another.
    pub(crate) async fn pause(&mut self) -> bool {
        self.made += 1;
        let now = Instant::now();
        let pause = jitter(self.longest_pause(now));
        if now + pause >= self.span.ends {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }

    fn longest_pause(&self, now: Instant) -> Duration {
        if self.is_eager {
            return EAGER;
        }
        let age = now - self.span.began;
        let grown = SHORT * 2_u32.saturating_pow(self.made.saturating_sub(1)).min(8);
        let aged = LONG.mul_f64(1.0 - (age.as_secs_f64() / AGED.as_secs_f64()).min(1.0));
        grown.min(aged).max(SHORT)
    }
}

/// Returns a random duration up to `longest` (full jitter), so that writers refused together do not come back
/// together.
fn jitter(longest: Duration) -> Duration {
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte);
    longest * u32::from(byte[0]) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(tries: &Tries, age_ms: u64) -> u128 {
        tries.longest_pause(tries.span.began + Duration::from_millis(age_ms)).as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_with_tries_and_shrink_with_age() {
        let after = |made| Tries { made, ..Tries::new() };
        assert_eq!([1, 2, 3, 4, 9].map(|made| longest(&after(made), 0)), [25, 50, 100, 200, 200]);
        assert_eq!(
            [750, 1_500, 3_000, 60_000].map(|age| longest(&after(9), age)),
            [150, 100, 25, 25]
        );
        assert_eq!(longest(&Tries { made: 9, ..Tries::eager() }, 0), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_have_full_jitter() {
        let mut paused = Vec::new();
        for _ in 0..64 {
            let (began, mut tries) = (Instant::now(), Tries { made: 3, ..Tries::new() });
            assert!(tries.pause().await);
            paused.push(began.elapsed().as_millis());
        }
        let (least, most) = (paused.iter().min(), paused.iter().max());
        assert!(least < Some(&50) && (Some(&150)..=Some(&201)).contains(&most), "{paused:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn tries_end_before_the_deadline() {
        for (eager, most) in [(false, 200), (true, 5)] {
            let (tried_for, tries) = scope(Duration::from_secs(9), async {
                let began = Instant::now();
                let mut tries = if eager { Tries::eager() } else { Tries::new() };
                while tries.pause().await {}
                (began.elapsed().as_millis(), tries.failed())
            })
            .await;
            assert!((8_500 - most..=8_501).contains(&tried_for), "{tried_for}");
            assert!(tries > 40, "{tries}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_shares_the_deadline_of_its_request() {
        scope(Duration::from_secs(2), async {
            assert!(Tries::new().again());
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(!Tries::new().again());
        })
        .await;
        assert!(Tries::new().again());
    }
}
