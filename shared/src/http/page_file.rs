//! Files of pages, which are served as they stand.

use std::time::Duration;

/// What a page may load and where it may send to: files of this service alone, and nothing inline. No other page may embed
/// it.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How long caches may keep a page's style and script.
const FRESH: Duration = Duration::from_mins(5);

/// A page, or a file that pages load.
#[derive(Clone, Copy, Debug)]
pub struct PageFile {
    pub(super) content_type: &'static str,
    /// How long caches may keep it; `None` if no cache may.
    pub(super) max_age: Option<Duration>,
    pub(super) text: &'static str,
}

impl PageFile {
    /// An HTML page, which no cache keeps.
    #[must_use]
    pub const fn page(text: &'static str) -> Self {
        Self { content_type: "text/html; charset=utf-8", max_age: None, text }
    }

    /// A style sheet.
    #[must_use]
    pub const fn style(text: &'static str) -> Self {
        Self { content_type: "text/css; charset=utf-8", max_age: Some(FRESH), text }
    }

    /// A script.
    #[must_use]
    pub const fn script(text: &'static str) -> Self {
        Self { content_type: "text/javascript; charset=utf-8", max_age: Some(FRESH), text }
    }
}
