//! Whole numbers, in all the forms in which programs write them in JSON.

use std::fmt;

use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// A non-negative whole number, written as an integer or, as OpenAPI 3.1 and JSON Schema allow, with a zero
/// fraction or an exponent: `86400`, `86400.0`, `8.64e4`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Integer(pub u64);

/// Limit up to which a double represents every whole number exactly: 2^53. Greater numbers with a fraction or
/// exponent are refused.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Whole).map(Self)
    }
}

/// A number of items: at most 2^53 - 1, the greatest integer up to which every JSON parser is exact (RFC 7493).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count(pub u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        const MAX: u64 = (1 << 53) - 1;
        match Integer::deserialize(from)? {
            Integer(count) if count <= MAX => Ok(Self(count)),
            _ => Err(D::Error::custom(format_args!("must be at most {MAX}"))),
        }
    }
}

struct Whole;

impl Visitor<'_> for Whole {
    type Value = u64;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }
    fn visit_u64<E>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<u64, E> {
        number.try_into().map_err(|_| E::invalid_value(Unexpected::Other("negative"), &self))
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<u64, E> {
        if number.fract() == 0.0 && (0.0..=MAX_EXACT).contains(&number) {
            return Ok(number as u64);
        }
        Err(E::invalid_value(Unexpected::Other("no whole number"), &self))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<u64, String> {
        serde_json::from_str(text).map(|Integer(number)| number).map_err(|error| error.to_string())
    }

    #[test]
    fn a_number_without_a_fractional_part_is_an_integer() {
        for text in ["86400", "86400.0", "86400.000", "8.64e4", "864E2"] {
            assert_eq!(read(text), Ok(86_400), "{text}");
        }
        assert_eq!((read("0"), read("-0.0"), read("0e9")), (Ok(0), Ok(0), Ok(0)));
        assert_eq!(read(&u64::MAX.to_string()), Ok(u64::MAX));
    }

    #[test]
    fn other_values_are_refused_without_being_repeated() {
        for text in
            ["86400.5", "-1", "-1.0", "1e300", "\"86400\"", "null", "[86400]", "true", "1e16"]
        {
            let refused = read(text).unwrap_err();
            assert!(refused.contains("expected a whole number"), "{text}: {refused}");
        }
    }

    #[test]
    fn a_count_ends_where_numbers_cease_to_be_exact() {
        let read = |text: &str| serde_json::from_str(text).map(|Count(count)| count);
        assert_eq!(read("9007199254740991").unwrap(), 9_007_199_254_740_991);
        let refused = read("9007199254740992").unwrap_err().to_string();
        assert!(refused.starts_with("must be at most 9007199254740991"), "{refused}");
    }

    proptest! {
        /// Only numbers far below 2^53, up to which a double is exact: numbers with a fraction or exponent
        /// are read as doubles.
        #[test]
        fn every_spelling_of_a_number_is_that_number(number in 0..=1_u64 << 40, zeros in 0..5_usize) {
            prop_assert_eq!(read(&number.to_string()), Ok(number));
            prop_assert_eq!(read(&format!("{number}.0{}", "0".repeat(zeros))), Ok(number));
            prop_assert_eq!(read(&format!("{number}e0")), Ok(number));
        }
    }
}
