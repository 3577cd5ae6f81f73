//! The data directory, and its lock: only one stack at a time uses it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::error::Error;

/// Place where a stack keeps its tables, its clock, its keys and its position in each stream.
#[derive(Debug, Clone)]
pub enum Data {
    /// In memory: the data is lost when the stack ends.
    InMemory,
    /// In this directory, which is created if it does not exist.
    Directory(PathBuf),
}

/// A data directory, locked until this is dropped.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

const LOCK: &str = "lock";

impl DataDirectory {
    /// Locks the directory at `path`, and empties it if `reset`.
    pub(crate) fn lock(path: &Path, reset: bool) -> Result<Self, Error> {
        let name = path.display();
        let failed = |error: std::io::Error| Error::new(format!("cannot use {name}: {error}"));
        fs::create_dir_all(path).map_err(failed)?;
        let lock = File::create(path.join(LOCK)).map_err(failed)?;
        if lock.try_lock().is_err() {
            return Err(Error::new(format!(
                "another stack keeps its data in {name}; stop it, or keep data in memory"
            )));
        }
        if reset {
            empty(path).map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
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
