//! Static files of the account pages.

use std::time::Duration;

/// Content security policy of pages: they load files and call the API of this origin only, have nothing inline, and are
/// not embedded.
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

    /// A style sheet, which caches may keep for a short time.
    #[must_use]
    pub const fn style(text: &'static str) -> Self {
        Self { content_type: "text/css; charset=utf-8", max_age: Some(FRESH), text }
    }

    /// A script, which caches keep as long as a style sheet.
    #[must_use]
    pub const fn script(text: &'static str) -> Self {
        Self { content_type: "text/javascript; charset=utf-8", max_age: Some(FRESH), text }
    }
}
