//! JSON files that keep the stack's own state next to the tables: clock, keys, stream positions.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use serde_json::Value;

use crate::error::Error;

/// Reads `file`; null if it does not exist.
pub(crate) fn read(file: &Path) -> Result<Value, Error> {
    match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| Error::new(format!("{} is damaged: {error}", file.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(Error::new(format!("cannot read {}: {error}", file.display()))),
    }
}

/// Replaces `file` atomically: a stack that is killed while it writes leaves the old content.
pub(crate) fn write(file: &Path, value: &Value) -> Result<(), Error> {
    let fresh = file.with_extension("new");
    // Private keys are kept this way, so no other user may read the file.
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(&fresh)
        .and_then(|mut opened| opened.write_all(value.to_string().as_bytes()))
        .and_then(|()| fs::rename(&fresh, file))
        .map_err(|error| Error::new(format!("cannot write {}: {error}", file.display())))
}
