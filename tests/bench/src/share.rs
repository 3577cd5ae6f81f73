//! A function's share of a processor, which Lambda gives by memory: a function with 1,769 MB has a whole processor.
//!
//! Lambda does not slow the initialisation down, so the limit applies from the first event on.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Result;
use crate::measure::cpu_time;

/// Memory in MB that gives one processor.
const WHOLE: u32 = 1769;

/// Period over which the share is enforced: in each, the process may run for its quota of processor time.
const PERIOD: Duration = Duration::from_millis(20);

/// How a process is limited to a share of a processor on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// `cpu.max` of a control group, version 2.
    Cgroup2,
    /// `cpu.cfs_quota_us` of a control group, version 1.
    Cgroup1,
    /// The process is stopped for the rest of each period once it has used up its share.
    Signals,
}

impl Mechanism {
    /// Returns the best mechanism that this machine supports.
    pub(crate) fn find() -> Self {
        let usable = |mechanism: &Self| Group::make(*mechanism, WHOLE).is_ok();
        [Self::Cgroup2, Self::Cgroup1].into_iter().find(usable).unwrap_or(Self::Signals)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cgroup2 => "cgroup v2, cpu.max, 20 ms periods",
            Self::Cgroup1 => "cgroup v1, cpu.cfs_quota_us, 20 ms periods",
            Self::Signals => "SIGSTOP and SIGCONT, 20 ms periods",
        }
    }

    /// Limits the process to the share of `memory` MB until the result is dropped.
    pub(crate) fn hold(self, pid: Pid, memory: u32) -> Result<Share> {
        if self == Self::Signals {
            return Ok(Share::Stopped(Stopper::start(pid, memory)));
        }
        let group = Group::make(self, memory)?;
        fs::write(group.0.join("cgroup.procs"), pid.to_string())?;
        Ok(Share::Group(group))
    }
}

/// An active limit on a process. Drop it when the process has ended.
pub(crate) enum Share {
    Group(Group),
    Stopped(Stopper),
}

impl Share {
    /// Removes the limit. Call this when the process has ended.
    pub(crate) fn end(self) {
        match self {
            Self::Group(group) => drop(group),
            Self::Stopped(stopper) => drop(stopper),
        }
    }
}

/// A Linux control group that the bench has created; removed when dropped.
pub(crate) struct Group(PathBuf);

impl Group {
    fn make(mechanism: Mechanism, memory: u32) -> std::io::Result<Self> {
        let quota = quota(memory).as_micros();
        let period = PERIOD.as_micros();
        let name = format!("tenure-bench-{}", std::process::id());
        let (parent, files) = if mechanism == Mechanism::Cgroup2 {
            ("/sys/fs/cgroup", vec![("cpu.max", format!("{quota} {period}"))])
        } else {
            let (quota, period) = (quota.to_string(), period.to_string());
            let files = vec![("cpu.cfs_period_us", period), ("cpu.cfs_quota_us", quota)];
            ("/sys/fs/cgroup/cpu", files)
        };
        let group = Self(Path::new(parent).join(name));
        fs::create_dir_all(&group.0)?;
        for (file, text) in files {
            // The kernel creates these files; in a directory that is no control group they are missing.
            fs::OpenOptions::new()
                .write(true)
                .open(group.0.join(file))?
                .write_all(text.as_bytes())?;
        }
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has just been killed leaves its group a little later.
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Holds a process to its share of the processor with `SIGSTOP` and `SIGCONT`, from a background thread, until dropped.
pub(crate) struct Stopper {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stopper {
    fn start(pid: Pid, memory: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (ends, quota) = (Arc::clone(&over), quota(memory));
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let (begun, used) = (Instant::now(), cpu_time(pid).unwrap_or_default());
                let _ = kill(pid, Signal::SIGCONT);
                while begun.elapsed() < PERIOD
                    && cpu_time(pid).unwrap_or_default().saturating_sub(used) < quota
                {
                    thread::sleep(Duration::from_micros(100));
                }
                let rest = PERIOD.saturating_sub(begun.elapsed());
                if !rest.is_zero() {
                    let _ = kill(pid, Signal::SIGSTOP);
                    thread::sleep(rest);
                }
            }
            let _ = kill(pid, Signal::SIGCONT);
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Returns the processor time that a function with `memory` MB has in each period.
fn quota(memory: u32) -> Duration {
    // The kernel accepts no quota below a millisecond.
    (PERIOD * memory / WHOLE).max(Duration::from_millis(1))
}
