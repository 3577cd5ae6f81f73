//! Optimistic retry: decide on an item as it was read, write on the condition that it is unchanged, and on a conflict
//! do both again.

use crate::domain::Error;
use crate::patience::Tries;

/// Result of a write on the condition that the item is unchanged since it was read.
#[derive(Debug)]
pub enum Update<T> {
    /// The item was written.
    Written,
    /// Another writer came first. Holds the item as it is now.
    Outdated(Box<T>),
}

/// Changes `current` optimistically: `change` decides on it and writes. If another writer came first,
/// `change` is called again with the item as it is now, until the request's deadline. Returns the result of
/// the call whose write succeeds.
///
/// Each conflict means that another writer has succeeded, so there is no pause, and no limit but the
/// deadline: a client that writes incessantly must not keep an account from being frozen or deleted.
pub async fn revise<T, R, F>(mut current: T, change: impl Fn(T) -> F) -> Result<R, Error>
where
    F: Future<Output = Result<(Update<T>, R), Error>>,
{
    let mut tries = Tries::new();
    loop {
        match change(current).await? {
            (Update::Written, result) => return Ok(result),
            (Update::Outdated(newer), _) if tries.again() => current = *newer,
            (Update::Outdated(_), _) => {
                return Err(Error::Unavailable("the item changes too often".to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::patience;

    #[tokio::test]
    async fn decides_again_after_a_conflict() {
        let changed = revise(1, |current| async move {
            let update =
                if current < 4 { Update::Outdated(Box::new(current + 1)) } else { Update::Written };
            Ok((update, current * 10))
        });
        assert_eq!(changed.await.unwrap(), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_at_the_deadline_of_the_request() {
        let endless = revise((), |()| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok((Update::Outdated(Box::new(())), ()))
        });
        let result = patience::scope(Duration::from_secs(3), endless).await;
        assert!(matches!(result, Err(Error::Unavailable(_))));
    }

    #[tokio::test]
    async fn ends_with_the_error_of_the_change() {
        let refused = revise((), |()| async { Err::<(Update<()>, ()), _>(Error::LastAdmin) });
        assert!(matches!(refused.await, Err(Error::LastAdmin)));
    }
}
