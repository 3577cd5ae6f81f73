//! Where a stack's data is kept, and that only one stack keeps its data there.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::Error;

/// Where a stack keeps its tables, its clock and its place in each stream.
#[derive(Debug, Clone)]
pub enum Data {
    /// Nowhere: all of it ends with the stack.
    InMemory,
    /// In this directory, which is made if it is not there.
    Directory(PathBuf),
}

/// A directory held by this stack until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    directory: PathBuf,
    _lock: File,
}

const LOCK: &str = "lock";

impl Held {
    /// Holds the directory, emptied first if `reset`.
    pub(crate) fn hold(directory: &Path, reset: bool) -> Result<Self, Error> {
        let name = directory.display();
        let failed = |error: std::io::Error| Error::new(format!("cannot use {name}: {error}"));
        fs::create_dir_all(directory).map_err(failed)?;
        let lock = File::create(directory.join(LOCK)).map_err(failed)?;
        if lock.try_lock().is_err() {
            return Err(Error::new(format!(
                "another stack keeps its data in {name}; stop it, or use --in-memory"
            )));
        }
        if reset {
            empty(directory).map_err(failed)?;
        }
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

fn empty(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() != LOCK && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
