//! Functions that are killed, and stacks that are restarted.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sam_local::{Data, Options};
use serde_json::json;

use crate::harness::{PASSWORD, Template, Tenure, mailing_with};

#[tokio::test(flavor = "multi_thread")]
async fn killed_function_fails_at_most_one_call() {
    let mark = format!("crash-{}", std::process::id());
    let template = Template::edited(|text| {
        text.replace(
            "        ACCOUNTS_TABLE:",
            &format!("        MARK: {mark}\n        ACCOUNTS_TABLE:"),
        )
    });
    let tenure = Tenure::start_with(template.options()).await;
    let admin = tenure.admin().await;
    let list = async || tenure.call(&admin, "GET", "/v1.0/customers").await;
    list().await.ok();
    for _ in 0..3 {
        let victims = processes(&mark, "customer_list");
        assert!(!victims.is_empty());
        for process in victims {
            // The process may have ended meanwhile.
            let _ = std::process::Command::new("kill").args(["-9", &process]).status();
        }
        let answer = list().await;
        assert!([200, 500].contains(&answer.status), "{}", answer.text);
        list().await.ok();
    }
}

/// Returns the ids of the processes that run `binary` and have `mark` in their environment.
fn processes(mark: &str, binary: &str) -> Vec<String> {
    let entries =
        std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
    let is_ours = |path: &PathBuf| {
        let runs = std::fs::read_link(path.join("exe")).is_ok_and(|exe| exe.ends_with(binary));
        runs && std::fs::read(path.join("environ"))
            .is_ok_and(|env| String::from_utf8_lossy(&env).contains(mark))
    };
    entries
        .filter(is_ours)
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stack_restarts_with_its_data_and_clock() {
    let directory = tempfile::tempdir().unwrap();
    let kept = || Options {
        data: Data::Directory(directory.path().to_owned()),
        ..mailing_with([("SessionIdleHours", "168")])
    };
    let tenure = Tenure::start_with(kept()).await;
    let admin = tenure.admin().await;
    let account = tenure.account(&admin, "test1").await;
    tenure.unregister(&account.token, json!({"password": PASSWORD})).await.ok();
    tenure.advance_days(3).await;
    // Dropped, not stopped: without a clean shutdown.
    drop(tenure);

    let tenure = Tenure::start_with(kept()).await;
    assert_eq!(
        tenure.call(&account.token, "GET", "/v1.0/accesskeys").await.refused(403),
        "ACCOUNT_FROZEN"
    );
    // Killed before the purge can have finished: the next start resumes it.
    let admin = tenure.admin().await;
    tenure.call(&admin, "DELETE", &format!("/v1.0/customers/{}", account.id)).await.ok();
    drop(tenure);

    let tenure = Tenure::start_with(kept()).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while tenure.partition(&account.id).await != ["A"] {
        assert!(Instant::now() < deadline, "the account is not purged");
    }
    assert_eq!(
        tenure.call(&account.token, "GET", "/v1.0/accesskeys").await.refused(401),
        "INVALID_CREDENTIALS"
    );
    tenure.stack.stop().await;
}
