//! The pages that links in mail open.

use std::collections::BTreeSet;

use crate::harness::{Answer, Tenure, options_with};

const PAGES: [&str; 2] = ["/account/verify", "/account/reset"];
const FILES: [&str; 2] = ["/account/style.css", "/account/script.js"];

/// A page loads over a slow connection within a second.
const MAX_BYTES: usize = 8_192;

async fn get(tenure: &Tenure, path: &str) -> Answer {
    let answer = tenure.send(tenure.request("GET", path)).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer
}

/// Returns the values of an attribute in HTML.
fn attributes<'a>(html: &'a str, name: &str) -> BTreeSet<&'a str> {
    let beginning = format!(" {name}=\"");
    let quoted = html.split(beginning.as_str()).skip(1);
    quoted.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_load_their_own_files_and_nothing_else() {
    let tenure = Tenure::start().await;
    for path in PAGES.into_iter().chain(FILES) {
        let Answer { headers, text, .. } = get(&tenure, path).await;
        assert!(text.len() <= MAX_BYTES, "{path}: {}", text.len());
        assert!(!text.contains("://"), "{path} names another host");
        let policy = headers["content-security-policy"].to_str().unwrap();
        let directives: BTreeSet<_> = policy.split("; ").collect();
        let expected = [
            "default-src 'none'",
            "style-src 'self'",
            "script-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ];
        assert_eq!(directives, expected.into());
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert!(!headers.contains_key("set-cookie"));
    }
    for path in PAGES {
        let Answer { headers, text, .. } = get(&tenure, path).await;
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        let loaded: BTreeSet<_> =
            attributes(&text, "src").union(&attributes(&text, "href")).copied().collect();
        assert_eq!(loaded, ["style.css", "script.js"].into());
        // The policy would refuse what is inline.
        assert!(!text.contains("<style") && !text.contains(" style="), "{path}");
        let names = text.split("=\"").filter_map(|before| before.rsplit(' ').next());
        assert!(!names.clone().any(|name| name.starts_with("on")), "{path}");
        assert_eq!(text.matches("<script").count(), 1);
    }
    for path in FILES {
        assert_eq!(get(&tenure, path).await.headers["cache-control"], "public, max-age=300");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_can_be_used_by_screen_readers_and_without_script() {
    let tenure = Tenure::start().await;
    for path in PAGES {
        let text = get(&tenure, path).await.text;
        for part in ["<html lang=\"en\">", "<title>", "<h1>", "<noscript>", "role=\"alert\""] {
            assert!(text.contains(part), "{path}: {part}");
        }
        let (labelled, ids) = (attributes(&text, "for"), attributes(&text, "id"));
        for input in text.split("<input ").skip(1) {
            let input = input.split('>').next().unwrap();
            let id = attributes(&format!(" {input}"), "id").first().map(|id| (*id).to_owned());
            let id = id.unwrap();
            // The checkbox is inside its label.
            assert!(labelled.contains(id.as_str()) || input.contains("checkbox"), "{path}: {id}");
        }
        for described in attributes(&text, "aria-describedby") {
            for id in described.split(' ') {
                assert!(ids.contains(id), "{path}: {id}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn getting_a_page_calls_no_table() {
    let tenure = Tenure::start().await;
    tenure.stack.reset_stats();
    for path in PAGES.into_iter().chain(FILES) {
        get(&tenure, path).await;
    }
    let stats = tenure.stack.stats();
    let page = &stats["functions"]["AccountPageFunction"];
    assert_eq!(page["invocations"], 4, "{page}");
    assert_eq!(page["dynamodb"]["calls"], serde_json::json!({}), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mail_there_are_no_pages() {
    let tenure = Tenure::start_with(options_with("MailFrom", "")).await;
    for path in PAGES.into_iter().chain(FILES) {
        let answer = tenure.send(tenure.request("GET", path)).await;
        assert_eq!(answer.refused(403), "MAIL_DISABLED", "{path}");
    }
}
