//! Digests that stand in for confidential text.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Returns the SHA-256 of `text`, in lower-case hexadecimal.
#[must_use]
pub fn sha256(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one-block example of FIPS 180-2, appendix B.1.
    #[test]
    fn the_digest_is_that_of_the_standard() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256("abc"), expected);
    }
}
