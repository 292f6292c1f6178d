//! An instance of a function: its process, and what it is given to do.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::{Function, runtime};
use crate::process::{Log, Process, Program};
use crate::{Core, REGION};

/// How long an instance may take before it asks for work.
const INIT: Duration = Duration::from_secs(10);

/// How an invocation ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The function's answer.
    Response(Bytes),
    /// The function's own error.
    Error {
        /// `{"errorType": …, "errorMessage": …}`.
        body: Bytes,
    },
    /// The instance's own error, before it asked for work.
    Init(Bytes),
    /// It took longer than this.
    TimedOut(Duration),
    /// Its process ended, in Lambda's words.
    Exited(String),
}

/// An invocation, on its way to the instance.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) id: String,
    pub(super) payload: Bytes,
    /// In milliseconds since 1970.
    pub(super) deadline: u128,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// What the instance and its Runtime API share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) arn: String,
    /// What comes next.
    pub(super) queue: tokio::sync::Mutex<mpsc::Receiver<Work>>,
    /// What is being worked on, and where its answer goes.
    pub(super) current: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
    /// Whether it has asked for work.
    pub(super) ready: watch::Sender<bool>,
    /// What it said when it couldn't begin.
    pub(super) init_error: Mutex<Option<Bytes>>,
}

/// A process of a function, with a Runtime API of its own.
#[derive(Debug)]
pub(super) struct Instance {
    process: Process,
    desk: Arc<Desk>,
    work: mpsc::Sender<Work>,
    api: AbortHandle,
    _home: TempDir,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.api.abort();
        self.process.kill();
    }
}

impl Instance {
    /// Starts the process.
    pub(super) async fn start(
        core: &Core,
        arn: &str,
        function: &Function,
        log: &Log,
        number: usize,
    ) -> std::io::Result<Self> {
        let (work, queue) = mpsc::channel(1);
        let desk = Arc::new(Desk {
            arn: arn.to_owned(),
            queue: tokio::sync::Mutex::new(queue),
            current: Mutex::default(),
            ready: watch::Sender::new(false),
            init_error: Mutex::default(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        let api = tokio::spawn(runtime::serve(listener, Arc::clone(&desk))).abort_handle();
        let home = TempDir::new()?;
        let environment = environment(core, function, &address, number);
        let program = Program {
            path: &function.program,
            name: "/var/runtime/bootstrap",
            arguments: &[],
            environment: &environment,
            directory: home.path(),
        };
        let process = Process::start(&program, &core.leash, log)?;
        Ok(Self { process, desk, work, api, _home: home })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    pub(super) fn kill(&self) {
        self.process.kill();
    }

    /// Has one invocation done; the time counts from when the instance is ready.
    pub(super) async fn invoke(&self, id: &str, payload: Bytes, time: Duration) -> Outcome {
        let mut ready = self.desk.ready.subscribe();
        tokio::select! {
            begun = timeout(INIT, ready.wait_for(|ready| *ready)) => if begun.is_err() {
                return Outcome::TimedOut(INIT);
            },
            status = self.process.ended() => return self.exited(status),
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (answer, answered) = oneshot::channel();
        let work = Work { id: id.to_owned(), payload, deadline: (now + time).as_millis(), answer };
        if self.work.send(work).await.is_err() {
            return Outcome::Exited("Runtime exited without providing a reason".to_owned());
        }
        tokio::select! {
            // An answer that came before the end counts.
            biased;
            Ok(outcome) = answered => outcome,
            status = self.process.ended() => self.exited(status),
            () = tokio::time::sleep(time) => Outcome::TimedOut(time),
        }
    }

    fn exited(&self, status: ExitStatus) -> Outcome {
        if let Some(body) = self.desk.init_error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Outcome::Init(body);
        }
        Outcome::Exited(match (status.code(), status.signal()) {
            (Some(0), _) | (None, None) => "Runtime exited without providing a reason".to_owned(),
            (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
            (None, Some(signal)) => {
                let name = match signal {
                    6 => "aborted".to_owned(),
                    9 => "killed".to_owned(),
                    11 => "segmentation fault".to_owned(),
                    15 => "terminated".to_owned(),
                    other => format!("signal {other}"),
                };
                format!("Runtime exited with error: signal: {name}")
            }
        })
    }
}

/// What Lambda gives the program of a custom runtime, over what the function's configuration says.
fn environment(core: &Core, function: &Function, api: &str, number: usize) -> BTreeMap<String, String> {
    let session =
        core.state().people.open_session(&function.role, &function.name, None, crate::people::Given::default());
    let (access_key, secret_key, token) = session
        .map(|(keys, _)| (keys.access_key, keys.secret_key, keys.session_token.unwrap_or_default()))
        .unwrap_or_default();
    let set = [
        ("_HANDLER", function.handler.clone()),
        ("AWS_ACCESS_KEY_ID", access_key),
        ("AWS_SECRET_ACCESS_KEY", secret_key),
        ("AWS_SESSION_TOKEN", token),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_LAMBDA_RUNTIME_API", api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.name.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory.to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name)),
        ("AWS_LAMBDA_LOG_STREAM_NAME", format!("2026/11/22/[$LATEST]{number:032x}")),
        ("LAMBDA_TASK_ROOT", "/var/task".to_owned()),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_owned()),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin".to_owned()),
        // What AWS doesn't set: the way to the double.
        ("AWS_ENDPOINT_URL", core.url()),
    ];
    let own = function.environment.iter().cloned();
    own.chain(set.map(|(name, value)| (name.to_owned(), value))).collect()
}
