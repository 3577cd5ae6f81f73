//! Case folding: one form for all spellings of a text that differ only in case or composition.

use unicase::UniCase;
use unicode_normalization::UnicodeNormalization as _;

/// Returns one form for all spellings of `text` that differ only in case or composition: the full case
/// folding, decomposed (Unicode D145, canonical caseless matching).
///
/// A prefix of `text` folds to a prefix of the result, unless it ends just before a combining mark.
#[must_use]
pub fn fold(text: &str) -> String {
    let decomposed: String = text.nfd().collect();
    UniCase::unicode(decomposed).to_folded_case().nfd().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_fold_alike() {
        for (one, other) in [
            ("ΠΑΠΑΔΌΠΟΥΛΟΣ", "Παπαδόπουλος"),
            ("STRASSE", "Straße"),
            ("STRAẞE", "straße"),
            ("JOSE\u{301}", "José"),
            ("\u{212a}elvin", "kelvin"),
            ("\u{fb03}", "FFI"),
            ("İ", "i\u{307}"),
            ("ᾳ", "ΑΙ"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        for (one, other) in [("ı", "i"), ("é", "e"), ("ö", "oe"), ("й", "и"), ("が", "か")] {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }

    #[test]
    fn folding_again_changes_nothing() {
        for c in '\0'..=char::MAX {
            let once = fold(c.encode_utf8(&mut [0; 4]));
            assert_eq!(fold(&once), once, "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn case_and_composition_make_no_difference(text in "\\PC{0,20}") {
            prop_assert_eq!(fold(&text.nfc().collect::<String>()), fold(&text));
            prop_assert_eq!(fold(&text.nfd().collect::<String>()), fold(&text));
            // The upper case of a dotless ı is I, which folds to i: the only letter whose upper case folds to another
            // letter.
            let text = text.replace('ı', "");
            prop_assert_eq!(fold(&text.to_uppercase()), fold(&text.to_lowercase().to_uppercase()));
        }
    }
}
