//! Profiles: each is the address of an installation and a token for it, in a file that only the user may read.
//!
//! The files are in the folder `tenure` of the user's configuration folder (`$XDG_CONFIG_HOME`, by default
//! `~/.config`).

use std::fmt::{self, Debug, Display, Formatter};
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::client::Url;
use crate::error::Error;

/// A token or password, which `Debug` does not print.
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub(crate) const fn new(secret: String) -> Self {
        Self(secret)
    }

    /// Returns the secret in plain text, for sending it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl Debug for Secret {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Name of a profile: 1 to 40 of `a` to `z`, digits, `-` and `_`.
#[derive(Clone, Debug)]
pub(crate) struct Name(String);

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
        };
        if (1..=40).contains(&name.len()) && name.bytes().all(is_allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err("must be 1 to 40 lower-case letters, digits, - and _")
        }
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An installation and a token for it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Profile {
    /// Address of the API.
    pub(crate) url: Url,
    /// A session's token or an access key.
    pub(crate) token: Secret,
}

/// The folder of the profiles.
#[derive(Debug)]
pub(crate) struct Profiles {
    folder: PathBuf,
}

impl Profiles {
    /// Returns the folder of the current user's profiles.
    pub(crate) fn of_user() -> Result<Self, Error> {
        let strategy = etcetera::choose_base_strategy().map_err(|_| {
            Error::Usage("There is no home directory to keep profiles in: set HOME.".to_owned())
        })?;
        Ok(Self { folder: strategy.config_dir().join("tenure") })
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// Reads a profile. Refuses a file that other users may read or write.
    pub(crate) fn load(&self, name: &Name) -> Result<Profile, Error> {
        let path = self.path(name);
        let content = match File::open(&path) {
            Ok(file) => read_private(&path, file)?,
            Err(problem) if problem.kind() == ErrorKind::NotFound => return Err(signed_out(name)),
            Err(problem) => return Err(Error::file(&path, &problem)),
        };
        serde_json::from_str(&content).map_err(|_| {
            Error::Usage(format!("{} is no profile: delete it, and log in again.", path.display()))
        })
    }

    /// Writes a profile. The file is created so that no other user may read it, and atomically replaces an earlier one.
    pub(crate) fn save(&self, name: &Name, profile: &Profile) -> Result<(), Error> {
        let path = self.path(name);
        let failed = |problem| Error::file(&path, &problem);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(failed)?;
        // `NamedTempFile` creates the file with mode 0600.
        let mut file = NamedTempFile::new_in(&self.folder).map_err(failed)?;
        serde_json::to_writer(&mut file, profile).map_err(|problem| failed(problem.into()))?;
        file.flush().and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&path).map_err(|problem| failed(problem.error))?;
        Ok(())
    }

    /// Deletes a profile. Succeeds also if the profile does not exist.
    pub(crate) fn delete(&self, name: &Name) -> Result<(), Error> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(problem) if problem.kind() != ErrorKind::NotFound => {
                Err(Error::file(&path, &problem))
            }
            _ => Ok(()),
        }
    }
}

fn read_private(path: &Path, file: File) -> Result<String, Error> {
    let failed = |problem| Error::file(path, &problem);
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Error::Usage(format!(
            "{path} has a token, and others may read it (mode {mode:03o}). If nobody has: chmod 600 {path}. Otherwise log in again, and end the session that the token is of.",
            path = path.display(),
            mode = mode & 0o777,
        )));
    }
    std::io::read_to_string(file).map_err(failed)
}

/// Returns the error for a profile that does not exist: nobody is signed in with it.
pub(crate) fn signed_out(name: &Name) -> Error {
    Error::SignedOut(format!(
        "Nobody is signed in with the profile {name}: tenure login --profile {name} --url URL"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn profiles() -> (TempDir, Profiles, Name) {
        let directory = TempDir::new().unwrap();
        let folder = directory.path().join("config/tenure");
        (directory, Profiles { folder }, "default".parse().unwrap())
    }

    fn profile(token: &str) -> Profile {
        Profile {
            url: "http://127.0.0.1:3000".parse().unwrap(),
            token: Secret::new(token.to_owned()),
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_saved_profile_is_read_again_and_only_its_user_may() {
        let (_directory, profiles, name) = profiles();
        profiles.save(&name, &profile("vbs_1")).unwrap();
        let loaded = profiles.load(&name).unwrap();
        assert_eq!(
            (loaded.url.as_str(), loaded.token.expose()),
            ("http://127.0.0.1:3000", "vbs_1")
        );
        assert_eq!((mode(&profiles.path(&name)), mode(&profiles.folder)), (0o600, 0o700));
    }

    #[test]
    fn saving_again_narrows_a_file_that_others_may_read() {
        let (_directory, profiles, name) = profiles();
        profiles.save(&name, &profile("vbs_1")).unwrap();
        fs::set_permissions(profiles.path(&name), fs::Permissions::from_mode(0o666)).unwrap();
        profiles.save(&name, &profile("vbs_2")).unwrap();
        assert_eq!(mode(&profiles.path(&name)), 0o600);
    }

    #[test]
    fn a_profile_that_others_may_read_is_not_used() {
        let (_directory, profiles, name) = profiles();
        profiles.save(&name, &profile("vbs_1")).unwrap();
        for wider in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(profiles.path(&name), fs::Permissions::from_mode(wider)).unwrap();
            let error = profiles.load(&name).unwrap_err();
            assert!(
                matches!(error, Error::Usage(_)) && !error.to_string().contains("vbs_1"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_profile_that_would_send_its_token_in_the_clear_is_not_used() {
        let (_directory, profiles, name) = profiles();
        profiles.save(&name, &profile("vbs_1")).unwrap();
        let path = profiles.path(&name);
        let edited = fs::read_to_string(&path).unwrap().replace("127.0.0.1:3000", "example.com");
        fs::write(&path, edited).unwrap();
        assert!(matches!(profiles.load(&name), Err(Error::Usage(_))));
    }

    #[test]
    fn a_missing_or_deleted_profile_is_signed_out() {
        let (_directory, profiles, name) = profiles();
        assert!(matches!(profiles.load(&name), Err(Error::SignedOut(_))));
        profiles.save(&name, &profile("vbs_1")).unwrap();
        profiles.delete(&name).unwrap();
        profiles.delete(&name).unwrap();
        assert!(matches!(profiles.load(&name), Err(Error::SignedOut(_))));
    }

    #[test]
    fn names_are_file_names() {
        for bad in ["", "..", "a/b", "A", "a.b", "a b"] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        assert!("prod-eu_2".parse::<Name>().is_ok());
    }

    #[test]
    fn debug_shows_no_token() {
        assert!(!format!("{:?}", profile("vbs_secret")).contains("vbs_"));
    }
}
