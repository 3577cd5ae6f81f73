//! Small facts kept next to the tables, one JSON file each.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use serde_json::Value;

use crate::Error;

/// What the file says; null if there is none yet.
pub(crate) fn read(file: &Path) -> Result<Value, Error> {
    match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| Error::new(format!("{} is damaged: {error}", file.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(Error::new(format!("cannot read {}: {error}", file.display()))),
    }
}

/// Replaces the file as a whole, so that a stack killed while writing leaves the old one.
pub(crate) fn write(file: &Path, value: &Value) -> Result<(), Error> {
    let fresh = file.with_extension("new");
    // Keys are among what is kept: nobody else may read it.
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(&fresh)
        .and_then(|mut opened| opened.write_all(value.to_string().as_bytes()))
        .and_then(|()| fs::rename(&fresh, file))
        .map_err(|error| Error::new(format!("cannot write {}: {error}", file.display())))
}
