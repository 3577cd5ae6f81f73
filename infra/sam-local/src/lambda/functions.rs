//! Invokes functions: synchronously, or asynchronously with retries and dead letters.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Bytes;
use tokio::{
    process::Command,
    sync::{Semaphore, watch},
};

use super::{
    failure::Failure,
    process::{Process, Refusal, Watchers},
};
use crate::{
    activity::Activity,
    aws::REGION,
    clock::{Clock, unique_id},
    console::Console,
    error::Error,
    stats::Stats,
    sync::lock,
    template,
};

/// Maximum number of processes of one function, unless the template reserves fewer.
const MAX_PROCESSES: usize = 8;

/// Pause before the first retry of an asynchronous invocation; it doubles before each further one. AWS waits
/// minutes.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The functions and their processes.
pub(crate) struct Functions {
    by_id: BTreeMap<String, Function>,
    /// Running processes by id, for the Runtime API.
    processes: Mutex<HashMap<String, Arc<Process>>>,
    surroundings: Surroundings,
}

/// Settings and services that all functions share.
pub(crate) struct Surroundings {
    /// Directory of the executables.
    pub(crate) binaries: PathBuf,
    /// Endpoint of the Runtime API, `DynamoDB`, `EventBridge`, KMS and SES.
    pub(crate) address: SocketAddr,
    /// Environment variables that every function gets in addition to those of the template.
    pub(crate) environment: BTreeMap<String, String>,
    /// Name of the environment variable that tells a function by how many seconds virtual time is ahead of
    /// the machine's clock; `None`: functions use the machine's time.
    pub(crate) clock_variable: Option<String>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) console: Arc<Console>,
    pub(crate) activity: Arc<Activity>,
    /// Stop signal: every process ends once the value is true or the sender is dropped.
    pub(crate) stopping: watch::Receiver<bool>,
}

struct Function {
    definition: template::Function,
    slots: Semaphore,
    idle: Mutex<Vec<Arc<Process>>>,
}

impl Functions {
    /// Checks that the functions' binaries exist. Processes start later, when functions are invoked.
    pub(crate) fn new(
        functions: Vec<template::Function>,
        surroundings: Surroundings,
    ) -> Result<Arc<Self>, Error> {
        for function in &functions {
            let file = surroundings.binaries.join(&function.binary);
            if !file.is_file() {
                let (id, file) = (&function.id, file.display());
                return Err(Error::new(format!("the binary of {id} does not exist: {file}")));
            }
        }
        let by_id = functions.into_iter().map(|one| (one.id.clone(), Function::new(one))).collect();
        Ok(Arc::new(Self { by_id, processes: Mutex::default(), surroundings }))
    }

    pub(crate) fn has(&self, function: &str) -> bool {
        self.by_id.contains_key(function)
    }

    /// Invokes a function and waits for its answer. As on AWS, the invocation continues if the caller stops
    /// waiting.
    pub(crate) async fn invoke(
        self: &Arc<Self>,
        function: &str,
        payload: Bytes,
    ) -> Result<Bytes, Failure> {
        let (functions, function) = (Arc::clone(self), function.to_owned());
        let call = tokio::spawn(async move { functions.call(&function, payload).await });
        call.await.unwrap_or_else(|error| Err(Failure::NotStarted(error.to_string())))
    }

    /// Invokes a function asynchronously, and retries if that fails. If the last retry fails too, keeps the
    /// event as a dead letter. The dead letter names `cause`, which led to the invocation, such as a rule.
    pub(crate) fn invoke_later(self: &Arc<Self>, function: &str, payload: Bytes, cause: &str) {
        let (functions, busy) = (Arc::clone(self), self.surroundings.activity.begin());
        let (function, cause) = (function.to_owned(), cause.to_owned());
        tokio::spawn(async move {
            functions.call_until_done(&function, payload, &cause).await;
            drop(busy);
        });
    }

    /// Waits until every process has ended.
    pub(crate) async fn ended(&self) {
        let processes: Vec<_> = lock(&self.processes).values().cloned().collect();
        for process in processes {
            process.end().await;
        }
    }

    /// Kills a process at once.
    pub(crate) fn kill(&self, process: &str) {
        if let Some(process) = self.process(process) {
            process.kill();
        }
    }

    /// Ends the idle processes after virtual time was moved, since a process learns the time offset only at
    /// its start. Busy processes are ended by `release` when they have answered.
    pub(crate) fn retire_idle(&self) {
        for function in self.by_id.values() {
            lock(&function.idle).drain(..).for_each(|process| process.kill());
        }
    }

    async fn call_until_done(&self, function: &str, payload: Bytes, cause: &str) {
        let retries = self.by_id.get(function).map_or(0, |one| one.definition.async_retries);
        for attempt in 0..=retries {
            match self.call(function, payload.clone()).await {
                Ok(_) => return,
                Err(failure) if attempt == retries => {
                    let event = serde_json::from_slice(&payload).unwrap_or_default();
                    let Surroundings { activity, .. } = &self.surroundings;
                    activity.give_up(cause, function, &event, &failure.payload());
                }
                Err(_) => tokio::time::sleep(RETRY_PAUSE * 2u32.saturating_pow(attempt)).await,
            }
        }
    }

    async fn call(&self, id: &str, payload: Bytes) -> Result<Bytes, Failure> {
        let unknown = || Failure::NoSuchFunction(id.to_owned());
        let function = self.by_id.get(id).ok_or_else(unknown)?;
        let slot = function.slots.acquire().await;
        let answer = self.call_process(function, payload).await;
        drop(slot);
        self.surroundings.stats.count(id, |counters| {
            counters.invocations += 1;
            counters.errors += u64::from(answer.is_err());
        });
        if let Err(failure) = &answer {
            self.surroundings.console.say(&format!("{id} failed: {}", failure.payload()));
        }
        answer
    }

    async fn call_process(&self, function: &Function, payload: Bytes) -> Result<Bytes, Failure> {
        loop {
            let process = match lock(&function.idle).pop() {
                Some(process) => process,
                None => self.start(function)?,
            };
            match process.handle(payload.clone(), function.definition.timeout).await {
                // This process did not take the event: another process gets it.
                Err(Refusal::DiedIdle) => {}
                Err(Refusal::Failure(failure)) => {
                    self.after_failure(function, process, &failure);
                    return Err(failure);
                }
                Ok(answer) => {
                    self.release(function, process);
                    return Ok(answer);
                }
            }
        }
    }

    /// Keeps a process for reuse if the function itself reported the error, and ends it after any other
    /// failure.
    fn after_failure(&self, function: &Function, process: Arc<Process>, failure: &Failure) {
        if matches!(failure, Failure::Function(_)) {
            self.release(function, process);
        } else {
            process.kill();
        }
    }

    /// Keeps the process for the next invocation, or ends it if virtual time was moved since it started.
    fn release(&self, function: &Function, process: Arc<Process>) {
        if process.clock_offset() == self.surroundings.clock.offset_seconds() {
            lock(&function.idle).push(process);
        } else {
            process.kill();
        }
    }

    fn start(&self, function: &Function) -> Result<Arc<Process>, Failure> {
        let definition = &function.definition;
        let id = unique_id();
        let offset = self.surroundings.clock.offset_seconds();
        let command = self.command(definition, &id, offset);
        // Locked until the process is registered: a quick one asks for its first event before this returns.
        let mut processes = lock(&self.processes);
        let process = Process::start(command, id, offset, &definition.id, self.watchers())
            .map_err(|error| Failure::NotStarted(error.to_string()))?;
        processes.insert(process.id().to_owned(), Arc::clone(&process));
        drop(processes);
        self.surroundings.stats.count(&definition.id, |counters| counters.cold_starts += 1);
        Ok(process)
    }

    /// Returns the command that starts a process. Its environment has the variables of the template, those
    /// that Lambda sets, and the endpoints of the stack.
    fn command(&self, function: &template::Function, process: &str, offset: i64) -> Command {
        let Surroundings { binaries, address, environment, clock_variable, .. } =
            &self.surroundings;
        let mut command = Command::new(absolute(binaries).join(&function.binary));
        command.env_clear().envs(&function.environment).envs([
            ("AWS_LAMBDA_FUNCTION_NAME", function.id.as_str()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &function.memory_mb.to_string()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_FORMAT", &function.log_format),
            ("AWS_LAMBDA_LOG_GROUP_NAME", &format!("/aws/lambda/{}", function.id)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", process),
            // A runtime API with a path needs its scheme spelled out.
            ("AWS_LAMBDA_RUNTIME_API", &format!("http://{address}/{process}")),
            ("_HANDLER", &function.handler),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            // Credentials name the function and the process of each call.
            ("AWS_ACCESS_KEY_ID", &function.id),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_SESSION_TOKEN", process),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &format!("http://{address}")),
            ("AWS_ENDPOINT_URL_EVENTBRIDGE", &format!("http://{address}")),
            ("AWS_ENDPOINT_URL_KMS", &format!("http://{address}")),
            ("AWS_ENDPOINT_URL_SESV2", &format!("http://{address}")),
        ]);
        command.envs(environment);
        if let Some(variable) = clock_variable {
            command.env(variable, offset.to_string());
        }
        if let Some(level) = &function.log_level {
            command.env("AWS_LAMBDA_LOG_LEVEL", level);
        }
        command
    }

    fn watchers(&self) -> Watchers {
        let Surroundings { console, stats, stopping, .. } = &self.surroundings;
        Watchers {
            console: Arc::clone(console),
            stats: Arc::clone(stats),
            stopping: stopping.clone(),
        }
    }

    /// Returns the running process with this id.
    pub(super) fn process(&self, id: &str) -> Option<Arc<Process>> {
        let mut processes = lock(&self.processes);
        processes.retain(|_, process| !process.has_ended());
        processes.get(id).cloned()
    }
}

impl Function {
    fn new(definition: template::Function) -> Self {
        let slots = definition.concurrency.map_or(MAX_PROCESSES, |all| all.min(MAX_PROCESSES));
        Self { definition, slots: Semaphore::new(slots), idle: Mutex::default() }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
