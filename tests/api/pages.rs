//! The web pages: those for account owners, which links in mail open, and the operators' console.

use std::collections::BTreeSet;

use data_encoding::{BASE64, HEXLOWER};
use serde_json::json;
use shared::domain::digest::sha256;

use crate::harness::{Answer, Tenure, mailing_with, options_with};

pub(crate) const PAGES: [&str; 5] =
    ["/account", "/account/delete", "/account/unregister", "/account/verify", "/account/reset"];
pub(crate) const FILES: [&str; 4] =
    ["/account/script.js", "/account/account.js", "/account/receipt.js", "/account/timeline.js"];

/// Maximum size in bytes of all account pages and their scripts together, with the shared style counted once:
/// small enough to load within a second over a slow connection.
const MAX_BYTES: usize = 60_000;

const SCRIPTS: [&str; 10] = [
    "app.js",
    "api.js",
    "dom.js",
    "acts.js",
    "lists.js",
    "account.js",
    "erasure.js",
    "clock.js",
    "receipt.js",
    "timeline.js",
];

/// Maximum size in bytes of the console and all its scripts together.
const CONSOLE_MAX_BYTES: usize = 61_440;

async fn get(tenure: &Tenure, path: &str) -> Answer {
    let answer = tenure.send(tenure.request("GET", path)).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer
}

/// Returns the values that an attribute has in an HTML text.
fn attributes<'a>(html: &'a str, name: &str) -> BTreeSet<&'a str> {
    let beginning = format!(" {name}=\"");
    let quoted = html.split(beginning.as_str()).skip(1);
    quoted.map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Returns the inline style of an HTML text; `None` if it has none.
fn style_in(text: &str) -> Option<&str> {
    text.split("<style>").nth(1)?.split("</style>").next()
}

/// Returns the `style-src` directive that a page's Content Security Policy must have: the hash of its inline
/// style or, without one, `'self'`.
fn style_source(text: &str) -> String {
    let hash = |style: &str| {
        let digest = HEXLOWER.decode(sha256(style).as_bytes()).unwrap();
        format!("'sha256-{}'", BASE64.encode(&digest))
    };
    format!("style-src {}", style_in(text).map_or("'self'".to_owned(), hash))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_load_their_own_files_and_nothing_else() {
    let tenure = Tenure::start().await;
    let mut bytes = style_in(&get(&tenure, PAGES[0]).await.text).unwrap().len();
    for path in PAGES.into_iter().chain(FILES) {
        let Answer { headers, text, .. } = get(&tenure, path).await;
        bytes += text.len() - style_in(&text).map_or(0, str::len);
        // The URL that names the SVG namespace is never requested.
        let others = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!others.contains("://"), "{path} names another host");
        let policy = headers["content-security-policy"].to_str().unwrap();
        let directives: BTreeSet<_> = policy.split("; ").collect();
        let style = style_source(&text);
        let mut expected = BTreeSet::from([
            "default-src 'none'",
            style.as_str(),
            "script-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]);
        if PAGES.contains(&path) {
            expected.extend(["require-trusted-types-for 'script'", "trusted-types 'none'"]);
        }
        assert_eq!(directives, expected);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert!(!headers.contains_key("set-cookie"));
    }
    assert!(bytes <= MAX_BYTES, "{bytes}");
    for path in PAGES {
        let Answer { headers, text, .. } = get(&tenure, path).await;
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        let loaded: BTreeSet<_> =
            attributes(&text, "src").union(&attributes(&text, "href")).copied().collect();
        let own = |file: &&&str| FILES.contains(*file) || PAGES.contains(*file);
        assert_eq!(loaded.iter().filter(own).count(), loaded.len(), "{path}: {loaded:?}");
        // The policy would refuse what is inline, but for the one style.
        assert!(text.matches("<style").count() == 1 && !text.contains(" style="), "{path}");
        assert!(!text.contains("{{"), "{path}");
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
        for part in ["<html lang=\"en\">", "<title>", "<h1", "<noscript>", "role=\"alert\""] {
            assert!(text.contains(part), "{path}: {part}");
        }
        let (labelled, ids) = (attributes(&text, "for"), attributes(&text, "id"));
        for input in text.split("<input ").skip(1) {
            let input = input.split('>').next().unwrap();
            // Checkboxes and radio buttons are inside their labels.
            if input.contains("checkbox") || input.contains("radio") {
                continue;
            }
            let id = attributes(&format!(" {input}"), "id").first().map(|id| (*id).to_owned());
            let id = id.unwrap();
            assert!(labelled.contains(id.as_str()), "{path}: {id}");
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
    assert_eq!(page["invocations"], PAGES.len() + FILES.len(), "{page}");
    assert_eq!(page["dynamodb"]["calls"], json!({}), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mail_there_are_no_pages() {
    let tenure = Tenure::start_with(options_with("MailFrom", "")).await;
    for path in PAGES.into_iter().chain(FILES) {
        let answer = tenure.send(tenure.request("GET", path)).await;
        assert_eq!(answer.refused(403), "MAIL_DISABLED", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_name_the_app_and_say_what_is_deleted_and_kept_and_how_long() {
    let parameters = [
        ("AppName", "Acme & <Phones>"),
        ("DeveloperName", "Acme \"Ltd\""),
        ("SupportUrl", "mailto:help@example.com"),
        ("GraceDays", "14"),
        ("EventRetentionDays", "77"),
    ];
    let tenure = Tenure::start_with(mailing_with(parameters)).await;
    let text = get(&tenure, "/account/delete").await.text;
    assert!(text.contains("Acme &amp; &lt;Phones&gt;") && !text.contains("<Phones>"), "{text}");
    for part in [
        "Acme &quot;Ltd&quot;",
        "<a href=\"mailto:help@example.com\"",
        "after 14 days",
        "after 77 days",
        "35 days",
        "<li>access keys</li>",
        "<li>e-mail address</li>",
        "signed receipts</li>",
        "<a href=\"/account\">",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (way, data) = (text.find("<ol>").unwrap(), text.find("What becomes of").unwrap());
    assert!(way < data, "the way to delete an account comes first");
    let account = get(&tenure, "/account").await.text;
    for part in [
        "data-grace-days=\"14\"",
        "data-backup-days=\"35\"",
        "data-reminder-days=\"7 1\"",
        "data-kinds=\"agents accesskeys numbers ",
    ] {
        assert!(account.contains(part), "{part}");
    }
}

/// Returns the paths of the console's scripts.
fn console_files() -> impl Iterator<Item = String> {
    SCRIPTS.iter().map(|script| format!("/console/{script}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn console_loads_its_own_scripts_and_has_its_style_in_it() {
    let tenure = Tenure::start().await;
    let Answer { headers, text, .. } = get(&tenure, "/console").await;
    let expected = format!(
        "default-src 'none'; {}; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        style_source(&text)
    );
    assert_eq!(headers["content-security-policy"], expected.as_str());
    assert!(text.contains("<style>") && !text.contains("<link rel=\"stylesheet\""));
    assert_eq!(headers["cache-control"], "no-store");
    assert!(!headers.contains_key("set-cookie"));
    let loaded = attributes(&text, "src").into_iter().chain(attributes(&text, "href"));
    let loaded: BTreeSet<_> =
        loaded.filter(|file| !file.starts_with('#')).map(|file| format!("/{file}")).collect();
    assert_eq!(loaded, console_files().collect());
    assert_eq!(text.matches("<script").count(), 1);
    assert!(!text.contains(" style="));
    let mut size = text.len();
    for file in console_files() {
        let Answer { headers, text, .. } = get(&tenure, &file).await;
        assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
        assert_eq!(headers["cache-control"], "public, max-age=300");
        assert!(!text.contains("localStorage") && !text.contains("sessionStorage"), "{file}");
        assert!(!text.contains("document.cookie") && !text.contains("innerHTML"), "{file}");
        let others = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!others.contains("://"), "{file} names another host");
        size += text.len();
    }
    assert!(size <= CONSOLE_MAX_BYTES, "{size}");
    let unknown = tenure.send(tenure.request("GET", "/console/other.js")).await;
    assert_eq!(unknown.refused(404), "ROUTE_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_console_enabled_there_is_no_console() {
    let tenure = Tenure::start_with(options_with("ConsoleEnabled", "false")).await;
    for path in console_files().chain(["/console".to_owned()]) {
        let answer = tenure.send(tenure.request("GET", &path)).await;
        assert_eq!(answer.refused(404), "ROUTE_NOT_FOUND", "{path}");
    }
}
