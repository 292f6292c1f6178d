//! The ephemeral task behind the gap: does one deploy job, alone, and ends.
//!
//! Its input is a job id and its own configuration; nothing else from outside is believed. It calls nobody back: what
//! it did and why it refused is in the job's events.

mod apply;
mod cluster;
mod ecs;
mod fetch;
mod files;
mod functions;
mod group;
mod images;
mod patience;
mod plan;
mod record;
mod references;
mod schedules;
mod session;
mod start;
mod steps;
mod stop;
mod targets;
mod terraform;
mod verbatim;
mod whose;
mod work;
mod written;

use std::process::ExitCode;

use manifest_schema::job::{Action, Happening, JobOutcome, TaskId, WriterKind};
use manifest_schema::statement::Outcome;
use records::config::WorkerRole;
use records::task::exit;
use records::{Ambient, Journal, RecordError};
use session::Session;
use start::{Start, Unable};
use stop::Stop;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Instrument as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> ExitCode {
    // Before anything else, threads too: what ECS was told to put into the environment is not believed.
    let shed = start::shed_environment();
    let filter = tracing_subscriber::EnvFilter::try_from_env("AIRLOCK_LOG").unwrap_or_else(|_| "info".into());
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false);
    tracing_subscriber::registry().with(lines.with_filter(filter_fn(aws::may_be_logged))).with(filter).init();
    // Terraform and its providers run as the same user: they can't read this process's memory, where the key is.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the worker could not be made non-dumpable");
    }
    let result = shed.and_then(|()| {
        let start = Start::read()?;
        // One thread: Terraform is told when the thread that started it ends, so that thread must be the worker's own.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let span = tracing::info_span!("worker", job = %start.job, phase = tracing::field::Empty);
        let told = async {
            let done = run(start).await;
            // Here, where the line still names the job.
            done.inspect_err(|unable| tracing::error!("{:#}", unable.error))
        };
        runtime.map_err(anyhow::Error::from)?.block_on(told.instrument(span))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Unable { code, error }) => {
            tracing::error!("{error:#}");
            ExitCode::from(code)
        }
    }
}

/// Takes the job, does it, and writes its end.
async fn run(start: Start) -> Result<(), Unable> {
    // Heard from here on, and obeyed once the job is taken.
    let terminate = signal(SignalKind::terminate()).map_err(anyhow::Error::from)?;
    let ambient = Ambient::system();
    let unavailable = |error: anyhow::Error| Unable::new(exit::UNAVAILABLE, error);
    let sides = session::open_stores(&start.config).await.map_err(unavailable)?;
    let journal = Journal::open(&sides.production, &ambient, WriterKind::Worker, start.job).await;
    let unreadable = |error: RecordError| match error.is_about_content() {
        true => Unable::new(exit::UNREADABLE, anyhow::Error::new(error).context("the job can't be read")),
        false => unavailable(error.into()),
    };
    let Some(mut journal) = journal.map_err(unreadable)? else {
        let missing = anyhow::anyhow!("there is no job {} in {}", start.job, start.config.production);
        return Err(Unable::new(exit::USAGE, missing));
    };
    if journal.job().worker().is_some() || journal.job().ended().is_some() {
        tracing::info!("another worker has this job, or it is over");
        return Ok(());
    }
    let task = start.task().await?;
    expect_started(&journal, &task)?;
    let began = Happening::Began { task: task.clone(), version: env!("CARGO_PKG_VERSION").to_owned() };
    journal.append(began).await.map_err(anyhow::Error::from)?;

    let mut session = Session::new(start.config, sides, ambient, journal, task);
    let done = session.watching(terminate, act).await;
    let (outcome, reasons) = match done {
        Ok(outcome) => (outcome, Vec::new()),
        Err(Stop::Refused(reasons)) => (JobOutcome::Refused, reasons),
        Err(Stop::Failed(reason)) => (JobOutcome::Failed, vec![reason]),
        Err(Stop::RolledBack(reason)) => (JobOutcome::RolledBack, vec![reason]),
        Err(Stop::Cancelled(reason)) => (JobOutcome::Cancelled, vec![reason]),
        Err(Stop::Lost(why)) => return Err(anyhow::anyhow!("stopped: {why}").into()),
    };
    let ended = session.say(Happening::Ended { outcome, reasons }).await;
    ended.map_err(|stop| anyhow::anyhow!("the end can't be written: {stop}").into())
}

/// A task that somebody else than the gateway runs for one of its jobs does nothing.
fn expect_started(journal: &Journal, task: &TaskId) -> Result<(), Unable> {
    match (journal.job().task(), task) {
        (Some(started @ TaskId::Ecs { .. }), TaskId::Ecs { .. }) if started != task => {
            let other = anyhow::anyhow!("this is {task}, but the gateway started {started} for the job");
            Err(Unable::new(exit::USAGE, other))
        }
        (Some(_), TaskId::Ecs { .. } | TaskId::Process { .. }) | (None, _) => Ok(()),
    }
}

/// Does what the job's action is.
async fn act(session: &Session) -> Result<JobOutcome, Stop> {
    let action = session.request().action;
    match (session.config().role, action) {
        (WorkerRole::Planner, Action::Plan | Action::Drift) => plan::run(session).await.map(|()| JobOutcome::Succeeded),
        (WorkerRole::Deployer, Action::Apply) => apply::run(session).await,
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
