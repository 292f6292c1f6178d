//! The ephemeral task behind the gap: does one deploy job, alone, and ends.
//!
//! Its input is a job id and its own configuration; nothing else from outside is believed. It calls nobody back: what
//! it did and why it refused is in the job's events.

mod apply;
mod cluster;
mod fetch;
mod plan;
mod record;
mod session;
mod stop;
mod terraform;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use manifest_schema::job::{Action, Happening, JobId, JobOutcome, WriterKind};
use manifest_schema::statement::Outcome;
use records::config::{WorkerConfig, WorkerRole};
use records::{Ambient, Journal};
use session::Session;
use stop::Stop;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

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

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("AIRLOCK_LOG").unwrap_or_else(|_| "info".into());
    let lines = tracing_subscriber::fmt::layer().json().with_filter(filter_fn(aws::may_be_logged));
    tracing_subscriber::registry().with(lines).with(filter).init();
    // Terraform and its providers run as the same user: they can't read this process's memory, where the key is.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the worker could not be made non-dumpable");
    }
    // One thread: Terraform is told when the thread that started it ends, so that thread must be the worker's own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(&args)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(job = %args.job, "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Takes the job, does it, and writes its end.
async fn run(args: &Args) -> anyhow::Result<()> {
    let config = WorkerConfig::read(&args.config)?;
    let ambient = Ambient::system();
    let sides = session::open_stores(&config).await?;
    let journal = Journal::open(&sides.production, &ambient, WriterKind::Worker, args.job).await?;
    let mut journal =
        journal.ok_or_else(|| anyhow::anyhow!("there is no job {} in {}", args.job, config.production))?;
    if journal.job().worker().is_some() || journal.job().ended().is_some() {
        tracing::info!(job = %args.job, "another worker has this job, or it is over");
        return Ok(());
    }
    let task = records::task::this_process()?;
    journal.append(Happening::Began { task: task.clone(), version: env!("CARGO_PKG_VERSION").to_owned() }).await?;

    let mut session = Session::new(config, sides, ambient, journal, task);
    let done = session.watching(act).await;
    let (outcome, reasons) = match done {
        Ok(outcome) => (outcome, Vec::new()),
        Err(Stop::Refused(reasons)) => (JobOutcome::Refused, reasons),
        Err(Stop::Failed(reason)) => (JobOutcome::Failed, vec![reason]),
        Err(Stop::Cancelled(reason)) => (JobOutcome::Cancelled, vec![reason]),
        Err(Stop::Lost(why)) => anyhow::bail!("stopped: {why}"),
    };
    tracing::info!(job = %args.job, %outcome, ?reasons, "ended");
    session.say(Happening::Ended { outcome, reasons }).await.map_err(|stop| anyhow::anyhow!("{stop}"))
}

/// Does what the job's action is.
async fn act(session: &Session) -> Result<JobOutcome, Stop> {
    let action = session.request().action;
    match (session.config().role, action) {
        (WorkerRole::Planner, Action::Plan) => plan::run(session).await.map(|()| JobOutcome::Succeeded),
        (WorkerRole::Deployer, Action::Apply) => apply::run(session).await,
        (_, Action::Drift) => Err(Stop::failed("this version of the worker does no drift jobs")),
        (role, _) => {
            Err(Stop::failed(format!("a {role:?} does no {action} jobs: the launcher chose the wrong worker")))
        }
    }
}

/// How a job whose steps came out like this ends.
fn job_outcome(outcome: Outcome) -> JobOutcome {
    match outcome {
        Outcome::Succeeded => JobOutcome::Succeeded,
        Outcome::Failed => JobOutcome::Failed,
        Outcome::RolledBack => JobOutcome::RolledBack,
        Outcome::Cancelled => JobOutcome::Cancelled,
        Outcome::Interrupted => JobOutcome::Interrupted,
    }
}
