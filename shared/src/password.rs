//! Password hashes: argon2id, version 0x13, m = 19,456 KiB, t = 2, p = 1 (OWASP's minimum), as PHC strings.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::password_hash::{self, CustomizedPasswordHasher, PasswordVerifier, phc};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::domain::Error;
use crate::domain::value::{Password, PasswordHash};

const ALGORITHM: Algorithm = Algorithm::Argon2id;
const VERSION: Version = Version::V0x13;
const PARAMS: Params = Params::DEFAULT;

/// A hash that no password matches, with the current parameters.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Number of hashes computed by this process.
static COMPUTED: AtomicU64 = AtomicU64::new(0);

/// Working memory of argon2, 19 MiB. It is reused from one hash to the next, because getting it from the system takes
/// longer than filling it. Its contents reveal no more about a password than the password's hash does.
static MEMORY: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// Returns the number of hashes that this process has computed. The log shows how many each request has
/// computed, because hashing is what makes password-guessing attacks expensive for the service.
#[must_use]
pub fn computed() -> u64 {
    COMPUTED.load(Ordering::Relaxed)
}

/// Allocates the memory in which argon2 hashes. Functions that hash passwords call this during init, when
/// Lambda gives them a whole CPU.
pub fn prepare() {
    drop(memory(&PARAMS));
}

/// Locks and returns the memory in which hashes are computed, with enough blocks for `params`.
fn memory(params: &Params) -> MutexGuard<'static, Vec<Block>> {
    let mut memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let blocks = params.block_count().max(memory.len());
    memory.resize(blocks, Block::new());
    memory
}

/// Computes a hash, and counts it. Nothing else computes hashes, so each is counted.
fn compute(
    argon2: &Argon2<'_>,
    text: &[u8],
    salt: &[u8],
    hash: &mut [u8],
) -> Result<(), argon2::Error> {
    COMPUTED.fetch_add(1, Ordering::Relaxed);
    let (mut memory, blocks) = (memory(argon2.params()), argon2.params().block_count());
    argon2.hash_password_into_with_memory(text, salt, hash, &mut memory[..blocks])
}

/// Adapter that makes the PHC string traits of `password_hash` compute their hashes with [`compute`].
struct Hasher;

impl CustomizedPasswordHasher<phc::PasswordHash> for Hasher {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<password_hash::Version>,
        params: Params,
    ) -> password_hash::Result<phc::PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or(ALGORITHM);
        let version = version.map(Version::try_from).transpose()?.unwrap_or(VERSION);
        let mut hash = vec![0; params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
        compute(&Argon2::new(algorithm, version, params.clone()), password, salt, &mut hash)?;
        Ok(phc::PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: (&params).try_into()?,
            salt: Some(phc::Salt::new(salt)?),
            hash: Some(phc::Output::new(&hash)?),
        })
    }
}

/// Hashes `password` with a random salt.
pub fn hash(password: &Password) -> Result<PasswordHash, Error> {
    let hash = password_hash::try_generate_salt()
        .map_err(Into::into)
        .and_then(|salt| Hasher.hash_password_with_params(password.expose(), &salt, PARAMS));
    hash.map(|phc| PasswordHash::stored(phc.to_string()))
        .map_err(|error: password_hash::Error| Error::Internal(format!("cannot hash: {error}")))
}

/// Returns an argon2 digest of a text that contains a password. Guessing the text from its digest costs as
/// much per try as guessing a password from its hash.
pub(crate) fn digest(text: &str, salt: &str) -> Result<[u8; 32], Error> {
    let mut digest = [0; 32];
    let argon2 = Argon2::new(ALGORITHM, VERSION, PARAMS);
    compute(&argon2, text.as_bytes(), salt.as_bytes(), &mut digest)
        .map_err(|error| Error::Internal(format!("cannot hash: {error}")))?;
    Ok(digest)
}

/// Returns the hash that is stored for an invited agent who has no password yet. No password matches it, and
/// checking one against it takes as long as against any other hash.
#[must_use]
pub fn of_nobody() -> PasswordHash {
    PasswordHash::stored(NOBODY.to_owned())
}

/// Whether `stored` is the hash of an agent who has no password yet.
#[must_use]
pub fn is_of_nobody(stored: &PasswordHash) -> bool {
    // Parameters are not compared: the stored ones may be older.
    let salt_and_hash =
        |phc: &'_ str| phc.rsplitn(3, '$').take(2).map(str::to_owned).collect::<Vec<_>>();
    salt_and_hash(stored.expose()) == salt_and_hash(NOBODY)
}

/// Whether `stored` is a hash of `password`. Always computes one hash, so that the time taken does not reveal
/// whether there is a `stored` hash.
#[must_use]
pub fn verify(password: &Password, stored: Option<&PasswordHash>) -> bool {
    let phc = stored.map_or(NOBODY, PasswordHash::expose);
    let valid = phc::PasswordHash::new(phc)
        .map_err(Into::into)
        .and_then(|phc| Hasher.verify_password(password.expose(), &phc));
    valid.is_ok() && stored.is_some()
}

/// Returns a new hash of `password` if `stored` has weaker parameters than the current ones. A stored hash
/// that is stronger in any parameter is kept: rehashing never makes a password easier to guess.
pub fn rehash(password: &Password, stored: &PasswordHash) -> Result<Option<PasswordHash>, Error> {
    if is_weaker(stored.expose()) { hash(password).map(Some) } else { Ok(None) }
}

fn is_weaker(stored: &str) -> bool {
    let Ok(stored) = phc::PasswordHash::new(stored) else { return false };
    let Ok(params) = Params::try_from(&stored) else { return false };
    let cost = |params: &Params| [params.m_cost(), params.t_cost(), params.p_cost()];
    let (stored_cost, cost) = (cost(&params), cost(&PARAMS));
    let no_stronger = stored_cost.iter().zip(&cost).all(|(stored, today)| stored <= today);
    let same = stored_cost == cost
        && stored.algorithm == ALGORITHM.ident()
        && stored.version == Some(VERSION.into());
    no_stronger && !same
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
    fn rehash_only_makes_a_hash_stronger() {
        let with = |start: &str| {
            is_weaker(&format!(
                "{start}$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            ))
        };
        for weaker in [
            "$argon2id$v=19$m=8192,t=2,p=1",
            "$argon2id$v=19$m=19456,t=1,p=1",
            "$argon2id$v=16$m=19456,t=2,p=1",
            "$argon2i$v=19$m=19456,t=2,p=1",
        ] {
            assert!(with(weaker), "{weaker}");
        }
        for kept in [
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$argon2id$v=19$m=65536,t=3,p=4",
            "$argon2id$v=19$m=65536,t=1,p=1",
            "$argon2id$v=19$m=8192,t=3,p=1",
            "$scrypt$ln=14,r=8,p=1",
            "",
        ] {
            assert!(!with(kept), "{kept}");
        }
        assert!(!is_weaker(hash(&password("correct horse")).unwrap().expose()));
    }

    #[test]
    fn nobodys_hash_is_verified_like_others_and_no_password_has_it() {
        let stored = of_nobody();
        for text in ["correct horse", "AAAAAAAAAAAAAAAA", "$argon2id$v=19$m=19456"] {
            let before = computed();
            assert!(!verify(&password(text), Some(&stored)));
            assert!(computed() > before, "{text}: a hash is computed");
        }
        assert!(!is_weaker(stored.expose()));
        let earlier = PasswordHash::stored(NOBODY.replace("m=19456", "m=8192"));
        assert!(is_of_nobody(&stored) && is_of_nobody(&earlier));
        assert!(!is_of_nobody(&hash(&password("correct horse")).unwrap()));
    }

    #[test]
    fn computed_hashes_are_counted() {
        let before = computed();
        assert!(!verify(&password("correct horse"), None));
        assert!(computed() > before);
    }

    #[test]
    fn long_passwords_are_not_truncated() {
        let long = "x".repeat(72);
        let stored = hash(&password(&format!("{long}a"))).unwrap();
        assert!(!verify(&password(&format!("{long}b")), Some(&stored)));
    }
}
