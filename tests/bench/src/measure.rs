//! One process of a function, from start to end, and the cost of each step.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::Result;
use crate::runtime_api::{Asked, RuntimeApi};
use crate::share::{Mechanism, Share};

/// A running process of a function.
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    api: RuntimeApi,
    asked: Option<Asked>,
    share: Option<Share>,
    /// Cost of the initialisation: from the start of the process until it asked for its first event.
    pub(crate) init: Cost,
}

/// Elapsed time and processor time of one step of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// Processor time of all threads, in user and kernel mode.
    pub(crate) cpu: Duration,
}

impl Process {
    /// Starts a process, and waits until it asks for its first event. From then on, the process gets only the share of
    /// a processor that Lambda gives a function with `held` MB of memory; `None` sets no limit.
    pub(crate) async fn start(
        mut command: Command,
        held: Option<(Mechanism, u32)>,
    ) -> Result<Self> {
        let mut api = RuntimeApi::start().await?;
        command
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let started = Instant::now();
        let mut child = command.spawn()?;
        let pid = Pid::from_raw(i32::try_from(child.id().ok_or("it has ended")?)?);
        let asked = tokio::select! {
            asked = api.asked() => asked?,
            status = child.wait() => return Err(format!("it ended while starting: {}", status?).into()),
        };
        let init = Cost { wall: asked.at - started, cpu: cpu_time(pid)? };
        let share = held.map(|(mechanism, memory)| mechanism.hold(pid, memory)).transpose()?;
        Ok(Self { child, pid, api, asked: Some(asked), share, init })
    }

    /// Hands the process an event, and waits until it asks for the next one. Returns the cost and the answer. The
    /// elapsed time ends with the answer; the processor time includes the work that follows the answer.
    pub(crate) async fn invoke(
        &mut self,
        event: &Value,
        timeout: Duration,
    ) -> Result<(Cost, Value)> {
        let asked = self.asked.take().ok_or("it does not wait for an event")?;
        let used = cpu_time(self.pid)?;
        let given = Instant::now();
        asked.give(event, timeout)?;
        let answer = tokio::select! {
            answer = self.api.answered() => answer?,
            status = self.child.wait() => return Err(format!("it ended: {}", status?).into()),
        };
        self.asked = Some(self.api.asked().await?);
        let cost = Cost { wall: answer.at - given, cpu: cpu_time(self.pid)?.saturating_sub(used) };
        if answer.is_error {
            return Err(String::from_utf8_lossy(&answer.body).into_owned().into());
        }
        Ok((cost, serde_json::from_slice(&answer.body)?))
    }

    /// Returns the peak resident memory, in KiB.
    pub(crate) fn peak_rss_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no VmHWM")?;
        Ok(kib.parse()?)
    }

    /// Ends the process.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.child.kill().await?;
        if let Some(share) = self.share.take() {
            share.end();
        }
        Ok(())
    }
}

/// Returns the processor time that a process has used, to the nanosecond.
pub(crate) fn cpu_time(pid: Pid) -> Result<Duration> {
    Ok(clock_gettime(ClockId::pid_cpu_clock_id(pid)?)?.into())
}
