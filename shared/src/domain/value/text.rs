//! Text that a client sent: which characters it may contain, and how long it may be.

use std::fmt;

use serde::{Deserialize, Deserializer};
use unicode_normalization::char::is_combining_mark;
use unicode_script::{Script, UnicodeScript as _};

use super::{FromText, deserialize_text};

/// Text of at most `MAX` characters, without control characters other than tab and line feed. A line break
/// that was sent as CR LF is stored as LF.
///
/// The text may identify a person, so `Debug` does not show it: code that needs the text calls
/// [`expose`](Self::expose).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BoundedText<const MAX: usize>(String);

impl<const MAX: usize> BoundedText<MAX> {
    /// Wraps text that was checked when it was stored. Rules that came later do not apply to it.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(text)
    }

    /// Returns the text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The rule that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextViolation {
    /// The text has more than this many characters.
    TooLong(usize),
    /// The text has a control character.
    Control(char),
    /// The text has an invisible character or one that changes the direction of writing; contains the character and
    /// its class.
    Deceptive(char, &'static str),
    /// The text is empty or consists of white space, where text is required.
    Blank,
}

impl fmt::Display for TextViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(max) => write!(f, "must be text of at most {max} characters"),
            Self::Control(c) => {
                write!(f, "must be text without control characters; it has U+{:04X}", u32::from(*c))
            }
            Self::Deceptive(c, class) => write!(
                f,
                "must not have {class} (U+{:04X}), which can make it look like another",
                u32::from(*c)
            ),
            Self::Blank => f.write_str("must be text that is not blank"),
        }
    }
}

impl<const MAX: usize> FromText for BoundedText<MAX> {
    type Violation = TextViolation;
    fn from_text(text: &str) -> Result<Self, TextViolation> {
        let text = text.replace("\r\n", "\n");
        let is_refused = |c: &char| c.is_control() && *c != '\n' && *c != '\t';
        if text.chars().count() > MAX {
            return Err(TextViolation::TooLong(MAX));
        }
        match text.chars().find(is_refused) {
            Some(c) => Err(TextViolation::Control(c)),
            None => Ok(Self(text)),
        }
    }
    fn rule() -> String {
        format!("text of at most {MAX} characters, without control characters")
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for BoundedText<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        deserialize_text(from)
    }
}

impl<const MAX: usize> fmt::Debug for BoundedText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoundedText(…)")
    }
}

/// A description, of at most 2,000 characters.
pub type Detail = BoundedText<2000>;
/// A phone number, of at most 255 characters; E.164 is recommended, not checked.
pub type PhoneNumber = BoundedText<255>;
/// A postal address, of at most 1,024 characters.
pub type Address = BoundedText<1024>;

/// A name, of at most 255 characters. Characters that make one name look like another are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name(BoundedText<255>);

impl Name {
    /// Wraps a name that was checked when it was stored. Rules that came later do not apply to it.
    pub(crate) const fn trusted(text: String) -> Self {
        Self(BoundedText::trusted(text))
    }

    /// Returns the name itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl FromText for Name {
    type Violation = TextViolation;
    fn from_text(text: &str) -> Result<Self, TextViolation> {
        let name = BoundedText::from_text(text)?;
        match deceptive(name.expose()) {
            Some((c, class)) => Err(TextViolation::Deceptive(c, class)),
            None => Ok(Self(name)),
        }
    }
    fn rule() -> String {
        BoundedText::<255>::rule()
    }
}

super::deserialize_from_text!(Name);

/// Text of 1 to `MAX` characters that is not blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonBlank<const MAX: usize>(BoundedText<MAX>);

/// Reason of a hold (an operator's order not to delete an account). It must not contain personal data.
pub type HoldReason = NonBlank<500>;
/// Reason of a waiver (an operator's decision that an erasure does not wait for another system's answer). It
/// must not contain personal data.
pub type WaiverReason = NonBlank<500>;

impl<const MAX: usize> NonBlank<MAX> {
    /// Returns the text itself, which must not be logged.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl<const MAX: usize> FromText for NonBlank<MAX> {
    type Violation = TextViolation;
    fn from_text(text: &str) -> Result<Self, TextViolation> {
        if text.trim().is_empty() {
            return Err(TextViolation::Blank);
        }
        BoundedText::from_text(text).map(Self)
    }
    fn rule() -> String {
        format!("text of 1 to {MAX} characters, without control characters")
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for NonBlank<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        deserialize_text(from)
    }
}

/// Returns the first character of `text` that is invisible or controls the direction of writing, and its
/// class. Invisible characters that belong to a script or a symbol are accepted: a joiner in Persian or
/// Malayalam or within an emoji, a variation selector after an ideograph or a symbol, and the tag characters
/// that make a flag emoji the flag of a country.
pub(super) fn deceptive(text: &str) -> Option<(char, &'static str)> {
    let mut chars = text.chars();
    // The last character that is seen.
    let mut before = None;
    while let Some(c) = chars.next() {
        let flag = FLAGS.iter().find_map(|tags| chars.as_str().strip_prefix(tags));
        if let Some(rest) = flag.filter(|_| c == BLACK_FLAG) {
            chars = rest.chars();
        }
        let after = chars.clone().next();
        match invisible(c) {
            None if is_combining_mark(c) => {}
            None => before = Some(c),
            Some(_) if belongs(c, before, after) => {}
            Some(class) => return Some((c, class)),
        }
    }
    None
}

/// The black flag emoji. Tag characters after it spell the country whose flag is shown instead.
const BLACK_FLAG: char = '\u{1f3f4}';

/// Tag characters of the country flags that Unicode recommends: England, Scotland, Wales.
const FLAGS: [&str; 3] = [
    "\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
];

/// Returns the class of `c` if it is invisible or controls the direction of writing: Unicode's
/// `Default_Ignorable_Code_Point`, line and paragraph separators, and interlinear annotation characters.
pub(super) const fn invisible(c: char) -> Option<&'static str> {
    match c {
        '\u{061c}' | '\u{200e}' | '\u{200f}' => Some("a bidirectional mark"),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some("a bidirectional override"),
        '\u{00ad}' => Some("a soft hyphen"),
        '\u{200b}' | '\u{2060}' | '\u{feff}' => Some("a zero-width space"),
        '\u{200c}' | '\u{200d}' => Some("a zero-width joiner"),
        '\u{2028}' | '\u{2029}' => Some("a line separator"),
        '\u{180b}'..='\u{180d}'
        | '\u{180f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0100}'..='\u{e01ef}' => Some("a variation selector"),
        '\u{034f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180e}'
        | '\u{2061}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{3164}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e00ff}'
        | '\u{e01f0}'..='\u{e0fff}' => Some("an invisible character"),
        _ => None,
    }
}

fn belongs(c: char, before: Option<char>, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    match c {
        '\u{200c}' | '\u{200d}' => {
            let scripts = joins(before) && after.is_some_and(joins);
            let symbols = is_symbol(before) && after.is_some_and(is_symbol);
            scripts || (c == '\u{200d}' && symbols)
        }
        '\u{fe0e}' | '\u{fe0f}' => {
            is_symbol(before)
                || matches!(before, '#' | '*' | '0'..='9' if after == Some('\u{20e3}'))
        }
        '\u{e0100}'..='\u{e01ef}' => before.script() == Script::Han,
        '\u{180b}'..='\u{180d}' | '\u{180f}' => before.script() == Script::Mongolian,
        _ => false,
    }
}

/// Whether the script of `c` uses zero-width joiners to spell words.
fn joins(c: char) -> bool {
    matches!(
        c.script(),
        Script::Arabic
            | Script::Bengali
            | Script::Devanagari
            | Script::Gujarati
            | Script::Gurmukhi
            | Script::Kannada
            | Script::Malayalam
            | Script::Mongolian
            | Script::Oriya
            | Script::Sinhala
            | Script::Syriac
            | Script::Tamil
            | Script::Telugu
    )
}

/// Whether `c` may be part of an emoji.
const fn is_symbol(c: char) -> bool {
    matches!(c, '©' | '®' | '\u{203c}'..='\u{2bff}' | '〰' | '〽' | '㊗' | '㊙' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Result<String, String> {
        Name::from_text(text)
            .map(|name| name.expose().to_owned())
            .map_err(|violation| violation.to_string())
    }

    #[test]
    fn an_address_with_crlf_is_kept_with_line_feeds() {
        let address = Address::from_text("1 Main St\r\nSpringfield\r\n").unwrap();
        assert_eq!(address.expose(), "1 Main St\nSpringfield\n");
        assert_eq!(
            Address::from_text("1 Main St\rSpringfield").unwrap_err(),
            TextViolation::Control('\r')
        );
        // A line break counts as one character.
        assert!(BoundedText::<3>::from_text("a\r\nb").is_ok());
        assert_eq!(BoundedText::<3>::from_text("abcd").unwrap_err(), TextViolation::TooLong(3));
    }

    #[test]
    fn names_as_people_write_them_are_accepted() {
        for text in [
            "",
            "Ann O'Neil-Şahin",
            "José",
            "Jose\u{301}",
            "علی\u{200c}رضا",
            "علی\u{64e}\u{200c}رضا",
            "ᠠ\u{180b}",
            "ശ്രീ\u{200d}ക",
            "क\u{94d}\u{200d}ष",
            "渡邉\u{e0100}",
            "\u{1f469}\u{200d}\u{1f4bb} Agency",
            "\u{2764}\u{fe0f} Flowers",
            "1\u{fe0f}\u{20e3} First",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} Tours",
            "שלום",
            "a\tb\nc",
        ] {
            assert_eq!(name(text).as_deref(), Ok(text), "{text:?}");
        }
    }

    #[test]
    fn deceptive_characters_are_refused_by_class() {
        for (text, class) in [
            ("moc.\u{202e}elgoog", "a bidirectional override (U+202E)"),
            ("a\u{2066}b", "a bidirectional override (U+2066)"),
            ("a\u{200f}b", "a bidirectional mark (U+200F)"),
            ("pay\u{200b}pal", "a zero-width space (U+200B)"),
            ("\u{feff}paypal", "a zero-width space (U+FEFF)"),
            ("pay\u{200d}pal", "a zero-width joiner (U+200D)"),
            ("pay\u{200c}pal", "a zero-width joiner (U+200C)"),
            ("\u{1f469}\u{200d}pal", "a zero-width joiner (U+200D)"),
            ("pay\u{200d}\u{1f4bb}", "a zero-width joiner (U+200D)"),
            ("\u{200d}رضا", "a zero-width joiner (U+200D)"),
            ("رضا\u{200c}", "a zero-width joiner (U+200C)"),
            ("pay\u{ad}pal", "a soft hyphen (U+00AD)"),
            ("pay\u{fe0f}pal", "a variation selector (U+FE0F)"),
            ("pay\u{e0100}pal", "a variation selector (U+E0100)"),
            ("pay\u{2028}pal", "a line separator (U+2028)"),
            ("pay\u{e0041}pal", "an invisible character (U+E0041)"),
            (
                "\u{1f3f4}\u{e0075}\u{e0073}\u{e0074}\u{e0078}\u{e007f}",
                "an invisible character (U+E0075)",
            ),
            (
                "a\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
                "an invisible character (U+E0067)",
            ),
            ("\u{3164}", "an invisible character (U+3164)"),
        ] {
            let refused = name(text).unwrap_err();
            assert!(refused.starts_with(&format!("must not have {class}")), "{text:?}: {refused}");
        }
        assert!(name("a\u{0}b").unwrap_err().contains("U+0000"));
    }

    #[test]
    fn debug_shows_no_content() {
        assert!(!format!("{:?}", Name::from_text("Ann").unwrap()).contains("Ann"));
    }
}
