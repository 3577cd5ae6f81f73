//! Password hashes: argon2id, version 0x13, m = 19,456 KiB, t = 2, p = 1 (OWASP's minimum), as PHC strings.

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};

use crate::domain::Error;
use crate::domain::value::{Password, PasswordHash};

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// Hashes `password` with a salt of its own.
pub fn hash(password: &Password) -> Result<PasswordHash, Error> {
    let hash = argon2().hash_password(password.expose());
    hash.map(|phc| PasswordHash::stored(phc.to_string()))
        .map_err(|error| Error::Internal(format!("cannot hash: {error}")))
}

/// Whether `password` is the one that `stored` was made of. Costs one hash, also if there is nothing
/// to compare with.
#[must_use]
pub fn verify(password: &Password, stored: Option<&PasswordHash>) -> bool {
    /// The hash of nothing in particular, with today's parameters.
    const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let phc = stored.map_or(NOBODY, PasswordHash::expose);
    argon2().verify_password(password.expose(), phc).is_ok() && stored.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::value::FromText;

    fn password(text: &str) -> Password {
        Password::from_text(text).unwrap()
    }

    #[test]
    fn verifies_only_the_password_it_was_made_of() {
        let stored = hash(&password("correct horse")).unwrap();
        assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify(&password("correct horse"), Some(&stored)));
        assert!(!verify(&password("correct horsf"), Some(&stored)));
        assert!(!verify(&password("correct horse"), None));
    }

    #[test]
    fn long_passwords_are_not_cut() {
        let long = "x".repeat(72);
        let stored = hash(&password(&format!("{long}a"))).unwrap();
        assert!(!verify(&password(&format!("{long}b")), Some(&stored)));
    }
}
