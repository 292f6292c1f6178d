//! What of AWS the tests need and no emulator has, as one HTTP server on loopback: Lambda and ECS that run real
//! programs, versions and aliases of functions, CloudWatch's alarms, ECS's services and what their tasks write to CloudWatch Logs, STS and IAM over several accounts, KMS with
//! Ed25519, Parameter Store, what rules and schedules of EventBridge say, S3 that asks IAM before an S3 server behind it, and the tokens that GitHub gives its jobs.
//! Each service speaks its own protocol; its module says what is true to AWS and what is not.
//!
//! It answers only calls by identities that it knows and whose credentials haven't expired, and takes a call for the
//! region and the service that the signature names. It doesn't check the signature itself: `moto` does neither, and the
//! SDK's signatures are AWS's business. A call that it doesn't know is an error of the test, not of the program: it is
//! answered with HTTP 501, written to standard error, and the double panics at its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper is a failed test")]
#![allow(clippy::print_stderr, reason = "the author of a test must see what it asked for in vain")]

mod account;
mod cloudwatch;
mod description;
mod ecs;
mod events;
mod failure;
mod functions;
mod http;
pub mod iam;
mod kms;
mod lambda;
mod logs;
mod people;
mod process;
mod s3;
mod scheduler;
mod schedules;
mod server;
mod services;
mod ssm;
mod sts;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

pub use account::Account;
pub use description::Description;
pub use ecs::{DeploymentView, Fate, HealthCheck, Script, ServiceView, TaskFailure, TaskStatus, TaskView};
pub use failure::{Call, Failure};
pub use kms::KeyState;
pub use lambda::Function;
pub use people::{GITHUB_BEARER, Keys, Role};

use process::Leash;

/// The account of [`USER`], and of all that isn't put into another.
pub const ACCOUNT: &str = "111111111111";
/// A second account.
pub const PRODUCTION: &str = "222222222222";
/// The region of everything here.
pub const REGION: &str = "eu-central-1";
/// Whose credentials [`Double::environment`] holds; they may do everything in [`ACCOUNT`].
pub const USER: &str = "arn:aws:iam::111111111111:user/ci";
/// Their access key id.
pub const ACCESS_KEY: &str = "AKIAAIRLOCKDOUBLE000";
/// Their secret; it is looked for in output, where it must not be.
pub const SECRET_KEY: &str = "double/SecretAccessKey/never/printed";

/// A running double. It ends, and with it every program that it started, when its last clone is dropped or the process
/// ends.
#[derive(Debug, Clone)]
pub struct Double {
    running: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    core: Arc<Core>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What all its connections share.
#[derive(Debug)]
pub(crate) struct Core {
    address: SocketAddr,
    state: Mutex<State>,
    pub(crate) leash: Arc<Leash>,
}

/// All that the double knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) keys: Vec<kms::Key>,
    pub(crate) people: people::People,
    pub(crate) ecs: ecs::Ecs,
    pub(crate) lambda: lambda::Lambda,
    pub(crate) rules: events::Rules,
    pub(crate) schedules: Vec<scheduler::Schedule>,
    pub(crate) functions: lambda::Functions,
    pub(crate) alarms: Vec<cloudwatch::Alarm>,
    pub(crate) s3: s3::S3,
    pub(crate) parameters: Vec<ssm::Parameter>,
    pub(crate) failures: Vec<(String, Failure)>,
    pub(crate) calls: Vec<Call>,
    pub(crate) complaints: Vec<String>,
}

impl Core {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let complaints = std::mem::take(&mut self.core.state().complaints);
        assert!(complaints.is_empty() || std::thread::panicking(), "{}", complaints.join("\n"));
    }
}

impl Double {
    /// Starts one on a free port of loopback.
    ///
    /// # Panics
    /// When loopback can't be listened on.
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// Starts one on a port of loopback that is known before.
    ///
    /// # Panics
    /// When it can't be listened on.
    pub fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("loopback can be listened on");
        listener.set_nonblocking(true).expect("a listener can be made not to block");
        let address = listener.local_addr().expect("a listener has an address");
        let core = Arc::new(Core { address, state: Mutex::default(), leash: Arc::new(Leash::new()) });
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&core);
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there are threads");
            let scheduled = Arc::clone(&served);
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener is one to tokio, too");
                tokio::select! {
                    () = server::serve(listener, served) => {}
                    () = ecs::live(&scheduled) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { running: Arc::new(Running { core, stop: Some(stop), thread: Some(thread) }) }
    }

    /// Its address, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        self.running.core.url()
    }

    /// The environment of a program that is to use it, as [`USER`] in [`REGION`], and nothing else of AWS.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let user = Keys { access_key: ACCESS_KEY.to_owned(), secret_key: SECRET_KEY.to_owned(), session_token: None };
        self.environment_of(&user)
    }

    /// The same with other credentials.
    pub fn environment_of(&self, keys: &Keys) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", keys.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", keys.secret_key.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ];
        environment.extend(keys.session_token.clone().map(|token| ("AWS_SESSION_TOKEN", token)));
        environment
    }

    /// An account, to put something into.
    pub fn account<'a>(&'a self, id: &'a str) -> Account<'a> {
        Account::new(self, id)
    }

    /// Makes a KMS key in [`ACCOUNT`] from a seed, in this state, with an alias; its ARN.
    pub fn key(&self, alias: &str, seed: u8, state: KeyState) -> String {
        self.account(ACCOUNT).key(alias, seed, state)
    }

    /// Changes the state of the keys with an alias.
    pub fn set_key(&self, alias: &str, state: KeyState) {
        self.state().set_key(alias, state);
    }

    /// Lets a role of [`ACCOUNT`] be taken on.
    pub fn role(&self, role: Role) {
        self.account(ACCOUNT).role(role);
    }

    /// Opens a session of a role for so long, as if somebody had taken it on; zero is one that has expired.
    ///
    /// # Panics
    /// When there is no such role.
    pub fn session(&self, role: &str, lasts: Duration) -> Keys {
        let opened = self.state().people.open_session(role, "test", Some(lasts), people::Given::default());
        opened.unwrap_or_else(|| panic!("there is no role {role}")).0
    }

    /// The next call of an action, such as `kms:Sign`, fails like this. Several are used up in order.
    pub fn fail(&self, action: &str, failure: Failure) {
        self.state().failures.push((action.to_owned(), failure));
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// The calls of one action so far.
    pub fn calls_of(&self, action: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.action == action).collect()
    }

    /// Every secret that it has given out: they must be in no output.
    pub fn secrets(&self) -> Vec<String> {
        self.state().people.secrets()
    }

    /// What it was asked for and can't do; forgotten with this.
    pub fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut self.state().complaints)
    }

    /// Lets S3 be this server, which must let in anybody, as `SeaweedFs::start_open` does.
    pub fn s3(&self, endpoint: &str) {
        self.state().s3.set_behind(endpoint);
    }

    /// Lets an image have a program at a path inside; several calls add several. It is named as task definitions name
    /// it, or by its digest (`sha256:…`), wherever it is pulled from.
    pub fn image(&self, name: &str, inside: &str, program: impl Into<PathBuf>) {
        self.state().ecs.add_image(name, inside, program.into());
    }

    /// Lets an image be pulled no more.
    pub fn remove_image(&self, name: &str) {
        self.state().ecs.remove_image(name);
    }

    /// How long each state of a task takes that isn't RUNNING; 10 ms to begin with.
    pub fn pace(&self, pace: Duration) {
        self.state().ecs.pace = pace;
    }

    /// Everything that a function's instances wrote.
    ///
    /// # Panics
    /// When there is no such function.
    pub fn function_log(&self, arn: &str) -> String {
        self.state().function_log(arn).unwrap_or_else(|| panic!("there is no function {arn}"))
    }

    /// Ends the idle instances of a function: its next invocation is a cold start.
    pub fn cool_down(&self, arn: &str) {
        self.state().cool_down(arn);
    }

    /// All tasks, the oldest first.
    pub fn tasks(&self) -> Vec<TaskView> {
        self.state().ecs.views()
    }

    /// A task.
    ///
    /// # Panics
    /// When ECS doesn't know it.
    pub fn task(&self, arn: &str) -> TaskView {
        let view = self.tasks().into_iter().find(|task| task.arn == arn);
        view.unwrap_or_else(|| panic!("there is no task {arn}"))
    }

    /// Waits until a task is as it should be.
    ///
    /// # Panics
    /// When that takes longer than a minute, with what the task is like.
    pub fn wait_for(&self, arn: &str, wanted: impl Fn(&TaskView) -> bool) -> TaskView {
        let begun = Instant::now();
        loop {
            let task = self.task(arn);
            if wanted(&task) {
                return task;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the task never becomes what it should be: {task:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills a task with everything that it started.
    pub fn kill(&self, arn: &str) {
        self.state().ecs.kill(arn, None);
    }

    /// Kills a task as one whose memory is used up.
    pub fn out_of_memory(&self, arn: &str) {
        self.state().ecs.kill(arn, Some("OutOfMemoryError: Container killed due to memory usage"));
    }

    /// Takes its capacity from a task, as Fargate Spot does: SIGTERM, later SIGKILL.
    pub fn interrupt(&self, arn: &str) {
        self.state().ecs.interrupt(arn);
    }

    /// Stops a task's processes where they are: it neither goes on nor ends.
    pub fn freeze(&self, arn: &str) {
        self.state().ecs.freeze(arn, true);
    }

    /// Lets a frozen task go on.
    pub fn thaw(&self, arn: &str) {
        self.state().ecs.freeze(arn, false);
    }

    /// Lets ECS forget a task, as it does an hour after its end, and the client token that it was started with. A task
    /// that still runs is killed.
    pub fn forget(&self, arn: &str) {
        self.state().ecs.forget(arn);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.running.core.state()
    }
}
