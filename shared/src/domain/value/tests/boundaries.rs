//! Tests the boundaries of every type of text: lengths at each limit and one past it, and each character that
//! is refused.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::domain::Username;
use crate::domain::find::NamePrefix;
use crate::domain::hold::HoldName;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::participant::ParticipantName;
use crate::domain::value::text::invisible;
use crate::domain::value::{
    Address, BoundedText, Detail, Email, FromText, HoldReason, Name, NewPassword, NonBlank,
    PhoneNumber, WaiverReason, WebhookUri,
};

/// Characters that a type of text refuses.
#[derive(Clone, Copy, PartialEq)]
enum Refused {
    /// Control characters other than tab and line feed.
    Controls,
    /// Control characters other than tab and line feed, and invisible characters.
    ControlsAndUnseen,
    /// All control characters, and invisible characters.
    AllControlsAndUnseen,
    /// All characters but visible ASCII ones.
    AllButVisibleAscii,
}

/// A type of text, and the boundaries at which to test it.
struct Text {
    name: &'static str,
    accepts: fn(&str) -> bool,
    /// Minimum and maximum length, in repetitions of `unit`.
    lengths: RangeInclusive<usize>,
    /// Text that is repeated between `start` and `end` to reach a length.
    unit: &'static str,
    start: &'static str,
    end: &'static str,
    refused: Refused,
}

impl Text {
    const fn new<T: FromText>(name: &'static str, most: usize, refused: Refused) -> Self {
        let accepts = |text: &str| T::from_text(text).is_ok();
        // A character of two bytes, because limits count characters.
        Self { name, accepts, lengths: 0..=most, unit: "é", start: "", end: "", refused }
    }

    const fn from(self, least: usize) -> Self {
        Self { lengths: least..=*self.lengths.end(), ..self }
    }

    const fn of(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    const fn between(self, start: &'static str, end: &'static str) -> Self {
        Self { start, end, ..self }
    }

    fn with(&self, middle: &str) -> String {
        format!("{}{middle}{}", self.start, self.end)
    }
}

fn texts() -> Vec<Text> {
    use Refused::{AllButVisibleAscii, AllControlsAndUnseen, Controls, ControlsAndUnseen};
    let name = |name, accepts, most| {
        let text = Text::new::<Name>(name, most, AllButVisibleAscii).from(1).of("a");
        Text { accepts, ..text }
    };
    let domain = "@example.com";
    vec![
        Text::new::<Name>("Name", 255, ControlsAndUnseen),
        Text::new::<NamePrefix>("NamePrefix", 64, ControlsAndUnseen).from(1),
        Text::new::<Detail>("Detail", 2000, Controls),
        Text::new::<PhoneNumber>("PhoneNumber", 255, Controls),
        Text::new::<Address>("Address", 1024, Controls),
        Text::new::<BoundedText<500>>("BoundedText<500>", 500, Controls),
        Text::new::<HoldReason>("HoldReason", 500, Controls).from(1),
        Text::new::<WaiverReason>("WaiverReason", 500, Controls).from(1),
        Text::new::<NonBlank<64>>("NonBlank<64>", 64, Controls).from(1),
        Text::new::<NonBlank<200>>("NonBlank<200>", 200, Controls).from(1),
        // The limit counts bytes.
        Text::new::<Username>("Username", 255, AllControlsAndUnseen).from(1).of("a"),
        // At least 8 characters, at most 1,024 bytes.
        Text::new::<NewPassword>("NewPassword", 512, AllControlsAndUnseen).from(8),
        Text::new::<NewPassword>("NewPassword", 1024, AllControlsAndUnseen).from(8).of("x"),
        Text::new::<Email>("Email", 64, AllControlsAndUnseen).from(1).of("a").between("", domain),
        name("HoldName", |text| HoldName::parse(text).is_some(), 40),
        name("ParticipantName", |text| ParticipantName::parse(text).is_some(), 40),
        name("IdempotencyKey", |text| IdempotencyKey::new(text.to_owned()).is_some(), 255),
        Text::new::<WebhookUri>("WebhookUri", 1023 - 20, AllButVisibleAscii)
            .of("a")
            .between("https://example.com/", ""),
    ]
}

#[test]
fn every_text_is_accepted_up_to_its_limit_and_refused_one_past_it() {
    for text in texts() {
        let accepts = |length: usize| (text.accepts)(&text.with(&text.unit.repeat(length)));
        let (least, most) = (*text.lengths.start(), *text.lengths.end());
        assert!(accepts(least) && accepts(most), "{}: {least} to {most}", text.name);
        assert!(least == 0 || !accepts(least - 1), "{}: fewer than {least}", text.name);
        assert!(!accepts(most + 1), "{}: more than {most}", text.name);
    }
}

/// Invisible characters: Unicode's `Default_Ignorable_Code_Point`, line and paragraph separators, and
/// interlinear annotation characters.
const UNSEEN: [RangeInclusive<char>; 20] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{2029}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fff8}',
    '\u{fff9}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e00ff}',
    '\u{e0100}'..='\u{e0fff}',
];

fn is_unseen(c: char) -> bool {
    UNSEEN.iter().any(|range| range.contains(&c))
}

#[test]
fn a_character_is_unseen_if_unicode_says_so() {
    for c in '\0'..=char::MAX {
        assert_eq!(invisible(c).is_some(), is_unseen(c), "U+{:04X}", u32::from(c));
    }
}

/// Returns the control characters: ASCII's (C0 and DEL), and those from U+0080 to U+009F (C1).
fn controls() -> impl Iterator<Item = char> {
    ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}')
}

#[test]
fn every_text_refuses_each_character_that_it_must_not_have() {
    for text in texts() {
        let accepts = |c: char| (text.accepts)(&text.with(&format!("longtext{c}longtext")));
        let (unseen, controls) = (UNSEEN.into_iter().flatten(), controls());
        for c in controls.chain(unseen) {
            let is_refused = match text.refused {
                Refused::Controls => c.is_control() && !['\t', '\n'].contains(&c),
                Refused::ControlsAndUnseen => !['\t', '\n'].contains(&c),
                Refused::AllControlsAndUnseen | Refused::AllButVisibleAscii => true,
            };
            assert_eq!(accepts(c), !is_refused, "{}: U+{:04X}", text.name, u32::from(c));
        }
        let is_of_ascii = text.refused == Refused::AllButVisibleAscii;
        assert_eq!(accepts('é'), !is_of_ascii, "{}", text.name);
    }
}

/// Tests limits of an e-mail address that are not in [`texts`]: of its domain, and of the whole address.
#[test]
fn an_address_is_accepted_up_to_the_limit_of_each_part_and_of_the_whole() {
    let accepts = |text: &str| Email::from_text(text).is_ok();
    let local = "a".repeat(64);
    let labels = |last: usize| [63, 63, last].map(|length| "b".repeat(length)).join(".");
    // 64 and 1 and 63 and 1 and 63 and 1 and 61.
    assert!(accepts(&format!("{local}@{}", labels(61))));
    assert!(!accepts(&format!("{local}@{}", labels(62))));
    assert!(accepts(&format!("a@{}.com", "b".repeat(63))));
    assert!(!accepts(&format!("a@{}.com", "b".repeat(64))));
    for c in controls().chain(UNSEEN.into_iter().flatten()) {
        let address = format!("a@exa{c}mple.com");
        assert!(!accepts(&address), "U+{:04X} in a domain", u32::from(c));
    }
}

/// Types of text with a fixed form, which are tested in their own modules.
const FIXED: [&str; 5] = ["LoginKey", "Password", "PresentedToken", "Time", "WebhookMethod"];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_kind_of_text_is_among_these() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let implemented = files.iter().flat_map(|file| {
        let text = fs::read_to_string(file).unwrap();
        let names = text.split(" FromText for ").skip(1).map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
        });
        names.collect::<Vec<_>>()
    });
    let implemented: BTreeSet<_> = implemented.filter(|name| !name.is_empty()).collect();
    let named = texts().into_iter().map(|text| text.name.split('<').next().unwrap_or_default());
    let named: BTreeSet<_> = named.chain(FIXED).collect();
    let missing: Vec<_> =
        implemented.iter().filter(|name| !named.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "without boundaries: {missing:?}");
}
