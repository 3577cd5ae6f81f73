//! HTML pages, and the static files that they load.

use std::borrow::Cow;
use std::time::Duration;

use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

/// Content security policy of pages: they load files from and call the API of their own origin only, have no
/// inline scripts or styles, and cannot be embedded in other pages.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Directives of the content security policy that keep scripts from turning text into markup or script
/// (Trusted Types).
const TRUSTED_TYPES: &str = "require-trusted-types-for 'script'; trusted-types 'none'";

/// The tag by which a page links to its style sheet.
const STYLE_LINK: &str = r#"<link rel="stylesheet" href="style.css">"#;

/// How long caches may keep a page's scripts.
const FRESH: Duration = Duration::from_mins(5);

/// A page, or a file that pages load.
#[derive(Clone, Debug)]
pub struct PageFile {
    pub(super) content_type: &'static str,
    /// How long caches may keep the file; `None` if no cache may keep it.
    pub(super) max_age: Option<Duration>,
    pub(super) policy: Cow<'static, str>,
    pub(super) text: Cow<'static, str>,
}

impl PageFile {
    /// Returns an HTML page, which no cache may keep.
    #[must_use]
    pub const fn page(text: &'static str) -> Self {
        Self::of("text/html; charset=utf-8", None, text)
    }

    /// Returns a script, which caches may keep for a short time.
    #[must_use]
    pub const fn script(text: &'static str) -> Self {
        Self::of("text/javascript; charset=utf-8", Some(FRESH), text)
    }

    const fn of(content_type: &'static str, max_age: Option<Duration>, text: &'static str) -> Self {
        let (policy, text) = (Cow::Borrowed(CONTENT_SECURITY_POLICY), Cow::Borrowed(text));
        Self { content_type, max_age, policy, text }
    }

    /// Returns the page with `style` inline instead of the link to the style sheet, so that a browser can
    /// paint the page as soon as it has arrived. The page's policy then allows only this style, by its hash.
    #[must_use]
    pub fn styled(self, style: &str) -> Self {
        let hash = BASE64.encode(&Sha256::digest(style));
        let policy = self.policy.replace("style-src 'self'", &format!("style-src 'sha256-{hash}'"));
        let text = self.text.replace(STYLE_LINK, &format!("<style>{style}</style>"));
        Self { policy: policy.into(), text: text.into(), ..self }
    }

    /// Returns the page with a policy that keeps its scripts from turning text into markup or script.
    #[must_use]
    pub fn with_trusted_types(self) -> Self {
        let policy = format!("{}; {TRUSTED_TYPES}", self.policy);
        Self { policy: policy.into(), ..self }
    }

    /// Returns the page with the placeholder of this name, written `{{ … }}`, replaced by `html`.
    #[must_use]
    pub fn with_part(self, name: &str, html: &str) -> Self {
        let text = self.text.replace(&format!("{{{{ {name} }}}}"), html);
        Self { text: text.into(), ..self }
    }

    /// Returns the page with the placeholder of this name, written `{{ … }}`, replaced by `text`, which is
    /// escaped.
    #[must_use]
    pub fn with_text(self, name: &str, text: &str) -> Self {
        self.with_part(name, &escaped(text))
    }

    /// Returns the page with the placeholder of this name, written `{{ … }}`, replaced by a list item for
    /// each of `rows`.
    #[must_use]
    pub fn with_list(self, name: &str, rows: &[&str]) -> Self {
        let items: Vec<_> = rows.iter().map(|row| format!("<li>{}</li>", escaped(row))).collect();
        self.with_part(name, &items.join("\n"))
    }

    /// Returns the script without comment lines, empty lines and indentation, an eighth less to load. The
    /// script must not contain a string that spans lines.
    #[must_use]
    pub fn compact(self) -> Self {
        let lines = self.text.lines().map(str::trim_start);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
        let text = lines.collect::<Vec<_>>().join("\n");
        Self { text: text.into(), ..self }
    }
}

/// Escapes text for HTML, both for the contents of elements and for the values of attributes.
fn escaped(text: &str) -> String {
    let characters =
        [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;")];
    characters.iter().fold(text.to_owned(), |text, (plain, html)| text.replace(plain, html))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_in_a_page() {
        let page = PageFile::page("<p title=\"{{ name }}\">{{ name }}</p><ul>{{ rows }}</ul>");
        let page = page.with_text("name", "\"><script>'&").with_list("rows", &["a", "<b>"]);
        let escaped = "&quot;&gt;&lt;script&gt;&#39;&amp;";
        let rows = "<li>a</li>\n<li>&lt;b&gt;</li>";
        assert_eq!(page.text, format!("<p title=\"{escaped}\">{escaped}</p><ul>{rows}</ul>"));
    }

    #[test]
    fn the_policy_of_a_page_admits_the_style_in_it_and_no_other() {
        let page = PageFile::page("<link rel=\"stylesheet\" href=\"style.css\">")
            .styled("p { margin: 0 }");
        assert_eq!(page.text, "<style>p { margin: 0 }</style>");
        let expected = "; style-src 'sha256-7IWhgxoOGTB5NQzjGk9OPt0FwhVeBvZGoWgF9xLLh8c='; ";
        assert!(page.policy.contains(expected), "{}", page.policy);
        assert!(!page.policy.contains("style-src 'self'") && !page.policy.contains("unsafe"));
    }

    #[test]
    fn a_compact_script_has_no_comments_and_no_indentation() {
        let script =
            PageFile::script("// Why.\n\nif (a) {\n  // How.\n  b(\"//\");\n}\n").compact();
        assert_eq!(script.text, "if (a) {\nb(\"//\");\n}");
    }
}
