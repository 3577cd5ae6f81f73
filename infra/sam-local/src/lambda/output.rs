//! Relays the standard output and error of a process to the console, line by line.

use std::{
    fs::File,
    io::{ErrorKind, Read, Result},
    mem,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex},
};

use tokio::net::unix::pipe::Receiver;

use crate::{console::Console, stats::Stats, sync::lock};

/// Maximum length of a line, in bytes: `CloudWatch`'s former limit for a log event. A longer line is relayed
/// in parts.
const MAX_LINE: usize = 256 * 1024;

/// The reading end of a pipe that a process writes to.
pub(super) struct Output {
    pipe: Receiver,
    /// A second handle to the pipe, for reading before Tokio has noticed that the pipe is readable.
    file: File,
    /// The beginning of a line that is not complete yet.
    unfinished: Mutex<Vec<u8>>,
    function: String,
    console: Arc<Console>,
    stats: Arc<Stats>,
}

impl Output {
    /// Relays lines from the pipe until it is closed.
    pub(super) fn follow(
        pipe: OwnedFd,
        function: &str,
        console: &Arc<Console>,
        stats: &Arc<Stats>,
    ) -> Result<Arc<Self>> {
        let pipe = Receiver::from_owned_fd(pipe)?;
        let output = Arc::new(Self {
            file: File::from(pipe.as_fd().try_clone_to_owned()?),
            pipe,
            unfinished: Mutex::default(),
            function: function.to_owned(),
            console: Arc::clone(console),
            stats: Arc::clone(stats),
        });
        tokio::spawn(Arc::clone(&output).until_closed());
        Ok(output)
    }

    /// Relays everything written so far. To be called before an answer is passed on, so that it does not
    /// overtake the lines written before it.
    pub(super) fn catch_up(&self) {
        // The task that follows the pipe notices its end.
        let _ = self.read();
    }

    async fn until_closed(self: Arc<Self>) {
        while self.pipe.readable().await.is_ok() {
            match self.pipe.try_io(|| self.read()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    }

    /// Reads and relays lines until the pipe ends or has no more data for now (`WouldBlock`).
    fn read(&self) -> Result<()> {
        let mut unfinished = lock(&self.unfinished);
        let mut chunk = [0; 8 * 1024];
        loop {
            match (&self.file).read(&mut chunk) {
                Ok(0) if unfinished.is_empty() => return Ok(()),
                Ok(0) => self.relay(mem::take(&mut unfinished)),
                Ok(length) => {
                    for part in chunk[..length].split_inclusive(|byte| *byte == b'\n') {
                        unfinished.extend_from_slice(part);
                        let is_whole = unfinished.pop_if(|last| *last == b'\n').is_some();
                        if is_whole || unfinished.len() >= MAX_LINE {
                            self.relay(mem::take(&mut unfinished));
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn relay(&self, line: Vec<u8>) {
        let line = String::from_utf8_lossy(&line).into_owned();
        self.stats.read_log(&self.function, &line);
        self.console.relay(&self.function, line);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Write, pipe};

    use super::*;

    /// Returns a console, the pipe that a function writes to, and the output that relays it to the console.
    fn followed() -> (Arc<Console>, PipeWriter, Arc<Output>) {
        let console = Arc::new(Console::new(false, usize::MAX));
        let stats = Arc::new(Stats::new(["OneFunction".to_owned()], Vec::new()));
        let (ours, its) = pipe().unwrap();
        let output = Output::follow(ours.into(), "OneFunction", &console, &stats).unwrap();
        (console, its, output)
    }

    /// The test runs on one thread and never yields to the task that follows the pipe, so only `catch_up` reads.
    #[tokio::test]
    async fn written_lines_are_relayed_at_once() {
        let (console, mut its, output) = followed();
        its.write_all(b"first\nsecond\nthi").unwrap();
        output.catch_up();
        assert_eq!(console.lines(), ["first", "second"]);
        its.write_all(b"rd\nlast words").unwrap();
        drop(its);
        output.catch_up();
        assert_eq!(console.lines(), ["first", "second", "third", "last words"]);
        output.catch_up();
        assert_eq!(console.lines().len(), 4);
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_relayed_in_parts() {
        let (console, mut its, output) = followed();
        let chunk = vec![b'x'; 32 * 1024];
        for _ in 0..=(MAX_LINE / chunk.len()) {
            its.write_all(&chunk).unwrap();
            output.catch_up();
        }
        let lines = console.lines();
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE]);
    }
}
