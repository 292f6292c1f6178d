//! Workers as processes on this machine.
//!
//! A worker outlives whoever started it: it has its own process group, so that Ctrl-C in the CLI doesn't reach it, no
//! terminal, a log of its own, and of the environment only what [`Surroundings`] lets through.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use manifest_schema::job::{Action, JobId, TaskId};
use records::config::WorkerConfig;
use records::task;
use tokio::process::{Child, Command};

use super::LauncherError;

/// The worker's program.
pub(super) const WORKER: &str = "airlock-worker";
/// Names a worker's program that is somewhere else.
pub(super) const WORKER_VARIABLE: &str = "AIRLOCK_WORKER";
/// All of the environment that a worker gets. What decides anything is in its configuration file. With what is AWS's, it
/// reaches a key in KMS; Terraform gets none of it.
const PASSED_ON: [&str; 18] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "AIRLOCK_TERRAFORM",
    "AIRLOCK_LOG",
    "RUST_LOG",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_CA_BUNDLE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// The surroundings of a process that workers are found in and started with.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Of the environment: what is passed on, and what says where the worker is.
    pub variables: BTreeMap<String, OsString>,
    /// This program.
    pub program: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        let wanted = PASSED_ON.into_iter().chain([WORKER_VARIABLE]);
        let variables = wanted.filter_map(|name| env::var_os(name).map(|value| (name.to_owned(), value))).collect();
        Self { variables, program: env::current_exe().ok() }
    }

    /// The worker's program: what `AIRLOCK_WORKER` names, else beside this program, else on the path. Where it would be
    /// if there is none, so that only who starts a worker fails.
    pub fn find_worker(&self) -> PathBuf {
        if let Some(named) = self.variables.get(WORKER_VARIABLE).filter(|value| !value.is_empty()) {
            return std::path::absolute(named).unwrap_or_else(|_| PathBuf::from(named));
        }
        let beside = self.program.as_deref().and_then(Path::parent).map(|folder| folder.join(WORKER));
        let path = self.variables.get("PATH").map(env::split_paths).into_iter().flatten();
        let mut places = beside.iter().cloned().chain(path.map(|folder| folder.join(WORKER)));
        let found = places.find(|place| is_program(place));
        found.or_else(|| beside.clone()).unwrap_or_else(|| PathBuf::from(WORKER))
    }

    fn passed_on(&self) -> impl Iterator<Item = (&String, &OsString)> {
        self.variables.iter().filter(|(name, _)| PASSED_ON.contains(&name.as_str()))
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Starts workers as processes on this machine.
#[derive(Debug, Clone)]
pub struct LocalLauncher {
    worker: PathBuf,
    planner: PathBuf,
    deployer: PathBuf,
    logs: PathBuf,
    surroundings: Surroundings,
}

impl LocalLauncher {
    /// Starts the program `worker`, with the configuration `planner` for plan and drift jobs and `deployer` for apply
    /// jobs, and a log for each job in `logs`.
    pub fn new(
        worker: PathBuf,
        planner: PathBuf,
        deployer: PathBuf,
        logs: PathBuf,
        surroundings: Surroundings,
    ) -> Self {
        Self { worker, planner, deployer, logs, surroundings }
    }

    pub(super) fn ready(&self) -> Result<(), LauncherError> {
        if is_program(&self.worker) {
            return Ok(());
        }
        if self.worker.exists() {
            return Err(LauncherError::NotAProgram { path: self.worker.clone() });
        }
        let places = match self.worker.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => format!("in {} or on the path", folder.display()),
            Some(_) | None => "on the path".to_owned(),
        };
        Err(LauncherError::NoWorker { places })
    }

    pub(super) fn log_of(&self, job: JobId) -> PathBuf {
        self.logs.join(format!("{job}.log"))
    }

    pub(super) async fn start(&self, job: JobId, action: Action) -> Result<Option<TaskId>, LauncherError> {
        self.ready()?;
        let config = match action {
            Action::Plan | Action::Drift => &self.planner,
            Action::Apply => &self.deployer,
        };
        // Only its log would say so.
        WorkerConfig::read(config).map_err(LauncherError::Configuration)?;
        let (out, err) = self.open_log(job)?;
        let spawned = Command::new(&self.worker)
            .arg("--config")
            .arg(config)
            .arg(job.to_string())
            .env_clear()
            .envs(self.surroundings.passed_on())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn();
        let child = spawned.map_err(|source| LauncherError::Spawn { path: self.worker.clone(), source })?;
        Ok(name_and_reap(child))
    }

    /// The log, for appending: a job that is started again adds to it.
    fn open_log(&self, job: JobId) -> Result<(File, File), LauncherError> {
        let path = self.log_of(job);
        let failed = |source| LauncherError::Log { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.logs).map_err(failed)?;
        let out = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        Ok((out, err))
    }
}

/// Names the process while it can't have been reaped, then waits for it in the background: a zombie would keep its pid.
fn name_and_reap(mut child: Child) -> Option<TaskId> {
    let task = child
        .id()
        .and_then(|pid| task::process(pid).inspect_err(|error| tracing::warn!(%error, "a worker can't be named")).ok());
    tokio::spawn(async move {
        if let Err(error) = child.wait().await {
            tracing::warn!(%error, "a worker can't be waited for");
        }
    });
    task
}
