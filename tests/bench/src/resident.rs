//! Resident memory of this process and of its children.

use std::collections::BTreeMap;
use std::fs;

use crate::Result;

/// Resident memory of one process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// Name of its executable.
    pub(crate) name: String,
    pub(crate) kib: u32,
    /// Whether it is this process itself, not a child.
    pub(crate) is_own: bool,
}

/// Returns this process and its children, by process id.
pub(crate) fn processes() -> Result<BTreeMap<u32, Process>> {
    let own = std::process::id();
    let mut processes = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|id| id.parse().ok()) else { continue };
        // A process that has just ended has no status file.
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next().map(str::to_owned)
        };
        let number = |name| value(name).and_then(|number| number.parse().ok());
        if id == own || number("PPid:") == Some(own) {
            let executable = fs::read_link(entry.path().join("exe")).unwrap_or_default();
            let name = executable.file_name().map(|name| name.to_string_lossy().into_owned());
            let kib = number("VmRSS:").unwrap_or_default();
            let process = Process { name: name.unwrap_or_default(), kib, is_own: id == own };
            processes.insert(id, process);
        }
    }
    Ok(processes)
}
