//! How a worker is started, and what it believes of that.
//!
//! On a machine of one's own: a configuration file and a job id. As an ECS task, the entry point of the task definition is
//! `airlock-worker --task CONFIGURATION --`, and ECS appends the command, which alone whoever runs the task can choose,
//! beside the environment. So in this mode exactly one job id may follow, nothing else is looked at, and the environment is
//! left behind: the worker begins again without it.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use clap::Parser;
use manifest_schema::job::{JobId, TaskId};
use records::config::WorkerConfig;
use records::task::{self, exit};

/// The first argument of a worker that is an ECS task.
const TASK: &str = "--task";
/// Where programs are in the worker's image.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Set by ECS: where, at a fixed address, the credentials of the task's role are.
const RELATIVE_URI: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
/// The same as a whole address; taken only if nobody else could answer there.
const FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
/// What is shown there.
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
/// Where a container finds its own task's metadata, beside loopback in tests.
const ECS_HOST: &str = "169.254.170.2";

/// A worker that can't even take its job.
#[derive(Debug)]
pub(crate) struct Unable {
    /// With what it ends: see [`exit`].
    pub(crate) code: u8,
    /// Why.
    pub(crate) error: anyhow::Error,
}

impl Unable {
    pub(crate) fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into() }
    }
}

impl From<anyhow::Error> for Unable {
    fn from(error: anyhow::Error) -> Self {
        Self::new(1, error)
    }
}

/// Does one deploy job.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The worker's own configuration.
    #[arg(long, env = "AIRLOCK_WORKER_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The job.
    job: JobId,
}

/// What a worker is to do, and what it knows of itself.
pub(crate) struct Start {
    /// Its own configuration.
    pub(crate) config: WorkerConfig,
    /// The job.
    pub(crate) job: JobId,
    /// Whether it is an ECS task.
    pub(crate) in_ecs: bool,
}

impl Start {
    /// Reads the command line. For an ECS task, only after the environment was left behind.
    ///
    /// # Errors
    /// When it is no command of a worker, or the configuration can't be used. (What is wrong with a command line that a
    /// person typed is told by clap, which ends the process.)
    pub(crate) fn read() -> Result<Self, Unable> {
        let arguments: Vec<OsString> = env::args_os().skip(1).collect();
        if arguments.first().is_some_and(|first| first == TASK) {
            let (config, job) = of_task(&arguments)?;
            return Ok(Self { config, job, in_ecs: true });
        }
        let Args { config, job } = Args::parse();
        let config = WorkerConfig::read(&config).map_err(|error| Unable::new(exit::CONFIG, error))?;
        Ok(Self { config, job, in_ecs: false })
    }

    /// The task that this process is: what proves later that it is dead.
    ///
    /// # Errors
    /// When the system, or ECS, doesn't say.
    pub(crate) async fn task(&self) -> Result<TaskId, Unable> {
        if self.in_ecs {
            let arn = aws::task::this_task().await;
            return Ok(TaskId::Ecs { arn: arn.map_err(|why| Unable::new(exit::UNAVAILABLE, anyhow::anyhow!(why)))? });
        }
        Ok(task::this_process().map_err(anyhow::Error::from)?)
    }
}

/// Leaves the environment behind if this is an ECS task: the process becomes a new one of the same program, with the same
/// arguments and only those variables that ECS itself sets. Returns when there is nothing to leave behind.
///
/// # Errors
/// When the program can't be run again.
pub(crate) fn shed_environment() -> Result<(), Unable> {
    let mut arguments = env::args_os();
    let (program, first) = (arguments.next(), arguments.next());
    if first.is_none_or(|first| first != TASK) {
        return Ok(());
    }
    let have: BTreeMap<OsString, OsString> = env::vars_os().collect();
    let kept = kept(&have);
    if have == kept {
        return Ok(());
    }
    let failed = |error| Unable::new(1, anyhow::Error::new(error).context("the worker can't begin again"));
    let mut again = Command::new(env::current_exe().map_err(failed)?);
    again.args(env::args_os().skip(1)).env_clear().envs(kept);
    if let Some(name) = program {
        again.arg0(name);
    }
    Err(failed(again.exec()))
}

/// What of an environment is kept.
fn kept(have: &BTreeMap<OsString, OsString>) -> BTreeMap<OsString, OsString> {
    let value = |name: &str| have.get(OsStr::new(name)).and_then(|value| value.to_str());
    let address = |name: &str| value(name).filter(|address| is_own(address));
    let found = [
        ("PATH", Some(PATH)),
        (RELATIVE_URI, value(RELATIVE_URI)),
        (FULL_URI, address(FULL_URI)),
        (TOKEN, value(TOKEN)),
        (aws::task::METADATA, address(aws::task::METADATA)),
    ];
    found.into_iter().filter_map(|(name, value)| Some((name.into(), value?.into()))).collect()
}

/// Whether only the container's own host can answer at an address: ECS's, or loopback.
fn is_own(address: &str) -> bool {
    let Some(rest) = address.strip_prefix("http://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let is_port = host.split_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok());
    let is_loopback = name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    is_port && (name == ECS_HOST || is_loopback)
}

/// `--task CONFIGURATION -- JOB`, and not a word more or less.
fn of_task(arguments: &[OsString]) -> Result<(WorkerConfig, JobId), Unable> {
    let usage = |what: String| Unable::new(exit::USAGE, anyhow::anyhow!("{what}; the command must be one job id"));
    let [_, config, separator, job] = arguments else {
        return Err(usage(format!("the worker was given {} arguments instead of 4", arguments.len())));
    };
    if separator != "--" {
        return Err(usage("the entry point doesn't end with --".to_owned()));
    }
    let text = |text: &OsString| text.to_str().map(str::to_owned);
    let job = text(job).and_then(|job| job.parse().ok()).ok_or_else(|| usage(format!("{job:?} is no job id")))?;
    let malformed = |error: anyhow::Error| Unable::new(exit::CONFIG, error);
    let config = text(config).ok_or_else(|| malformed(anyhow::anyhow!("the configuration is not UTF-8")))?;
    let config = WorkerConfig::parse(&config, "of the task definition").map_err(|error| malformed(error.into()))?;
    Ok((config, job))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threat model, row 20: what a caller of RunTask can add to the environment.
    #[test]
    fn only_what_ecs_sets_is_kept_of_the_environment() {
        let have = |variables: &[(&str, &str)]| variables.iter().map(|(n, v)| (n.into(), v.into())).collect();
        let hostile = have(&[
            ("PATH", "/tmp/evil"),
            ("LD_PRELOAD", "/tmp/evil.so"),
            ("AIRLOCK_TERRAFORM", "/tmp/evil"),
            ("AIRLOCK_WORKER_CONFIG", "/tmp/evil.json"),
            ("AIRLOCK_LOG", "trace"),
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("AWS_ENDPOINT_URL", "http://evil"),
            ("AWS_REGION", "us-east-1"),
            ("HTTPS_PROXY", "http://evil"),
            ("TF_CLI_ARGS_apply", "-destroy"),
            (FULL_URI, "http://evil.example/credentials"),
            (aws::task::METADATA, "http://10.0.0.1/v4/1"),
        ]);
        assert_eq!(kept(&hostile), have(&[("PATH", PATH)]));
        let ours = have(&[
            ("PATH", PATH),
            (RELATIVE_URI, "/v2/credentials/1"),
            (FULL_URI, "http://127.0.0.1:8080/credentials"),
            (TOKEN, "t"),
            (aws::task::METADATA, "http://169.254.170.2/v4/1"),
        ]);
        assert_eq!(kept(&ours), ours, "or the worker would begin again for ever");
    }

    #[test]
    fn an_address_is_ones_own_only_by_its_number() {
        for address in ["http://169.254.170.2/v4/x", "http://127.0.0.1:51678/v4/x", "http://127.0.0.2"] {
            assert!(is_own(address), "{address}");
        }
        for address in [
            "https://169.254.170.2/",
            "http://169.254.170.2.evil.example/",
            "http://169.254.170.2@evil.example/",
            "http://evil.example/169.254.170.2",
            "http://127.0.0.1:80@evil.example/",
            "http://localhost/",
            "http://2130706433/",
            "",
        ] {
            assert!(!is_own(address), "{address}");
        }
    }

    #[test]
    fn the_command_of_a_task_is_one_job_id() {
        let job = "01936b5e-8f00-7000-8000-000000000000";
        let refuse = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
            of_task(&arguments).map(|_| ()).unwrap_err()
        };
        for hostile in [
            &["--task", "{}"][..],
            &["--task", "{}", "--"],
            &["--task", "{}", job, job],
            &["--task", "{}", "--", job, "--config=/tmp/evil"],
            &["--task", "{}", "--", job, job],
            &["--task", "{}", "--", "--version"],
            &["--task", "{}", "--", "../../x"],
            &["--task", "{}", "--", ""],
        ] {
            let unable = refuse(hostile);
            assert_eq!(unable.code, exit::USAGE, "{hostile:?}");
            assert!(unable.error.to_string().contains("one job id"), "{hostile:?}");
        }
        let unable = refuse(&["--task", "{}", "--", job]);
        assert_eq!(unable.code, exit::CONFIG);
        assert!(unable.error.to_string().contains("task definition"), "{}", unable.error);
    }
}
