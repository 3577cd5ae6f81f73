//! A process of a function, which handles one event at a time.

use std::{
    process::Stdio,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use tokio::{
    process::{Child, ChildStderr, ChildStdout, Command},
    sync::{Mutex as AsyncMutex, Notify, mpsc, oneshot, watch},
};

use super::{failure::Failure, output::Output};
use crate::{clock::unique_id, console::Console, stats::Stats, sync::lock};

/// Maximum time from the start of a process to its first request for an event, as on Lambda.
const INIT_LIMIT: Duration = Duration::from_secs(10);

type Answer = Result<Bytes, Bytes>;

/// A process of a function, with its inbox, its output and its state.
pub(crate) struct Process {
    id: String,
    function: String,
    clock_offset: i64,
    started: Instant,
    init: OnceLock<Duration>,
    inbox: mpsc::Sender<Event>,
    waiting: AsyncMutex<mpsc::Receiver<Event>>,
    current: Mutex<Option<(String, oneshot::Sender<Answer>)>>,
    outputs: Vec<Arc<Output>>,
    kill: Arc<Notify>,
    ended: watch::Receiver<Option<String>>,
    stats: Arc<Stats>,
}

/// Surroundings of a process: the console, the counters, and the signal that ends the process.
pub(super) struct Watchers {
    pub(super) console: Arc<Console>,
    pub(super) stats: Arc<Stats>,
    /// Stop signal: the process ends once the value is true or the sender is dropped.
    pub(super) stopping: watch::Receiver<bool>,
}

/// An event that a process is to handle.
pub(super) struct Event {
    pub(super) request_id: String,
    pub(super) payload: Bytes,
    pub(super) timeout: Duration,
    taken: oneshot::Sender<()>,
    answer: oneshot::Sender<Answer>,
}

/// Reason why a process did not answer.
pub(super) enum Refusal {
    /// The process ended while it was idle, before it took the event.
    DiedIdle,
    Failure(Failure),
}

impl Process {
    pub(super) fn start(
        mut command: Command,
        id: String,
        clock_offset: i64,
        function: &str,
        watchers: Watchers,
    ) -> std::io::Result<Arc<Self>> {
        let started = Instant::now();
        // A process group of its own: Ctrl-C in a terminal goes to the stack, which ends its processes.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().map(ChildStdout::into_owned_fd);
        let stderr = child.stderr.take().map(ChildStderr::into_owned_fd);
        let pipes = stdout.into_iter().chain(stderr);
        let Watchers { console, stats, stopping } = watchers;
        let outputs = pipes.map(|pipe| Output::follow(pipe?, function, &console, &stats));
        let outputs = outputs.collect::<std::io::Result<Vec<_>>>()?;
        let kill = Arc::new(Notify::new());
        let (ended_sender, ended) = watch::channel(None);
        let killed = Arc::clone(&kill);
        let written = outputs.clone();
        tokio::spawn(async move {
            let status = attend(child, &killed, stopping).await;
            catch_up(&written);
            ended_sender.send_replace(Some(status));
        });
        let (inbox, waiting) = mpsc::channel(1);
        Ok(Arc::new(Self {
            id,
            function: function.to_owned(),
            clock_offset,
            started,
            init: OnceLock::new(),
            inbox,
            waiting: AsyncMutex::new(waiting),
            current: Mutex::default(),
            outputs,
            kill,
            ended,
            stats,
        }))
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn function(&self) -> &str {
        &self.function
    }

    pub(super) fn clock_offset(&self) -> i64 {
        self.clock_offset
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    pub(super) fn kill(&self) {
        self.kill.notify_one();
    }

    /// Hands the process an event and waits for its answer.
    pub(super) async fn handle(&self, payload: Bytes, timeout: Duration) -> Result<Bytes, Refusal> {
        let (taken_sender, taken) = oneshot::channel();
        let (answer_sender, answer) = oneshot::channel();
        let event = Event {
            request_id: unique_id(),
            payload,
            timeout,
            taken: taken_sender,
            answer: answer_sender,
        };
        // Fails only if an earlier event was never taken, in which case the process is dead.
        let _ = self.inbox.try_send(event);
        tokio::select! {
            biased;
            Ok(()) = taken => {}
            status = self.end() => return Err(self.died_before_taking(&status)),
            () = tokio::time::sleep(INIT_LIMIT) => {
                return Err(Refusal::Failure(Failure::TimedOut(INIT_LIMIT)));
            }
        }
        let failure = tokio::select! {
            biased;
            Ok(answer) = answer => match answer {
                Ok(body) => return Ok(body),
                Err(body) => Failure::Function(body),
            },
            status = self.end() => Failure::Exited(status),
            () = tokio::time::sleep(timeout) => Failure::TimedOut(timeout),
        };
        Err(Refusal::Failure(failure))
    }

    /// Waits for the next event on behalf of the process, which has asked for it. The first such request ends
    /// the init phase.
    pub(super) async fn next(&self) -> Option<Event> {
        if self.init.set(self.started.elapsed()).is_ok() {
            let init = self.started.elapsed().as_secs_f64() * 1_000.0;
            let init = (init * 100.0).round() / 100.0;
            self.stats.count(&self.function, |counters| counters.init_ms = Some(init));
        }
        self.waiting.lock().await.recv().await
    }

    /// Marks the event as taken by the process. If the process ends from now on, the invocation fails;
    /// before, another process would have got the event.
    pub(super) fn take(&self, event: Event) {
        *lock(&self.current) = Some((event.request_id, event.answer));
        // The caller may have left; the process handles the event all the same.
        let _ = event.taken.send(());
    }

    /// Passes the process's answer to whoever invoked the function. Returns false if the process is not
    /// handling the event with this id, or if nobody waits for the answer any more.
    pub(super) fn answer(&self, request_id: &str, answer: Answer) -> bool {
        catch_up(&self.outputs);
        let mut current = lock(&self.current);
        match current.take_if(|(id, _)| id == request_id) {
            Some((_, waiting)) => waiting.send(answer).is_ok(),
            None => false,
        }
    }

    /// Waits until the process has ended, and returns its exit status.
    pub(super) async fn end(&self) -> String {
        let mut ended = self.ended.clone();
        let status = ended.wait_for(Option::is_some).await.ok().and_then(|status| status.clone());
        status.unwrap_or_else(|| "stopped".into())
    }

    fn died_before_taking(&self, status: &str) -> Refusal {
        match self.init.get() {
            Some(_) => Refusal::DiedIdle,
            None => {
                Refusal::Failure(Failure::NotStarted(format!("ended while starting: {status}")))
            }
        }
    }
}

fn catch_up(outputs: &[Arc<Output>]) {
    for output in outputs {
        output.catch_up();
    }
}

/// Waits until the process ends; kills it on request or when the stack stops. Returns the exit status.
async fn attend(mut child: Child, kill: &Notify, mut stopping: watch::Receiver<bool>) -> String {
    tokio::select! {
        status = child.wait() => return status.map_or_else(|e| e.to_string(), |s| s.to_string()),
        () = kill.notified() => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    // Fails only if it has just ended by itself.
    let _ = child.start_kill();
    child.wait().await.map_or_else(|e| e.to_string(), |s| s.to_string())
}
